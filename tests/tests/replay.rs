//! Recorded traffic through the built filter in a real Envoy, over HTTP/1.1 and over HTTP/2, both ways.
//!
//! The provider answers with the recorded status, headers and bytes, cut at random places. The ledger must hold what the
//! engine alone reads in the same exchange, record by record, and the client must get the recorded bytes back; only the
//! usage event that was asked for in its place is taken out.
//!
//! Our own exchanges, one for each API and more, stand in `tests/fixtures/exchanges.jsonl`. Recordings of others are no
//! part of this repository: they are looked for in `$PURSER_CORPUS`, then in `../shared/corpus` beside the checkout, and
//! without them the test says so. `PURSER_SEED` repeats a run's cuts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::stream::{self, StreamExt};
use purser_core::api::Api;
use purser_core::free;
use purser_core::meter::{Metered, Recorded};
use purser_core::providers;
use purser_core::wire::base64::Decoder;
use purser_core::wire::recognise::{Recognised, recognise};
use purser_core::wire::request::RequestScanner;
use purser_core::wire::rewrite;
use purser_tests::{World, repository, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Requests under way at once.
const AT_ONCE: usize = 24;

/// A recorded exchange.
struct Pair {
    id: String,
    method: String,
    path: String,
    content_type: String,
    /// `anthropic-version`.
    version: String,
    request: Vec<u8>,
    status: u16,
    headers: Vec<(String, String)>,
    response: Vec<u8>,
    /// What our own fixtures say of it.
    said: Value,
}

fn base64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Decoder::default().push(text.as_bytes(), |bytes| out.extend_from_slice(bytes)).unwrap();
    out
}

fn bytes(row: &Value, name: &str) -> Option<Vec<u8>> {
    let coded = row[format!("{name}_base64")].as_str().map(base64);
    row[name].as_str().map(|text| text.as_bytes().to_vec()).or(coded)
}

/// Headers that are of a connection, or that the length of what is sent decides.
const OF_THE_CONNECTION: [&str; 5] =
    ["transfer-encoding", "content-length", "connection", "keep-alive", "x-recorded-content-encoding"];

impl Pair {
    fn read(row: &Value) -> Option<Self> {
        let url = row["url"].as_str()?;
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
        let method = row["method"].as_str().unwrap_or("POST");
        let header = |name: &str| row["request_headers"][name].as_str().unwrap_or_default().to_owned();
        let headers = row["response_headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
        let content_type = Some(header("content-type")).filter(|it| !it.is_empty());
        Some(Self {
            id: row["id"].to_string(),
            method: method.to_owned(),
            // As clients send it.
            path: path.replace(' ', "%20").replace('{', "%7B").replace('}', "%7D"),
            content_type: content_type.unwrap_or_else(|| "application/json".to_owned()),
            version: header("anthropic-version"),
            request: bytes(row, "request_body")
                .unwrap_or_else(|| if method == "POST" { stand_in_body(row) } else { Vec::new() }),
            status: u16::try_from(row["status"].as_u64().unwrap_or(200)).unwrap(),
            headers: headers.filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str())).collect(),
            response: bytes(row, "response_body")?,
            said: row.clone(),
        })
    }

    fn response_header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What the engine reads in it.
    fn metered(&self) -> Metered {
        let recorded = Recorded {
            method: &self.method,
            path: &self.path,
            request_header: &|name| (name == "content-type").then_some(self.content_type.as_str()),
            request: Some(&self.request),
            status: self.status,
            response_header: &|name| self.response_header(name),
            response: &self.response,
        };
        recorded.meter(usize::MAX)
    }

    /// What shall come of it, and the bytes that the client gets.
    fn expected(&self, serving: &BTreeSet<Api>) -> Expected {
        let target = match recognise(&self.method, &self.path) {
            Recognised::Exchange(target) => target,
            _ => {
                let free = free::request(&self.method, &self.path, !self.version.is_empty());
                let served = free.is_some_and(|request| {
                    serving.iter().any(|api| request.of.iter().any(|family| api.name().starts_with(family)))
                });
                return if served { Expected::Passed } else { Expected::NotFound };
            }
        };
        // Nobody here asked for the answer in the background: it was charged, or never will be.
        if target.poll {
            return Expected::Passed;
        }
        let mut scanner = RequestScanner::of(&target, &self.content_type);
        scanner.push(&self.request);
        match scanner.finish() {
            Err(_) => Expected::Refused,
            Ok(facts) => {
                let asks = facts.stream && !facts.include_usage && rewrite::asks_for_usage(target.api);
                let plain = self.response_header("content-encoding").is_none_or(|it| it == "identity");
                Expected::Recorded { api: target.api, taken_out: asks && plain && self.status < 300 }
            }
        }
    }
}

