//! Records are kept once, sums are of what is kept, and holes are seen.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use purser_core::sync::{Health, SyncRequest};
use purser_core::usage::Kind;
use purser_ledger::{Bucket, By, ProxyRow, RecordFilter};
use serde_json::json;
use support::{Book, record, sync, with};

const START: u64 = 1_800_000_000_000;
const LATER: u64 = START + 60_000;

async fn proxy(book: &Book, now_ms: u64) -> ProxyRow {
    book.ledger.proxies(now_ms).await.unwrap().into_iter().next().unwrap()
}

#[tokio::test]
async fn a_batch_that_comes_again_counts_once_also_after_a_restart() {
    let mut book = Book::new();
    let records = [record("gw", 1, 1), record("gw", 1, 2), record("gw", 1, 3)];
    book.ledger.sync(sync("gw", 1, &records), START).await.unwrap();
    book.ledger.sync(sync("gw", 1, &records), START).await.unwrap();
    book.reopen();
    book.ledger.sync(sync("gw", 1, &records[1..]), START).await.unwrap();
    let sums = book.ledger.summary(0, u64::MAX).await.unwrap();
    assert_eq!(
        (sums.requests, sums.spend_nano_usd, sums.units.get(Kind::Input), sums.units.output()),
        (3, 3_000, 300, 90)
    );
    let row = proxy(&book, LATER).await;
    assert_eq!((row.records, row.duplicates, row.missing, row.quarantined), (3, 5, 0, 0));
}

#[tokio::test]
async fn the_same_number_in_another_epoch_or_proxy_is_another_record() {
    let book = Book::new();
    for (name, epoch) in [("gw", 1), ("gw", 2), ("edge", 1)] {
        book.ledger.sync(sync(name, epoch, &[record(name, epoch, 1)]), START).await.unwrap();
    }
    assert_eq!(book.ledger.summary(0, u64::MAX).await.unwrap().requests, 3);
}

#[tokio::test]
async fn a_record_that_makes_no_sense_is_set_aside_and_the_others_are_kept() {
    let book = Book::new();
    let odd = [
        json!({"proxy": "gw"}),
        json!("text"),
        record("other", 1, 2),
        record("gw", 2, 2),
        record("gw", 1, 0),
        with(record("gw", 1, 2), json!({"started_ms": u64::MAX})),
        with(record("gw", 1, 2), json!({"usage": {"units": {"input": u64::MAX}, "quality": "exact"}})),
        with(
            record("gw", 1, 2),
            json!({"cost": {"status": "priced", "nano_usd": u64::MAX, "femto_usd_by_kind": {}, "entry": "a/b@2026-01-01"}}),
        ),
    ];
    for _ in 0..2 {
        let mut request = sync("gw", 1, &odd);
        request.records.extend(sync("gw", 1, &[record("gw", 1, 1), record("gw", 1, 3)]).records);
        request.next_seq = 4;
        book.ledger.sync(request, START).await.unwrap();
    }
    assert_eq!(book.ledger.summary(0, u64::MAX).await.unwrap().requests, 2);
    let row = proxy(&book, LATER).await;
    assert_eq!((row.records, row.quarantined, row.missing), (2, odd.len() as u64, 1), "number 2 is not in the book");
    assert_eq!(book.number("SELECT count(*) FROM quarantine WHERE reason LIKE '%outside%'"), 4);
    assert_eq!(book.number("SELECT count(*) FROM quarantine WHERE reason LIKE '%another proxy or epoch%'"), 2);
}

#[tokio::test]
async fn another_record_under_a_number_that_is_taken_is_set_aside() {
    let book = Book::new();
    book.ledger.sync(sync("gw", 1, &[record("gw", 1, 1)]), START).await.unwrap();
    let other = with(record("gw", 1, 1), json!({"request_id": "someone else's"}));
    book.ledger.sync(sync("gw", 1, &[other]), START).await.unwrap();
    let row = proxy(&book, LATER).await;
    assert_eq!((row.records, row.duplicates, row.quarantined), (1, 1, 1));
}

#[tokio::test]
async fn each_minute_sums_what_its_records_say() {
    let book = Book::new();
    let refusal = json!({
        "outcome": "denied", "status": 503, "usage": null, "cost": {"status": "none"}, "provider": "",
        "denied": {"by": "Budget/ml", "reason": "budget"},
    });
    let records = [
        record("gw", 1, 1),
        with(record("gw", 1, 2), refusal),
        with(record("gw", 1, 3), json!({"cost": {"status": "unpriced"}})),
        with(record("gw", 1, 4), json!({"cost": {"status": "unmetered"}, "usage": null, "outcome": "aborted"})),
        with(record("gw", 1, 5), json!({"outcome": "failed", "status": 0, "cost": {"status": "none"}, "usage": null})),
        with(
            record("gw", 1, 6),
            json!({"usage": {"units": {"input": 1, "cache_write_5m": 2, "cache_write_1h": 4}, "quality": "partial"}}),
        ),
        with(record("gw", 1, 7), json!({"started_ms": START + 60_000})),
    ];
    book.ledger.sync(sync("gw", 1, &records), START).await.unwrap();
    let sums = book.ledger.summary(START, START + 60_000).await.unwrap();
    assert_eq!((sums.requests, sums.refused, sums.failed), (6, 1, 1), "a refusal is no failure, whatever its status");
    assert_eq!((sums.unpriced, sums.unmetered, sums.estimated, sums.spend_nano_usd), (1, 1, 1, 2_000));
    let kinds = [(Kind::Input, 201), (Kind::CacheRead, 40), (Kind::CacheWrite5m, 2), (Kind::CacheWrite1h, 4)];
    assert_eq!(kinds.map(|(kind, _)| (kind, sums.units.get(kind))), kinds);
    assert_eq!(book.ledger.summary(START + 60_000, START + 120_000).await.unwrap().requests, 1);
    assert_eq!(book.ledger.unpriced_models(0).await.unwrap(), ["gpt-5-mini"]);
}

