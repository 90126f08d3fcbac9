//! What the streams of one VM share: the policy in force, the reporter, and the requests that wait for a cold lease.

use crate::host::{self, SharedData};
use crate::metrics::Metrics;
use crate::stream::Held;
use purser_core::budget::Instance;
use purser_core::config::SyncConfig;
use purser_core::estimate::calibration::Calibration;
use purser_core::exchange::{Finished, Host, Proxy};
use purser_core::policy::Policy;
use purser_core::reporter::Reporter;
use purser_core::sync::SyncResponse;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// Between two times that workers tell each other what they learned of estimates.
const SHARE_EVERY_MS: u64 = 1_000;
const SYNC_PATH: &str = "/v1/sync";
/// How much later than its own time-out a cold sync is given up.
const COLD_GRACE_MS: u64 = 200;
const STORE: SharedData = SharedData;

/// One VM.
pub(crate) struct Vm {
    policy: RefCell<Option<Rc<Policy>>>,
    proxy: RefCell<Rc<Proxy>>,
    reporter: RefCell<Reporter>,
    metrics: RefCell<Metrics>,
    /// Requests that wait for a cold lease, by stream.
    waiting: RefCell<BTreeMap<u32, Waiter>>,
    /// The cold sync under way.
    cold: Cell<Option<Cold>>,
    /// Whether those that wait are just being resumed: they ask together afterwards.
    resuming: Cell<bool>,
    /// The regular sync under way.
    regular: Cell<Option<u32>>,
    calibration: Calibration,
    /// When it was last shared.
    shared_ms: Cell<u64>,
}

/// A cold sync: the context whose callback it is, and when it is given up even if that never comes.
#[derive(Clone, Copy)]
struct Cold {
    context_id: u32,
    until_ms: u64,
}

struct Waiter {
    held: Rc<Held>,
    instances: Vec<Instance>,
    deadline_ms: u64,
}

impl Vm {
    pub(crate) fn new() -> Self {
        Self {
            policy: RefCell::default(),
            proxy: RefCell::default(),
            reporter: RefCell::new(Reporter::new(random())),
            metrics: RefCell::default(),
            waiting: RefCell::default(),
            cold: Cell::new(None),
            resuming: Cell::new(false),
            regular: Cell::new(None),
            calibration: Calibration::default(),
            shared_ms: Cell::new(0),
        }
    }

    pub(crate) fn configure(&self, proxy: Proxy, policy: Option<Policy>) {
        *self.proxy.borrow_mut() = Rc::new(proxy);
        *self.policy.borrow_mut() = policy.map(Rc::new);
    }

    pub(crate) fn policy(&self) -> Option<Rc<Policy>> {
        self.policy.borrow().clone()
    }

