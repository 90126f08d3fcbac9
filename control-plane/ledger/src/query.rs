//! What people ask of the book. Sums come from the minute roll-ups, single records from the records.

use crate::schema::column;
use crate::{Ledger, LedgerError, gaps, int};
use purser_core::config::BudgetRule;
use purser_core::record::Record;
use purser_core::usage::{Kind, Quality, Units};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use utoipa::ToSchema;

/// Series of a chart; what is beyond them is folded into one.
const SERIES: usize = 12;

/// The most columns of a chart; what is beyond them is left out.
const BUCKETS: u64 = 10_000;

/// What sums are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the column of its name")]
pub enum By {
    Org,
    Team,
    User,
    Feature,
    Environment,
    Workload,
    Provider,
    Model,
}

impl By {
    fn column(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Team => "team",
            Self::User => "user",
            Self::Feature => "feature",
            Self::Environment => "environment",
            Self::Workload => "workload",
            Self::Provider => "provider",
            Self::Model => "model",
        }
    }
}

/// The width of a chart's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Bucket {
    Minute,
    Hour,
    Day,
}

impl Bucket {
    /// The width, milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// All of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Summary {
    /// From this minute, milliseconds since 1970.
    pub from_ms: u64,
    /// Up to this one, not in it.
    pub to_ms: u64,
    /// What was spent.
    pub spend_nano_usd: u64,
    /// Exchanges, refused ones among them.
    pub requests: u64,
    /// Refused by us.
    pub refused: u64,
    /// Without an answer, or with a provider's error.
    pub failed: u64,
    /// Answered by a model without a price.
    pub unpriced: u64,
    /// Answered in a way that could not be read.
    pub unmetered: u64,
    /// Whose usage is partial or estimated.
    pub estimated: u64,
    /// What was used.
    pub units: Units,
}

/// A line of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Series {
    /// The label's value; empty: unknown.
    pub key: String,
    /// All that had no room of its own.
    pub folded: bool,
    /// Spend by bucket.
    pub nano_usd: Vec<u64>,
    /// Exchanges by bucket.
    pub requests: Vec<u64>,
}

/// Spend over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Spend {
    /// Width of a bucket.
    pub bucket_ms: u64,
    /// Start of each bucket.
    pub starts_ms: Vec<u64>,
    /// The dearest first.
    pub series: Vec<Series>,
}

/// One of the top spenders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TopRow {
    /// The label's value; empty: unknown.
    pub key: String,
    /// What was spent.
    pub nano_usd: u64,
    /// Exchanges.
    pub requests: u64,
    /// Refused ones.
    pub refused: u64,
    /// Unpriced ones.
    pub unpriced: u64,
    /// Prompt tokens of all kinds.
    pub prompt_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// A label of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupLabel {
    /// Its name.
    pub label: String,
    /// Its value.
    pub value: String,
}

/// A period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeriodRow {
    /// Its start, milliseconds since 1970.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
}

/// What a proxy holds of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BudgetAccount {
    /// Its id.
    pub proxy: String,
    /// Its run.
    pub epoch: u64,
    /// Granted in all.
    pub granted: u64,
    /// Spent in all.
    pub spent: u64,
    /// Given back in all.
    pub returned: u64,
    /// Held for exchanges under way, at its last report.
    pub reserved: u64,
}

/// A budget, for one group, in the running period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BudgetRow {
    /// The document's name.
    pub budget: String,
    /// The group; absent: no request was counted yet.
    pub group: Option<Vec<GroupLabel>>,
    /// The running period.
    pub period: PeriodRow,
    /// The amount.
    pub limit_nano_usd: u64,
    /// Settled.
    pub spent_nano_usd: u64,
    /// Granted to proxies and not spent.
    pub reserved_nano_usd: u64,
    /// What is left to grant.
    pub left_nano_usd: u64,
    /// Whether it refuses.
    pub hard: bool,
    /// Refusals of this group in the running period.
    pub refused: u64,
    /// By proxy.
    pub proxies: Vec<BudgetAccount>,
}

