//! What usage costs: rates found by provider, model and date; costs summed exactly and rounded once.
//!
//! [`rate`] is a number with its unit, [`book`] finds the rates of a model on a day, [`mod@cost`] multiplies. With the
//! feature `authoring`, `catalog` reads the price book as its authors write it and reports every problem, and
//! `overrides` lays an operator's own prices over it; the filter gets entries that were checked before.
//!
//! - A price that is not known is absent, which is not zero. An explicit `"0"` is zero: a model of one's own.
//! - A price change adds dated rates and keeps the old ones, so that last month still costs what it cost.
//! - Not here: batch, priority and other service tiers, residency uplifts, audio, images and fees per call.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

pub mod book;
#[cfg(feature = "authoring")]
pub mod catalog;
pub mod cost;
#[cfg(feature = "authoring")]
pub mod overrides;
pub mod rate;

pub use book::{Origin, Price, PriceBook, PriceEntry, Rates, Tier};
pub use cost::{Breakdown, PricingError, affordable_output, cost, worst_case};
pub use rate::{Date, Multiplier, Rate, RateError};
