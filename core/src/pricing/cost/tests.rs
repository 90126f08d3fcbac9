use super::*;
use crate::pricing::{PriceEntry, RateMap, Rates, When};
use crate::usage::{Pass, Quality};
use proptest::prelude::*;
use serde_json::{Value, json};

fn entry(rates: Value) -> PriceEntry {
    let mut rates = rates;
    rates["from"] = json!("2026-01-01");
    serde_json::from_value(json!({"provider": "p", "model": "m", "rates": [rates]})).unwrap()
}

/// A Monday's noon.
const NOON: u64 = 1_795_435_200_000;

fn usage(units: &Units) -> Usage {
    Usage::new(*units, Quality::Exact)
}

fn price(entry: &PriceEntry) -> Price<'_> {
    Price { entry, rates: entry.rates.first().unwrap(), at_ms: NOON }
}

/// Claude Haiku 4.5 as listed.
fn haiku() -> PriceEntry {
    entry(json!({"input": "1", "cache_read": "0.10", "cache_write_5m": "1.25", "cache_write_1h": "2", "output": "5"}))
}

/// GPT-5.5: from 272,001 prompt tokens on, the whole request is dearer.
fn tiered() -> PriceEntry {
    entry(json!({
        "input": "5", "cache_read": "0.50", "output": "30",
        "tiers": [{"above": 272_000, "input": "10", "cache_read": "1", "output": "45"}],
    }))
}

#[test]
fn cost_is_exact_by_kind_and_rounded_once_half_up() {
    let haiku = haiku();
    let tiny = entry(json!({"input": "0.0005", "output": "0.000000001"}));
    let own = entry(json!({"input": "0", "output": "0"}));
    let cases = [
        // case, entry, (input, cache read, write 5m, write 1h, output), nano-USD
        ("nothing costs nothing", &haiku, (0, 0, 0, 0, 0), 0),
        ("10⁶ tokens cost the rate", &haiku, (1_000_000, 0, 0, 0, 0), 1_000_000_000),
        (
            "every kind at its own",
            &haiku,
            (1_000, 10_000, 2_000, 3_000, 500),
            1_000_000 + 1_000_000 + 2_500_000 + 6_000_000 + 2_500_000,
        ),
        ("half a nano-USD rounds up", &tiny, (1, 0, 0, 0, 0), 1),
        ("less rounds down", &entry(json!({"input": "0.000499999", "output": "1"})), (1, 0, 0, 0, 0), 0),
        ("two halves are one, not two", &tiny, (2, 0, 0, 0, 0), 1),
        ("parts are not rounded: ½ + 10⁻⁶", &tiny, (1, 0, 0, 0, 1), 1),
        ("a stated zero is free", &own, (1_000_000, 5, 5, 5, 1_000_000), 0),
    ];
    for (case, entry, (input, cache_read, cache_write_5m, cache_write_1h, output), nano) in cases {
        let units = five([input, cache_read, cache_write_5m, cache_write_1h, output]);
        let breakdown = cost(&price(entry), &usage(&units)).unwrap();
        assert_eq!(breakdown.nano_usd, NanoUsd(nano), "{case}");
        let used: Vec<Kind> = units.used().map(|(kind, _)| kind).collect();
        assert_eq!(breakdown.femto_usd_by_kind.keys().copied().collect::<Vec<_>>(), used, "{case}");
        let femto: u64 = breakdown.femto_usd_by_kind.values().sum();
        assert_eq!((femto + 500_000) / 1_000_000, nano, "{case}");
    }
}

#[test]
fn a_missing_rate_is_an_error_only_where_tokens_need_it() {
    let no_input = entry(json!({"cache_read": "1", "output": "2"}));
    let no_output = entry(json!({"input": "1"}));
    let missing = |kind| Err(PricingError::MissingRate { entry: "p/m@2026-01-01".into(), kind });
    let cases = [
        (&no_input, Units::of(&[(Kind::Input, 1), (Kind::Output, 1)]), missing(Kind::Input)),
        (&no_input, Units::of(&[(Kind::CacheWrite1h, 1)]), missing(Kind::CacheWrite1h)),
        (&no_input, Units::of(&[(Kind::CacheRead, 1_000), (Kind::Output, 1_000)]), Ok(3_000_000)),
        (&no_output, Units::of(&[(Kind::Input, 1), (Kind::Output, 1)]), missing(Kind::Output)),
        (&no_output, Units::of(&[(Kind::Input, 1_000), (Kind::CacheRead, 1_000)]), Ok(2_000_000)),
    ];
    for (entry, tokens, want) in cases {
        let got = cost(&price(entry), &usage(&tokens)).map(|breakdown| breakdown.nano_usd.0);
        assert_eq!(got, want, "{tokens:?}");
    }
    assert_eq!(worst_case(&price(&no_input), 1, 0, None).map(|n| n.0), missing(Kind::Input));
    assert_eq!(worst_case(&price(&no_output), 1_000, 0, None), Ok(NanoUsd(1_000_000)));
    assert_eq!(worst_case(&price(&no_output), 1, 1, None).map(|n| n.0), missing(Kind::Output));
    assert_eq!(affordable_output(&price(&no_output), 1, NanoUsd(u64::MAX), None), 0, "unknown is not free");
}

