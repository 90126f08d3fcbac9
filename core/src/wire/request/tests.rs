use super::*;
use crate::estimate::Family;
use proptest::prelude::*;
use serde_json::{json, Value};

fn scan(api: Api, body: &[u8]) -> Result<RequestFacts, RequestError> {
    let mut scanner = RequestScanner::new(api);
    scanner.push(body);
    scanner.finish()
}

fn facts(body: &Value) -> RequestFacts {
    scan(Api::OpenAiChat, body.to_string().as_bytes()).unwrap()
}

#[test]
fn paths_tell_the_api() {
    let cases = [
        ("POST", "/v1/chat/completions", Some(Api::OpenAiChat)),
        ("POST", "/router/v2/openai/v1/chat/completions?x=1", Some(Api::OpenAiChat)),
        ("POST", "/v1/messages", Some(Api::AnthropicMessages)),
        ("POST", "/v1/messages/", Some(Api::AnthropicMessages)),
        ("POST", "/v1/messages/count_tokens", None),
        ("POST", "/v1/messages/batches", None),
        ("GET", "/v1/chat/completions", None),
        ("POST", "/v1/models", None),
    ];
    for (method, path, want) in cases {
        assert_eq!(recognise(method, path), want, "{method} {path}");
    }
}

#[test]
fn what_a_request_asks_for_is_read() {
    let got = facts(&json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(100_000))}},
            ]},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"properties": {"where": {}}}}}],
        "stream": true, "n": 2, "max_completion_tokens": 77, "model": "gpt-5",
        "stream_options": {"include_usage": true},
    }));
    assert_eq!((got.model.as_str(), got.stream, got.include_usage), ("gpt-5", true, true));
    assert_eq!((got.max_tokens, got.choices, got.messages, got.tools, got.images), (Some(77), 2, 2, 1, 1));
    let tokens = got.input_tokens(Family::O200k);
    assert!((1_120..1_180).contains(&tokens), "an image is no text: {tokens}");
}

#[test]
fn a_name_in_disguise_is_the_same_name() {
    let body = br#"{"mod\u0065l":"gpt\u002d5","messages":[]}"#;
    assert_eq!(scan(Api::OpenAiChat, body).unwrap().model, "gpt-5");
}

#[test]
fn what_the_api_does_not_take_is_refused() {
    let cases: [(&str, RequestError); 13] = [
        ("", RequestError::Truncated(0)),
        ("[]", RequestError::NotAnObject),
        ("5", RequestError::NotAnObject),
        ("{]", RequestError::NotJson(JsonError::Unexpected(1))),
        (r#"{"model":"a","messages":["#, RequestError::Truncated(25)),
        (r#"{"messages":[]}"#, RequestError::NoModel),
        (r#"{"model":5}"#, RequestError::WrongType("model")),
        (r#"{"model":"a","stream":"yes"}"#, RequestError::WrongType("stream")),
        (r#"{"model":"a","max_tokens":-1}"#, RequestError::WrongType("max_tokens")),
        (r#"{"model":"a","max_tokens":1.5}"#, RequestError::WrongType("max_tokens")),
        (r#"{"model":"a","n":0}"#, RequestError::WrongType("n")),
        (r#"{"model":"a","model":"b"}"#, RequestError::Duplicate("model")),
        (r#"{"model":"a","stream_options":[]}"#, RequestError::WrongType("stream_options")),
    ];
    for (body, want) in cases {
        assert_eq!(scan(Api::OpenAiChat, body.as_bytes()).unwrap_err(), want, "{body}");
    }
}

#[test]
fn text_counts_wherever_it_stands_and_base64_does_not() {
    let text = "All happy families are alike; each unhappy family is unhappy in its own way. ".repeat(20);
    let as_text = json!({"model": "c", "max_tokens": 5, "system": text, "messages": []});
    let as_document = json!({"model": "c", "max_tokens": 5, "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "text", "data": text}}]}]});
    let as_file = json!({"model": "c", "max_tokens": 5, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "data": "iVBORw0KGgo".repeat(1_000)}}]}]});
    let tokens = |body: &Value| {
        scan(Api::AnthropicMessages, body.to_string().as_bytes()).unwrap().input_tokens(Family::O200k)
    };
    assert!((280..400).contains(&tokens(&as_text)), "{}", tokens(&as_text));
    assert!(tokens(&as_document) > 280);
    assert!((1_600..1_630).contains(&tokens(&as_file)), "{}", tokens(&as_file));
}

fn bodies() -> impl Strategy<Value = Value> {
    let options = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(json!({"include_usage": false}))),
        Just(Some(json!({"include_obfuscation": true}))),
    ];
    (
        "[a-z\"\\\\é]{1,10}",
        proptest::option::of(0..5_000u64),
        proptest::option::of(0..5_000u64),
        options,
        "\\PC{0,30}",
        any::<bool>(),
    )
        .prop_map(|(model, max, completion, options, content, stream)| {
            let mut body = json!({"model": model, "stream": stream, "zeta": [1, {"max_tokens": 3}],
                "messages": [{"role": "user", "content": content}]});
            if let Some(max) = max { body["max_tokens"] = max.into(); }
            if let Some(completion) = completion { body["max_completion_tokens"] = completion.into(); }
            if let Some(options) = options { body["stream_options"] = options; }
            body
        })
}

proptest! {
    #[test]
    fn a_rewritten_body_is_the_body_with_just_the_edits(body in bodies(), most in proptest::option::of(1..100u64), usage: bool) {
        let text = body.to_string();
        let facts = scan(Api::OpenAiChat, text.as_bytes()).unwrap();
        let edits = Edits { model: Some("other\"one".into()), max_tokens: most, include_usage: usage };
        let got: Value = serde_json::from_slice(&rewrite(Api::OpenAiChat, text.as_bytes(), &facts.spans, &edits)).unwrap();
        let mut want = body.clone();
        want["model"] = "other\"one".into();
        if let Some(most) = most {
            let present = ["max_tokens", "max_completion_tokens"].map(|name| body.get(name).is_some());
            if present[0] { want["max_tokens"] = most.into(); }
            if present[1] || !present[0] { want["max_completion_tokens"] = most.into(); }
        }
        if usage {
            if !want["stream_options"].is_object() { want["stream_options"] = json!({}); }
            want["stream_options"]["include_usage"] = true.into();
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn chunking_never_changes_the_facts(body in bodies(), cuts in proptest::collection::vec(any::<usize>(), 0..10)) {
        let text = body.to_string();
        let bytes = text.as_bytes();
        let mut scanner = RequestScanner::new(Api::OpenAiChat);
        let mut from = 0;
        for cut in cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect::<std::collections::BTreeSet<_>>() {
            scanner.push(&bytes[from..cut]);
            from = cut;
        }
        scanner.push(&bytes[from..]);
        prop_assert_eq!(scanner.finish(), scan(Api::OpenAiChat, bytes));
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(Api::AnthropicMessages, &bytes);
    }
}
