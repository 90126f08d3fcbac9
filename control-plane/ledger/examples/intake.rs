//! How many records a second the ledger takes in: `cargo run --release -p purser-ledger --example intake [batches]`.
//!
//! Ten proxies send batches (100 each, when not told) of 100 records, each waiting for its answer, as filters do; the labels make 10 sums a
//! minute. The writer is one thread, so the figure is that of one core. A batch is on the disk when it is answered.

use purser_core::sync::{Health, SyncRequest};
use purser_ledger::{By, Ledger, RecordFilter};
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

const PROXIES: u64 = 10;
const BATCH: u64 = 100;
const START_MS: u64 = 1_800_000_000_000;

fn line(proxy: &str, seq: u64) -> Result<Box<RawValue>, serde_json::Error> {
    let (team, user) = (seq % 5, seq % 10);
    let started_ms = START_MS + seq;
    RawValue::from_string(format!(
        r#"{{"proxy":"{proxy}","epoch":1,"seq":{seq},"request_id":"0b6c2b1e-6a0c-4a4e-9f4d-{seq:012}","started_ms":{started_ms},"duration_ms":1840,"first_byte_ms":310,"api":"openai.chat","stream":true,"provider":"openai","request_model":"gpt-5-mini","response_model":"gpt-5-mini-2025-08-07","labels":{{"environment":{{"value":"prod","source":"workload"}},"team":{{"value":"team-{team}","source":"key"}},"user":{{"value":"user-{user}","source":"header"}}}},"status":200,"outcome":"complete","usage":{{"units":{{"input":812,"cache_read":2048,"output":377}},"quality":"exact"}},"cost":{{"status":"priced","nano_usd":1008200,"femto_usd_by_kind":{{"input":203000000000,"cache_read":51200000000,"output":754000000000}},"entry":"openai/gpt-5-mini@2025-08-07"}},"estimate":{{"input":2900,"output":1000,"reserved_nano_usd":2725000}},"charges":[{{"budget":"teams/1798761600000/team-{team}","nano_usd":1008200}}],"policy":"3f9a1c0d2b7e4a55","price_book":"9c1d2e3f4a5b6c7d"}}"#
    ))
}

fn batch(proxy: &str, number: u64) -> Result<SyncRequest, serde_json::Error> {
    let first = number * BATCH + 1;
    let records: Result<_, _> = (first..first + BATCH).map(|seq| line(proxy, seq)).collect();
    Ok(SyncRequest {
        proxy: proxy.to_owned(),
        epoch: 1,
        vm: 1,
        policy: "3f9a1c0d2b7e4a55".to_owned(),
        next_seq: first + BATCH,
        open: Vec::new(),
        records: records?,
        leases: Vec::new(),
        health: Health::default(),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let batches: u64 = std::env::args().nth(1).map_or(Ok(100), |number| number.parse())?;
    let folder = tempfile::tempdir()?;
    let ledger = Ledger::open(&folder.path().join("ledger.db"))?;
    let mut senders = Vec::new();
    for proxy in 0..PROXIES {
        let name = format!("proxy-{proxy}");
        senders.push((ledger.clone(), name));
    }
    let began = Instant::now();
    let tasks: Vec<_> = senders
        .into_iter()
        .map(|(ledger, name)| {
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                for number in 0..batches {
                    let request = batch(&name, number)?;
                    let sent = Instant::now();
                    ledger.sync(request, START_MS).await?;
                    slowest = slowest.max(sent.elapsed());
                }
                Ok::<_, purser_ledger::LedgerError>(slowest)
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for task in tasks {
        slowest = slowest.max(task.await??);
    }
    let took = began.elapsed();
    let records = PROXIES * batches * BATCH;
    let sums = ledger.summary(0, u64::MAX).await?;
    if sums.requests != records {
        return Err(format!("{} of {records} records are in the book", sums.requests).into());
    }
    let rate = u128::from(records) * 1_000_000 / took.as_micros().max(1);
    println!("{records} records in {took:.2?}: {rate} records/s; slowest answer {slowest:.0?}");
    let began = Instant::now();
    ledger.sync(batch("proxy-0", 0)?, START_MS).await?;
    println!("a batch that comes again: {:.2?}", began.elapsed());
    let began = Instant::now();
    let proxies = ledger.proxies(START_MS + 60_000).await?;
    let missing: u64 = proxies.iter().map(|proxy| proxy.missing).sum();
    println!("the state of {} proxies: {:.2?}; missing {missing}", proxies.len(), began.elapsed());
    let began = Instant::now();
    ledger.top(0, u64::MAX, By::Team, 10).await?;
    println!("top teams of all time: {:.2?}", began.elapsed());
    let began = Instant::now();
    let filter = RecordFilter { limit: 50, equal: vec![(By::Team, "team-3".into())], ..RecordFilter::default() };
    let page = ledger.records(filter).await?;
    println!("the last {} records of a team: {:.2?}", page.records.len(), began.elapsed());
    Ok(())
}
