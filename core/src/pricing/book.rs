//! The price book: which rates hold for a model of a provider at a moment.
//!
//! Entries come from the catalog, with an operator's own laid over them. The filter gets the part in use
//! ([`PriceBook::subset`]) and asks it once or twice a request, so names are indexed.
//!
//! - The best match decides: a price for some payers before one for all, the operator's own before the catalog's, exact before pattern, the longer pattern before
//!   the shorter, the earlier entry before the later.
//! - Before the first day of its rates, and after a last one, an entry has no price. It does not fall through to a vaguer pattern: that would
//!   be a guess. An override that has not begun does fall through, to the catalog.

use super::rate::Date;
use super::rates::Rates;
use crate::labels::Labels;
use crate::policy::glob;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The prices of one model at one provider, over time. The form that is pushed to the filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
pub struct PriceEntry {
    /// The price book's name of the provider.
    pub provider: String,
    /// What the entry is called, in records too: the provider's name of the model.
    pub model: String,
    /// Names that it is the price of: exact, or patterns (`*` is any run of characters). Empty: just `model`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub r#match: Vec<String>,
    /// Where the rates were read. Always there in the catalog; the filter does without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Origin>,
    /// An operator's own price: it goes before every entry that is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    /// Whose price it is, where an operator's own is for some only: label to globs, one of which must match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Vec<String>>,
    /// Rates by the day they begin, ascending.
    pub rates: Vec<Rates>,
}

/// Where rates were read, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
pub struct Origin {
    /// The provider's own page.
    pub url: String,
    /// The day on which the rates were compared with it, or with `via`.
    pub checked: Date,
    /// The data sets, with versions, through which the page was read, where it was not read itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The licence of `via`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// What a reviewer decided where sources differ, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl PriceEntry {
    /// The names it is the price of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.r#match.is_empty().then_some(self.model.as_str());
        self.r#match.iter().map(String::as_str).chain(own)
    }

    /// The rates in force at a moment (milliseconds since 1970); `None` before the first day, and after the last where
    /// one is stated.
    #[must_use]
    pub fn rates_at(&self, at_ms: u64) -> Option<&Rates> {
        let begun = self.rates.iter().filter(|rates| rates.from.start_ms() <= at_ms).max_by_key(|rates| rates.from);
        begun.filter(|rates| rates.until.is_none_or(|until| at_ms < until.start_ms()))
    }
}

/// A price that was found: an entry, and its rates at the moment asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price<'a> {
    /// The entry.
    pub entry: &'a PriceEntry,
    /// Its rates in force.
    pub rates: &'a Rates,
    /// The moment that they were asked for (milliseconds since 1970): some rates depend on the hour.
    pub at_ms: u64,
}

impl Price<'_> {
    /// How records call it: `provider/model@YYYY-MM-DD`, the day being the first of its rates. An operator's own ends
    /// in `+override`.
    #[must_use]
    pub fn entry_name(&self) -> String {
        let own = if self.entry.overrides { OVERRIDE_SUFFIX } else { "" };
        format!("{}/{}@{}{own}", self.entry.provider, self.entry.model, self.rates.from)
    }
}

const OVERRIDE_SUFFIX: &str = "+override";

/// Prices, indexed by name.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    version: String,
    entries: Vec<PriceEntry>,
    providers: BTreeMap<String, Layers>,
}

/// Where a provider's entries are, by name.
#[derive(Debug, Clone, Default)]
struct Layers {
    /// Names of prices that are for some payers only, the most specific first.
    bound: Vec<(String, usize)>,
    overrides: Names,
    listed: Names,
}

#[derive(Debug, Clone, Default)]
struct Names {
    exact: BTreeMap<String, usize>,
    /// The longest first; of one length, in the order of the entries.
    patterns: Vec<(String, usize)>,
}

impl Names {
    fn find(&self, model: &str) -> Option<usize> {
        let pattern = || self.patterns.iter().find(|(pattern, _)| glob::matches(pattern, model));
        self.exact.get(model).or_else(|| pattern().map(|(_, at)| at)).copied()
    }
}

impl Layers {
    fn of(&mut self, entry: &PriceEntry) -> &mut Names {
        if entry.overrides { &mut self.overrides } else { &mut self.listed }
    }
}

