//! The catalog as its authors write it: one document for each provider, dated and cited, checked as a whole.
//!
//! Reading YAML is the caller's; unknown keys and unreadable rates are refused there. What follows from reading several
//! lines together is checked here, and every problem is reported at once.

use super::book::{Origin, PriceBook, PriceEntry};
use super::rate::Rate;
use super::rates::{RateKey, RateMap, Rates, Tier, Variant};
use crate::money::USD;
use crate::usage::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One document of the catalog: the prices of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct CatalogFile {
    /// The provider's name in the price book.
    pub provider: String,
    /// Where the rates of models were read that name no source of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Origin>,
    /// Its models.
    pub models: Vec<CatalogModel>,
}

/// The prices of one model, over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct CatalogModel {
    /// What the entry is called: the provider's name of the model.
    pub model: String,
    /// Names that it is the price of: exact, or patterns (`*` is any run of characters). Absent: just `model`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub r#match: Vec<String>,
    /// Where the rates were read. Absent: as the document says. Each model needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Origin>,
    /// Rates by the day they begin, ascending. A change adds to them and leaves the old ones.
    pub rates: Vec<Rates>,
}

/// What is wrong in the catalog, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct CatalogProblem {
    /// Where, such as `openai.models[gpt-5.5].rates[2026-04-23].output`.
    pub path: String,
    /// What is wrong, and the fix.
    pub message: String,
}

/// Above this a rate is likelier a slip in its unit than a price: USD per 10⁶ tokens.
const DEAREST_USD: u64 = 10_000;
/// The same of a fee: an hour of video costs less than this per second of it.
const DEAREST_FEE_USD: u64 = 20_000_000;
/// Decimals of a variant's multiplier: three of them times any cost fit in 128 bits.
const MULTIPLIER_DECIMALS: u32 = 4;
/// Below this too, unless it is 0; the cheapest model listed anywhere is at 0.00013.
const CHEAPEST: Rate = Rate(USD / 10_000);
/// How far the rates of one model may lie apart.
const WIDEST_RATIO: u64 = 100;

impl PriceBook {
    /// The book of some documents. Its version is the hash of what they price.
    ///
    /// # Errors
    /// Every problem found; there is at least one.
    pub fn from_documents(documents: Vec<CatalogFile>) -> Result<Self, Vec<CatalogProblem>> {
        let mut check = Check { problems: Vec::new(), names: BTreeMap::new(), models: BTreeMap::new() };
        let mut entries = Vec::new();
        for CatalogFile { provider, source: common, models } in documents {
            if provider.is_empty() || provider.contains('/') {
                check.refuse(&provider, "`provider` is a name without `/`, such as `openai`");
            }
            for CatalogModel { model, r#match, source, rates } in models {
                let source = source.or_else(|| common.clone());
                let (provider, labels) = (provider.clone(), BTreeMap::new());
                let entry = PriceEntry { provider, model, r#match, source, overrides: false, labels, rates };
                check.entry(&entry);
                entries.push(entry);
            }
        }
        if check.problems.is_empty() { Ok(Self::from_entries(entries)) } else { Err(check.problems) }
    }
}

struct Check {
    problems: Vec<CatalogProblem>,
    /// Provider and name to the entry that has it.
    names: BTreeMap<(String, String), String>,
    models: BTreeMap<(String, String), ()>,
}

impl Check {
    fn refuse(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(CatalogProblem { path: path.to_owned(), message: message.into() });
    }

    fn entry(&mut self, entry: &PriceEntry) {
        let path = format!("{}.models[{}]", entry.provider, entry.model);
        if entry.model.is_empty() || entry.model.contains('*') {
            self.refuse(&path, "`model` is one name: patterns go to `match`");
        }
        if self.models.insert((entry.provider.clone(), entry.model.clone()), ()).is_some() {
            self.refuse(&path, "is there twice: add its rates to the first as a later `from`");
        } else {
            for name in entry.names() {
                let key = (entry.provider.clone(), name.to_owned());
                if name.is_empty() {
                    self.refuse(&format!("{path}.match"), "has an empty name");
                } else if let Some(other) = self.names.insert(key, entry.model.clone()) {
                    let message = format!("`{name}` is a name of `{other}` already: one of them must go");
                    self.refuse(&format!("{path}.match"), message);
                }
            }
        }
        match &entry.source {
            None => self
                .refuse(&format!("{path}.source"), "is missing: cite the provider's page and the day, {url, checked}"),
            Some(source) if !source.url.starts_with("https://") => {
                self.refuse(&format!("{path}.source.url"), format!("`{}` is no https address", source.url));
            }
            Some(_) => {}
        }
        self.rates(&path, &entry.rates);
    }

    /// What is checked of a whole entry's rates, overrides' too.
    fn rates(&mut self, path: &str, all: &[Rates]) {
        if all.is_empty() {
            self.refuse(&format!("{path}.rates"), "has none: without a rate there is no price");
        }
        for pair in all.windows(2) {
            if let [before, after] = pair
                && before.from >= after.from
            {
                let message = format!("does not come after {}: rates ascend by day", before.from);
                self.refuse(&format!("{path}.rates[{}].from", after.from), message);
            }
        }
        for rates in all {
            let path = format!("{path}.rates[{}]", rates.from);
            if rates.until.is_some_and(|until| until <= rates.from) {
                self.refuse(&format!("{path}.until"), format!("is not after {}", rates.from));
            }
            self.stated(&path, rates);
            self.slips(&path, &rates.rates);
            self.tiers(&path, &rates.rates, &rates.tiers);
            self.variants(&path, rates);
        }
    }

