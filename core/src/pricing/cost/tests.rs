use super::*;
use crate::pricing::{PriceEntry, Rates};
use proptest::prelude::*;
use serde_json::{Value, json};

fn entry(rates: Value) -> PriceEntry {
    let mut rates = rates;
    rates["from"] = json!("2026-01-01");
    serde_json::from_value(json!({"provider": "p", "model": "m", "rates": [rates]})).unwrap()
}

fn price(entry: &PriceEntry) -> Price<'_> {
    Price { entry, rates: entry.rates.first().unwrap() }
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
        let breakdown = cost(&price(entry), &units).unwrap();
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
        let got = cost(&price(entry), &tokens).map(|breakdown| breakdown.nano_usd.0);
        assert_eq!(got, want, "{tokens:?}");
    }
    assert_eq!(worst_case(&price(&no_input), 1, 0).map(|n| n.0), missing(Kind::Input));
    assert_eq!(worst_case(&price(&no_output), 1_000, 0), Ok(NanoUsd(1_000_000)));
    assert_eq!(worst_case(&price(&no_output), 1, 1).map(|n| n.0), missing(Kind::Output));
    assert_eq!(affordable_output(&price(&no_output), 1, NanoUsd(u64::MAX)), 0, "unknown is not free");
}

#[test]
fn too_much_is_an_error_and_never_wraps() {
    let entry = entry(json!({"input": "10000", "output": "10000"}));
    let overflow = PricingError::Overflow { entry: "p/m@2026-01-01".into() };
    let most = u64::MAX / (10_000 * 1_000_000_000);
    let tokens = |input| Units::of(&[(Kind::Input, input)]);
    assert!(cost(&price(&entry), &tokens(most)).is_ok());
    assert_eq!(cost(&price(&entry), &tokens(most + 1)), Err(overflow.clone()));
    assert_eq!(worst_case(&price(&entry), u64::MAX, u64::MAX), Err(overflow));
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
        let nano = cost(&price(entry), &tokens).unwrap().nano_usd.0;
        assert_eq!((nano + 500) / 1_000, micro, "{case}");
    }
}

#[test]
fn a_hold_covers_the_dearest_way_to_split_the_prompt() {
    let (haiku, tiered) = (haiku(), tiered());
    // Every prompt token may be written to a one-hour cache: 2 USD per 10⁶.
    assert_eq!(worst_case(&price(&haiku), 1_000, 100), Ok(NanoUsd(2_000_000 + 500_000)));
    assert_eq!(worst_case(&price(&haiku), 0, 0), Ok(NanoUsd(0)));
    assert_eq!(worst_case(&price(&tiered), 272_000, 1), Ok(NanoUsd(1_360_000_000 + 30_000)));
    assert_eq!(worst_case(&price(&tiered), 272_001, 1), Ok(NanoUsd(2_720_010_000 + 45_000)));
    // A fraction of a nano-USD is held as a whole one.
    assert_eq!(worst_case(&price(&entry(json!({"input": "0.000000001", "output": "0"}))), 1, 0), Ok(NanoUsd(1)));
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
        assert_eq!(affordable_output(&price(entry), prompt, NanoUsd(budget)), want, "{prompt} {budget}");
    }
}

fn rate() -> impl Strategy<Value = Option<Rate>> {
    proptest::option::weighted(0.7, (0_u64..100_000_000_000).prop_map(Rate))
}

/// Rates with an input and an output, and tiers that are not cheaper than what is below them.
fn rates() -> impl Strategy<Value = PriceEntry> {
    let base = (0_u64..100_000_000_000, 0_u64..100_000_000_000, rate(), rate(), rate());
    let steps = proptest::collection::vec((1_u64..400_000, any::<bool>(), 1_u64..4), 0..3);
    (base, steps).prop_map(|((input, output, cache_read, cache_write_5m, cache_write_1h), steps)| {
        let from = crate::pricing::Date::parse("2026-01-01").unwrap();
        let (input, output) = (Some(Rate(input)), Some(Rate(output)));
        let mut rates = Rates { from, input, cache_read, cache_write_5m, cache_write_1h, output, tiers: Vec::new() };
        let (mut above, mut factor) = (0, 1);
        for (step, inclusive, times) in steps {
            (above, factor) = (above + step, factor * times);
            let up = |rate: Option<Rate>| rate.map(|rate| Rate(rate.0 * factor));
            rates.tiers.push(crate::pricing::Tier {
                above,
                inclusive,
                input: up(input),
                cache_read: up(cache_read),
                cache_write_5m: up(cache_write_5m),
                cache_write_1h: up(cache_write_1h),
                output: up(output),
            });
        }
        let (provider, model) = ("p".into(), "m".into());
        PriceEntry { provider, model, r#match: Vec::new(), source: None, overrides: false, rates: vec![rates] }
    })
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
    cost(price, tokens).unwrap().femto_usd_by_kind.values().sum()
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
        let nano = |tokens| cost(&price, tokens).unwrap().nano_usd.0;
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
        prop_assert!(cost(&price, &a).unwrap().nano_usd <= cost(&price, &b).unwrap().nano_usd);
    }

    /// However the provider splits the prompt, and if less is used than was held for, the hold covers it.
    #[test]
    fn a_hold_is_never_below_what_is_settled(entry in rates(), used in tokens(), spare in (0_u64..1_000, 0_u64..1_000)) {
        let price = price(&entry);
        let held = worst_case(&price, used.prompt() + spare.0, used.output() + spare.1).unwrap();
        prop_assert!(cost(&price, &used).unwrap().nano_usd <= held);
    }

    #[test]
    fn affordable_output_is_the_most_that_fits(entry in rates(), prompt in 0_u64..500_000, budget in 0_u64..100_000_000_000) {
        let price = price(&entry);
        let most = affordable_output(&price, prompt, NanoUsd(budget));
        let worst = |output| worst_case(&price, prompt, output).map_or(u64::MAX, |nano| nano.0);
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