/// A sync of a VM that names its open numbers and has no records.
fn says(vm: u64, next_seq: u64, open: &[u64]) -> SyncRequest {
    SyncRequest { vm, next_seq, open: open.to_vec(), ..sync("gw", 1, &[]) }
}

#[tokio::test]
async fn a_number_that_was_taken_a_while_ago_and_never_came_is_missing() {
    let book = Book::new();
    let mut first = sync("gw", 1, &[record("gw", 1, 1), record("gw", 1, 2), record("gw", 1, 5)]);
    first.next_seq = 7;
    first.open = vec![6];
    book.ledger.sync(first, START).await.unwrap();
    let row = proxy(&book, START + 9_999).await;
    assert_eq!((row.missing, row.open), (0, 1), "another VM may have them under way and not have said so yet");
    let row = proxy(&book, START + 10_000).await;
    assert_eq!((row.missing, row.open), (2, 1), "3 and 4; 6 is open");
    book.ledger.sync(says(8, 7, &[3]), START + 11_000).await.unwrap();
    assert_eq!(proxy(&book, START + 11_000).await.missing, 1, "3 is under way in another VM");
    let late = sync("gw", 1, &[record("gw", 1, 3), record("gw", 1, 4)]);
    book.ledger.sync(SyncRequest { vm: 8, next_seq: 7, ..late }, START + 12_000).await.unwrap();
    let row = proxy(&book, START + 60_000).await;
    assert_eq!((row.missing, row.open, row.records), (0, 1, 5), "all came, but for 6, which is open");
}

#[tokio::test]
async fn numbers_taken_while_a_proxy_keeps_talking_settle_too() {
    let book = Book::new();
    for second in 0..60 {
        book.ledger.sync(says(7, 1 + second * 10, &[]), START + second * 1_000).await.unwrap();
    }
    let missing = proxy(&book, START + 59_000).await.missing;
    assert!((390..=490).contains(&missing), "{missing}: those of ten to twenty seconds ago, of 590");
}

#[tokio::test]
async fn what_a_proxy_says_last_settles_without_another_word() {
    let book = Book::new();
    book.ledger.sync(says(7, 1, &[]), START).await.unwrap();
    book.ledger.sync(says(7, 4, &[3]), START + 5_000).await.unwrap();
    assert_eq!(proxy(&book, START + 14_999).await.missing, 0);
    let row = proxy(&book, START + 15_000).await;
    assert_eq!((row.missing, row.open), (2, 1));
}

#[tokio::test]
async fn an_older_message_that_comes_late_does_not_reopen_what_was_closed() {
    let book = Book::new();
    book.ledger.sync(says(7, 9, &[8]), START).await.unwrap();
    book.ledger.sync(says(7, 5, &[1, 2, 3, 4]), START + 1).await.unwrap();
    assert_eq!(proxy(&book, START + 10_000).await.open, 1);
    assert_eq!(proxy(&book, START + 10_001).await.missing, 7);
}

#[tokio::test]
async fn what_was_open_when_the_process_ended_is_missing() {
    let book = Book::new();
    let mut first = sync("gw", 1, &[record("gw", 1, 1)]);
    (first.next_seq, first.open) = (4, vec![2, 3]);
    book.ledger.sync(first, START).await.unwrap();
    assert_eq!(proxy(&book, LATER).await.missing, 0);
    book.ledger.sync(sync("gw", 2, &[record("gw", 2, 1)]), START + 1).await.unwrap();
    let row = proxy(&book, LATER).await;
    assert_eq!((row.epoch, row.missing, row.open, row.records), (2, 2, 0, 2));
}

#[tokio::test]
async fn health_is_that_of_the_running_process() {
    let book = Book::new();
    let health =
        |memory_bytes, records_dropped| Health { memory_bytes, records_dropped, sync_failures: 1, cold_waits: 2 };
    for (epoch, vm, health) in [(1, 1, health(9, 9)), (2, 1, health(5, 1)), (2, 2, health(7, 2))] {
        let request = SyncRequest { vm, health, policy: format!("p{epoch}"), ..sync("gw", epoch, &[]) };
        book.ledger.sync(request, START + vm).await.unwrap();
    }
    let row = proxy(&book, LATER).await;
    assert_eq!((row.memory_bytes, row.dropped, row.sync_failures, row.cold_waits), (7, 3, 2, 4));
    assert_eq!((row.epoch, row.policy.as_str(), row.last_report_ms), (2, "p2", START + 2));
}

