//! What the API answers.

use purser_core::pricing::PriceBook;
use purser_core::record::Cost;
use purser_core::usage::Kind;
use purser_ledger::{BudgetRow, KeyRow, ProxyRow, Records, Spend, StoredRecord, Summary, TopRow};
use purser_policy::{DocumentRef, Problem};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorText,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorText {
    message: String,
    fix: String,
}

impl ErrorBody {
    pub(crate) fn new(message: String, fix: String) -> Self {
        Self { error: ErrorText { message, fix } }
    }
}

/// All of a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SummaryAnswer {
    /// From this minute, milliseconds since 1970.
    from_ms: u64,
    /// Up to this time, not in it.
    to_ms: u64,
    /// What was spent.
    spend_nano_usd: u64,
    /// Exchanges, refused ones among them.
    requests: u64,
    /// Refused by us.
    refused: u64,
    /// Without an answer, or with a provider's error.
    failed: u64,
    /// Answered by a model without a price.
    unpriced: u64,
    /// Answered in a way that could not be read.
    unmetered: u64,
    /// Whose usage is partial or estimated.
    estimated: u64,
    /// What was used, by kind; a kind that was not is left out.
    units: BTreeMap<&'static str, u64>,
}

impl From<Summary> for SummaryAnswer {
    fn from(sums: Summary) -> Self {
        let Summary {
            from_ms,
            to_ms,
            spend_nano_usd,
            requests,
            refused,
            failed,
            unpriced,
            unmetered,
            estimated,
            units,
        } = sums;
        let units = units.used().map(|(kind, count)| (kind.name(), count)).collect();
        Self { from_ms, to_ms, spend_nano_usd, requests, refused, failed, unpriced, unmetered, estimated, units }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpendAnswer(pub(crate) Spend);

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopList {
    pub(crate) rows: Vec<TopRow>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetList {
    pub(crate) budgets: Vec<BudgetAnswer>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetAnswer {
    #[serde(flatten)]
    row: BudgetRow,
    thresholds_percent: Vec<u32>,
    /// The highest threshold that spend has reached.
    crossed_percent: Option<u32>,
}

impl BudgetAnswer {
    pub(crate) fn new(row: BudgetRow, thresholds_percent: Vec<u32>) -> Self {
        let reached = |percent: &&u32| {
            u128::from(row.spent_nano_usd) * 100 >= u128::from(row.limit_nano_usd) * u128::from(**percent)
        };
        let crossed_percent = thresholds_percent.iter().filter(reached).max().copied();
        Self { row, thresholds_percent, crossed_percent }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProxyList {
    pub(crate) proxies: Vec<ProxyAnswer>,
}

/// A proxy: what xDS knows of it, and what it reported.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ProxyAnswer {
    /// Whether its xDS stream is open.
    pub connected: bool,
    /// Envoy's version.
    pub envoy_version: String,
    /// What it said of each kind of configuration.
    pub config: Vec<ConfigView>,
    /// What it reported.
    #[serde(flatten)]
    pub report: ProxyRow,
}

/// What a proxy said of a kind of configuration.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConfigView {
    /// clusters, secrets, listeners, routes, filter.
    pub r#type: String,
    /// Content hash.
    pub version: String,
    /// acked or nacked.
    pub status: String,
    /// Why it was refused.
    pub error: Option<String>,
    /// When.
    pub at_ms: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordList(pub(crate) Records);

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordAnswer {
    /// The record, as the proxy wrote it.
    #[schema(value_type = Object)]
    record: serde_json::Value,
    /// The price it was priced with; absent when it had none or the book no longer has it.
    price: Option<PriceAnswer>,
    received_ms: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct PriceAnswer {
    /// `provider/model@date`.
    entry: String,
    /// Where it was read.
    source_url: Option<String>,
    /// When.
    checked: Option<String>,
    /// USD per 10⁶ tokens, by kind.
    rates: BTreeMap<String, String>,
}

impl RecordAnswer {
    pub(crate) fn new(found: StoredRecord, book: Option<&PriceBook>) -> Self {
        let price = match &found.record.cost {
            Cost::Priced { entry, .. } => book.and_then(|book| book.by_entry_name(entry)).map(|price| {
                let prompt = found.record.usage.as_ref().map(|usage| usage.units.prompt()).unwrap_or(0);
                let tier = price.rates.tier(prompt);
                let rate = |kind: Kind| {
                    let rate = price.rates.rate(kind, tier)?;
                    let text = serde_json::to_value(rate).ok()?.as_str()?.to_owned();
                    Some((kind.name().to_owned(), text))
                };
                PriceAnswer {
                    entry: entry.clone(),
                    source_url: price.entry.source.as_ref().map(|source| source.url.clone()),
                    checked: price
                        .entry
                        .source
                        .as_ref()
                        .and_then(|source| serde_json::to_value(source.checked).ok())
                        .and_then(|date| date.as_str().map(str::to_owned)),
                    rates: Kind::ALL.into_iter().filter_map(rate).collect(),
                }
            }),
            _ => None,
        };
        let record = serde_json::from_str(&found.line).unwrap_or_default();
        Self { record, price, received_ms: found.received_ms }
    }
}

/// Policy as it stands.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct PolicyView {
    /// Content hash of what is in force.
    pub version: String,
    /// Version of the price book.
    pub price_book: String,
    /// When it was compiled.
    pub loaded_ms: u64,
    /// The folder.
    pub directory: String,
    /// Whether the folder as it is now is what is in force.
    pub good: bool,
    /// What is wrong with it, and what may not do what was meant.
    pub problems: Vec<Problem>,
    /// Where the roll-out stands.
    pub rollout: RolloutAnswer,
    /// What is in force.
    pub documents: Vec<DocumentRef>,
    /// Models asked for in the last 30 days that have no price.
    pub unpriced_models: Vec<String>,
    /// Where the gateway listens.
    pub gateway: String,
    /// Providers that the stand-in answers for, because they have no credential.
    pub stand_in: Vec<String>,
}

/// Where a roll-out stands.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RolloutAnswer {
    /// The policy's version that it brings.
    pub version: String,
    /// idle, canary, rolling or stopped.
    pub state: String,
    /// Proxies that have all of it.
    pub acked: usize,
    /// Proxies connected.
    pub total: usize,
    /// Refusals that stopped it.
    #[schema(value_type = Vec<Object>)]
    pub nacks: Vec<serde_json::Value>,
}

/// Virtual keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyList {
    /// The newest first.
    pub keys: Vec<KeyRow>,
}
