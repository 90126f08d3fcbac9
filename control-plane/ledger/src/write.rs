//! The one writer. Syncs that come while a transaction is written wait for the next, together.

use crate::schema::column;
use crate::{Budgets, LedgerError, gaps, int, lease, schema};
use purser_core::record::{Cost, Outcome, Record};
use purser_core::sync::{SyncRequest, SyncResponse};
use purser_core::usage::{Kind, Quality, Units};
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params, params_from_iter};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use tokio::sync::oneshot;

/// Syncs in one transaction.
const BATCH: usize = 256;

/// A sync to be written.
pub(crate) struct Job {
    pub(crate) request: SyncRequest,
    pub(crate) now_ms: u64,
    pub(crate) reply: oneshot::Sender<Result<SyncResponse, LedgerError>>,
}

/// Starts the writer. It ends with its last sender.
pub(crate) fn spawn(mut connection: Connection, budgets: Arc<RwLock<Budgets>>) -> mpsc::Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let mut written = 0;
    std::thread::spawn(move || {
        while let Ok(first) = jobs.recv() {
            let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(BATCH)).collect();
            write(&mut connection, &budgets, &mut written, batch);
        }
    });
    sender
}

/// Writes a batch. If it fails as a whole, each is tried alone, so that one cannot stand in the others' way.
fn write(connection: &mut Connection, budgets: &RwLock<Budgets>, written: &mut u64, batch: Vec<Job>) {
    match write_all(connection, budgets, written, &batch) {
        Ok(responses) => {
            for (job, response) in batch.into_iter().zip(responses) {
                // A proxy that no longer listens asks again.
                let _ = job.reply.send(Ok(response));
            }
        }
        Err(error) if batch.len() == 1 => {
            tracing::error!(%error, "a sync could not be written");
            if let Some(job) = batch.into_iter().next() {
                let _ = job.reply.send(Err(error));
            }
        }
        Err(_) => batch.into_iter().for_each(|job| write(connection, budgets, written, vec![job])),
    }
}

/// `written`: number of the budgets that are in the file. Those that are granted by get there before, or with the grant,
/// so that a restart grants by them until policy is read again.
fn write_all(
    connection: &mut Connection,
    budgets: &RwLock<Budgets>,
    written: &mut u64,
    batch: &[Job],
) -> Result<Vec<SyncResponse>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let budgets = budgets.read().unwrap_or_else(PoisonError::into_inner).clone();
    if budgets.number != *written {
        schema::write_budgets(&transaction, &budgets.rules)?;
    }
    let mut sums = Sums::default();
    let mut responses = Vec::with_capacity(batch.len());
    for Job { request, now_ms, .. } in batch {
        let stored = store_records(&transaction, request, *now_ms, &mut sums)?;
        gaps::note(&transaction, request, *now_ms, stored)?;
        let mut response = SyncResponse::default();
        for report in &request.leases {
            let rule = budgets.rules.get(&report.instance.budget);
            let rule = rule.filter(|rule| lease::declares(rule, &report.instance));
            response.leases.push(lease::grant(&transaction, &request.proxy, request.epoch, report, rule, *now_ms)?);
        }
        responses.push(response);
    }
    sums.store(&transaction)?;
    transaction.commit()?;
    *written = budgets.number;
    Ok(responses)
}

/// How many records of a sync were new, and how many were there already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stored {
    pub(crate) new: u64,
    pub(crate) known: u64,
}

fn store_records(
    transaction: &Transaction<'_>,
    request: &SyncRequest,
    now_ms: u64,
    sums: &mut Sums,
) -> Result<Stored, LedgerError> {
    let mut stored = Stored::default();
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO records (proxy, epoch, seq, started_ms, received_ms, org, team, user, feature,
           environment, workload, provider, model, outcome, denied_by, line)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for line in &request.records {
        let record: Record = match read(line, request) {
            Ok(record) => record,
            Err(reason) => {
                quarantine(transaction, request, now_ms, line, &reason)?;
                continue;
            }
        };
        let labels = Dimensions::of(&record);
        let changed = insert.execute(params![
            record.proxy,
            int(record.epoch),
            int(record.seq),
            int(record.started_ms),
            int(now_ms),
            labels.0[0],
            labels.0[1],
            labels.0[2],
            labels.0[3],
            labels.0[4],
            labels.0[5],
            labels.0[6],
            labels.0[7],
            record.outcome.name(),
            record.denied.as_ref().map(|denied| denied.by.as_str()),
            line.get(),
        ])?;
        if changed == 0 {
            stored.known += 1;
            let same: bool = transaction
                .prepare_cached("SELECT line = ?4 FROM records WHERE proxy = ?1 AND epoch = ?2 AND seq = ?3")?
                .query_row(params![record.proxy, int(record.epoch), int(record.seq), line.get()], |row| row.get(0))?;
            if !same {
                quarantine(transaction, request, now_ms, line, "another record of the same number is in the book")?;
            }
        } else {
            stored.new += 1;
            sums.add(&record, labels);
        }
    }
    Ok(stored)
}

/// The largest amount in a record, 10⁶ USD, and the largest count of tokens: what is above is no measurement, and sums
/// of millions of records stay within what SQLite counts.
const AMOUNT_MAX: u64 = 1_000_000_000_000_000;
const TOKENS_MAX: u64 = 1_000_000_000_000;
/// The latest time, the year 5138, and the largest number: what JSON's readers hold exactly.
const TIME_MAX: u64 = 100_000_000_000_000;
pub(crate) const SEQ_MAX: u64 = 1 << 53;

