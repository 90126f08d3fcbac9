use super::*;
use crate::prices::{genai, litellm};
use serde_json::{Value, json};

const FIRST: &str = "2025-01-01";

fn day(text: &str) -> Date {
    Date::parse(text).unwrap()
}

/// What both sets say of `xai`, and what was decided.
struct Case {
    genai: Value,
    litellm: Value,
    decisions: Value,
    own: Value,
    before: Option<CatalogFile>,
}

impl Case {
    fn new(genai: Value, litellm: Value) -> Self {
        Self { genai, litellm, decisions: json!([]), own: json!([]), before: None }
    }

    fn import(self) -> (CatalogFile, Report) {
        let data = json!([{"id": "x-ai", "pricing_urls": ["https://docs.x.ai"], "models": self.genai}]);
        let genai = genai::read(&data, "1", day(FIRST));
        let litellm = litellm::read(&self.litellm, "2", day(FIRST));
        let decisions: Vec<Decision> = serde_json::from_value(self.decisions).unwrap();
        let own: Vec<CatalogFile> = serde_json::from_value(json!([{"provider": "xai", "models": self.own}])).unwrap();
        let (aliases, checked) = (Vec::new(), day("2026-11-24"));
        let sources =
            Sources { genai: &genai, litellm: &litellm, decisions: &decisions, aliases: &aliases, own: &own, checked };
        let mut report = Report::default();
        let document = sources.document("xai", self.before.as_ref(), &mut report);
        (document, report)
    }
}

fn by_genai(id: &str, prices: Value) -> Value {
    json!({"id": id, "match": {"starts_with": id}, "prices": prices})
}

fn by_litellm(input: f64, output: f64) -> Value {
    json!({"litellm_provider": "xai", "mode": "chat", "input_cost_per_token": input, "output_cost_per_token": output})
}

fn rates(document: &CatalogFile, model: &str) -> Value {
    let found = document.models.iter().find(|it| it.model == model).unwrap();
    serde_json::to_value(&found.rates).unwrap()
}

