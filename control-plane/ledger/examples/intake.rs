//! `make bench-ledger`: how many records a second go into SQLite, each batch on the disk before it is answered.

#![allow(clippy::unwrap_used, reason = "a measurement")]

use purser_core::sync::{Health, SyncRequest};
use purser_ledger::Ledger;
use std::time::Instant;

const BATCH: u64 = 500;
const BATCHES: u64 = 200;

fn batch(first: u64) -> SyncRequest {
    let line = |seq: u64| {
        let team = seq % 20;
        let line = format!(
            r#"{{"proxy":"p","epoch":1,"seq":{seq},"request_id":"0f2b7c1e-6d3f-4d0c-9a55-6b1f0c3f9a11","started_ms":{},"duration_ms":900,"first_byte_ms":200,"api":"openai.chat","stream":true,"provider":"openai","request_model":"gpt-5-mini","response_model":"gpt-5-mini-2025-08-07","labels":{{"team":{{"value":"team-{team}","source":"key"}},"user":{{"value":"user-{}","source":"header"}}}},"status":200,"outcome":"complete","usage":{{"tokens":{{"input":500,"output":60}},"quality":"exact"}},"cost":{{"status":"priced","nano_usd":245000,"femto_usd_by_kind":{{"input":125000000000,"output":120000000000}},"entry":"openai/gpt-5-mini@2025-08-07"}},"estimate":{{"input":510,"output":100,"reserved_nano_usd":400000}},"charges":[{{"budget":"teams/0/team-{team}","nano_usd":245000}}],"policy":"abc","price_book":"def"}}"#,
            1_800_000_000_000 + seq * 3,
            seq % 500,
        );
        serde_json::value::RawValue::from_string(line).unwrap()
    };
    SyncRequest {
        proxy: "p".into(),
        epoch: 1,
        vm: 1,
        policy: "abc".into(),
        next_seq: first + BATCH,
        open: Vec::new(),
        records: (first..first + BATCH).map(line).collect(),
        leases: Vec::new(),
        health: Health::default(),
    }
}

#[tokio::main]
async fn main() {
    let path = std::env::temp_dir().join(format!("purser-intake-{}.db", std::process::id()));
    let ledger = Ledger::open(&path).unwrap();
    let batches: Vec<SyncRequest> = (0..BATCHES).map(|index| batch(index * BATCH + 1)).collect();
    let began = Instant::now();
    // Four proxies at a time: their batches share transactions.
    let mut under_way = tokio::task::JoinSet::new();
    for (index, request) in batches.into_iter().enumerate() {
        let ledger = ledger.clone();
        under_way.spawn(async move { ledger.sync(request, 1_800_000_000_000 + index as u64).await.unwrap() });
        if under_way.len() >= 4 {
            under_way.join_next().await.unwrap().unwrap();
        }
    }
    under_way.join_all().await;
    let seconds = began.elapsed().as_secs_f64();
    let records = BATCH * BATCHES;
    let summary = ledger.summary(0, u64::MAX / 2).await.unwrap();
    assert_eq!((summary.requests, summary.spend_nano_usd), (records, records * 245_000));
    println!("{records} records in {seconds:.1} s: {:.0} a second, each on the disk before it was answered", records as f64 / seconds);
    drop(ledger);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}
