//! What an exchange used, in disjoint kinds of tokens.

use serde::{Deserialize, Serialize};

/// A kind of unit that has its own price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Kind {
    /// Prompt tokens that no cache served or stored.
    Input,
    /// Prompt tokens read from the provider's cache.
    CacheRead,
    /// Prompt tokens written to a cache that lives five minutes (also: a provider's only kind of write).
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    /// Prompt tokens written to a cache that lives one hour.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Generated tokens, reasoning included.
    Output,
}

impl Kind {
    /// Every kind, in the order of [`Tokens`].
    pub const ALL: [Self; 5] = [Self::Input, Self::CacheRead, Self::CacheWrite5m, Self::CacheWrite1h, Self::Output];

    /// The name used in records, prices and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
        }
    }
}

/// Counts of tokens by kind. The kinds are disjoint: their sum is what the exchange used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Tokens {
    /// See [`Kind::Input`].
    #[serde(skip_serializing_if = "is_zero")]
    pub input: u64,
    /// See [`Kind::CacheRead`].
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// See [`Kind::CacheWrite5m`].
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m: u64,
    /// See [`Kind::CacheWrite1h`].
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// See [`Kind::Output`].
    #[serde(skip_serializing_if = "is_zero")]
    pub output: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Tokens {
    /// The count of one kind.
    #[must_use]
    pub fn get(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Input => self.input,
            Kind::CacheRead => self.cache_read,
            Kind::CacheWrite5m => self.cache_write_5m,
            Kind::CacheWrite1h => self.cache_write_1h,
            Kind::Output => self.output,
        }
    }

    /// All prompt tokens: uncached, read from a cache, and written to one.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
    }

    /// Prompt and output tokens.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt().saturating_add(self.output)
    }
}

/// How far a usage can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Quality {
    /// The provider's final report.
    Exact,
    /// The stream broke: what the provider had reported, completed by what was seen.
    Partial,
    /// Our own count: the provider reported nothing.
    Estimated,
}

/// What an exchange used, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Disjoint counts.
    pub tokens: Tokens,
    /// Reasoning tokens, when reported: a part of `tokens.output`, never added to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// How sure the counts are.
    pub quality: Quality,
}
