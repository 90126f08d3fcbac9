//! The HTTP side.

use crate::answer::{self, Asked};
use crate::behaviour::{Behaviour, Reset};
use crate::ledger::{Entry, Ledger};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use flate2::{Compression, write::GzEncoder};
use futures::stream::{self, StreamExt};
use serde_json::Value;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Bodies that are kept in the ledger as they came.
const KEPT_BODY: usize = 64 << 10;

/// A running stand-in. It ends with this value.
#[derive(Debug)]
pub struct StandIn {
    addr: SocketAddr,
    ledger: Ledger,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Starts one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        // A chunk goes out when it is written, not when the one before was acknowledged.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let ledger = Ledger::default();
        let app = Router::new()
            .route("/v1/chat/completions", post(exchange))
            .route("/v1/responses", post(exchange))
            .route("/v1/embeddings", post(exchange))
            .route("/v1/messages", post(exchange))
            .route("/v1/models", get(|| async { Json(answer::models()) }))
            .route("/stand-in/ledger", get(|State(ledger): State<Ledger>| async move { Json(ledger.entries()) }))
            .layer(DefaultBodyLimit::disable())
            .with_state(ledger.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the stand-in provider stopped");
            }
        });
        Ok(Self { addr, ledger, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it did.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn exchange(State(ledger): State<Ledger>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let anthropic = answer::Shape::of(&path) == answer::Shape::Messages;
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let behaviour = Behaviour::parse(header("x-stand-in"));
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let mut entry = Entry { path: path.clone(), headers: headers.collect(), ..Entry::default() };

    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    if bytes.len() <= KEPT_BODY {
        entry.body = String::from_utf8_lossy(&bytes).into_owned();
    }
    let refuse = |mut entry: Entry, status: u16, message: &str| {
        entry.error = true;
        ledger.open(entry);
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, Json(answer::error(anthropic, status, message))).into_response()
    };
    if header("authorization").is_empty() && header("x-api-key").is_empty() {
        return refuse(entry, 401, "no credential: send an API key");
    }
    let Some(asked) = serde_json::from_slice::<Value>(&bytes).ok().and_then(|body| Asked::read(&path, &body)) else {
        return refuse(entry, 400, "the body is no JSON object with a model");
    };
    if let Some(status) = behaviour.status {
        return refuse(entry, status, "an error was asked for");
    }
    entry.model.clone_from(&asked.model);
    entry.cached = behaviour.cached;
    entry.write_5m = behaviour.write_5m;
    entry.write_1h = behaviour.write_1h;
    entry.prompt =
        asked.prompt.saturating_add(entry.cached).saturating_add(entry.write_5m).saturating_add(entry.write_1h);
    if behaviour.reset == Some(Reset::Before) {
        ledger.open(entry);
        // A body that fails before its first byte makes the server close the connection.
        return Body::from_stream(stream::once(async { Err::<Bytes, _>(io::Error::other("reset")) })).into_response();
    }
    respond(&ledger, &asked, entry, &behaviour)
}

fn respond(ledger: &Ledger, asked: &Asked, entry: Entry, behaviour: &Behaviour) -> Response {
    let wanted = behaviour.words.unwrap_or(crate::ANSWER_WORDS);
    let words = asked.max_tokens.map_or(wanted, |most| wanted.min(most));
    let cut_off = words < wanted;
    let with_usage = !behaviour.no_usage;
    let kind = if asked.stream { "text/event-stream" } else { "application/json" };
    let mut pieces: Vec<(Vec<u8>, u64)> = if asked.stream {
        let chunks = answer::chunks(asked, &entry, words, cut_off, with_usage);
        chunks.into_iter().map(|chunk| (chunk.bytes.into_bytes(), chunk.words)).collect()
    } else {
        let mut body = answer::whole(asked, &entry, words, cut_off, with_usage).to_string().into_bytes();
        if behaviour.truncate {
            body.truncate(body.len() / 2);
        }
        vec![(body, words)]
    };
    if behaviour.garbage {
        let at = pieces.len() / 2;
        pieces.insert(at, (b"data: {\"this is\": not JSON\n\n".to_vec(), 0));
    }
    if behaviour.reset == Some(Reset::Mid) {
        pieces.truncate(pieces.len() / 2);
    }
    if behaviour.gzip {
        pieces = vec![(gzip(&pieces), words)];
    }
    if let Some(seed) = behaviour.cut {
        pieces = cut(pieces, seed);
    }
    let index = ledger.open(entry);
    let mut response = if pieces.len() == 1 && behaviour.reset.is_none() {
        let (bytes, words) = pieces.swap_remove(0);
        ledger.with(index, |entry| {
            entry.output = words;
            entry.complete = true;
        });
        Response::new(Body::from(bytes))
    } else {
        Response::new(streamed(ledger.clone(), index, pieces, behaviour.delay, behaviour.reset.is_some()))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert("x-request-id", header::HeaderValue::from_static("req_stand_in"));
    if behaviour.gzip {
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    response
}

fn streamed(ledger: Ledger, index: usize, pieces: Vec<(Vec<u8>, u64)>, delay: Option<Duration>, reset: bool) -> Body {
    let last = pieces.len().saturating_sub(1);
    let chunks = stream::iter(pieces.into_iter().enumerate()).then(move |(at, (bytes, words))| {
        let ledger = ledger.clone();
        async move {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                // Each chunk is a write of its own, as providers do it.
                None => tokio::task::yield_now().await,
            }
            ledger.with(index, |entry| {
                entry.output = entry.output.saturating_add(words);
                entry.complete = at == last && !reset;
            });
            Ok::<_, io::Error>(Bytes::from(bytes))
        }
    });
    let end = stream::iter(reset.then(|| Err(io::Error::other("reset"))));
    Body::from_stream(chunks.chain(end))
}

fn gzip(pieces: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for (bytes, _) in pieces {
        // A write to memory does not fail.
        let _ = encoder.write_all(bytes);
    }
    encoder.finish().unwrap_or_default()
}

/// Cuts all bytes at random places, by a seed; the words go with the first piece of their chunk.
fn cut(pieces: Vec<(Vec<u8>, u64)>, seed: u64) -> Vec<(Vec<u8>, u64)> {
    let mut state = seed | 1;
    let mut out = Vec::new();
    for (bytes, mut words) in pieces {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let length = usize::try_from(state >> 33).unwrap_or(1) % 40 + 1;
            let (head, tail) = rest.split_at(length.min(rest.len()));
            out.push((head.to_vec(), std::mem::take(&mut words)));
            rest = tail;
        }
    }
    out
}
