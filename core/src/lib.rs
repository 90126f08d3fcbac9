//! Purser's engine, sans IO: what an LLM exchange used, what it cost, who pays, and whether it may go on.
//!
//! A request flows top to bottom: bytes → usage → cost → who pays → what applies → decision → record.
//! The host (the filter in Envoy, a test, a simulator) feeds events and the time; the engine answers with effects.
//! It owns no clock, no socket and no global; what outlives a request is kept in the host's [`store::Store`].

#![cfg_attr(not(any(test, feature = "authoring")), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod api;
pub mod budget;
pub mod config;
pub mod estimate;
pub mod exchange;
pub mod free;
pub mod identity;
pub mod labels;
pub mod limit;
pub mod meter;
pub mod money;
pub mod policy;
pub mod pricing;
pub mod providers;
pub mod record;
pub mod refusal;
pub mod reporter;
pub mod store;
pub mod sync;
pub mod usage;
pub mod wire;