#[tokio::test]
async fn syncs_at_once_are_all_answered_and_all_kept() {
    let book = Book::new();
    let tasks: Vec<_> = (0..200u64)
        .map(|number| {
            let (ledger, name) = (book.ledger.clone(), format!("gw-{}", number % 10));
            let request = sync(&name, 1, &[record(&name, 1, number + 1)]);
            tokio::spawn(async move { ledger.sync(request, START).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(book.ledger.summary(0, u64::MAX).await.unwrap().requests, 200);
    assert_eq!(book.ledger.proxies(START).await.unwrap().len(), 10);
}

#[tokio::test]
async fn charts_fold_the_small_ones_and_lists_page_from_the_newest() {
    let book = Book::new();
    let records: Vec<_> = (1..=15u64)
        .map(|seq| {
            let cost =
                json!({"status": "priced", "nano_usd": seq * 10, "femto_usd_by_kind": {}, "entry": "a/b@2026-01-01"});
            let labels = json!({"team": {"value": format!("team-{seq}"), "source": "key"}});
            with(record("gw", 1, seq), json!({"cost": cost, "labels": labels, "started_ms": START + seq * 3_600_000}))
        })
        .collect();
    book.ledger.sync(sync("gw", 1, &records), START).await.unwrap();

    let spend = book.ledger.spend(START, START + 86_400_000, By::Team, Bucket::Hour).await.unwrap();
    assert_eq!((spend.bucket_ms, spend.starts_ms.len(), spend.series.len()), (3_600_000, 24, 12));
    assert_eq!(spend.series[0].key, "team-15");
    assert_eq!(spend.series[0].nano_usd.iter().sum::<u64>(), 150);
    let other = spend.series.last().unwrap();
    assert_eq!((other.folded, other.nano_usd.iter().sum::<u64>()), (true, 100), "teams 1 to 4");
    assert_eq!(spend.series.iter().flat_map(|one| &one.nano_usd).sum::<u64>(), 1_200);

    let top = book.ledger.top(START, START + 86_400_000, By::Team, 2).await.unwrap();
    let rows: Vec<_> = top.iter().map(|row| (row.key.as_str(), row.nano_usd, row.prompt_tokens)).collect();
    assert_eq!(rows, [("team-15", 150, 120), ("team-14", 140, 120)]);
    let by_user = book.ledger.top(START, START + 86_400_000, By::User, 2).await.unwrap();
    assert_eq!((by_user.len(), by_user[0].key.as_str()), (1, ""), "unknown is no value");

    let mut filter = RecordFilter { limit: 5, ..RecordFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = book.ledger.records(filter.clone()).await.unwrap();
        seen.extend(page.records.iter().map(|row| row.id.clone()));
        let Some(next) = page.next else { break };
        filter.before = Some(next);
    }
    let all: Vec<String> = (1..=15).rev().map(|seq| format!("gw/1/{seq}")).collect();
    assert_eq!(seen, all);
    let one = RecordFilter { limit: 5, equal: vec![(By::Team, "team-3".into())], ..RecordFilter::default() };
    assert_eq!(book.ledger.records(one).await.unwrap().records[0].labels["team"], "team-3");
    let times = RecordFilter { limit: 50, from_ms: Some(START + 14 * 3_600_000), ..RecordFilter::default() };
    assert_eq!(book.ledger.records(times).await.unwrap().records.len(), 2);
}

#[tokio::test]
async fn a_record_is_given_back_as_it_was_written() {
    let book = Book::new();
    let request = sync("gw", 1, &[record("gw", 1, 1)]);
    let line = request.records[0].get().to_owned();
    book.ledger.sync(request, START + 5).await.unwrap();
    let stored = book.ledger.record("gw".into(), 1, 1).await.unwrap().unwrap();
    assert_eq!((stored.line, stored.received_ms, stored.record.seq), (line, START + 5, 1));
    assert!(book.ledger.record("gw".into(), 1, 2).await.unwrap().is_none());
}

#[tokio::test]
async fn a_sync_that_no_proxy_would_send_is_refused_by_field() {
    let book = Book::new();
    let cases = [
        ("proxy", SyncRequest { proxy: String::new(), ..sync("gw", 1, &[]) }),
        ("proxy", SyncRequest { proxy: "x".repeat(257), ..sync("gw", 1, &[]) }),
        ("epoch", sync("gw", u64::MAX, &[])),
        ("next_seq", SyncRequest { next_seq: 0, ..sync("gw", 1, &[]) }),
        ("next_seq", SyncRequest { next_seq: u64::MAX, ..sync("gw", 1, &[]) }),
    ];
    for (field, request) in cases {
        let error = book.ledger.sync(request, START).await.unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
    assert!(book.ledger.proxies(START).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = purser_ledger::Ledger::open(&path) else { panic!("it was opened") };
    assert!(error.to_string().contains("version 99"), "{error}");
}
