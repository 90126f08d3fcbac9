use super::*;
use crate::labels::{Label, Source};
use crate::pricing::{Date, Price};
use crate::usage::Kind;
use proptest::prelude::*;
use serde_json::json;

fn listed() -> PriceBook {
    let entry = |model: &str, names: &[&str], input: &str| {
        serde_json::from_value(json!({
            "provider": "openai", "model": model, "match": names,
            "source": {"url": "https://p.example", "checked": "2026-11-23"},
            "rates": [
                {"from": "2026-01-01", "input": input, "output": "10"},
                {"from": "2026-06-01", "input": input, "output": "20",
                 "tiers": [{"above": 100, "input": "8", "cache_read": "0.4", "output": "40"}]},
            ],
        }))
        .unwrap()
    };
    PriceBook::from_entries(vec![
        entry("gpt-a", &["gpt-a", "gpt-a-1"], "4"),
        entry("gpt-b", &["gpt-b", "gpt-b-20*"], "2"),
        entry("other", &[], "1"),
    ])
}

fn by(name: &str, models: &[&str], change: Change) -> Override {
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    let labels = BTreeMap::new();
    Override { name: name.into(), provider: "main".into(), catalog: "openai".into(), labels, models, change }
}

fn factor(text: &str) -> Change {
    Change::Multiplier(Multiplier::from_decimal(text).unwrap())
}

fn rates(input: &str) -> Change {
    let rates = json!([{"from": "2026-01-01", "input": input, "output": input}]);
    Change::Rates(serde_json::from_value(rates).unwrap())
}

fn at(day: &str) -> u64 {
    Date::parse(day).unwrap().start_ms()
}

/// The price of provider `main`, whose prices are listed as `openai`'s.
fn find<'a>(book: &'a PriceBook, model: &str, day: &str) -> Option<Price<'a>> {
    book.find("main", model, at(day)).or_else(|| book.find("openai", model, at(day)))
}

#[test]
fn a_factor_multiplies_history_tiers_and_all_names() {
    let book = listed().with_overrides(&[by("deal", &["gpt-*"], factor("0.85"))]).unwrap();
    let cases = [
        // model, day, name, input, output
        ("gpt-a", "2026-02-01", "main/deal/gpt-a@2026-01-01+override", "3.40", "8.50"),
        ("gpt-a-1", "2026-07-01", "main/deal/gpt-a@2026-06-01+override", "3.40", "17.00"),
        ("gpt-b-2026", "2026-07-01", "main/deal/gpt-b@2026-06-01+override", "1.70", "17.00"),
        ("other", "2026-07-01", "openai/other@2026-06-01", "1.00", "20.00"),
    ];
    for (model, day, name, input, output) in cases {
        let price = find(&book, model, day).unwrap();
        assert_eq!(price.entry_name(), name);
        let rate = |kind| price.rates.rate(kind, None).unwrap().to_string();
        assert_eq!((rate(Kind::Input).as_str(), rate(Kind::Output).as_str()), (input, output), "{model}");
    }
    let price = find(&book, "gpt-a", "2026-07-01").unwrap();
    let tier = price.rates.tier(101);
    let long: Vec<_> = Kind::ALL.iter().filter_map(|kind| Some(price.rates.rate(*kind, tier)?.to_string())).collect();
    let prompt = ["6.80", "0.34", "6.80", "6.80", "6.80", "6.80", "6.80", "0.34", "0.34", "0.34"];
    assert_eq!(long, [&prompt[..], &["34.00"; 4]].concat());
    let note = price.entry.source.as_ref().unwrap().note.clone();
    assert_eq!(note.as_deref(), Some("listed rates × 0.85, by PriceOverride `deal`"));
    assert_ne!(book.version(), listed().version());
}

#[test]
fn a_factor_multiplies_the_rates_of_variants_and_leaves_their_factors() {
    let rates: Rates = serde_json::from_value(json!({
        "from": "2026-01-01", "input": "4", "output": "10", "web_searches": "10000", "minimum": "0.01",
        "variants": [
            {"when": {"service_tier": "priority"}, "input": "8", "tiers": [{"above": 9, "input": "16"}]},
            {"when": {"geo": "us"}, "multiplier": "1.1"},
        ],
    }))
    .unwrap();
    let scaled = rates.scaled(Multiplier::from_decimal("0.5").unwrap()).unwrap();
    let want = json!({
        "from": "2026-01-01", "input": "2.00", "output": "5.00", "web_searches": "5000.00", "minimum": "0.005",
        "variants": [
            {"when": {"service_tier": "priority"}, "input": "4.00", "tiers": [{"above": 9, "input": "8.00"}]},
            {"when": {"geo": "us"}, "multiplier": "1.10"},
        ],
    });
    assert_eq!(serde_json::to_value(&scaled).unwrap(), want);
}

