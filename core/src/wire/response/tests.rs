use super::*;
use crate::usage::{Kind, Quality, Units};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

const EVENTS: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json";

fn reading(api: Api, status: u16, content_type: &str, content_encoding: &str, strip: bool) -> ResponseMeter {
    ResponseMeter::new(Some(api), Head { status, content_type, content_encoding }, strip)
}

struct Read {
    facts: ResponseFacts,
    out: Vec<u8>,
}

fn read_pieces(mut meter: ResponseMeter, pieces: &[&[u8]], whole: bool) -> Read {
    let mut out = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        match meter.push(piece, whole && at + 1 == pieces.len()) {
            Passed::Unchanged => out.extend_from_slice(piece),
            Passed::Replaced(bytes) => out.extend(bytes),
        }
    }
    Read { facts: meter.finish(whole), out }
}

fn openai(content_type: &str, body: &str, whole: bool) -> ResponseFacts {
    read_pieces(reading(Api::OpenAiChat, 200, content_type, "", false), &[body.as_bytes()], whole).facts
}

fn anthropic(content_type: &str, body: &str, whole: bool) -> ResponseFacts {
    read_pieces(reading(Api::AnthropicMessages, 200, content_type, "", false), &[body.as_bytes()], whole).facts
}

fn tokens(input: u64, cache_read: u64, cache_write_5m: u64, cache_write_1h: u64, output: u64) -> Units {
    Units::of(&[
        (Kind::Input, input),
        (Kind::CacheRead, cache_read),
        (Kind::CacheWrite5m, cache_write_5m),
        (Kind::CacheWrite1h, cache_write_1h),
        (Kind::Output, output),
    ])
}

const CHUNK: &str = r#"data: {"model":"gpt-5-2026-01-01","choices":[{"index":0,"delta":{"content":"one two three"},"finish_reason":null}],"usage":null}"#;
const STOP: &str =
    r#"data: {"model":"gpt-5-2026-01-01","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
const USAGE: &str = r#"data: {"model":"gpt-5-2026-01-01","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}}"#;

fn stream(events: &[&str]) -> String {
    events.iter().map(|event| format!("{event}\n\n")).collect()
}

#[test]
fn usage_becomes_disjoint_kinds() {
    let cases = [
        (
            "cached and written tokens are inside of the prompt",
            openai(
                JSON,
                r#"{"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":
                {"cached_tokens":60,"cache_write_tokens":10},"completion_tokens_details":{"reasoning_tokens":15}}}"#,
                true,
            ),
            tokens(30, 60, 10, 0, 20),
            15,
        ),
        (
            "a cache that claims more than there was",
            openai(
                JSON,
                r#"{"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":12}}}"#,
                true,
            ),
            tokens(0, 12, 0, 0, 2),
            0,
        ),
        (
            "more reasoning than output",
            openai(
                JSON,
                r#"{"usage":{"prompt_tokens":1,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":9}}}"#,
                true,
            ),
            tokens(1, 0, 0, 0, 2),
            2,
        ),
        (
            "cached tokens are beside the input",
            anthropic(
                JSON,
                r#"{"usage":{"input_tokens":4,"cache_read_input_tokens":30,"cache_creation_input_tokens":20,
                "cache_creation":{"ephemeral_5m_input_tokens":12,"ephemeral_1h_input_tokens":8},"output_tokens":7}}"#,
                true,
            ),
            tokens(4, 30, 12, 8, 7),
            0,
        ),
        (
            "writes beyond the split live for five minutes",
            anthropic(
                JSON,
                r#"{"usage":{"input_tokens":4,"cache_creation_input_tokens":25,
                "cache_creation":{"ephemeral_5m_input_tokens":12,"ephemeral_1h_input_tokens":8},"output_tokens":7}}"#,
                true,
            ),
            tokens(4, 0, 17, 8, 7),
            0,
        ),
    ];
    for (case, facts, want, reasoning) in cases {
        assert_eq!(facts.usage, Some(Usage { reasoning, ..Usage::new(want, Quality::Exact) }), "{case}");
        assert_eq!(facts.problems, [], "{case}");
    }
}

#[test]
fn what_looks_like_usage_elsewhere_is_not() {
    let fake = r#"\"usage\":{\"prompt_tokens\":1}"#;
    let body = format!(
        r#"{{"choices":[{{"message":{{"content":"{fake}","usage":{{"prompt_tokens":2,"completion_tokens":2}}}},
        "usage":{{"prompt_tokens":3}}}}],"x":{{"usage":{{"prompt_tokens":4,"completion_tokens":4}}}},"usage":"none"}}"#
    );
    let facts = openai(JSON, &body, true);
    assert_eq!((facts.usage, facts.problems), (None, vec![Problem::UsageMissing]));
}

