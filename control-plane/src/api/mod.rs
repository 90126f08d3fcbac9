//! The JSON API for people and programs: `/api/v1`, described by `/api/openapi.json`.

mod answer;

pub use answer::{ConfigView, KeyList, PolicyView, ProxyAnswer, RolloutAnswer};

use crate::now_ms;
use answer::{
    BudgetAnswer, BudgetList, ErrorBody, ProxyList, RecordAnswer, RecordList, SpendAnswer, SummaryAnswer, TopList,
};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use purser_core::pricing::PriceBook;
use purser_ledger::{Bucket, By, Ledger, LedgerError, RecordFilter};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const DAY_MS: u64 = 86_400_000;

/// Per cent at which a budget, by its name, is crossed.
pub type Thresholds = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// What the API is about.
#[derive(Clone)]
pub struct ApiState {
    /// The book.
    pub ledger: Ledger,
    /// Policy as it stands.
    pub policy: Arc<dyn Fn() -> PolicyView + Send + Sync>,
    /// Proxies as xDS knows them.
    pub proxies: Arc<dyn Fn() -> Vec<ProxyAnswer> + Send + Sync>,
    /// Prices in force.
    pub book: Arc<dyn Fn() -> Option<Arc<PriceBook>> + Send + Sync>,
    /// Per cent at which a budget is crossed.
    pub thresholds: Thresholds,
}

/// Why a request has no answer.
#[derive(Debug)]
enum ApiError {
    Bad { message: String, fix: String },
    NotFound(String),
    Ledger(LedgerError),
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, message, fix) = match self {
            Self::Bad { message, fix } => (StatusCode::BAD_REQUEST, message, fix),
            Self::NotFound(what) => (StatusCode::NOT_FOUND, format!("no {what}"), "see /api/openapi.json".to_owned()),
            Self::Ledger(error) => {
                tracing::error!(%error, "the API cannot read the ledger");
                (StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "see the control plane's log".to_owned())
            }
        };
        (status, Json(ErrorBody::new(message, fix))).into_response()
    }
}

/// Query parameters, with an error that names the fix.
struct Params<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        let Query(it) = query.map_err(|error| ApiError::Bad {
            message: error.body_text(),
            fix: "mind the parameters' names and types: see /api/openapi.json".to_owned(),
        })?;
        Ok(Self(it))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Time {
    /// Milliseconds since 1970; a day ago when absent.
    from_ms: Option<u64>,
    /// Milliseconds since 1970; now when absent.
    to_ms: Option<u64>,
}

