use super::*;
use serde_json::{Value, json};

fn document(models: Value) -> CatalogFile {
    serde_json::from_value(json!({"provider": "p", "models": models})).unwrap()
}

fn source() -> Value {
    json!({"url": "https://p.example/pricing", "checked": "2026-11-23"})
}

fn model(change: impl Fn(&mut Value)) -> Value {
    let mut model = json!({
        "model": "m", "match": ["m", "m-2026-*"], "source": source(),
        "rates": [
            {"from": "2026-01-01", "input": "3", "cache_read": "0.30", "output": "15"},
            {"from": "2026-06-01", "input": "2.50", "cache_read": "0.25", "output": "12",
             "tiers": [{"above": 200_000, "input": "5", "cache_read": "0.50", "output": "18"}]},
        ],
    });
    change(&mut model);
    model
}

fn problems(models: Value) -> Vec<String> {
    match PriceBook::from_documents(vec![document(models)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_sound_document_becomes_a_book() {
    let book = PriceBook::from_documents(vec![document(json!([model(|_| {})]))]).unwrap();
    let july = crate::pricing::Date::parse("2026-07-01").unwrap().start_ms();
    let price = book.find("p", "m-2026-05", july).unwrap();
    assert_eq!(price.entry_name(), "p/m@2026-06-01");
    assert_eq!(price.entry.source.as_ref().unwrap().url, "https://p.example/pricing");
    assert_eq!(book.version().len(), 16);
}

#[test]
fn each_slip_is_reported_with_its_place_and_what_to_do() {
    type Change = fn(&mut Value);
    let cases: [(Change, &[&str]); 17] = [
        (|_| {}, &[]),
        (|m| m["source"] = Value::Null, &["p.models[m].source: is missing"]),
        (
            |m| m["source"]["url"] = json!("pricing page"),
            &["p.models[m].source.url: `pricing page` is no https address"],
        ),
        (|m| m["rates"] = json!([]), &["p.models[m].rates: has none"]),
        (
            |m| m["rates"][1]["from"] = json!("2026-01-01"),
            &["p.models[m].rates[2026-01-01].from: does not come after 2026-01-01"],
        ),
        (
            |m| m["rates"][1]["from"] = json!("2025-01-01"),
            &["p.models[m].rates[2025-01-01].from: does not come after 2026-01-01"],
        ),
        (|m| m["rates"][0]["input"] = Value::Null, &["p.models[m].rates[2026-01-01].input: is missing"]),
        (|m| m["rates"][0]["output"] = Value::Null, &["p.models[m].rates[2026-01-01].output: is missing"]),
        (
            |m| m["rates"][0]["output"] = json!("0.02"),
            &["p.models[m].rates[2026-01-01].output: 0.02 beside an input of 3.00"],
        ),
        (
            |m| m["rates"][0]["output"] = json!("15000"),
            &["15000.00 USD per 10⁶ tokens", "15000.00 beside an input of 3.00"],
        ),
        (
            |m| m["rates"][0]["cache_read"] = json!("0.0000003"),
            &["0.0000003 USD per 10⁶ tokens is likelier a rate per token"],
        ),
        (|m| m["rates"][0]["cache_read"] = json!("30"), &["cache_read: 30.00 is more than an input of 3.00"]),
        (|m| m["rates"][0]["cache_write_1h"] = json!("600"), &["cache_write_1h: 600.00 beside an input of 3.00"]),
        (|m| m["rates"][1]["tiers"][0]["cache_read"] = Value::Null, &["tiers[200000].cache_read: is missing"]),
        (
            |m| m["rates"][1]["tiers"][0]["output"] = json!("0.01"),
            &["tiers[200000].output: 0.01 beside an input of 5.00"],
        ),
        (|m| m["match"] = json!(["m", "m", ""]), &["`m` is a name of `m` already", "has an empty name"]),
        (|m| m["model"] = json!("m*"), &["`model` is one name"]),
    ];
    for (change, want) in cases {
        let value = model(change);
        let found = problems(json!([value]));
        assert_eq!(found.len(), want.len(), "{value}: {found:?}");
        for (found, want) in found.iter().zip(want) {
            assert!(found.contains(want), "{found}");
        }
    }
}

#[test]
fn a_model_or_a_name_of_two_models_is_reported_across_documents() {
    let twice = problems(json!([model(|_| {}), model(|_| {})]));
    assert_eq!(twice, ["p.models[m]: is there twice: add its rates to the first as a later `from`"]);
    let other = model(|m| {
        m["model"] = json!("n");
        m["match"] = json!(["n", "m-2026-*"]);
    });
    let documents = vec![document(json!([model(|_| {})])), document(json!([other]))];
    let problems = PriceBook::from_documents(documents).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].path, "p.models[n].match");
}

#[test]
fn tiers_ascend() {
    let tier = |above: u64| json!({"above": above, "input": "5", "cache_read": "0.50", "output": "18"});
    let problems = problems(json!([model(|m| m["rates"][1]["tiers"] = json!([tier(200_000), tier(128_000)]))]));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("p.models[m].rates[2026-06-01].tiers[128000]: does not come after"),
        "{problems:?}"
    );
}

