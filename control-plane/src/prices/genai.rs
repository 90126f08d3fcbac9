//! genai-prices' `data.json` (version 2): models with rules for their names, prices by day, variants.

use super::decimal::{Per, rate};
use super::listed::{Listed, Set, provider_of_genai};
use purser_core::pricing::{Date, Rate, RateKey, Rates, Tier, Variant, When};
use purser_core::usage::{Kind, Term};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A rule for names, compiled.
#[derive(Debug)]
pub(super) enum Rule {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Regex(Regex),
    Any(Vec<Self>),
    All(Vec<Self>),
}

impl Rule {
    fn read(value: &Value) -> Option<Self> {
        let (kind, of) = value.as_object()?.iter().next()?;
        let text = || of.as_str().map(str::to_lowercase);
        let list = || of.as_array().map(|all| all.iter().filter_map(Self::read).collect());
        Some(match kind.as_str() {
            "equals" => Self::Equals(text()?),
            "starts_with" => Self::StartsWith(text()?),
            "ends_with" => Self::EndsWith(text()?),
            "contains" => Self::Contains(text()?),
            "regex" => Self::Regex(Regex::new(of.as_str()?).ok()?),
            "or" => Self::Any(list()?),
            "and" => Self::All(list()?),
            _ => return None,
        })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Equals(text) => name == text,
            Self::StartsWith(text) => name.starts_with(text.as_str()),
            Self::EndsWith(text) => name.ends_with(text.as_str()),
            Self::Contains(text) => name.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(name),
            Self::Any(rules) => rules.iter().any(|rule| rule.matches(name)),
            Self::All(rules) => rules.iter().all(|rule| rule.matches(name)),
        }
    }

    /// Names that the rule says by themselves, and their dated snapshots. Wider rules take what other sets name only: a
    /// rule that is too wide gives a new model an old one's price.
    fn names(&self, names: &mut Vec<String>) {
        match self {
            Self::Equals(text) => names.push(text.clone()),
            Self::StartsWith(text) if !text.ends_with(['-', '.', ':', '/', '@']) => {
                names.extend([text.clone(), format!("{text}-20*")]);
            }
            Self::Regex(regex) => {
                let text = regex.as_str();
                let dated = text.strip_prefix('^').and_then(|text| text.strip_suffix("-\\d{8}$"));
                let plain = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                names.extend(dated.filter(plain).map(|text| format!("{text}-20*")));
            }
            Self::Any(rules) => rules.iter().for_each(|rule| rule.names(names)),
            _ => {}
        }
    }
}

/// All models, in order, with the day on which prices without one begin.
pub(super) fn read(data: &Value, version: &str, first: Date) -> Vec<(Listed, Rule)> {
    let mut listed = Vec::new();
    let providers = data.as_array().or_else(|| data.get("providers")?.as_array());
    for provider in providers.into_iter().flatten() {
        let text = |name: &str| provider.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(name) = provider_of_genai(text("id")) else { continue };
        let url = provider
            .pointer("/pricing_urls/0")
            .and_then(Value::as_str)
            .unwrap_or("https://github.com/pydantic/genai-prices");
        for model in provider.get("models").and_then(Value::as_array).into_iter().flatten() {
            let Some(id) = model.get("id").and_then(Value::as_str) else { continue };
            let Some(rule) = model.get("match").and_then(Rule::read) else { continue };
            let mut names = vec![id.to_owned()];
            rule.names(&mut names);
            let mut rates = rates(model, name, first);
            // What a router gives away says so in its name.
            if name == "openrouter" && id.ends_with(":free") {
                let free = [RateKey::Of(Kind::Input), RateKey::Of(Kind::Output)].map(|key| (key, Rate(0)));
                rates = vec![Rates { rates: free.into_iter().collect(), ..Rates::from(first) }];
            }
            if rates.iter().all(|rates| rates.rates.is_empty()) {
                continue;
            }
            let set = Set { name: "genai-prices", version: version.to_owned() };
            listed.push((Listed::new(name, names, rates, url, set), rule));
        }
    }
    listed
}

