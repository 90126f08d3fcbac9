use super::*;
use crate::pricing::Rate;
use crate::usage::Kind;
use proptest::prelude::*;
use serde_json::json;

fn day(text: &str) -> u64 {
    Date::parse(text).unwrap().start_ms()
}

fn entry(model: &str, names: &[&str], froms: &[&str]) -> PriceEntry {
    let rates: Vec<_> = froms.iter().map(|from| json!({"from": from, "input": "1", "output": "2"})).collect();
    serde_json::from_value(json!({"provider": "p", "model": model, "match": names, "rates": rates})).unwrap()
}

fn own(model: &str, names: &[&str], froms: &[&str]) -> PriceEntry {
    PriceEntry { overrides: true, ..entry(model, names, froms) }
}

#[test]
fn the_best_match_decides_and_nothing_is_guessed() {
    let book = PriceBook::from_entries(vec![
        entry("wide", &["m*"], &["2026-01-01"]),
        entry("long", &["m-large*"], &["2026-01-01"]),
        entry("late", &["m-large-2"], &["2026-06-01"]),
        entry("alone", &[], &["2026-01-01"]),
        own("own", &["m-large-3*"], &["2026-03-01"]),
        own("own-exact", &["alone"], &["2026-03-01"]),
        entry("second", &["m-large*", "m-large-2"], &["2026-01-01"]),
    ]);
    let (january, april, july) = (day("2026-01-05"), day("2026-04-01"), day("2026-07-01"));
    let cases = [
        // model, at, entry
        ("m-small", april, Some("p/wide@2026-01-01")),
        ("m-large", april, Some("p/long@2026-01-01")),
        ("m-large-9", april, Some("p/long@2026-01-01")),
        ("m-large-2", july, Some("p/late@2026-06-01")),
        ("m-large-2", april, None),
        ("m-large-3", april, Some("p/own@2026-03-01+override")),
        ("m-large-3", january, Some("p/long@2026-01-01")),
        ("alone", april, Some("p/own-exact@2026-03-01+override")),
        ("alone", january, Some("p/alone@2026-01-01")),
        ("alone-not", april, None),
        ("M-small", april, None),
        ("", april, None),
    ];
    for (model, at, want) in cases {
        assert_eq!(book.find("p", model, at).map(|price| price.entry_name()).as_deref(), want, "{model} at {at}");
    }
    assert_eq!(book.find("q", "m-small", april), None);
}

#[test]
fn a_path_before_a_name_is_no_matter_unless_it_is_listed() {
    let names = ["eu.m-1:0", "m-2", "accounts/a/models/m-3", "maker/m-2"];
    let book = PriceBook::from_entries(names.iter().map(|name| entry(name, &[], &["2026-01-01"])).collect());
    let cases = [
        ("arn:aws:bedrock:eu-west-1:1234:inference-profile/eu.m-1:0", Some("eu.m-1:0")),
        ("publishers/google/models/m-2", Some("m-2")),
        ("projects/p/locations/l/publishers/google/models/m-2", Some("m-2")),
        ("models/m-2", Some("m-2")),
        ("accounts/a/models/m-3", Some("accounts/a/models/m-3")),
        ("maker/m-2", Some("maker/m-2")),
        ("other/m-2", None),
        ("accounts/b/models/m-2", None),
    ];
    for (name, want) in cases {
        let found = book.find("p", name, day("2026-02-01")).map(|price| price.entry.model.as_str());
        assert_eq!(found, want, "{name}");
    }
}

#[test]
fn rates_change_at_midnight_utc() {
    let book = PriceBook::from_entries(vec![entry("m", &[], &["2026-10-20", "2026-01-01", "2026-10-29"])]);
    let cases = [
        (day("2026-01-01") - 1, None),
        (day("2026-01-01"), Some("2026-01-01")),
        (day("2026-10-20") - 1, Some("2026-01-01")),
        (day("2026-10-20"), Some("2026-10-20")),
        (day("2026-10-29"), Some("2026-10-29")),
        (u64::MAX, Some("2026-10-29")),
    ];
    for (at, want) in cases {
        let found = book.find("p", "m", at).map(|price| price.rates.from.to_string());
        assert_eq!(found.as_deref(), want, "{at}");
    }
}