#[test]
fn too_much_is_an_error_and_never_wraps() {
    let entry = entry(json!({"input": "10000", "output": "10000"}));
    let overflow = PricingError::Overflow { entry: "p/m@2026-01-01".into() };
    let most = u64::MAX / (10_000 * 1_000_000_000);
    let tokens = |input| Units::of(&[(Kind::Input, input)]);
    assert!(cost(&price(&entry), &usage(&tokens(most))).is_ok());
    assert_eq!(cost(&price(&entry), &usage(&tokens(most + 1))), Err(overflow.clone()));
    assert_eq!(worst_case(&price(&entry), u64::MAX, u64::MAX, None), Err(overflow));
}

/// Edges on which both data sets that the catalog was compiled from agree.
#[test]
fn a_long_prompt_moves_the_whole_request_to_its_tier() {
    let tiered = tiered();
    let above_200k = entry(json!({
        "input": "1.25", "cache_read": "0.125", "output": "10",
        "tiers": [{"above": 200_000, "input": "2.50", "cache_read": "0.25", "output": "15"}],
    }));
    let from_200k = entry(json!({
        "input": "1.25", "cache_read": "0.20", "output": "2.50",
        "tiers": [{"above": 200_000, "inclusive": true, "input": "2.50", "cache_read": "0.40", "output": "5"}],
    }));
    let two = entry(json!({
        "input": "1", "output": "1",
        "tiers": [{"above": 128_000, "input": "3", "output": "3"}, {"above": 32_000, "input": "2", "output": "2"}],
    }));
    let cases = [
        // case, entry, (input, cache read, output), micro-USD
        ("272,000 is base", &tiered, (272_000, 0, 1_000), 1_360_000 + 30_000),
        ("272,001 is the tier, output too", &tiered, (272_001, 0, 1_000), 2_720_010 + 45_000),
        ("cached tokens count", &tiered, (32_001, 240_000, 1_000), 320_010 + 240_000 + 45_000),
        ("output does not count", &tiered, (272_000, 0, 300_000), 1_360_000 + 9_000_000),
        ("200,000 is base where the edge is outside", &above_200k, (200_000, 0, 0), 250_000),
        ("199,999 is base where the edge is inside", &from_200k, (160_000, 39_999, 0), 200_000 + 8_000),
        ("200,000 is the tier where the edge is inside", &from_200k, (200_000, 0, 0), 500_000),
        ("250,000 of which 240,000 cached", &from_200k, (10_000, 240_000, 1_000), 25_000 + 96_000 + 5_000),
        ("the highest tier reached, in whatever order they stand", &two, (128_001, 0, 0), 384_003),
        ("the middle tier", &two, (128_000, 0, 0), 256_000),
        ("below the first", &two, (32_000, 0, 0), 32_000),
    ];
    for (case, entry, (input, cache_read, output), micro) in cases {
        let tokens = Units::of(&[(Kind::Input, input), (Kind::CacheRead, cache_read), (Kind::Output, output)]);
        let nano = cost(&price(entry), &usage(&tokens)).unwrap().nano_usd.0;
        assert_eq!((nano + 500) / 1_000, micro, "{case}");
    }
}

#[test]
fn a_hold_covers_the_dearest_way_to_split_the_prompt() {
    let (haiku, tiered) = (haiku(), tiered());
    // Every prompt token may be written to a one-hour cache: 2 USD per 10⁶.
    assert_eq!(worst_case(&price(&haiku), 1_000, 100, None), Ok(NanoUsd(2_000_000 + 500_000)));
    assert_eq!(worst_case(&price(&haiku), 0, 0, None), Ok(NanoUsd(0)));
    assert_eq!(worst_case(&price(&tiered), 272_000, 1, None), Ok(NanoUsd(1_360_000_000 + 30_000)));
    assert_eq!(worst_case(&price(&tiered), 272_001, 1, None), Ok(NanoUsd(2_720_010_000 + 45_000)));
    // A fraction of a nano-USD is held as a whole one.
    assert_eq!(worst_case(&price(&entry(json!({"input": "0.000000001", "output": "0"}))), 1, 0, None), Ok(NanoUsd(1)));
}

