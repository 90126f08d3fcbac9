//! Rewriting a request: the body stays what it was but for the edits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_core::api::Api;
use purser_core::wire::request::RequestScanner;
use purser_core::wire::rewrite::{Edits, rewrite};
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else { return };
    let edits = Edits {
        model: (choice & 1 != 0).then(|| "other \"one\"".to_owned()),
        max_tokens: (choice & 2 != 0).then_some(u64::from(*choice)),
        include_usage: choice & 4 != 0,
    };
    let api = if choice & 8 == 0 { Api::OpenAiChat } else { Api::AnthropicMessages };
    let scan = |body: &[u8]| {
        let mut scanner = RequestScanner::new(api);
        scanner.push(body);
        scanner.finish()
    };
    let Ok(facts) = scan(body) else { return };
    let got = rewrite(api, &facts.model, body, &facts.spans, &edits);
    let again = scan(&got).expect("a rewritten request is a request");
    assert_eq!(again.model, edits.model.as_deref().unwrap_or(&facts.model));
    assert_eq!(again.max_tokens, edits.max_tokens.or(facts.max_tokens));
    assert_eq!((again.messages, again.features), (facts.messages, facts.features));
    let Ok(mut want) = serde_json::from_slice::<Value>(body) else { return };
    let Some(object) = want.as_object_mut() else { return };
    if let Some(model) = &edits.model {
        object.insert("model".into(), json!(model));
    }
    if let Some(cap) = edits.max_tokens {
        let names = ["max_tokens", "max_completion_tokens"];
        let known = if api == Api::OpenAiChat { &names[..] } else { &names[..1] };
        let mut present: Vec<&str> = known.iter().copied().filter(|name| object.contains_key(*name)).collect();
        if present.is_empty() {
            // Which of the two names is put in depends on whose model it is.
            present = known
                .iter()
                .copied()
                .filter(|name| serde_json::from_slice::<Value>(&got).is_ok_and(|got| got[name] == cap))
                .collect();
            assert_eq!(present.len(), 1);
        }
        for name in present {
            object.insert(name.into(), json!(cap));
        }
    }
    if edits.include_usage && api == Api::OpenAiChat {
        let options = object.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = json!(true);
    }
    assert_eq!(serde_json::from_slice::<Value>(&got).expect("still JSON"), want);
});
