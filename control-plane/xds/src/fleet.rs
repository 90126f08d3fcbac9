//! Which proxy gets which snapshot: roll-outs in stages that stop at the first refusal.
//!
//! - A new snapshot goes to one proxy first, then to a tenth of them at a time, then it is the good one.
//! - A refusal stops it: those that had it get the good one back, the others never see it.
//! - A proxy that connects meanwhile gets the good one. The first snapshot ever goes to all.

use crate::session::Report;
use crate::snapshot::{Kind, Snapshot};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// A proxy that does not answer for this long is left out of a stage: it went away.
const STAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a proxy last said of a kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has it.
    Acked,
    /// It refused it, and keeps the one before.
    Nacked,
}

/// A proxy's state of one kind of resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigStatus {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The version it spoke of last.
    pub version: String,
    /// What it said.
    pub status: Status,
    /// Why it refused.
    pub error: Option<String>,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

/// A proxy as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyView {
    /// xDS node id.
    pub proxy: String,
    /// Whether a stream is open.
    pub connected: bool,
    /// Envoy's version.
    pub envoy_version: String,
    /// By kind.
    pub config: Vec<ConfigStatus>,
}

/// Where a roll-out stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutState {
    /// All have the good snapshot.
    Idle,
    /// One proxy tries it.
    Canary,
    /// It goes to more.
    Rolling,
    /// A proxy refused it.
    Stopped,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nack {
    /// Whose.
    pub proxy: String,
    /// Of which kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Why.
    pub error: String,
}

/// A roll-out as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolloutView {
    /// Label of the newest snapshot.
    pub version: String,
    /// Where it stands.
    pub state: RolloutState,
    /// Proxies that have all of it.
    pub acked: usize,
    /// Proxies connected.
    pub total: usize,
    /// Refusals that stopped it.
    pub nacks: Vec<Nack>,
}

struct Proxy {
    streams: usize,
    envoy_version: String,
    target: watch::Sender<Option<Arc<Snapshot>>>,
    config: BTreeMap<Kind, ConfigStatus>,
}

impl Proxy {
    /// Whether it has all of a snapshot.
    fn has(&self, snapshot: &Snapshot) -> bool {
        Kind::ALL.into_iter().filter(|kind| !snapshot.of(*kind).is_empty()).all(|kind| {
            self.config
                .get(&kind)
                .is_some_and(|said| said.status == Status::Acked && said.version == snapshot.version(kind))
        })
    }
}

struct Rollout {
    snapshot: Arc<Snapshot>,
    state: RolloutState,
    sent_to: BTreeSet<String>,
    stage_began: Instant,
    nacks: Vec<Nack>,
}

#[derive(Default)]
struct Inner {
    good: Option<Arc<Snapshot>>,
    rollout: Option<Rollout>,
    proxies: BTreeMap<String, Proxy>,
}

/// All proxies.
#[derive(Clone, Default)]
pub struct Fleet(Arc<Mutex<Inner>>);

impl Fleet {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a snapshot to the proxies, in stages. A newer one takes the place of one that is under way.
    pub fn publish(&self, snapshot: Snapshot) {
        let mut inner = self.lock();
        let snapshot = Arc::new(snapshot);
        inner.rollout = Some(Rollout {
            snapshot: Arc::clone(&snapshot),
            state: RolloutState::Canary,
            sent_to: BTreeSet::new(),
            stage_began: Instant::now(),
            nacks: Vec::new(),
        });
        if inner.good.is_none() {
            inner.good = Some(snapshot);
        }
        inner.advance();
    }

    /// A stream of a proxy was opened. The receiver says what it should have; [`Self::disconnected`] ends it.
    pub fn connected(&self, proxy: &str, envoy_version: &str) -> watch::Receiver<Option<Arc<Snapshot>>> {
        let mut inner = self.lock();
        let good = inner.good.clone();
        let entry = inner.proxies.entry(proxy.to_owned()).or_insert_with(|| Proxy {
            streams: 0,
            envoy_version: String::new(),
            target: watch::channel(good.clone()).0,
            config: BTreeMap::new(),
        });
        if entry.streams == 0 {
            entry.target.send_replace(good);
        }
        entry.streams = entry.streams.saturating_add(1);
        envoy_version.clone_into(&mut entry.envoy_version);
        entry.target.subscribe()
    }

    /// A stream of a proxy ended.
    pub fn disconnected(&self, proxy: &str) {
        let mut inner = self.lock();
        if let Some(entry) = inner.proxies.get_mut(proxy) {
            entry.streams = entry.streams.saturating_sub(1);
        }
        inner.advance();
    }