/// Of some only the answer was kept.
fn stand_in_body(row: &Value) -> Vec<u8> {
    let body = &row["response_body"];
    let streams = body.as_str().is_some_and(|text| text.starts_with("data:") || text.starts_with("event:"));
    json!({"model": "unknown", "stream": streams}).to_string().into_bytes()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    /// Sent on and recorded. `taken_out`: without the usage event.
    Recorded { api: Api, taken_out: bool },
    /// Refused as no request, and recorded as that.
    Refused,
    /// Sent on, without a record.
    Passed,
    /// Not sent on.
    NotFound,
}

/// A stream without the events that bring usage alone, as a tree tells them.
fn without_usage(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let end = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    let only_usage = |event: &str| {
        let data = event.lines().filter_map(|line| line.strip_prefix("data:")).collect::<String>();
        let tree: Value = serde_json::from_str(&data).unwrap_or_default();
        tree["choices"].as_array().is_some_and(Vec::is_empty) && tree["usage"].is_object()
    };
    text.split_inclusive(end).filter(|event| !only_usage(event)).collect::<String>().into_bytes()
}

/// A number after the last: a linear congruential generator, as good as needed to cut by.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

/// Pieces of random lengths; long bodies in longer ones.
fn cut(body: &[u8], seed: u64) -> Vec<Bytes> {
    let mut state = seed;
    let longest = (body.len() / 20).max(48);
    let mut pieces = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((next(&mut state) % longest + 1).min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = after;
    }
    pieces
}

struct Provider {
    pairs: Vec<Pair>,
    seed: u64,
}

/// Answers with what was recorded.
async fn answer(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let number = head.headers.get("x-replay").and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    let _ = axum::body::to_bytes(body, usize::MAX).await;
    let number = number.unwrap();
    let pair = &provider.pairs[number];
    let mut response = Response::builder().status(pair.status);
    for (name, value) in &pair.headers {
        response = response.header(name, value);
    }
    // What came to the provider, for the client to look at.
    let secret =
        ["authorization", "x-api-key", "x-goog-api-key", "api-key"].iter().filter_map(|it| head.headers.get(*it));
    response = response.header("x-seen-keys", secret.map(|it| it.to_str().unwrap()).collect::<Vec<_>>().join(","));
    response = response.header("x-seen-path", head.uri.path_and_query().unwrap().as_str());
    let pieces = cut(&pair.response, provider.seed ^ number as u64);
    let pieces = stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(piece)
    });
    response.body(Body::from_stream(pieces)).unwrap()
}

/// One provider for each maker's APIs.
fn documents(port: u16, http2: bool) -> String {
    let families: BTreeSet<&str> = Api::ALL.iter().filter_map(|api| api.name().split('.').next()).collect();
    let document = |family: &&str| {
        format!(
            "apiVersion: purser.dev/v1alpha1\nkind: Provider\nmetadata: {{ name: {family} }}\nspec:\n  \
             endpoint: http://127.0.0.1:{port}\n  apis: [{family}.*]\n  http2: {http2}\n  \
             freePaths: [models, countTokens, moderation, read, manage, batch]\n"
        )
    };
    families.iter().map(document).collect::<Vec<_>>().join("---\n")
}

/// Sends an exchange through the gateway: status, body, and what the provider saw.
async fn send(client: &reqwest::Client, gateway: &str, pair: &Pair, number: usize) -> (u16, Vec<u8>, String) {
    let method = reqwest::Method::from_bytes(pair.method.as_bytes()).unwrap();
    let mut request = client
        .request(method, format!("{gateway}{}", pair.path))
        .header("content-type", &pair.content_type)
        .header("x-replay", number.to_string())
        .header("x-request-id", format!("replay-{number}"))
        .header("authorization", "Bearer a-callers-own-key");
    if !pair.version.is_empty() {
        request = request.header("anthropic-version", &pair.version);
    }
    let response =
        request.body(pair.request.clone()).send().await.unwrap_or_else(|error| panic!("{}: {error:?}", pair.id));
    let header = |name: &str| {
        response.headers().get(name).map(|it| it.to_str().unwrap_or_default().to_owned()).unwrap_or_default()
    };
    let (status, seen) = (response.status().as_u16(), format!("{}{}", header("x-seen-keys"), header("x-seen-path")));
    (status, response.bytes().await.unwrap_or_else(|error| panic!("{}: {error:?}", pair.id)).to_vec(), seen)
}

