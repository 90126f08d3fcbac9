//! litellm's price map: one flat object of prices for each name, with tiers and service tiers in the keys.

use super::decimal::{Per, rate};
use super::listed::{Listed, Set, provider_of_litellm};
use purser_core::pricing::{Date, Multiplier, Rate, RateKey, RateMap, Rates, Tier, Variant, When};
use purser_core::usage::{Kind, Term};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Kinds in tokens, by the key without its tier.
const TOKENS: [(&str, RateKey); 14] = [
    ("input_cost_per_token", RateKey::Of(Kind::Input)),
    ("output_cost_per_token", RateKey::Of(Kind::Output)),
    ("cache_read_input_token_cost", RateKey::Of(Kind::CacheRead)),
    ("cache_creation_input_token_cost", RateKey::Of(Kind::CacheWrite5m)),
    ("cache_creation_input_token_cost_above_1hr", RateKey::Of(Kind::CacheWrite1h)),
    ("input_cost_per_audio_token", RateKey::Of(Kind::InputAudio)),
    ("input_cost_per_image_token", RateKey::Of(Kind::InputImage)),
    ("input_cost_per_video_token", RateKey::Of(Kind::InputVideo)),
    ("cache_read_input_audio_token_cost", RateKey::Of(Kind::CacheReadAudio)),
    ("cache_read_input_image_token_cost", RateKey::Of(Kind::CacheReadImage)),
    ("output_cost_per_audio_token", RateKey::Of(Kind::OutputAudio)),
    ("output_cost_per_image_token", RateKey::Of(Kind::OutputImage)),
    ("output_cost_per_video_token", RateKey::Of(Kind::OutputVideo)),
    ("output_cost_per_reasoning_token", RateKey::Reasoning),
];

/// Ends of keys, and the service tier that they are for.
const SERVICE_TIERS: [(&str, &str); 5] = [
    ("_batches", "batch"),
    ("_flex", "flex"),
    ("_priority", "priority"),
    ("_balanced", "balanced"),
    ("_ultrafast", "ultrafast"),
];