/// Prices by day, with the variants that were written beside them.
fn rates(model: &Value, provider: &str, first: Date) -> Vec<Rates> {
    // Each with its day; of those of one day the last counts.
    let mut prices: Vec<(Date, &Map<String, Value>)> = match model.get("prices") {
        Some(Value::Object(prices)) => vec![(first, prices)],
        Some(Value::Array(steps)) => {
            // A price for some hours of the day is written by hand: see catalog/providers.
            let by_day = steps.iter().filter(|step| step.pointer("/constraint/start_time").is_none());
            let step = |step: &'_ Value| begin(step).unwrap_or(first);
            by_day.filter_map(|it| Some((step(it), it.get("prices")?.as_object()?))).collect()
        }
        _ => Vec::new(),
    };
    prices.sort_by_key(|(day, _)| *day);
    let variants: Vec<(Date, Variant)> = model
        .get("price_variants")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|variant| {
            let when = variant.get("when").and_then(Value::as_object).and_then(when)?;
            let mut own = Rates::from(first);
            stated(variant.get("prices")?.as_object()?, provider, &mut own);
            let Rates { rates, tiers, .. } = own;
            let made = Variant { when, multiplier: None, fees: false, rates, tiers };
            (!made.rates.is_empty()).then(|| (begin(variant).unwrap_or(first), made))
        })
        .collect();
    let Some((earliest, _)) = prices.first().copied() else { return Vec::new() };
    let days: BTreeSet<Date> = prices.iter().map(|(day, _)| *day).filter(|day| *day >= earliest).collect();
    let days: Vec<Date> = days.into_iter().collect();
    let mut all = Vec::new();
    for (at, day) in days.iter().enumerate() {
        let Some((_, price)) = prices.iter().rev().find(|(begin, _)| begin <= day) else { continue };
        let mut rates = Rates::from(*day);
        stated(price, provider, &mut rates);
        let next = days.get(at + 1);
        // The day of a variant is mostly the one on which it was written down. It holds for all of the price that it was
        // written beside; of two the later.
        let mut begun: Vec<&(Date, Variant)> =
            variants.iter().filter(|(begin, _)| next.is_none_or(|next| begin < next)).collect();
        begun.sort_by_key(|(begin, _)| std::cmp::Reverse(*begin));
        for (_, variant) in begun {
            match rates.variants.iter_mut().find(|known| known.when == variant.when) {
                None => rates.variants.push(variant.clone()),
                Some(known) => {
                    let missing: Vec<_> =
                        variant.rates.iter().filter(|(key, _)| known.rates.get(*key).is_none()).collect();
                    missing.into_iter().for_each(|(key, rate)| known.rates.set(key, rate));
                }
            }
        }
        all.push(rates);
    }
    all
}

fn begin(step: &Value) -> Option<Date> {
    step.pointer("/constraint/start_date").and_then(Value::as_str).and_then(|day| Date::parse(day).ok())
}

fn when(said: &Map<String, Value>) -> Option<When> {
    let mut when = When::default();
    for (name, value) in said {
        match (name.as_str(), value.as_str()?) {
            ("processing", "batch") => when.set(Term::ServiceTier, "batch"),
            ("service_tier", value) => when.set(Term::ServiceTier, value),
            ("speed", value) => when.set(Term::Speed, value),
            _ => return None,
        }
    }
    Some(when)
}

fn stated(prices: &Map<String, Value>, provider: &str, rates: &mut Rates) {
    for (name, value) in prices {
        let Some((key, per)) = key(name, provider) else { continue };
        let base = value.get("base").unwrap_or(value);
        let Some(base) = rate(base, per) else { continue };
        rates.rates.set(key, base);
        for tier in value.get("tiers").and_then(Value::as_array).into_iter().flatten() {
            let Some(above) = tier.get("start").and_then(Value::as_u64) else { continue };
            let Some(price) = tier.get("price").and_then(|price| rate(price, per)) else { continue };
            let at = rates.tiers.iter().position(|tier| tier.above == above).unwrap_or_else(|| {
                rates.tiers.push(Tier { above, inclusive: false, marginal: false, rates: Default::default() });
                rates.tiers.len() - 1
            });
            if let Some(tier) = rates.tiers.get_mut(at) {
                tier.rates.set(key, price);
            }
        }
    }
    rates.tiers.sort_by_key(|tier| tier.above);
}