/// Replays all, and says what is not as it should be.
async fn replay(pairs: Vec<Pair>, http2: bool, seed: u64) -> Vec<String> {
    let began = Instant::now();
    let provider = Arc::new(Provider { pairs, seed });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new().fallback(answer).with_state(provider.clone());
    let app = app.layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let world = World::start_serving(Some(&documents(port, http2)), "", 1, 2).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    let client = if http2 { client.http2_prior_knowledge() } else { client };
    let (client, gateway) = (client.build().unwrap(), world.gateway());

    let serving: BTreeSet<Api> = Api::ALL.iter().copied().collect();
    let sent = provider.pairs.iter().enumerate().map(|(number, pair)| {
        let (client, gateway, serving) = (&client, &gateway, &serving);
        async move {
            let expected = pair.expected(serving);
            let (status, body, seen) = send(client, gateway, pair, number).await;
            let want = match expected {
                Expected::Recorded { taken_out: true, .. } => Some((pair.status, without_usage(&pair.response))),
                Expected::Recorded { .. } | Expected::Passed => Some((pair.status, pair.response.clone())),
                Expected::Refused | Expected::NotFound => None,
            };
            let mut wrong = Vec::new();
            match want {
                Some((want, _)) if want != status => wrong.push(format!("status {status}, not {want}")),
                Some((_, want)) if want != body => {
                    let at = body.iter().zip(&want).take_while(|(a, b)| a == b).count();
                    wrong.push(format!("the client's bytes differ at {at} of {}: {} came", want.len(), body.len()));
                }
                Some(_) => {}
                None => {
                    let want = if expected == Expected::Refused { 400 } else { 404 };
                    if status != want {
                        wrong.push(format!("status {status}, not {want}"));
                    }
                }
            }
            if seen.contains("a-callers-own-key") || seen.contains("AIzaCaller") {
                wrong.push(format!("the caller's key went on: {seen}"));
            }
            (number, expected, wrong)
        }
    });
    let outcomes: Vec<_> = stream::iter(sent).buffer_unordered(AT_ONCE).collect().await;

    let recorded = outcomes.iter().filter(|it| matches!(it.1, Expected::Recorded { .. } | Expected::Refused)).count();
    let records = records(&world, recorded).await;
    let mut wrong = Vec::new();
    for (number, expected, mut found) in outcomes {
        let pair = &provider.pairs[number];
        let record = records.get(&format!("replay-{number}"));
        match (expected, record) {
            (Expected::Recorded { api, .. }, Some(record)) => found.extend(differences(pair, api, record)),
            (Expected::Refused, Some(record)) if record["denied"]["reason"] == "bad_request" => {}
            (Expected::Passed | Expected::NotFound, None) => {}
            (_, record) => found.push(format!("{expected:?}, recorded {record:?}")),
        }
        if !found.is_empty() {
            wrong.push(format!("{} {} {}: {}", pair.id, pair.method, pair.path, found.join("; ")));
        }
    }
    println!(
        "HTTP/{}: {} exchanges, {recorded} of them recorded, {} wrong, in {:.1} s",
        if http2 { "2" } else { "1.1" },
        provider.pairs.len(),
        wrong.len(),
        began.elapsed().as_secs_f64(),
    );
    wrong
}

