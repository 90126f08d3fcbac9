use super::*;
use crate::wire::rewrite::{Edits, rewrite};
use proptest::prelude::*;
use serde_json::{Value, json};

fn scan_pieces(api: Api, pieces: &[&[u8]]) -> Result<RequestFacts, RequestError> {
    let mut scanner = RequestScanner::new(api);
    pieces.iter().for_each(|piece| scanner.push(piece));
    scanner.finish()
}

fn openai(body: &str) -> Result<RequestFacts, RequestError> {
    scan_pieces(Api::OpenAiChat, &[body.as_bytes()])
}

fn anthropic(body: &str) -> Result<RequestFacts, RequestError> {
    scan_pieces(Api::AnthropicMessages, &[body.as_bytes()])
}

#[test]
fn fields_are_read_wherever_they_stand() {
    let body = r#" {"messages":[{"role":"user","content":"hi","model":"decoy","max_tokens":9}],
        "metadata":{"model":"decoy","stream":true},
        "mo\u0064el":"gpt-\u00345","stream":true,"max_tokens":7,"n":3,
        "stream_options":{"include_usage":true}}"#;
    let facts = openai(body).unwrap();
    assert_eq!((facts.model.as_str(), facts.stream, facts.include_usage), ("gpt-45", true, true));
    assert_eq!((facts.max_tokens, facts.choices, facts.messages), (Some(7), 3, 1));
    assert_eq!(facts.body_bytes, body.len() as u64);

    let facts = openai(r#"{"model":"m"}"#).unwrap();
    assert_eq!((facts.model.as_str(), facts.stream, facts.max_tokens, facts.choices), ("m", false, None, 1));
    let facts = openai(r#"{"model":"m","stream":null,"max_tokens":null,"n":null,"stream_options":null}"#).unwrap();
    assert_eq!((facts.stream, facts.max_tokens, facts.choices, facts.include_usage), (false, None, 1, false));
    let facts = openai(r#"{"model":"m","max_tokens":5,"max_completion_tokens":3}"#).unwrap();
    assert_eq!(facts.max_tokens, Some(5), "whichever the provider takes, it is not more");
    let facts = anthropic(r#"{"model":"claude","max_tokens":5,"max_completion_tokens":9,"n":"x"}"#).unwrap();
    assert_eq!((facts.max_tokens, facts.choices), (Some(5), 1), "OpenAI's names mean nothing here");
}

#[test]
fn what_could_mean_two_things_is_an_error() {
    let wrong = |field, want| RequestError::WrongType { field, want };
    let cases = [
        ("", RequestError::Truncated { bytes: 0 }),
        ("{\"model\":\"m\"", RequestError::Truncated { bytes: 12 }),
        ("not json", RequestError::NotJsonObject { offset: 0 }),
        ("[{\"model\":\"m\"}]", RequestError::NotJsonObject { offset: 0 }),
        ("\"model\"", RequestError::NotJsonObject { offset: 0 }),
        ("5", RequestError::NotJsonObject { offset: 0 }),
        ("{}{\"model\":\"m\"}", RequestError::NotJsonObject { offset: 2 }),
        ("\u{FEFF}{}", RequestError::NotJsonObject { offset: 0 }),
        (r#"{"model":"a","model":"b"}"#, RequestError::Duplicate { field: "model" }),
        (r#"{"model":"a","mod\u0065l":"b"}"#, RequestError::Duplicate { field: "model" }),
        (r#"{"max_tokens":1,"max_tokens":1}"#, RequestError::Duplicate { field: "max_tokens" }),
        (r#"{"messages":[],"messages":[]}"#, RequestError::Duplicate { field: "messages" }),
        (
            r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
            RequestError::Duplicate { field: "include_usage" },
        ),
        (r#"{"model":5}"#, wrong("model", "a string")),
        (r#"{"model":null}"#, wrong("model", "a string")),
        (r#"{"model":["m"]}"#, wrong("model", "a string")),
        (r#"{"stream":"yes"}"#, wrong("stream", TRUE_OR_FALSE)),
        (r#"{"stream":1}"#, wrong("stream", TRUE_OR_FALSE)),
        (r#"{"max_tokens":"5"}"#, wrong("max_tokens", WHOLE_NUMBER)),
        (r#"{"max_tokens":-1}"#, wrong("max_tokens", WHOLE_NUMBER)),
        (r#"{"max_tokens":1.5}"#, wrong("max_tokens", WHOLE_NUMBER)),
        (r#"{"max_tokens":1e3}"#, wrong("max_tokens", WHOLE_NUMBER)),
        (r#"{"max_completion_tokens":18446744073709551616}"#, wrong("max_completion_tokens", WHOLE_NUMBER)),
        (r#"{"n":{}}"#, wrong("n", "a whole number, 1 or more")),
        (r#"{"n":0}"#, wrong("n", "a whole number, 1 or more")),
        (r#"{"messages":[]}"#, RequestError::NoModel),
        (r#"{"model":""}"#, RequestError::NoModel),
        (r#"{"stream_options":[]}"#, wrong("stream_options", "an object")),
        (r#"{"stream_options":{"include_usage":1}}"#, wrong("include_usage", TRUE_OR_FALSE)),
    ];
    for (body, want) in cases {
        assert_eq!(openai(body), Err(want), "{body}");
    }
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(MODEL_MAX + 1));
    assert_eq!(openai(&long), Err(RequestError::ModelTooLong));
}

#[test]
fn the_same_text_counts_the_same_however_it_is_written() {
    let tokens = |body: &str| openai(&body.replacen('{', r#"{"model":"m","#, 1)).unwrap().input_tokens(Family::O200k);
    let plain = tokens(r#"{"messages":[{"role":"user","content":"naïve 日本 \"q\" 😀"}]}"#);
    assert_eq!(
        tokens(r#"{"messages":[{"role":"user","content":"na\u00efve \u65e5\u672c \u0022q\u0022 \ud83d\ude00"}]}"#),
        plain
    );
    assert_eq!(
        tokens(r#"{"messages":[{"content":[{"type":"text","text":"naïve 日本 \"q\" 😀"}],"role":"user"}]}"#),
        plain
    );
}

#[test]
fn all_that_the_model_reads_is_counted() {
    let words = "several words that the model reads and somebody pays for";
    let count = |api, mut body: Value| {
        body["model"] = json!("m");
        scan_pieces(api, &[body.to_string().as_bytes()]).unwrap().input_tokens(Family::O200k)
    };
    let empty = json!({"messages": [{}]});
    let read = [
        (Api::OpenAiChat, json!({"messages": [{"content": words}]})),
        (Api::OpenAiChat, json!({"messages": [{"content": [{"type": "text", "text": words}]}]})),
        (Api::OpenAiChat, json!({"messages": [{"tool_calls": [{"function": {"arguments": words}}]}]})),
        (Api::OpenAiChat, json!({"messages": [{}], "tools": [{"function": {"description": words}}]})),
        (Api::OpenAiChat, json!({"messages": [{}], "functions": [{"description": words}]})),
        (Api::OpenAiChat, json!({"messages": [{}], "response_format": {"json_schema": {"description": words}}})),
        (Api::AnthropicMessages, json!({"messages": [{"content": words}]})),
        (Api::AnthropicMessages, json!({"messages": [{}], "system": words})),
        (Api::AnthropicMessages, json!({"messages": [{}], "system": [{"type": "text", "text": words}]})),
        (Api::AnthropicMessages, json!({"messages": [{}], "tools": [{"description": words}]})),
        (Api::AnthropicMessages, json!({"messages": [{"content": [{"type": "tool_use", "input": {"data": words}}]}]})),
        (Api::AnthropicMessages, json!({"messages": [{"content": [{"type": "tool_result", "content": words}]}]})),
        (
            Api::AnthropicMessages,
            json!({"messages": [{"content": [{"type": "document", "source": {"data": words, "type": "text"}}]}]}),
        ),
    ];
    for (api, body) in read {
        assert!(count(api, body.clone()) >= count(api, empty.clone()) + 10, "{body}");
    }
    let not_read = [
        (Api::OpenAiChat, json!({"messages": [{}], "metadata": {"note": words}, "user": words})),
        (Api::OpenAiChat, json!({"messages": [{"tool_call_id": words}]})),
        (Api::AnthropicMessages, json!({"messages": [{"content": [{"type": "thinking", "signature": words}]}]})),
        (Api::AnthropicMessages, json!({"messages": [{"content": [{"type": "redacted_thinking", "data": words}]}]})),
    ];
    for (api, body) in not_read {
        assert_eq!(count(api, body.clone()), count(api, empty.clone()), "{body}");
    }
}

#[test]
fn media_count_by_their_rule_and_never_as_text() {
    let base64 = "QUJD".repeat(300_000);
    let data = format!("data:image/png;base64,{base64}");
    let cases = [
        ("image", Api::OpenAiChat, json!({"type": "image_url", "image_url": {"url": data}}), 1, 1_105),
        ("link", Api::OpenAiChat, json!({"type": "image_url", "image_url": "https://x.test/a.png"}), 1, 1_105),
        ("low", Api::OpenAiChat, json!({"type": "image_url", "image_url": {"url": data, "detail": "low"}}), 1, 85),
        ("low first", Api::OpenAiChat, json!({"image_url": {"detail": "low", "url": data}}), 1, 85),
        ("audio", Api::OpenAiChat, json!({"type": "input_audio", "input_audio": {"data": base64}}), 0, 2_344),
        ("file", Api::OpenAiChat, json!({"type": "file", "file": {"file_data": base64}}), 0, 37_500),
        (
            "anthropic image",
            Api::AnthropicMessages,
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64}}),
            1,
            1_600,
        ),
        (
            "in a tool's result",
            Api::AnthropicMessages,
            json!({"type": "tool_result", "content": [
                {"type": "image", "source": {"data": base64, "media_type": "image/png", "type": "base64"}}]}),
            1,
            1_600,
        ),
        (
            "anthropic link",
            Api::AnthropicMessages,
            json!({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}),
            1,
            1_600,
        ),
        (
            "pdf",
            Api::AnthropicMessages,
            json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": base64}}),
            0,
            37_500,
        ),
    ];
    for (case, api, part, images, tokens) in cases {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]}).to_string();
        let facts = scan_pieces(api, &[body.as_bytes()]).unwrap();
        assert_eq!((facts.images, facts.fixed_tokens), (images, tokens + 7), "{case}");
        assert_eq!(facts.features.tokens(Family::O200k), 0, "{case}: {facts:?}");
    }
}

#[test]
fn rewriting_changes_what_it_shall_and_nothing_else() {
    let model = || Edits { model: Some("ne\"w".into()), ..Edits::default() };
    let cap = || Edits { max_tokens: Some(9), ..Edits::default() };
    let usage = || Edits { include_usage: true, ..Edits::default() };
    let all = Edits { model: Some("new".into()), max_tokens: Some(9), include_usage: true };
    let cases = [
        (r#" { "model" : "old", "a": 1.0 }"#, model(), r#" { "model" : "ne\"w", "a": 1.0 }"#),
        (r#"{"max_tokens":5,"model":"m"}"#, cap(), r#"{"max_tokens":9,"model":"m"}"#),
        (r#"{"max_completion_tokens": null,"model":"m"}"#, cap(), r#"{"max_completion_tokens": 9,"model":"m"}"#),
        (
            r#"{"max_tokens":5,"max_completion_tokens":500,"model":"m"}"#,
            cap(),
            r#"{"max_tokens":9,"max_completion_tokens":9,"model":"m"}"#,
        ),
        (r#"{"model":"gpt-5"}"#, cap(), r#"{"max_completion_tokens":9,"model":"gpt-5"}"#),
        (r#"{"model":"mistral-small"}"#, cap(), r#"{"max_tokens":9,"model":"mistral-small"}"#),
        (r#"{ "model":"m"}"#, usage(), r#"{"stream_options":{"include_usage":true}, "model":"m"}"#),
        (r#"{"stream_options":null,"model":"m"}"#, usage(), r#"{"stream_options":{"include_usage":true},"model":"m"}"#),
        (r#"{"stream_options":{},"model":"m"}"#, usage(), r#"{"stream_options":{"include_usage":true},"model":"m"}"#),
        (
            r#"{"stream_options":{"x":[1]},"model":"m"}"#,
            usage(),
            r#"{"stream_options":{"include_usage":true,"x":[1]},"model":"m"}"#,
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":false}}"#,
            usage(),
            r#"{"model":"m","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options":{"y":0},"model":"old","stream":true}"#,
            all,
            r#"{"max_completion_tokens":9,"stream_options":{"include_usage":true,"y":0},"model":"new","stream":true}"#,
        ),
        (r#"{"model":"m"}"#, Edits::default(), r#"{"model":"m"}"#),
    ];
    for (body, edits, want) in cases {
        let facts = openai(body).unwrap();
        let got = rewrite(Api::OpenAiChat, &facts.model, body.as_bytes(), &facts.spans, &edits);
        assert_eq!(String::from_utf8_lossy(&got), want, "{body} {edits:?}");
    }
    let body = r#"{"model":"claude-x","max_tokens":5}"#;
    let edits = Edits { model: None, max_tokens: Some(3), include_usage: true };
    let got = rewrite(Api::AnthropicMessages, "claude", body.as_bytes(), &anthropic(body).unwrap().spans, &edits);
    assert_eq!(String::from_utf8_lossy(&got), r#"{"model":"claude-x","max_tokens":3}"#);
}

/// Members of a request, each with the value that it would have in one.
fn members() -> impl Strategy<Value = Vec<(String, Value)>> {
    let text = prop_oneof!["\\PC{0,20}", Just("line\n\"q\"\\ 😀 日本".to_owned())];
    let part = prop_oneof![
        text.clone().prop_map(|text| json!({"type": "text", "text": text})),
        "[A-Za-z0-9]{0,60}".prop_map(|data| json!({"type": "image_url", "image_url": {"url": data}})),
        "[A-Za-z0-9]{0,60}".prop_map(|data| json!({"source": {"data": data, "type": "base64"}})),
    ];
    let message = (text.clone(), proptest::collection::vec(part, 0..3))
        .prop_map(|(text, parts)| json!([{"role": "user", "content": parts}, {"role": "assistant", "content": text}]));
    let member = prop_oneof![
        any::<bool>().prop_map(|stream| ("stream".to_owned(), json!(stream))),
        any::<u32>().prop_map(|cap| ("max_tokens".to_owned(), json!(cap))),
        any::<u32>().prop_map(|cap| ("max_completion_tokens".to_owned(), json!(cap))),
        (1u64..9).prop_map(|n| ("n".to_owned(), json!(n))),
        Just(("stream_options".to_owned(), Value::Null)),
        any::<bool>().prop_map(|on| ("stream_options".to_owned(), json!({"x": {"y": [1]}, "include_usage": on}))),
        Just(("stream_options".to_owned(), json!({}))),
        message.prop_map(|messages| ("messages".to_owned(), messages)),
        ("[a-z]{1,6}", text).prop_map(|(name, text)| (format!("x_{name}"), json!({"model": text, "n": [null, -1.5]}))),
    ];
    let model = prop_oneof!["[ -~]{1,12}", Just("日本 \"m\"".to_owned())];
    (proptest::collection::vec(member, 0..9), model, any::<usize>()).prop_map(|(mut members, model, at)| {
        members.insert(at % (members.len() + 1), ("model".to_owned(), json!(model)));
        let mut seen = std::collections::HashSet::new();
        members.retain(|(name, _)| seen.insert(name.clone()));
        members
    })
}

/// As text, with white space, and with every other name and string in escapes.
fn written(members: &[(String, Value)], pretty: bool, escaped: bool) -> String {
    let text = |value: &Value| if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() };
    let escape = |name: &str| name.chars().map(|c| format!("\\u{:04x}", c as u32)).collect::<String>();
    let parts: Vec<String> = members
        .iter()
        .enumerate()
        .map(|(i, (name, value))| {
            let name = if escaped && i % 2 == 0 { escape(name) } else { name.clone() };
            format!("\"{name}\":{}", text(value))
        })
        .collect();
    format!("{{{}}}", parts.join(if pretty { " ,\n" } else { "," }))
}

proptest! {
    #[test]
    fn facts_do_not_depend_on_chunking(
        members in members(), pretty: bool, escaped: bool, anthropic: bool,
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let body = written(&members, pretty, escaped);
        let api = if anthropic { Api::AnthropicMessages } else { Api::OpenAiChat };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &body.as_bytes()[pair[0]..pair[1]]).collect();
        let whole = scan_pieces(api, &[body.as_bytes()]);
        prop_assert_eq!(scan_pieces(api, &pieces), whole);
    }

    #[test]
    fn facts_are_those_that_a_tree_gives(members in members(), pretty: bool, escaped: bool) {
        let body = written(&members, pretty, escaped);
        let tree: Value = serde_json::from_str(&body).unwrap();
        let facts = openai(&body).unwrap();
        prop_assert_eq!(facts.model.as_str(), tree["model"].as_str().unwrap_or(""));
        prop_assert_eq!(facts.stream, tree["stream"] == json!(true));
        prop_assert_eq!(facts.choices, tree["n"].as_u64().unwrap_or(1));
        prop_assert_eq!(facts.include_usage, tree["stream_options"]["include_usage"] == json!(true));
        prop_assert_eq!(facts.max_tokens, tree["max_completion_tokens"].as_u64().max(tree["max_tokens"].as_u64()));
    }

    #[test]
    fn a_rewritten_body_is_the_same_but_for_the_edits(
        members in members(), pretty: bool, escaped: bool,
        model in proptest::option::of("\\PC{1,12}"), cap in proptest::option::of(any::<u64>()), include_usage: bool,
    ) {
        let body = written(&members, pretty, escaped);
        let edits = Edits { model, max_tokens: cap, include_usage };
        let facts = openai(&body).unwrap();
        let got = rewrite(Api::OpenAiChat, &facts.model, body.as_bytes(), &facts.spans, &edits);
        let got: Value = serde_json::from_slice(&got).unwrap();
        let mut want: Value = serde_json::from_str(&body).unwrap();
        let object = want.as_object_mut().unwrap();
        if let Some(model) = &edits.model {
            object.insert("model".into(), json!(model));
        }
        if let Some(cap) = edits.max_tokens {
            let names = ["max_tokens", "max_completion_tokens"];
            let present: Vec<_> = names.into_iter().filter(|name| object.contains_key(*name)).collect();
            for name in if present.is_empty() { vec!["max_completion_tokens"] } else { present } {
                object.insert(name.into(), json!(cap));
            }
        }
        if edits.include_usage {
            let options = object.entry("stream_options").or_insert(Value::Null);
            if options.is_null() {
                *options = json!({});
            }
            options["include_usage"] = json!(true);
        }
        prop_assert_eq!(&got, &want);
        // What was written is what is read back, and reading it changes nothing more.
        let again = openai(&got.to_string()).unwrap();
        prop_assert_eq!(again.include_usage, facts.include_usage || include_usage);
        prop_assert_eq!(again.max_tokens, cap.or(facts.max_tokens));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[{}\\[\\]:,\"model0-9nul\\\\]{0,60}") {
        for api in Api::ALL {
            let _ = scan_pieces(*api, &[&bytes]);
            let _ = scan_pieces(*api, &[text.as_bytes(), &bytes]);
        }
    }
}

#[test]
fn a_cap_goes_by_the_name_that_the_maker_knows() {
    let cases = [
        ("gpt-5-mini", "max_completion_tokens"),
        ("openai/gpt-oss-120b", "max_completion_tokens"),
        ("my-deployment", "max_completion_tokens"),
        ("mistral-large-latest", "max_tokens"),
        ("deepseek-chat", "max_tokens"),
        ("moonshotai/Kimi-K2", "max_tokens"),
        ("meta-llama/Llama-3.3-70B", "max_tokens"),
        ("sonar-pro", "max_tokens"),
    ];
    for (model, name) in cases {
        let body = format!(r#"{{"model":"{model}"}}"#);
        let facts = openai(&body).unwrap();
        let edits = Edits { max_tokens: Some(7), ..Edits::default() };
        let sent = rewrite(Api::OpenAiChat, model, body.as_bytes(), &facts.spans, &edits);
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), json!({"model": model, name: 7}), "{model}");
    }
    // Where the cap lies in an object, there or not.
    for (body, want) in [
        (r#"{"contents":[]}"#, json!({"contents": [], "generationConfig": {"maxOutputTokens": 7}})),
        (
            r#"{"generationConfig":{},"contents":[]}"#,
            json!({"contents": [], "generationConfig": {"maxOutputTokens": 7}}),
        ),
        (
            r#"{"generation_config":{"temperature":1},"contents":[]}"#,
            json!({"contents": [], "generation_config": {"maxOutputTokens": 7, "temperature": 1}}),
        ),
        (
            r#"{"generationConfig":{"maxOutputTokens":99},"contents":[]}"#,
            json!({"contents": [], "generationConfig": {"maxOutputTokens": 7}}),
        ),
    ] {
        let target = crate::wire::recognise::Target {
            api: Api::GeminiGenerate,
            model: Some("gemini-2.5-flash".into()),
            stream: Some(false),
            poll: false,
        };
        let mut scanner = RequestScanner::of(&target, "application/json");
        scanner.push(body.as_bytes());
        let facts = scanner.finish().unwrap();
        let edits = Edits { max_tokens: Some(7), ..Edits::default() };
        let sent = rewrite(Api::GeminiGenerate, &facts.model, body.as_bytes(), &facts.spans, &edits);
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), want, "{body}");
    }
}
