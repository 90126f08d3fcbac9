//! How far the estimate of a model's prompts is off, learned from what its provider reports. Shared by all workers.
//!
//! A factor for each model: reported prompt tokens over estimated ones, of the last million or so. It takes in what the
//! estimate knows nothing of: another vocabulary, a provider's own template, tools rendered in another way.
//!
//! - Of exchanges with media nothing is learned: their tokens are the provider's rule, not the text's.
//! - A factor is between a half and three, and holds from the tenth thousand tokens on. Until then the estimate stands.
//! - The first exchanges of a model are all learned from, later one of sixteen: what is shared is written seldom.

use crate::store::{self, Expected, Store};

const KEY: &str = "purser.calibration.";
/// Models that are kept apart; of others nothing is learned.
const MODELS_MAX: u64 = 512;
const MODELS_KEY: &str = "purser.calibrations";
/// Longest name of a model that is learned of.
const NAME_MAX: usize = 96;
/// Estimated tokens from which on a factor holds.
const ENOUGH: u64 = 10_000;
/// Estimated tokens after which the past counts half.
const MUCH: u64 = 1_000_000;
/// Exchanges after which one of [`SELDOM`] is learned from.
const FIRST: u64 = 64;
const SELDOM: u64 = 16;

/// What was learned of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Learned {
    estimated: u64,
    reported: u64,
    exchanges: u64,
}

impl Learned {
    fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            let eight = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
            eight.map_or(0, |eight| u64::from_le_bytes(*eight))
        };
        Self { estimated: number(0), reported: number(8), exchanges: number(16) }
    }

    fn bytes(self) -> Vec<u8> {
        [self.estimated, self.reported, self.exchanges].iter().flat_map(|number| number.to_le_bytes()).collect()
    }
}

/// The estimate of a prompt, corrected by what was learned of the model.
#[must_use]
pub fn corrected(store: &dyn Store, model: &str, estimate: u64) -> u64 {
    let Some((bytes, _)) = store.get(&key(model)) else { return estimate };
    let Learned { estimated, reported, .. } = Learned::read(&bytes);
    if estimated < ENOUGH {
        return estimate;
    }
    let corrected = u128::from(estimate).saturating_mul(u128::from(reported)).checked_div(u128::from(estimated));
    let corrected = corrected.and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or(estimate);
    corrected.clamp(estimate.div_ceil(2), estimate.saturating_mul(3))
}

/// Learns from an exchange whose prompt was estimated so before any correction, and reported so. `seq`: its number.
pub fn learn(store: &dyn Store, model: &str, estimate: u64, reported: u64, seq: u64) {
    if estimate == 0 || reported == 0 || model.is_empty() || model.len() > NAME_MAX {
        return;
    }
    let key = key(model);
    let found = store.get(&key);
    let known = found.as_ref().map(|(bytes, _)| Learned::read(bytes)).unwrap_or_default();
    if known.exchanges >= FIRST && !seq.is_multiple_of(SELDOM) {
        return;
    }
    if found.is_none() && store::next_number(store, MODELS_KEY) > MODELS_MAX {
        return;
    }
    let halved = |number: u64| if known.estimated >= MUCH { number >> 1 } else { number };
    let learned = Learned {
        estimated: halved(known.estimated).saturating_add(estimate),
        reported: halved(known.reported).saturating_add(reported),
        exchanges: known.exchanges.saturating_add(1),
    };
    // Whoever writes at the same time has learned as well: one of the two is enough.
    let expected = found.map_or(Expected::Absent, |(_, version)| Expected::Version(version));
    let _ = store.put(&key, &learned.bytes(), expected);
}

fn key(model: &str) -> String {
    format!("{KEY}{model}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn a_model_whose_prompts_are_half_as_long_again_is_corrected_once_enough_is_known() {
        let store = MemoryStore::default();
        for seq in 1..=5 {
            assert_eq!(corrected(&store, "m", 1_000), 1_000, "not yet");
            learn(&store, "m", 2_000, 3_000, seq);
        }
        assert_eq!(corrected(&store, "m", 1_000), 1_500);
        assert_eq!(corrected(&store, "other", 1_000), 1_000);
    }

    #[test]
    fn a_correction_has_bounds_and_forgets() {
        let store = MemoryStore::default();
        learn(&store, "m", 100_000, 10_000_000, 1);
        assert_eq!(corrected(&store, "m", 100), 300);
        for seq in 1..400 {
            learn(&store, "m", 100_000, 100_000, seq * SELDOM);
        }
        assert!(corrected(&store, "m", 100).abs_diff(100) <= 1);
        learn(&store, "n", 100_000, 1, 1);
        assert_eq!(corrected(&store, "n", 100), 50);
    }

    #[test]
    fn what_says_nothing_is_not_learned() {
        let store = MemoryStore::default();
        learn(&store, "m", 0, 5, 1);
        learn(&store, "m", 5, 0, 1);
        learn(&store, "", 5, 5, 1);
        learn(&store, &"m".repeat(97), 50_000, 50_000, 1);
        assert_eq!(store.get(&key("m")), None);
    }
}