/// A proxy as the book knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProxyRow {
    /// Its id.
    pub proxy: String,
    /// Its latest run.
    pub epoch: u64,
    /// The policy in force there.
    pub policy: String,
    /// When it last reported.
    pub last_report_ms: u64,
    /// Records received, of all runs.
    pub records: u64,
    /// Numbers taken whose records never came.
    pub missing: u64,
    /// Records that came again.
    pub duplicates: u64,
    /// Numbers under way.
    pub open: u64,
    /// Records that could not be read.
    pub quarantined: u64,
    /// Records that its filter dropped.
    pub dropped: u64,
    /// Exchanges that waited for a cold lease in this run.
    pub cold_waits: u64,
    /// Syncs that failed in this run.
    pub sync_failures: u64,
    /// Linear memory of its largest VM.
    pub memory_bytes: u64,
}

/// Which records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// At most so many.
    pub limit: u64,
    /// Older than this cursor.
    pub before: Option<u64>,
    /// Column to value.
    pub equal: Vec<(By, String)>,
    /// Outcome.
    pub outcome: Option<String>,
    /// From this time.
    pub from_ms: Option<u64>,
    /// Up to this time.
    pub to_ms: Option<u64>,
}

/// A record in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecordRow {
    /// `proxy/epoch/seq`.
    pub id: String,
    /// When it began.
    pub started_ms: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// To the first byte.
    pub first_byte_ms: Option<u64>,
    /// Wire format.
    pub api: String,
    /// Streamed.
    pub stream: bool,
    /// Who served.
    pub provider: String,
    /// What was asked for.
    pub request_model: String,
    /// What answered.
    pub response_model: Option<String>,
    /// Status that the caller got.
    pub status: u16,
    /// How it ended.
    pub outcome: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Prompt tokens of all kinds.
    pub prompt_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// How sure the usage is.
    pub quality: Option<Quality>,
    /// `priced`, `unpriced`, `unmetered`, `pending`, `none`.
    pub cost_status: String,
    /// The cost, when it is known.
    pub nano_usd: Option<u64>,
    /// Who refused it, and why.
    pub denied: Option<purser_core::record::Denied>,
}

/// A list of records, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Records {
    /// Them.
    pub records: Vec<RecordRow>,
    /// `before` of the next page.
    pub next: Option<u64>,
}

/// One record as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// It.
    pub record: Record,
    /// Its line, byte for byte.
    pub line: String,
    /// When it came.
    pub received_ms: u64,
}

fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, Option<i64>>(index)?.unwrap_or(0)).unwrap_or(0))
}

