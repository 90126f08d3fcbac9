//! The labels on an exchange: who pays, and for what.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The labels that every record has columns for. Policy may use these; other names are refused.
pub const NAMES: [&str; 6] = ["environment", "feature", "org", "team", "user", "workload"];

/// Where a label's value came from. The order of trust is declared by the `Identity` policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Source {
    /// The virtual key that the caller presented.
    Key,
    /// The proxy's own node metadata: in a sidecar, the workload that it stands beside.
    Workload,
    /// An `x-purser-*` header: the caller's own claim.
    Header,
}

/// One label's value and how it was learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Label {
    /// The value, at most 128 bytes.
    pub value: String,
    /// How it was learned.
    pub source: Source,
}

/// Labels by name. Absent is unknown, which no rule takes for a value.
pub type Labels = BTreeMap<String, Label>;