    /// A proxy said something of a version.
    pub fn report(&self, proxy: &str, report: Report) {
        let mut inner = self.lock();
        if let Some(error) = &report.error {
            tracing::warn!(proxy, kind = report.kind.name(), version = report.version, error, "configuration refused");
        }
        if let Some(entry) = inner.proxies.get_mut(proxy) {
            let status = if report.error.is_some() { Status::Nacked } else { Status::Acked };
            let said = ConfigStatus {
                kind: report.kind.name(),
                version: report.version,
                status,
                error: report.error,
                at_ms: now_ms(),
            };
            entry.config.insert(report.kind, said);
        }
        inner.advance();
    }

    /// Lets time pass: a stage whose proxies went away goes on.
    pub fn tick(&self) {
        self.lock().advance();
    }

    /// Proxies that were ever connected.
    #[must_use]
    pub fn proxies(&self) -> Vec<ProxyView> {
        let inner = self.lock();
        let view = |(id, proxy): (&String, &Proxy)| ProxyView {
            proxy: id.clone(),
            connected: proxy.streams > 0,
            envoy_version: proxy.envoy_version.clone(),
            config: proxy.config.values().cloned().collect(),
        };
        inner.proxies.iter().map(view).collect()
    }

    /// Where the newest snapshot stands.
    #[must_use]
    pub fn rollout(&self) -> RolloutView {
        let inner = self.lock();
        let connected = || inner.proxies.values().filter(|proxy| proxy.streams > 0);
        let newest = inner.rollout.as_ref().map(|rollout| &rollout.snapshot).or(inner.good.as_ref());
        RolloutView {
            version: newest.map(|snapshot| snapshot.label.clone()).unwrap_or_default(),
            state: inner.rollout.as_ref().map_or(RolloutState::Idle, |rollout| rollout.state),
            acked: newest.map_or(0, |snapshot| connected().filter(|proxy| proxy.has(snapshot)).count()),
            total: connected().count(),
            nacks: inner.rollout.as_ref().map(|rollout| rollout.nacks.clone()).unwrap_or_default(),
        }
    }
}

