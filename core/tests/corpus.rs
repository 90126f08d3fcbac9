//! Recorded traffic of many providers, read by the engine, against an independent reading of what each answer says.
//!
//! The recordings are no part of this repository. They are looked for in `$PURSER_CORPUS`, then in `../shared/corpus`
//! beside the checkout; without them the test says so and passes. One pair of request and answer is a line of JSON:
//! `request_body`, `response_body` (or `response_body_base64`), headers, and `expected` counts.

#![allow(clippy::unwrap_used, reason = "a recording that is not of the documented form fails the test")]

use purser_core::api::Api;
use purser_core::estimate::family;
use purser_core::usage::Kind;
use purser_core::wire::request::{RequestScanner, recognise};
use purser_core::wire::response::{Passed, ResponseFacts, ResponseMeter};
use serde_json::Value;
use std::path::PathBuf;

type Which = fn(&Value) -> bool;

/// Pairs that need a rule of their own, which comes with the support of more providers: the provider, which of its
/// pairs, and the rule. Not among them: Anthropic's passes of one request by several models, whose top level is read.
const EXCLUDED: [(&str, Which, &str); 4] = [
    ("xai", |pair| pair["expected"]["reasoning"].as_u64() > Some(0), "completion_tokens leaves reasoning out"),
    ("vercel-gateway", |pair| pair["expected"]["reasoning"].as_u64() > Some(0), "so it does before some models"),
    ("gemini", |_| true, "thinking is in total_tokens only"),
    ("mistral", |pair| pair["usage_raw"].to_string().contains("audio"), "prompt_tokens leaves audio out"),
];

fn mentions(pair: &Value, what: &str) -> bool {
    pair["request_body"].as_str().is_some_and(|body| body.contains(what))
}

fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("PURSER_CORPUS").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn pairs() -> Option<Vec<Value>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()?).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let pairs = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    // Some files hold costs alone.
    let whole = |pair: &Value| pair["response_body"].is_string() || pair["response_body_base64"].is_string();
    Some(pairs.filter(|pair| api(pair).is_some() && whole(pair)).collect())
}

fn api(pair: &Value) -> Option<Api> {
    match pair["api"].as_str()? {
        "openai.chat" => Some(Api::OpenAiChat),
        "anthropic.messages" => Some(Api::AnthropicMessages),
        _ => None,
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let digits: Vec<u8> = digits.collect();
    let mut out = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0u32, |bits, digit| (bits << 6) | u32::from(*digit)) << (6 * (4 - four.len()));
        out.extend(bits.to_be_bytes().into_iter().skip(1).take(four.len().saturating_sub(1)));
    }
    out
}

fn answer(pair: &Value) -> Vec<u8> {
    match (pair["response_body"].as_str(), pair["response_body_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(coded)) => base64(coded),
        (None, None) => Vec::new(),
    }
}

/// Reads an answer in pieces of `size` bytes; what is known of it, and what goes to the client.
fn read(pair: &Value, body: &[u8], size: usize, strip: bool) -> (ResponseFacts, Vec<u8>) {
    let header = |name: &str| pair["response_headers"][name].as_str().unwrap_or_default();
    let status = u16::try_from(pair["status"].as_u64().unwrap_or(200)).unwrap();
    let mut meter =
        ResponseMeter::new(api(pair).unwrap(), status, header("content-type"), header("content-encoding"), strip);
    let mut out = Vec::new();
    for (piece, last) in body.chunks(size).map(|piece| (piece, false)).chain([(&b""[..], true)]) {
        match meter.push(piece, last) {
            Passed::Unchanged => out.extend_from_slice(piece),
            Passed::Replaced(bytes) => out.extend(bytes),
        }
    }
    (meter.finish(true), out)
}

/// The rule that a pair needs and the engine has not.
fn excluded(pair: &Value) -> Option<&'static str> {
    let found = EXCLUDED.iter().find(|(provider, which, _)| pair["provider"] == *provider && which(pair));
    found.map(|(_, _, rule)| *rule)
}

/// A stream without the events that bring usage alone, as a tree tells them; `None` when it is no such stream.
fn without_usage(body: &str) -> Option<String> {
    let end = if body.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    let only_usage = |event: &str| {
        let data = event.lines().filter_map(|line| line.strip_prefix("data:")).collect::<String>();
        let tree: Value = serde_json::from_str(&data).unwrap_or_default();
        tree["choices"].as_array().is_some_and(Vec::is_empty) && tree["usage"].is_object()
    };
    let lines = body.lines().next()?;
    let is_stream = ["data:", "event:", ":", "id:"].iter().any(|field| lines.starts_with(field));
    is_stream.then(|| body.split_inclusive(end).filter(|event| !only_usage(event)).collect())
}

