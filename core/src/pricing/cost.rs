//! What a usage costs at a price, and what a request may cost at most.
//!
//! A rate is nano-USD per 10⁶ units, so `units × rate` is the cost in 10⁻¹⁵ USD: exact, and additive. Multipliers are
//! kept as digits and a power of ten until the end. The sum is rounded once, to nano-USD: half up for what was used, up
//! for what is held.
//!
//! Said beside the cost, never silently in it or out of it:
//!
//! - a fee that was used and has no rate: the cost is that of the rest ([`Breakdown::unpriced`]). Tokens without a rate
//!   are an error: what is left would be no cost of the exchange;
//! - a term that the price does not know ([`Breakdown::terms_unpriced`]): the usual rates are taken. For `batch` and
//!   `flex` these are too dear, for `priority`, `fast` and a region too cheap; nobody can say by how much.

use super::book::Price;
use super::rate::{Factor, Multiplier, Rate};
use super::rates::{RateKey, TERMS, Tier, Variant, fits, reached, unusual, with_parents};
use crate::money::NanoUsd;
use crate::usage::{Kind, Term, Terms, Units, Usage};
use std::collections::BTreeMap;

/// 10⁻¹⁵ USD in a nano-USD.
const FEMTO_IN_NANO: u64 = 1_000_000;

/// What a usage costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breakdown {
    /// Parts in 10⁻¹⁵ USD, of the kinds that were used and have a rate. Exact, but where a multiplier leaves a fraction
    /// of 10⁻¹⁵ USD: there to the nearest. What a minimum charge adds is a part of `requests`.
    pub femto_usd_by_kind: BTreeMap<Kind, u64>,
    /// Their exact sum, rounded once, half up.
    pub nano_usd: NanoUsd,
    /// Fees that were used and have no rate: they come on top.
    pub unpriced: Vec<Kind>,
    /// Terms that the price does not know: the cost is that of the usual ones.
    pub terms_unpriced: Vec<Term>,
}

/// Why a usage has no cost. It is recorded all the same, as unpriced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PricingError {
    /// The price says nothing about tokens that were used: unknown is not free.
    #[error("price `{entry}` has no rate for {} tokens", .kind.name())]
    MissingRate {
        /// The price's name, see [`Price::entry_name`].
        entry: String,
        /// The kind.
        kind: Kind,
    },
    /// One of several models that worked on the request has no price.
    #[error("no price for model `{model}`, which worked on the request beside `{entry}`")]
    UnknownPass {
        /// The price's name of the model that answered.
        entry: String,
        /// The other model.
        model: String,
    },
    /// Likelier a unit slip in a price than a real bill: one kind of more than 18,446 USD, or a hold of 18 × 10⁹ USD.
    #[error("the cost at price `{entry}` does not fit")]
    Overflow {
        /// The price's name, see [`Price::entry_name`].
        entry: String,
    },
}

/// What a usage by one model costs at list price.
///
/// Its tokens are charged at the rates of the tier that its prompt reaches, on its terms, at the price's moment. Where
/// several models were at work ([`Usage::passes`]) see [`cost_of_passes`].
///
/// # Errors
/// [`PricingError::MissingRate`] when tokens that were used have no rate, [`PricingError::UnknownPass`] when another
/// model was at work, [`PricingError::Overflow`] when it is too much.
pub fn cost(price: &Price<'_>, usage: &Usage) -> Result<Breakdown, PricingError> {
    cost_of_passes(price, usage, |_| None)
}

/// What a usage costs when several models may have been at work: each pass at the price of its own, found by `find`.
///
/// Reasoning, where it is priced apart, is of the model that answered.
///
/// # Errors
/// As [`cost`].
pub fn cost_of_passes<'p>(
    price: &Price<'_>,
    usage: &Usage,
    find: impl Fn(&str) -> Option<Price<'p>>,
) -> Result<Breakdown, PricingError> {
    let mut bill = Bill::default();
    if usage.passes.is_empty() {
        bill.add(price, &usage.units, None, usage.reasoning, &usage.terms)?;
    }
    for pass in &usage.passes {
        match &pass.model {
            None => bill.add(price, &pass.units, pass.longest, usage.reasoning, &usage.terms)?,
            Some(model) => {
                let unknown = || PricingError::UnknownPass { entry: price.entry_name(), model: model.clone() };
                bill.add(&find(model).ok_or_else(unknown)?, &pass.units, pass.longest, 0, &usage.terms)?;
            }
        }
    }
    bill.total().ok_or_else(|| overflow(price))
}

