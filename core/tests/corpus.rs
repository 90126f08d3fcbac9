//! Recorded traffic of many providers, read by the engine, against an independent reading of what each answer says.
//!
//! The recordings are no part of this repository. They are looked for in `$PURSER_CORPUS`, then in `../shared/corpus`
//! beside the checkout; without them the tests say so and pass. One pair of request and answer is a line of JSON:
//! `request_body`, `response_body` (or `response_body_base64`), headers, and `expected` counts.

#![allow(clippy::unwrap_used, reason = "a recording that is not of the documented form fails the test")]

use purser_core::api::Api;
use purser_core::estimate::family;
use purser_core::meter::{Metered, Recorded};
use purser_core::usage::{Kind, Quality};
use purser_core::wire::recognise::{Recognised, recognise};
use purser_core::wire::request::RequestScanner;
use purser_core::wire::response::{Head, Passed, ResponseFacts, ResponseMeter};
use serde_json::Value;
use std::path::PathBuf;

type Which = fn(&Value) -> bool;

/// Pairs whose expectation is wrong, and why.
const WRONG: &[(Which, &str)] = &[
    (
        |pair| pair["api"] == "other" && url(pair).contains("/model/arn:"),
        "a model of Bedrock by its ARN is charged like any other",
    ),
    (
        |pair| pair["api"] == "other" && url(pair).contains("/generation/text"),
        "watsonx.ai's text generation is charged, and reports",
    ),
    (
        |pair| pair["provider"] == "azure" && url(pair).contains("/deployments/test-openai/"),
        "the deployment in the path is what answers, whatever model the body names",
    ),
    (|pair| pair["provider"] == "llamacpp" && url(pair).contains("/rerank"), "a rerank is used, and reports tokens"),
    (
        |pair| pair["provider"] == "ollama" && pair["notes"].to_string().contains("prompt_eval_count missing"),
        "a prompt that is not told is not 0: our own count stands in, and the usage is partial",
    ),
    (
        |pair| pair["api"] == "openai.responses" && pair["response_body"].to_string().contains("Unsupported parameter"),
        "an error in the place of an answer, whose status the recorder lost: nothing was used",
    ),
    (
        |pair| pair["api"] == "other" && url(pair).contains("api.writer.com"),
        "Writer's chat is charged, without a report",
    ),
];

fn url(pair: &Value) -> &str {
    pair["url"].as_str().unwrap_or_default()
}

fn path(pair: &Value) -> &str {
    let url = url(pair);
    url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/")
}

fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("PURSER_CORPUS").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn pairs() -> Option<Vec<Value>> {
    let Some(folder) = folder() else {
        println!("corpus absent, skipped: set PURSER_CORPUS to its folder");
        return None;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let pairs = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    // One file holds costs alone.
    let has_answer = |pair: &Value| pair["response_body"].is_string() || pair["response_body_base64"].is_string();
    let pairs: Vec<Value> = pairs.filter(has_answer).collect();
    assert!(!pairs.is_empty(), "the folder holds no recordings");
    Some(pairs)
}

fn base64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = purser_core::wire::base64::Decoder::default();
    decoder.push(text.as_bytes(), |bytes| out.extend_from_slice(bytes)).unwrap();
    out
}

