//! What tokens cost at a price, and what a request may cost at most.
//!
//! A rate is nano-USD per 10⁶ tokens, so `tokens × rate` is the cost in 10⁻¹⁵ USD: exact, and additive. It is rounded
//! once, to nano-USD: half up for what was used, up for what is held.

use super::book::{Price, Tier};
use super::rate::Rate;
use crate::money::NanoUsd;
use crate::usage::{Kind, Units};
use std::collections::BTreeMap;

/// 10⁻¹⁵ USD in a nano-USD.
const FEMTO_IN_NANO: u128 = 1_000_000;

/// What tokens cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakdown {
    /// Exact parts in 10⁻¹⁵ USD, of the kinds that were used.
    pub femto_usd_by_kind: BTreeMap<Kind, u64>,
    /// Their sum, rounded once, half up.
    pub nano_usd: NanoUsd,
}

/// Why tokens have no cost. They are recorded all the same, as unpriced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PricingError {
    /// The price says nothing about a kind that was used: unknown is not free.
    #[error("price `{entry}` has no rate for {} tokens", .kind.name())]
    MissingRate {
        /// The price's name, see [`Price::entry_name`].
        entry: String,
        /// The kind.
        kind: Kind,
    },
    /// Likelier a unit slip in a price than a real bill: one kind of more than 18,446 USD, or a hold of 18 × 10⁹ USD.
    #[error("the cost at price `{entry}` does not fit")]
    Overflow {
        /// The price's name, see [`Price::entry_name`].
        entry: String,
    },
}

/// What `units` cost at list price. All of them at the rates of the tier that their prompt reaches.
///
/// # Errors
/// [`PricingError::MissingRate`] when a kind that was used has no rate, [`PricingError::Overflow`] when it is too much.
pub fn cost(price: &Price<'_>, units: &Units) -> Result<Breakdown, PricingError> {
    let tier = price.rates.tier(units.prompt());
    let mut femto_usd_by_kind = BTreeMap::new();
    let mut sum: u128 = 0;
    for (kind, count) in units.used() {
        let rate = price.rates.rate(kind, tier).ok_or_else(|| missing(price, kind))?;
        let femto = count.checked_mul(rate.0).ok_or_else(|| overflow(price))?;
        femto_usd_by_kind.insert(kind, femto);
        sum = sum.saturating_add(u128::from(femto));
    }
    let nano = sum.saturating_add(FEMTO_IN_NANO / 2).checked_div(FEMTO_IN_NANO);
    let nano_usd = nano.and_then(|nano| u64::try_from(nano).ok()).map(NanoUsd).ok_or_else(|| overflow(price))?;
    Ok(Breakdown { femto_usd_by_kind, nano_usd })
}

/// The most that a request costs whose prompt is at most `prompt_tokens` and whose output at most `output_tokens`: what
/// to hold for it. Rounded up.
///
/// Every prompt token is taken at the dearest rate of all prompt kinds (for Anthropic the write to a one-hour cache,
/// twice the input), and every token at the dearest of the tiers that such a prompt may reach. So the bound holds
/// however the provider splits the prompt, and a hold is never below what is settled.
///
/// # Errors
/// As [`cost`].
pub fn worst_case(price: &Price<'_>, prompt_tokens: u64, output_tokens: u64) -> Result<NanoUsd, PricingError> {
    let prompt = worst_prompt(price, prompt_tokens)?;
    let output =
        if output_tokens == 0 { 0 } else { times(output_tokens, dearest(price, prompt_tokens, &[Kind::Output])?) };
    let nano = prompt.saturating_add(output).div_ceil(FEMTO_IN_NANO);
    u64::try_from(nano).map(NanoUsd).map_err(|_| overflow(price))
}

/// The most output tokens whose [`worst_case`] with that prompt is at most `budget`. None (0) when the prompt alone is
/// more, or when there is no rate to tell; [`u64::MAX`] where output costs nothing.
#[must_use]
pub fn affordable_output(price: &Price<'_>, prompt_tokens: u64, budget: NanoUsd) -> u64 {
    let left = || {
        let prompt = worst_prompt(price, prompt_tokens).ok()?;
        u128::from(budget.0).saturating_mul(FEMTO_IN_NANO).checked_sub(prompt)
    };
    let Some(left) = left() else { return 0 };
    let Ok(rate) = dearest(price, prompt_tokens, &[Kind::Output]) else { return 0 };
    left.checked_div(u128::from(rate.0)).map_or(u64::MAX, |most| u64::try_from(most).unwrap_or(u64::MAX))
}

/// The prompt of the worst case, 10⁻¹⁵ USD.
fn worst_prompt(price: &Price<'_>, prompt_tokens: u64) -> Result<u128, PricingError> {
    const KINDS: [Kind; 4] = [Kind::Input, Kind::CacheRead, Kind::CacheWrite5m, Kind::CacheWrite1h];
    if prompt_tokens == 0 {
        return Ok(0);
    }
    Ok(times(prompt_tokens, dearest(price, prompt_tokens, &KINDS)?))
}

/// The dearest rate of some kinds over all tiers that a prompt of up to `prompt_tokens` may reach.
fn dearest(price: &Price<'_>, prompt_tokens: u64, kinds: &[Kind]) -> Result<Rate, PricingError> {
    let reached = price.rates.tiers.iter().filter(|tier| tier.holds(prompt_tokens));
    let tiers = || std::iter::once(None).chain(reached.clone().map(Some));
    let rate = |kind: Kind, tier: Option<&Tier>| price.rates.rate(kind, tier).ok_or_else(|| missing(price, kind));
    kinds
        .iter()
        .flat_map(|kind| tiers().map(move |tier| (*kind, tier)))
        .try_fold(Rate(0), |most, (kind, tier)| rate(kind, tier).map(|rate| most.max(rate)))
}

/// Exact, 10⁻¹⁵ USD: the product of two 64-bit numbers fits.
fn times(tokens: u64, rate: Rate) -> u128 {
    u128::from(tokens).saturating_mul(u128::from(rate.0))
}

fn missing(price: &Price<'_>, kind: Kind) -> PricingError {
    PricingError::MissingRate { entry: price.entry_name(), kind }
}

fn overflow(price: &Price<'_>) -> PricingError {
    PricingError::Overflow { entry: price.entry_name() }
}

#[cfg(test)]
mod tests;
