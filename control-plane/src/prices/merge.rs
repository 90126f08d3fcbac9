//! Two data sets and our own prices made one: who wins, and what is said of it.
//!
//! - Our own entries win: a name that they have, or that a pattern of theirs takes, is not imported.
//! - Where both sets have a model and agree, genai-prices gives rates and history, litellm what that lacks.
//! - Where they differ a decision of `review.yaml` says which is taken; without one it is the dearer, and the report
//!   shows it as unreviewed.

use super::genai::Rule;
use super::listed::Listed;
use purser_core::policy::glob;
use purser_core::pricing::catalog::{CatalogFile, CatalogModel};
use purser_core::pricing::{Date, Multiplier, Origin, PriceBook, Rate, RateKey, RateMap, Rates, Tier};
use purser_core::usage::Kind;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a reviewer decided. The first that fits counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// The price book's name of the provider.
    pub(super) provider: String,
    /// A name or pattern of models.
    pub(super) model: String,
    pub(super) take: Take,
    /// Why.
    pub(super) why: String,
}

/// Other names of a model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alias {
    /// The price book's name of the provider.
    pub(super) provider: String,
    /// A name that it is listed under.
    pub(super) model: String,
    /// Others, or patterns.
    pub(super) names: Vec<String>,
    /// Why it is the same; for people.
    #[serde(rename = "why")]
    pub(super) _why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Take {
    #[serde(rename = "genai-prices")]
    Genai,
    #[serde(rename = "litellm")]
    Litellm,
    #[serde(rename = "dearer")]
    Dearer,
}

/// What an import did, for people.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) differences: Vec<Difference>,
    pub(super) left_out: Vec<String>,
    pub(super) changes: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Difference {
    pub(super) provider: &'static str,
    pub(super) model: String,
    pub(super) what: String,
    pub(super) taken: &'static str,
    pub(super) reviewed: Option<String>,
}

/// What the data sets list, and what was decided.
pub(super) struct Sources<'a> {
    pub(super) genai: &'a [(Listed, Rule)],
    pub(super) litellm: &'a [Listed],
    pub(super) decisions: &'a [Decision],
    pub(super) aliases: &'a [Alias],
    /// Our own documents.
    pub(super) own: &'a [CatalogFile],
    pub(super) checked: Date,
}