fn answer(pair: &Value) -> Vec<u8> {
    match (pair["response_body"].as_str(), pair["response_body_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(coded)) => base64(coded),
        (None, None) => Vec::new(),
    }
}

fn meter(pair: &Value, response: &[u8], piece: usize) -> Metered {
    let coded = pair["request_body_base64"].as_str().map(base64);
    let request = pair["request_body"].as_str().map(str::as_bytes).or(coded.as_deref());
    let recorded = Recorded {
        method: pair["method"].as_str().unwrap_or("POST"),
        path: path(pair),
        request_header: &|name| pair["request_headers"][name].as_str(),
        request,
        status: u16::try_from(pair["status"].as_u64().unwrap_or(200)).unwrap(),
        response_header: &|name| pair["response_headers"][name].as_str(),
        response,
    };
    recorded.meter(piece)
}

/// What an exchange was read as, in the words of `expected`; an absent kind is not compared.
fn differences(pair: &Value, read: &Metered) -> Vec<String> {
    let expected = &pair["expected"];
    let mut wrong = Vec::new();
    let metered = expected["metered"] != Value::Bool(false);
    // A poll is charged once, by whoever knows that the response ran in the background.
    if metered != (read.metered && !read.poll) {
        wrong.push(format!("metered: expected {metered}, read {}", read.metered));
    }
    if !metered || !read.metered {
        return wrong;
    }
    let reported = read.usage.as_ref().filter(|usage| usage.quality != Quality::Estimated);
    if expected["usage_present"] == true && reported.is_none() {
        wrong.push(format!("usage: expected, read {:?}", read.usage));
    }
    if let Some(usage) = &read.usage {
        let units = &usage.units;
        let of = |kinds: &[Kind]| kinds.iter().map(|kind| units.get(*kind)).sum::<u64>();
        let counts: &[(&str, u64)] = &[
            ("input", units.prompt()),
            ("output", units.output()),
            ("cached_read", of(&[Kind::CacheRead, Kind::CacheReadAudio, Kind::CacheReadImage, Kind::CacheReadVideo])),
            ("cache_write", of(&[Kind::CacheWrite5m, Kind::CacheWrite1h])),
            ("cache_write_5m", of(&[Kind::CacheWrite5m])),
            ("cache_write_1h", of(&[Kind::CacheWrite1h])),
            ("audio_in", of(&[Kind::InputAudio, Kind::CacheReadAudio])),
            ("cached_audio_in", of(&[Kind::CacheReadAudio])),
            ("image_in", of(&[Kind::InputImage, Kind::CacheReadImage])),
            ("video_in", of(&[Kind::InputVideo, Kind::CacheReadVideo])),
            ("reasoning", usage.reasoning),
            ("audio_out", of(&[Kind::OutputAudio])),
            ("image_out", of(&[Kind::OutputImage])),
            ("web_search", of(&[Kind::WebSearches])),
            ("web_search_calls", of(&[Kind::WebSearches])),
            ("grounding_queries", of(&[Kind::GroundingQueries])),
            ("sources", of(&[Kind::Sources])),
            ("search_units", of(&[Kind::SearchUnits])),
            ("characters", of(&[Kind::Characters])),
            ("images", of(&[Kind::Images])),
            ("pages", of(&[Kind::Pages])),
        ];
        let passes = expected["billable"].as_array();
        for (name, read) in counts.iter().filter(|_| passes.is_none()) {
            if let Some(want) = expected[*name].as_u64().filter(|want| want != read) {
                wrong.push(format!("{name}: expected {want}, read {read} ({:?})", usage.quality));
            }
        }
        if let Some(seconds) = expected["seconds"].as_f64().filter(|want| want.ceil() as u64 != of(&[Kind::Seconds])) {
            wrong.push(format!("seconds: expected {seconds}, read {}", of(&[Kind::Seconds])));
        }
        if let Some(passes) = passes {
            let want: Vec<_> = passes.iter().map(|pass| (pass["input"].as_u64(), pass["output"].as_u64())).collect();
            let read: Vec<_> =
                usage.passes.iter().map(|pass| (Some(pass.units.prompt()), Some(pass.units.output()))).collect();
            if want != read {
                wrong.push(format!("passes: expected {want:?}, read {read:?}"));
            }
        }
        if let Some(cost) = expected["cost_reported"].as_f64() {
            let read = usage.reported_nano_usd.map(|nano| nano as f64 / 1e9);
            if !read.is_some_and(|read| (read - cost).abs() < 2e-9) {
                wrong.push(format!("cost: expected {cost}, read {read:?}"));
            }
        }
    }
    if let Some(model) = expected["model"].as_str().filter(|model| Some(*model) != read.answer.model.as_deref()) {
        wrong.push(format!("model: expected {model}, read {:?}", read.answer.model));
    }
    if let Some(model) = expected["request_model"].as_str().filter(|model| *model != read.request_model) {
        wrong.push(format!("request model: expected {model}, read {}", read.request_model));
    }
    if let Some(tier) = expected["service_tier"].as_str().filter(|tier| *tier != read.answer.service_tier) {
        wrong.push(format!("tier: expected {tier}, read {}", read.answer.service_tier));
    }
    wrong
}

#[test]
fn recorded_exchanges_are_read_as_the_providers_meant_them() {
    let Some(pairs) = pairs() else { return };
    let (mut read_well, mut left_out, mut wrong) = (0, Vec::new(), Vec::new());
    for pair in &pairs {
        let body = answer(pair);
        let read = meter(pair, &body, usize::MAX);
        for size in [1, 7, 1_024] {
            assert_eq!(meter(pair, &body, size), read, "{} in pieces of {size}", pair["id"]);
        }
        let differences = differences(pair, &read);
        let known = WRONG.iter().find(|(which, _)| which(pair));
        match (known, differences.is_empty()) {
            (Some((_, why)), false) => left_out.push(format!("{} {}: {why}", pair["provider"], pair["id"])),
            (_, true) => read_well += 1,
            (None, false) => wrong.push(format!(
                "{} {} {} {} {}: {differences:?} {:?}",
                pair["provider"],
                pair["api"],
                pair["id"],
                pair["status"],
                path(pair),
                read.problems
            )),
        }
    }
    println!("{read_well} of {} recorded exchanges are read as expected; whose expectation is wrong:", pairs.len());
    println!("{}", left_out.join("\n"));
    assert!(wrong.is_empty(), "{} are not:\n{}", wrong.len(), wrong.join("\n"));
    assert!(read_well > 0, "the folder holds no recordings");
}

/// Reads an answer in pieces of `size` bytes, with usage taken out of it; what is known of it, and what goes on.
fn stripped(pair: &Value, body: &[u8], size: usize, strip: bool) -> (ResponseFacts, Vec<u8>) {
    let header = |name: &str| pair["response_headers"][name].as_str().unwrap_or_default();
    let status = u16::try_from(pair["status"].as_u64().unwrap_or(200)).unwrap();
    let head = Head { status, content_type: header("content-type"), content_encoding: header("content-encoding") };
    let mut meter = ResponseMeter::new(Some(Api::OpenAiChat), head, strip);
    let mut out = Vec::new();
    for (piece, last) in body.chunks(size).map(|piece| (piece, false)).chain([(&b""[..], true)]) {
        match meter.push(piece, last) {
            Passed::Unchanged => out.extend_from_slice(piece),
            Passed::Replaced(bytes) => out.extend(bytes),
        }
    }
    (meter.finish(true), out)
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

#[test]
fn of_recorded_streams_only_the_usage_event_is_taken_out() {
    let Some(pairs) = pairs() else { return };
    let mut taken_out = 0;
    let chats = pairs.iter().filter(|pair| pair["api"] == "openai.chat");
    for pair in chats.filter(|pair| pair["status"].as_u64().is_none_or(|status| status < 300)) {
        let Some(want) = pair["response_body"].as_str().and_then(without_usage) else { continue };
        let body = answer(pair);
        taken_out += usize::from(want.len() < body.len());
        for size in [1, 100, body.len().max(1)] {
            let (facts, out) = stripped(pair, &body, size, true);
            assert_eq!(String::from_utf8_lossy(&out), want, "{} in pieces of {size}", pair["id"]);
            assert_eq!(facts, stripped(pair, &body, size, false).0, "{}", pair["id"]);
        }
    }
    println!("usage taken out of {taken_out} recorded streams");
    assert!(taken_out > 0, "the folder holds no stream with usage");
}

#[test]
fn recorded_requests_are_read() {
    let Some(pairs) = pairs() else { return };
    let mut errors = Vec::new();
    for pair in &pairs {
        let Some(body) = pair["request_body"].as_str() else { continue };
        let Ok(tree) = serde_json::from_str::<Value>(body) else { continue };
        let method = pair["method"].as_str().unwrap_or("POST");
        let Recognised::Exchange(target) = recognise(method, path(pair)) else { continue };
        let mut scanner = RequestScanner::of(&target, "application/json");
        body.as_bytes().chunks(64).for_each(|piece| scanner.push(piece));
        let facts = match scanner.finish() {
            Ok(facts) => facts,
            // The provider refused it too.
            Err(_) if pair["status"].as_u64() >= Some(400) => continue,
            Err(error) => {
                panic!("{} {} {}: {error}: {}", pair["id"], pair["api"], path(pair), &body[..body.len().min(200)])
            }
        };
        if target.stream.is_none() && tree["stream"].is_boolean() {
            assert_eq!(facts.stream, tree["stream"] == true, "{}", pair["id"]);
        }
        if target.api != Api::OpenAiChat {
            continue;
        }
        assert_eq!(facts.messages as usize, tree["messages"].as_array().map_or(0, Vec::len), "{}", pair["id"]);
        // Text alone, and providers that put nothing into the prompt that the request does not show.
        let plain = facts.tools == 0 && facts.images == 0 && !body.contains("input_audio");
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
