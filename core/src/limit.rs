//! Token buckets for the requests and tokens that may pass in a window.
//!
//! [`crate::policy`] picks the buckets of a request, this module says whether each can afford it,
//! [`crate::exchange`] turns the answer into a pass or a 429.
//!
//! - A bucket refills evenly: `capacity` in a window, at most `capacity` at once.
//! - A bucket may go negative: the size of an answer is known late, and its debt is paid by the next refills instead
//!   of being forgiven.
//! - A request larger than the capacity passes when the bucket is full, or it would never pass.
//! - Shared by the workers of one proxy. Not here: sharing between proxies.

use crate::store::{self, Store};

/// One bucket's size and pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Permits that pass in a window, and the most that are saved up.
    pub capacity: u64,
    /// The window.
    pub window_ms: u64,
}

/// What came of asking for permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Taken. What is left, never below 0.
    Pass {
        /// Whole permits left.
        left: u64,
    },
    /// Not enough.
    Wait {
        /// When there will be, at the present pace.
        retry_ms: u64,
        /// Whole permits left.
        left: u64,
    },
}

/// Permits are kept in parts so that a refill between two requests that come close together is not rounded away.
const PARTS: i128 = 1_000_000;

struct Bucket {
    level: i128,
    updated_ms: u64,
}

impl Bucket {
    fn read(bytes: Option<&[u8]>, pace: Pace, now_ms: u64) -> Self {
        let full = parts(pace.capacity);
        let stored = bytes.and_then(|bytes| {
            let (level, updated) = bytes.split_first_chunk::<16>()?;
            Some(Self { level: i128::from_le_bytes(*level), updated_ms: store::read_u64(updated)? })
        });
        let Some(stored) = stored else { return Self { level: full, updated_ms: now_ms } };
        let elapsed = now_ms.saturating_sub(stored.updated_ms);
        let refill = share(full, elapsed, pace.window_ms.max(1).into());
        Self { level: stored.level.saturating_add(refill).min(full), updated_ms: stored.updated_ms.max(now_ms) }
    }

    fn write(&self) -> Vec<u8> {
        [self.level.to_le_bytes().as_slice(), &self.updated_ms.to_le_bytes()].concat()
    }

    fn left(&self) -> u64 {
        u64::try_from(share(self.level.max(0), 1, PARTS)).unwrap_or(u64::MAX)
    }
}

fn parts(permits: u64) -> i128 {
    i128::from(permits).saturating_mul(PARTS)
}

/// `amount × by / of`, which are not negative, rounded down. Nearly always all of it fits 64 bits, and dividing 128 is
/// a slow library call in wasm.
fn share(amount: i128, by: u64, of: i128) -> i128 {
    let product = u64::try_from(amount).ok().and_then(|amount| amount.checked_mul(by));
    match (product, u64::try_from(of)) {
        (Some(product), Ok(of)) => product.checked_div(of).unwrap_or(0).into(),
        _ => amount.saturating_mul(by.into()).checked_div(of).unwrap_or(0),
    }
}

/// Takes `permits`, or says when to come back.
pub fn take(store: &dyn Store, key: &str, pace: Pace, permits: u64, now_ms: u64) -> Answer {
    store::update(store, key, |bytes| {
        let mut bucket = Bucket::read(bytes, pace, now_ms);
        let full = parts(pace.capacity);
        let need = parts(permits);
        let threshold = need.min(full);
        if pace.capacity > 0 && bucket.level >= threshold {
            bucket.level = bucket.level.saturating_sub(need);
            return (Some(bucket.write()), Answer::Pass { left: bucket.left() });
        }
        let short = threshold.saturating_sub(bucket.level);
        let retry = short
            .saturating_mul(i128::from(pace.window_ms))
            .saturating_add(full.saturating_sub(1))
            .checked_div(full)
            .unwrap_or(i128::from(pace.window_ms));
        let retry_ms = u64::try_from(retry.max(1)).unwrap_or(u64::MAX);
        (None, Answer::Wait { retry_ms, left: bucket.left() })
    })
}

/// Corrects what was taken: more is a debt, less comes back.
pub fn settle(store: &dyn Store, key: &str, pace: Pace, taken: u64, actual: u64, now_ms: u64) {
    if taken == actual {
        return;
    }
    store::update(store, key, |bytes| {
        let mut bucket = Bucket::read(bytes, pace, now_ms);
        let full = i128::from(pace.capacity).saturating_mul(PARTS);
        let back = i128::from(taken).saturating_sub(i128::from(actual)).saturating_mul(PARTS);
        bucket.level = bucket.level.saturating_add(back).min(full);
        (Some(bucket.write()), ())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    const PACE: Pace = Pace { capacity: 10, window_ms: 1_000 };

    #[test]
    fn a_full_bucket_passes_its_capacity_and_then_one_permit_a_tenth_of_the_window() {
        let store = MemoryStore::default();
        for left in (0..10).rev() {
            assert_eq!(take(&store, "k", PACE, 1, 0), Answer::Pass { left });
        }
        assert_eq!(take(&store, "k", PACE, 1, 0), Answer::Wait { retry_ms: 100, left: 0 });
        assert_eq!(take(&store, "k", PACE, 1, 99), Answer::Wait { retry_ms: 1, left: 0 });
        assert_eq!(take(&store, "k", PACE, 1, 100), Answer::Pass { left: 0 });
    }

    #[test]
    fn refills_that_come_close_together_are_not_rounded_away() {
        let store = MemoryStore::default();
        take(&store, "k", PACE, 10, 0);
        for now in 1..100 {
            assert!(matches!(take(&store, "k", PACE, 1, now), Answer::Wait { .. }), "{now}");
        }
        assert_eq!(take(&store, "k", PACE, 1, 100), Answer::Pass { left: 0 });
    }

    #[test]
    fn a_debt_is_paid_before_anything_passes() {
        let store = MemoryStore::default();
        take(&store, "k", PACE, 1, 0);
        settle(&store, "k", PACE, 1, 31, 0);
        assert_eq!(take(&store, "k", PACE, 1, 0), Answer::Wait { retry_ms: 2_200, left: 0 });
        assert_eq!(take(&store, "k", PACE, 1, 2_200), Answer::Pass { left: 0 });
    }

    #[test]
    fn what_was_taken_too_much_comes_back_but_never_above_the_capacity() {
        let store = MemoryStore::default();
        take(&store, "k", PACE, 8, 0);
        settle(&store, "k", PACE, 8, 2, 0);
        assert_eq!(take(&store, "k", PACE, 1, 0), Answer::Pass { left: 7 });
        settle(&store, "k", PACE, 100, 0, 0);
        assert_eq!(take(&store, "k", PACE, 1, 0), Answer::Pass { left: 9 });
    }

    #[test]
    fn more_than_the_capacity_passes_only_a_full_bucket() {
        let store = MemoryStore::default();
        assert_eq!(take(&store, "k", PACE, 25, 0), Answer::Pass { left: 0 });
        assert_eq!(take(&store, "k", PACE, 1, 0), Answer::Wait { retry_ms: 1_600, left: 0 });
    }

    #[test]
    fn a_capacity_of_zero_passes_nothing() {
        let store = MemoryStore::default();
        let none = Pace { capacity: 0, window_ms: 1_000 };
        assert!(matches!(take(&store, "k", none, 1, 0), Answer::Wait { .. }));
        assert!(matches!(take(&store, "k", none, 0, 5_000), Answer::Wait { .. }));
    }
}
