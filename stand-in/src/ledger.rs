//! What the stand-in did: the truth that others are measured against.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One request and what was sent for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Path of the request.
    pub path: String,
    /// Model that it named.
    pub model: String,
    /// Headers as they came, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it came, when it is short.
    pub body: String,
    /// Prompt tokens, cached ones among them.
    pub prompt: u64,
    /// Of which from the cache, to the five-minute cache, to the one-hour cache.
    pub cached: u64,
    /// See `cached`.
    pub write_5m: u64,
    /// See `cached`.
    pub write_1h: u64,
    /// Words sent so far.
    pub output: u64,
    /// The answer went out to its end.
    pub complete: bool,
    /// An error was answered: nothing is charged.
    pub error: bool,
}

/// All requests, shared.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Entry>>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self, entry: Entry) -> usize {
        let mut entries = self.lock();
        entries.push(entry);
        entries.len().saturating_sub(1)
    }

    pub(crate) fn with(&self, index: usize, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().get_mut(index) {
            change(entry);
        }
    }

    /// What was done so far, in the order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Number of requests so far.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was asked yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
