//! The control plane: policy in, xDS out; records in, leases out; and what people see of it.
//!
//! `serve` wires the crates together, `up` runs all of it on one machine, `api` and `dashboard` are for people, `sync`
//! is for proxies.

pub mod api;
pub mod dashboard;
pub mod demo;
pub mod meter;
pub mod price;
pub mod prices;
pub mod serve;
pub mod sync;
pub mod text;
pub mod up;

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
