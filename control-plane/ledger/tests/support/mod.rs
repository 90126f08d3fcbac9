//! What the ledger's tests share: a book in a folder of its own, and what a proxy would send.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "test code; each test file uses a part")]

use purser_core::budget::Instance;
use purser_core::config::BudgetRule;
use purser_core::sync::{Health, LeaseReport, SyncRequest};
use purser_ledger::Ledger;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(crate) struct Book {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) ledger: Ledger,
}

impl Book {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        Self { folder, ledger }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// Opens the file anew, as after a restart.
    pub(crate) fn reopen(&mut self) {
        self.ledger = Ledger::open(&self.path()).unwrap();
    }

    /// What SQLite itself says, read beside the ledger.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// A record of a priced answer, as the filter writes it.
pub(crate) fn record(proxy: &str, epoch: u64, seq: u64) -> Value {
    json!({
        "proxy": proxy, "epoch": epoch, "seq": seq, "request_id": format!("r-{seq}"),
        "started_ms": 1_800_000_000_000_u64 + seq * 10, "duration_ms": 840, "first_byte_ms": 210,
        "api": "openai.chat", "stream": true, "provider": "openai", "request_model": "gpt-5-mini",
        "response_model": "gpt-5-mini-2025-08-07",
        "labels": {
            "team": {"value": "search", "source": "key"},
            "user": {"value": "chen", "source": "header"},
        },
        "status": 200, "outcome": "complete",
        "usage": {"units": {"input": 100, "cache_read": 20, "output": 30}, "quality": "exact"},
        "cost": {
            "status": "priced", "nano_usd": 1_000,
            "femto_usd_by_kind": {"input": 400_000_000, "output": 600_000_000},
            "entry": "openai/gpt-5-mini@2025-08-07",
        },
        "estimate": {"input": 110, "output": 100, "reserved_nano_usd": 2_000},
        "policy": "p1", "price_book": "b1",
    })
}

/// The same with some fields replaced.
pub(crate) fn with(mut record: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

pub(crate) fn sync(proxy: &str, epoch: u64, records: &[Value]) -> SyncRequest {
    let last = records.iter().filter_map(|record| record["seq"].as_u64()).max().unwrap_or(0);
    SyncRequest {
        proxy: proxy.to_owned(),
        epoch,
        vm: 7,
        policy: "p1".to_owned(),
        next_seq: last + 1,
        open: Vec::new(),
        records: records.iter().map(|record| serde_json::value::to_raw_value(record).unwrap()).collect(),
        leases: Vec::new(),
        health: Health { memory_bytes: 4 << 20, ..Health::default() },
    }
}

pub(crate) fn budget(name: &str, per: &[&str], limit: u64, hard: bool) -> BudgetRule {
    serde_json::from_value(json!({
        "name": name, "selector": {}, "per": per, "limit": limit, "hard": hard, "clamp": false,
        "on_unavailable": "closed", "on_unpriced": "deny", "periods_ms": [0, 4_000_000_000_000_u64],
    }))
    .unwrap()
}

pub(crate) fn lease(budget: &str, group: &[&str], want: u64) -> LeaseReport {
    let group = group.iter().map(|value| (*value).to_owned()).collect();
    let instance = Instance { budget: budget.to_owned(), period_ms: 0, group };
    LeaseReport { instance, granted: 0, spent: 0, returned: 0, reserved: 0, want }
}

pub(crate) fn lease_sync(proxy: &str, epoch: u64, lease: LeaseReport) -> SyncRequest {
    SyncRequest { leases: vec![lease], ..sync(proxy, epoch, &[]) }
}
