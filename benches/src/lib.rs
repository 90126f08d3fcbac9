//! What the engine costs: the cases that `make bench-core` times and `make bench-instructions` counts.
//!
//! | case | does |
//! |---|---|
//! | request-2k, request-256k | a chat request read and its tokens estimated |
//! | stream-60 | an answer of 60 chunks read, its usage event taken out |
//! | exchange | a whole one with identity, a rate limit and a warm budget, from head to record |
//! | count-english-20k, count-japanese-20k | prose counted in the o200k vocabulary, in pieces of 4 KB |
//! | count-letters-100k, count-random-100k | so one word of one letter, and one of random letters: the slowest known |

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench")]

use purser_core::api::Api;
use purser_core::budget::{Instance, lease};
use purser_core::estimate::calibration::Calibration;
use purser_core::estimate::{Family, Tally};
use purser_core::exchange::{Begun, End, Exchange, Host, Proxy, Verdict};
use purser_core::policy::Policy;
use purser_core::store::MemoryStore;
use purser_core::sync::LeaseGrant;
use purser_core::wire::request::RequestScanner;
use purser_core::wire::response::{Head, ResponseMeter};
use std::fmt::Write;
use std::hint::black_box;
use std::rc::Rc;

/// A case: its name, and what to do again and again.
pub type Case = (&'static str, Box<dyn FnMut()>);

/// All cases.
pub fn cases() -> Vec<Case> {
    vec![
        ("request-2k", read_request(2 << 10)),
        ("request-256k", read_request(256 << 10)),
        ("stream-60", read_stream()),
        ("exchange", exchange()),
        ("count-english-20k", count(&english(20 << 10))),
        ("count-japanese-20k", count(&japanese(20 << 10))),
        ("count-letters-100k", count(&"a".repeat(100 << 10))),
        ("count-random-100k", count(&random_letters(100 << 10))),
    ]
}

fn read_request(size: usize) -> Box<dyn FnMut()> {
    let body = request(size);
    Box::new(move || {
        let mut scanner = RequestScanner::new(Api::OpenAiChat);
        body.as_bytes().chunks(64 << 10).for_each(|piece| scanner.push(piece));
        black_box(scanner.finish().unwrap());
    })
}

fn read_stream() -> Box<dyn FnMut()> {
    let pieces = stream(60);
    Box::new(move || {
        let mut meter = ResponseMeter::new(
            Some(Api::OpenAiChat),
            Head { status: 200, content_type: "text/event-stream", content_encoding: "" },
            true,
        );
        for (index, piece) in pieces.iter().enumerate() {
            black_box(meter.push(piece.as_bytes(), index + 1 == pieces.len()));
        }
        black_box(meter.finish(true));
    })
}

fn exchange() -> Box<dyn FnMut()> {
    const NOW_MS: u64 = 1_800_000_000_000;
    let policy = Rc::new(Policy::compile(serde_json::from_value(config()).unwrap()).unwrap());
    let (store, proxy) = (MemoryStore::default(), Proxy { id: "p".into(), epoch: 1, ..Proxy::default() });
    let calibration = Calibration::default();
    let instance = Instance { budget: "teams".into(), period_ms: 0, group: vec!["ml".into()] };
    lease::grant(&store, &LeaseGrant { instance, granted: u64::MAX / 4, exhausted: false }, NOW_MS);
    let headers: Vec<(String, String)> = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("user-agent", "bench"),
        ("x-request-id", "0f2b7c1e-6d3f-4d0c-9a55-6b1f0c3f9a11"),
        ("x-purser-team", "ml"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let body = request(2 << 10);
    let answer = br#"{"id":"1","model":"gpt-5-mini","choices":[{"message":{"content":"aye"},"finish_reason":"stop"}],"usage":{"prompt_tokens":500,"completion_tokens":60}}"#;
    Box::new(move || {
        let host = Host { now_ms: NOW_MS, store: &store, proxy: &proxy, calibration: &calibration };
        let Some(Begun::Read(mut exchange)) = Exchange::begin(host, Rc::clone(&policy), &headers) else {
            panic!("not begun")
        };
        exchange.push_request(body.as_bytes());
        assert!(matches!(exchange.decide(host), Verdict::Forward(_)));
        exchange.response_head(Head { status: 200, content_type: "application/json", content_encoding: "" });
        exchange.response_body(answer, true);
        black_box(exchange.finish(host, End::Whole));
    })
}

fn count(text: &str) -> Box<dyn FnMut()> {
    let text = text.to_owned();
    Box::new(move || {
        let mut tally = Tally::new(1);
        text.as_bytes().chunks(4 << 10).for_each(|piece| tally.push(piece));
        tally.end();
        black_box(tally.tokens(Family::O200k));
    })
}

/// Prose that does not change: a licence.
fn english(bytes: usize) -> String {
    let text = include_str!("../../LICENSE").repeat(2);
    text.get(..bytes).unwrap_or(&text).to_owned()
}

fn japanese(bytes: usize) -> String {
    let text = "事務長は船の金庫を預かり、朝から晩まで一枚一枚の硬貨を数えます。船員に給料を払い、港で水と食料を買い、\
        帳簿にすべてを書き留めます。予算を超える買い物は、船長が何と言おうと断ります。コンピュータの時代になっても、\
        その仕事はあまり変わりません。誰が何に使ったのか、いくら残っているのか、次の港まで足りるのか。";
    let text = text.repeat(bytes / text.len() + 1);
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(&text).to_owned()
}

fn random_letters(bytes: u64) -> String {
    let mut state = 1u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((state >> 33) % 26) as u8)
    };
    (0..bytes).map(letter).collect()
}