/// What an answer was read as, in the words of `expected`; an absent kind is 0.
fn differences(pair: &Value, facts: &ResponseFacts) -> Vec<String> {
    let expected = &pair["expected"];
    let mut wrong = Vec::new();
    let metered = expected["metered"] != Value::Bool(false);
    let present = expected["usage_present"] != Value::Bool(false) && metered;
    if present != facts.usage.is_some() {
        wrong.push(format!("usage: expected {present}, read {:?}", facts.usage));
    }
    if let (Some(usage), true) = (&facts.usage, present) {
        let units = usage.units;
        let writes = [Kind::CacheWrite5m, Kind::CacheWrite1h].map(|kind| units.get(kind));
        let counts = [
            ("input", units.prompt()),
            ("output", units.output()),
            ("cached_read", units.get(Kind::CacheRead)),
            ("cache_write", writes[0] + writes[1]),
            ("cache_write_5m", writes[0]),
            ("cache_write_1h", writes[1]),
            ("reasoning", usage.reasoning),
        ];
        for (name, read) in counts {
            if let Some(want) = expected[name].as_u64().filter(|want| *want != read) {
                wrong.push(format!("{name}: expected {want}, read {read} ({:?})", usage.quality));
            }
        }
    }
    let model = expected["model"].as_str();
    if metered && model.is_some() && model != facts.model.as_deref() {
        wrong.push(format!("model: expected {model:?}, read {:?}", facts.model));
    }
    wrong
}

#[test]
fn recorded_answers_are_read_as_the_providers_meant_them() {
    let Some(pairs) = pairs() else {
        println!("corpus absent, skipped: set PURSER_CORPUS to its folder");
        return;
    };
    let (mut read_well, mut left_out, mut wrong) = (0, Vec::new(), Vec::new());
    for pair in &pairs {
        let body = answer(pair);
        let (facts, out) = read(pair, &body, body.len().max(1), false);
        assert_eq!(out, body, "{}", pair["id"]);
        for size in [1, 7, 1_024] {
            assert_eq!(read(pair, &body, size, false).0, facts, "{} in pieces of {size}", pair["id"]);
        }
        let differences = differences(pair, &facts);
        match (excluded(pair), differences.is_empty()) {
            (Some(rule), _) => left_out.push(format!("{} {}: {rule}", pair["provider"], pair["id"])),
            (None, true) => read_well += 1,
            (None, false) => wrong.push(format!(
                "{} {} {}: {differences:?} {:?}",
                pair["provider"], pair["api"], pair["id"], facts.problems
            )),
        }
    }
    println!("{read_well} of {} recorded answers are read as expected; left out:", pairs.len());
    println!("{}", left_out.join("\n"));
    assert!(wrong.is_empty(), "{} are not:\n{}", wrong.len(), wrong.join("\n"));
    assert!(read_well > 0, "the folder holds no recordings");
}

#[test]
fn of_recorded_streams_only_the_usage_event_is_taken_out() {
    let Some(pairs) = pairs() else {
        println!("corpus absent, skipped: set PURSER_CORPUS to its folder");
        return;
    };
    let mut taken_out = 0;
    for pair in pairs.iter().filter(|pair| pair["status"].as_u64().is_none_or(|status| status < 300)) {
        let Some(want) = pair["response_body"].as_str().and_then(without_usage) else { continue };
        let body = answer(pair);
        taken_out += usize::from(want.len() < body.len());
        for size in [1, 100, body.len().max(1)] {
            let (facts, out) = read(pair, &body, size, true);
            assert_eq!(String::from_utf8_lossy(&out), want, "{} in pieces of {size}", pair["id"]);
            assert_eq!(facts, read(pair, &body, size, false).0, "{}", pair["id"]);
        }
    }
    println!("usage taken out of {taken_out} recorded streams");
    assert!(taken_out > 0, "the folder holds no stream with usage");
}

#[test]
fn recorded_requests_are_read() {
    let Some(pairs) = pairs() else {
        println!("corpus absent, skipped: set PURSER_CORPUS to its folder");
        return;
    };
    let mut errors = Vec::new();
    for pair in &pairs {
        let Some(body) = pair["request_body"].as_str() else { continue };
        let Ok(tree) = serde_json::from_str::<Value>(body) else { continue };
        let api = api(pair).unwrap();
        let url = pair["url"].as_str().unwrap_or_default();
        if url.contains("awPredict") {
            // Vertex has the model in the path, with an API of its own.
            continue;
        }
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        if let Some(path) = path {
            assert_eq!(recognise("POST", path), Some(api), "{url}");
        }
        let mut scanner = RequestScanner::new(api);
        body.as_bytes().chunks(64).for_each(|piece| scanner.push(piece));
        let facts = scanner.finish().unwrap();
        assert_eq!(Some(facts.model.as_str()), tree["model"].as_str(), "{}", pair["id"]);
        assert_eq!(facts.stream, tree["stream"] == true, "{}", pair["id"]);
        assert_eq!(facts.messages as usize, tree["messages"].as_array().map_or(0, Vec::len), "{}", pair["id"]);
        // Text alone, and providers that put nothing into the prompt that the request does not show.
        let plain = facts.tools == 0 && facts.images == 0 && !mentions(pair, "input_audio");
        let model = pair["expected"]["model"].as_str().unwrap_or(&facts.model);
        let known = pair["provider"] == "openai" && model.starts_with("gpt-");
        if let Some(input) = pair["expected"]["input"].as_u64().filter(|input| *input > 0 && plain && known) {
            errors.push(facts.input_tokens(family(model)).abs_diff(input) * 100 / input);
        }
    }
    errors.sort_unstable();
    let median = errors.get(errors.len() / 2).copied();
    println!("{} plain OpenAI prompts, median error of the estimate {median:?} %", errors.len());
    assert!(median.is_some_and(|median| median <= 15), "{errors:?}");
}