#[test]
fn what_agrees_is_one_entry_with_what_each_set_has_beyond_the_other() {
    let genai = json!([by_genai(
        "m",
        json!([
            {"prices": {"input_mtok": 3, "output_mtok": 9}},
            {"constraint": {"start_date": "2026-06-01"}, "prices": {"input_mtok": 2, "output_mtok": 8, "web_searches_kcount": 5}},
        ])
    )]);
    let mut entry = by_litellm(2e-6, 8e-6);
    entry["cache_read_input_token_cost"] = json!(5e-7);
    entry["input_cost_per_token_batches"] = json!(1e-6);
    entry["cache_read_input_token_cost_batches"] = json!(2.5e-7);
    entry["output_cost_per_token_batches"] = json!(4e-6);
    let (document, report) = Case::new(genai, json!({"xai/m-0309": entry})).import();
    assert_eq!(
        rates(&document, "m"),
        json!([
            {"from": "2025-01-01", "input": "3.00", "output": "9.00"},
            {"from": "2026-06-01", "input": "2.00", "cache_read": "0.50", "output": "8.00", "web_searches": "5000.00",
             "variants": [{"when": {"service_tier": "batch"}, "multiplier": "0.50"}]},
        ])
    );
    assert_eq!(document.models[0].r#match, ["m", "m-20*", "m-0309"]);
    let source = document.source.unwrap();
    assert_eq!((source.via.as_deref(), source.licence.as_deref()), (Some("genai-prices 1, litellm 2"), Some("MIT")));
    assert!(report.differences.is_empty() && report.left_out.is_empty() && report.changes.is_empty());
}

#[test]
fn what_differs_is_decided_or_is_the_dearer_and_says_so() {
    let genai = json!([by_genai("m", json!({"input_mtok": 2, "output_mtok": 8}))]);
    let litellm = json!({"xai/m": by_litellm(3e-6, 9e-6), "xai/m-b": by_litellm(1e-6, 4e-6)});
    let input = |document: &CatalogFile, name: &str| {
        let entry = document.models.iter().find(|it| it.model == name || it.r#match.iter().any(|other| other == name));
        entry.unwrap().rates[0].stated(Kind::Input).unwrap().to_string()
    };
    let (document, report) = Case::new(genai.clone(), litellm.clone()).import();
    assert_eq!((input(&document, "m").as_str(), input(&document, "m-b").as_str()), ("3.00", "2.00"));
    assert_eq!(report.differences.len(), 2);
    assert!(report.differences.iter().all(|it| it.reviewed.is_none()));
    let own = document.models.iter().find(|it| it.model == "m").unwrap().source.clone();
    let note = own.or(document.source.clone()).unwrap().note.unwrap();
    assert!(
        note.starts_with("m: input 2.00 and 3.00, output 8.00 and 9.00 (genai-prices, litellm). Taken: litellm;"),
        "{note}"
    );

    let decisions = json!([
        {"provider": "xai", "model": "m-*", "take": "litellm", "why": "judged"},
        {"provider": "xai", "model": "*", "take": "genai-prices", "why": "judged"},
    ]);
    let (document, report) = Case { decisions, ..Case::new(genai, litellm) }.import();
    assert_eq!((input(&document, "m").as_str(), input(&document, "m-b").as_str()), ("2.00", "1.00"));
    assert!(report.differences.iter().all(|it| it.reviewed.as_deref() == Some("judged")));
}

#[test]
fn our_own_names_are_left_alone_and_a_zero_of_one_set_is_no_price() {
    let genai = json!([by_genai("m", json!({"input_mtok": 2, "output_mtok": 8}))]);
    let litellm =
        json!({"xai/n": by_litellm(1e-6, 4e-6), "xai/free": by_litellm(0.0, 0.0), "xai/n-2": by_litellm(1e-6, 4e-6)});
    let own = json!([{"model": "own", "match": ["m", "n-*"], "rates": []}]);
    let (document, report) = Case { own, ..Case::new(genai, litellm) }.import();
    let names: Vec<&str> = document.models.iter().map(|it| it.model.as_str()).collect();
    assert_eq!(names, ["m-20", "n"], "of `m` its dated snapshots are left");
    assert_eq!(report.left_out, ["xai/free: free by one data set alone"]);
}

#[test]
fn a_price_that_changed_begins_on_the_day_of_the_import_and_what_is_gone_stays() {
    let genai = json!([by_genai("m", json!({"input_mtok": 2, "output_mtok": 8}))]);
    let litellm = json!({"xai/n": by_litellm(1e-6, 4e-6)});
    let (before, _) = Case::new(genai.clone(), litellm).import();
    let (same, report) =
        Case { before: Some(before.clone()), ..Case::new(genai, json!({"xai/n": by_litellm(1e-6, 4e-6)})) }.import();
    assert_eq!((same.models, report.changes.len()), (before.models.clone(), 0));
    let genai = json!([by_genai("m", json!({"input_mtok": 3, "output_mtok": 8}))]);
    let (after, report) = Case { before: Some(before), ..Case::new(genai, json!({})) }.import();
    assert_eq!(
        rates(&after, "m"),
        json!([
            {"from": "2025-01-01", "input": "2.00", "output": "8.00"},
            {"from": "2026-11-24", "input": "3.00", "output": "8.00"},
        ])
    );
    assert_eq!(report.changes, ["xai/m: input 2.00 to 3.00", "xai/n: is not listed any more; kept"]);
    assert_eq!(rates(&after, "n"), json!([{"from": "2025-01-01", "input": "1.00", "output": "4.00"}]));
}

#[test]
fn a_variant_is_a_factor_where_it_is_one_on_all_rates() {
    let tidied = |rates: Value| {
        let mut rates: Rates = serde_json::from_value(rates).unwrap();
        tidy(&mut rates);
        serde_json::to_value(&rates).unwrap()
    };
    let base = |variants: Value| {
        json!({"from": FIRST, "input": "2.00", "cache_read": "0.20", "output": "8.00",
               "tiers": [{"above": 200_000, "input": "4.00", "output": "12.00"}], "variants": variants})
    };
    let batch = json!({"service_tier": "batch"});
    let priority = json!({"service_tier": "priority"});
    let cases = [
        // half of all
        (
            json!([{"when": batch, "input": "1", "cache_read": "0.1", "output": "4"}]),
            json!([{"when": batch, "multiplier": "0.50"}]),
        ),
        // cached tokens at the usual price; long prompts as much cheaper
        (
            json!([{"when": batch, "input": "1", "output": "4"}]),
            json!([{"when": batch, "input": "1.00", "output": "4.00",
                 "tiers": [{"above": 200_000, "input": "2.00", "output": "6.00"}]}]),
        ),
        // a dearer one is on what it leaves out too
        (json!([{"when": priority, "input": "3", "output": "12"}]), json!([{"when": priority, "multiplier": "1.50"}])),
        // no factor
        (
            json!([{"when": priority, "input": "3", "output": "10"}]),
            json!([{"when": priority, "input": "3.00", "output": "10.00",
                 "tiers": [{"above": 200_000, "input": "6.00", "output": "15.00"}]}]),
        ),
        // nothing that the usual terms do not say
        (json!([{"when": batch, "input": "2", "cache_read": "0.2", "output": "8"}]), json!(null)),
    ];
    for (variants, want) in cases {
        let got = tidied(base(variants.clone()));
        assert_eq!(got["variants"], want, "{variants}");
        assert_eq!(got["tiers"][0]["cache_read"], "0.20", "a tier states what is stated outside");
    }
    let repeated = tidied(json!({"from": FIRST, "input": "2", "input_image": "2", "output": "8", "reasoning": "8"}));
    assert_eq!(repeated, json!({"from": FIRST, "input": "2.00", "output": "8.00"}));
    assert_eq!(tidied(json!({"from": FIRST, "input": "2"})), json!({"from": FIRST, "input": "2.00", "output": "0.00"}));
}
