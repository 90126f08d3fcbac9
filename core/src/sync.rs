//! What a proxy and the control plane say to each other, off the request path: `POST /v1/sync`, JSON both ways.
//!
//! Every figure about a lease is a running total within the proxy's epoch, so that a message which is lost, late,
//! repeated or out of order changes nothing: both sides keep the larger. Records are keyed by (proxy, epoch, seq).

use crate::budget::Instance;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// From a proxy. Each worker's VM sends its own; lease totals are those of the whole proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncRequest {
    /// xDS node id.
    pub proxy: String,
    /// This run of the proxy's process.
    pub epoch: u64,
    /// Which of the process's VMs is speaking: random, new when a VM is.
    pub vm: u64,
    /// Version of the policy in force there.
    pub policy: String,
    /// The next sequence number to be taken in this epoch.
    pub next_seq: u64,
    /// Numbers taken in this VM whose records are not written yet: exchanges under way, and records waiting behind
    /// those sent here.
    pub open: Vec<u64>,
    /// Finished exchanges, as [`crate::record::Record`] lines. Sent again until acknowledged.
    pub records: Vec<Box<RawValue>>,
    /// Leases that changed or are wanted.
    pub leases: Vec<LeaseReport>,
    /// How the filter is.
    pub health: Health,
}

/// How a filter's VM is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Linear memory of the VM.
    pub memory_bytes: u64,
    /// Records that were dropped here because the control plane was away too long. They are in the access log.
    pub records_dropped: u64,
    /// Syncs that failed since the VM started.
    pub sync_failures: u64,
    /// Exchanges that waited for a cold lease since the VM started.
    pub cold_waits: u64,
}

/// One budget instance as a proxy sees it. Amounts are nano-USD, running totals of the epoch, but for `reserved` and
/// `want`, which are of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseReport {
    /// Which budget, group and period.
    pub instance: Instance,
    /// The largest total grant seen.
    pub granted: u64,
    /// Settled costs. May exceed `granted` when an answer cost more than was held.
    pub spent: u64,
    /// Given back.
    pub returned: u64,
    /// Held for exchanges under way.
    pub reserved: u64,
    /// What the proxy would like to have available beyond `reserved`; 0: nothing.
    pub want: u64,
}

/// The control plane's answer. The records of the request are stored when it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResponse {
    /// For each lease of the request.
    pub leases: Vec<LeaseGrant>,
}

/// What a proxy may spend of one budget instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// Which budget, group and period.
    pub instance: Instance,
    /// Total granted to this proxy in this epoch. The proxy may spend `granted - returned`.
    pub granted: u64,
    /// True when less was granted than wanted because the budget has no more.
    pub exhausted: bool,
}
