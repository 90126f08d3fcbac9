//! The tables, and the connections to them.

use crate::LedgerError;
use purser_core::config::BudgetRule;
use purser_core::usage::Kind;
use rusqlite::{Connection, Transaction, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const VERSION: i64 = 2;

const TABLES: &str = "
CREATE TABLE records (
  id INTEGER PRIMARY KEY,
  proxy TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  started_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
  org TEXT NOT NULL, team TEXT NOT NULL, user TEXT NOT NULL, feature TEXT NOT NULL, environment TEXT NOT NULL,
  workload TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
  outcome TEXT NOT NULL, denied_by TEXT,
  line TEXT NOT NULL,
  UNIQUE (proxy, epoch, seq)
) STRICT;
CREATE INDEX records_by_time ON records (started_ms, id);
CREATE INDEX records_by_team ON records (team, id);
CREATE INDEX refusals ON records (denied_by, started_ms) WHERE denied_by IS NOT NULL;

-- Sums by minute and labels, kept in the transaction of the records they are sums of.
CREATE TABLE spend (
  minute_ms INTEGER NOT NULL,
  org TEXT NOT NULL, team TEXT NOT NULL, user TEXT NOT NULL, feature TEXT NOT NULL, environment TEXT NOT NULL,
  workload TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
  requests INTEGER NOT NULL, refused INTEGER NOT NULL, failed INTEGER NOT NULL,
  unpriced INTEGER NOT NULL, unmetered INTEGER NOT NULL, estimated INTEGER NOT NULL, nano_usd INTEGER NOT NULL,
  input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL,
  cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL,
  PRIMARY KEY (minute_ms, org, team, user, feature, environment, workload, provider, model)
) STRICT, WITHOUT ROWID;

-- Records that could not be read: kept, so that they can be, once the reason is known.
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY, proxy TEXT NOT NULL, epoch INTEGER NOT NULL, received_ms INTEGER NOT NULL,
  reason TEXT NOT NULL, line TEXT NOT NULL UNIQUE
) STRICT;

-- One run of a proxy's process. `settled_next` is the next sequence number as it was a while ago, `next_seq` the one
-- that will be: as it was at `next_ms`.
CREATE TABLE epochs (
  proxy TEXT NOT NULL, epoch INTEGER NOT NULL, policy TEXT NOT NULL, reported_ms INTEGER NOT NULL,
  received INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0,
  next_seq INTEGER NOT NULL DEFAULT 1, next_ms INTEGER NOT NULL, settled_next INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (proxy, epoch)
) STRICT, WITHOUT ROWID;

-- What each VM of a process said last: of two messages, the one that knew of more numbers is the later.
CREATE TABLE vms (
  proxy TEXT NOT NULL, epoch INTEGER NOT NULL, vm TEXT NOT NULL, reported_ms INTEGER NOT NULL,
  next_seq INTEGER NOT NULL, open TEXT NOT NULL, memory_bytes INTEGER NOT NULL, dropped INTEGER NOT NULL, sync_failures INTEGER NOT NULL,
  cold_waits INTEGER NOT NULL,
  PRIMARY KEY (proxy, epoch, vm)
) STRICT, WITHOUT ROWID;

-- What a proxy holds of a budget instance. Running totals of its epoch, nano-USD; `reserved` is of its last report.
CREATE TABLE leases (
  instance TEXT NOT NULL, proxy TEXT NOT NULL, epoch INTEGER NOT NULL,
  budget TEXT NOT NULL, period_ms INTEGER NOT NULL, labels TEXT NOT NULL,
  granted INTEGER NOT NULL, spent INTEGER NOT NULL, returned INTEGER NOT NULL, reserved INTEGER NOT NULL,
  reported_ms INTEGER NOT NULL,
  PRIMARY KEY (instance, proxy, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_budget ON leases (budget, period_ms);
CREATE INDEX leases_by_report ON leases (instance, reported_ms);

-- What all proxies together took of a budget instance: spent, and granted and neither spent nor given back.
CREATE TABLE charged (instance TEXT PRIMARY KEY, nano_usd INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- The budgets that leases were last granted by, as JSON.
CREATE TABLE budgets (name TEXT PRIMARY KEY, rule TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, prefix TEXT NOT NULL, sha256 TEXT NOT NULL UNIQUE, labels TEXT NOT NULL,
  created_ms INTEGER NOT NULL, expires_ms INTEGER, revoked_ms INTEGER
) STRICT;

-- Grows with each change of the keys, so that others notice.
CREATE TABLE key_changes (number INTEGER NOT NULL) STRICT;
INSERT INTO key_changes VALUES (0);
";

/// A connection to a book that exists.
pub(crate) fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A grant must be on the disk before a proxy hears of it.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -32_000)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens a book, and makes its tables if it has none.
pub(crate) fn open(path: &Path) -> Result<Connection, LedgerError> {
    let mut connection = connect(path)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => {
            transaction.execute_batch(TABLES)?;
            all_kinds(&transaction)?;
        }
        1 => all_kinds(&transaction)?,
        VERSION => {}
        _ => return Err(LedgerError::TooNew { found, known: VERSION }),
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(connection)
}

/// From version 1 to 2: sums of every kind of unit, where there were five.
fn all_kinds(transaction: &Transaction<'_>) -> Result<(), LedgerError> {
    const FIRST: [Kind; 5] = [Kind::Input, Kind::CacheRead, Kind::CacheWrite5m, Kind::CacheWrite1h, Kind::Output];
    for kind in Kind::ALL.into_iter().filter(|kind| !FIRST.contains(kind)) {
        let add = format!("ALTER TABLE spend ADD COLUMN {} INTEGER NOT NULL DEFAULT 0", column(kind));
        transaction.execute_batch(&add)?;
    }
    Ok(())
}

/// The column of `spend` that sums a kind of unit: its name, but where a count of exchanges has that.
pub(crate) fn column(kind: Kind) -> &'static str {
    if kind == Kind::Requests { "charged_requests" } else { kind.name() }
}

/// The budgets that leases were last granted by.
pub(crate) fn read_budgets(connection: &Connection) -> Result<BTreeMap<String, BudgetRule>, LedgerError> {
    let mut query = connection.prepare("SELECT name, rule FROM budgets")?;
    let mut rows = query.query([])?;
    let mut rules = BTreeMap::new();
    while let Some(row) = rows.next()? {
        rules.insert(row.get(0)?, serde_json::from_str(&row.get::<_, String>(1)?)?);
    }
    Ok(rules)
}

/// Puts these budgets in the place of those that were there.
pub(crate) fn write_budgets(
    transaction: &Transaction<'_>,
    rules: &BTreeMap<String, BudgetRule>,
) -> Result<(), LedgerError> {
    transaction.execute("DELETE FROM budgets", [])?;
    for (name, rule) in rules {
        transaction.execute("INSERT INTO budgets VALUES (?1, ?2)", params![name, serde_json::to_string(rule)?])?;
    }
    Ok(())
}