fn read(line: &RawValue, request: &SyncRequest) -> Result<Record, String> {
    let record: Record = serde_json::from_str(line.get()).map_err(|error| error.to_string())?;
    if (record.proxy.as_str(), record.epoch) != (request.proxy.as_str(), request.epoch) {
        return Err("a record of another proxy or epoch".to_owned());
    }
    let tokens = record.usage.as_ref().map(|usage| usage.units.tokens()).unwrap_or(0);
    let within = [
        ("seq", record.seq, 1, SEQ_MAX),
        ("started_ms", record.started_ms, 0, TIME_MAX),
        ("cost.nano_usd", record.cost.amount().unwrap_or_default().0, 0, AMOUNT_MAX),
        ("usage.units", tokens, 0, TOKENS_MAX),
    ];
    match within.into_iter().find(|(_, value, least, most)| value < least || value > most) {
        Some((name, value, least, most)) => Err(format!("{name} is {value}, outside {least}..={most}")),
        None => Ok(record),
    }
}

fn quarantine(
    transaction: &Transaction<'_>,
    request: &SyncRequest,
    now_ms: u64,
    line: &RawValue,
    reason: &str,
) -> Result<(), LedgerError> {
    tracing::warn!(proxy = request.proxy, reason, "a record cannot be read");
    transaction.execute(
        "INSERT OR IGNORE INTO quarantine (proxy, epoch, received_ms, reason, line) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![request.proxy, int(request.epoch), int(now_ms), reason, line.get()],
    )?;
    Ok(())
}

/// org, team, user, feature, environment, workload, provider, model; empty when unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Dimensions([String; 8]);

impl Dimensions {
    fn of(record: &Record) -> Self {
        let label = |name: &str| record.labels.get(name).map(|label| label.value.clone()).unwrap_or_default();
        Self([
            label("org"),
            label("team"),
            label("user"),
            label("feature"),
            label("environment"),
            label("workload"),
            record.provider.clone(),
            record.request_model.clone(),
        ])
    }
}

/// Sums of a batch, by minute and labels.
#[derive(Default)]
struct Sums(HashMap<(u64, Dimensions), Sum>);

#[derive(Default)]
struct Sum {
    requests: u64,
    refused: u64,
    failed: u64,
    unpriced: u64,
    unmetered: u64,
    estimated: u64,
    nano_usd: u64,
    units: Units,
}

impl Sums {
    fn add(&mut self, record: &Record, labels: Dimensions) {
        let minute_ms = record.started_ms - record.started_ms % 60_000;
        let sum = self.0.entry((minute_ms, labels)).or_default();
        sum.requests += 1;
        sum.refused += u64::from(record.outcome == Outcome::Denied);
        let failed = record.outcome == Outcome::Failed || record.status >= 500;
        sum.failed += u64::from(failed && record.outcome != Outcome::Denied);
        sum.unpriced += u64::from(record.cost == Cost::Unpriced);
        sum.unmetered += u64::from(record.cost == Cost::Unmetered);
        sum.nano_usd = sum.nano_usd.saturating_add(record.cost.amount().unwrap_or_default().0);
        if let Some(usage) = &record.usage {
            sum.estimated += u64::from(usage.quality != Quality::Exact);
            sum.units.add_all(&usage.units);
        }
    }

    fn store(self, transaction: &Transaction<'_>) -> Result<(), LedgerError> {
        let mut upsert = transaction.prepare_cached(&upsert())?;
        for ((minute_ms, Dimensions(labels)), sum) in self.0 {
            let [org, team, user, feature, environment, workload, provider, model] = labels;
            let mut values: Vec<Value> = vec![
                int(minute_ms).into(),
                org.into(),
                team.into(),
                user.into(),
                feature.into(),
                environment.into(),
                workload.into(),
                provider.into(),
                model.into(),
            ];
            let counts =
                [sum.requests, sum.refused, sum.failed, sum.unpriced, sum.unmetered, sum.estimated, sum.nano_usd];
            let units = Kind::ALL.into_iter().map(|kind| sum.units.get(kind));
            values.extend(counts.into_iter().chain(units).map(|count| int(count).into()));
            upsert.execute(params_from_iter(values))?;
        }
        Ok(())
    }
}

/// The statement that adds a row of sums: what it is of, then the sums.
fn upsert() -> String {
    const OF: [&str; 9] =
        ["minute_ms", "org", "team", "user", "feature", "environment", "workload", "provider", "model"];
    const COUNTS: [&str; 7] = ["requests", "refused", "failed", "unpriced", "unmetered", "estimated", "nano_usd"];
    let sums: Vec<&str> = COUNTS.into_iter().chain(Kind::ALL.into_iter().map(column)).collect();
    let columns: Vec<&str> = OF.into_iter().chain(sums.iter().copied()).collect();
    let places: Vec<String> = (1..=columns.len()).map(|at| format!("?{at}")).collect();
    let added: Vec<String> = sums.iter().map(|sum| format!("{sum} = {sum} + excluded.{sum}")).collect();
    format!(
        "INSERT INTO spend ({}) VALUES ({}) ON CONFLICT DO UPDATE SET {}",
        columns.join(", "),
        places.join(", "),
        added.join(", ")
    )
}
