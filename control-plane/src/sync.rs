//! `POST /v1/sync`: what proxies report, and what they may spend.
//!
//! An answer of 200 means that all of the report is on the disk. With any other answer nothing of it is, and the proxy
//! sends it again.

use crate::now_ms;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use purser_core::sync::SyncRequest;
use purser_ledger::{Ledger, LedgerError};
use serde_json::json;

/// The largest report. A VM sends at most 256 KiB of records at once.
const BODY_MAX: usize = 16 << 20;

/// The route.
pub fn router(ledger: Ledger) -> Router {
    Router::new().route("/v1/sync", post(sync)).layer(DefaultBodyLimit::max(BODY_MAX)).with_state(ledger)
}

/// Why a report was not taken, in words for the proxy's log and ours.
fn refusal(status: StatusCode, message: &str, fix: &str) -> Response {
    tracing::warn!(status = status.as_u16(), message, "a report was not taken");
    (status, Json(json!({"error": {"message": message, "fix": fix}}))).into_response()
}

/// What a report should have been.
const FIX: &str = "send a `SyncRequest` as purser-core's `sync` describes it, of at most 16 MiB";

async fn sync(State(ledger): State<Ledger>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refusal(rejection.status(), &rejection.body_text(), FIX),
    };
    let request: SyncRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &format!("not a sync request: {error}"), FIX),
    };
    match ledger.sync(request, now_ms()).await {
        Ok(response) => Json(response).into_response(),
        Err(error @ LedgerError::Senseless { .. }) => refusal(StatusCode::BAD_REQUEST, &error.to_string(), FIX),
        Err(error) => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, &error.to_string(), "send it again: nothing of it was stored")
        }
    }
}
