//! The JSON API for people and programs: `/api/v1`, described by `/api/openapi.json`.

mod answer;
#[cfg(test)]
mod tests;

pub use answer::{ConfigView, KeyList, PolicyView, ProxyAnswer, RolloutAnswer};

use crate::now_ms;
use answer::{
    BudgetAnswer, BudgetList, ErrorBody, ProxyList, RecordAnswer, RecordList, SpendAnswer, SummaryAnswer, TopList,
};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use purser_core::pricing::PriceBook;
use purser_core::record::Outcome;
use purser_ledger::{Bucket, By, Ledger, LedgerError, RecordFilter};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const DAY_MS: u64 = 86_400_000;
/// Rows of one answer.
const LARGEST_PAGE: u64 = 1_000;
/// The last millisecond of the year 9999: what is beyond is no time but a slip of the unit.
const LAST_MS: u64 = 253_402_300_799_999;

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

impl ApiError {
    fn bad(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Bad { message: message.into(), fix: fix.into() }
    }
}

/// Query parameters, with an error that names the fix.
struct Params<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        let Query(it) = query.map_err(|error| {
            ApiError::bad(error.body_text(), "mind the parameters' names and types: see /api/openapi.json")
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

/// A number in bounds, or the default.
fn bounded(name: &str, given: Option<u64>, default: u64, most: u64) -> Result<u64, ApiError> {
    let number = given.unwrap_or(default);
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    Err(ApiError::bad(format!("{name} is {number}"), format!("{name} is from 1 to {most}")))
}

/// A time, when it can be one.
fn moment(name: &str, given: Option<u64>) -> Result<Option<u64>, ApiError> {
    match given {
        Some(ms) if ms > LAST_MS => {
            Err(ApiError::bad(format!("{name} is {ms}: beyond the year 9999"), "times are in milliseconds since 1970"))
        }
        given => Ok(given),
    }
}

/// From and to; from the start of a minute on, which is the finest that sums are kept.
fn range(from_ms: Option<u64>, to_ms: Option<u64>) -> Result<(u64, u64), ApiError> {
    let to = moment("to_ms", to_ms)?.unwrap_or_else(|| now_ms().saturating_add(60_000));
    let from = moment("from_ms", from_ms)?.unwrap_or(to.saturating_sub(DAY_MS));
    if from >= to {
        return Err(ApiError::bad("from_ms is not before to_ms", "swap them, or leave them out"));
    }
    Ok((from - from % 60_000, to))
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
    org: Option<String>,
    team: Option<String>,
    user: Option<String>,
    feature: Option<String>,
    environment: Option<String>,
    workload: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    /// complete, aborted, denied or failed.
    outcome: Option<String>,
}

/// All of a time.
#[utoipa::path(get, path = "/api/v1/summary", params(Time), responses((status = 200, body = SummaryAnswer), (status = 400, body = ErrorBody)))]
async fn summary(State(state): State<ApiState>, Params(time): Params<Time>) -> Result<Json<SummaryAnswer>, ApiError> {
    let (from, to) = range(time.from_ms, time.to_ms)?;
    Ok(Json(state.ledger.summary(from, to).await?.into()))
}

/// Spend over time, stacked.
#[utoipa::path(get, path = "/api/v1/spend", params(SpendParams), responses((status = 200, body = SpendAnswer), (status = 400, body = ErrorBody)))]
async fn spend(
    State(state): State<ApiState>,
    Params(params): Params<SpendParams>,
) -> Result<Json<SpendAnswer>, ApiError> {
    let (from, to) = range(params.from_ms, params.to_ms)?;
    let bucket = params.bucket.unwrap_or(Bucket::Hour);
    let width = match bucket {
        Bucket::Minute => 60_000,
        Bucket::Hour => 3_600_000,
        Bucket::Day => DAY_MS,
    };
    if (to - from) / width > 2_000 {
        return Err(ApiError::bad("more than 2,000 columns", "a wider `bucket`, or a shorter time"));
    }
    Ok(Json(SpendAnswer(state.ledger.spend(from, to, params.by.unwrap_or(By::Team), bucket).await?)))
}

/// Who spent most.
#[utoipa::path(get, path = "/api/v1/top", params(TopParams), responses((status = 200, body = TopList), (status = 400, body = ErrorBody)))]
async fn top(State(state): State<ApiState>, Params(params): Params<TopParams>) -> Result<Json<TopList>, ApiError> {
    let (from, to) = range(params.from_ms, params.to_ms)?;
    let limit = bounded("limit", params.limit, 20, LARGEST_PAGE)?;
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
    for row in state.ledger.proxies(now_ms()).await? {
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
async fn records(
    State(state): State<ApiState>,
    Params(params): Params<RecordParams>,
) -> Result<Json<RecordList>, ApiError> {
    let labels = [
        (By::Org, params.org),
        (By::Team, params.team),
        (By::User, params.user),
        (By::Feature, params.feature),
        (By::Environment, params.environment),
        (By::Workload, params.workload),
        (By::Provider, params.provider),
        (By::Model, params.model),
    ];
    let outcomes = [Outcome::Complete, Outcome::Aborted, Outcome::Denied, Outcome::Failed].map(Outcome::name);
    if let Some(outcome) = params.outcome.as_deref().filter(|it| !outcomes.contains(it)) {
        return Err(ApiError::bad(format!("no outcome `{outcome}`"), format!("one of {}", outcomes.join(", "))));
    }
    let filter = RecordFilter {
        limit: bounded("limit", params.limit, 50, LARGEST_PAGE)?,
        before: params.before,
        equal: labels.into_iter().filter_map(|(by, value)| Some((by, value?))).collect(),
        outcome: params.outcome,
        from_ms: moment("from_ms", params.from_ms)?,
        to_ms: moment("to_ms", params.to_ms)?,
    };
    Ok(Json(RecordList(state.ledger.records(filter).await?)))
}

/// One record, as it was stored, and the price that it was priced with.
#[utoipa::path(get, path = "/api/v1/records/{proxy}/{epoch}/{seq}",
    params(("proxy" = String, Path), ("epoch" = u64, Path), ("seq" = u64, Path)),
    responses((status = 200, body = RecordAnswer), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn record(
    State(state): State<ApiState>,
    id: Result<Path<(String, u64, u64)>, PathRejection>,
) -> Result<Json<RecordAnswer>, ApiError> {
    let Path((proxy, epoch, seq)) =
        id.map_err(|error| ApiError::bad(error.body_text(), "a record's id is proxy/epoch/seq: see /api/v1/records"))?;
    let found =
        state.ledger.record(proxy, epoch, seq).await?.ok_or_else(|| ApiError::NotFound("such record".into()))?;
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

/// Whether the control plane is up.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(Bucket, By)),
    info(
        title = "Purser",
        description = "Who spent what on which model, and what is left. Money is in nano-USD, times in milliseconds since 1970."
    )
)]
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
        .routes(routes!(healthz))
        .split_for_parts();
    let document = Arc::new(document);
    router
        .with_state(state)
        .route("/api/openapi.json", axum::routing::get(move || std::future::ready(Json(Arc::clone(&document)))))
}