/// From and to, to the minute.
fn range(from_ms: Option<u64>, to_ms: Option<u64>) -> Result<(u64, u64), ApiError> {
    let to = to_ms.unwrap_or_else(|| now_ms().saturating_add(60_000));
    let from = from_ms.unwrap_or(to.saturating_sub(DAY_MS));
    let from = from - from % 60_000;
    if from >= to {
        let (message, fix) = ("from_ms is not before to_ms".to_owned(), "swap them, or leave them out".to_owned());
        return Err(ApiError::Bad { message, fix });
    }
    Ok((from, to))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct SpendParams {
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    /// What to stack by; `team` when absent.
    by: Option<By>,
    /// Width of a column; `hour` when absent.
    bucket: Option<Bucket>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct TopParams {
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    /// What to group by; `team` when absent.
    by: Option<By>,
    /// At most so many rows; 20 when absent.
    limit: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RecordParams {
    from_ms: Option<u64>,
    to_ms: Option<u64>,
    /// At most so many; 50 when absent, 1000 at most.
    limit: Option<u64>,
    /// `next` of the page before.
    before: Option<u64>,
    team: Option<String>,
    user: Option<String>,
    feature: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    /// complete, aborted, denied or failed.
    outcome: Option<String>,
}

/// All of a time.
#[utoipa::path(get, path = "/api/v1/summary", params(Time), responses((status = 200, body = SummaryAnswer), (status = 400, body = ErrorBody)))]
async fn summary(State(state): State<ApiState>, Params(time): Params<Time>) -> Result<Json<SummaryAnswer>, ApiError> {
    let (from, to) = range(time.from_ms, time.to_ms)?;
    Ok(Json(SummaryAnswer(state.ledger.summary(from, to).await?)))
}

/// Spend over time, stacked.
#[utoipa::path(get, path = "/api/v1/spend", params(SpendParams), responses((status = 200, body = SpendAnswer), (status = 400, body = ErrorBody)))]
async fn spend(State(state): State<ApiState>, Params(params): Params<SpendParams>) -> Result<Json<SpendAnswer>, ApiError> {
    let (from, to) = range(params.from_ms, params.to_ms)?;
    let bucket = params.bucket.unwrap_or(Bucket::Hour);
    let width = match bucket {
        Bucket::Minute => 60_000,
        Bucket::Hour => 3_600_000,
        Bucket::Day => DAY_MS,
    };
    if (to - from) / width > 2_000 {
        let (message, fix) = ("more than 2,000 columns".to_owned(), "a wider `bucket`, or a shorter time".to_owned());
        return Err(ApiError::Bad { message, fix });
    }
    Ok(Json(SpendAnswer(state.ledger.spend(from, to, params.by.unwrap_or(By::Team), bucket).await?)))
}

/// Who spent most.
#[utoipa::path(get, path = "/api/v1/top", params(TopParams), responses((status = 200, body = TopList), (status = 400, body = ErrorBody)))]
async fn top(State(state): State<ApiState>, Params(params): Params<TopParams>) -> Result<Json<TopList>, ApiError> {
    let (from, to) = range(params.from_ms, params.to_ms)?;
    let limit = params.limit.unwrap_or(20).clamp(1, 1_000);
    Ok(Json(TopList { rows: state.ledger.top(from, to, params.by.unwrap_or(By::Team), limit).await? }))
}

/// Budgets in their running period.
#[utoipa::path(get, path = "/api/v1/budgets", responses((status = 200, body = BudgetList)))]
async fn budgets(State(state): State<ApiState>) -> Result<Json<BudgetList>, ApiError> {
    let rows = state.ledger.budgets(now_ms()).await?;
    let answer = rows.into_iter().map(|row| {
        let thresholds = (state.thresholds)(&row.budget);
        BudgetAnswer::new(row, thresholds)
    });
    Ok(Json(BudgetList { budgets: answer.collect() }))
}

/// Proxies: what they run and what they reported.
#[utoipa::path(get, path = "/api/v1/proxies", responses((status = 200, body = ProxyList)))]
async fn proxies(State(state): State<ApiState>) -> Result<Json<ProxyList>, ApiError> {
    let mut known = (state.proxies)();
    for row in state.ledger.proxies().await? {
        match known.iter_mut().find(|one| one.report.proxy == row.proxy) {
            Some(one) => one.report = row,
            None => known.push(ProxyAnswer { report: row, ..ProxyAnswer::default() }),
        }
    }
    known.sort_by(|a, b| a.report.proxy.cmp(&b.report.proxy));
    Ok(Json(ProxyList { proxies: known }))
}

/// Records, the newest first.
#[utoipa::path(get, path = "/api/v1/records", params(RecordParams), responses((status = 200, body = RecordList), (status = 400, body = ErrorBody)))]
async fn records(State(state): State<ApiState>, Params(params): Params<RecordParams>) -> Result<Json<RecordList>, ApiError> {
    let labels = [
        (By::Team, params.team),
        (By::User, params.user),
        (By::Feature, params.feature),
        (By::Provider, params.provider),
        (By::Model, params.model),
    ];
    if let Some(outcome) = params.outcome.as_deref().filter(|it| !["complete", "aborted", "denied", "failed"].contains(it)) {
        let message = format!("no outcome `{outcome}`");
        return Err(ApiError::Bad { message, fix: "one of complete, aborted, denied, failed".to_owned() });
    }
    let filter = RecordFilter {
        limit: params.limit.unwrap_or(50),
        before: params.before,
        equal: labels.into_iter().filter_map(|(by, value)| Some((by, value?))).collect(),
        outcome: params.outcome,
        from_ms: params.from_ms,
        to_ms: params.to_ms,
    };
    Ok(Json(RecordList(state.ledger.records(filter).await?)))
}

/// One record, as it was stored, and the price that it was priced with.
#[utoipa::path(get, path = "/api/v1/records/{proxy}/{epoch}/{seq}",
    params(("proxy" = String, Path), ("epoch" = u64, Path), ("seq" = u64, Path)),
    responses((status = 200, body = RecordAnswer), (status = 404, body = ErrorBody)))]
async fn record(State(state): State<ApiState>, Path((proxy, epoch, seq)): Path<(String, u64, u64)>) -> Result<Json<RecordAnswer>, ApiError> {
    let found = state.ledger.record(proxy, epoch, seq).await?.ok_or_else(|| ApiError::NotFound("such record".into()))?;
    let book = (state.book)();
    Ok(Json(RecordAnswer::new(found, book.as_deref())))
}

/// Policy: what is in force, what is wrong with its files, where its roll-out stands.
#[utoipa::path(get, path = "/api/v1/policy", responses((status = 200, body = PolicyView)))]
async fn policy(State(state): State<ApiState>) -> Result<Json<PolicyView>, ApiError> {
    let mut view = (state.policy)();
    view.unpriced_models = state.ledger.unpriced_models(now_ms().saturating_sub(30 * DAY_MS)).await?;
    Ok(Json(view))
}

/// Virtual keys. Never the keys themselves.
#[utoipa::path(get, path = "/api/v1/keys", responses((status = 200, body = KeyList)))]
async fn keys(State(state): State<ApiState>) -> Result<Json<KeyList>, ApiError> {
    Ok(Json(KeyList { keys: state.ledger.keys().await? }))
}

#[derive(OpenApi)]
#[openapi(info(title = "Purser", description = "Who spent what on which model, and what is left. Money is in nano-USD, times in milliseconds since 1970."))]
struct Document;

/// All routes, with their description.
pub fn router(state: ApiState) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(summary))
        .routes(routes!(spend))
        .routes(routes!(top))
        .routes(routes!(budgets))
        .routes(routes!(proxies))
        .routes(routes!(records))
        .routes(routes!(record))
        .routes(routes!(policy))
        .routes(routes!(keys))
        .split_for_parts();
    let document = Arc::new(document);
    router
        .with_state(state)
        .route("/healthz", axum::routing::get(|| async { "ok\n" }))
        .route("/api/openapi.json", axum::routing::get(move || std::future::ready(Json(Arc::clone(&document)))))
}
