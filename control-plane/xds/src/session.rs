//! What is said on one xDS stream, without the stream: requests and snapshots in, responses and reports out.
//!
//! Rules of the protocol (`docs/root/api-docs/xds_protocol.rst` of Envoy 1.40, read 2026-11-23):
//!
//! - A request with an old nonce is passed over. One with an error is a NACK: the proxy keeps what it had, and the same
//!   version is not sent again.
//! - Listeners and clusters are complete lists: what is not in a response goes away. The others go by name.
//! - A proxy that reconnects says what it has, and gets only what differs.

use crate::snapshot::{Kind, Snapshot};
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use std::collections::{BTreeMap, BTreeSet};

/// What a proxy said of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of which kind.
    pub kind: Kind,
    /// Which version of the kind.
    pub version: String,
    /// Why it was refused; `None`: taken.
    pub error: Option<String>,
}

/// What comes of an event on a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<R> {
    /// To be sent, in this order.
    pub responses: Vec<R>,
    /// To be noted.
    pub report: Option<Report>,
}

impl<R> Default for Outcome<R> {
    fn default() -> Self {
        Self { responses: Vec::new(), report: None }
    }
}

/// A stream of the state-of-the-world protocol.
#[derive(Debug, Default)]
pub struct Sotw {
    watches: BTreeMap<Kind, Watch>,
    nonces: u64,
}

#[derive(Debug, Default)]
struct Watch {
    names: BTreeSet<String>,
    nonce: String,
    /// Version sent last, taken or not.
    sent: String,
}

impl Sotw {
    /// A request came.
    pub fn on_request(
        &mut self,
        request: &pb::DiscoveryRequest,
        snapshot: Option<&Snapshot>,
    ) -> Outcome<pb::DiscoveryResponse> {
        let mut outcome = Outcome::default();
        let Some(kind) = Kind::of(&request.type_url) else { return outcome };
        let first = !self.watches.contains_key(&kind);
        let watch = self.watches.entry(kind).or_default();
        let names: BTreeSet<String> = request.resource_names.iter().cloned().collect();
        if first {
            // On a new stream: what it has from before, if it says so.
            watch.sent.clone_from(&request.version_info);
            watch.names = names;
            if !request.version_info.is_empty() {
                outcome.report = Some(Report { kind, version: request.version_info.clone(), error: None });
            }
        } else if request.response_nonce != watch.nonce {
            return outcome;
        } else {
            let error = request.error_detail.as_ref().map(|error| error.message.clone());
            outcome.report = Some(Report { kind, version: watch.sent.clone(), error });
            if names != watch.names {
                watch.names = names;
                // New names need their resources, whatever version they came with before.
                watch.sent.clear();
            }
        }
        outcome.responses.extend(snapshot.and_then(|snapshot| self.respond(kind, snapshot)));
        outcome
    }

    /// Another snapshot is to be had.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot) -> Vec<pb::DiscoveryResponse> {
        Kind::ALL.into_iter().filter_map(|kind| self.respond(kind, snapshot)).collect()
    }

    fn respond(&mut self, kind: Kind, snapshot: &Snapshot) -> Option<pb::DiscoveryResponse> {
        let watch = self.watches.get_mut(&kind)?;
        let version = snapshot.version(kind);
        if watch.sent == version {
            return None;
        }
        self.nonces = self.nonces.wrapping_add(1);
        watch.nonce = self.nonces.to_string();
        version.clone_into(&mut watch.sent);
        let wanted = |name: &String| watch.names.is_empty() || watch.names.contains(name) || watch.names.contains("*");
        let resources = snapshot.of(kind).iter().filter(|(name, _)| wanted(name)).map(|(_, one)| one.body.clone());
        Some(pb::DiscoveryResponse {
            version_info: version.to_owned(),
            resources: resources.collect(),
            type_url: kind.type_url().to_owned(),
            nonce: watch.nonce.clone(),
            ..pb::DiscoveryResponse::default()
        })
    }
}

/// A stream of the incremental protocol.
#[derive(Debug, Default)]
pub struct Delta {
    watches: BTreeMap<Kind, DeltaWatch>,
    nonces: u64,
}