#[test]
fn rates_that_ended_are_no_price_until_others_begin() {
    let mut ended = entry("m", &[], &["2026-01-01", "2026-06-01"]);
    ended.rates[0].until = Some(Date::parse("2026-03-01").unwrap());
    let book = PriceBook::from_entries(vec![ended, entry("wide", &["m*"], &["2025-01-01"])]);
    let cases = [("2026-02-28", Some("2026-01-01")), ("2026-03-01", None), ("2026-06-01", Some("2026-06-01"))];
    for (at, want) in cases {
        let found = book.find("p", "m", day(at)).map(|price| price.rates.from.to_string());
        assert_eq!(found.as_deref(), want, "{at}");
        let part = PriceBook::new(String::new(), book.subset(&["p"], day(at)));
        assert_eq!(part.find("p", "m", day(at)).map(|price| price.rates.from.to_string()).as_deref(), want, "{at}");
    }
}

#[test]
fn a_part_without_a_rate_falls_back_to_its_parent_and_zero_stays_zero() {
    let rates: Rates = serde_json::from_value(json!({
        "from": "2026-01-01", "input": "2", "cache_write_5m": "2.5", "output": "8",
        "tiers": [{"above": 10, "input": "4", "cache_read": "0"}],
    }))
    .unwrap();
    let tier = rates.tier(11);
    let cases = [
        // kind, base, in the tier
        (Kind::Input, "2.00", "4.00"),
        (Kind::CacheRead, "2.00", "0.00"),
        (Kind::CacheWrite5m, "2.50", "2.50"),
        (Kind::CacheWrite1h, "2.50", "2.50"),
        (Kind::Output, "8.00", "8.00"),
    ];
    for (kind, base, long) in cases {
        let shown = |tier| rates.rate(kind, tier).map(|rate| rate.to_string());
        assert_eq!(shown(None).as_deref(), Some(base), "{kind:?}");
        assert_eq!(shown(tier).as_deref(), Some(long), "{kind:?} in the tier");
    }
    let none: Rates = serde_json::from_value(json!({"from": "2026-01-01", "cache_read": "1"})).unwrap();
    assert_eq!(none.rate(Kind::Input, None), None);
    assert_eq!(none.rate(Kind::CacheWrite1h, None), None);
    assert_eq!(none.rate(Kind::CacheRead, None), Some(Rate(1_000_000_000)));
}

#[test]
fn the_version_is_of_the_prices_and_not_of_their_order_or_source() {
    let (a, b) = (entry("a", &["a", "a-1"], &["2026-01-01", "2026-02-01"]), entry("b", &[], &["2026-01-01"]));
    let version = |entries: &[&PriceEntry]| {
        PriceBook::from_entries(entries.iter().copied().cloned().collect()).version().to_owned()
    };
    let book = version(&[&a, &b]);
    let turned = entry("a", &["a-1", "a"], &["2026-02-01", "2026-01-01"]);
    assert_eq!(book, version(&[&b, &turned]));
    let origin = Origin {
        url: "https://p.example".into(),
        checked: Date::parse("2026-11-23").unwrap(),
        via: None,
        licence: None,
        note: None,
    };
    assert_eq!(book, version(&[&PriceEntry { source: Some(origin), ..a.clone() }, &b]));
    assert_ne!(book, version(&[&a]));
    assert_ne!(book, version(&[&a, &entry("b", &["b", "b-1"], &["2026-01-01"])]));
    assert_ne!(book, version(&[&a, &PriceEntry { overrides: true, ..b.clone() }]));
    let same_name = entry("c", &["b"], &["2026-03-01"]);
    assert_eq!(book, version(&[&a, &b, &same_name]), "of one name the first counts");
    assert_ne!(version(&[&b, &same_name]), version(&[&same_name, &b]), "so there the order matters");
}

