use super::*;
use serde_json::{Value, json};

fn read(value: Value) -> Result<Rates, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn a_price_is_read_flat_and_written_the_same() {
    let written = json!({
        "from": "2026-01-01", "until": "2026-12-01",
        "input": "2.50", "cache_read": "0.25", "cache_read_audio": "0.30", "output": "15.00",
        "web_searches": "10000.00", "reasoning": "3.00", "minimum": "0.001",
        "tiers": [
            {"above": 200_000, "inclusive": true, "input": "5.00"},
            {"above": 400_000, "marginal": true, "input": "7.00"},
        ],
        "variants": [
            {"when": {"service_tier": "batch"}, "multiplier": "0.50", "fees": true},
            {"when": {"geo": "us", "hours": ["01:00-04:00"], "days": ["mon", "sun"]}, "input": "4.00",
             "tiers": [{"above": 200_000, "input": "8.00"}]},
        ],
    });
    let rates = read(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&rates).unwrap(), written);
    assert_eq!(rates.stated(Kind::CacheReadAudio), Some(Rate(300_000_000)));
    assert_eq!(rates.rates.get(RateKey::Reasoning), Some(Rate(3_000_000_000)));
}

#[test]
fn a_key_that_is_not_known_is_refused_with_the_one_that_was_meant() {
    let cases = [
        (json!({"from": "2026-01-01", "cached_read": "1"}), "unknown key `cached_read`: did you mean `cache_read`?"),
        (json!({"from": "2026-01-01", "inputs": "1"}), "unknown key `inputs`: did you mean `input`?"),
        (json!({"from": "2026-01-01", "web_search": "1"}), "unknown key `web_search`: did you mean `web_searches`?"),
        (json!({"from": "2026-01-01", "tier": []}), "unknown key `tier`: did you mean `tiers`?"),
        (
            json!({"from": "2026-01-01", "zzz": "1"}),
            "unknown key `zzz`: there are from, until, minimum, tiers, variants and the names of kinds",
        ),
        (
            json!({"from": "2026-01-01", "tiers": [{"above": 1, "ouput": "1"}]}),
            "unknown key `ouput`: did you mean `output`?",
        ),
        (
            json!({"from": "2026-01-01", "variants": [{"when": {"service_tier": "x"}, "multiplyer": "1"}]}),
            "unknown key `multiplyer`: did you mean `multiplier`?",
        ),
        (json!({"input": "1"}), "missing field `from`"),
        (json!({"from": "2026-01-01", "tiers": [{"input": "1"}]}), "missing field `above`"),
        (json!({"from": "2026-01-01", "variants": [{"multiplier": "2"}]}), "missing field `when`"),
    ];
    for (value, want) in cases {
        let error = read(value.clone()).unwrap_err();
        assert!(error.starts_with(want), "{value}: {error}");
    }
    let unknown_term = json!({"from": "2026-01-01", "variants": [{"when": {"tier": "x"}, "multiplier": "2"}]});
    assert!(read(unknown_term).unwrap_err().contains("unknown field `tier`"));
}

#[test]
fn the_words_for_the_usual_terms_are_none_and_others_are_one() {
    let cases = [
        (Term::ServiceTier, "default", None),
        (Term::ServiceTier, "standard", None),
        (Term::ServiceTier, "auto", None),
        (Term::ServiceTier, "on_demand", None),
        (Term::ServiceTier, "on_demand_priority", Some("priority")),
        (Term::ServiceTier, "provisioned_throughput", Some("provisioned")),
        (Term::ServiceTier, "batch", Some("batch")),
        (Term::Geo, "global", None),
        (Term::Geo, "not_available", None),
        (Term::Geo, "us", Some("us")),
        (Term::Speed, "standard", None),
        (Term::Speed, "fast", Some("fast")),
        (Term::Quality, "standard", Some("standard")),
        (Term::Quality, "auto", Some("auto")),
    ];
    for (term, said, want) in cases {
        assert_eq!(unusual(term, said), want, "{term:?} {said}");
    }
}

#[test]
fn every_key_has_a_name_and_parents_of_its_own_direction() {
    for key in RateKey::all() {
        assert_eq!(RateKey::named(key.name()), Some(key));
        assert_eq!(usize::from(key.is_prompt()) + usize::from(key.is_output()) + usize::from(key.is_fee()), 1);
        for parent in key.parents() {
            assert_eq!((parent.is_prompt(), parent.is_output()), (key.is_prompt(), key.is_output()), "{key:?}");
        }
        let root = [RateKey::Of(Kind::Input), RateKey::Of(Kind::Output)].contains(&key);
        assert_eq!(key.parents().is_empty(), root || key.is_fee(), "{key:?}");
    }
}