#[test]
fn a_slip_in_a_variant_is_reported_with_its_place() {
    let with = |variants: Value| model(move |m| m["rates"][1]["variants"] = variants.clone());
    let batch = json!({"service_tier": "batch"});
    let cases = [
        (json!([{"when": batch, "multiplier": "0.5"}]), None),
        (json!([{"when": batch, "input": "1"}]), None),
        (json!([{"when": {}, "multiplier": "0.5"}]), Some("variants[]: would always hold")),
        (json!([{"when": batch}]), Some("variants[service_tier:batch]: changes nothing")),
        (json!([{"when": batch, "multiplier": "0.5", "input": "1"}]), Some("has rates and a multiplier")),
        (json!([{"when": batch, "multiplier": "0.50001"}]), Some("multiplier: has more than 4 decimals")),
        (
            json!([{"when": batch, "multiplier": "0.5"}, {"when": batch, "multiplier": "0.4"}]),
            Some("variants[service_tier:batch]: is there twice"),
        ),
        (json!([{"when": batch, "input": "1", "output": "900"}]), Some("output: 900.00 beside an input of 1.00")),
        (
            json!([{"when": batch, "input": "1", "cache_read": "0.1", "tiers": [{"above": 9, "input": "2"}]}]),
            Some("tiers[9].cache_read: is missing"),
        ),
        (
            json!([{"when": batch, "input": "1", "tiers": [{"above": 9, "marginal": true, "input": "2"}]}]),
            Some("has a marginal tier"),
        ),
    ];
    for (variants, want) in cases {
        let found = problems(json!([with(variants.clone())]));
        match want {
            None => assert_eq!(found, Vec::<String>::new(), "{variants}"),
            Some(want) => assert!(found.len() == 1 && found[0].contains(want), "{variants}: {found:?}"),
        }
    }
}

#[test]
fn a_model_is_paid_for_by_tokens_or_by_fees() {
    let rated = |rates: Value| problems(json!([model(|m| m["rates"] = json!([rates]))]));
    let sound = [
        json!({"from": "2026-01-01", "images": "40000"}),
        json!({"from": "2026-01-01", "seconds": "100", "minimum": "0.001"}),
        json!({"from": "2026-01-01", "input": "0.02", "output": "0"}),
        json!({"from": "2026-01-01", "input": "5", "output_image": "40"}),
        json!({"from": "2026-01-01", "input": "1", "output": "2", "web_searches": "10000", "reasoning": "3"}),
    ];
    for rates in sound {
        assert_eq!(rated(rates.clone()), Vec::<String>::new(), "{rates}");
    }
    let slips = [
        (json!({"from": "2026-01-01", "images": "40000", "output": "1"}), "input: is missing"),
        (json!({"from": "2026-01-01", "input": "1", "reasoning": "3"}), "output: is missing"),
        (json!({"from": "2026-01-01", "images": "40000000"}), "images: 40000000.00 USD per 10⁶ units"),
        (json!({"from": "2026-01-01", "until": "2026-01-01", "images": "1"}), "until: is not after 2026-01-01"),
        (
            json!({"from": "2026-01-01", "input": "1", "output": "2",
                   "tiers": [{"above": 9, "marginal": true, "input": "2", "output": "3"}]}),
            "output: is no rate of the prompt",
        ),
    ];
    for (rates, want) in slips {
        let found = rated(rates.clone());
        assert!(found.len() == 1 && found[0].contains(want), "{rates}: {found:?}");
    }
}

#[test]
fn a_free_model_is_no_slip() {
    let free = model(|m| m["rates"] = json!([{"from": "2026-01-01", "input": "0", "output": "0"}]));
    assert_eq!(problems(json!([free])), Vec::<String>::new());
}
