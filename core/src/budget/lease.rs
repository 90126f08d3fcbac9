//! A lease: what one proxy may spend of a budget instance, shared by its workers.
//!
//! A request holds its worst case before it goes out and settles at its cost after; the control plane raises the grant
//! as demand asks, and idle money goes back. Nothing here calls anyone.
//!
//! - Granted, spent and returned only ever grow within a run of the proxy's process, so any message about them may be
//!   lost, late or repeated: the larger figure is the later one.
//! - `granted = spent + returned + reserved + available`, but for what was spent beyond the grant (an answer that cost
//!   more than was held, or an open door while the control plane was away).
//! - Not here: how much is granted. See the control plane's ledger.

use super::Instance;
use crate::store::{self, Store};
use crate::sync::{LeaseGrant, LeaseReport};

/// Demand is measured over windows of this length.
const WINDOW_MS: u64 = 1_000;
/// How long a refusal by the control plane is believed before a request may ask again.
const EXHAUSTED_MS: u64 = 1_000;
/// A lease nobody held anything of for this long goes back.
const IDLE_MS: u64 = 3_000;

/// A lease as it lies in the [`Store`]. Amounts are nano-USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lease {
    /// Total granted.
    pub granted: u64,
    /// Total of settled costs.
    pub spent: u64,
    /// Total given back.
    pub returned: u64,
    /// Held for exchanges under way.
    pub reserved: u64,
    /// Until when the budget is known to have no more, milliseconds since 1970.
    exhausted_until_ms: u64,
    /// When something was last held or asked for.
    used_ms: u64,
    /// Start of the running demand window, what was asked for in it, and in the one before.
    window_ms: u64,
    window_sum: u64,
    window_before: u64,
}

/// What came of trying to hold an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is held. `low`: what is left will not last for long, so the lease should be refreshed soon.
    Held {
        /// Less is available than the demand of a window.
        low: bool,
    },
    /// Not enough here, and the control plane may have more.
    Short,
    /// Not enough here, and the control plane said lately that it has no more.
    Exhausted {
        /// What is available.
        available: u64,
    },
}

impl Lease {
    const FIELDS: usize = 9;

    fn read(bytes: &[u8]) -> Self {
        let mut fields = bytes.chunks_exact(8).map(|chunk| store::read_u64(chunk).unwrap_or(0));
        let mut next = || fields.next().unwrap_or(0);
        Self {
            granted: next(),
            spent: next(),
            returned: next(),
            reserved: next(),
            exhausted_until_ms: next(),
            used_ms: next(),
            window_ms: next(),
            window_sum: next(),
            window_before: next(),
        }
    }

    fn write(&self) -> Vec<u8> {
        let fields: [u64; Self::FIELDS] = [
            self.granted,
            self.spent,
            self.returned,
            self.reserved,
            self.exhausted_until_ms,
            self.used_ms,
            self.window_ms,
            self.window_sum,
            self.window_before,
        ];
        fields.map(u64::to_le_bytes).concat()
    }

    /// What may still be held.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.granted.saturating_sub(self.returned).saturating_sub(self.spent).saturating_sub(self.reserved)
    }

    fn demand(&mut self, amount: u64, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.window_ms);
        if elapsed >= WINDOW_MS {
            self.window_before = if elapsed < WINDOW_MS.saturating_mul(2) { self.window_sum } else { 0 };
            self.window_sum = 0;
            self.window_ms = now_ms;
        }
        self.window_sum = self.window_sum.saturating_add(amount);
        self.used_ms = now_ms;
    }

    /// What a window of the present demand holds.
    fn rate(&self) -> u64 {
        self.window_sum.max(self.window_before)
    }

    fn hold(&mut self, amount: u64, now_ms: u64) -> Hold {
        self.demand(amount, now_ms);
        let available = self.available();
        if amount <= available {
            self.reserved = self.reserved.saturating_add(amount);
            let low = available.saturating_sub(amount) < self.rate() && now_ms >= self.exhausted_until_ms;
            return Hold::Held { low };
        }
        if now_ms < self.exhausted_until_ms { Hold::Exhausted { available } } else { Hold::Short }
    }
}

fn key(instance: &Instance) -> String {
    format!("purser.lease.{instance}")
}

fn change<T>(store: &dyn Store, instance: &Instance, mut with: impl FnMut(&mut Lease) -> T) -> T {
    store::update(store, &key(instance), |bytes| {
        let mut lease = bytes.map(Lease::read).unwrap_or_default();
        let answer = with(&mut lease);
        (Some(lease.write()), answer)
    })
}

/// The lease as it stands.
#[must_use]
pub fn read(store: &dyn Store, instance: &Instance) -> Lease {
    store.get(&key(instance)).map(|(bytes, _)| Lease::read(&bytes)).unwrap_or_default()
}

/// Tries to hold `amount`.
pub fn hold(store: &dyn Store, instance: &Instance, amount: u64, now_ms: u64) -> Hold {
    change(store, instance, |lease| lease.hold(amount, now_ms))
}

/// Holds `amount` whether it is there or not: a soft budget, or an open door while the control plane is away.
pub fn hold_anyway(store: &dyn Store, instance: &Instance, amount: u64, now_ms: u64) {
    change(store, instance, |lease| {
        lease.demand(amount, now_ms);
        lease.reserved = lease.reserved.saturating_add(amount);
    });
}

/// Replaces what was held by what it cost. A release is a settlement at 0.
pub fn settle(store: &dyn Store, instance: &Instance, held: u64, cost: u64) {
    change(store, instance, |lease| {
        lease.reserved = lease.reserved.saturating_sub(held);
        lease.spent = lease.spent.saturating_add(cost);
    });
}