impl PriceBook {
    /// A book with the version it was given, such as the part of a book that was pushed.
    #[must_use]
    pub fn new(version: String, entries: Vec<PriceEntry>) -> Self {
        let mut providers: BTreeMap<String, Layers> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let layers = providers.entry(entry.provider.clone()).or_default();
            if !entry.labels.is_empty() {
                layers.bound.extend(entry.names().map(|name| (name.to_owned(), at)));
                continue;
            }
            let names = layers.of(entry);
            for name in entry.names() {
                if name.contains('*') {
                    names.patterns.push((name.to_owned(), at));
                } else {
                    names.exact.entry(name.to_owned()).or_insert(at);
                }
            }
        }
        for layers in providers.values_mut() {
            layers.bound.sort_by_key(|(name, _)| (name.contains('*'), std::cmp::Reverse(name.len())));
            for names in [&mut layers.overrides, &mut layers.listed] {
                names.patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
            }
        }
        Self { version, entries, providers }
    }

    /// A book whose version is the hash of its content.
    #[must_use]
    pub fn from_entries(entries: Vec<PriceEntry>) -> Self {
        Self::new(content_version(&entries), entries)
    }

    /// The version that records carry.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All entries, in the order they were given.
    #[must_use]
    pub fn entries(&self) -> &[PriceEntry] {
        &self.entries
    }

    /// The price of a model at a moment (milliseconds since 1970). `None` is unknown, never free.
    ///
    /// The model is named as the provider does it; a name with a path before it, as in Bedrock's ARNs and Google's
    /// resource names, is looked up without when it has no price with it.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str, at_ms: u64) -> Option<Price<'_>> {
        self.find_named(provider, model, at_ms).or_else(|| self.find_named(provider, without_path(model)?, at_ms))
    }

    /// As [`Self::find`], for a payer: a price that is for whoever has some labels goes before every other.
    #[must_use]
    pub fn find_for(&self, provider: &str, model: &str, at_ms: u64, labels: &Labels) -> Option<Price<'_>> {
        let layers = self.providers.get(provider)?;
        let has = |(name, globs): (&String, &Vec<String>)| {
            labels.get(name).is_some_and(|label| globs.iter().any(|glob| glob::matches(glob, &label.value)))
        };
        let bound = layers.bound.iter().filter(|(name, _)| glob::matches(name, model));
        let own = bound.filter_map(|(_, at)| self.entries.get(*at)).filter(|entry| entry.labels.iter().all(has));
        let own = own.filter_map(|entry| Some(Price { entry, rates: entry.rates_at(at_ms)?, at_ms })).next();
        own.or_else(|| self.find(provider, model, at_ms))
    }

    fn find_named(&self, provider: &str, model: &str, at_ms: u64) -> Option<Price<'_>> {
        let layers = self.providers.get(provider)?;
        [&layers.overrides, &layers.listed].into_iter().find_map(|names| {
            let entry = self.entries.get(names.find(model)?)?;
            Some(Price { entry, rates: entry.rates_at(at_ms)?, at_ms })
        })
    }

    /// The price that a record names (see [`Price::entry_name`]), to show where it came from.
    #[must_use]
    pub fn by_entry_name(&self, name: &str) -> Option<Price<'_>> {
        let (plain, overrides) = match name.strip_suffix(OVERRIDE_SUFFIX) {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let (id, day) = plain.rsplit_once('@')?;
        let (provider, model) = id.split_once('/')?;
        let from = Date::parse(day).ok()?;
        self.entries.iter().find_map(|entry| {
            let same = entry.provider == provider && entry.model == model && entry.overrides == overrides;
            let rates = entry.rates.iter().find(|rates| same && rates.from == from)?;
            Some(Price { entry, rates, at_ms: from.start_ms() })
        })
    }

    /// What the filter needs: the entries of some providers, without sources and without rates that ended before
    /// `since_ms`.
    #[must_use]
    pub fn subset(&self, providers: &[&str], since_ms: u64) -> Vec<PriceEntry> {
        let in_use = self.entries.iter().filter(|entry| providers.contains(&entry.provider.as_str()));
        in_use
            .map(|entry| {
                let begun = entry.rates.iter().filter(|rates| rates.from.start_ms() <= since_ms);
                let first = begun.map(|rates| rates.from).max();
                let kept = entry.rates.iter().filter(|rates| first.is_none_or(|first| rates.from >= first));
                PriceEntry {
                    source: None,
                    rates: kept.cloned().collect(),
                    provider: entry.provider.clone(),
                    model: entry.model.clone(),
                    r#match: entry.r#match.clone(),
                    overrides: entry.overrides,
                    labels: entry.labels.clone(),
                }
            })
            .collect()
    }
}

/// `arn:aws:bedrock:eu-west-1::foundation-model/x`, `publishers/google/models/x`, `projects/…/models/x`, `models/x`: `x`.
fn without_path(model: &str) -> Option<&str> {
    if model.starts_with("arn:") {
        return model.rsplit_once('/').map(|(_, name)| name);
    }
    if let Some(name) = model.strip_prefix("models/") {
        return Some(name);
    }
    let resource = model.starts_with("publishers/") || model.starts_with("projects/");
    model.rsplit_once("/models/").filter(|_| resource).map(|(_, name)| name)
}

/// Hash of what prices: names and rates, not where they were read. The order of entries, names and rates is no matter,
/// other than between entries of one name, of which the first counts.
fn content_version(entries: &[PriceEntry]) -> String {
    let mut taken = std::collections::BTreeSet::new();
    let mut lines = Vec::new();
    for entry in entries {
        let mut counts: Vec<&str> = entry
            .names()
            .filter(|name| taken.insert((entry.overrides, &entry.labels, &entry.provider, name.to_string())))
            .collect();
        counts.sort_unstable();
        let mut rates: Vec<&Rates> = entry.rates.iter().collect();
        rates.sort_by_key(|rates| rates.from);
        if !counts.is_empty() {
            let line = (&entry.provider, &entry.model, entry.overrides, counts, rates);
            let mut line = serde_json::to_string(&line).unwrap_or_default();
            if !entry.labels.is_empty() {
                line.push_str(&serde_json::to_string(&entry.labels).unwrap_or_default());
            }
            lines.push(line);
        }
    }
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update(b"\n");
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
