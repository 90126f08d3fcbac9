//! Envoy counters of the filter. Counted in the VM and handed to Envoy at the tick, so that a request pays for none.
//!
//! Names follow Envoy's and Istio's `name.=.value;.;` convention for labels; the bootstrap has the tag rules.
//! Labels are of fixed sets: users and teams belong to the control plane's figures.

use crate::host;
use purser_core::record::{Cost, Record};
use purser_core::usage::Kind;
use std::collections::HashMap;

/// A counter: its name, its label, the label's value; the last two empty when it has none.
type Counter = (&'static str, &'static str, &'static str);

/// Counters of one VM.
#[derive(Default)]
pub(crate) struct Metrics {
    ids: HashMap<Counter, u32>,
    pending: HashMap<Counter, u64>,
}

impl Metrics {
    fn add(&mut self, counter: Counter, amount: u64) {
        if amount > 0 {
            let pending = self.pending.entry(counter).or_default();
            *pending = pending.saturating_add(amount);
        }
    }

    /// Counts a finished exchange.
    pub(crate) fn count(&mut self, record: &Record) {
        self.add(("purser_exchanges", "outcome", record.outcome.name()), 1);
        if let Some(denied) = &record.denied {
            self.add(("purser_refused", "reason", denied.reason.name()), 1);
        }
        if let Some(usage) = &record.usage {
            for kind in Kind::ALL {
                self.add(("purser_tokens", "kind", kind.name()), usage.tokens.get(kind));
            }
        }
        match &record.cost {
            Cost::Priced { nano_usd, .. } => self.add(("purser_cost_nano_usd", "", ""), *nano_usd),
            Cost::Unpriced => self.add(("purser_unpriced", "", ""), 1),
            Cost::Unmetered => self.add(("purser_unmetered", "", ""), 1),
            Cost::None => {}
        }
        for problem in &record.problems {
            self.add(("purser_problems", "problem", problem.name()), 1);
        }
    }

    /// Hands what was counted to Envoy.
    pub(crate) fn flush(&mut self) {
        for (counter, amount) in self.pending.drain() {
            let id = match self.ids.get(&counter) {
                Some(id) => Some(*id),
                None => host::define_counter(&name(counter)).inspect(|id| {
                    self.ids.insert(counter, *id);
                }),
            };
            if let Some(id) = id {
                host::add_to_counter(id, amount);
            }
        }
    }
}

fn name((name, label, value): Counter) -> String {
    if label.is_empty() { name.to_owned() } else { format!("{name}.{label}.=.{value};.;") }
}
