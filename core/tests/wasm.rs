//! The engine as it runs in the filter: wasm32, where `usize` has 32 bits.
//!
//! ```text
//! CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
//!   cargo test -p purser-core --target wasm32-unknown-unknown --test wasm
//! ```
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use purser_core::api::Api;
use purser_core::estimate::{Family, Features};
use purser_core::usage::{Kind, Quality, Units};
use purser_core::wire::inflate::{Coding, Inflater};
use purser_core::wire::request::{RequestError, RequestFacts, RequestScanner};
use purser_core::wire::response::{Head, Passed, ResponseFacts, ResponseMeter};
use purser_core::wire::rewrite::{Edits, rewrite};
use purser_core::wire::sse::{Decoder, Sink};
use purser_core::wire::{base64, event_stream};
use wasm_bindgen_test::wasm_bindgen_test;

const STREAM: &str = concat!(
    "data: {\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two three\"}}],\"usage\":null}\r\n\r\n",
    "data: {\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\r\n\r\n",
    "data: {\"model\":\"gpt-5\",\"choices\":[],\"usage\":{\"prompt_tokens\":5000000000,\"completion_tokens\":5,",
    "\"prompt_tokens_details\":{\"cached_tokens\":4999999999}}}\r\n\r\n",
    "data: [DONE]\r\n\r\n",
);

fn scan(body: &[u8], size: usize) -> Result<RequestFacts, RequestError> {
    let mut scanner = RequestScanner::new(Api::OpenAiChat);
    body.chunks(size).for_each(|piece| scanner.push(piece));
    scanner.finish()
}

#[wasm_bindgen_test]
fn a_request_is_read_and_rewritten_whatever_its_pieces() {
    let body = r#"{"messages":[{"role":"user","content":"na\u00efve \ud83d\ude00 text"}],"max_tokens":18446744073709551615,"model":"gpt-5","stream":true}"#;
    let facts = scan(body.as_bytes(), body.len()).unwrap();
    assert_eq!((facts.model.as_str(), facts.max_tokens, facts.stream), ("gpt-5", Some(u64::MAX), true));
    for size in 1..20 {
        assert_eq!(scan(body.as_bytes(), size).unwrap(), facts, "pieces of {size}");
    }
    let edits = Edits { model: Some("other".into()), max_tokens: Some(9), include_usage: true };
    let rewritten = rewrite(Api::OpenAiChat, &facts.model, body.as_bytes(), &facts.spans, &edits);
    let again = scan(&rewritten, 64).unwrap();
    assert_eq!((again.model.as_str(), again.max_tokens, again.include_usage), ("other", Some(9), true));
    assert_eq!(again.features, facts.features);
}

