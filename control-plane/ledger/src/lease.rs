//! How much of a budget a proxy gets.
//!
//! For a hard budget, in the transaction that grants: what all proxies spent, and what they may still spend of what
//! they were granted, together stay within the limit. A proxy whose process is gone keeps its slice charged: it may
//! have spent it.
//!
//! - A proxy gets what it wants, but no more than its share of half of what remains, so that slices shrink towards the
//!   limit; and never less than a second of its demand while that is there, so that nearly all of it can be used.
//! - Totals of a report only raise what is stored: a late or repeated one changes nothing.

use crate::{LedgerError, int};
use purser_core::budget::Instance;
use purser_core::config::BudgetRule;
use purser_core::sync::{LeaseGrant, LeaseReport};
use rusqlite::{OptionalExtension, Row, Transaction, params};

/// A proxy that reported within this time shares in what remains.
const ACTIVE_MS: u64 = 10_000;
/// The largest amount that is taken for one, 10⁹ USD: sums of them stay within what SQLite counts.
const LARGEST: u64 = 1 << 60;

/// What one run of a proxy has of a budget instance: running totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Account {
    granted: u64,
    spent: u64,
    returned: u64,
    reported_ms: u64,
}

impl Account {
    /// What it may still spend.
    fn outstanding(&self) -> u64 {
        self.granted.saturating_sub(self.returned).saturating_sub(self.spent)
    }

    /// What the budget cannot give to others.
    fn charge(&self) -> u64 {
        self.spent.saturating_add(self.outstanding())
    }

    /// Takes in a report. A grant that we have no word of (the book was lost) is a grant all the same.
    fn merged(self, report: &LeaseReport, now_ms: u64) -> Self {
        Self {
            granted: self.granted.max(report.granted.min(LARGEST)),
            spent: self.spent.max(report.spent.min(LARGEST)),
            returned: self.returned.max(report.returned.min(LARGEST)),
            reported_ms: self.reported_ms.max(now_ms),
        }
    }

    /// Lets it spend `more`. What was spent beyond the grant is covered first: that is charged already.
    fn raised(self, more: u64) -> Self {
        let covered = self.granted.max(self.spent.saturating_add(self.returned));
        Self { granted: covered.saturating_add(more), ..self }
    }
}

/// What is granted of a hard budget, and whether there is no more of it.
///
/// `remaining`: of the limit, beyond all that is charged. `active`: proxies that draw on it, this one among them.
fn slice(report: &LeaseReport, outstanding: u64, remaining: u64, active: u64) -> (u64, bool) {
    let wanted = |want: u64| report.reserved.saturating_add(want).min(LARGEST).saturating_sub(outstanding);
    let short = wanted(report.want);
    // A proxy wants two seconds of its demand, in which its largest request is contained.
    let needed = wanted(report.want.div_ceil(2));
    let share = remaining / active.saturating_mul(2).max(1);
    let more = short.min(share.max(needed)).min(remaining);
    (more, more < short && more == remaining)
}

/// Whether policy as it is now has this instance: a period of the budget, and a value for each label of its groups.
/// Of what it has not (a proxy is behind, or its period is over) nothing is granted, only settled.
pub(crate) fn declares(rule: &BudgetRule, instance: &Instance) -> bool {
    let starts = rule.periods_ms.split_last().map(|(_, starts)| starts).unwrap_or_default();
    starts.contains(&instance.period_ms) && instance.group.len() == rule.per.len()
}

/// Takes in a report and grants what there is. `rule`: the budget as policy has it now; without one nothing is granted.
pub(crate) fn grant(
    transaction: &Transaction<'_>,
    proxy: &str,
    epoch: u64,
    report: &LeaseReport,
    rule: Option<&BudgetRule>,
    now_ms: u64,
) -> Result<LeaseGrant, LedgerError> {
    let instance = report.instance.to_string();
    let before = transaction
        .prepare_cached(
            "SELECT granted, spent, returned, reported_ms FROM leases WHERE instance = ?1 AND proxy = ?2 AND epoch = ?3",
        )?
        .query_row(params![instance, proxy, int(epoch)], account)
        .optional()?;
    let others = charged(transaction, &instance)?.saturating_sub(before.map_or(0, |account| account.charge()));
    let merged = before.unwrap_or_default().merged(report, now_ms);
    let (more, exhausted) = match rule {
        None => (0, true),
        Some(rule) if rule.hard => {
            let remaining = rule.limit.saturating_sub(others.saturating_add(merged.charge()));
            let active = active_beside(transaction, &instance, proxy, now_ms)?.saturating_add(1);
            slice(report, merged.outstanding(), remaining, active)
        }
        Some(_) => (slice(report, merged.outstanding(), LARGEST, 0).0, false),
    };
    let after = if more > 0 { merged.raised(more) } else { merged };
    store(transaction, &instance, (proxy, epoch), report, rule, after)?;
    transaction
        .prepare_cached("INSERT INTO charged VALUES (?1, ?2) ON CONFLICT DO UPDATE SET nano_usd = excluded.nano_usd")?
        .execute(params![instance, int(others.saturating_add(after.charge()))])?;
    Ok(LeaseGrant { instance: report.instance.clone(), granted: after.granted, exhausted })
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let field = |index| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0));
    Ok(Account { granted: field(0)?, spent: field(1)?, returned: field(2)?, reported_ms: field(3)? })
}

