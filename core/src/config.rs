//! What the control plane pushes to the filter: compiled policy, the prices in use, the keys. JSON, over ECDS.
//!
//! Everything that needs a calendar, a file or the whole price book was done before: the filter only looks up.
//! [`crate::policy::Policy::compile`] turns it into the form that decides, and refuses what it cannot.

use crate::api::Api;
use crate::free::Free;
use crate::labels::Source;
use crate::pricing::PriceEntry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The filter's whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// Content hash of the policy; shown in records and by the proxy.
    pub version: String,
    /// Version of the price book that `prices` is a part of.
    pub price_book: String,
    /// How to reach the control plane.
    pub sync: SyncConfig,
    /// Who serves.
    pub providers: Vec<ProviderConfig>,
    /// Which model goes where. The first that matches, in this order.
    pub models: Vec<ModelConfig>,
    /// Prices of the providers above.
    pub prices: Vec<PriceEntry>,
    /// Who may call, and how labels are learned.
    pub identity: IdentityConfig,
    /// Virtual keys.
    pub keys: Vec<KeyConfig>,
    /// Access rules, all of which must pass.
    pub access: Vec<AccessRule>,
    /// Rate limits, all of which must pass.
    pub rate_limits: Vec<RateLimitRule>,
    /// Budgets, all of which must pass.
    pub budgets: Vec<BudgetRule>,
}

/// How the filter talks to the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncConfig {
    /// Envoy cluster of the control plane.
    pub cluster: String,
    /// Between two syncs of a VM that has something to say.
    pub interval_ms: u64,
    /// How long a request waits for a cold lease before the budget's `on_unavailable` applies.
    pub cold_deadline_ms: u64,
    /// Largest body that is rewritten (usage asked for, output capped, model renamed).
    pub rewrite_max_bytes: usize,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self { cluster: "purser".into(), interval_ms: 1_000, cold_deadline_ms: 1_500, rewrite_max_bytes: 1 << 20 }
    }
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// The document's name; requests are routed to it by the header [`ROUTE_HEADER`].
    pub name: String,
    /// Wire formats that it serves.
    pub apis: Vec<Api>,
    /// The price book's name of it. A price is looked up by `name` first (overrides), then by this.
    pub catalog: String,
    /// What of its API is let through that costs nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<Free>,
}

impl ProviderConfig {
    /// The first wire format of a family that the provider serves; one of batches only if there is no other.
    #[must_use]
    pub fn api_of(&self, family: &str) -> Option<Api> {
        let of_family = || self.apis.iter().copied().filter(|api| api.name().starts_with(family));
        of_family().find(|api| !api.is_batch()).or_else(|| of_family().next())
    }
}

/// The request header that chooses the route. The filter sets it; a caller's own is removed.
pub const ROUTE_HEADER: &str = "x-purser-route";

/// A model and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The document's name.
    pub name: String,
    /// Request models, as globs (`*` any run of characters).
    pub r#match: Vec<String>,
    /// The provider's name.
    pub provider: String,
    /// What the provider calls it, when that is not what the caller asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
    /// The most it can put out: what is held when a request says no `max_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

/// How callers are recognised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// Sources in order of trust, the most trusted first. A source not listed is not read.
    pub trust: Vec<Source>,
    /// Header (lower case) to label.
    pub headers: BTreeMap<String, String>,
    /// Node metadata path (`NAMESPACE`, `LABELS.app`) to label.
    pub workload: BTreeMap<String, String>,
    /// Labels that every request must have, or it is refused as unauthenticated.
    pub required: Vec<String>,
    /// Whether a virtual key is needed.
    pub key_required: bool,
}

/// A virtual key, of which only the hash is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its public id.
    pub id: String,
    /// SHA-256 of the whole key, lower-case hexadecimal.
    pub sha256: String,
    /// Labels that it stands for.
    pub labels: BTreeMap<String, String>,
    /// When it stops to work, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

/// Which requests a rule is about. Empty parts match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Label to globs, one of which must match. A request without the label does not match.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Providers' names, as globs.
    pub providers: Vec<String>,
    /// Request models, as globs.
    pub models: Vec<String>,
    /// Wire formats.
    pub apis: Vec<Api>,
}

/// Whether a rule acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
pub enum Effect {
    /// Let through what matches.
    #[default]
    Allow,
    /// Refuse what matches.
    Deny,
}

/// One access policy. Deny wins over allow; where any allow rule selects a request's subject, one must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    /// The document's name.
    pub name: String,
    /// Whom it is about.
    pub subject: Selector,
    /// What they may use: with any entry, a request must match one. Empty: everything.
    pub allow: Vec<Selector>,
    /// What they may not use; wins.
    pub deny: Vec<Selector>,
}

/// One rate limit: a token bucket for each group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitRule {
    /// The document's name.
    pub name: String,
    /// Which requests it is about.
    pub selector: Selector,
    /// Labels whose values make a group; empty: all requests are one.
    pub per: Vec<String>,
    /// Requests that pass in a window; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens (prompt and output) that pass in a window; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The window.
    pub window_ms: u64,
}

/// What a budget does when no lease can be had because the control plane is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OnUnavailable {
    /// Refuse what the lease in hand does not cover.
    #[default]
    Closed,
    /// Let through, and charge it when the control plane is back.
    Open,
}

/// What to do with a request whose model has no price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OnUnpriced {
    /// Refuse it: what cannot be priced cannot be held to a budget.
    #[default]
    Deny,
    /// Let it through: it is recorded as unpriced and charges nothing.
    Allow,
}

/// One budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetRule {
    /// The document's name.
    pub name: String,
    /// Which requests it is about.
    pub selector: Selector,
    /// Labels whose values make a group, each with the whole amount; empty: all requests share it.
    /// A request without one of the labels is not counted by this budget.
    pub per: Vec<String>,
    /// The amount for each group and period, nano-USD.
    pub limit: u64,
    /// Whether it refuses. A soft budget counts and reports only.
    pub hard: bool,
    /// Whether `max_tokens` is capped to what is held.
    pub clamp: bool,
    /// `max_tokens` given to a request that says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_max_tokens: Option<u64>,
    /// Control plane away and the lease spent.
    pub on_unavailable: OnUnavailable,
    /// Model without a price. Of no effect in a soft budget.
    pub on_unpriced: OnUnpriced,
    /// Starts of this period and some that follow, milliseconds since 1970, ascending. The last is an end only.
    pub periods_ms: Vec<u64>,
}
