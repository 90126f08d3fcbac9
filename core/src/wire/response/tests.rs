use super::*;
use crate::usage::Tokens;
use proptest::prelude::*;

const OPENAI_STREAM: &str = concat!(
    "data: {\"id\":\"1\",\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"1\",\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"say \\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"1\",\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"1\",\"model\":\"gpt-5\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"prompt_tokens_details\":{\"cached_tokens\":60},\"completion_tokens_details\":{\"reasoning_tokens\":5}}}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC_STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"content\":[],\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":50,\"cache_read_input_tokens\":7,\"cache_creation\":{\"ephemeral_5m_input_tokens\":30,\"ephemeral_1h_input_tokens\":20},\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there friend\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":33}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

fn run(api: Api, strip: bool, kind: &str, pieces: &[&[u8]], whole: bool) -> (Vec<u8>, ResponseFacts) {
    let mut meter = ResponseMeter::new(api, 200, kind, "", strip);
    let mut out = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        match meter.push(piece, whole && index + 1 == pieces.len()) {
            Passed::Unchanged => out.extend_from_slice(piece),
            Passed::Replaced(bytes) => out.extend(bytes),
        }
    }
    (out, meter.finish(whole))
}

fn tokens(facts: &ResponseFacts) -> (Tokens, Quality) {
    let usage = facts.usage.unwrap();
    (usage.tokens, usage.quality)
}

#[test]
fn openai_usage_is_made_disjoint_and_its_event_taken_out() {
    let (out, facts) = run(Api::OpenAiChat, true, "text/event-stream", &[OPENAI_STREAM.as_bytes()], true);
    let want = Tokens { input: 40, cache_read: 60, output: 20, ..Tokens::default() };
    assert_eq!(tokens(&facts), (want, Quality::Exact));
    assert_eq!((facts.model.as_deref(), facts.usage.unwrap().reasoning, facts.problems.len()), (Some("gpt-5"), 5, 0));
    let events: Vec<&str> = OPENAI_STREAM.split_inclusive("\n\n").collect();
    assert_eq!(String::from_utf8(out).unwrap(), [events[0], events[1], events[2], events[4]].concat());
}

#[test]
fn anthropic_writes_are_split_by_their_life() {
    let (out, facts) = run(Api::AnthropicMessages, false, "text/event-stream", &[ANTHROPIC_STREAM.as_bytes()], true);
    let want = Tokens { input: 10, cache_read: 7, cache_write_5m: 30, cache_write_1h: 20, output: 33 };
    assert_eq!(tokens(&facts), (want, Quality::Exact));
    assert_eq!(out, ANTHROPIC_STREAM.as_bytes());
}

#[test]
fn anthropic_writes_beyond_their_parts_live_five_minutes() {
    let reported = Reported { input: Some(1), cache_write: Some(100), cache_write_5m: Some(10), cache_write_1h: Some(20), ..Reported::default() };
    let got = anthropic_messages::usage(&reported, Quality::Exact).tokens;
    assert_eq!((got.cache_write_5m, got.cache_write_1h), (80, 20));
}

#[test]
fn a_stream_cut_short_is_partial_and_counts_what_passed() {
    let cut = ANTHROPIC_STREAM.split("event: message_delta").next().unwrap();
    let (_, facts) = run(Api::AnthropicMessages, false, "text/event-stream", &[cut.as_bytes()], false);
    let (got, quality) = tokens(&facts);
    assert_eq!((quality, got.input), (Quality::Partial, 10));
    assert!(got.output >= 3, "{got:?}");
}

#[test]
fn whole_json_is_read_and_its_texts_do_not_fool() {
    let body = r#"{"model":"m","choices":[{"message":{"content":"{\"usage\":{\"prompt_tokens\":1}}"},"finish_reason":"stop"}],
        "other":{"usage":{"prompt_tokens":2}},"usage":{"prompt_tokens":12.0,"completion_tokens":3}}"#;
    let (_, facts) = run(Api::OpenAiChat, false, "application/json", &[body.as_bytes()], true);
    assert_eq!(tokens(&facts).0, Tokens { input: 12, output: 3, ..Tokens::default() });
}

#[test]
fn what_cannot_be_read_is_said() {
    let cases: [(&str, &str, &[Problem]); 4] = [
        ("application/json", "{\"model\":\"m\",", &[Problem::ResponseUnreadable]),
        ("text/html", "<html>", &[Problem::ResponseUnreadable]),
        ("text/event-stream", "data: {oops\n\ndata: [DONE]\n\n", &[Problem::EventUnreadable]),
        ("text/plain", "", &[Problem::ResponseUnreadable]),
    ];
    for (kind, body, want) in cases {
        let (out, facts) = run(Api::OpenAiChat, false, kind, &[body.as_bytes()], true);
        assert_eq!((facts.problems.as_slice(), facts.usage), (want, None), "{body}");
        assert_eq!(out, body.as_bytes());
    }
}

#[test]
fn errors_and_types_that_lie() {
    let mut meter = ResponseMeter::new(Api::OpenAiChat, 429, "application/json", "", true);
    assert_eq!(meter.push(b"{\"error\":{}}", true), Passed::Unchanged);
    assert_eq!(meter.finish(true), ResponseFacts::default());
    let (_, facts) = run(Api::OpenAiChat, false, "text/plain", &[OPENAI_STREAM.as_bytes()], true);
    assert!(facts.usage.is_some(), "a stream that says it is text");
    let (_, facts) = run(Api::OpenAiChat, false, "text/event-stream", &[b"{\"usage\":{\"prompt_tokens\":1}}"], true);
    assert!(facts.usage.is_some(), "JSON that says it is a stream");
}

#[test]
fn only_an_unfinished_event_is_held() {
    let mut meter = ResponseMeter::new(Api::OpenAiChat, 200, "text/event-stream", "", true);
    let first = OPENAI_STREAM.split_inclusive("\n\n").next().unwrap();
    assert_eq!(meter.push(first.as_bytes(), false), Passed::Unchanged);
    assert_eq!(meter.push(b"data: {\"cho", false), Passed::Replaced(vec![]));
    assert_eq!(meter.push(b"ices\":[{}]}\n\n", false), Passed::Replaced(b"data: {\"choices\":[{}]}\n\n".to_vec()));
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect::<std::collections::BTreeSet<_>>() {
        pieces.push(&bytes[from..at]);
        from = at;
    }
    pieces.push(&bytes[from..]);
    pieces
}

proptest! {
    #[test]
    fn chunking_never_changes_what_is_read_or_passed(
        cuts in proptest::collection::vec(any::<usize>(), 0..20), strip: bool, crlf: bool, anthropic: bool,
    ) {
        let (api, text) = if anthropic { (Api::AnthropicMessages, ANTHROPIC_STREAM) } else { (Api::OpenAiChat, OPENAI_STREAM) };
        let text = if crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        let whole = run(api, strip, "text/event-stream", &[text.as_bytes()], true);
        let mut pieces = run(api, strip, "text/event-stream", &cut(text.as_bytes(), &cuts), true);
        if crlf {
            // A line feed that follows the event taken out may stay: an empty line more.
            pieces.0 = String::from_utf8(pieces.0).unwrap().replace("\r\n\r\n\n", "\r\n\r\n").into_bytes();
        }
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn nothing_panics_and_all_passes(bytes in proptest::collection::vec(any::<u8>(), 0..300), cuts in proptest::collection::vec(any::<usize>(), 0..5)) {
        let (out, _) = run(Api::OpenAiChat, false, "text/event-stream", &cut(&bytes, &cuts), true);
        prop_assert_eq!(out, bytes);
    }
}