#[test]
fn affordable_output_is_what_the_budget_leaves() {
    let (haiku, own) = (haiku(), entry(json!({"input": "1", "output": "0"})));
    let cases = [
        // entry, prompt tokens, budget in nano-USD, output tokens
        (&haiku, 0, 5_000, 1),
        (&haiku, 0, 4_999, 0),
        (&haiku, 1_000, 2_000_000 + 14_999, 2),
        (&haiku, 1_000, 1_999_999, 0),
        (&own, 1_000, 1_000_000, u64::MAX),
        (&own, 1_000, 999_999, 0),
    ];
    for (entry, prompt, budget, want) in cases {
        assert_eq!(affordable_output(&price(entry), prompt, NanoUsd(budget), None), want, "{prompt} {budget}");
    }
}

type Counts<'a> = &'a [(Kind, u64)];
type Said<'a> = &'a [(Term, &'a str)];

/// A usage of these kinds on these terms.
fn on(counts: &[(Kind, u64)], terms: &[(Term, &str)]) -> Usage {
    let terms = terms.iter().map(|(term, value)| (*term, (*value).to_owned())).collect();
    Usage { terms, ..usage(&Units::of(counts)) }
}

fn micro(entry: &PriceEntry, usage: &Usage) -> u64 {
    let nano = cost(&price(entry), usage).unwrap().nano_usd.0;
    assert_eq!(nano % 1_000, 0);
    nano / 1_000
}

#[test]
fn terms_have_rates_of_their_own_or_a_factor_and_several_combine() {
    let entry = entry(json!({
        "input": "2", "cache_read": "0.2", "output": "10", "web_searches": "10000",
        "tiers": [{"above": 200_000, "input": "4", "cache_read": "0.4", "output": "15"}],
        "variants": [
            {"when": {"service_tier": "priority", "geo": "us"}, "input": "5"},
            {"when": {"service_tier": "priority"}, "input": "4", "cache_read": "0.4", "output": "20",
             "tiers": [{"above": 200_000, "input": "8", "cache_read": "0.8", "output": "30"}]},
            {"when": {"service_tier": "flex"}, "input": "1", "output": "5"},
            {"when": {"service_tier": "batch"}, "multiplier": "0.5"},
            {"when": {"geo": "us"}, "multiplier": "1.1"},
            {"when": {"speed": "fast"}, "multiplier": "2", "fees": true},
        ],
    }));
    let (tier, geo, speed) = (Term::ServiceTier, Term::Geo, Term::Speed);
    let mtok = [(Kind::Input, 100_000), (Kind::CacheRead, 100_000), (Kind::Output, 100_000), (Kind::WebSearches, 1)];
    let long = [(Kind::Input, 100_001), (Kind::CacheRead, 100_000), (Kind::Output, 100_000)];
    let cases: &[(&str, Counts<'_>, Said<'_>, u64)] = &[
        ("usual", &mtok, &[], 200_000 + 20_000 + 1_000_000 + 10_000),
        ("usual, in so many words", &mtok, &[(tier, "default"), (geo, "global"), (speed, "standard")], 1_230_000),
        ("rates of its own", &mtok, &[(tier, "priority")], 400_000 + 40_000 + 2_000_000 + 10_000),
        ("in its own tier", &long, &[(tier, "priority")], 800_008 + 80_000 + 3_000_000),
        ("a part without one keeps the usual", &mtok, &[(tier, "flex")], 100_000 + 20_000 + 500_000 + 10_000),
        ("a tier's too", &long, &[(tier, "flex")], 100_001 + 40_000 + 500_000),
        ("half, but not the fee", &mtok, &[(tier, "batch")], 610_000 + 10_000),
        ("the tier's rates, half", &long, &[(tier, "batch")], 970_002),
        ("two factors", &mtok, &[(tier, "batch"), (geo, "us")], 671_000 + 10_000),
        ("rates and a factor", &[(Kind::Input, 1_000_000)], &[(tier, "flex"), (geo, "us")], 1_100_000),
        (
            "three, above the edge",
            &[(Kind::Input, 1_000_000)],
            &[(tier, "batch"), (geo, "us"), (speed, "fast")],
            4_400_000,
        ),
        ("a factor for the fee too", &mtok, &[(speed, "fast")], 2_440_000 + 20_000),
        ("the first of a subject", &[(Kind::Input, 100_000)], &[(tier, "priority"), (geo, "us")], 550_000),
        (
            "the first alone: the second's cache rate is not taken",
            &[(Kind::CacheRead, 100_000)],
            &[(tier, "priority"), (geo, "us")],
            22_000,
        ),
    ];
    for (case, counts, terms, want) in cases {
        assert_eq!(micro(&entry, &on(counts, terms)), *want, "{case}");
    }
}

#[test]
fn a_term_that_the_price_does_not_know_is_said_and_the_usual_rates_are_taken() {
    let entry = entry(json!({
        "input": "2", "output": "10",
        "variants": [{"when": {"service_tier": "flex"}, "multiplier": "0.5"}, {"when": {"size": "1024x1024"}, "images": "40000"}],
    }));
    let cases: &[(Said<'_>, &[Term])] = &[
        (&[], &[]),
        (&[(Term::ServiceTier, "flex")], &[]),
        (&[(Term::ServiceTier, "default"), (Term::Geo, "global")], &[]),
        (&[(Term::ServiceTier, "priority")], &[Term::ServiceTier]),
        (
            &[(Term::ServiceTier, "batch"), (Term::Geo, "us"), (Term::Speed, "fast")],
            &[Term::ServiceTier, Term::Geo, Term::Speed],
        ),
        (&[(Term::Size, "1024x1024")], &[]),
        (&[(Term::Size, "512x512")], &[Term::Size]),
        (&[(Term::Quality, "hd"), (Term::SearchContext, "low")], &[]),
    ];
    for (terms, unknown) in cases {
        let breakdown = cost(&price(&entry), &on(&[(Kind::Input, 1)], terms)).unwrap();
        assert_eq!(&breakdown.terms_unpriced, unknown, "{terms:?}");
    }
}

#[test]
fn a_star_is_every_value_but_the_usual_one() {
    let entry = entry(json!({"input": "2", "output": "10", "variants": [{"when": {"geo": "*"}, "multiplier": "1.1"}]}));
    for (geo, want) in [("europe-west4", 2_200_000), ("us", 2_200_000), ("global", 2_000_000), ("", 2_000_000)] {
        let used = on(&[(Kind::Input, 1_000_000)], &[(Term::Geo, geo)]);
        assert_eq!(micro(&entry, &used), want, "{geo}");
        assert_eq!(cost(&price(&entry), &used).unwrap().terms_unpriced, []);
    }
}

#[test]
fn a_fee_without_a_rate_is_said_beside_the_cost_of_the_rest() {
    let entry = entry(json!({"input": "2", "output": "10", "web_searches": "10000"}));
    let used = [(Kind::Input, 500_000), (Kind::WebSearches, 3), (Kind::GroundingQueries, 2), (Kind::Pages, 1)];
    let breakdown = cost(&price(&entry), &on(&used, &[])).unwrap();
    assert_eq!(breakdown.nano_usd, NanoUsd(1_030_000_000));
    assert_eq!(breakdown.unpriced, [Kind::GroundingQueries, Kind::Pages]);
    assert_eq!(breakdown.femto_usd_by_kind.keys().copied().collect::<Vec<_>>(), [Kind::Input, Kind::WebSearches]);
    let fees_only = self::entry(json!({"pages": "1000"}));
    let missing = PricingError::MissingRate { entry: "p/m@2026-01-01".into(), kind: Kind::Input };
    let tokens = [(Kind::Input, 500_000), (Kind::WebSearches, 1)];
    assert_eq!(cost(&price(&fees_only), &on(&tokens, &[])), Err(missing));
    // Tokens beside what the price is for.
    assert_eq!(micro(&fees_only, &on(&[(Kind::Input, 500_000), (Kind::Pages, 2)], &[])), 2_000);
}

#[test]
fn images_have_a_rate_by_size_and_quality() {
    let entry = entry(json!({"images": "40000", "variants": [
        {"when": {"quality": "hd", "size": "1792x1024"}, "images": "120000"},
        {"when": {"quality": "hd"}, "images": "80000"},
        {"when": {"size": "1792x1024"}, "images": "90000"},
    ]}));
    let (size, quality) = (Term::Size, Term::Quality);
    let cases: &[(&[(Term, &str)], u64)] = &[
        (&[], 40_000),
        (&[(size, "1792x1024")], 90_000),
        (&[(quality, "hd")], 80_000),
        (&[(quality, "hd"), (size, "1792x1024")], 120_000),
    ];
    for (terms, want) in cases {
        assert_eq!(micro(&entry, &on(&[(Kind::Images, 1)], terms)), *want, "{terms:?}");
    }
}

#[test]
fn reasoning_is_priced_apart_only_where_it_has_a_rate() {
    let (apart, plain) =
        (entry(json!({"input": "2", "output": "8", "reasoning": "3"})), entry(json!({"input": "2", "output": "8"})));
    for (entry, reasoning, want) in [
        (&plain, 600_000, 8_000_000),
        (&apart, 0, 8_000_000),
        (&apart, 600_000, 3_200_000 + 1_800_000),
        (&apart, 1_000_000, 3_000_000),
        (&apart, 9_000_000, 3_000_000),
    ] {
        let used = Usage { reasoning, ..on(&[(Kind::Output, 1_000_000)], &[]) };
        assert_eq!(micro(entry, &used), want, "{reasoning}");
    }
}

#[test]
fn media_fall_back_to_text_and_cached_media_to_cached_text() {
    let entry =
        entry(json!({"input": "2", "cache_read": "0.5", "input_audio": "6", "output": "8", "output_image": "30"}));
    let cases = [
        (Kind::InputAudio, 6),
        (Kind::InputImage, 2),
        (Kind::InputVideo, 2),
        (Kind::CacheReadAudio, 1),
        (Kind::CacheReadImage, 1),
        (Kind::OutputAudio, 8),
        (Kind::OutputImage, 30),
    ];
    for (kind, usd) in cases {
        let want = if matches!(kind, Kind::CacheReadAudio | Kind::CacheReadImage) { 500_000 } else { usd * 1_000_000 };
        assert_eq!(micro(&entry, &on(&[(kind, 1_000_000)], &[])), want, "{kind:?}");
    }
}

#[test]
fn a_marginal_tier_is_for_the_tokens_above_and_a_prompt_begins_with_what_was_cached() {
    let entry = entry(json!({
        "input": "1", "cache_read": "0.1", "output": "5",
        "tiers": [
            {"above": 100_000, "marginal": true, "input": "2", "cache_read": "0.2"},
            {"above": 200_000, "inclusive": true, "marginal": true, "input": "4", "cache_read": "0.4"},
        ],
    }));
    let cases = [
        // input, cache read, micro-USD
        (100_000, 0, 100_000),
        (100_001, 0, 100_002),
        (199_999, 0, 100_000 + 199_998),
        (200_000, 0, 100_000 + 99_999 * 2 + 4),
        (250_000, 0, 100_000 + 199_998 + 200_004),
        (0, 150_000, 10_000 + 10_000),
        (50_000, 150_000, 10_000 + 10_000 + 99_998 + 4),
        (30_000, 80_000, 8_000 + 20_000 + 20_000),
    ];
    for (input, cached, want) in cases {
        let used = on(&[(Kind::Input, input), (Kind::CacheRead, cached)], &[]);
        assert_eq!(micro(&entry, &used), want, "{input} {cached}");
    }
    assert_eq!(micro(&entry, &on(&[(Kind::Input, 250_000), (Kind::Output, 1_000)], &[])), 500_002 + 5_000);
}

#[test]
fn hours_and_days_have_rates_of_their_own() {
    // DeepSeek: twice the price in the morning of a working day.
    let entry = entry(json!({
        "input": "0.15", "output": "0.6",
        "variants": [{"when": {"hours": ["01:00-04:00", "06:00-10:00"], "days": ["mon", "tue", "wed", "thu", "fri"]}, "multiplier": "2"}],
    }));
    let used = on(&[(Kind::Input, 1_000_000)], &[]);
    let (hour, day) = (3_600_000, 86_400_000);
    let monday = NOON - 12 * hour;
    for (at_ms, want) in [
        (monday, 150_000),
        (monday + hour, 300_000),
        (monday + 4 * hour - 1, 300_000),
        (monday + 4 * hour, 150_000),
        (monday + 9 * hour, 300_000),
        (monday + 5 * day + 9 * hour, 150_000),
    ] {
        let price = Price { at_ms, ..price(&entry) };
        let nano = cost(&price, &used).unwrap().nano_usd.0;
        assert_eq!(nano, want * 1_000, "{at_ms}");
        assert_eq!(worst_case(&price, 1_000_000, 0, None), Ok(NanoUsd(nano)), "what is held follows the hour");
    }
}

#[test]
fn a_minimum_charge_lifts_what_is_below_it_and_shows() {
    let entry = entry(json!({"seconds": "100", "minimum": "0.001"}));
    for (seconds, want, requests) in
        [(0, 0, None), (1, 1_000_000, Some(900_000_000_000)), (10, 1_000_000, None), (11, 1_100_000, None)]
    {
        let breakdown = cost(&price(&entry), &on(&[(Kind::Seconds, seconds)], &[])).unwrap();
        assert_eq!(breakdown.nano_usd, NanoUsd(want), "{seconds}");
        assert_eq!(breakdown.femto_usd_by_kind.get(&Kind::Requests).copied(), requests, "{seconds}");
        assert_eq!(breakdown.femto_usd_by_kind.values().sum::<u64>(), want * 1_000_000);
    }
    assert_eq!(worst_case(&price(&entry), 5, 5, None), Ok(NanoUsd(1_000_000)));
}

#[test]
fn each_pass_is_priced_by_its_own_model() {
    let (small, large) = (entry(json!({"input": "1", "output": "2"})), entry(json!({"input": "10", "output": "20"})));
    let pass = |model: Option<&str>, input| Pass {
        model: model.map(str::to_owned),
        units: Units::of(&[(Kind::Input, input), (Kind::Output, 1_000)]),
        longest: None,
    };
    let mut used = on(&[(Kind::Input, 3_000), (Kind::Output, 2_000)], &[]);
    used.passes = vec![pass(None, 2_000), pass(Some("large"), 1_000)];
    let find = |model: &str| (model == "large").then(|| price(&large));
    let breakdown = cost_of_passes(&price(&small), &used, find).unwrap();
    assert_eq!(breakdown.nano_usd, NanoUsd(2_000_000 + 2_000_000 + 10_000_000 + 20_000_000));
    assert_eq!(breakdown.femto_usd_by_kind[&Kind::Input], 12_000_000 * 1_000_000);
    let unknown = PricingError::UnknownPass { entry: "p/m@2026-01-01".into(), model: "large".into() };
    assert_eq!(cost(&price(&small), &used), Err(unknown));
}

#[test]
fn a_product_that_is_finer_than_a_femto_usd_is_rounded_once_at_the_end() {
    let entry = entry(json!({
        "input": "0.000000001", "output": "0.000000001",
        "variants": [{"when": {"service_tier": "batch"}, "multiplier": "0.5"}, {"when": {"geo": "us"}, "multiplier": "1.1"}],
    }));
    // 909,090 tokens of each at 0.55 × 10⁻¹⁵: 499,999.5 × 2 = 999,999 × 10⁻¹⁵, below one and a half nano-USD.
    let terms = [(Term::ServiceTier, "batch"), (Term::Geo, "us")];
    for (input, output, want) in
        [(909_090, 0, 0), (909_091, 0, 1), (909_090, 909_090, 1), (1_363_636, 1_363_636, 1), (1_363_637, 1_363_636, 2)]
    {
        let used = on(&[(Kind::Input, input), (Kind::Output, output)], &terms);
        assert_eq!(cost(&price(&entry), &used).unwrap().nano_usd, NanoUsd(want), "{input} {output}");
    }
}

#[test]
fn a_hold_covers_the_terms_that_are_asked_for() {
    let entry = entry(json!({
        "input": "2", "cache_write_1h": "4", "output": "10", "output_audio": "40", "reasoning": "50", "requests": "5000", "web_searches": "10000",
        "variants": [
            {"when": {"service_tier": "priority"}, "input": "6", "output": "60"},
            {"when": {"service_tier": "batch"}, "multiplier": "0.5"},
            {"when": {"service_tier": "turbo"}, "multiplier": "1.5"},
            {"when": {"geo": "us"}, "multiplier": "1.1"},
            {"when": {"search_context": "high"}, "requests": "12000"},
        ],
    }));
    let terms = |terms: &[(Term, &str)]| on(&[], terms).terms;
    let cases = [
        // asked, per 10⁶ tokens of prompt and output in milli-USD: the request's fee is 5 or 12
        (Some(terms(&[])), 4_000 + 50_000 + 5),
        (Some(terms(&[(Term::ServiceTier, "priority")])), 6_000 + 60_000 + 5),
        (Some(terms(&[(Term::ServiceTier, "batch")])), 54_005),
        (Some(terms(&[(Term::ServiceTier, "turbo")])), 81_000 + 7),
        (Some(terms(&[(Term::SearchContext, "high")])), 54_012),
        (None, (66_000 + 12) * 165 / 100),
    ];
    for (asked, want) in cases {
        let held = worst_case(&price(&entry), 1_000_000, 1_000_000, asked.as_ref()).unwrap();
        assert_eq!(held.0 / 1_000_000, want, "{asked:?}");
    }
    // What has fees only is held with one of each.
    let fees = self::entry(
        json!({"images": "40000", "pages": "1000", "variants": [{"when": {"quality": "hd"}, "images": "80000"}]}),
    );
    assert_eq!(worst_case(&price(&fees), 100, 100, None), Ok(NanoUsd(81_000_000)));
    assert_eq!(affordable_output(&price(&fees), 100, NanoUsd(81_000_000), None), u64::MAX);
    assert_eq!(affordable_output(&price(&fees), 100, NanoUsd(80_999_999), None), 0);
}

fn rate() -> impl Strategy<Value = Option<Rate>> {
    proptest::option::weighted(0.7, (0_u64..100_000_000_000).prop_map(Rate))
}

/// Rates with an input and an output, and tiers that are not cheaper than what is below them.
fn rates() -> impl Strategy<Value = PriceEntry> {
    let base = (0_u64..100_000_000_000, 0_u64..100_000_000_000, rate(), rate(), rate());
    let steps = proptest::collection::vec((1_u64..400_000, any::<bool>(), 1_u64..4), 0..3);
    (base, steps, variants()).prop_map(
        |((input, output, cache_read, cache_write_5m, cache_write_1h), steps, variants)| {
            let from = crate::pricing::Date::parse("2026-01-01").unwrap();
            let (input, output) = (Some(Rate(input)), Some(Rate(output)));
            let stated = |times: u64| -> RateMap {
                let all = [
                    (Kind::Input, input),
                    (Kind::CacheRead, cache_read),
                    (Kind::CacheWrite5m, cache_write_5m),
                    (Kind::CacheWrite1h, cache_write_1h),
                    (Kind::Output, output),
                ];
                let stated =
                    all.into_iter().filter_map(|(kind, rate)| Some((RateKey::Of(kind), Rate(rate?.0 * times))));
                stated.collect()
            };
            let mut rates = Rates { rates: stated(1), ..Rates::from(from) };
            let (mut above, mut factor) = (0, 1);
            for (step, inclusive, times) in steps {
                (above, factor) = (above + step, factor * times);
                rates.tiers.push(Tier { above, inclusive, marginal: false, rates: stated(factor) });
            }
            rates.variants = variants.into_iter().flatten().collect();
            let (provider, model) = ("p".into(), "m".into());
            let labels = BTreeMap::new();
            PriceEntry {
                provider,
                model,
                r#match: Vec::new(),
                source: None,
                overrides: false,
                labels,
                rates: vec![rates],
            }
        },
    )
}

/// For each of some terms perhaps a factor, or other rates.
fn variants() -> impl Strategy<Value = Vec<Option<Variant>>> {
    let variant = |term: Term, value: &'static str| {
        let stated = (0_u64..100_000_000_000, 0_u64..100_000_000_000, rate());
        let change = (any::<bool>(), (0_u64..30_000).prop_map(|factor| factor * 100_000), stated);
        let variant = move |(factor, multiplier, (input, output, read)): (bool, u64, (u64, u64, Option<Rate>))| {
            let mut when = When::default();
            when.set(term, value);
            let stated =
                [(Kind::Input, Some(Rate(input))), (Kind::Output, Some(Rate(output))), (Kind::CacheRead, read)];
            let rates = stated.into_iter().filter_map(|(kind, rate)| Some((RateKey::Of(kind), rate?)));
            let multiplier = factor.then(|| Multiplier::from_decimal(&NanoUsd(multiplier).to_string()).unwrap());
            let rates = if factor { RateMap::default() } else { rates.collect() };
            Variant { when, multiplier, fees: false, rates, tiers: Vec::new() }
        };
        proptest::option::of(change.prop_map(variant))
    };
    (
        variant(Term::ServiceTier, "flex"),
        variant(Term::ServiceTier, "priority"),
        variant(Term::Geo, "us"),
        variant(Term::Speed, "fast"),
    )
        .prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

/// Terms, known to the price or not.
fn terms() -> impl Strategy<Value = Terms> {
    let value = |values: &'static [&'static str]| proptest::option::of(proptest::sample::select(values));
    (value(&["flex", "priority", "batch", "default"]), value(&["us", "global"]), value(&["fast"])).prop_map(
        |(tier, geo, speed)| {
            let said = [(Term::ServiceTier, tier), (Term::Geo, geo), (Term::Speed, speed)];
            said.into_iter().filter_map(|(term, value)| Some((term, value?.to_owned()))).collect()
        },
    )
}

fn tokens() -> impl Strategy<Value = Units> {
    (0_u64..300_000, 0_u64..300_000, 0_u64..50_000, 0_u64..50_000, 0_u64..200_000)
        .prop_map(|(input, read, write_5m, write_1h, output)| five([input, read, write_5m, write_1h, output]))
}

/// Input, cache reads, writes of five minutes and of an hour, output.
fn five([input, cache_read, cache_write_5m, cache_write_1h, output]: [u64; 5]) -> Units {
    Units::of(&[
        (Kind::Input, input),
        (Kind::CacheRead, cache_read),
        (Kind::CacheWrite5m, cache_write_5m),
        (Kind::CacheWrite1h, cache_write_1h),
        (Kind::Output, output),
    ])
}

fn femto(price: &Price<'_>, tokens: &Units) -> u64 {
    cost(price, &usage(tokens)).unwrap().femto_usd_by_kind.values().sum()
}

fn map2(a: Units, b: Units, f: impl Fn(u64, u64) -> u64) -> Units {
    let mut units = Units::default();
    for kind in Kind::ALL {
        units.set(kind, f(a.get(kind), b.get(kind)));
    }
    units
}

proptest! {
    /// Before rounding a cost is additive: however usage is split, the parts at one tier sum to the whole. So rounding
    /// each part moves the sum by half a nano-USD a part at most.
    #[test]
    fn splitting_usage_never_changes_the_exact_cost(mut entry in rates(), whole in tokens(), part in tokens()) {
        entry.rates[0].tiers.clear();
        let price = price(&entry);
        let part = map2(whole, part, u64::min);
        let rest = map2(whole, part, |a, b| a - b);
        prop_assert_eq!(femto(&price, &whole), femto(&price, &part) + femto(&price, &rest));
        let nano = |tokens| cost(&price, &usage(tokens)).unwrap().nano_usd.0;
        prop_assert!(nano(&whole).abs_diff(nano(&part) + nano(&rest)) <= 1);
    }

    /// Splitting a request may leave a long-context tier, and so be cheaper; it is never dearer.
    #[test]
    fn splitting_a_request_is_never_dearer(entry in rates(), whole in tokens(), part in tokens()) {
        let price = price(&entry);
        let part = map2(whole, part, u64::min);
        let rest = map2(whole, part, |a, b| a - b);
        prop_assert!(femto(&price, &part) + femto(&price, &rest) <= femto(&price, &whole));
    }

    #[test]
    fn more_tokens_never_cost_less(entry in rates(), a in tokens(), more in tokens()) {
        let price = price(&entry);
        let b = map2(a, more, |a, b| a + b);
        prop_assert!(femto(&price, &a) <= femto(&price, &b));
        prop_assert!(cost(&price, &usage(&a)).unwrap().nano_usd <= cost(&price, &usage(&b)).unwrap().nano_usd);
    }

    /// However the provider splits the prompt, and if less is used than was held for, the hold covers it.
    #[test]
    fn a_hold_is_never_below_what_is_settled(
        entry in rates(),
        used in tokens(),
        spare in (0_u64..1_000, 0_u64..1_000),
        (terms, reasoning) in (terms(), 0_u64..300_000),
    ) {
        let price = price(&entry);
        let (prompt, output) = (used.prompt() + spare.0, used.output() + spare.1);
        let settled = Usage { terms, reasoning, ..usage(&used) };
        let nano = cost(&price, &settled).unwrap().nano_usd;
        let asked = worst_case(&price, prompt, output, Some(&settled.terms)).unwrap();
        prop_assert!(nano <= asked);
        prop_assert!(asked <= worst_case(&price, prompt, output, None).unwrap());
        // A provider may fall back to the usual terms.
        prop_assert!(cost(&price, &usage(&used)).unwrap().nano_usd <= asked);
    }

    /// A factor on all rates is a factor on the cost, exactly.
    #[test]
    fn a_factor_multiplies_the_exact_cost(mut entry in rates(), used in tokens(), percent in 0_u64..400) {
        let plain = femto(&price(&entry), &used);
        let mut when = When::default();
        when.set(Term::Geo, "us");
        let multiplier = Some(Multiplier::from_decimal(&NanoUsd(percent * 10_000_000).to_string()).unwrap());
        entry.rates[0].variants = vec![Variant { when, multiplier, fees: false, rates: RateMap::default(), tiers: Vec::new() }];
        let settled = Usage { terms: [(Term::Geo, "us".to_owned())].into(), ..usage(&used) };
        let nano = cost(&price(&entry), &settled).unwrap().nano_usd.0;
        let exact = u128::from(plain) * u128::from(percent);
        prop_assert_eq!(u128::from(nano), (exact + 50_000_000) / 100_000_000);
    }

    #[test]
    fn affordable_output_is_the_most_that_fits(entry in rates(), prompt in 0_u64..500_000, budget in 0_u64..100_000_000_000) {
        let price = price(&entry);
        let most = affordable_output(&price, prompt, NanoUsd(budget), None);
        let worst = |output| worst_case(&price, prompt, output, None).map_or(u64::MAX, |nano| nano.0);
        if worst(0) > budget {
            prop_assert_eq!(most, 0);
        } else if most == u64::MAX {
            prop_assert_eq!(worst(most), worst(0));
        } else {
            prop_assert!(worst(most) <= budget);
            prop_assert!(budget < worst(most + 1));
        }
    }
}
