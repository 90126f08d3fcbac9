//! Envoy counters of the filter. Counted in the VM and handed to Envoy at the tick, so that a request pays for none.
//!
//! Names follow Envoy's and Istio's `name.=.value;.;` convention for labels; the bootstrap has the tag rules.
//! Labels are of fixed sets: users and teams belong to the control plane's figures.

use crate::host;
use purser_core::record::{Cost, Record};

/// A counter: its name, its label, the label's value; the last two empty when it has none.
type Name = (&'static str, &'static str, &'static str);

struct Counter {
    name: Name,
    /// Envoy's number of it, once it has one.
    id: Option<u32>,
    pending: u64,
}

/// Counters of one VM: a few dozen at most.
#[derive(Default)]
pub(crate) struct Metrics {
    counters: Vec<Counter>,
}

impl Metrics {
    fn add(&mut self, name: Name, amount: u64) {
        if amount == 0 {
            return;
        }
        match self.counters.iter_mut().find(|counter| counter.name == name) {
            Some(counter) => counter.pending = counter.pending.saturating_add(amount),
            None => self.counters.push(Counter { name, id: None, pending: amount }),
        }
    }

    /// Counts a request that costs nothing.
    pub(crate) fn passed(&mut self, what: &'static str) {
        self.add(("purser_free", "what", what), 1);
    }

    /// Counts a finished exchange.
    pub(crate) fn count(&mut self, record: &Record) {
        self.add(("purser_exchanges", "outcome", record.outcome.name()), 1);
        if let Some(denied) = &record.denied {
            self.add(("purser_refused", "reason", denied.reason.name()), 1);
        }
        if let Some(usage) = &record.usage {
            for (kind, count) in usage.units.used() {
                let name = if kind.is_tokens() { "purser_tokens" } else { "purser_units" };
                self.add((name, "kind", kind.name()), count);
            }
        }
        match &record.cost {
            Cost::Priced { nano_usd, .. } => self.add(("purser_cost_nano_usd", "", ""), *nano_usd),
            Cost::Unpriced => self.add(("purser_unpriced", "", ""), 1),
            Cost::Unmetered => self.add(("purser_unmetered", "", ""), 1),
            Cost::Pending => self.add(("purser_pending", "", ""), 1),
            Cost::None => {}
        }
        for problem in &record.problems {
            self.add(("purser_problems", "problem", problem.name()), 1);
        }
    }

    /// Hands what was counted to Envoy.
    pub(crate) fn flush(&mut self) {
        for counter in self.counters.iter_mut().filter(|counter| counter.pending > 0) {
            counter.id = counter.id.or_else(|| host::define_counter(&written(counter.name)));
            if let Some(id) = counter.id {
                host::add_to_counter(id, std::mem::take(&mut counter.pending));
            }
        }
    }
}

fn written((name, label, value): Name) -> String {
    if label.is_empty() { name.to_owned() } else { format!("{name}.{label}.=.{value};.;") }
}