#[derive(Debug, Default)]
struct DeltaWatch {
    wildcard: bool,
    names: BTreeSet<String>,
    /// What the proxy was sent, taken or not: name to version.
    known: BTreeMap<String, String>,
    /// Nonce to the version of the kind that it carried.
    pending: BTreeMap<String, String>,
    /// Names asked for since the last response: they are answered even if there is nothing of that name.
    asked: BTreeSet<String>,
    version: String,
}

impl Delta {
    /// A request came.
    pub fn on_request(
        &mut self,
        request: &pb::DeltaDiscoveryRequest,
        snapshot: Option<&Snapshot>,
    ) -> Outcome<pb::DeltaDiscoveryResponse> {
        let mut outcome = Outcome::default();
        let Some(kind) = Kind::of(&request.type_url) else { return outcome };
        let first = !self.watches.contains_key(&kind);
        let watch = self.watches.entry(kind).or_default();
        if first {
            watch.known = request.initial_resource_versions.clone().into_iter().collect();
            watch.wildcard = request.resource_names_subscribe.is_empty();
        }
        for name in &request.resource_names_subscribe {
            if name == "*" {
                watch.wildcard = true;
            } else {
                watch.names.insert(name.clone());
                watch.asked.insert(name.clone());
                // Asked for again: sent again.
                if !first {
                    watch.known.remove(name);
                }
            }
        }
        for name in &request.resource_names_unsubscribe {
            if name == "*" {
                watch.wildcard = false;
            }
            watch.names.remove(name);
            watch.known.remove(name);
        }
        if let Some(version) = watch.pending.remove(&request.response_nonce) {
            let error = request.error_detail.as_ref().map(|error| error.message.clone());
            outcome.report = Some(Report { kind, version, error });
        }
        if let Some(snapshot) = snapshot {
            match self.respond(kind, snapshot) {
                Some(response) => outcome.responses.push(response),
                // It has all of it from before.
                None if first => {
                    outcome.report = Some(Report { kind, version: snapshot.version(kind).to_owned(), error: None });
                }
                None => {}
            }
        }
        outcome
    }

    /// Another snapshot is to be had.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot) -> Vec<pb::DeltaDiscoveryResponse> {
        Kind::ALL.into_iter().filter_map(|kind| self.respond(kind, snapshot)).collect()
    }

    fn respond(&mut self, kind: Kind, snapshot: &Snapshot) -> Option<pb::DeltaDiscoveryResponse> {
        let watch = self.watches.get_mut(&kind)?;
        let all = snapshot.of(kind);
        let wanted = |name: &String| watch.wildcard || watch.names.contains(name);
        let changed = all.iter().filter(|(name, one)| wanted(name) && watch.known.get(*name) != Some(&one.version));
        let resources: Vec<pb::Resource> = changed
            .map(|(name, one)| pb::Resource {
                name: name.clone(),
                version: one.version.clone(),
                resource: Some(one.body.clone()),
                ..pb::Resource::default()
            })
            .collect();
        let gone = watch.known.keys().filter(|name| !all.contains_key(*name));
        let never = watch.asked.iter().filter(|name| !all.contains_key(*name));
        let removed: BTreeSet<String> = gone.chain(never).cloned().collect();
        watch.asked.clear();
        if resources.is_empty() && removed.is_empty() {
            return None;
        }
        for one in &resources {
            watch.known.insert(one.name.clone(), one.version.clone());
        }
        for name in &removed {
            watch.known.remove(name);
        }
        self.nonces = self.nonces.wrapping_add(1);
        let nonce = self.nonces.to_string();
        snapshot.version(kind).clone_into(&mut watch.version);
        watch.pending.insert(nonce.clone(), watch.version.clone());
        Some(pb::DeltaDiscoveryResponse {
            system_version_info: watch.version.clone(),
            resources,
            removed_resources: removed.into_iter().collect(),
            type_url: kind.type_url().to_owned(),
            nonce,
            ..pb::DeltaDiscoveryResponse::default()
        })
    }
}

#[cfg(test)]
mod tests;