impl Sources<'_> {
    /// The providers that there is something to import of.
    pub(super) fn providers(&self) -> BTreeSet<&'static str> {
        let all = self.genai.iter().map(|(listed, _)| listed).chain(self.litellm);
        all.map(|listed| listed.provider).collect()
    }

    /// The document of a provider; `before`: the one that was imported last.
    pub(super) fn document(
        &self,
        provider: &'static str,
        before: Option<&CatalogFile>,
        report: &mut Report,
    ) -> CatalogFile {
        let mut entries = self.merged(provider, report);
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut models = Vec::new();
        entries.sort_by(|a, b| a.model().cmp(b.model()));
        // A name that is what an entry is called goes before one that another has besides.
        let called: BTreeSet<String> = entries.iter().map(|entry| entry.model().to_owned()).collect();
        for mut entry in entries {
            let model = entry.model().to_owned();
            entry.names.retain(|name| {
                !self.is_own(provider, name) && (*name == model || !called.contains(name)) && taken.insert(name.clone())
            });
            if entry.names.is_empty() {
                continue;
            }
            for rates in &mut entry.rates {
                if provider == "fireworks" {
                    half_for_cached(rates);
                }
                tidy(rates);
            }
            let free = entry.rates.iter().all(|rates| rates.rates.iter().all(|(_, rate)| rate.0 == 0));
            if free && entry.sets.len() < 2 && !entry.model().ends_with(":free") {
                report.left_out.push(format!("{provider}/{}: free by one data set alone", entry.model()));
                continue;
            }
            let mut made = self.model(entry);
            if let Some(problem) = problem(provider, &made) {
                report.left_out.push(problem);
                continue;
            }
            let old = before.and_then(|file| file.models.iter().find(|old| old.model == made.model));
            if let Some(old) = old.filter(|old| old.rates != made.rates) {
                report.changes.push(change(provider, old, &made));
                keep_history(&mut made, old, self.checked);
            }
            models.push(made);
        }
        for old in before.into_iter().flat_map(|file| &file.models) {
            let made_anew = old.source.as_ref().and_then(|it| it.note.as_deref()) == Some(PASSED_THROUGH);
            if !made_anew && !self.is_own(provider, &old.model) && !models.iter().any(|made| made.model == old.model) {
                report.changes.push(format!("{provider}/{}: is not listed any more; kept", old.model));
                models.push(old.clone());
            }
        }
        with_common_source(provider, models)
    }

    /// Whether one of our own entries has a name.
    fn is_own(&self, provider: &str, name: &str) -> bool {
        let own = self.own.iter().filter(|file| file.provider == provider).flat_map(names_of);
        own.into_iter().any(|own| own == name || glob::matches(own, name))
    }

    fn merged(&self, provider: &'static str, report: &mut Report) -> Vec<Listed> {
        // Vertex serves what Google does, at its prices, and other makers' models beside.
        let of = |listed: &Listed| listed.provider == provider || (provider == "vertex" && listed.provider == "google");
        let mut entries: Vec<Listed> = Vec::new();
        let mut rules: Vec<&Rule> = Vec::new();
        for (listed, rule) in self.genai.iter().filter(|(listed, _)| of(listed)) {
            entries.push(Listed { provider, ..listed.clone() });
            rules.push(rule);
        }
        let mut own = Vec::new();
        let mut litellm: Vec<&Listed> = self.litellm.iter().filter(|listed| listed.provider == provider).collect();
        let is_called = |name: &str| entries.iter().any(|entry| entry.model() == name);
        litellm.sort_by_key(|listed| !is_called(listed.model()));
        for listed in litellm {
            let name = listed.model();
            let lower = name.to_lowercase();
            let exact = || entries.iter().position(|entry| entry.names.iter().any(|known| *known == name));
            let at = exact().or_else(|| rules.iter().position(|rule| rule.matches(&lower)));
            let Some(entry) = at.and_then(|at| entries.get_mut(at)) else {
                own.push(listed.clone());
                continue;
            };
            let (Some(ours), Some(theirs)) = (in_force(&entry.rates, self.checked), listed.rates.last()) else {
                continue;
            };
            let differences = differences(ours, theirs);
            if differences.is_empty() {
                join(entry, listed, self.checked);
                continue;
            }
            if self.is_own(provider, name) {
                continue;
            }
            let decision = self.decisions.iter().find(|it| it.provider == provider && glob::matches(&it.model, name));
            let take = match decision.map_or(Take::Dearer, |decision| decision.take) {
                Take::Dearer if sum(ours) >= sum(theirs) => Take::Genai,
                Take::Dearer => Take::Litellm,
                take => take,
            };
            let taken = if take == Take::Genai { "genai-prices" } else { "litellm" };
            let what = differences.join(", ");
            let why = decision.map_or("the dearer, not reviewed", |decision| decision.why.as_str());
            let note = format!("{name}: {what} (genai-prices, litellm). Taken: {taken}; {why}.");
            report.differences.push(Difference {
                provider,
                model: name.to_owned(),
                what,
                taken,
                reviewed: decision.map(|decision| decision.why.clone()),
            });
            if take == Take::Genai {
                if !entry.names.iter().any(|known| known == name) {
                    entry.names.push(name.to_owned());
                }
                entry.notes.push(note);
            } else {
                entry.names.retain(|known| known != name);
                own.push(Listed { notes: vec![note], ..listed.clone() });
            }
        }
        entries.retain(|entry| !entry.names.is_empty());
        entries.extend(own);
        for entry in &mut entries {
            let aliases = self.aliases.iter().filter(|it| it.provider == provider && entry.names.contains(&it.model));
            let aliases: Vec<String> = aliases.flat_map(|alias| alias.names.clone()).collect();
            entry.names.extend(aliases);
            other_names(entry);
        }
        entries
    }

    fn model(&self, entry: Listed) -> CatalogModel {
        let model = entry.names.iter().find(|name| !name.contains('*')).or(entry.names.first()).cloned();
        let model = model.unwrap_or_default().replace('*', "");
        let mut via: Vec<String> = entry.sets.iter().map(|set| format!("{} {}", set.name, set.version)).collect();
        via.sort();
        via.dedup();
        let source = Origin {
            url: entry.url,
            checked: self.checked,
            via: Some(via.join(", ")),
            licence: Some("MIT".to_owned()),
            note: (!entry.notes.is_empty()).then(|| entry.notes.join(" ")),
        };
        let names = if entry.names == [model.as_str()] { Vec::new() } else { entry.names };
        CatalogModel { model, r#match: names, source: Some(source), rates: entry.rates }
    }
}