impl Inner {
    fn advance(&mut self) {
        let Some(rollout) = &mut self.rollout else { return };
        if rollout.state == RolloutState::Stopped {
            return;
        }
        let refusals = self.proxies.iter().filter(|(id, _)| rollout.sent_to.contains(*id)).flat_map(|(id, proxy)| {
            let snapshot = &rollout.snapshot;
            let refused = proxy
                .config
                .iter()
                .filter(|(kind, said)| said.status == Status::Nacked && said.version == snapshot.version(**kind));
            refused.map(|(_, said)| Nack {
                proxy: id.clone(),
                kind: said.kind,
                error: said.error.clone().unwrap_or_default(),
            })
        });
        rollout.nacks = refusals.collect();
        if !rollout.nacks.is_empty() {
            rollout.state = RolloutState::Stopped;
            for id in &rollout.sent_to {
                if let Some(proxy) = self.proxies.get(id) {
                    proxy.target.send_replace(self.good.clone());
                }
            }
            return;
        }
        let late = rollout.stage_began.elapsed() >= STAGE_TIMEOUT;
        let waiting = self
            .proxies
            .iter()
            .any(|(id, proxy)| proxy.streams > 0 && rollout.sent_to.contains(id) && !proxy.has(&rollout.snapshot));
        if waiting && !late {
            return;
        }
        let mut left: Vec<&String> = self
            .proxies
            .iter()
            .filter(|(id, proxy)| proxy.streams > 0 && !rollout.sent_to.contains(*id))
            .map(|(id, _)| id)
            .collect();
        if left.is_empty() {
            let good = Arc::clone(&rollout.snapshot);
            // One that connected again meanwhile was given the good one of then.
            for proxy in self.proxies.values() {
                proxy.target.send_if_modified(|target| {
                    let behind = target.as_ref().is_none_or(|target| !Arc::ptr_eq(target, &good));
                    if behind {
                        *target = Some(Arc::clone(&good));
                    }
                    behind
                });
            }
            self.good = Some(good);
            self.rollout = None;
            return;
        }
        let first = rollout.sent_to.is_empty();
        let same = self.good.as_ref().is_some_and(|good| Arc::ptr_eq(good, &rollout.snapshot));
        let stage = match first {
            _ if same => left.len(),
            true => 1,
            false => self.proxies.len().div_ceil(10).max(1),
        };
        left.truncate(stage);
        let stage: Vec<String> = left.into_iter().cloned().collect();
        rollout.state = if first && !same { RolloutState::Canary } else { RolloutState::Rolling };
        rollout.stage_began = Instant::now();
        for id in stage {
            if let Some(proxy) = self.proxies.get(&id) {
                proxy.target.send_replace(Some(Arc::clone(&rollout.snapshot)));
            }
            rollout.sent_to.insert(id);
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::google::protobuf::Any;

    fn snapshot(label: &str) -> Snapshot {
        let body = Any { type_url: Kind::Cluster.type_url().into(), value: label.as_bytes().to_vec() };
        Snapshot::new(label.into(), vec![(Kind::Cluster, "c".into(), body)])
    }

    fn said(fleet: &Fleet, proxy: &str, label: &str, error: Option<&str>) {
        let version = snapshot(label).version(Kind::Cluster).to_owned();
        fleet.report(proxy, Report { kind: Kind::Cluster, version, error: error.map(str::to_owned) });
    }

    fn target(receiver: &watch::Receiver<Option<Arc<Snapshot>>>) -> String {
        receiver.borrow().as_ref().map(|snapshot| snapshot.label.clone()).unwrap_or_default()
    }

    #[test]
    fn one_tries_it_then_the_others_get_it() {
        let fleet = Fleet::default();
        fleet.publish(snapshot("1"));
        let (a, b) = (fleet.connected("a", "1.40"), fleet.connected("b", "1.40"));
        assert_eq!((target(&a), target(&b)), ("1".into(), "1".into()));
        said(&fleet, "a", "1", None);
        said(&fleet, "b", "1", None);
        fleet.publish(snapshot("2"));
        assert_eq!((target(&a), target(&b)), ("2".into(), "1".into()));
        assert_eq!(fleet.rollout().state, RolloutState::Canary);
        said(&fleet, "a", "2", None);
        assert_eq!(target(&b), "2");
        said(&fleet, "b", "2", None);
        assert_eq!((fleet.rollout().state, fleet.rollout().acked), (RolloutState::Idle, 2));
    }

    #[test]
    fn a_refusal_stops_it_and_the_canary_gets_the_good_one_back() {
        let fleet = Fleet::default();
        fleet.publish(snapshot("1"));
        let (a, b) = (fleet.connected("a", "1.40"), fleet.connected("b", "1.40"));
        said(&fleet, "a", "1", None);
        said(&fleet, "b", "1", None);
        fleet.publish(snapshot("2"));
        said(&fleet, "a", "2", Some("bad wasm"));
        assert_eq!((target(&a), target(&b)), ("1".into(), "1".into()));
        let rollout = fleet.rollout();
        assert_eq!((rollout.state, rollout.nacks[0].error.as_str()), (RolloutState::Stopped, "bad wasm"));
        let late = fleet.connected("c", "1.40");
        assert_eq!(target(&late), "1");
        fleet.publish(snapshot("3"));
        assert_eq!(target(&a), "3", "a newer one starts anew");
    }

    #[test]
    fn a_proxy_that_comes_back_in_the_middle_of_a_roll_out_ends_with_it_too() {
        let fleet = Fleet::default();
        fleet.publish(snapshot("1"));
        let (_a, b) = (fleet.connected("a", "1.40"), fleet.connected("b", "1.40"));
        said(&fleet, "a", "1", None);
        said(&fleet, "b", "1", None);
        fleet.publish(snapshot("2"));
        fleet.disconnected("a");
        let a = fleet.connected("a", "1.40");
        assert_eq!((target(&a), target(&b)), ("1".into(), "2".into()), "b is the one to try it now");
        fleet.lock().rollout.as_mut().unwrap().stage_began -= STAGE_TIMEOUT;
        said(&fleet, "b", "2", None);
        assert_eq!((target(&a), fleet.rollout().state), ("2".into(), RolloutState::Idle));
    }

    #[test]
    fn a_canary_that_went_away_does_not_hold_the_others_up() {
        let fleet = Fleet::default();
        fleet.publish(snapshot("1"));
        let (_a, b) = (fleet.connected("a", "1.40"), fleet.connected("b", "1.40"));
        said(&fleet, "a", "1", None);
        said(&fleet, "b", "1", None);
        fleet.publish(snapshot("2"));
        fleet.disconnected("a");
        assert_eq!(target(&b), "2");
    }
}
