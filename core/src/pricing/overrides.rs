//! An operator's own prices, laid over the price book: rates that were agreed, or a factor on those that are listed.
//!
//! - Among overrides the most specific name decides, as everywhere: exact before pattern, the longer pattern before the
//!   shorter, the earlier before the later.
//! - One that is for some labels only goes before those for everyone; among them it is the same.
//! - A factor is multiplied out when policy is compiled. What the filter gets are plain rates.

use super::book::{PriceBook, PriceEntry};
use super::rate::{Multiplier, RateError};
use super::rates::Rates;
use crate::policy::glob;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// An operator's own price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The document's name. It is part of the entry's name in records.
    pub name: String,
    /// The provider whose requests it is for.
    pub provider: String,
    /// The price book's name of that provider: whose rates a factor multiplies.
    pub catalog: String,
    /// Whose requests it is for: label to globs, one of which must match. Empty: everyone's.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Models: exact names, or patterns.
    pub models: Vec<String>,
    /// What they cost.
    pub change: Change,
}

/// What an override does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These rates, whether the model is listed or not.
    Rates(Vec<Rates>),
    /// The listed rates, all of their history and tiers, times a factor.
    Multiplier(Multiplier),
}

/// Why an override cannot be laid over a book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// Nothing to multiply.
    #[error(
        "`{name}`: no listed price of `{catalog}` fits `{model}`, so there is nothing to multiply; give it `rates`"
    )]
    NotListed {
        /// The override.
        name: String,
        /// The price book's provider.
        catalog: String,
        /// The name or pattern.
        model: String,
    },
    /// The pattern takes some names of a listed pattern and not others.
    #[error("`{name}`: `{model}` takes a part only of the listed pattern `{listed}`: name the models, or widen it")]
    PartOfPattern {
        /// The override.
        name: String,
        /// Its pattern.
        model: String,
        /// The book's pattern.
        listed: String,
    },
    /// A scaled rate does not fit.
    #[error("`{name}`: {error}")]
    Rate {
        /// The override.
        name: String,
        /// Why.
        error: RateError,
    },
}

/// One name of one override.
#[derive(Clone, Copy)]
struct Claim<'a> {
    by: &'a Override,
    model: &'a str,
}

impl PriceBook {
    /// This book with overrides laid over it. Its version tells them.
    ///
    /// # Errors
    /// Every problem found; there is at least one. Rates are taken as given: see [`super::catalog::check_rates`].
    pub fn with_overrides(&self, overrides: &[Override]) -> Result<Self, Vec<OverrideError>> {
        let mut claims: Vec<Claim<'_>> =
            overrides.iter().flat_map(|by| by.models.iter().map(move |model| Claim { by, model })).collect();
        claims.sort_by_key(|claim| specificity(claim.model));
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        for (at, claim) in claims.iter().enumerate() {
            let earlier = claims.get(..at).unwrap_or_default();
            let same = |earlier: &&Claim<'_>| {
                (&earlier.by.provider, &earlier.by.labels) == (&claim.by.provider, &claim.by.labels)
            };
            let earlier = earlier.iter().filter(same);
            let is_free = |name: &str| !earlier.clone().any(|earlier| glob::matches(earlier.model, name));
            match &claim.by.change {
                Change::Rates(rates) => entries.push(entry(*claim, claim.by.name.clone(), claim.model, rates.clone())),
                Change::Multiplier(factor) => match self.multiplied(*claim, *factor) {
                    Ok(scaled) => entries.extend(scaled.into_iter().filter(|entry| entry.names().all(is_free))),
                    Err(error) => errors.push(error),
                },
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        entries.extend_from_slice(self.entries());
        Ok(Self::from_entries(entries))
    }

    /// The listed prices that a claim takes, multiplied: an entry for each name.
    fn multiplied(&self, claim: Claim<'_>, factor: Multiplier) -> Result<Vec<PriceEntry>, OverrideError> {
        let (name, model) = (&claim.by.name, claim.model);
        let listed = self.entries().iter().filter(|entry| entry.provider == claim.by.catalog && !entry.overrides);
        let mut names: Vec<(&str, &PriceEntry)> =
            listed.flat_map(|entry| entry.names().map(move |name| (name, entry))).collect();
        names.sort_by_key(|(listed, _)| specificity(listed));
        let mut taken = BTreeSet::new();
        let mut scaled = Vec::new();
        for (listed, from) in names {
            // The narrower of the two names is what the override is of.
            let narrow = if glob::matches(model, listed) {
                listed
            } else if glob::matches(listed, model) {
                model
            } else if overlap(model, listed) {
                let (model, listed) = (model.to_owned(), listed.to_owned());
                return Err(OverrideError::PartOfPattern { name: name.clone(), model, listed });
            } else {
                continue;
            };
            if taken.insert(narrow) {
                let rates: Result<Vec<Rates>, RateError> =
                    from.rates.iter().map(|rates| rates.scaled(factor)).collect();
                let rates = rates.map_err(|error| OverrideError::Rate { name: name.clone(), error })?;
                let mut own = entry(claim, format!("{name}/{}", from.model), narrow, rates);
                own.source = from.source.clone().map(|mut source| {
                    let note = format!("listed rates × {factor}, by PriceOverride `{name}`");
                    source.note = Some(source.note.map_or(note.clone(), |listed| format!("{note}. {listed}")));
                    source
                });
                scaled.push(own);
            }
        }
        if scaled.is_empty() {
            let (name, catalog) = (name.clone(), claim.by.catalog.clone());
            return Err(OverrideError::NotListed { name, catalog, model: model.to_owned() });
        }
        Ok(scaled)
    }
}

fn entry(claim: Claim<'_>, model: String, name: &str, rates: Vec<Rates>) -> PriceEntry {
    let provider = claim.by.provider.clone();
    let labels = claim.by.labels.clone();
    PriceEntry { provider, model, r#match: vec![name.to_owned()], source: None, overrides: true, labels, rates }
}

/// Sorts exact names first, then patterns, the longest first.
fn specificity(name: &str) -> (bool, Reverse<usize>) {
    (name.contains('*'), Reverse(name.len()))
}

/// Whether some text fits both patterns.
fn overlap(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // fits[i]: the first i bytes of `a` and the bytes of `b` so far have a text in common.
    let mut fits = vec![false; a.len().saturating_add(1)];
    let star = |at: usize| a.get(at) == Some(&b'*');
    let close = |fits: &mut Vec<bool>| {
        for at in 0..a.len() {
            if star(at)
                && fits.get(at) == Some(&true)
                && let Some(next) = fits.get_mut(at.saturating_add(1))
            {
                *next = true;
            }
        }
    };
    if let Some(first) = fits.first_mut() {
        *first = true;
    }
    close(&mut fits);
    for byte in b {
        let mut next = vec![false; fits.len()];
        let mut any = false;
        for (at, fit) in next.iter_mut().enumerate() {
            let here = fits.get(at) == Some(&true);
            let before = at.checked_sub(1).and_then(|at| fits.get(at)) == Some(&true);
            let same = at.checked_sub(1).and_then(|at| a.get(at)) == Some(byte);
            any |= here;
            // A star of `b` takes any run of `a`; a byte of `b` is taken by its like, or by a star of `a`.
            *fit = if *byte == b'*' { any } else { (before && same) || (here && at.checked_sub(1).is_some_and(star)) };
        }
        fits = next;
        close(&mut fits);
    }
    fits.last() == Some(&true)
}

#[cfg(test)]
mod tests;
