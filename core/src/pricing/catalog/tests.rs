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
fn a_free_model_is_no_slip() {
    let free = model(|m| m["rates"] = json!([{"from": "2026-01-01", "input": "0", "output": "0"}]));
    assert_eq!(problems(json!([free])), Vec::<String>::new());
}
