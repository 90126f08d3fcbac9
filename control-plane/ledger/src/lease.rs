//! How much of a budget a proxy gets.
//!
//! For a hard budget, in the transaction that grants: what all proxies spent, and what they may still spend of what
//! they were granted, together stay within the limit. A proxy whose process is gone keeps its slice charged: it may
//! have spent it.
//!
//! - A proxy gets what it wants, but no more than its share of half of what remains: the slices shrink towards the
//!   limit, so that nearly all of it can be used by whoever needs it.
//! - Totals of a report only raise what is stored: a late or repeated one changes nothing.

use crate::{int, LedgerError};
use purser_core::config::BudgetRule;
use purser_core::sync::{LeaseGrant, LeaseReport};
use rusqlite::{params, Transaction};

/// A proxy that reported within this time shares in what remains.
const ACTIVE_MS: u64 = 10_000;
/// The smallest slice, as a part of the limit.
const SMALLEST: u64 = 200;

/// Takes in a report and grants what there is. `rule`: the budget as policy has it now.
pub(crate) fn grant(
    transaction: &Transaction<'_>,
    proxy: &str,
    epoch: u64,
    report: &LeaseReport,
    rule: Option<&BudgetRule>,
    now_ms: u64,
) -> Result<LeaseGrant, LedgerError> {
    let instance = report.instance.to_string();
    let labels: Vec<(&str, &str)> = rule
        .map(|rule| rule.per.iter().map(String::as_str).zip(report.instance.group.iter().map(String::as_str)).collect())
        .unwrap_or_default();
    // What a proxy says it was granted is not believed beyond what was: the book is the one that grants. A soft budget
    // has no grants.
    transaction
        .prepare_cached(
            "INSERT INTO leases VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET spent = max(spent, excluded.spent), returned = max(returned, excluded.returned),
               reserved = excluded.reserved, reported_ms = max(reported_ms, excluded.reported_ms)",
        )?
        .execute(params![
            instance,
            proxy,
            int(epoch),
            report.instance.budget,
            int(report.instance.period_ms),
            serde_json::to_string(&labels)?,
            int(report.spent),
            int(report.returned),
            int(report.reserved),
            int(now_ms),
        ])?;
    let (granted, spent, returned): (i64, i64, i64) = transaction
        .prepare_cached("SELECT granted, spent, returned FROM leases WHERE instance = ?1 AND proxy = ?2 AND epoch = ?3")?
        .query_row(params![instance, proxy, int(epoch)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let granted = u64::try_from(granted).unwrap_or(0);
    let answer = |granted, exhausted| LeaseGrant { instance: report.instance.clone(), granted, exhausted };
    let Some(rule) = rule.filter(|rule| rule.hard) else {
        return Ok(answer(granted, false));
    };
    let used = u64::try_from(spent.saturating_add(returned)).unwrap_or(0);
    let available = granted.saturating_sub(used).saturating_sub(report.reserved);
    let wanted = report.want.saturating_sub(available);
    if wanted == 0 {
        return Ok(answer(granted, false));
    }
    let (taken, active): (i64, i64) = transaction
        .prepare_cached(
            "SELECT sum(spent + max(0, granted - returned - spent)), sum(reported_ms >= ?2) FROM leases WHERE instance = ?1",
        )?
        .query_row(params![instance, int(now_ms.saturating_sub(ACTIVE_MS))], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let remaining = rule.limit.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
    let active = u64::try_from(active).unwrap_or(1).max(1);
    let share = (remaining / active.saturating_mul(2)).max(rule.limit / SMALLEST).max(1);
    let more = wanted.min(share).min(remaining);
    let granted = granted.saturating_add(more);
    transaction
        .prepare_cached("UPDATE leases SET granted = ?4 WHERE instance = ?1 AND proxy = ?2 AND epoch = ?3")?
        .execute(params![instance, proxy, int(epoch), int(granted)])?;
    Ok(answer(granted, more == remaining && more < wanted))
}
