//! The usage record: all that is kept of one exchange. Never prompt or answer text.
//!
//! The same JSON line goes to the control plane (see [`crate::sync`]) and to the proxy's access log, byte for byte,
//! so that either can prove the other.

use crate::api::Api;
use crate::labels::Labels;
use crate::money::NanoUsd;
use crate::usage::{Kind, Term, Usage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One exchange, as the filter saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The proxy: its xDS node id.
    pub proxy: String,
    /// One run of the proxy's process; larger is later.
    pub epoch: u64,
    /// Number within the epoch, from 1, taken when the exchange was admitted or refused: a hole is a lost record.
    pub seq: u64,
    /// `x-request-id`.
    pub request_id: String,
    /// `traceparent`'s trace id, when the caller sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// When the request's headers came, milliseconds since 1970.
    pub started_ms: u64,
    /// From there to the end of the exchange.
    pub duration_ms: u64,
    /// From there to the first byte of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// The wire format.
    pub api: Api,
    /// Whether the answer was asked for as a stream.
    pub stream: bool,
    /// The policy's name of the provider that was chosen; empty when none was.
    pub provider: String,
    /// The model that was asked for; empty when the body named none.
    pub request_model: String,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// Who pays, and how each label was learned.
    pub labels: Labels,
    /// The id of the virtual key, when one was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Status of the answer that the caller got; 0 when there was none.
    pub status: u16,
    /// How the exchange ended.
    pub outcome: Outcome,
    /// What the provider used; absent when that is not known, and 0 in a refused exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Cost,
    /// The rule that refused: `Kind/name`, with the reason's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denied>,
    /// What was expected and held before the answer.
    pub estimate: Estimate,
    /// Budget instances charged: their key and the amount, equal to the cost for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// Version of the policy that decided.
    pub policy: String,
    /// Version of the price book that priced.
    pub price_book: String,
    /// What could not be read, in words of [`Problem`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// The provider's answer went out whole, whatever its status.
    Complete,
    /// Client or provider went away before the answer's end.
    Aborted,
    /// We refused; nothing went to a provider.
    Denied,
    /// Envoy answered in the provider's place: no connection, time-out, reset.
    Failed,
}

impl Outcome {
    /// The word that records use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// What an exchange cost at list price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Cost {
    /// Usage and price are known.
    Priced {
        /// The exact sum, rounded once, half up.
        nano_usd: u64,
        /// Parts by kind in 10⁻¹⁵ USD: exact, their sum is the cost before rounding.
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
        femto_usd_by_kind: BTreeMap<Kind, u64>,
        /// The price entry: `provider/model@YYYY-MM-DD`.
        entry: String,
        /// Fees that were used and have no rate: they come on top.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unpriced: Vec<Kind>,
        /// Terms that the price does not know: it is the price of the usual ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        terms_unpriced: Vec<Term>,
    },
    /// Usage is known, a price is not. That is not free.
    Unpriced,
    /// Usage is not known. That is not free.
    Unmetered,
    /// The provider still works on it: usage and cost come with the first answer to a poll that has them, on a record
    /// of its own.
    Pending,
    /// Nothing was used: refused, or failed before a provider took it.
    None,
}

impl Cost {
    /// The amount, when it is known.
    #[must_use]
    pub fn amount(&self) -> Option<NanoUsd> {
        match self {
            Self::Priced { nano_usd, .. } => Some(NanoUsd(*nano_usd)),
            Self::None => Some(NanoUsd(0)),
            Self::Unpriced | Self::Unmetered | Self::Pending => None,
        }
    }
}

/// Which rule refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Denied {
    /// `Kind/name` of the policy document, such as `Budget/ml-team`.
    pub by: String,
    /// What it refused for.
    pub reason: Reason,
}

/// What a request was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Reason {
    /// No virtual key where one is needed, or one that is unknown or revoked.
    Unauthenticated,
    /// An access policy refuses.
    Access,
    /// A pace was exceeded; waiting helps.
    RateLimit,
    /// A budget is spent.
    Budget,
    /// The model has no price and the budget refuses unpriced traffic.
    Unpriced,
    /// The control plane is away and the policy says closed.
    Unavailable,
    /// The body is not what the API takes.
    BadRequest,
    /// No provider serves this API and model.
    NoProvider,
}

/// What was expected and held before the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// Estimated prompt tokens.
    pub input: u64,
    /// Output tokens that were held: `max_tokens`, or what stood in for it.
    pub output: u64,
    /// What was held of each budget.
    pub reserved_nano_usd: u64,
}

/// One budget instance and what the exchange took from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Charge {
    /// Key of the instance, see [`crate::budget::Instance`].
    pub budget: String,
    /// The amount.
    pub nano_usd: u64,
}

/// Something that could not be read or done. Counted, and shown on the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Problem {
    /// The request's body is not the JSON that the API takes.
    RequestUnreadable,
    /// The answer's body could not be read to its end.
    ResponseUnreadable,
    /// The answer's content coding is not one that we inflate.
    ResponseEncoding,
    /// An event of the stream was no JSON; the others were read.
    EventUnreadable,
    /// A stream or body ended without usage although it ended well.
    UsageMissing,
    /// The body was too large to rewrite: usage was not asked for, or the output not capped.
    NotRewritten,
    /// The control plane could not be reached for a cold lease.
    LeaseUnavailable,
}

impl Problem {
    /// The word that records use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestUnreadable => "request_unreadable",
            Self::ResponseUnreadable => "response_unreadable",
            Self::ResponseEncoding => "response_encoding",
            Self::EventUnreadable => "event_unreadable",
            Self::UsageMissing => "usage_missing",
            Self::NotRewritten => "not_rewritten",
            Self::LeaseUnavailable => "lease_unavailable",
        }
    }
}

impl Reason {
    /// The word that records use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Access => "access",
            Self::RateLimit => "rate_limit",
            Self::Budget => "budget",
            Self::Unpriced => "unpriced",
            Self::Unavailable => "unavailable",
            Self::BadRequest => "bad_request",
            Self::NoProvider => "no_provider",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_words_of_the_json() {
        let outcomes = [Outcome::Complete, Outcome::Aborted, Outcome::Denied, Outcome::Failed];
        assert!(outcomes.iter().all(|o| serde_json::to_value(o).unwrap() == o.name()));
        let problems = [
            Problem::RequestUnreadable,
            Problem::ResponseUnreadable,
            Problem::ResponseEncoding,
            Problem::EventUnreadable,
            Problem::UsageMissing,
            Problem::NotRewritten,
            Problem::LeaseUnavailable,
        ];
        assert!(problems.iter().all(|p| serde_json::to_value(p).unwrap() == p.name()));
        let reasons = [
            Reason::Unauthenticated,
            Reason::Access,
            Reason::RateLimit,
            Reason::Budget,
            Reason::Unpriced,
            Reason::Unavailable,
            Reason::BadRequest,
            Reason::NoProvider,
        ];
        assert!(reasons.iter().all(|r| serde_json::to_value(r).unwrap() == r.name()));
    }
}
