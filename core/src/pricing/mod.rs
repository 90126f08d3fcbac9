//! What usage costs: rates found by provider, model and date; costs summed exactly and rounded once.
//!
//! [`rate`] is a number with its unit, [`rates`] what a price says of each kind, in tiers and on other terms, [`book`] finds
//! the rates of a model on a day, [`mod@cost`] multiplies. With the
//! feature `authoring`, `catalog` reads the price book as its authors write it and reports every problem, and
//! `overrides` lays an operator's own prices over it; the filter gets entries that were checked before.
//!
//! - A price that is not known is absent, which is not zero. An explicit `"0"` is zero: a model of one's own.
//! - A price change adds dated rates and keeps the old ones, so that last month still costs what it cost.
//! - What a price does not know is said, never guessed: a fee without a rate and a term without a variant are named beside
//!   the cost of the rest.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

pub mod book;
#[cfg(feature = "authoring")]
pub mod catalog;
pub mod cost;
#[cfg(feature = "authoring")]
pub mod overrides;
pub mod rate;
pub mod rates;

pub use book::{Origin, Price, PriceBook, PriceEntry};
pub use cost::{Breakdown, PricingError, affordable_output, cost, cost_of_passes, worst_case};
pub use rate::{Date, Hours, Multiplier, Rate, RateError, Weekday};
pub use rates::{RateKey, RateMap, Rates, Tier, Variant, When};
