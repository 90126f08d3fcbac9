//! `POST /v1/sync`: what proxies report, and what they may spend.

use crate::now_ms;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use purser_core::sync::SyncRequest;
use purser_ledger::Ledger;

/// The largest report. A VM sends at most 256 KiB of records at once.
const BODY_MAX: usize = 16 << 20;

/// The route.
pub fn router(ledger: Ledger) -> Router {
    Router::new().route("/v1/sync", post(sync)).layer(DefaultBodyLimit::max(BODY_MAX)).with_state(ledger)
}

async fn sync(State(ledger): State<Ledger>, body: axum::body::Bytes) -> Response {
    let request: SyncRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(%error, "a report cannot be read");
            return (StatusCode::BAD_REQUEST, format!("not a sync request: {error}")).into_response();
        }
    };
    match ledger.sync(request, now_ms()).await {
        Ok(response) => Json(response).into_response(),
        Err(error) => {
            tracing::error!(%error, "a report cannot be stored");
            (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
        }
    }
}