/// A sum in the making.
#[derive(Default)]
struct Bill {
    breakdown: Breakdown,
    /// 10⁻¹⁵ USD, with `scale` decimals.
    digits: u128,
    scale: u32,
    /// 10⁻¹⁵ USD that minimum charges added.
    topped_up: u64,
}

impl Bill {
    /// Adds what one model did. `longest`: see [`crate::usage::Pass`].
    fn add(
        &mut self,
        price: &Price<'_>,
        units: &Units,
        longest: Option<u64>,
        reasoning: u64,
        terms: &Terms,
    ) -> Result<(), PricingError> {
        let on = OnTerms::new(price, units, longest, terms);
        let (tokens, fees) = on.factors().ok_or_else(|| overflow(price))?;
        let before = (self.digits, self.scale);
        for (kind, count) in units.used() {
            match on.femto(kind, count, reasoning) {
                Some(femto) => {
                    let factor = if kind.is_tokens() { tokens } else { fees };
                    self.part(kind, femto, factor).ok_or_else(|| overflow(price))?;
                }
                None if kind.is_tokens() && on.is_by_fees() => {}
                None if kind.is_tokens() => {
                    return Err(PricingError::MissingRate { entry: price.entry_name(), kind });
                }
                None => add_once(&mut self.breakdown.unpriced, kind),
            }
        }
        for term in on.unknown(terms) {
            add_once(&mut self.breakdown.terms_unpriced, term);
        }
        if let Some(minimum) = price.rates.minimum.filter(|_| !units.is_empty()) {
            self.top_up(before, minimum).ok_or_else(|| overflow(price))?;
        }
        Ok(())
    }

    /// Adds the part of one kind; `None` when it does not fit.
    fn part(&mut self, kind: Kind, femto: u128, factor: Factor) -> Option<()> {
        let exact = femto.checked_mul(factor.digits)?;
        let so_far = rescaled(self.digits, self.scale, factor.scale)?;
        self.digits = so_far.checked_add(rescaled(exact, factor.scale, self.scale)?)?;
        self.scale = self.scale.max(factor.scale);
        let rounded = u64::try_from(divided(exact, factor.scale, 1)?).ok()?;
        let part = self.breakdown.femto_usd_by_kind.entry(kind).or_default();
        *part = part.checked_add(rounded)?;
        Some(())
    }

    /// Lifts what was added since `before` to a least amount.
    fn top_up(&mut self, (digits, scale): (u128, u32), minimum: Rate) -> Option<()> {
        let before = rescaled(digits, scale, self.scale)?;
        let least = u128::from(minimum.0).checked_mul(u128::from(FEMTO_IN_NANO))?;
        let least = before.checked_add(rescaled(least, 0, self.scale)?)?;
        let Some(missing) = least.checked_sub(self.digits) else { return Some(()) };
        self.digits = least;
        let missing = u64::try_from(divided(missing, self.scale, 1)?).ok()?;
        self.topped_up = self.topped_up.checked_add(missing)?;
        Some(())
    }

    fn total(mut self) -> Option<Breakdown> {
        self.breakdown.nano_usd = NanoUsd(u64::try_from(divided(self.digits, self.scale, FEMTO_IN_NANO)?).ok()?);
        if self.topped_up > 0 {
            let part = self.breakdown.femto_usd_by_kind.entry(Kind::Requests).or_default();
            *part = part.checked_add(self.topped_up)?;
        }
        Some(self.breakdown)
    }
}

/// A number with `scale` decimals, with those of the larger of both scales.
fn rescaled(digits: u128, scale: u32, other: u32) -> Option<u128> {
    digits.checked_mul(10_u128.checked_pow(other.saturating_sub(scale))?)
}

/// A number with `scale` decimals by another, to the nearest whole, half up.
fn divided(digits: u128, scale: u32, by: u64) -> Option<u128> {
    let by = 10_u128.checked_pow(scale)?.checked_mul(u128::from(by))?;
    digits.checked_add(by.checked_div(2)?)?.checked_div(by)
}

fn add_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// A price's rates for a prompt on some terms.
struct OnTerms<'a> {
    price: Price<'a>,
    units: &'a Units,
    prompt: u64,
    tier: Option<&'a Tier>,
    /// Those that hold, the first of each subject.
    variants: Vec<&'a Variant>,
}