#[test]
fn the_most_specific_override_decides_whatever_it_does() {
    let book = listed()
        .with_overrides(&[
            by("all", &["*"], factor("0.9")),
            by("own", &["gpt-b*", "local/*"], rates("0")),
            by("best", &["gpt-a"], factor("0.5")),
            by("late", &["gpt-a"], factor("0.1")),
            by("snapshot", &["gpt-b-20261001"], factor("2")),
        ])
        .unwrap();
    let cases = [
        // model, name, input
        ("gpt-a", "main/best/gpt-a@2026-06-01+override", "2.00"),
        ("gpt-a-1", "main/all/gpt-a@2026-06-01+override", "3.60"),
        ("gpt-b", "main/own@2026-01-01+override", "0.00"),
        ("gpt-b-20260901", "main/own@2026-01-01+override", "0.00"),
        ("gpt-b-20261001", "main/snapshot/gpt-b@2026-06-01+override", "4.00"),
        ("local/llama", "main/own@2026-01-01+override", "0.00"),
        ("other", "main/all/other@2026-06-01+override", "0.90"),
    ];
    for (model, name, input) in cases {
        let price = find(&book, model, "2026-07-01").unwrap();
        assert_eq!(
            (price.entry_name().as_str(), price.rates.stated(Kind::Input).unwrap().to_string().as_str()),
            (name, input)
        );
    }
    assert_eq!(book.find("main", "gpt-c", at("2026-07-01")), None, "a factor makes no price where there is none");
}

#[test]
fn a_price_for_some_labels_is_for_them_alone_and_goes_before_all_others() {
    let bound = |name: &str, team: &[&str], models: &[&str], change| Override {
        labels: [("team".to_owned(), team.iter().map(|team| (*team).to_owned()).collect())].into(),
        ..by(name, models, change)
    };
    let book = listed()
        .with_overrides(&[
            by("all", &["*"], factor("0.9")),
            bound("ml", &["ml*"], &["gpt-*"], factor("0.5")),
            bound("ml-b", &["ml"], &["gpt-b"], rates("7")),
        ])
        .unwrap();
    let cases = [
        // team, model, name
        (None, "gpt-a", "main/all/gpt-a@2026-06-01+override"),
        (Some("web"), "gpt-a", "main/all/gpt-a@2026-06-01+override"),
        (Some("ml-2"), "gpt-a", "main/ml/gpt-a@2026-06-01+override"),
        (Some("ml"), "gpt-b", "main/ml-b@2026-01-01+override"),
        (Some("ml-2"), "gpt-b", "main/ml/gpt-b@2026-06-01+override"),
        (Some("ml"), "other", "main/all/other@2026-06-01+override"),
    ];
    // What is pushed to the filter prices the same.
    let pushed = PriceBook::new(String::new(), book.subset(&["main", "openai"], at("2026-07-01")));
    for (team, model, want) in cases {
        let label = |team: &str| Label { value: team.to_owned(), source: Source::Key };
        let labels = team.map(|team| ("team".to_owned(), label(team))).into_iter().collect();
        for book in [&book, &pushed] {
            let price = book.find_for("main", model, at("2026-07-01"), &labels).unwrap();
            assert_eq!(price.entry_name(), want, "{team:?} {model}");
        }
    }
    assert_ne!(book.version(), listed().with_overrides(&[by("all", &["*"], factor("0.9"))]).unwrap().version());
}

#[test]
fn what_cannot_be_laid_over_is_reported_all_at_once() {
    let huge = Multiplier::from_decimal("18000000000").unwrap();
    let errors = listed()
        .with_overrides(&[
            by("typo", &["gtp-a"], factor("0.9")),
            by("part", &["*-2026"], factor("0.9")),
            by("huge", &["other"], Change::Multiplier(huge)),
        ])
        .unwrap_err();
    let mut shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "`huge`: 10.00 × 18000000000.00 does not fit",
            "`part`: `*-2026` takes a part only of the listed pattern `gpt-b-20*`: name the models, or widen it",
            "`typo`: no listed price of `openai` fits `gtp-a`, so there is nothing to multiply; give it `rates`",
        ]
    );
}

#[test]
fn patterns_overlap_where_a_text_fits_both() {
    let cases = [
        ("a", "a", true),
        ("a", "b", false),
        ("a*", "*b", true),
        ("a*", "b*", false),
        ("*", "", true),
        ("*-mini", "gpt-5*", true),
        ("*-mini", "gpt-5-20*0", false),
        ("a*c", "ab*", true),
        ("a*c", "*d", false),
        ("a", "", false),
    ];
    for (a, b, want) in cases {
        assert_eq!((overlap(a, b), overlap(b, a)), (want, want), "{a} {b}");
    }
}

proptest! {
    /// A text that fits two patterns shows that they overlap.
    #[test]
    fn a_common_text_is_an_overlap(a in "[ab*]{0,5}", b in "[ab*]{0,5}", text in "[ab]{0,6}") {
        if glob::matches(&a, &text) && glob::matches(&b, &text) {
            prop_assert!(overlap(&a, &b));
        }
    }

    /// And an overlap has a common text, found by trying all short ones.
    #[test]
    fn an_overlap_has_a_common_text(a in "[ab*]{0,3}", b in "[ab*]{0,3}") {
        let texts = (0_u32..7).flat_map(|len| (0_u32..1 << len).map(move |bits| {
            (0..len).map(|at| if bits >> at & 1 == 0 { 'a' } else { 'b' }).collect::<String>()
        }));
        let common = texts.into_iter().any(|text| glob::matches(&a, &text) && glob::matches(&b, &text));
        prop_assert_eq!(overlap(&a, &b), common);
    }
}