fn charged(transaction: &Transaction<'_>, instance: &str) -> Result<u64, LedgerError> {
    let sum: Option<i64> = transaction
        .prepare_cached("SELECT nano_usd FROM charged WHERE instance = ?1")?
        .query_row([instance], |row| row.get(0))
        .optional()?;
    Ok(sum.and_then(|sum| u64::try_from(sum).ok()).unwrap_or(0))
}

fn active_beside(transaction: &Transaction<'_>, instance: &str, proxy: &str, now_ms: u64) -> Result<u64, LedgerError> {
    let count: i64 = transaction
        .prepare_cached("SELECT count(*) FROM leases WHERE instance = ?1 AND reported_ms >= ?2 AND proxy != ?3")?
        .query_row(params![instance, int(now_ms.saturating_sub(ACTIVE_MS)), proxy], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn store(
    transaction: &Transaction<'_>,
    instance: &str,
    (proxy, epoch): (&str, u64),
    report: &LeaseReport,
    rule: Option<&BudgetRule>,
    account: Account,
) -> Result<(), LedgerError> {
    let names = rule.map(|rule| rule.per.as_slice()).unwrap_or_default();
    let labels: Vec<(&String, &String)> = names.iter().zip(&report.instance.group).collect();
    transaction
        .prepare_cached(
            "INSERT INTO leases
               (instance, proxy, epoch, budget, period_ms, labels, granted, spent, returned, reserved, reported_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT DO UPDATE SET granted = excluded.granted, spent = excluded.spent,
               returned = excluded.returned, reserved = excluded.reserved, reported_ms = excluded.reported_ms",
        )?
        .execute(params![
            instance,
            proxy,
            int(epoch),
            report.instance.budget,
            int(report.instance.period_ms),
            serde_json::to_string(&labels)?,
            int(account.granted),
            int(account.spent),
            int(account.returned),
            int(report.reserved),
            int(account.reported_ms),
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reserved: u64, want: u64) -> LeaseReport {
        let instance = Instance { budget: "b".into(), period_ms: 0, group: Vec::new() };
        LeaseReport { instance, granted: 0, spent: 0, returned: 0, reserved, want }
    }

    #[test]
    fn a_slice_is_the_share_or_what_is_needed_and_never_beyond_what_remains() {
        let cases = [
            // case, reserved, want, outstanding, remaining, active, (granted, exhausted)
            ("plenty: what is wanted", 0, 100, 0, 10_000, 3, (100, false)),
            ("enough in hand", 10, 100, 110, 10_000, 3, (0, false)),
            ("what is held counts as in hand, not as available", 50, 100, 60, 10_000, 3, (90, false)),
            ("capped by the share: not exhausted", 0, 1_000, 600, 600, 1, (300, false)),
            ("the share is less than a second's demand", 0, 100, 0, 100, 5, (50, false)),
            ("less than a second's demand remains: all of it", 0, 100, 0, 30, 5, (30, true)),
            ("nothing remains", 0, 100, 0, 0, 5, (0, true)),
            ("nothing remains and nothing is wanted", 0, 0, 0, 0, 5, (0, false)),
            ("just what is wanted remains", 0, 100, 50, 50, 1, (25, false)),
        ];
        for (case, reserved, want, outstanding, remaining, active, expected) in cases {
            assert_eq!(slice(&report(reserved, want), outstanding, remaining, active), expected, "{case}");
        }
    }

    #[test]
    fn an_overrun_is_charged_once_and_covered_by_the_next_grant() {
        let account = Account { granted: 100, spent: 130, returned: 0, reported_ms: 0 };
        assert_eq!((account.outstanding(), account.charge()), (0, 130));
        let raised = account.raised(20);
        assert_eq!((raised.granted, raised.outstanding(), raised.charge()), (150, 20, 150));
    }
}