/// The order in which the tokens of a prompt are counted where a tier is for those above its edge only: what was cached
/// comes first.
const FROM_THE_FIRST: [Kind; Kind::PROMPT.len()] = [
    Kind::CacheRead,
    Kind::CacheReadAudio,
    Kind::CacheReadImage,
    Kind::CacheReadVideo,
    Kind::CacheWrite1h,
    Kind::CacheWrite5m,
    Kind::Input,
    Kind::InputAudio,
    Kind::InputImage,
    Kind::InputVideo,
];

impl<'a> OnTerms<'a> {
    fn new(price: &Price<'a>, units: &'a Units, longest: Option<u64>, terms: &Terms) -> Self {
        let mut variants: Vec<&Variant> = Vec::new();
        for variant in &price.rates.variants {
            let subject = variant.when.subject();
            let taken = || variants.iter().any(|earlier| earlier.when.subject() == subject);
            if variant.when.holds(terms, price.at_ms) && !taken() {
                variants.push(variant);
            }
        }
        let prompt = longest.unwrap_or_else(|| units.prompt());
        Self { price: *price, units, prompt, tier: price.rates.tier(prompt), variants }
    }

    /// The factors on tokens and on fees; `None` when they do not fit.
    fn factors(&self) -> Option<(Factor, Factor)> {
        let mut factors = (Factor::ONE, Factor::ONE);
        for variant in &self.variants {
            let Some(multiplier) = variant.multiplier else { continue };
            factors.0 = factors.0.times(multiplier)?;
            if variant.fees {
                factors.1 = factors.1.times(multiplier)?;
            }
        }
        Some(factors)
    }

    /// Whether the price is for what is not tokens, and some of that was used: seconds of a transcript, pages read. Tokens
    /// that are reported beside are not what is charged.
    fn is_by_fees(&self) -> bool {
        let fees_only = self.price.rates.rates.iter().all(|(key, _)| key.is_fee());
        fees_only && self.units.used().any(|(kind, _)| self.rate(RateKey::Of(kind)).is_some())
    }

    /// What units of a kind cost before any factor, 10⁻¹⁵ USD; `None` when they have no rate.
    fn femto(&self, kind: Kind, count: u64, reasoning: u64) -> Option<u128> {
        let key = RateKey::Of(kind);
        if kind == Kind::Output {
            let reasoning = reasoning.min(count);
            let apart = if reasoning > 0 { times(reasoning, self.rate(RateKey::Reasoning)?) } else { 0 };
            let rest = count.saturating_sub(reasoning);
            let rest = if rest > 0 { times(rest, self.rate(key)?) } else { 0 };
            return Some(apart.saturating_add(rest));
        }
        if key.is_prompt() && self.price.rates.tiers.iter().any(|tier| tier.marginal && tier.holds(self.prompt)) {
            return self.femto_by_part(kind, count);
        }
        Some(times(count, self.rate(key)?))
    }

    fn rate(&self, key: RateKey) -> Option<Rate> {
        with_parents(key, |key| {
            let listed = || self.tier.and_then(|tier| tier.rates.get(key)).or_else(|| self.price.rates.rates.get(key));
            self.varied(key).or_else(listed)
        })
    }

    /// What the first of the variants that hold says of a key.
    fn varied(&self, key: RateKey) -> Option<Rate> {
        self.variants.iter().find_map(|variant| {
            let tier = reached(&variant.tiers, self.prompt).and_then(|tier| tier.rates.get(key));
            tier.or_else(|| variant.rates.get(key))
        })
    }

    /// Tokens of the prompt where some tiers are for the part above their edge only.
    fn femto_by_part(&self, kind: Kind, count: u64) -> Option<u128> {
        let key = RateKey::Of(kind);
        let before = FROM_THE_FIRST.into_iter().take_while(|first| *first != kind);
        let first = before.map(|kind| self.units.get(kind)).fold(0, u64::saturating_add);
        let end = first.saturating_add(count);
        // From the top down: what lies above an edge is charged, the rest is left to the tier below.
        let mut tiers: Vec<&Tier> =
            self.price.rates.tiers.iter().filter(|tier| tier.marginal && tier.holds(self.prompt)).collect();
        tiers.sort_by_key(|tier| std::cmp::Reverse(tier.above));
        let (mut sum, mut end) = (0_u128, end);
        for tier in tiers {
            let edge = tier.above.saturating_sub(u64::from(tier.inclusive)).max(first);
            let above = end.saturating_sub(edge);
            if above > 0 {
                let stated = |key| self.varied(key).or_else(|| tier.rates.get(key)).or_else(|| self.rate(key));
                sum = sum.saturating_add(times(above, with_parents(key, stated)?));
                end = edge;
            }
        }
        let rest = end.saturating_sub(first);
        let rest = if rest > 0 { times(rest, self.rate(key)?) } else { 0 };
        Some(sum.saturating_add(rest))
    }