/// All models, an entry for each name; pictures of several sizes are one.
pub(super) fn read(data: &Value, version: &str, first: Date) -> Vec<Listed> {
    let mut listed: BTreeMap<(&'static str, String), Listed> = BTreeMap::new();
    let mut pictures: BTreeMap<(&'static str, String), Vec<(Picture, Rate)>> = BTreeMap::new();
    for (key, value) in data.as_object().into_iter().flatten() {
        let Some(entry) = value.as_object() else { continue };
        let said = entry.get("litellm_provider").and_then(Value::as_str).unwrap_or_default();
        let Some((provider, name)) = provider_of_litellm(said, key) else { continue };
        if name.contains('*') || name.contains("commitment") {
            continue;
        }
        let mode = entry.get("mode").and_then(Value::as_str).unwrap_or_default();
        let (picture, plain) = picture(&name);
        if let (true, Some(picture)) = (mode.starts_with("image"), picture) {
            if let Some(rate) = per_picture(entry, picture) {
                pictures.entry((provider, plain)).or_default().push((picture, rate));
            }
            continue;
        }
        if let Some(rates) = rates(entry, mode, provider, first) {
            let url = entry.get("source").and_then(Value::as_str).filter(|url| url.starts_with("https://"));
            let url = url.unwrap_or("https://github.com/BerriAI/litellm");
            let set = Set { name: "litellm", version: version.to_owned() };
            let made = Listed::new(provider, vec![name.clone()], vec![rates], url, set);
            match listed.get_mut(&(provider, name.clone())) {
                Some(old) => of_two(old, made),
                None => {
                    listed.insert((provider, name), made);
                }
            }
        }
    }
    for ((provider, name), sizes) in pictures {
        let set = Set { name: "litellm", version: version.to_owned() };
        let entry = listed.entry((provider, name.clone())).or_insert_with(|| {
            let url = "https://github.com/BerriAI/litellm";
            Listed::new(provider, vec![name], vec![Rates::from(first)], url, set)
        });
        if let Some(rates) = entry.rates.first_mut() {
            by_size(rates, &sizes);
        }
    }
    listed.retain(|_, entry| entry.rates.iter().all(|rates| !rates.rates.is_empty()));
    listed.into_values().collect()
}

/// Of two keys for one name (`azure/x` and `azure_ai/x`, `x` and `vertex_ai/x`) the dearer, with the variants of both where
/// they cost the same.
fn of_two(old: &mut Listed, mut made: Listed) {
    let (before, after) = (sum(old), sum(&made));
    if after > before {
        std::mem::swap(old, &mut made);
    }
    if let (true, Some(kept), Some(other)) = (before == after, old.rates.last_mut(), made.rates.last()) {
        let missing = other.variants.iter().filter(|it| !kept.variants.iter().any(|own| own.when == it.when));
        let missing: Vec<Variant> = missing.cloned().collect();
        kept.variants.extend(missing);
    }
}

fn sum(listed: &Listed) -> u64 {
    let usual = listed.rates.iter().flat_map(|rates| rates.rates.iter());
    usual.map(|(_, rate)| rate.0).fold(0, u64::saturating_add)
}

fn rates(entry: &Map<String, Value>, mode: &str, provider: &str, first: Date) -> Option<Rates> {
    let mut rates = Rates::from(first);
    let by_tokens = || tokens(entry);
    let per_unit = |name: &str| entry.get(name).and_then(|amount| rate(amount, Per::Unit)).filter(|rate| rate.0 > 0);
    let fee = |rates: &mut Rates, kind: Kind, rate: Option<Rate>| {
        if let Some(rate) = rate {
            rates.rates.set(RateKey::Of(kind), rate);
        }
    };
    match mode {
        "chat" | "completion" | "responses" | "realtime" | "embedding" => rates = with(first, by_tokens()),
        "audio_transcription" => {
            rates = with(first, by_tokens());
            if !is_paid(&rates) {
                rates = Rates::from(first);
                let second = per_unit("input_cost_per_second").max(per_unit("output_cost_per_second"));
                fee(&mut rates, Kind::Seconds, second);
            }
        }
        "audio_speech" => {
            rates = with(first, by_tokens());
            if !is_paid(&rates) {
                rates = Rates::from(first);
                fee(&mut rates, Kind::Characters, per_unit("input_cost_per_character"));
            }
        }
        "image_generation" | "image_edit" => {
            rates = with(first, by_tokens());
            if !is_paid(&rates) {
                rates = Rates::from(first);
                let image = per_unit("output_cost_per_image").or_else(|| per_unit("input_cost_per_image"));
                fee(&mut rates, Kind::Images, image);
            } else if rates.stated(Kind::Output).is_none() {
                // It makes nothing but pictures.
                let image = rates.stated(Kind::OutputImage);
                fee(&mut rates, Kind::Output, image);
            }
        }
        "video_generation" => {
            let second = per_unit("output_cost_per_video_per_second").or_else(|| per_unit("output_cost_per_second"));
            let heights = ["480p", "720p", "768p", "1080p", "2k", "4k"];
            let by_height: Vec<(&str, Rate)> = heights
                .into_iter()
                .filter_map(|height| Some((height, per_unit(&format!("output_cost_per_second_{height}"))?)))
                .collect();
            fee(&mut rates, Kind::Seconds, second.or_else(|| by_height.iter().map(|(_, rate)| *rate).max()));
            for (height, rate) in by_height {
                rates.variants.push(variant(&[(Term::Size, height)], RateKey::Of(Kind::Seconds), rate));
            }
        }
        "ocr" => {
            fee(&mut rates, Kind::Pages, per_unit("ocr_cost_per_page"));
            if let (true, Some(rate)) = (rates.stated(Kind::Pages).is_some(), per_unit("ocr_cost_per_page_batches")) {
                rates.variants.push(variant(&[(Term::ServiceTier, "batch")], RateKey::Of(Kind::Pages), rate));
            }
        }
        "rerank" => {
            rates = with(first, by_tokens());
            if !is_paid(&rates) {
                rates = Rates::from(first);
            }
            fee(&mut rates, Kind::SearchUnits, per_unit("input_cost_per_query"));
        }
        _ => return None,
    }
    if rates.rates.is_empty() {
        return None;
    }
    if !mode.starts_with("image") && rates.stated(Kind::Input).is_some() {
        searches(entry, provider, &mut rates);
    }
    regions(entry, &mut rates);
    if provider == "xai" {
        // «≥ 200,000»: the edge is inside.
        let tiers = rates.variants.iter_mut().flat_map(|variant| &mut variant.tiers);
        rates.tiers.iter_mut().chain(tiers).for_each(|tier| tier.inclusive = true);
    }
    Some(rates)
}

fn with(first: Date, tokens: Option<Rates>) -> Rates {
    tokens.map_or_else(|| Rates::from(first), |tokens| Rates { from: first, ..tokens })
}

/// Whether tokens cost something: 0 often stands for a price that is counted otherwise, or not known.
fn is_paid(rates: &Rates) -> bool {
    rates.rates.iter().any(|(_, rate)| rate.0 > 0)
}

/// All rates of tokens: usual ones, tiers, service tiers.
fn tokens(entry: &Map<String, Value>) -> Option<Rates> {
    let mut rates = Rates::from(Date::EPOCH);
    let mut variants: BTreeMap<&str, (RateMap, BTreeMap<u64, RateMap>)> = BTreeMap::new();
    let mut tiers: BTreeMap<u64, RateMap> = BTreeMap::new();
    for (name, amount) in entry {
        let (name, service) = SERVICE_TIERS
            .into_iter()
            .find_map(|(end, service)| name.strip_suffix(end).map(|name| (name, Some(service))))
            .unwrap_or((name, None));
        let (name, above) = edge(name);
        let Some((_, key)) = TOKENS.into_iter().find(|(known, _)| *known == name) else { continue };
        let Some(rate) = rate(amount, Per::Unit) else { continue };
        let (base, above_base) = match service {
            Some(service) => {
                let (base, tiers) = variants.entry(service).or_default();
                (base, tiers)
            }
            None => (&mut rates.rates, &mut tiers),
        };
        match above {
            Some(above) => above_base.entry(above).or_default().set(key, rate),
            None => base.set(key, rate),
        }
    }
    for range in entry.get("tiered_pricing").and_then(Value::as_array).into_iter().flatten() {
        let from = range.pointer("/range/0").and_then(Value::as_f64).unwrap_or(0.0) as u64;
        for (known, key) in TOKENS {
            let Some(rate) = range.get(known).and_then(|amount| rate(amount, Per::Unit)) else { continue };
            if from == 0 { rates.rates.set(key, rate) } else { tiers.entry(from).or_default().set(key, rate) }
        }
    }
    // A write to a cache at no cost is one that is not reported, and a token that was read is no free one.
    if rates.stated(Kind::Input).is_some_and(|input| input.0 > 0) {
        let all = std::iter::once(&mut rates.rates).chain(tiers.values_mut());
        let noise = |key: RateKey, rate: Rate| rate.0 == 0 && key.is_prompt() && key != RateKey::Of(Kind::Input);
        all.for_each(|map| *map = map.iter().filter(|(key, rate)| !noise(*key, *rate)).collect());
    }
    rates.tiers = as_tiers(tiers);
    for (service, (own, own_tiers)) in variants {
        let mut when = When::default();
        when.set(Term::ServiceTier, service);
        let tiers = as_tiers(own_tiers);
        rates.variants.push(Variant { when, multiplier: None, fees: false, rates: own, tiers });
    }
    rates.stated(Kind::Input).is_some().then_some(rates)
}

fn as_tiers(tiers: BTreeMap<u64, RateMap>) -> Vec<Tier> {
    let tier = |(above, rates)| Tier { above, inclusive: false, marginal: false, rates };
    tiers.into_iter().map(tier).collect()
}

/// `…_above_200k_tokens`.
fn edge(name: &str) -> (&str, Option<u64>) {
    let found = name.strip_suffix("k_tokens").and_then(|rest| rest.rsplit_once("_above_"));
    match found.and_then(|(name, edge)| Some((name, edge.parse::<u64>().ok()?))) {
        Some((name, thousands)) => (name, Some(thousands * 1_000)),
        None => (name, None),
    }
}

fn variant(terms: &[(Term, &str)], key: RateKey, rate: Rate) -> Variant {
    let mut when = When::default();
    terms.iter().for_each(|(term, value)| when.set(*term, value));
    Variant { when, multiplier: None, fees: false, rates: RateMap::from_iter([(key, rate)]), tiers: Vec::new() }
}

/// A fee per search, or per request that searches, by how much a search takes in. Without a word on that: the dearest.
fn searches(entry: &Map<String, Value>, provider: &str, rates: &mut Rates) {
    let Some(by_size) = entry.get("search_context_cost_per_query") else { return };
    let kind = match provider {
        "perplexity" => Kind::Requests,
        "google" | "vertex" => Kind::GroundingQueries,
        _ => Kind::WebSearches,
    };
    let size = |size: &str| by_size.get(format!("search_context_size_{size}")).and_then(|fee| rate(fee, Per::Unit));
    let sizes: Vec<(&str, Rate)> =
        ["low", "medium", "high"].into_iter().filter_map(|name| Some((name, size(name)?))).collect();
    let Some(most) = sizes.iter().map(|(_, rate)| *rate).max().filter(|rate| rate.0 > 0) else { return };
    rates.rates.set(RateKey::Of(kind), most);
    for (name, rate) in sizes.into_iter().filter(|(_, rate)| *rate < most) {
        rates.variants.push(variant(&[(Term::SearchContext, name)], RateKey::Of(kind), rate));
    }
    if kind == Kind::Requests {
        for name in ["low", "medium", "high"] {
            if !rates.variants.iter().any(|variant| variant.when.search_context.as_deref() == Some(name)) {
                rates.variants.push(variant(&[(Term::SearchContext, name)], RateKey::Of(kind), most));
            }
        }
    }
}

/// What a region costs more, and a quicker way.
fn regions(entry: &Map<String, Value>, rates: &mut Rates) {
    let special = entry.get("provider_specific_entry");
    let special = |name: &str| special.and_then(|special| special.get(name));
    let uplifts = [
        (Term::Geo, "us", entry.get("regional_processing_uplift_multiplier_us").or_else(|| special("us"))),
        (Term::Geo, "eu", entry.get("regional_processing_uplift_multiplier_eu")),
        (Term::Geo, "*", entry.get("regional_endpoint_uplift_multiplier")),
        (Term::Speed, "fast", special("fast")),
    ];
    for (term, value, factor) in uplifts {
        let factor = factor.map(Value::to_string).and_then(|text| Multiplier::from_decimal(&text).ok());
        if let Some(multiplier) = factor.filter(|factor| *factor != Multiplier::ONE) {
            let mut when = When::default();
            when.set(term, value);
            let (rates_of_its_own, tiers) = (RateMap::default(), Vec::new());
            let multiplier = Some(multiplier);
            rates.variants.push(Variant { when, multiplier, fees: false, rates: rates_of_its_own, tiers });
        }
    }
}

/// Width, height and quality in the name of a picture's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Picture {
    width: u64,
    height: u64,
    quality: Option<&'static str>,
}

const QUALITIES: [&str; 7] = ["standard", "hd", "low", "medium", "high", "xhigh", "max"];

/// `hd/1024-x-1792/dall-e-3`: the picture and the model.
fn picture(name: &str) -> (Option<Picture>, String) {
    let mut found: Option<Picture> = None;
    let mut quality = None;
    let mut rest = Vec::new();
    for part in name.split('/') {
        let size = part.split_once("-x-").and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        if let (true, Some(known)) = (rest.is_empty(), QUALITIES.into_iter().find(|known| *known == part)) {
            quality = Some(known);
        } else if let Some((width, height)) = size {
            found = Some(Picture { width, height, quality: None });
        } else if !part.ends_with("-steps") {
            rest.push(part);
        }
    }
    (found.map(|picture| Picture { quality, ..picture }), rest.join("/"))
}

fn per_picture(entry: &Map<String, Value>, picture: Picture) -> Option<Rate> {
    let per_unit = |name: &str| entry.get(name).and_then(|amount| rate(amount, Per::Unit)).filter(|rate| rate.0 > 0);
    let whole = ["output_cost_per_image", "input_cost_per_image"].into_iter().find_map(per_unit);
    whole.or_else(|| {
        let pixel = ["input_cost_per_pixel", "output_cost_per_pixel"].into_iter().find_map(per_unit)?;
        let exact = u128::from(pixel.0) * u128::from(picture.width) * u128::from(picture.height);
        // A price per pixel was made from one per image: back to a hundredth of a cent.
        const STEP: u128 = 100_000 * 1_000_000;
        u64::try_from((exact + STEP / 2) / STEP * STEP).ok().map(Rate)
    })
}

/// The fee per image, by size and quality.
fn by_size(rates: &mut Rates, sizes: &[(Picture, Rate)]) {
    if rates.stated(Kind::Input).is_some() {
        return; // it is paid for in tokens
    }
    let images = RateKey::Of(Kind::Images);
    let square = |picture: &Picture| (picture.width, picture.height) == (1024, 1024);
    let usual = |picture: &Picture| matches!(picture.quality, None | Some("standard" | "medium"));
    let size = |picture: &Picture| format!("{}x{}", picture.width, picture.height);
    let dearest = sizes.iter().map(|(_, rate)| *rate).max();
    let plain = sizes.iter().find(|(picture, _)| square(picture) && usual(picture)).map(|(_, rate)| *rate);
    if let (None, Some(rate)) = (rates.rates.get(images), plain.or(dearest)) {
        rates.rates.set(images, rate);
    }
    let mut add = |terms: &[(Term, &str)], rate: Rate| {
        let made = variant(terms, images, rate);
        if !rates.variants.iter().any(|other| other.when == made.when) {
            rates.variants.push(made);
        }
    };
    for (picture, rate) in sizes {
        if let Some(quality) = picture.quality {
            add(&[(Term::Size, &size(picture)), (Term::Quality, quality)], *rate);
        }
    }
    for (picture, rate) in sizes.iter().filter(|(picture, _)| usual(picture)) {
        add(&[(Term::Size, &size(picture))], *rate);
    }
    for (picture, rate) in sizes.iter().filter(|(picture, _)| square(picture)) {
        if let Some(quality) = picture.quality {
            add(&[(Term::Quality, quality)], *rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(key: &str, entry: Value) -> Option<Value> {
        let data = json!({ key: entry });
        let all = read(&data, "0", Date::parse("2025-01-01").unwrap());
        all.first().map(|listed| serde_json::to_value(&listed.rates[0]).unwrap())
    }

    #[test]
    fn tiers_service_tiers_and_uplifts_are_read_from_the_keys() {
        let entry = json!({
            "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-5, "output_cost_per_token": 5e-5,
            "cache_read_input_token_cost": 1e-6, "cache_creation_input_token_cost": 0,
            "input_cost_per_token_above_272k_tokens": 2e-5, "input_cost_per_token_batches": 5e-6,
            "input_cost_per_token_above_272k_tokens_batches": 1e-5, "regional_processing_uplift_multiplier_eu": 1.1,
            "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.02},
        });
        assert_eq!(
            one("m", entry),
            Some(json!({
                "from": "2025-01-01", "input": "10.00", "cache_read": "1.00", "output": "50.00", "web_searches": "20000.00",
                "tiers": [{"above": 272_000, "input": "20.00"}],
                "variants": [
                    {"when": {"service_tier": "batch"}, "input": "5.00", "tiers": [{"above": 272_000, "input": "10.00"}]},
                    {"when": {"search_context": "low"}, "web_searches": "10000.00"},
                    {"when": {"geo": "eu"}, "multiplier": "1.10"},
                ],
            }))
        );
    }

    #[test]
    fn a_model_is_paid_for_by_what_its_mode_counts() {
        let cases = [
            (
                "audio_transcription",
                json!({"input_cost_per_second": 0.0001, "output_cost_per_second": 0.0}),
                Some(("seconds", "100.00")),
            ),
            ("audio_speech", json!({"input_cost_per_character": 1.5e-5}), Some(("characters", "15.00"))),
            ("ocr", json!({"ocr_cost_per_page": 0.004, "annotation_cost_per_page": 0.005}), Some(("pages", "4000.00"))),
            (
                "rerank",
                json!({"input_cost_per_query": 0.002, "input_cost_per_token": 0.0}),
                Some(("search_units", "2000.00")),
            ),
            ("video_generation", json!({"output_cost_per_video_per_second": 0.1}), Some(("seconds", "100000.00"))),
            ("image_generation", json!({"output_cost_per_image": 0.04}), Some(("images", "40000.00"))),
            ("search", json!({"input_cost_per_query": 0.002}), None),
        ];
        for (mode, mut entry, want) in cases {
            entry["mode"] = json!(mode);
            entry["litellm_provider"] = json!("openai");
            let got = one("m", entry);
            assert_eq!(got.is_some(), want.is_some(), "{mode}");
            if let (Some(got), Some((kind, rate))) = (got, want) {
                assert_eq!(got[kind], rate, "{mode}: {got}");
                assert_eq!(got.as_object().unwrap().len(), 2, "{got}");
            }
        }
    }

    #[test]
    fn pictures_of_several_sizes_are_one_entry() {
        let entry = |pixel: f64| json!({"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": pixel});
        let data = json!({
            "standard/1024-x-1024/dall-e-3": entry(3.81469e-08), "hd/1024-x-1024/dall-e-3": entry(7.629e-08),
            "hd/1024-x-1792/dall-e-3": entry(6.539e-08), "standard/1024-x-1792/dall-e-3": entry(4.359e-08),
        });
        let all = read(&data, "0", Date::parse("2025-01-01").unwrap());
        assert_eq!(all.len(), 1);
        let rates = serde_json::to_value(&all[0].rates[0]).unwrap();
        assert_eq!(rates["images"], "40000.00");
        let of = |size: Option<&str>, quality: Option<&str>| {
            let when: Map<String, Value> = [("size", size), ("quality", quality)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
                .collect();
            let all = rates["variants"].as_array().unwrap();
            all.iter().find(|it| it["when"] == json!(when)).map(|it| it["images"].as_str().unwrap().to_owned())
        };
        assert_eq!(of(Some("1024x1792"), Some("hd")).as_deref(), Some("120000.00"));
        assert_eq!(of(Some("1024x1792"), None).as_deref(), Some("80000.00"));
        assert_eq!(of(None, Some("hd")).as_deref(), Some("80000.00"));
    }
}