impl Ledger {
    /// Sums of a time.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn summary(&self, from_ms: u64, to_ms: u64) -> Result<Summary, LedgerError> {
        self.read(move |connection| {
            let kinds: Vec<String> = Kind::ALL.iter().map(|kind| format!("sum({})", column(*kind))).collect();
            let mut query = connection.prepare_cached(&format!(
                "SELECT sum(nano_usd), sum(requests), sum(refused), sum(failed), sum(unpriced), sum(unmetered),
                   sum(estimated), {}
                 FROM spend WHERE minute_ms >= ?1 AND minute_ms < ?2",
                kinds.join(", ")
            ))?;
            let summary = query.query_row(params![int(from_ms), int(to_ms)], |row| {
                let mut units = Units::default();
                for (at, kind) in Kind::ALL.into_iter().enumerate() {
                    units.set(kind, number(row, 7 + at)?);
                }
                Ok(Summary {
                    from_ms,
                    to_ms,
                    spend_nano_usd: number(row, 0)?,
                    requests: number(row, 1)?,
                    refused: number(row, 2)?,
                    failed: number(row, 3)?,
                    unpriced: number(row, 4)?,
                    unmetered: number(row, 5)?,
                    estimated: number(row, 6)?,
                    units,
                })
            })?;
            Ok(summary)
        })
        .await
    }

    /// Spend over time, stacked.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn spend(&self, from_ms: u64, to_ms: u64, by: By, bucket: Bucket) -> Result<Spend, LedgerError> {
        self.read(move |connection| {
            let bucket_ms = bucket.ms();
            let first = from_ms - from_ms % bucket_ms;
            let starts_ms: Vec<u64> =
                (0..BUCKETS).map(|index| first + index * bucket_ms).take_while(|start| *start < to_ms).collect();
            let sql = format!(
                "SELECT {}, (minute_ms - ?3) / ?4, sum(nano_usd), sum(requests) FROM spend
                 WHERE minute_ms >= ?1 AND minute_ms < ?2 GROUP BY 1, 2",
                by.column()
            );
            let mut query = connection.prepare_cached(&sql)?;
            let mut rows = query.query(params![int(first), int(to_ms), int(first), int(bucket_ms)])?;
            let mut series: BTreeMap<String, Series> = BTreeMap::new();
            let empty = vec![0u64; starts_ms.len()];
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                let index = usize::try_from(number(row, 1)?).unwrap_or(usize::MAX);
                let one = series.entry(key.clone()).or_insert_with(|| Series {
                    key,
                    folded: false,
                    nano_usd: empty.clone(),
                    requests: empty.clone(),
                });
                if let (Some(nano), Some(requests)) = (one.nano_usd.get_mut(index), one.requests.get_mut(index)) {
                    *nano = number(row, 2)?;
                    *requests = number(row, 3)?;
                }
            }
            let mut series: Vec<Series> = series.into_values().collect();
            series.sort_by_key(|one| std::cmp::Reverse(one.nano_usd.iter().sum::<u64>()));
            if series.len() > SERIES {
                let rest = series.split_off(SERIES - 1);
                let mut other = Series { key: "other".into(), folded: true, nano_usd: empty.clone(), requests: empty };
                for one in rest {
                    other.nano_usd.iter_mut().zip(one.nano_usd).for_each(|(sum, more)| *sum += more);
                    other.requests.iter_mut().zip(one.requests).for_each(|(sum, more)| *sum += more);
                }
                series.push(other);
            }
            Ok(Spend { bucket_ms, starts_ms, series })
        })
        .await
    }

    /// Who spent most.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn top(&self, from_ms: u64, to_ms: u64, by: By, limit: u64) -> Result<Vec<TopRow>, LedgerError> {
        self.read(move |connection| {
            let sum = |kinds: &[Kind]| kinds.iter().map(|kind| column(*kind)).collect::<Vec<_>>().join(" + ");
            let sql = format!(
                "SELECT {}, sum(nano_usd), sum(requests), sum(refused), sum(unpriced), sum({}), sum({})
                 FROM spend WHERE minute_ms >= ?1 AND minute_ms < ?2 GROUP BY 1 ORDER BY 2 DESC, 3 DESC LIMIT ?3",
                by.column(),
                sum(&Kind::PROMPT),
                sum(&Kind::OUTPUT)
            );
            let mut query = connection.prepare_cached(&sql)?;
            let rows = query.query_map(params![int(from_ms), int(to_ms), int(limit)], |row| {
                Ok(TopRow {
                    key: row.get(0)?,
                    nano_usd: number(row, 1)?,
                    requests: number(row, 2)?,
                    refused: number(row, 3)?,
                    unpriced: number(row, 4)?,
                    prompt_tokens: number(row, 5)?,
                    output_tokens: number(row, 6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Every declared budget, with each of its groups in the running period.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn budgets(&self, now_ms: u64) -> Result<Vec<BudgetRow>, LedgerError> {
        let rules = Arc::clone(&self.budgets.read().unwrap_or_else(PoisonError::into_inner).rules);
        self.read(move |connection| {
            let mut rows = Vec::new();
            for rule in rules.values() {
                let start = rule.periods_ms.iter().rev().find(|start| **start <= now_ms).copied().unwrap_or(0);
                let end = rule.periods_ms.iter().find(|start| **start > now_ms).copied().unwrap_or(0);
                let empty = BudgetRow {
                    budget: rule.name.clone(),
                    group: None,
                    period: PeriodRow { start_ms: start, end_ms: end },
                    limit_nano_usd: rule.limit,
                    spent_nano_usd: 0,
                    reserved_nano_usd: 0,
                    left_nano_usd: rule.limit,
                    hard: rule.hard,
                    refused: 0,
                    proxies: Vec::new(),
                };
                let mut groups: BTreeMap<String, BudgetRow> = BTreeMap::new();
                let mut query = connection.prepare_cached(
                    "SELECT instance, labels, proxy, epoch, granted, spent, returned, reserved
                     FROM leases WHERE budget = ?1 AND period_ms = ?2",
                )?;
                let mut found = query.query(params![rule.name, int(start)])?;
                while let Some(row) = found.next()? {
                    let labels: Vec<(String, String)> = serde_json::from_str(&row.get::<_, String>(1)?)?;
                    let group = labels.into_iter().map(|(label, value)| GroupLabel { label, value }).collect();
                    let one =
                        groups.entry(row.get(0)?).or_insert_with(|| BudgetRow { group: Some(group), ..empty.clone() });
                    let account = BudgetAccount {
                        proxy: row.get(2)?,
                        epoch: number(row, 3)?,
                        granted: number(row, 4)?,
                        spent: number(row, 5)?,
                        returned: number(row, 6)?,
                        reserved: number(row, 7)?,
                    };
                    let outstanding = account.granted.saturating_sub(account.returned).saturating_sub(account.spent);
                    one.spent_nano_usd = one.spent_nano_usd.saturating_add(account.spent);
                    one.reserved_nano_usd = one.reserved_nano_usd.saturating_add(outstanding);
                    one.proxies.push(account);
                }
                let refused = refused(connection, rule, start)?;
                for one in groups.values_mut() {
                    let gone = one.spent_nano_usd.saturating_add(one.reserved_nano_usd);
                    one.left_nano_usd = one.limit_nano_usd.saturating_sub(gone);
                    let values: Vec<&str> = one.group.iter().flatten().map(|label| label.value.as_str()).collect();
                    one.refused = refused.get(&values.join("\0")).copied().unwrap_or(0);
                }
                if groups.is_empty() {
                    rows.push(empty);
                }
                rows.extend(groups.into_values());
            }
            Ok(rows)
        })
        .await
    }

    /// Every proxy that ever reported.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn proxies(&self, now_ms: u64) -> Result<Vec<ProxyRow>, LedgerError> {
        self.read(move |connection| {
            // SQLite takes the columns that are not sums from the row of the one max().
            let mut query = connection.prepare_cached(
                "SELECT proxy, max(epoch), policy, reported_ms, sum(received), sum(duplicates)
                 FROM epochs GROUP BY proxy ORDER BY proxy",
            )?;
            let mut rows = query.query([])?;
            let mut proxies = Vec::new();
            while let Some(row) = rows.next()? {
                let proxy: String = row.get(0)?;
                let epoch = number(row, 1)?;
                let (missing, open) = gaps::count(connection, &proxy, now_ms)?;
                let quarantined = connection
                    .prepare_cached("SELECT count(*) FROM quarantine WHERE proxy = ?1")?
                    .query_row([&proxy], |row| number(row, 0))?;
                let mut one = ProxyRow {
                    epoch,
                    policy: row.get(2)?,
                    last_report_ms: number(row, 3)?,
                    records: number(row, 4)?,
                    duplicates: number(row, 5)?,
                    missing,
                    open,
                    quarantined,
                    proxy,
                    ..ProxyRow::default()
                };
                let mut vms = connection.prepare_cached(
                    "SELECT max(memory_bytes), sum(dropped), sum(cold_waits), sum(sync_failures)
                     FROM vms WHERE proxy = ?1 AND epoch = ?2",
                )?;
                vms.query_row(params![one.proxy.clone(), int(epoch)], |row| {
                    one.memory_bytes = number(row, 0)?;
                    one.dropped = number(row, 1)?;
                    one.cold_waits = number(row, 2)?;
                    one.sync_failures = number(row, 3)?;
                    Ok(())
                })?;
                proxies.push(one);
            }
            Ok(proxies)
        })
        .await
    }

    /// Records, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn records(&self, filter: RecordFilter) -> Result<Records, LedgerError> {
        self.read(move |connection| {
            let mut clauses = vec!["1".to_owned()];
            let mut values: Vec<Value> = Vec::new();
            let mut add = |clause: &str, value: Value| {
                values.push(value);
                clauses.push(format!("{clause} ?{}", values.len()));
            };
            if let Some(before) = filter.before {
                add("id <", int(before).into());
            }
            if let Some(from) = filter.from_ms {
                add("started_ms >=", int(from).into());
            }
            if let Some(to) = filter.to_ms {
                add("started_ms <", int(to).into());
            }
            if let Some(outcome) = filter.outcome {
                add("outcome =", outcome.into());
            }
            for (by, value) in filter.equal {
                add(&format!("{} =", by.column()), value.into());
            }
            let limit = filter.limit.clamp(1, 1_000);
            let sql = format!(
                "SELECT id, line FROM records WHERE {} ORDER BY id DESC LIMIT {}",
                clauses.join(" AND "),
                limit + 1
            );
            let mut query = connection.prepare(&sql)?;
            let mut rows = query.query(params_from_iter(values))?;
            let (mut records, mut last, mut next) = (Vec::new(), 0, None);
            while let Some(row) = rows.next()? {
                if records.len() as u64 == limit {
                    next = Some(last);
                    break;
                }
                last = number(row, 0)?;
                records.push(RecordRow::of(serde_json::from_str(&row.get::<_, String>(1)?)?));
            }
            Ok(Records { records, next })
        })
        .await
    }

    /// One record.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn record(&self, proxy: String, epoch: u64, seq: u64) -> Result<Option<StoredRecord>, LedgerError> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached("SELECT line, received_ms FROM records WHERE proxy = ?1 AND epoch = ?2 AND seq = ?3")?;
            let mut rows = query.query(params![proxy, int(epoch), int(seq)])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let line: String = row.get(0)?;
            Ok(Some(StoredRecord { record: serde_json::from_str(&line)?, line, received_ms: number(row, 1)? }))
        })
        .await
    }

    /// Models that were asked for and had no price, in a time.
    ///
    /// # Errors
    /// [`LedgerError`] when the book cannot be read.
    pub async fn unpriced_models(&self, from_ms: u64) -> Result<Vec<String>, LedgerError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT DISTINCT model FROM spend WHERE minute_ms >= ?1 AND unpriced > 0 ORDER BY model LIMIT 100",
            )?;
            let rows = query.query_map([int(from_ms)], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Refusals by a budget in its running period, by the values of its group's labels.
fn refused(connection: &Connection, rule: &BudgetRule, start_ms: u64) -> Result<BTreeMap<String, u64>, LedgerError> {
    // Policy admits only these names, which are columns.
    let columns: Vec<&str> =
        purser_core::labels::NAMES.into_iter().filter(|name| rule.per.iter().any(|per| per == name)).collect();
    let per: Vec<&str> = rule.per.iter().map(String::as_str).filter(|per| columns.contains(per)).collect();
    let key = if per.is_empty() { "''".to_owned() } else { per.join(" || char(0) || ") };
    let sql = format!("SELECT {key}, count(*) FROM records WHERE denied_by = ?1 AND started_ms >= ?2 GROUP BY 1");
    let mut query = connection.prepare_cached(&sql)?;
    let rows = query.query_map(params![format!("Budget/{}", rule.name), int(start_ms)], |row| {
        Ok((row.get::<_, String>(0)?, number(row, 1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl RecordRow {
    fn of(record: Record) -> Self {
        let units = record.usage.as_ref().map(|usage| usage.units).unwrap_or_default();
        let (cost_status, nano_usd) = match &record.cost {
            purser_core::record::Cost::Priced { nano_usd, .. } => ("priced", Some(*nano_usd)),
            purser_core::record::Cost::Unpriced => ("unpriced", None),
            purser_core::record::Cost::Unmetered => ("unmetered", None),
            purser_core::record::Cost::Pending => ("pending", None),
            purser_core::record::Cost::None => ("none", Some(0)),
        };
        Self {
            id: format!("{}/{}/{}", record.proxy, record.epoch, record.seq),
            started_ms: record.started_ms,
            duration_ms: record.duration_ms,
            first_byte_ms: record.first_byte_ms,
            api: record.api.name().to_owned(),
            stream: record.stream,
            provider: record.provider,
            request_model: record.request_model,
            response_model: record.response_model,
            status: record.status,
            outcome: record.outcome.name().to_owned(),
            labels: record.labels.into_iter().map(|(name, label)| (name, label.value)).collect(),
            prompt_tokens: units.prompt(),
            output_tokens: units.output(),
            quality: record.usage.map(|usage| usage.quality),
            cost_status: cost_status.to_owned(),
            nano_usd,
            denied: record.denied,
        }
    }
}