    /// Terms that were said and that no variant knows.
    ///
    /// How it was processed, where, and how fast always has a price. How much a search took in, and size and quality of an
    /// image have one where a variant is about them; there every value should be.
    fn unknown(&self, terms: &'a Terms) -> impl Iterator<Item = Term> + '_ {
        let named = |term: Term, value: Option<&str>| {
            let said =
                |variant: &Variant| variant.when.term(term).is_some_and(|it| value.is_none_or(|value| fits(it, value)));
            self.price.rates.variants.iter().any(said)
        };
        let unknown = move |(term, value): (&Term, &'a String)| {
            let value = unusual(*term, value)?;
            let matters = matches!(term, Term::ServiceTier | Term::Geo | Term::Speed) || named(*term, None);
            (matters && !named(*term, Some(value))).then_some(*term)
        };
        terms.iter().filter_map(unknown)
    }
}

/// The most that a request costs whose prompt is at most `prompt_tokens` and whose output at most `output_tokens`: what
/// to hold for it. Rounded up.
///
/// `asked`: the terms that the request asks for; `None` where that is not known, which is every term that the price
/// knows. A hold is never below what is settled, however the provider splits the tokens:
///
/// - every prompt token is taken at the dearest rate of all prompt kinds (for Anthropic the write to a one-hour cache,
///   twice the input), every token of output at the dearest of text, media and reasoning, both over all tiers that such
///   a prompt may reach and all terms that may apply at the price's moment, the usual ones among them;
/// - multipliers above 1 of these terms are taken in, the largest of each subject; those below 1 are not: a provider may
///   fall back to the usual terms;
/// - a fee per request is taken in, and a minimum charge. Other fees are not, since nobody knows how often a model will
///   search: they come on top. A price that has fees only is held with one unit of each.
///
/// # Errors
/// As [`cost`].
pub fn worst_case(
    price: &Price<'_>,
    prompt_tokens: u64,
    output_tokens: u64,
    asked: Option<&Terms>,
) -> Result<NanoUsd, PricingError> {
    let worst = Worst::of(price, prompt_tokens, asked)?;
    let output = if output_tokens == 0 { 0 } else { times(output_tokens, worst.output(price)?) };
    let femto = worst.prompt.saturating_add(output);
    let nano = worst.factor(femto).ok_or_else(|| overflow(price))?;
    let nano = u64::try_from(nano).map_err(|_| overflow(price))?;
    Ok(NanoUsd(nano.max(worst.minimum)))
}

/// The most output tokens whose [`worst_case`] with that prompt is at most `budget`. None (0) when the prompt alone is
/// more, or when there is no rate to tell; [`u64::MAX`] where output costs nothing.
#[must_use]
pub fn affordable_output(price: &Price<'_>, prompt_tokens: u64, budget: NanoUsd, asked: Option<&Terms>) -> u64 {
    let most = || {
        let worst = Worst::of(price, prompt_tokens, asked).ok()?;
        let rate = worst.output(price).ok()?;
        let unit = 10_u128.checked_pow(worst.factor.scale)?.checked_mul(u128::from(FEMTO_IN_NANO))?;
        let femto = u128::from(budget.0).checked_mul(unit)?.checked_div(worst.factor.digits)?;
        let left = femto.checked_sub(worst.prompt)?;
        if worst.minimum > budget.0 {
            return None;
        }
        Some(left.checked_div(u128::from(rate.0)).map_or(u64::MAX, |most| u64::try_from(most).unwrap_or(u64::MAX)))
    };
    most().unwrap_or(0)
}

/// The worst case of a request, but for its output.
struct Worst {
    /// Prompt and fee, 10⁻¹⁵ USD.
    prompt: u128,
    /// Of a token; `None` when none is stated.
    output: Option<Rate>,
    factor: Factor,
    /// Nano-USD.
    minimum: u64,
}

/// Terms that a variant can be about, and the hours.
const SUBJECTS: usize = TERMS.len() + 1;

impl Worst {
    fn of(price: &Price<'_>, prompt_tokens: u64, asked: Option<&Terms>) -> Result<Self, PricingError> {
        let rates = price.rates;
        let (mut prompt, mut output, mut request) = (Rate(0), None, Rate(0));
        let mut multipliers = [Multiplier::ONE; SUBJECTS];
        for_each_layer(price, prompt_tokens, asked, |variant, stated| {
            for (key, rate) in stated {
                if key.is_prompt() {
                    prompt = prompt.max(rate);
                } else if key.is_output() {
                    output = output.max(Some(rate));
                } else if key == RateKey::Of(Kind::Requests) {
                    request = request.max(rate);
                }
            }
            let subject = variant.and_then(|variant| variant.when.subject()).map_or(TERMS.len(), |term| term as usize);
            let multiplier = variant.and_then(|variant| variant.multiplier);
            if let (Some(place), Some(multiplier)) = (multipliers.get_mut(subject), multiplier) {
                *place = multiplier.max(*place);
            }
        });
        let fees_only = output.is_none() && rates.rates.iter().all(|(key, _)| key.is_fee());
        let mut sum = u128::from(request.0);
        if fees_only {
            sum = one_of_each_fee(price, prompt_tokens, asked);
        } else if prompt_tokens > 0 {
            if rates.stated(Kind::Input).is_none() {
                return Err(PricingError::MissingRate { entry: price.entry_name(), kind: Kind::Input });
            }
            sum = sum.saturating_add(times(prompt_tokens, prompt));
        }
        let factor = multipliers.into_iter().try_fold(Factor::ONE, Factor::times).ok_or_else(|| overflow(price))?;
        let output = if fees_only { Some(Rate(0)) } else { output };
        Ok(Self { prompt: sum, output, factor, minimum: rates.minimum.map_or(0, |minimum| minimum.0) })
    }