fn key(name: &str, provider: &str) -> Option<(RateKey, Per)> {
    let kind = |kind: Kind, per: Per| Some((RateKey::Of(kind), per));
    match name {
        "input_mtok" => kind(Kind::Input, Per::Million),
        "output_mtok" => kind(Kind::Output, Per::Million),
        "cache_read_mtok" => kind(Kind::CacheRead, Per::Million),
        "cache_write_mtok" | "cache_write_5m_mtok" => kind(Kind::CacheWrite5m, Per::Million),
        "cache_write_1h_mtok" => kind(Kind::CacheWrite1h, Per::Million),
        "input_audio_mtok" => kind(Kind::InputAudio, Per::Million),
        "input_image_mtok" => kind(Kind::InputImage, Per::Million),
        "input_video_mtok" => kind(Kind::InputVideo, Per::Million),
        "cache_audio_read_mtok" => kind(Kind::CacheReadAudio, Per::Million),
        "cache_image_read_mtok" => kind(Kind::CacheReadImage, Per::Million),
        "cache_video_read_mtok" => kind(Kind::CacheReadVideo, Per::Million),
        "output_audio_mtok" => kind(Kind::OutputAudio, Per::Million),
        "output_image_mtok" => kind(Kind::OutputImage, Per::Million),
        "output_video_mtok" => kind(Kind::OutputVideo, Per::Million),
        "output_reasoning_mtok" => Some((RateKey::Reasoning, Per::Million)),
        "web_searches_kcount" if matches!(provider, "google" | "vertex") => kind(Kind::GroundingQueries, Per::Thousand),
        "web_searches_kcount" => kind(Kind::WebSearches, Per::Thousand),
        "rerank_searches_kcount" => kind(Kind::SearchUnits, Per::Thousand),
        "requests_kcount" => kind(Kind::Requests, Per::Thousand),
        "input_document_kpages" => kind(Kind::Pages, Per::Thousand),
        "audio_hours" | "input_audio_hours" => kind(Kind::Seconds, Per::Hour),
        "input_mchars" => kind(Kind::Characters, Per::Million),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn history_tiers_variants_and_names_are_taken() {
        let data = json!([{"id": "x-ai", "pricing_urls": ["https://docs.x.ai"], "models": [{
            "id": "m",
            "match": {"or": [{"equals": "m-latest"}, {"starts_with": "m-1"}, {"contains": "m"}, {"regex": "^m-\\d{8}$"}]},
            "prices": [
                {"prices": {"input_mtok": 1, "output_mtok": "2.5"}},
                {"constraint": {"start_date": "2026-05-01"}, "prices": {
                    "input_mtok": {"base": 2, "tiers": [{"start": 199999, "price": 4}]}, "output_mtok": 3,
                    "web_searches_kcount": 5}},
            ],
            "price_variants": [
                {"when": {"processing": "batch"}, "prices": {"input_mtok": 1}},
                {"when": {"service_tier": "default"}, "prices": {}},
            ],
        }]}]);
        let all = read(&data, "0", Date::parse("2025-01-01").unwrap());
        let (listed, rule) = &all[0];
        assert_eq!(listed.provider, "xai");
        assert_eq!(listed.names, ["m", "m-latest", "m-1", "m-1-20*", "m-20*"]);
        assert!(rule.matches("some-m"));
        assert_eq!(
            serde_json::to_value(&listed.rates).unwrap(),
            json!([
                {"from": "2025-01-01", "input": "1.00", "output": "2.50",
                 "variants": [{"when": {"service_tier": "batch"}, "input": "1.00"}]},
                {"from": "2026-05-01", "input": "2.00", "output": "3.00", "web_searches": "5000.00",
                 "tiers": [{"above": 199_999, "input": "4.00"}],
                 "variants": [{"when": {"service_tier": "batch"}, "input": "1.00"}]},
            ])
        );
    }
}
