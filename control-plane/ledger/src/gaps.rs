//! Which records are missing: numbers that were taken, and neither came in nor are under way.
//!
//! A number counts as missing once it was taken a while ago: an exchange that is under way or a record that waits is
//! named by its VM in each sync. A process that ended excuses nothing.

use crate::write::Stored;
use crate::{LedgerError, int};
use purser_core::sync::SyncRequest;
use rusqlite::{Connection, Transaction, params};
use std::collections::BTreeSet;

/// How long ago a number must have been taken.
const SETTLE_MS: u64 = 10_000;
/// A VM that said nothing for so long, while others of its process did, is gone: its list excuses nothing.
const VM_GONE_MS: u64 = 600_000;

/// Notes what a sync says of its epoch and its VM.
pub(crate) fn note(
    transaction: &Transaction<'_>,
    request: &SyncRequest,
    now_ms: u64,
    stored: Stored,
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "INSERT INTO epochs (proxy, epoch, policy, reported_ms, received, duplicates, next_seq, next_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?4)
             ON CONFLICT DO UPDATE SET policy = excluded.policy, reported_ms = max(reported_ms, excluded.reported_ms),
               received = received + excluded.received, duplicates = duplicates + excluded.duplicates,
               settled_next = CASE WHEN ?4 - next_ms >= ?8 THEN next_seq ELSE settled_next END,
               next_seq = CASE WHEN ?4 - next_ms >= ?8 THEN max(next_seq, excluded.next_seq) ELSE next_seq END,
               next_ms = CASE WHEN ?4 - next_ms >= ?8 THEN ?4 ELSE next_ms END",
        )?
        .execute(params![
            request.proxy,
            int(request.epoch),
            request.policy,
            int(now_ms),
            int(stored.new),
            int(stored.known),
            int(request.next_seq),
            int(SETTLE_MS),
        ])?;
    let health = request.health;
    transaction
        .prepare_cached(
            "INSERT INTO vms (proxy, epoch, vm, reported_ms, open, memory_bytes, dropped, sync_failures, cold_waits, next_seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET reported_ms = excluded.reported_ms, open = excluded.open,
               memory_bytes = excluded.memory_bytes, dropped = excluded.dropped,
               sync_failures = excluded.sync_failures, cold_waits = excluded.cold_waits, next_seq = excluded.next_seq
             WHERE excluded.next_seq >= next_seq",
        )?
        .execute(params![
            request.proxy,
            int(request.epoch),
            request.vm.to_string(),
            int(now_ms),
            serde_json::to_string(&request.open)?,
            int(health.memory_bytes),
            int(health.records_dropped),
            int(health.sync_failures),
            int(health.cold_waits),
            int(request.next_seq),
        ])?;
    Ok(())
}

/// Missing and open numbers of a proxy, over all its epochs. Counts, and looks only at the latest records one by one.
pub(crate) fn count(connection: &Connection, proxy: &str, now_ms: u64) -> Result<(u64, u64), LedgerError> {
    let mut epochs = connection.prepare_cached(
        // What a VM said a while ago stands too: after the last message of all, nothing moves `next_seq` on.
        "SELECT epoch, received, reported_ms,
           max(CASE WHEN ?2 - next_ms >= ?3 THEN next_seq ELSE settled_next END,
             coalesce((SELECT max(vms.next_seq) FROM vms
               WHERE vms.proxy = epochs.proxy AND vms.epoch = epochs.epoch AND vms.reported_ms <= ?2 - ?3), 1))
         FROM epochs WHERE proxy = ?1 ORDER BY epoch DESC",
    )?;
    let rows = epochs.query_map(params![proxy, int(now_ms), int(SETTLE_MS)], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
    })?;
    let (mut missing, mut open_now) = (0u64, 0u64);
    for (index, row) in rows.enumerate() {
        let (epoch, received, reported_ms, settled) = row?;
        let latest = index == 0;
        // In an ended process no number is taken any more: all up to the largest seen should be here.
        let (bound, open) = if latest {
            (settled, open(connection, proxy, epoch, reported_ms)?)
        } else {
            (settled.max(last_seen(connection, proxy, epoch)?), BTreeSet::new())
        };
        let beyond: i64 = connection
            .prepare_cached("SELECT count(*) FROM records WHERE proxy = ?1 AND epoch = ?2 AND seq >= ?3")?
            .query_row(params![proxy, epoch, bound], |row| row.get(0))?;
        let excused = open.iter().filter(|seq| int(**seq) < bound).count();
        let taken = bound.saturating_sub(1);
        let here = received.saturating_sub(beyond).saturating_add(i64::try_from(excused).unwrap_or(0));
        missing = missing.saturating_add(u64::try_from(taken.saturating_sub(here)).unwrap_or(0));
        if latest {
            open_now = open.len() as u64;
        }
    }
    Ok((missing, open_now))
}

/// One more than the largest number that an epoch is known to have taken.
fn last_seen(connection: &Connection, proxy: &str, epoch: i64) -> Result<i64, LedgerError> {
    let last: i64 = connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT max(seq) + 1 FROM records WHERE proxy = ?1 AND epoch = ?2), 1),
                        coalesce((SELECT max(next_seq) FROM vms WHERE proxy = ?1 AND epoch = ?2), 1))",
        )?
        .query_row(params![proxy, epoch], |row| row.get(0))?;
    Ok(last)
}

/// Numbers that VMs of the epoch said to be under way.
fn open(connection: &Connection, proxy: &str, epoch: i64, reported_ms: i64) -> Result<BTreeSet<u64>, LedgerError> {
    let mut vms =
        connection.prepare_cached("SELECT open FROM vms WHERE proxy = ?1 AND epoch = ?2 AND reported_ms >= ?3")?;
    let since = reported_ms.saturating_sub(int(VM_GONE_MS));
    let lists = vms.query_map(params![proxy, epoch, since], |row| row.get::<_, String>(0))?;
    let mut open = BTreeSet::new();
    for list in lists {
        let list: Vec<u64> = serde_json::from_str(&list?)?;
        for seq in list {
            // What came in meanwhile is not open, whoever says so.
            let here: bool = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM records WHERE proxy = ?1 AND epoch = ?2 AND seq = ?3)")?
                .query_row(params![proxy, epoch, int(seq)], |row| row.get(0))?;
            if !here {
                open.insert(seq);
            }
        }
    }
    Ok(open)
}
