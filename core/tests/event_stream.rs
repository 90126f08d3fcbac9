//! Recorded event streams of Bedrock, decoded: see `corpus.rs` for where they are looked for.

#![allow(clippy::unwrap_used, reason = "a recording that is not of the documented form fails the test")]

use purser_core::wire::base64;
use purser_core::wire::event_stream::{Decoder, Head, Sink};
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, Default, PartialEq, Eq)]
struct Messages {
    whole: Vec<(Head, Vec<u8>)>,
    head: Head,
    payload: Vec<u8>,
    damaged: usize,
}

impl Sink for Messages {
    fn begin(&mut self, head: &Head) {
        self.head = head.clone();
    }
    fn data(&mut self, piece: &[u8]) {
        self.payload.extend_from_slice(piece);
    }
    fn end(&mut self, _: usize, intact: bool) {
        self.damaged += usize::from(!intact);
        self.whole.push((std::mem::take(&mut self.head), std::mem::take(&mut self.payload)));
    }
}

fn messages(stream: &[u8], piece: usize) -> Messages {
    let (mut decoder, mut messages) = (Decoder::default(), Messages::default());
    stream.chunks(piece).for_each(|piece| decoder.push(piece, &mut messages));
    assert!(decoder.is_complete(), "{:?}", decoder.error());
    messages
}

fn decoded(text: &str) -> Vec<u8> {
    let (mut decoder, mut out) = (base64::Decoder::default(), Vec::new());
    decoder.push(text.as_bytes(), |bytes| out.extend_from_slice(bytes)).unwrap();
    decoder.finish().unwrap();
    out
}

#[test]
fn recorded_streams_are_whole_messages_of_json() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let file = std::env::var_os("PURSER_CORPUS").map_or(beside, PathBuf::from).join("bedrock.jsonl");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: no recordings at {}, see PURSER_CORPUS", file.display());
        return;
    };
    let (mut streams, mut counted) = (0, 0);
    for pair in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let Some(coded) = pair["response_body_base64"].as_str().filter(|_| pair["framing"] == "eventstream") else {
            continue;
        };
        let id = &pair["id"];
        let stream = decoded(coded);
        let told = messages(&stream, stream.len());
        assert_eq!(messages(&stream, 1), told, "{id}");
        assert_eq!(messages(&stream, 97), told, "{id}");
        assert_eq!(told.damaged, 0, "{id}");
        let mut counts = Vec::new();
        for (head, payload) in &told.whole {
            let named = match head.message_type.as_str() {
                "event" => &head.event_type,
                "exception" => &head.exception_type,
                other => panic!("{id}: {other}"),
            };
            assert!(!named.is_empty(), "{id}");
            assert_eq!(head.content_type, "application/json", "{id}");
            let mut event: Value = serde_json::from_slice(payload).unwrap();
            if let Some(bytes) = event["bytes"].as_str() {
                assert_eq!(head.event_type, "chunk", "{id}");
                event = serde_json::from_slice(&decoded(bytes)).unwrap();
            }
            counts.extend(
                ["/usage/outputTokens", "/usage/output_tokens", "/amazon-bedrock-invocationMetrics/outputTokenCount"]
                    .into_iter()
                    .filter_map(|path| event.pointer(path).and_then(Value::as_u64)),
            );
        }
        // Other models tell their counts in other places, and some recordings tell several that disagree.
        let expected = pair["expected"]["output"].as_u64();
        let agrees = expected.is_none_or(|expected| counts.contains(&expected));
        assert!(counts.is_empty() || agrees, "{id}: {counts:?}, not {expected:?}");
        counted += usize::from(!counts.is_empty());
        streams += 1;
    }
    assert!(streams > 0 && counted > 0, "{streams} event streams in {}, {counted} with counts", file.display());
}