/// Takes in what the control plane granted.
pub fn grant(store: &dyn Store, granted: &LeaseGrant, now_ms: u64) {
    change(store, &granted.instance, |lease| {
        lease.granted = lease.granted.max(granted.granted);
        lease.exhausted_until_ms = if granted.exhausted { now_ms.saturating_add(EXHAUSTED_MS) } else { 0 };
    });
}

/// What to tell the control plane, after giving back what lies idle.
pub fn report(store: &dyn Store, instance: &Instance, now_ms: u64) -> LeaseReport {
    let lease = change(store, instance, |lease| {
        if now_ms.saturating_sub(lease.used_ms) >= IDLE_MS {
            lease.returned = lease.returned.saturating_add(lease.available());
            lease.window_sum = 0;
            lease.window_before = 0;
        }
        *lease
    });
    LeaseReport {
        instance: instance.clone(),
        granted: lease.granted,
        spent: lease.spent,
        returned: lease.returned,
        reserved: lease.reserved,
        want: lease.rate().saturating_mul(2),
    }
}

/// Whether nothing of this lease is held, available or waiting to be reported: it may be forgotten.
#[must_use]
pub fn is_idle(lease: &Lease) -> bool {
    lease.reserved == 0 && lease.available() == 0 && lease.rate() == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use proptest::prelude::*;

    fn instance() -> Instance {
        Instance { budget: "b".into(), period_ms: 0, group: vec!["ml".into()] }
    }

    fn granted(total: u64, exhausted: bool) -> LeaseGrant {
        LeaseGrant { instance: instance(), granted: total, exhausted }
    }

    #[test]
    fn a_cold_lease_is_short_and_a_granted_one_holds_until_it_is_used_up() {
        let store = MemoryStore::default();
        assert_eq!(hold(&store, &instance(), 10, 0), Hold::Short);
        grant(&store, &granted(100, false), 0);
        assert_eq!(hold(&store, &instance(), 60, 0), Hold::Held { low: true });
        assert_eq!(hold(&store, &instance(), 60, 0), Hold::Short, "only 40 are left");
        settle(&store, &instance(), 60, 20);
        assert_eq!(hold(&store, &instance(), 60, 0), Hold::Held { low: true }, "40 came back");
    }

    #[test]
    fn an_exhausted_budget_is_not_asked_again_for_a_second() {
        let store = MemoryStore::default();
        grant(&store, &granted(5, true), 1_000);
        assert_eq!(hold(&store, &instance(), 10, 1_999), Hold::Exhausted { available: 5 });
        assert_eq!(hold(&store, &instance(), 10, 2_000), Hold::Short);
    }

    #[test]
    fn an_old_grant_that_comes_late_takes_nothing_away() {
        let store = MemoryStore::default();
        grant(&store, &granted(100, false), 0);
        grant(&store, &granted(40, false), 0);
        assert_eq!(read(&store, &instance()).available(), 100);
    }

    #[test]
    fn idle_money_goes_back_once() {
        let store = MemoryStore::default();
        grant(&store, &granted(100, false), 0);
        assert_eq!(hold(&store, &instance(), 30, 0), Hold::Held { low: false });
        settle(&store, &instance(), 30, 10);
        assert_eq!(report(&store, &instance(), IDLE_MS - 1).returned, 0);
        let idle = report(&store, &instance(), IDLE_MS);
        assert_eq!((idle.returned, idle.spent, idle.want), (90, 10, 0));
        assert_eq!(report(&store, &instance(), IDLE_MS * 2).returned, 90);
        assert!(is_idle(&read(&store, &instance())));
    }

    #[test]
    fn what_is_held_does_not_go_back() {
        let store = MemoryStore::default();
        grant(&store, &granted(100, false), 0);
        hold(&store, &instance(), 30, 0);
        assert_eq!(report(&store, &instance(), IDLE_MS).returned, 70);
        settle(&store, &instance(), 30, 40);
        let lease = read(&store, &instance());
        assert_eq!((lease.spent, lease.reserved, lease.available()), (40, 0, 0), "an overrun is spent, not hidden");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Hold(u64),
        Settle(usize, u64),
        Grant(u64),
        Report,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..50u64).prop_map(Step::Hold),
            (0..8usize, 0..=100u64).prop_map(|(i, percent)| Step::Settle(i, percent)),
            (0..100u64).prop_map(Step::Grant),
            Just(Step::Report),
            (0..4_000u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Granted = spent + returned + held + available, whatever happens, as long as no cost is above what was held.
        #[test]
        fn granted_is_spent_returned_held_and_available(steps in steps()) {
            let store = MemoryStore::default();
            let (mut now, mut held, mut total, mut spent) = (0u64, Vec::new(), 0u64, 0u64);
            for step in steps {
                match step {
                    Step::Hold(amount) => {
                        if let Hold::Held { .. } = hold(&store, &instance(), amount, now) { held.push(amount); }
                    }
                    Step::Settle(i, percent) if i < held.len() => {
                        let amount = held.swap_remove(i);
                        let cost = amount * percent / 100;
                        settle(&store, &instance(), amount, cost);
                        spent += cost;
                    }
                    Step::Settle(..) => {}
                    Step::Grant(more) => { total += more; grant(&store, &granted(total, more == 0), now); }
                    Step::Report => { report(&store, &instance(), now); }
                    Step::Wait(ms) => now += ms,
                }
                let lease = read(&store, &instance());
                prop_assert_eq!(lease.granted, total);
                prop_assert_eq!(lease.spent, spent);
                prop_assert_eq!(lease.reserved, held.iter().sum::<u64>());
                prop_assert_eq!(lease.granted, lease.spent + lease.returned + lease.reserved + lease.available());
            }
        }
    }
}