    fn output(&self, price: &Price<'_>) -> Result<Rate, PricingError> {
        self.output.ok_or_else(|| PricingError::MissingRate { entry: price.entry_name(), kind: Kind::Output })
    }

    /// 10⁻¹⁵ USD times the factor, in nano-USD, rounded up; `None` when it does not fit.
    fn factor(&self, femto: u128) -> Option<u128> {
        let digits = femto.checked_mul(self.factor.digits)?;
        let by = 10_u128.checked_pow(self.factor.scale)?.checked_mul(u128::from(FEMTO_IN_NANO))?;
        match (u64::try_from(digits), u64::try_from(by)) {
            (Ok(digits), Ok(by)) => Some(u128::from(digits.div_ceil(by))),
            _ => Some(digits.div_ceil(by)),
        }
    }
}

/// All rates that may be charged for a prompt of up to so many tokens on terms that may apply: the usual ones, tiers,
/// variants and their tiers.
fn for_each_layer<'a>(
    price: &Price<'a>,
    prompt_tokens: u64,
    asked: Option<&Terms>,
    mut each: impl FnMut(Option<&'a Variant>, &mut dyn Iterator<Item = (RateKey, Rate)>),
) {
    let rates = price.rates;
    each(None, &mut rates.rates.iter());
    for tier in rates.tiers.iter().filter(|tier| tier.holds(prompt_tokens)) {
        each(None, &mut tier.rates.iter());
    }
    for variant in &rates.variants {
        let may_hold = match asked {
            None => variant.when.hours_hold(price.at_ms),
            Some(terms) => variant.when.holds(terms, price.at_ms),
        };
        if may_hold {
            each(Some(variant), &mut variant.rates.iter());
            for tier in variant.tiers.iter().filter(|tier| tier.holds(prompt_tokens)) {
                each(Some(variant), &mut tier.rates.iter());
            }
        }
    }
}

/// One unit of each fee, at its dearest, 10⁻¹⁵ USD.
fn one_of_each_fee(price: &Price<'_>, prompt_tokens: u64, asked: Option<&Terms>) -> u128 {
    let mut fees: BTreeMap<RateKey, Rate> = BTreeMap::new();
    for_each_layer(price, prompt_tokens, asked, |_, stated| {
        for (key, rate) in stated {
            let place = fees.entry(key).or_default();
            *place = rate.max(*place);
        }
    });
    fees.values().map(|rate| u128::from(rate.0)).fold(0, u128::saturating_add)
}

/// Exact, 10⁻¹⁵ USD: the product of two 64-bit numbers fits.
fn times(units: u64, rate: Rate) -> u128 {
    u128::from(units).saturating_mul(u128::from(rate.0))
}

fn overflow(price: &Price<'_>) -> PricingError {
    PricingError::Overflow { entry: price.entry_name() }
}

#[cfg(test)]
mod tests;
