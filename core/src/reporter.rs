//! What one VM still has to tell the control plane, and what it does with the answer.
//!
//! Finished records wait here until they are acknowledged; leases are reported while they change or anything of them
//! lies idle. Nothing here is on the request path but a push to a queue.
//!
//! - A batch that is not acknowledged is sent again, first in line, with the same numbers.
//! - The queue is bounded in bytes. When the control plane stays away for too long the oldest records go, counted;
//!   they are in the access log.

use crate::budget::{Instance, lease};
use crate::exchange::Proxy;
use crate::exchange::{Finished, SEQ_KEY};
use crate::store::{self, Store};
use crate::sync::{Health, SyncRequest, SyncResponse};
use serde_json::value::RawValue;
use std::collections::{BTreeSet, VecDeque};

/// Bytes of records that may wait.
const QUEUE_MAX_BYTES: usize = 2 << 20;
/// Bytes of records in one sync.
const BATCH_MAX_BYTES: usize = 256 << 10;

#[derive(Debug)]
struct Waiting {
    seq: u64,
    line: Box<RawValue>,
}

/// The reporter of one VM.
#[derive(Debug)]
pub struct Reporter {
    vm: u64,
    queue: VecDeque<Waiting>,
    queue_bytes: usize,
    /// Numbers taken by exchanges under way.
    open: BTreeSet<u64>,
    leases: BTreeSet<Instance>,
    /// So many at the front of the queue were sent, and are not acknowledged yet.
    in_flight: Option<usize>,
    urgent: bool,
    synced_ms: u64,
    health: Health,
}

impl Reporter {
    /// A reporter with nothing to tell. `vm` is random.
    #[must_use]
    pub fn new(vm: u64) -> Self {
        Self {
            vm,
            queue: VecDeque::new(),
            queue_bytes: 0,
            open: BTreeSet::new(),
            leases: BTreeSet::new(),
            in_flight: None,
            urgent: false,
            synced_ms: 0,
            health: Health::default(),
        }
    }

    /// How the VM is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// An exchange took this number.
    pub fn opened(&mut self, seq: u64) {
        self.open.insert(seq);
    }

    /// A request waits for a cold lease.
    pub fn waited(&mut self) {
        self.health.cold_waits = self.health.cold_waits.saturating_add(1);
    }

    /// Leases to be refreshed before the next regular sync.
    pub fn refresh(&mut self, low: Vec<Instance>) {
        self.urgent |= !low.is_empty();
        self.leases.extend(low);
    }

    /// Takes in a finished exchange. Returns its line for the access log; `None` when it cannot be written as JSON.
    pub fn finished(&mut self, finished: Finished) -> Option<String> {
        let seq = finished.record.seq;
        self.open.remove(&seq);
        self.leases.extend(finished.touched);
        let line = serde_json::value::to_raw_value(&finished.record).ok()?;
        let text = line.get().to_owned();
        self.queue_bytes = self.queue_bytes.saturating_add(text.len());
        self.queue.push_back(Waiting { seq, line });
        while self.queue_bytes > QUEUE_MAX_BYTES {
            let Some(dropped) = self.queue.pop_front() else { break };
            self.queue_bytes = self.queue_bytes.saturating_sub(dropped.line.get().len());
            self.health.records_dropped = self.health.records_dropped.saturating_add(1);
            self.in_flight = self.in_flight.map(|sent| sent.saturating_sub(1));
        }
        Some(text)
    }

    /// Whether a whole batch waits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue_bytes >= BATCH_MAX_BYTES
    }

    /// Whether to sync now.
    #[must_use]
    pub fn is_due(&self, now_ms: u64, interval_ms: u64) -> bool {
        // Exchanges under way are told too: their numbers are not missing.
        let something = !self.queue.is_empty() || !self.leases.is_empty() || !self.open.is_empty();
        let waited = now_ms.saturating_sub(self.synced_ms) >= interval_ms;
        self.in_flight.is_none() && something && (self.urgent || self.is_full() || waited)
    }

    /// The body of the next sync; a second one is not due until [`Self::acknowledged`] or [`Self::failed`].
    ///
    /// # Errors
    /// When JSON cannot be written, which these types never cause.
    pub fn sync(
        &mut self,
        store: &dyn Store,
        proxy: &Proxy,
        policy: &str,
        memory_bytes: u64,
        now_ms: u64,
    ) -> Result<String, serde_json::Error> {
        self.synced_ms = now_ms;
        self.urgent = false;
        self.health.memory_bytes = memory_bytes;
        let mut bytes = 0usize;
        let mut records = Vec::new();
        for waiting in &self.queue {
            bytes = bytes.saturating_add(waiting.line.get().len());
            if bytes > BATCH_MAX_BYTES && !records.is_empty() {
                break;
            }
            records.push(waiting.line.clone());
        }
        let sent = records.len();
        let behind = self.queue.iter().skip(sent).map(|waiting| waiting.seq);
        let request = SyncRequest {
            proxy: proxy.id.clone(),
            epoch: proxy.epoch,
            vm: self.vm,
            policy: policy.to_owned(),
            next_seq: next_seq(store),
            open: self.open.iter().copied().chain(behind).collect(),
            records,
            leases: self.leases.iter().map(|instance| lease::report(store, instance, now_ms)).collect(),
            health: self.health,
        };
        self.in_flight = Some(sent);
        serde_json::to_string(&request)
    }

    /// The body of a sync for `instances` alone, beside the regular ones: requests wait for it.
    ///
    /// # Errors
    /// When JSON cannot be written, which these types never cause.
    pub fn cold_sync(
        &mut self,
        store: &dyn Store,
        proxy: &Proxy,
        policy: &str,
        instances: &BTreeSet<Instance>,
        now_ms: u64,
    ) -> Result<String, serde_json::Error> {
        self.leases.extend(instances.iter().cloned());
        let waiting = self.queue.iter().map(|waiting| waiting.seq);
        let request = SyncRequest {
            proxy: proxy.id.clone(),
            epoch: proxy.epoch,
            vm: self.vm,
            policy: policy.to_owned(),
            next_seq: next_seq(store),
            open: self.open.iter().copied().chain(waiting).collect(),
            records: Vec::new(),
            leases: instances.iter().map(|instance| lease::report(store, instance, now_ms)).collect(),
            health: self.health,
        };
        serde_json::to_string(&request)
    }

    /// The control plane stored the batch.
    pub fn acknowledged(&mut self, store: &dyn Store, response: &SyncResponse, now_ms: u64) {
        for acknowledged in self.queue.drain(..self.in_flight.take().unwrap_or(0).min(self.queue.len())) {
            self.queue_bytes = self.queue_bytes.saturating_sub(acknowledged.line.get().len());
        }
        self.granted(store, response, now_ms);
    }

    /// Takes in grants, and forgets the leases of which nothing is left to tell.
    pub fn granted(&mut self, store: &dyn Store, response: &SyncResponse, now_ms: u64) {
        for grant in &response.leases {
            lease::grant(store, grant, now_ms);
            if lease::is_idle(&lease::read(store, &grant.instance)) {
                self.leases.remove(&grant.instance);
            }
        }
    }

    /// The control plane did not answer, or said no.
    pub fn failed(&mut self) {
        self.in_flight = None;
        self.health.sync_failures = self.health.sync_failures.saturating_add(1);
    }
}

fn next_seq(store: &dyn Store) -> u64 {
    let last = store.get(SEQ_KEY).and_then(|(bytes, _)| store::read_u64(&bytes)).unwrap_or(0);
    last.saturating_add(1)
}
