//! `make bench-core`.
//!
//! | bench | does |
//! |---|---|
//! | scan 2 KB, 256 KB | a chat request read and its tokens estimated |
//! | stream of 60 | an answer of 60 chunks read, its usage event taken out |
//! | exchange | a whole one with identity, a rate limit and a warm budget, from head to record |
//!
//! All of it runs once for each request: a rise of 1 µs here is about 1.5 µs of Envoy's CPU.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use purser_benches::{config, request, stream};
use purser_core::api::Api;
use purser_core::budget::{Instance, lease};
use purser_core::exchange::{Begun, End, Exchange, Host, Proxy, Verdict};
use purser_core::policy::Policy;
use purser_core::store::MemoryStore;
use purser_core::sync::LeaseGrant;
use purser_core::wire::request::RequestScanner;
use purser_core::wire::response::ResponseMeter;
use std::hint::black_box;
use std::rc::Rc;

fn engine(c: &mut Criterion) {
    for (name, size) in [("scan 2 KB", 2 << 10), ("scan 256 KB", 256 << 10)] {
        let body = request(size);
        let mut group = c.benchmark_group("request");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut scanner = RequestScanner::new(Api::OpenAiChat);
                body.as_bytes().chunks(64 << 10).for_each(|piece| scanner.push(piece));
                black_box(scanner.finish().unwrap())
            });
        });
    }
    let pieces = stream(60);
    c.bench_function("stream of 60", |b| {
        b.iter(|| {
            let mut meter = ResponseMeter::new(Api::OpenAiChat, 200, "text/event-stream", "", true);
            for (index, piece) in pieces.iter().enumerate() {
                black_box(meter.push(piece.as_bytes(), index + 1 == pieces.len()));
            }
            black_box(meter.finish(true))
        });
    });

    let policy = Rc::new(Policy::compile(serde_json::from_value(config()).unwrap()).unwrap());
    let (store, proxy) = (MemoryStore::default(), Proxy { id: "p".into(), epoch: 1, ..Proxy::default() });
    let host = Host { now_ms: 1_800_000_000_000, store: &store, proxy: &proxy };
    let instance = Instance { budget: "teams".into(), period_ms: 0, group: vec!["ml".into()] };
    lease::grant(&store, &LeaseGrant { instance, granted: u64::MAX / 4, exhausted: false }, host.now_ms);
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
    c.bench_function("exchange", |b| {
        b.iter(|| {
            let Some(Begun::Read(mut exchange)) = Exchange::begin(host, Rc::clone(&policy), &headers) else {
                panic!("not begun")
            };
            exchange.push_request(body.as_bytes());
            assert!(matches!(exchange.decide(host), Verdict::Forward(_)));
            exchange.response_head(200, "application/json", "");
            exchange.response_body(answer, true);
            black_box(exchange.finish(host, End::Whole))
        });
    });
}

criterion_group!(benches, engine);
criterion_main!(benches);