    /// Calls the engine with the time, the store and the proxy.
    pub(crate) fn with_host<T>(&self, call: impl FnOnce(Host<'_>) -> T) -> T {
        let proxy = Rc::clone(&self.proxy.borrow());
        call(Host { now_ms: host::now_ms(), store: &STORE, proxy: &proxy, calibration: &self.calibration })
    }

    pub(crate) fn opened(&self, seq: Option<u64>) {
        if let Some(seq) = seq {
            self.reporter.borrow_mut().opened(seq);
        }
    }

    pub(crate) fn refresh(&self, low: Vec<Instance>) {
        self.reporter.borrow_mut().refresh(low);
    }

    /// Counts a request that costs nothing.
    pub(crate) fn passed(&self, what: &'static str) {
        self.metrics.borrow_mut().passed(what);
    }

    /// Records a finished exchange. Returns its line for the access log.
    pub(crate) fn finished(&self, finished: Finished) -> Option<String> {
        self.metrics.borrow_mut().count(&finished.record);
        self.reporter.borrow_mut().finished(finished)
    }

    /// Lets the stream `context_id` wait for a sync of `instances`, and starts it from there if none is under way.
    pub(crate) fn wait(&self, context_id: u32, held: Rc<Held>, instances: Vec<Instance>) {
        let sync = self.sync_config();
        let deadline_ms = host::now_ms().saturating_add(sync.cold_deadline_ms);
        self.reporter.borrow_mut().waited();
        self.waiting.borrow_mut().insert(context_id, Waiter { held, instances, deadline_ms });
        if !self.resuming.get() {
            self.ask(context_id, &sync);
        }
    }

    /// A stream ended: whatever it waited or asked for is nobody's now.
    pub(crate) fn ended(&self, context_id: u32) {
        self.waiting.borrow_mut().remove(&context_id);
        if self.cold.get().is_some_and(|cold| cold.context_id == context_id) {
            self.cold.set(None);
        }
    }

    /// Starts a cold sync for all that wait, unless one is under way. The answer comes to the active context.
    fn ask(&self, context_id: u32, sync: &SyncConfig) {
        let now_ms = host::now_ms();
        if self.cold.get().is_some_and(|cold| now_ms < cold.until_ms) {
            return;
        }
        let instances: BTreeSet<Instance> =
            self.waiting.borrow().values().flat_map(|waiter| waiter.instances.iter().cloned()).collect();
        if instances.is_empty() {
            return;
        }
        let body = self.with_host(|host| {
            let mut reporter = self.reporter.borrow_mut();
            reporter.cold_sync(host.store, host.proxy, &self.version(), &instances, host.now_ms)
        });
        let timeout = Duration::from_millis(sync.cold_deadline_ms);
        let sent = body.ok().and_then(|body| host::post(&sync.cluster, SYNC_PATH, &body, timeout));
        match sent {
            Some(_) => {
                let until_ms = now_ms.saturating_add(sync.cold_deadline_ms).saturating_add(COLD_GRACE_MS);
                self.cold.set(Some(Cold { context_id, until_ms }));
            }
            None => self.reporter.borrow_mut().failed(),
        }
    }

    /// The answer to a cold sync, which came to `context_id`: all that wait go on.
    pub(crate) fn cold_answered(&self, context_id: u32, body_size: usize) {
        self.cold.set(None);
        let response = answer(body_size);
        if let Some(response) = &response {
            self.with_host(|host| self.reporter.borrow_mut().granted(host.store, response, host.now_ms));
        }
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        self.resuming.set(true);
        for (waiter_id, waiter) in waiting {
            if host::act_for(waiter_id) {
                waiter.held.resume(self, waiter_id, response.is_some());
            }
        }
        self.resuming.set(false);
        if host::act_for(context_id) {
            self.ask(context_id, &self.sync_config());
        }
    }

    /// The root's tick: deadlines, cold asks that lost their stream, the regular sync, metrics.
    pub(crate) fn tick(&self, root_id: u32) {
        self.metrics.borrow_mut().flush();
        let sync = self.sync_config();
        let now_ms = host::now_ms();
        let late: Vec<u32> = {
            let waiting = self.waiting.borrow();
            waiting.iter().filter(|(_, waiter)| waiter.deadline_ms <= now_ms).map(|(id, _)| *id).collect()
        };
        for context_id in late {
            let waiter = self.waiting.borrow_mut().remove(&context_id);
            if let Some(waiter) = waiter.filter(|_| host::act_for(context_id)) {
                waiter.held.resume(self, context_id, false);
            }
        }
        if !host::act_for(root_id) {
            return;
        }
        self.ask(root_id, &sync);
        if now_ms.saturating_sub(self.shared_ms.get()) >= SHARE_EVERY_MS {
            self.shared_ms.set(now_ms);
            self.calibration.share(&STORE);
        }
        if self.reporter.borrow().is_due(now_ms, sync.interval_ms) {
            self.sync(&sync);
        }
    }

    /// Starts a regular sync. The answer comes to the active context: the root.
    fn sync(&self, sync: &SyncConfig) {
        let body = self.with_host(|host| {
            let mut reporter = self.reporter.borrow_mut();
            reporter.sync(host.store, host.proxy, &self.version(), host::memory_bytes(), host.now_ms)
        });
        let sent = body.ok().and_then(|body| host::post(&sync.cluster, SYNC_PATH, &body, Duration::from_secs(10)));
        self.regular.set(sent);
        if sent.is_none() {
            self.reporter.borrow_mut().failed();
        }
    }

    /// The answer to a call that the root made.
    pub(crate) fn root_answered(&self, root_id: u32, token: u32, body_size: usize) {
        if self.regular.get() != Some(token) {
            self.cold_answered(root_id, body_size);
            return;
        }
        self.regular.set(None);
        match answer(body_size) {
            Some(response) => {
                self.with_host(|host| self.reporter.borrow_mut().acknowledged(host.store, &response, host.now_ms));
                // Under load the ticks alone are too few to keep up.
                if self.reporter.borrow().is_full() {
                    self.sync(&self.sync_config());
                }
            }
            None => self.reporter.borrow_mut().failed(),
        }
    }

    fn sync_config(&self) -> SyncConfig {
        self.policy.borrow().as_ref().map(|policy| policy.config.sync.clone()).unwrap_or_default()
    }

    fn version(&self) -> String {
        self.policy.borrow().as_ref().map(|policy| policy.config.version.clone()).unwrap_or_default()
    }
}

fn answer(body_size: usize) -> Option<SyncResponse> {
    let (status, body) = host::post_answer(body_size)?;
    if status == 200 { serde_json::from_slice(&body).ok() } else { None }
}

/// A number that no other VM has: the standard library's hash keys are random.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(host::now_ms())
}
