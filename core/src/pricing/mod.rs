//! What usage costs: rates found by provider, model and date; costs summed exactly and rounded once.

pub mod book;
pub mod cost;

pub use book::{PriceBook, PriceEntry, Rates};
pub use cost::{cost, Breakdown, PricingError};