    /// A model that takes tokens has a rate for both ways; one that is paid for otherwise has a fee.
    fn stated(&mut self, path: &str, rates: &Rates) {
        let states = |is: fn(RateKey) -> bool| rates.rates.iter().any(|(key, _)| is(key));
        if states(RateKey::is_fee) && !states(|key| !key.is_fee()) {
            return;
        }
        let free = "is missing; a model that is free, or has none, says \"0\"";
        if rates.stated(Kind::Input).is_none() {
            self.refuse(&format!("{path}.input"), free);
        }
        if !states(|key| key.is_output() && key != RateKey::Reasoning) {
            self.refuse(&format!("{path}.output"), free);
        }
    }

    fn tiers(&mut self, path: &str, outside: &RateMap, tiers: &[Tier]) {
        let mut before: Option<&Tier> = None;
        for tier in tiers {
            let path = format!("{path}.tiers[{}]", tier.above);
            if before.is_some_and(|before| before.above >= tier.above) {
                self.refuse(&path, "does not come after the one before: tiers ascend by `above`");
            }
            before = Some(tier);
            for (key, _) in tier.rates.iter() {
                if tier.marginal && !key.is_prompt() {
                    let message = "is no rate of the prompt: a marginal tier is for a part of the prompt only";
                    self.refuse(&format!("{path}.{}", key.name()), message);
                }
            }
            for (key, _) in outside.iter().filter(|(key, _)| !key.is_fee() && (key.is_prompt() || !tier.marginal)) {
                if tier.rates.get(key).is_none() {
                    let message = "is missing: outside the tier it has a rate of its own, state it here too";
                    self.refuse(&format!("{path}.{}", key.name()), message);
                }
            }
            self.slips(&path, &tier.rates);
        }
    }

    fn variants(&mut self, path: &str, rates: &Rates) {
        let mut seen: Vec<&Variant> = Vec::new();
        for variant in &rates.variants {
            let when = serde_json::to_string(&variant.when).unwrap_or_default();
            let path = format!("{path}.variants[{}]", when.trim_matches(['{', '}']).replace('"', ""));
            if variant.when.is_empty() {
                self.refuse(&path, "would always hold: say when, such as { service_tier: batch }");
            }
            if seen.iter().any(|earlier| earlier.when == variant.when) {
                self.refuse(&path, "is there twice");
            }
            seen.push(variant);
            match (variant.multiplier.is_some(), variant.rates.is_empty() && variant.tiers.is_empty()) {
                (true, false) => self.refuse(&path, "has rates and a multiplier: write one of them"),
                (false, true) => self.refuse(&path, "changes nothing: write rates or a multiplier"),
                _ => {}
            }
            if variant.multiplier.is_some_and(|factor| factor.decimals() > MULTIPLIER_DECIMALS) {
                let message = format!("has more than {MULTIPLIER_DECIMALS} decimals: products would not stay exact");
                self.refuse(&format!("{path}.multiplier"), message);
            }
            if variant.tiers.iter().any(|tier| tier.marginal) {
                self.refuse(&path, "has a marginal tier: these are for the usual terms only");
            }
            self.tiers(&path, &variant.rates, &variant.tiers);
            self.slips(&path, &variant.rates);
        }
    }

    /// Rates that are likelier a slip of the pen than a price.
    fn slips(&mut self, path: &str, stated: &RateMap) {
        for (key, rate) in stated.iter() {
            let path = format!("{path}.{}", key.name());
            let (dearest, units) = if key.is_fee() { (DEAREST_FEE_USD, "units") } else { (DEAREST_USD, "tokens") };
            if rate.0 > dearest.saturating_mul(USD) {
                self.refuse(&path, format!("{rate} USD per 10⁶ {units} is likelier a unit slip: above {dearest}"));
            }
            if rate > Rate(0) && rate < CHEAPEST {
                self.refuse(
                    &path,
                    format!("{rate} USD per 10⁶ {units} is likelier a rate per token: below {CHEAPEST}"),
                );
            }
        }
        let stated = |kind| stated.get(RateKey::Of(kind)).filter(|rate| rate.0 > 0);
        let Some(input) = stated(Kind::Input) else { return };
        let far = |a: Rate, b: Rate| a.0.checked_div(WIDEST_RATIO).is_some_and(|least| b.0 < least);
        for kind in [Kind::Output, Kind::CacheWrite5m, Kind::CacheWrite1h] {
            let Some(rate) = stated(kind) else { continue };
            if far(input, rate) || far(rate, input) {
                let message =
                    format!("{rate} beside an input of {input} is likelier a unit slip: {WIDEST_RATIO} times apart");
                self.refuse(&format!("{path}.{}", kind.name()), message);
            }
        }
        if let Some(read) = stated(Kind::CacheRead).filter(|read| *read > input) {
            self.refuse(
                &format!("{path}.cache_read"),
                format!("{read} is more than an input of {input}: a cached token is never dearer"),
            );
        }
    }
}

/// Checks the rates of an operator's own price as the catalog's are checked. `path` begins each problem's.
#[must_use]
pub fn check_rates(path: &str, rates: &[Rates]) -> Vec<CatalogProblem> {
    let mut check = Check { problems: Vec::new(), names: BTreeMap::new(), models: BTreeMap::new() };
    check.rates(path, rates);
    check.problems
}

#[cfg(test)]
mod tests;