#[test]
fn each_count_of_a_stream_is_the_last_that_is_not_null() {
    let body = stream(&[
        r#"event: message_start
data: {"type":"message_start","message":{"model":"claude-x","usage":{"input_tokens":3,"cache_creation_input_tokens":20,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":12,"ephemeral_1h_input_tokens":8},"output_tokens":1}}}"#,
        "event: ping\ndata: {\"type\": \"ping\"}",
        r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello there"}}"#,
        r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":5,"cache_read_input_tokens":46134,"cache_creation_input_tokens":null,"output_tokens":11}}"#,
        "event: message_stop\ndata: {\"type\":\"message_stop\"}",
    ]);
    let facts = anthropic(EVENTS, &body, true);
    let want = Usage::new(tokens(5, 46_134, 12, 8, 11), Quality::Exact);
    assert_eq!(facts.usage, Some(want));
    assert_eq!((facts.model.as_deref(), facts.finished), (Some("claude-x"), true));
    assert!((2..=4).contains(&facts.output_estimate), "{}", facts.output_estimate);

    let cumulative = stream(&[
        r#"data: {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}"#,
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#,
        r#"data: {"choices":[],"x_groq":{"usage":{"prompt_tokens":9,"completion_tokens":4}}}"#,
    ]);
    let facts = openai(EVENTS, &cumulative, true);
    assert_eq!(facts.usage.unwrap().units, tokens(9, 0, 0, 0, 4), "never a sum");
}

#[test]
fn a_broken_stream_keeps_what_was_reported_and_counts_the_rest() {
    let start = r#"data: {"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":30,"output_tokens":1}}}"#;
    let delta =
        r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":" several words of an answer"}}"#;
    let facts = anthropic(EVENTS, &stream(&[start, delta, delta]), false);
    let usage = facts.usage.unwrap();
    assert_eq!((usage.quality, usage.units.prompt()), (Quality::Partial, 30));
    assert!((10..=14).contains(&usage.units.output()), "{usage:?}");
    assert_eq!((usage.units.output(), facts.finished, facts.problems), (facts.output_estimate, false, vec![]));

    // The report was final already when the end of the stream went missing.
    let facts = openai(EVENTS, &stream(&[CHUNK, STOP, USAGE]), false);
    assert_eq!(facts.usage.unwrap().quality, Quality::Exact);
    // Nothing was reported: an event that was cut off is no problem of its own.
    let facts = openai(EVENTS, &format!("{}data: {{\"mod", stream(&[CHUNK])), false);
    assert_eq!((facts.usage, facts.problems), (None, vec![]));
    assert!(facts.output_estimate >= 3);
}

#[test]
fn an_error_in_a_stream_makes_its_usage_partial() {
    let body = stream(&[
        r#"data: {"type":"message_start","message":{"model":"c","usage":{"input_tokens":30,"output_tokens":2}}}"#,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
    ]);
    let facts = anthropic(EVENTS, &body, true);
    assert!(facts.error_in_stream);
    assert_eq!(facts.usage.map(|usage| usage.quality), Some(Quality::Partial));
    assert!(!openai(JSON, r#"{"error":null,"usage":{"prompt_tokens":1,"completion_tokens":1}}"#, true).error_in_stream);
}

#[test]
fn a_body_is_read_by_its_shape() {
    let json = r#"{"model":"m","usage":{"prompt_tokens":9,"completion_tokens":5}}"#;
    let events = stream(&[CHUNK, STOP, USAGE, "data: [DONE]"]);
    let crlf = events.replace('\n', "\r\n");
    let comment = format!(": OPENROUTER PROCESSING\n\n{events}");
    let bom = format!("\u{FEFF}{events}");
    let unended = events.trim_end().to_owned();
    let no_done = stream(&[CHUNK, STOP, USAGE]).trim_end().to_owned();
    let spaced = format!("\n \n{json}");
    let marked = format!("\u{FEFF}{json}");
    let bodies = [json, &spaced, &marked, &events, &crlf, &comment, &bom, &unended, &no_done];
    for body in bodies {
        for (content_type, size) in [(JSON, 1), (EVENTS, 2), ("text/plain", 3), ("", body.len())] {
            let meter = reading(Api::OpenAiChat, 200, content_type, "", true);
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            let facts = read_pieces(meter, &pieces, true).facts;
            assert_eq!(facts.usage.map(|usage| usage.units), Some(tokens(9, 0, 0, 0, 5)), "{content_type} {body:?}");
            assert_eq!(facts.problems, [], "{content_type} {body:?}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_a_problem_and_an_error_is_not() {
    let unreadable = vec![Problem::ResponseUnreadable];
    let cases = [
        ("a page", 200, "text/html", "", "<html>", true, unreadable.clone()),
        ("nothing", 200, JSON, "", "", true, unreadable.clone()),
        ("half a body", 200, JSON, "", "{\"usage\":{", true, unreadable.clone()),
        ("half a body, as known", 200, JSON, "", "{\"usage\":{", false, vec![]),
        ("broken", 200, JSON, "", "{\"usage\":}", false, unreadable.clone()),
        ("not compressed", 200, JSON, "gzip", "{}", true, unreadable),
        ("unknown coding", 200, JSON, "compress", "\x0b", true, vec![Problem::ResponseEncoding]),
        ("no usage", 200, JSON, "", "{}", true, vec![Problem::UsageMissing]),
        (
            "a bad event",
            200,
            EVENTS,
            "",
            "data: {\"a\":1}\n\ndata: {oh\n\n",
            true,
            vec![Problem::EventUnreadable, Problem::UsageMissing],
        ),
        ("an error", 429, JSON, "", "{\"error\":{}}", true, vec![]),
        ("a broken error", 500, "text/html", "br", "oops", true, vec![]),
    ];
    for (case, status, content_type, encoding, body, whole, want) in cases {
        let meter = reading(Api::OpenAiChat, status, content_type, encoding, true);
        let read = read_pieces(meter, &[body.as_bytes()], whole);
        assert_eq!((read.facts.problems, read.facts.usage), (want, None), "{case}");
        assert_eq!(read.out, body.as_bytes(), "{case}");
    }
}

#[test]
fn compressed_answers_are_metered_and_go_out_as_they_came() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(stream(&[CHUNK, STOP, USAGE, "data: [DONE]"]).as_bytes()).unwrap();
    let bytes = encoder.finish().unwrap();
    let pieces: Vec<&[u8]> = bytes.chunks(7).collect();
    let read = read_pieces(reading(Api::OpenAiChat, 200, EVENTS, "gzip", true), &pieces, true);
    assert_eq!(read.facts.usage.map(|usage| usage.units), Some(tokens(9, 0, 0, 0, 5)));
    assert_eq!(read.out, bytes);
}

#[test]
fn only_the_event_that_brings_usage_is_taken_out() {
    let azure = r#"data: {"choices":[],"model":"","prompt_filter_results":[{"usage":1}],"usage":null}"#;
    let with_choices = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#;
    let reordered = r#"data: {"usage":{"prompt_tokens":9,"completion_tokens":5},"x":"}","choices":[ ]}"#;
    let done = "data: [DONE]";
    let cases: [(&[&str], &[&str]); 5] = [
        (&[CHUNK, STOP, USAGE, done], &[CHUNK, STOP, done]),
        (&[azure, CHUNK, STOP, reordered, done], &[azure, CHUNK, STOP, done]),
        (&[CHUNK, with_choices, done], &[CHUNK, with_choices, done]),
        (&[USAGE], &[]),
        (&["data: {oh", ": comment", done], &["data: {oh", ": comment", done]),
    ];
    for (events, want) in cases {
        let (body, want) = (stream(events), stream(want));
        for size in 1..body.len() {
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            let read = read_pieces(reading(Api::OpenAiChat, 200, EVENTS, "", true), &pieces, true);
            assert_eq!(String::from_utf8_lossy(&read.out), want, "{size} {body}");
        }
    }
    let unended = format!("{}{USAGE}", stream(&[STOP]));
    let meter = reading(Api::OpenAiChat, 200, EVENTS, "", true);
    assert_eq!(read_pieces(meter, &[unended.as_bytes()], true).out, stream(&[STOP]).as_bytes());
}

#[test]
fn nothing_waits_that_need_not() {
    let mut meter = reading(Api::OpenAiChat, 200, EVENTS, "", true);
    assert_eq!(meter.push(stream(&[CHUNK, STOP]).as_bytes(), false), Passed::Unchanged, "whole events");
    let (head, tail) = CHUNK.split_at(CHUNK.find("one").unwrap());
    assert_eq!(meter.push(head.as_bytes(), false), Passed::Unchanged, "it has choices: it stays");
    assert_eq!(meter.push(format!("{tail}\n\n").as_bytes(), false), Passed::Unchanged);
    let (head, tail) = USAGE.split_at(USAGE.find("total").unwrap());
    assert_eq!(meter.push(head.as_bytes(), false), Passed::Replaced(vec![]), "may be the one");
    assert_eq!(meter.push(format!("{tail}\n\ndata: ").as_bytes(), false), Passed::Replaced(vec![]));
    assert_eq!(meter.push(b"[DONE]", false), Passed::Replaced(b"data: [DONE]".to_vec()), "it is not JSON: it stays");
    assert_eq!(meter.push(b"\n\n", true), Passed::Unchanged);

    let mut meter = reading(Api::OpenAiChat, 200, EVENTS, "", true);
    let long = format!("data: {{\"x\":\"{}", "x".repeat(HELD_MAX));
    assert_eq!(meter.push(&long.as_bytes()[..9], false), Passed::Replaced(vec![]));
    assert_eq!(
        meter.push(&long.as_bytes()[9..], false),
        Passed::Replaced(long.clone().into_bytes()),
        "too long to wait"
    );
    let mut meter = reading(Api::OpenAiChat, 200, EVENTS, "", false);
    assert_eq!(meter.push(b"data: {", false), Passed::Unchanged, "nothing to take out");
}

/// Events with one that only brings usage at times, and what is left of them without it.
fn streams() -> impl Strategy<Value = (String, String)> {
    let event = prop_oneof![
        4 => "[a-z \"\\\\é]{0,12}".prop_map(|text| {
            let data = serde_json::json!({"model": "m", "choices": [{"delta": {"content": text}}]});
            (format!("data: {data}"), true)
        }),
        1 => Just((USAGE.to_owned(), false)),
        1 => Just((USAGE.replace("data: ", "event: x\ndata:"), false)),
        1 => Just(("data: [DONE]".to_owned(), true)),
        1 => Just((": comment".to_owned(), true)),
        1 => Just(("data: {broken".to_owned(), true)),
        1 => Just((STOP.to_owned(), true)),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    (proptest::collection::vec(event, 0..7), end).prop_map(|(events, end)| {
        let write = |(text, _): &(String, bool)| format!("{}{end}{end}", text.replace('\n', end));
        (events.iter().map(write).collect(), events.iter().filter(|(_, stays)| *stays).map(write).collect())
    })
}

proptest! {
    #[test]
    fn facts_and_bytes_do_not_depend_on_chunking(
        (body, want) in streams(), strip: bool, whole: bool, cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &body.as_bytes()[pair[0]..pair[1]]).collect();
        let meter = || reading(Api::OpenAiChat, 200, EVENTS, "", strip);
        let (one, many) = (read_pieces(meter(), &[body.as_bytes()], whole), read_pieces(meter(), &pieces, whole));
        prop_assert_eq!(&one.facts, &many.facts);
        prop_assert_eq!(String::from_utf8_lossy(&many.out), if strip { want.clone() } else { body.clone() });
        prop_assert_eq!(one.out, many.out);
    }

    /// Whatever comes, all of it goes out but for whole events that bring usage.
    #[test]
    fn no_bytes_make_it_panic_or_get_lost(
        start in "(\u{FEFF}|\u{FEFF}?[ \n]{0,3})[\\[{:dx]?", rest in proptest::collection::vec(any::<u8>(), 0..120), coding in "(|gzip|deflate|br)", status in 199u16..301,
        cut in any::<usize>(), anthropic: bool,
    ) {
        let api = if anthropic { Api::AnthropicMessages } else { Api::OpenAiChat };
        let bytes = [start.as_bytes(), &rest].concat();
        let (head, tail) = bytes.split_at(cut % (bytes.len().min(8) + 1));
        let read = read_pieces(reading(api, status, "", &coding, true), &[head, tail], true);
        prop_assert_eq!(read.out, bytes);
    }

    #[test]
    fn a_body_of_any_shape_is_read_as_a_tree_would(
        text in "\\PC{0,30}", prompt: u32, output: u32, cached in 0u32..9, pretty: bool, usage_first: bool,
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let usage = serde_json::json!({"prompt_tokens": prompt, "completion_tokens": output,
            "prompt_tokens_details": {"cached_tokens": cached}});
        let choices = serde_json::json!([{"message": {"content": text, "usage": {"prompt_tokens": 1}}, "finish_reason": "stop"}]);
        let text = |v: &serde_json::Value| if pretty { serde_json::to_string_pretty(v).unwrap() } else { v.to_string() };
        let (usage, choices) = (text(&usage), text(&choices));
        let body = if usage_first {
            format!("{{\"usage\":{usage},\"model\":\"m\",\"choices\":{choices}}}")
        } else {
            format!("{{\"model\":\"m\",\"choices\":{choices} , \"usage\" : {usage}}}")
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &body.as_bytes()[pair[0]..pair[1]]).collect();
        let facts = read_pieces(reading(Api::OpenAiChat, 200, JSON, "", false), &pieces, true).facts;
        let input = u64::from(prompt).saturating_sub(u64::from(cached));
        prop_assert_eq!(facts.usage.map(|usage| usage.units), Some(tokens(input, cached.into(), 0, 0, output.into())));
        prop_assert_eq!((facts.problems, facts.finished), (vec![], true));
    }
}

#[test]
fn a_session_of_frames_sums_what_its_answers_report() {
    let frame = |text: &str| [&[0x81, 126][..], &(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
    // The example of OpenAI's reference.
    let done = r#"{"type":"response.done","response":{"status":"completed","usage":{"total_tokens":275,"input_tokens":127,
        "output_tokens":148,"input_token_details":{"cached_tokens":64,"text_tokens":119,"audio_tokens":8,
        "cached_tokens_details":{"text_tokens":64,"audio_tokens":0}},
        "output_token_details":{"text_tokens":36,"audio_tokens":112}}}}"#;
    let created = r#"{"type":"response.created","response":{"status":"in_progress","usage":null}}"#;
    let session = r#"{"type":"session.created","session":{"model":"gpt-realtime-2025-08-28"}}"#;
    let whole =
        [session, created, done, r#"{"type":"error","error":{"message":"no"}}"#, created, done].map(frame).concat();
    let read = |bytes: &[u8], size: usize| {
        let head = Head { status: 101, ..Head::default() };
        let mut meter = ResponseMeter::new(Some(Api::OpenAiRealtime), head, false);
        bytes.chunks(size).for_each(|piece| assert_eq!(meter.push(piece, false), Passed::Unchanged));
        meter.finish(false)
    };
    for size in [1, 50, whole.len()] {
        let facts = read(&whole, size);
        let usage = facts.usage.unwrap();
        let want = [
            (Kind::Input, 110),
            (Kind::InputAudio, 16),
            (Kind::CacheRead, 128),
            (Kind::Output, 72),
            (Kind::OutputAudio, 224),
        ];
        assert_eq!(usage.units, Units::of(&want), "in pieces of {size}");
        assert_eq!((usage.quality, facts.model.as_deref()), (Quality::Exact, Some("gpt-realtime-2025-08-28")));
    }
    let broken = read(&[whole.clone(), frame(created)].concat(), 9);
    assert_eq!(broken.usage.map(|usage| usage.quality), Some(Quality::Partial));
    assert_eq!(read(&frame(session), 9).usage, None);
}

#[test]
fn what_follows_a_number_is_read_however_it_is_cut() {
    for body in [&b"777\0a"[..], b"7 {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}", b"7x"] {
        let whole = read_pieces(reading(Api::OpenAiChat, 200, JSON, "", false), &[body], true).facts;
        for cut in 0..=body.len() {
            let (head, tail) = body.split_at(cut);
            let meter = reading(Api::OpenAiChat, 200, JSON, "", false);
            assert_eq!(read_pieces(meter, &[head, tail], true).facts, whole, "{body:?} cut at {cut}");
        }
    }
}

#[test]
fn reasoning_that_vercel_leaves_out_is_added_however_the_market_cost_is_written() {
    for cost in ["0.0000702", "7.02e-7", "\"0.0000702\""] {
        let body = format!(
            r#"{{"usage":{{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"market_cost":{cost},
            "completion_tokens_details":{{"reasoning_tokens":25}}}}}}"#
        );
        let usage = read_pieces(reading(Api::OpenAiChat, 200, JSON, "", false), &[body.as_bytes()], true).facts.usage;
        assert_eq!(usage.map(|usage| (usage.units.output(), usage.reasoning)), Some((27, 25)), "{cost}");
    }
}
