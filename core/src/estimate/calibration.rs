//! How far the estimate of a model's prompts is off, learned from what its provider reports. Shared by all workers.
//!
//! A factor for each model: reported prompt tokens over estimated ones, of the last million or so. It takes in what the
//! estimate knows nothing of: another vocabulary, a provider's own template, tools rendered in another way.
//!
//! - A worker learns by itself, and shares what it learned at its ticks: no request pays for it.
//! - Of exchanges with media nothing is learned: their tokens are the provider's rule, not the text's.
//! - A factor is between a half and three, and holds from the tenth thousand tokens on. Until then the estimate stands.

use crate::store::{self, Store};
use std::cell::RefCell;
use std::collections::BTreeMap;

const KEY: &str = "purser.calibration.";
/// Models that are kept apart; of others nothing is learned.
const MODELS_MAX: usize = 512;
/// Longest name of a model that is learned of.
const NAME_MAX: usize = 96;
/// Estimated tokens from which on a factor holds.
const ENOUGH: u64 = 10_000;
/// Estimated tokens after which the past counts half.
const MUCH: u64 = 1_000_000;

/// Estimated and reported tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Learned {
    estimated: u64,
    reported: u64,
}

impl Learned {
    fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| bytes.get(at..).and_then(store::read_u64).unwrap_or(0);
        Self { estimated: number(0), reported: number(8) }
    }

    fn bytes(self) -> Vec<u8> {
        [self.estimated, self.reported].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn and(self, fresh: Self) -> Self {
        let halved = |number: u64| if self.estimated >= MUCH { number >> 1 } else { number };
        Self {
            estimated: halved(self.estimated).saturating_add(fresh.estimated),
            reported: halved(self.reported).saturating_add(fresh.reported),
        }
    }
}

/// What one worker knows of a model.
#[derive(Debug, Default)]
struct Model {
    /// By all workers, as it was last read.
    shared: Learned,
    /// By this one, since then.
    fresh: Learned,
    /// It was asked for since then.
    used: bool,
}

/// What one worker knows of all models.
#[derive(Debug, Default)]
pub struct Calibration {
    models: RefCell<BTreeMap<String, Model>>,
}

impl Calibration {
    /// The estimate of a prompt, corrected by what was learned of the model.
    #[must_use]
    pub fn corrected(&self, model: &str, estimate: u64) -> u64 {
        let mut models = self.models.borrow_mut();
        let Some(known) = models.get_mut(model) else {
            if !model.is_empty() && model.len() <= NAME_MAX && models.len() < MODELS_MAX {
                models.insert(model.to_owned(), Model { used: true, ..Model::default() });
            }
            return estimate;
        };
        known.used = true;
        let Learned { estimated, reported } = known.shared;
        if estimated < ENOUGH {
            return estimate;
        }
        let corrected = u128::from(estimate).saturating_mul(u128::from(reported)).checked_div(u128::from(estimated));
        let corrected = corrected.and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or(estimate);
        corrected.clamp(estimate.div_ceil(2), estimate.saturating_mul(3))
    }

    /// Learns from an exchange whose prompt was estimated so before any correction, and reported so. Of a model that
    /// nobody asked about nothing is learned.
    pub fn learn(&self, model: &str, estimate: u64, reported: u64) {
        if estimate > 0
            && reported > 0
            && let Some(known) = self.models.borrow_mut().get_mut(model)
        {
            known.fresh = known.fresh.and(Learned { estimated: estimate, reported });
        }
    }

    /// Tells the other workers what was learned, and learns from them.
    pub fn share(&self, store: &dyn Store) {
        for (name, model) in self.models.borrow_mut().iter_mut().filter(|(_, model)| model.used) {
            let fresh = std::mem::take(&mut model.fresh);
            model.used = false;
            model.shared = store::update(store, &format!("{KEY}{name}"), |bytes| {
                let known = bytes.map(Learned::read).unwrap_or_default();
                let next = known.and(fresh);
                (if fresh.estimated > 0 { Some(next.bytes()) } else { None }, next)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn what_one_worker_learns_corrects_all_of_them_once_enough_is_known() {
        let (store, one, other) = (MemoryStore::default(), Calibration::default(), Calibration::default());
        for _ in 0..5 {
            assert_eq!(one.corrected("m", 1_000), 1_000, "not yet");
            one.learn("m", 2_000, 3_000);
            one.share(&store);
        }
        assert_eq!(one.corrected("m", 1_000), 1_500);
        assert_eq!(other.corrected("m", 1_000), 1_000, "it was not asked for before");
        other.share(&store);
        assert_eq!(other.corrected("m", 1_000), 1_500);
        assert_eq!(one.corrected("another", 1_000), 1_000);
    }

    #[test]
    fn a_correction_has_bounds_and_the_past_fades() {
        let (store, worker) = (MemoryStore::default(), Calibration::default());
        let learn = |model: &str, estimate, reported| {
            let _ = worker.corrected(model, 1);
            worker.learn(model, estimate, reported);
            worker.share(&store);
        };
        learn("m", 100_000, 10_000_000);
        assert_eq!(worker.corrected("m", 100), 300);
        (0..400).for_each(|_| learn("m", 100_000, 100_000));
        assert!(worker.corrected("m", 100).abs_diff(100) <= 1);
        learn("n", 100_000, 1);
        assert_eq!(worker.corrected("n", 100), 50);
    }

    #[test]
    fn what_says_nothing_is_not_learned_and_names_are_bounded() {
        let (store, worker) = (MemoryStore::default(), Calibration::default());
        for model in ["m".to_owned(), String::new(), "m".repeat(97)] {
            let _ = worker.corrected(&model, 5);
            worker.learn(&model, 0, 5);
            worker.learn(&model, 5, 0);
        }
        for n in 0..2_000 {
            let _ = worker.corrected(&format!("model-{n}"), 5);
        }
        worker.share(&store);
        assert_eq!(store.get("purser.calibration.m"), None);
        assert_eq!(worker.models.borrow().len(), MODELS_MAX);
    }
}