#[test]
fn a_subset_prices_its_providers_from_its_moment_on() {
    let other = PriceEntry { provider: "q".into(), ..entry("n", &[], &["2026-01-01"]) };
    let book = PriceBook::from_entries(vec![
        entry("m", &[], &["2026-01-01", "2026-05-01", "2026-12-01"]),
        entry("new", &[], &["2026-12-01"]),
        other,
    ]);
    let subset = book.subset(&["p"], day("2026-06-01"));
    let froms = |entry: &PriceEntry| entry.rates.iter().map(|rates| rates.from.to_string()).collect::<Vec<_>>();
    let kept: Vec<_> = subset.iter().map(|entry| (entry.model.as_str(), froms(entry))).collect();
    assert_eq!(
        kept,
        [("m", vec!["2026-05-01".to_owned(), "2026-12-01".to_owned()]), ("new", vec!["2026-12-01".to_owned()]),]
    );
}

#[test]
fn a_record_s_price_is_found_again_by_its_name() {
    let book = PriceBook::from_entries(vec![
        entry("org/m@1", &[], &["2026-01-01", "2026-05-01"]),
        own("org/m@1", &["*"], &["2026-05-01"]),
    ]);
    for name in ["p/org/m@1@2026-01-01", "p/org/m@1@2026-05-01", "p/org/m@1@2026-05-01+override"] {
        assert_eq!(book.by_entry_name(name).map(|price| price.entry_name()).as_deref(), Some(name));
    }
    for name in ["p/org/m@1@2026-02-01", "p/m@1@2026-01-01", "p/org/m@1", "", "p/org/m@1@2026-01-01+override"] {
        assert_eq!(book.by_entry_name(name), None, "{name}");
    }
}

#[test]
fn an_unknown_key_is_refused() {
    for (place, value) in [
        ("entry", json!({"provider": "p", "model": "m", "rates": [], "price": "1"})),
        ("rates", json!({"provider": "p", "model": "m", "rates": [{"from": "2026-01-01", "cached": "1"}]})),
        (
            "tier",
            json!({"provider": "p", "model": "m", "rates": [{"from": "2026-01-01", "tiers": [{"above": 1, "below": 2}]}]}),
        ),
    ] {
        assert!(serde_json::from_value::<PriceEntry>(value).is_err(), "{place}");
    }
}

proptest! {
    /// Whatever the order of the rates, the one found is the latest that has begun.
    #[test]
    fn the_rates_found_are_the_latest_that_began(months in proptest::sample::subsequence((1..=12).collect::<Vec<u8>>(), 1..6).prop_shuffle(), at in 0_u64..400) {
        let froms: Vec<String> = months.iter().map(|month| format!("2026-{month:02}-15")).collect();
        let froms: Vec<&str> = froms.iter().map(String::as_str).collect();
        let at_ms = day("2026-01-01") + at * 86_400_000;
        let book = PriceBook::from_entries(vec![entry("m", &[], &froms)]);
        let found = book.find("p", "m", at_ms).map(|price| price.rates.from.start_ms());
        prop_assert_eq!(found, froms.iter().map(|from| day(from)).filter(|from| *from <= at_ms).max());
    }

    /// The part that is pushed prices as the whole book does, from its moment on.
    #[test]
    fn a_subset_prices_as_the_book_does(
        months in proptest::sample::subsequence((1..=12).collect::<Vec<u8>>(), 1..6),
        (since, later) in (0_u64..400, 0_u64..100),
    ) {
        let froms: Vec<String> = months.iter().map(|month| format!("2026-{month:02}-15")).collect();
        let froms: Vec<&str> = froms.iter().map(String::as_str).collect();
        let since = day("2026-01-01") + since * 86_400_000;
        let at = since + later * 86_400_000;
        let book = PriceBook::from_entries(vec![entry("m", &["m*"], &froms), own("n", &["m-1"], &froms)]);
        let part = PriceBook::new(book.version().to_owned(), book.subset(&["p"], since));
        for model in ["m", "m-1", "x"] {
            let name = |book: &PriceBook| book.find("p", model, at).map(|price| price.entry_name());
            prop_assert_eq!(name(&part), name(&book));
        }
    }
}