#[wasm_bindgen_test]
fn thirty_megabytes_of_image_are_passed_over() {
    let mut scanner = RequestScanner::new(Api::OpenAiChat);
    scanner.push(br#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,"#);
    let piece = vec![b'A'; 1 << 20];
    (0..30).for_each(|_| scanner.push(&piece));
    scanner.push(br#""}}]}],"model":"m"}"#);
    let facts = scanner.finish().unwrap();
    assert_eq!((facts.model.as_str(), facts.images, facts.body_bytes >> 20), ("m", 1, 30));
    assert_eq!(facts.input_tokens(Family::O200k), 1_105 + 4 + 3);
}

#[wasm_bindgen_test]
fn a_depth_bomb_overflows_nothing() {
    let body = format!("{{\"x\":{}{},\"model\":\"m\"}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert_eq!(scan(body.as_bytes(), 65_536).unwrap().model, "m");
    assert!(matches!(scan("[".repeat(1_000_000).as_bytes(), 65_536), Err(RequestError::NotJsonObject { offset: 0 })));
}

fn meter(size: usize) -> (ResponseFacts, Vec<u8>) {
    let mut meter = ResponseMeter::new(
        Some(Api::OpenAiChat),
        Head { status: 200, content_type: "text/event-stream", content_encoding: "" },
        true,
    );
    let mut out = Vec::new();
    for (piece, last) in STREAM.as_bytes().chunks(size).map(|piece| (piece, false)).chain([(&b""[..], true)]) {
        match meter.push(piece, last) {
            Passed::Unchanged => out.extend_from_slice(piece),
            Passed::Replaced(bytes) => out.extend(bytes),
        }
    }
    (meter.finish(true), out)
}

#[wasm_bindgen_test]
fn a_stream_is_metered_and_its_usage_taken_out_whatever_its_pieces() {
    let events: Vec<&str> = STREAM.split_inclusive("\r\n\r\n").collect();
    let want = [events[0], events[1], events[3]].concat();
    for size in [1, 2, 3, 50, STREAM.len()] {
        let (facts, out) = meter(size);
        let usage = facts.usage.unwrap();
        let units = Units::of(&[(Kind::Input, 1), (Kind::CacheRead, 4_999_999_999), (Kind::Output, 5)]);
        assert_eq!((usage.units, usage.quality), (units, Quality::Exact), "counts beyond 32 bits");
        assert_eq!(String::from_utf8(out).unwrap(), want, "pieces of {size}");
    }
}

#[wasm_bindgen_test]
fn events_are_told_apart_whatever_their_line_ends() {
    #[derive(Default)]
    struct Gather(Vec<u8>, usize);
    impl Sink for Gather {
        fn data(&mut self, piece: &[u8]) {
            self.0.extend_from_slice(piece);
        }
        fn end(&mut self, _: usize) {
            self.1 += 1;
        }
    }
    let (mut decoder, mut gather) = (Decoder::default(), Gather::default());
    b"data: a\r\rdata: b\r\n\r\ndata: c\ndata: d".chunks(1).for_each(|piece| decoder.push(piece, &mut gather));
    decoder.finish(&mut gather);
    assert_eq!((gather.0.as_slice(), gather.1), (&b"abc\nd"[..], 3));
}

#[wasm_bindgen_test]
fn compressed_bytes_are_inflated() {
    // "hello hello hello hello" by gzip -9 -n, brotli, zstd -19, and brotli within zstd.
    let cases: [(&str, &[u8]); 4] = [
        (
            "gzip",
            &[
                31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 39, 1, 227, 81, 61, 141, 23, 0,
                0, 0,
            ],
        ),
        ("br", &[27, 22, 0, 248, 141, 148, 110, 222, 68, 85, 134, 150, 108, 32, 111, 33, 79, 28, 224, 56]),
        ("zstd", &[40, 181, 47, 253, 32, 23, 109, 0, 0, 56, 104, 101, 108, 108, 111, 32, 104, 1, 0, 65, 138, 17]),
        (
            "br, zstd",
            &[
                40, 181, 47, 253, 32, 20, 161, 0, 0, 27, 22, 0, 248, 141, 148, 110, 222, 68, 85, 134, 150, 108, 32,
                111, 33, 79, 28, 224, 56,
            ],
        ),
    ];
    for (coding, bytes) in cases {
        let mut out = Vec::new();
        let mut inflater = Inflater::new(Coding::of(coding)).unwrap();
        bytes.chunks(3).for_each(|piece| inflater.push(piece, |text| out.extend_from_slice(text)).unwrap());
        assert_eq!(out, b"hello hello hello hello", "{coding}");
    }
}

#[wasm_bindgen_test]
fn an_event_stream_is_decoded_and_its_sums_agree() {
    #[derive(Default)]
    struct Gather(Vec<u8>, Vec<(String, bool)>);
    impl event_stream::Sink for Gather {
        fn begin(&mut self, head: &event_stream::Head) {
            self.1.push((head.event_type.clone(), false));
        }
        fn data(&mut self, piece: &[u8]) {
            let mut decoder = base64::Decoder::default();
            decoder.push(piece, |bytes| self.0.extend_from_slice(bytes)).unwrap();
        }
        fn end(&mut self, _: usize, intact: bool) {
            self.1.last_mut().unwrap().1 = intact;
        }
    }
    // A message with `:event-type: chunk`, and "hello" in base64 as its payload.
    let message = [
        0, 0, 0, 44, 0, 0, 0, 20, 123, 201, 201, 17, 11, 58, 101, 118, 101, 110, 116, 45, 116, 121, 112, 101, 7, 0, 5,
        99, 104, 117, 110, 107, 97, 71, 86, 115, 98, 71, 56, 61, 26, 206, 78, 90,
    ];
    let (mut decoder, mut gather) = (event_stream::Decoder::default(), Gather::default());
    decoder.push(&message, &mut gather);
    assert_eq!((gather.0.as_slice(), gather.1), (&b"hello"[..], vec![("chunk".to_owned(), true)]));
    assert!(decoder.is_complete());
}

#[wasm_bindgen_test]
fn an_estimate_is_the_same_as_on_other_machines() {
    let mut features = Features::default();
    features.push("The quick brown fox jumps over the lazy dog. 日本語 12345\n".as_bytes());
    let counts = [Family::O200k, Family::ClaudeNew, Family::Mistral].map(|family| features.tokens(family));
    // Nine words of up to six letters, one of punctuation, two groups of digits, a line end; three Han characters.
    let (ascii, han, digits) = (9 * 810 + 810 + 2 * 1_260 + 840, 3 * 790, 5 * 540);
    let want = [ascii + han, (ascii * 150 + han * 163) / 100, (ascii + han) * 103 / 100 + digits];
    assert_eq!(counts, want.map(|milli: u64| milli.div_ceil(1_000)));
}

#[cfg(feature = "vocabulary")]
#[wasm_bindgen_test]
fn a_count_is_the_same_as_on_other_machines() {
    use purser_core::estimate::Tally;
    // Counted with tiktoken.
    let text = "The quick brown fox jumps over the lazy dog. 日本語 12345\n";
    for size in [1, 4, 100] {
        let mut tally = Tally::new(1);
        text.as_bytes().chunks(size).for_each(|piece| tally.push(piece));
        tally.end();
        assert_eq!(tally.tokens(Family::O200k), 16, "pieces of {size}");
    }
    let mut tally = Tally::new(1);
    (0..10).for_each(|_| tally.push(&[b' '; 100_000]));
    tally.end();
    assert!(tally.tokens(Family::O200k).abs_diff(1_000_000 / 128) < 500, "a million spaces");
}