/// A chat request of about this many bytes.
fn request(bytes: usize) -> String {
    let text = "The purser keeps the ship's money and counts every coin aboard. ".repeat(bytes / 64 + 1);
    let text = text.get(..bytes).unwrap_or(&text);
    format!(
        r#"{{"model":"gpt-5-mini","stream":true,"messages":[{{"role":"user","content":"{text}"}}],"max_completion_tokens":100}}"#
    )
}

/// A streamed answer of this many chunks, with its usage event.
fn stream(chunks: usize) -> Vec<String> {
    let head = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","#;
    let mut pieces: Vec<String> = Vec::new();
    for index in 0..chunks {
        let mut piece = String::new();
        let _ = write!(
            piece,
            r#"{head}"choices":[{{"index":0,"delta":{{"content":"word{index} "}},"finish_reason":null}}],"usage":null}}"#
        );
        piece.push_str("\n\n");
        pieces.push(piece);
    }
    pieces.push(format!("{head}\"choices\":[],\"usage\":{{\"prompt_tokens\":100,\"completion_tokens\":60}}}}\n\n"));
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}

/// A filter configuration with a priced model and a budget for each team.
fn config() -> serde_json::Value {
    serde_json::json!({
        "version": "bench", "price_book": "bench",
        "sync": {"cluster": "purser", "interval_ms": 1000, "cold_deadline_ms": 1500, "rewrite_max_bytes": 1048576},
        "providers": [{"name": "openai", "apis": ["openai.chat"], "catalog": "openai"}], "models": [],
        "prices": [{"provider": "openai", "model": "gpt-5-mini", "rates": [{"from": "2020-01-01", "input": "0.25", "output": "2.00"}]}],
        "identity": {"trust": ["key", "header"], "headers": {"x-purser-team": "team"}, "workload": {}, "required": [], "key_required": false},
        "keys": [], "access": [],
        "rate_limits": [{"name": "pace", "selector": {}, "per": ["team"], "requests": 1000000000, "window_ms": 60000}],
        "budgets": [{"name": "teams", "selector": {}, "per": ["team"], "limit": 9000000000000000u64, "hard": true, "clamp": false,
            "on_unavailable": "closed", "on_unpriced": "deny", "periods_ms": [0, 9000000000000u64]}],
    })
}