/// Names by which the same is called: Google's numbered snapshots, Vertex's dated ones as their answers name them, and
/// OpenRouter's.
fn other_names(entry: &mut Listed) {
    let mut others = Vec::new();
    if matches!(entry.provider, "google" | "vertex") {
        let numbered = |name: &str| name.rsplit('-').next().is_some_and(|end| end.len() == 3 && end.starts_with('0'));
        let gemini = entry.names.iter().filter(|name| name.starts_with("gemini-") && !name.contains('*'));
        others.extend(gemini.filter(|name| !numbered(name)).map(|name| format!("{name}-00*")));
        others.extend(entry.names.iter().filter(|name| name.contains("@20")).map(|name| name.replace('@', "-")));
    }
    if entry.provider == "openrouter" {
        // Answers name the day of the model: `maker/model-20260303`.
        let plain = entry.names.iter().filter(|name| !name.contains([':', '*']));
        others.extend(plain.map(|name| format!("{name}-20*")));
    }
    others.retain(|name| !entry.names.contains(name));
    entry.names.extend(others);
}

/// Names and patterns of a document's models, and what these are called.
fn names_of(file: &CatalogFile) -> Vec<&str> {
    let names = file.models.iter().flat_map(|it| it.r#match.iter().map(String::as_str).chain([it.model.as_str()]));
    names.collect()
}

/// Kinds by which two sets are compared.
const COMPARED: [Kind; 5] = [Kind::Input, Kind::Output, Kind::CacheRead, Kind::CacheWrite5m, Kind::CacheWrite1h];

/// What two sets say differently, by more than the rounding of a price in another currency.
fn differences(ours: &Rates, theirs: &Rates) -> Vec<String> {
    let differ = |kind: &Kind| {
        let (a, b) = (ours.stated(*kind)?, theirs.stated(*kind)?);
        (a.0.abs_diff(b.0) > a.0.max(b.0) / 100).then(|| format!("{} {a} and {b}", kind.name()))
    };
    COMPARED.iter().filter_map(differ).collect()
}

fn sum(rates: &Rates) -> u128 {
    COMPARED.into_iter().filter_map(|kind| rates.rate(kind, None)).map(|rate| u128::from(rate.0)).sum()
}

/// Adds to an entry what another set has beyond it.
fn join(entry: &mut Listed, listed: &Listed, checked: Date) {
    let name = listed.model();
    let known =
        |entry: &Listed| entry.names.iter().any(|own| own == name || (own.contains('*') && glob::matches(own, name)));
    if !known(entry) {
        entry.names.push(name.to_owned());
    }
    for set in &listed.sets {
        if !entry.sets.contains(set) {
            entry.sets.push(set.clone());
        }
    }
    let Some(theirs) = listed.rates.last() else { return };
    let from = in_force(&entry.rates, checked).map(|rates| rates.from);
    for ours in entry.rates.iter_mut().filter(|rates| from.is_none_or(|from| rates.from >= from)) {
        let both_by_tokens = ours.stated(Kind::Input).is_some() == theirs.stated(Kind::Input).is_some();
        // What a litellm price of today says of a later day's would be of the wrong price.
        let same = differences(ours, theirs).is_empty() && both_by_tokens;
        for (key, rate) in theirs.rates.iter() {
            if ours.rates.get(key).is_none() && same {
                ours.rates.set(key, rate);
            }
        }
        if ours.tiers.is_empty() && same {
            ours.tiers.clone_from(&theirs.tiers);
        }
        for variant in theirs.variants.iter().filter(|variant| same || variant.multiplier.is_some()) {
            if !ours.variants.iter().any(|own| own.when == variant.when) {
                ours.variants.push(variant.clone());
            }
        }
    }
}

/// The rates of a day: the latest that began, or the first of all.
fn in_force(all: &[Rates], day: Date) -> Option<&Rates> {
    all.iter().rfind(|rates| rates.from <= day).or(all.first())
}

/// Brings rates into the form of the book: nothing that a parent says anyway, tiers that state all that the base does,
/// variants as factors where they are one.
fn tidy(rates: &mut Rates) {
    let read = RateKey::Of(Kind::CacheRead);
    if let (Some(input), Some(cached)) = (rates.stated(Kind::Input), rates.rates.get(read))
        && (input.0..=input.0 + input.0 / 100).contains(&cached.0)
    {
        // The price of an input, by another rounding.
        rates.rates = rates.rates.iter().filter(|(key, _)| *key != read).collect();
    }
    without_repetition(rates);
    if rates.stated(Kind::Input).is_some() && !rates.rates.iter().any(|(key, _)| key.is_output()) {
        rates.rates.set(RateKey::Of(Kind::Output), Rate(0)); // an embedding has no output
    }
    let base = rates.rates.clone();
    complete(&base, &mut rates.tiers);
    let tiers = rates.tiers.clone();
    for variant in &mut rates.variants {
        let fees: RateMap = variant.rates.iter().filter(|(key, _)| key.is_fee()).collect();
        if variant.multiplier.is_some() || !fees.is_empty() {
            continue;
        }
        variant.rates = variant.rates.iter().filter(|(key, _)| base.get(*key).is_some()).collect();
        if let Some(factor) = factor(&base, &tiers, &variant.rates, &variant.tiers) {
            variant.multiplier = Some(factor);
            variant.rates = RateMap::default();
            variant.tiers.clear();
            continue;
        }
        if variant.tiers.is_empty() {
            variant.tiers = proportional(&base, &tiers, &variant.rates);
        }
        let own = variant.rates.clone();
        for tier in &mut variant.tiers {
            tier.rates = tier.rates.iter().filter(|(key, _)| own.get(*key).is_some()).collect();
        }
        complete(&own, &mut variant.tiers);
    }
    rates.variants.retain(|variant| {
        variant.multiplier.is_some_and(|factor| factor != Multiplier::ONE) || !variant.rates.is_empty()
    });
}

/// Fireworks charges half for cached tokens where it states nothing else: <https://docs.fireworks.ai/guides/prompt-caching>.
fn half_for_cached(rates: &mut Rates) {
    let text = rates.stated(Kind::Output).is_some_and(|output| output.0 > 0);
    if let (Some(input), None, true) = (rates.stated(Kind::Input), rates.stated(Kind::CacheRead), text) {
        rates.rates.set(RateKey::Of(Kind::CacheRead), Rate(input.0 / 2));
    }
}

/// Media and reasoning at the price of their parent, everywhere.
fn without_repetition(rates: &mut Rates) {
    let mut repeated: Vec<RateKey> = Vec::new();
    for key in RateKey::all() {
        let cache = matches!(key, RateKey::Of(Kind::CacheRead | Kind::CacheWrite5m | Kind::CacheWrite1h));
        let Some(parent) = key.parents().first().filter(|_| !cache) else { continue };
        let layers = || {
            let variants = rates
                .variants
                .iter()
                .flat_map(|it| std::iter::once(&it.rates).chain(it.tiers.iter().map(|t| &t.rates)));
            std::iter::once(&rates.rates).chain(rates.tiers.iter().map(|tier| &tier.rates)).chain(variants)
        };
        let same = layers().all(|map| map.get(key).is_none_or(|rate| Some(rate) == map.get(*parent)));
        // A layer that states the parent and not the part would move the part with it.
        let stands = layers().all(|map| map.get(*parent).is_none() || map.get(key).is_some());
        if same && (stands || matches!(key, RateKey::Reasoning) || rates.variants.is_empty()) {
            repeated.push(key);
        }
    }
    let variants = rates
        .variants
        .iter_mut()
        .flat_map(|it| std::iter::once(&mut it.rates).chain(it.tiers.iter_mut().map(|t| &mut t.rates)));
    let layers =
        std::iter::once(&mut rates.rates).chain(rates.tiers.iter_mut().map(|tier| &mut tier.rates)).chain(variants);
    for map in layers {
        *map = map.iter().filter(|(key, _)| !repeated.contains(key)).collect();
    }
}

/// States in each tier what is stated outside.
fn complete(base: &RateMap, tiers: &mut Vec<Tier>) {
    for tier in tiers.iter_mut() {
        for (key, rate) in base.iter().filter(|(key, _)| !key.is_fee()) {
            if tier.rates.get(key).is_none() {
                tier.rates.set(key, rate);
            }
        }
    }
    // A tier that changes nothing is none.
    tiers.retain(|tier| tier.rates.iter().any(|(key, rate)| base.get(key) != Some(rate)));
}

/// The factor of a variant on all rates, when it is one. A cheaper one must state all that the base does: what it leaves
/// out stays at the usual price.
fn factor(base: &RateMap, tiers: &[Tier], own: &RateMap, own_tiers: &[Tier]) -> Option<Multiplier> {
    let input = RateKey::Of(Kind::Input);
    let factor = ratio(own.get(input)?, base.get(input)?)?;
    let fits = |base: &RateMap, own: &RateMap| {
        base.iter().filter(|(key, _)| !key.is_fee()).all(|(key, rate)| match own.get(key) {
            Some(own) => rate.scaled(factor) == Ok(own) && (rate.0 == 0 || ratio(own, rate) == Some(factor)),
            None => factor > Multiplier::ONE,
        })
    };
    let tiers_fit = own_tiers.iter().all(|own| {
        tiers
            .iter()
            .any(|tier| (tier.above, tier.inclusive) == (own.above, own.inclusive) && fits(&tier.rates, &own.rates))
    });
    (fits(base, own) && tiers_fit).then_some(factor)
}

/// A rate by another, when that is exact with four decimals.
fn ratio(own: Rate, base: Rate) -> Option<Multiplier> {
    let scaled = u128::from(own.0) * 10_000;
    let base = u128::from(base.0);
    if base == 0 || scaled % base != 0 {
        return None;
    }
    let parts = scaled / base;
    Multiplier::from_decimal(&format!("{}.{:04}", parts / 10_000, parts % 10_000)).ok()
}

/// Tiers of a variant that states none: as much dearer as the usual ones.
fn proportional(base: &RateMap, tiers: &[Tier], own: &RateMap) -> Vec<Tier> {
    let scaled = |tier: &Tier| {
        let rate = |(key, own): (RateKey, Rate)| {
            let (above, base) = (u128::from(tier.rates.get(key)?.0), u128::from(base.get(key)?.0));
            let rate = (above * u128::from(own.0)).div_ceil(base.max(1));
            Some((key, Rate(u64::try_from(rate).ok()?)))
        };
        Tier { rates: own.iter().filter_map(rate).collect(), ..tier.clone() }
    };
    tiers.iter().map(scaled).collect()
}

/// The first problem that the book would have with a model.
fn problem(provider: &str, model: &CatalogModel) -> Option<String> {
    let file = CatalogFile { provider: provider.to_owned(), source: None, models: vec![model.clone()] };
    PriceBook::from_documents(vec![file]).err()?.first().map(ToString::to_string)
}

/// Makers whose models Vercel's gateway passes through at their own price, and what it calls them.
const VERCEL: [(&str, &str); 5] =
    [("deepseek", "deepseek"), ("google", "google"), ("mistral", "mistral"), ("openai", "openai"), ("xai", "xai")];

const PASSED_THROUGH: &str =
    "Not listed for the gateway, which charges what the maker does: <https://vercel.com/docs/ai-gateway/pricing>.";

/// Adds to Vercel's document what makers list and it does not: it charges what they do.
pub(super) fn passed_through(vercel: &mut CatalogFile, makers: &[&CatalogFile]) {
    for maker in makers {
        let Some((_, called)) = VERCEL.into_iter().find(|(maker_name, _)| *maker_name == maker.provider) else {
            continue;
        };
        for model in &maker.models {
            let by_tokens = model.rates.iter().all(|rates| rates.stated(Kind::Input).is_some());
            let names = model.r#match.iter().chain(std::iter::once(&model.model));
            let names = names.filter(|name| !name.contains(['*', '/', ':'])).map(|name| format!("{called}/{name}"));
            let names: BTreeSet<String> = names.collect();
            let listed: BTreeSet<&str> = names_of(vercel).into_iter().collect();
            let names: Vec<String> = names.into_iter().filter(|name| !listed.contains(name.as_str())).collect();
            let Some(first) = names.first().cloned().filter(|_| by_tokens) else { continue };
            let source = model.source.clone().or_else(|| maker.source.clone());
            let source = source.map(|source| Origin { note: Some(PASSED_THROUGH.to_owned()), ..source });
            let names = if names.len() == 1 { Vec::new() } else { names };
            vercel.models.push(CatalogModel { model: first, r#match: names, source, rates: model.rates.clone() });
        }
    }
    let models = std::mem::take(&mut vercel.models);
    let common = vercel.source.take();
    let models = models.into_iter().map(|it| CatalogModel { source: it.source.or_else(|| common.clone()), ..it });
    *vercel = with_common_source("vercel", models.collect());
}

fn change(provider: &str, old: &CatalogModel, made: &CatalogModel) -> String {
    let (Some(before), Some(after)) = (old.rates.last(), made.rates.last()) else { return String::new() };
    let keys = RateKey::all().filter_map(|key| {
        let (a, b) = (before.rates.get(key), after.rates.get(key));
        let shown = |rate: Option<Rate>| rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
        (a != b).then(|| format!("{} {} to {}", key.name(), shown(a), shown(b)))
    });
    let mut said: Vec<String> = keys.collect();
    if before.tiers != after.tiers {
        said.push("tiers".to_owned());
    }
    if before.variants != after.variants {
        said.push("variants".to_owned());
    }
    if said.is_empty() {
        said.push("earlier rates".to_owned());
    }
    format!("{provider}/{}: {}", made.model, said.join(", "))
}

/// A price that changed since the last import begins on the day of this one, unless the set dates it itself.
fn keep_history(made: &mut CatalogModel, old: &CatalogModel, checked: Date) {
    let dated = made.rates.len() > 1;
    let usual = |model: &CatalogModel| model.rates.last().map(|rates| (rates.rates.clone(), rates.tiers.clone()));
    let started = old.rates.last().is_some_and(|last| last.from < checked);
    if dated || usual(old) == usual(made) || !started {
        return;
    }
    if let Some(mut new) = made.rates.pop() {
        new.from = checked;
        made.rates.clone_from(&old.rates);
        made.rates.push(new);
    }
}

/// States once what most models have as their source.
fn with_common_source(provider: &str, mut models: Vec<CatalogModel>) -> CatalogFile {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let text = |source: &Option<Origin>| serde_json::to_string(source).unwrap_or_default();
    for model in &models {
        *counts.entry(text(&model.source)).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(text, _)| text).unwrap_or_default();
    let mut source = None;
    for model in &mut models {
        if text(&model.source) == most {
            source = model.source.take();
        }
    }
    models.sort_by(|a, b| a.model.cmp(&b.model));
    CatalogFile { provider: provider.to_owned(), source, models }
}

#[cfg(test)]
mod tests;
