//! Budgets: money per calendar period and group of labels, held by leases.

pub mod lease;
#[cfg(feature = "authoring")]
pub mod period;

use serde::{Deserialize, Serialize};
use std::fmt;

/// One budget, for one group, in one period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// The `Budget` document's name.
    pub budget: String,
    /// When the period starts, milliseconds since 1970.
    pub period_ms: u64,
    /// Values of the budget's `per` labels, in that order.
    pub group: Vec<String>,
}

/// The key: `budget/period_ms/value/value`, with `/` and `%` of values written as `%2F` and `%25`.
impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.budget, self.period_ms)?;
        for value in &self.group {
            f.write_str("/")?;
            for part in value.split_inclusive(['/', '%']) {
                match part.strip_suffix('/').map(|p| (p, "%2F")).or(part.strip_suffix('%').map(|p| (p, "%25"))) {
                    Some((plain, escape)) => write!(f, "{plain}{escape}")?,
                    None => f.write_str(part)?,
                }
            }
        }
        Ok(())
    }
}
