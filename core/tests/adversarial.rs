//! Bodies that someone made to hurt: they cost time that grows with their length and no more, keep nothing, and are
//! counted for what they are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use peak_alloc::PeakAlloc;
use purser_core::api::Api;
use purser_core::record::Problem;
use purser_core::wire::request::{RequestError, RequestScanner};
use purser_core::wire::response::{Head, ResponseFacts, ResponseMeter};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a call needed at most beyond what there was. One call at a time: see [`all`].
fn memory<T>(call: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let answer = call();
    (ALLOCATOR.peak_usage().saturating_sub(before), answer)
}

const PIECE: usize = 64 << 10;
const MB: usize = 1 << 20;
/// A body: a hundred megabytes, of which an unoptimised build takes a tenth.
const LARGE: usize = if cfg!(debug_assertions) { 10 * MB } else { 100 * MB };
/// What reading may keep, whatever comes: paths, a word, a scratch.
const KEPT: usize = 256 << 10;

/// A body that is never whole in memory: a start, a piece again and again, an end.
struct Body<'a> {
    start: &'a str,
    piece: &'a [u8],
    times: usize,
    end: &'a str,
}

fn request(api: Api, body: &Body<'_>) -> (usize, Result<purser_core::wire::request::RequestFacts, RequestError>) {
    memory(|| {
        let mut scanner = RequestScanner::new(api);
        scanner.push(body.start.as_bytes());
        (0..body.times).for_each(|_| scanner.push(body.piece));
        scanner.push(body.end.as_bytes());
        scanner.finish()
    })
}

fn response(api: Api, head: Head<'_>, body: &Body<'_>) -> (usize, ResponseFacts) {
    memory(|| {
        let mut meter = ResponseMeter::new(Some(api), head, false);
        meter.push(body.start.as_bytes(), false);
        (0..body.times).for_each(|_| drop(meter.push(body.piece, false)));
        meter.push(body.end.as_bytes(), true);
        meter.finish(true)
    })
}

const JSON: Head<'_> = Head { status: 200, content_type: "application/json", content_encoding: "" };
const EVENTS: Head<'_> = Head { status: 200, content_type: "text/event-stream", content_encoding: "" };

/// One test, since what is allocated is counted for the whole process.
#[test]
fn all() {
    requests_of_any_size_are_read_in_constant_memory();
    answers_of_any_size_are_read_in_constant_memory();
    depth_and_names_without_end_keep_nothing();
    a_bomb_is_given_up_and_told();
}

fn requests_of_any_size_are_read_in_constant_memory() {
    let text = "lorem ipsum ".repeat(PIECE / 12);
    let body = Body {
        start: r#"{"model":"m","messages":[{"role":"user","content":""#,
        piece: text.as_bytes(),
        times: LARGE / PIECE,
        end: r#""}]}"#,
    };
    let (kept, facts) = request(Api::OpenAiChat, &body);
    assert_eq!(facts.unwrap().model, "m");
    assert!(kept < KEPT, "a long string keeps {kept} bytes");

    let base64 = "QUJD".repeat(PIECE / 4);
    let body = Body {
        start: r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":""#,
        piece: base64.as_bytes(),
        times: LARGE / PIECE,
        end: r#""}}]}]}"#,
    };
    let (kept, facts) = request(Api::GeminiEmbed, &body);
    assert!(facts.is_err(), "this API names its model in the path");
    assert!(kept < KEPT, "media keeps {kept} bytes");
}

fn answers_of_any_size_are_read_in_constant_memory() {
    let numbers = "0.0123,-0.5,".repeat(PIECE / 12);
    let body = Body {
        start: r#"{"object":"list","data":[{"embedding":["#,
        piece: numbers.as_bytes(),
        times: LARGE / PIECE,
        end: r#"1]}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#,
    };
    let (kept, facts) = response(Api::OpenAiEmbeddings, JSON, &body);
    assert_eq!(facts.usage.unwrap().units.prompt(), 7);
    assert!(kept < KEPT, "numbers keep {kept} bytes");

    // One event.
    let text = "lorem ipsum ".repeat(PIECE / 12);
    let body = Body {
        start: "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"text\":\"",
        piece: text.as_bytes(),
        times: LARGE / PIECE,
        end: "\"}]}],\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n",
    };
    let (kept, facts) = response(Api::OpenAiResponses, EVENTS, &body);
    assert_eq!(facts.usage.unwrap().units.tokens(), 7);
    assert!(kept < KEPT, "an event keeps {kept} bytes");
}

fn depth_and_names_without_end_keep_nothing() {
    let cases: [(&str, &str, &str); 5] = [
        ("nested arrays", r#"{"x":"#, "["),
        ("nested objects", r#"{"x":"#, r#"{"a":"#),
        ("ten million names", "{", r#""k":1,"#),
        ("a name without end", "{\"", "k"),
        ("a number without end", "{\"x\":1", "1"),
    ];
    for (case, start, unit) in cases {
        let piece = unit.repeat(PIECE / unit.len());
        let body = Body { start, piece: piece.as_bytes(), times: LARGE / 2 / PIECE, end: "" };
        let (kept, facts) = request(Api::OpenAiChat, &body);
        assert!(facts.is_err(), "{case}");
        assert!(kept < KEPT, "{case} keeps {kept} bytes");
        let (kept, facts) = response(Api::OpenAiChat, JSON, &body);
        assert_eq!((facts.usage, facts.problems.first()), (None, Some(&Problem::ResponseUnreadable)), "{case}");
        assert!(kept < KEPT, "{case} keeps {kept} bytes in an answer");
    }
}

fn a_bomb_is_given_up_and_told() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let spaces = vec![b' '; MB];
    (0..1_024).for_each(|_| encoder.write_all(&spaces).unwrap());
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 2 * MB, "a gigabyte in {} bytes", bomb.len());
    let (kept, facts) = memory(|| {
        let head = Head { content_encoding: "gzip", ..JSON };
        let mut meter = ResponseMeter::new(Some(Api::OpenAiChat), head, false);
        bomb.chunks(PIECE).for_each(|piece| drop(meter.push(piece, false)));
        meter.finish(true)
    });
    assert_eq!((facts.usage, facts.problems.as_slice()), (None, &[Problem::ResponseUnreadable][..]));
    assert!(kept < 2 * KEPT, "a bomb keeps {kept} bytes");
}