/// All records by their request's id, once there are so many.
async fn records(world: &World, count: usize) -> BTreeMap<String, Value> {
    let listed = until("all are in the ledger", || async {
        let mut rows = Vec::new();
        let mut before = String::new();
        loop {
            let page = world.api(&format!("records?limit=500{before}")).await.ok()?;
            rows.extend(page["records"].as_array()?.iter().cloned());
            match page["next"].as_u64() {
                Some(next) => before = format!("&before={next}"),
                None => break,
            }
        }
        (rows.len() >= count).then_some(rows)
    });
    let rows = listed.await.unwrap();
    let each = rows.iter().map(|row| async { world.record(row).await.unwrap() });
    let each: Vec<Value> = stream::iter(each).buffer_unordered(8).collect().await;
    each.into_iter().map(|record| (record["request_id"].as_str().unwrap_or_default().to_owned(), record)).collect()
}

/// In what a record is not what the engine alone reads.
fn differences(pair: &Pair, api: Api, record: &Value) -> Vec<String> {
    let metered = pair.metered();
    let usage = serde_json::to_value(&metered.usage).unwrap();
    let polled = matches!(api, Api::OpenAiResponses | Api::GeminiInteractions) && !metered.answer.id.is_empty();
    let cost: &[&str] = match (metered.metered, metered.pending, &metered.usage) {
        (false, ..) => &["none"],
        (true, true, _) if polled => &["pending"],
        (true, _, None) => &["unmetered"],
        (true, _, Some(_)) => &["priced", "unpriced"],
    };
    let mut wrong = Vec::new();
    let mut compare = |what: &str, got: &Value, want: Value| {
        if *got != want {
            wrong.push(format!("{what}: {got}, the engine reads {want}"));
        }
    };
    compare("api", &record["api"], json!(api));
    compare("usage", &record["usage"], usage);
    compare("response model", &record["response_model"], json!(metered.answer.model));
    compare("request model", &record["request_model"], json!(metered.request_model));
    compare("stream", &record["stream"], json!(metered.stream));
    compare("status", &record["status"], json!(pair.status));
    compare("outcome", &record["outcome"], json!("complete"));
    if !cost.iter().any(|cost| record["cost"]["status"] == *cost) {
        wrong.push(format!("cost: {}, of {cost:?}", record["cost"]));
    }
    // Our own say what they used.
    if let Some(units) = pair.said.get("units").filter(|units| **units != record["usage"]["units"]) {
        wrong.push(format!("units: {}, the fixture says {units}", record["usage"]["units"]));
    }
    if let Some(cost) = pair.said.get("cost").filter(|cost| **cost != record["cost"]["status"]) {
        wrong.push(format!("cost: {}, the fixture says {cost}", record["cost"]));
    }
    let quality = pair.said.get("quality").cloned().unwrap_or(json!("exact"));
    if pair.said.get("units").is_some() && record["usage"]["quality"] != quality {
        wrong.push(format!("quality: {}, the fixture says {quality}", record["usage"]));
    }
    wrong
}

fn rows(path: &std::path::Path) -> Vec<Pair> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter_map(|line| Pair::read(&serde_json::from_str(line).unwrap())).collect()
}

/// Our own, and those of others where they are there.
fn pairs() -> Vec<Pair> {
    let mut pairs = rows(&repository().join("tests/fixtures/exchanges.jsonl"));
    let folder = std::env::var_os("PURSER_CORPUS").map_or(repository().join("../shared/corpus"), PathBuf::from);
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
            files.sort();
            pairs.extend(files.iter().flat_map(|file| rows(file)));
        }
        Err(_) => println!("corpus absent, only our own exchanges are replayed: set PURSER_CORPUS to its folder"),
    }
    pairs
}

#[test]
fn our_own_exchanges_cover_every_api() {
    let pairs = rows(&repository().join("tests/fixtures/exchanges.jsonl"));
    let covered: BTreeSet<Api> = pairs.iter().filter_map(|pair| pair.metered().api).collect();
    // A session is none of requests and answers, and a batch is of several requests.
    let others = [Api::OpenAiRealtime, Api::OpenAiBatch, Api::AnthropicBatch];
    let missing: Vec<&Api> = Api::ALL.iter().filter(|api| !covered.contains(api) && !others.contains(api)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(!providers::reports_unasked("openai"), "the replayed streams are asked for usage");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_holds_what_the_engine_reads_in_recorded_traffic() {
    let seed = std::env::var("PURSER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() % u128::from(u64::MAX)).unwrap()
    });
    println!("PURSER_SEED={seed}");
    let mut wrong = replay(pairs(), false, seed).await;
    wrong.extend(replay(pairs(), true, seed.rotate_left(17)).await);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
