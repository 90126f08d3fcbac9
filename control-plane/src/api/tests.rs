use super::*;
use crate::sync;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use purser_core::config::BudgetRule;
use purser_core::sync::{SyncRequest, SyncResponse};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tower::ServiceExt;

const USD: u64 = 1_000_000_000;

/// Both routers over a book in a folder of its own.
struct World {
    people: Router,
    machines: Router,
    ledger: Ledger,
    now_ms: u64,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        let book = Arc::new(PriceBook::new(
            "b1".into(),
            vec![
                serde_json::from_value(json!({
                    "provider": "openai", "model": "m",
                    "source": {"url": "https://provider.example/pricing", "checked": "2026-11-20"},
                    "rates": [{"from": "2026-01-01", "input": "1", "output": "10.50"}],
                }))
                .unwrap(),
            ],
        ));
        let view = ProxyAnswer {
            connected: true,
            envoy_version: "1.40.0".into(),
            config: vec![ConfigView {
                r#type: "filter".into(),
                version: "v1".into(),
                status: "acked".into(),
                error: None,
                at_ms: 5,
            }],
            report: purser_ledger::ProxyRow { proxy: "edge-1".into(), ..Default::default() },
        };
        let state = ApiState {
            ledger: ledger.clone(),
            policy: Arc::new(|| PolicyView { version: "v1".into(), good: true, ..PolicyView::default() }),
            proxies: Arc::new(move || vec![view.clone()]),
            book: Arc::new(move || Some(Arc::clone(&book))),
            thresholds: Arc::new(|budget| if budget == "team-daily" { vec![50, 80, 100] } else { Vec::new() }),
        };
        let (people, machines) = (router(state), sync::router(ledger.clone()));
        Self { people, machines, ledger, now_ms: now_ms(), _folder: folder }
    }

    async fn get(&self, uri: &str) -> (StatusCode, Value) {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = self.people.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
    }

    /// The answer to what must be well asked.
    async fn ok(&self, uri: &str) -> Value {
        let (status, body) = self.get(uri).await;
        assert_eq!(status, StatusCode::OK, "{uri}: {body}");
        body
    }

    async fn post_sync(&self, body: impl Into<Body>) -> (StatusCode, String) {
        let request = Request::post("/v1/sync").body(body.into()).unwrap();
        let response = self.machines.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn sync(&self, request: &Value) -> SyncResponse {
        let (status, body) = self.post_sync(request.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn budgets(&self, rules: &[Value]) {
        let whole = |rule: &Value| -> BudgetRule {
            let mut whole = json!({
                "name": "team-daily", "selector": {}, "per": ["team"], "limit": USD, "hard": true, "clamp": false,
                "on_unavailable": "closed", "on_unpriced": "deny",
                "periods_ms": [self.now_ms - HOUR_MS, self.now_ms + HOUR_MS, self.now_ms + 2 * HOUR_MS],
            });
            whole.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
            serde_json::from_value(whole).unwrap()
        };
        self.ledger.set_budgets(rules.iter().map(whole).collect());
    }

    /// A priced exchange of 100 prompt and 10 output tokens, with changes.
    fn record(&self, seq: u64, changes: &Value) -> Value {
        let mut record = json!({
            "proxy": "edge-1", "epoch": 7, "seq": seq, "request_id": format!("r{seq}"),
            "started_ms": self.now_ms, "duration_ms": 30, "first_byte_ms": 12, "api": "openai.chat", "stream": true,
            "provider": "openai", "request_model": "m", "response_model": "m-1",
            "labels": {"team": {"value": "ml", "source": "key"}, "user": {"value": "ann", "source": "header"}},
            "status": 200, "outcome": "complete",
            "usage": {"units": {"input": 70, "cache_read": 30, "output": 10}, "quality": "exact"},
            "cost": {"status": "priced", "nano_usd": 205_000, "femto_usd_by_kind":
                {"input": 70_000_000_000u64, "cache_read": 30_000_000_000u64, "output": 105_000_000_000u64},
                "entry": "openai/m@2026-01-01"},
            "estimate": {"input": 120, "output": 256, "reserved_nano_usd": 300_000},
            "policy": "v1", "price_book": "b1",
        });
        record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        record
    }

    fn refused(&self, seq: u64, team: &str) -> Value {
        self.record(
            seq,
            &json!({
                "outcome": "denied", "status": 402, "usage": null, "cost": {"status": "none"}, "provider": "",
                "labels": {"team": {"value": team, "source": "key"}},
                "denied": {"by": "Budget/team-daily", "reason": "budget"},
            }),
        )
    }

    /// What a proxy says that took the numbers up to the last record's.
    fn report(&self, records: &[Value], leases: &[Value]) -> Value {
        let next = records.iter().filter_map(|record| record["seq"].as_u64()).max().unwrap_or(0) + 1;
        json!({
            "proxy": "edge-1", "epoch": 7, "vm": u64::MAX, "policy": "v1", "next_seq": next, "open": [],
            "records": records, "leases": leases,
            "health": {"memory_bytes": 4096, "records_dropped": 2, "sync_failures": 0, "cold_waits": 1},
        })
    }

    fn lease(&self, team: &str, spent: u64, want: u64) -> Value {
        let instance = json!({"budget": "team-daily", "period_ms": self.now_ms - HOUR_MS, "group": [team]});
        json!({"instance": instance, "granted": 0, "spent": spent, "returned": 0, "reserved": 0, "want": want})
    }
}

const HOUR_MS: u64 = 3_600_000;

fn labels(team: &str) -> Value {
    json!({"labels": {"team": {"value": team, "source": "key"}}})
}

#[tokio::test]
async fn the_document_names_every_route_and_all_that_it_refers_to() {
    let world = World::new();
    let document = world.ok("/api/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let want = [
        "/api/v1/budgets",
        "/api/v1/keys",
        "/api/v1/policy",
        "/api/v1/proxies",
        "/api/v1/records",
        "/api/v1/records/{proxy}/{epoch}/{seq}",
        "/api/v1/spend",
        "/api/v1/summary",
        "/api/v1/top",
        "/healthz",
    ];
    assert_eq!(paths, BTreeSet::from(want));
    world.sync(&world.report(&[world.record(1, &json!({}))], &[])).await;
    for path in paths {
        let (status, body) = world.get(&path.replace("{proxy}/{epoch}/{seq}", "edge-1/7/1")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }

    let text = document.to_string();
    let named: Vec<&str> = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(named.len() > 10, "{named:?}");
    for pointer in named {
        assert!(document.pointer(pointer).is_some(), "{pointer} is referred to and not there");
    }
}

#[tokio::test]
async fn the_answers_have_the_fields_that_the_document_promises() {
    let world = World::new();
    world.budgets(&[json!({})]);
    world.ledger.create_key("ci".into(), BTreeMap::from([("team".into(), "ml".into())]), None, 1).await.unwrap();
    let lease = world.lease("ml", 205_000, USD / 4);
    world.sync(&world.report(&[world.record(1, &json!({})), world.refused(2, "ml")], &[lease])).await;
    let document = world.ok("/api/openapi.json").await;
    for (path, description) in document["paths"].as_object().unwrap() {
        let schema = &description["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let answer = match path.as_str() {
            "/healthz" => continue,
            path => world.ok(&path.replace("{proxy}/{epoch}/{seq}", "edge-1/7/1")).await,
        };
        promised(&document, schema, &answer, path);
    }
}

/// Each required property of a schema is there, each property that is there is described, all the way down.
fn promised(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(pointer) = schema["$ref"].as_str() {
        let schema = document.pointer(pointer.trim_start_matches('#')).unwrap();
        return promised(document, schema, value, at);
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        // Null or a thing: the thing's schema when it is one.
        let one = one_of.iter().find(|one| one["type"] == "null" || !value.is_null());
        if let Some(one) = one.filter(|_| value.is_null()).or(one_of.iter().find(|one| one["type"] != "null")) {
            return promised(document, one, value, at);
        }
    }
    let mut described = serde_json::Map::new();
    let mut parts = vec![schema.clone()];
    while let Some(part) = parts.pop() {
        if let Some(pointer) = part["$ref"].as_str() {
            parts.push(document.pointer(pointer.trim_start_matches('#')).unwrap().clone());
        }
        parts.extend(part["allOf"].as_array().into_iter().flatten().cloned());
        described.extend(part["properties"].as_object().cloned().unwrap_or_default());
        for name in part["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(value.get(name).is_some(), "{at}.{name} is promised and not there: {value}");
        }
    }
    match value {
        Value::Object(fields) if !described.is_empty() => {
            for (name, field) in fields {
                let schema = described.get(name).unwrap_or_else(|| panic!("{at}.{name} is not described"));
                promised(document, schema, field, &format!("{at}.{name}"));
            }
        }
        Value::Array(items) => {
            assert!(!schema["items"].is_null(), "{at} is a list and not described as one");
            for item in items {
                promised(document, &schema["items"], item, &format!("{at}[]"));
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn health_is_ok() {
    assert_eq!(World::new().get("/healthz").await, (StatusCode::OK, json!("ok\n")));
}

#[tokio::test]
async fn a_bad_request_names_what_is_wrong_and_how_to_put_it_right() {
    let world = World::new();
    let cases = [
        // uri, in the message, in the fix
        ("/api/v1/summary?from_ms=2&to_ms=1", "from_ms", "swap"),
        ("/api/v1/summary?from_ms=yesterday", "from_ms", "openapi.json"),
        ("/api/v1/summary?from_ms=-1", "from_ms", "openapi.json"),
        ("/api/v1/summary?to_ms=18446744073709551615", "to_ms", "milliseconds"),
        ("/api/v1/summary?since=1", "since", "openapi.json"),
        ("/api/v1/spend?by=colour", "colour", "openapi.json"),
        ("/api/v1/spend?bucket=week", "week", "openapi.json"),
        ("/api/v1/spend?from_ms=0&bucket=minute", "columns", "bucket"),
        ("/api/v1/top?by=team&limit=0", "limit", "1 to 1000"),
        ("/api/v1/top?by=team&limit=1001", "limit", "1 to 1000"),
        ("/api/v1/records?limit=0", "limit", "1 to 1000"),
        ("/api/v1/records?limit=ten", "limit", "openapi.json"),
        ("/api/v1/records?outcome=lost", "lost", "complete, aborted, denied, failed"),
        ("/api/v1/records?from_ms=253402300800000", "from_ms", "milliseconds"),
        ("/api/v1/records/edge-1/one/1", "one", "proxy/epoch/seq"),
    ];
    for (uri, message, fix) in cases {
        let (status, body) = world.get(uri).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{uri}: {body}");
        let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
        assert!(text("message").contains(message), "{uri}: {body}");
        assert!(text("fix").contains(fix), "{uri}: {body}");
    }
    let (status, body) = world.get("/api/v1/records/edge-1/7/1").await;
    assert_eq!((status, &body["error"]["message"]), (StatusCode::NOT_FOUND, &json!("no such record")));
}

#[tokio::test]
async fn the_summary_adds_up_what_is_known_and_counts_what_is_not() {
    let world = World::new();
    let usage = |quality: &str| json!({"units": {"input": 5, "output": 1}, "quality": quality});
    let records = [
        world.record(1, &json!({})),
        world.record(2, &json!({"cost": {"status": "unpriced"}, "usage": usage("estimated")})),
        world.record(3, &json!({"cost": {"status": "unmetered"}, "usage": null})),
        world.record(4, &json!({"outcome": "failed", "status": 503, "cost": {"status": "none"}, "usage": null})),
        world.refused(5, "ml"),
        world.record(6, &json!({"started_ms": world.now_ms - 2 * DAY_MS})),
    ];
    world.sync(&world.report(&records, &[])).await;
    let day = world.ok("/api/v1/summary").await;
    let count = |name: &str| day[name].as_u64().unwrap();
    let names = ["spend_nano_usd", "requests", "refused", "failed", "unpriced", "unmetered", "estimated"];
    assert_eq!(names.map(count), [205_000, 5, 1, 1, 1, 1, 1], "{day}");
    let tokens = ["input", "cache_read", "output"].map(|kind| day["units"][kind].as_u64().unwrap());
    assert_eq!(tokens, [75, 30, 11]);
    assert_eq!(day["units"]["cache_write_1h"], Value::Null, "a kind that was not used is left out");

    let whole = world.ok(&format!("/api/v1/summary?from_ms={}", world.now_ms - 3 * DAY_MS)).await;
    assert_eq!(whole["requests"], 6, "the time asked for is what counts");
    let none = world.ok("/api/v1/summary?from_ms=0&to_ms=60000").await;
    assert_eq!((&none["requests"], &none["spend_nano_usd"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn spend_is_in_its_column_and_small_keys_are_folded_into_one() {
    let world = World::new();
    let hour = world.now_ms - world.now_ms % HOUR_MS;
    let cost = |nano: u64| json!({"status": "priced", "nano_usd": nano, "femto_usd_by_kind": {}, "entry": "x"});
    let mut records: Vec<Value> = (1..=14)
        .map(|n| {
            let mut record = world.record(n, &labels(&format!("t{n:02}")));
            record["cost"] = cost(n * 100);
            record["started_ms"] = json!(hour - HOUR_MS + n);
            record
        })
        .collect();
    let mut late = world.record(15, &labels("t14"));
    late["started_ms"] = json!(hour);
    late["cost"] = cost(7);
    records.push(late);
    world.sync(&world.report(&records, &[])).await;

    let (from, to) = (hour - 2 * HOUR_MS, hour + HOUR_MS);
    let spend = world.ok(&format!("/api/v1/spend?from_ms={from}&to_ms={to}&by=team&bucket=hour")).await;
    assert_eq!(spend["bucket_ms"], HOUR_MS);
    assert_eq!(spend["starts_ms"], json!([from, hour - HOUR_MS, hour]));
    let series = spend["series"].as_array().unwrap();
    assert_eq!(series.first().unwrap()["key"], "t14");
    assert_eq!(series.first().unwrap()["nano_usd"], json!([0, 1_400, 7]));
    assert_eq!(series.first().unwrap()["requests"], json!([0, 1, 1]));
    let folded: Vec<&Value> = series.iter().filter(|one| one["folded"] == true).collect();
    assert_eq!(folded.len(), 1, "{series:?}");
    assert_eq!(folded[0]["key"], "other");
    assert_eq!(series.last().unwrap(), folded[0], "the rest comes last");
    let sum = |one: &Value| one["nano_usd"].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(series.iter().map(sum).sum::<u64>(), (1..=14).sum::<u64>() * 100 + 7, "nothing is lost by folding");

    let models = world.ok(&format!("/api/v1/spend?from_ms={from}&to_ms={to}&by=model&bucket=day")).await;
    assert_eq!(models["series"][0]["key"], "m");
    assert_eq!(models["series"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn top_is_by_spend_and_an_unknown_label_has_an_empty_key() {
    let world = World::new();
    let records = [
        world.record(1, &labels("ml")),
        world.record(2, &labels("ml")),
        world.record(3, &json!({"labels": {}})),
        world.refused(4, "web"),
    ];
    world.sync(&world.report(&records, &[])).await;
    let top = world.ok("/api/v1/top?by=team").await;
    let rows: Vec<(&str, u64, u64, u64, u64, u64)> = top["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let n = |name: &str| row[name].as_u64().unwrap();
            let key = row["key"].as_str().unwrap();
            (key, n("nano_usd"), n("requests"), n("refused"), n("prompt_tokens"), n("output_tokens"))
        })
        .collect();
    let want = [("ml", 410_000, 2, 0, 200, 20), ("", 205_000, 1, 0, 100, 10), ("web", 0, 1, 1, 0, 0)];
    assert_eq!(rows, want);
    assert_eq!(world.ok("/api/v1/top?by=team&limit=1").await["rows"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_budget_shows_what_is_spent_reserved_left_and_refused_by_group() {
    let world = World::new();
    world.budgets(&[json!({}), json!({"name": "company", "per": [], "hard": false, "limit": 10 * USD})]);
    let declared = world.ok("/api/v1/budgets").await;
    let rows = declared["budgets"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "a budget without traffic is shown");
    let team = rows.iter().find(|row| row["budget"] == "team-daily").unwrap();
    assert_eq!((&team["group"], &team["left_nano_usd"]), (&Value::Null, &json!(USD)));
    assert_eq!(team["period"]["start_ms"], world.now_ms - HOUR_MS);
    assert_eq!(team["period"]["end_ms"], world.now_ms + HOUR_MS);

    let spent = USD / 10 * 6;
    let granted = world.sync(&world.report(&[], &[world.lease("ml", spent, USD / 10)])).await;
    assert_eq!(granted.leases[0].granted, spent + USD / 10, "the grant covers what was spent without one");
    world.sync(&world.report(&[world.refused(1, "ml"), world.refused(2, "web")], &[])).await;
    let budgets = world.ok("/api/v1/budgets").await;
    let team = budgets["budgets"].as_array().unwrap().iter().find(|row| row["budget"] == "team-daily").unwrap();
    assert_eq!(team["group"], json!([{"label": "team", "value": "ml"}]));
    let n = |name: &str| team[name].as_u64().unwrap();
    assert_eq!(n("spent_nano_usd"), spent);
    assert_eq!(n("reserved_nano_usd"), USD / 10);
    assert_eq!(n("left_nano_usd"), USD - spent - USD / 10);
    assert_eq!(n("refused"), 1, "the other team's is not ours");
    assert_eq!(team["thresholds_percent"], json!([50, 80, 100]));
    assert_eq!(team["crossed_percent"], 50);
    assert_eq!((&team["proxies"][0]["proxy"], &team["proxies"][0]["spent"]), (&json!("edge-1"), &json!(spent)));
}

#[tokio::test]
async fn proxies_are_what_xds_knows_and_what_they_reported() {
    let world = World::new();
    let mut other = world.report(&[], &[]);
    other["proxy"] = json!("edge-2");
    world.sync(&other).await;
    let bad = world.record(3, &json!({"started_ms": "soon"}));
    world.sync(&world.report(&[world.record(1, &json!({})), bad.clone()], &[])).await;
    world.sync(&world.report(&[world.record(1, &json!({})), bad], &[])).await;
    let answer = world.ok("/api/v1/proxies").await;
    let [one, two] = answer["proxies"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(
        (&one["proxy"], &one["connected"], &one["envoy_version"]),
        (&json!("edge-1"), &json!(true), &json!("1.40.0"))
    );
    assert_eq!((&one["config"][0]["status"], &one["config"][0]["type"]), (&json!("acked"), &json!("filter")));
    assert_eq!((&one["records"], &one["duplicates"], &one["quarantined"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&one["epoch"], &one["policy"], &one["dropped"]), (&json!(7), &json!("v1"), &json!(2)));
    assert_eq!((&one["memory_bytes"], &one["cold_waits"]), (&json!(4096), &json!(1)));
    assert_eq!((&two["proxy"], &two["connected"], &two["records"]), (&json!("edge-2"), &json!(false), &json!(0)));
}

#[tokio::test]
async fn records_are_filtered_and_every_one_is_on_one_page() {
    let world = World::new();
    let records: Vec<Value> =
        (1..=25).map(|n| if n % 5 == 0 { world.refused(n, "web") } else { world.record(n, &json!({})) }).collect();
    world.sync(&world.report(&records, &[])).await;

    let (mut seen, mut before) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = world.ok(&format!("/api/v1/records?limit=10{before}")).await;
        seen.extend(page["records"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    let want: Vec<String> = (1..=25).rev().map(|n| format!("edge-1/7/{n}")).collect();
    assert_eq!(seen, want);

    let (from, to) = (world.now_ms - 1, world.now_ms + 1);
    let cases = [
        ("team=web".to_owned(), 5),
        ("team=ml&user=ann".to_owned(), 20),
        ("user=bob".to_owned(), 0),
        ("outcome=denied".to_owned(), 5),
        ("model=m&provider=openai".to_owned(), 20),
        ("org=acme".to_owned(), 0),
        (format!("from_ms={from}&to_ms={to}"), 25),
        (format!("to_ms={from}"), 0),
    ];
    for (query, count) in cases {
        let page = world.ok(&format!("/api/v1/records?{query}")).await;
        assert_eq!(page["records"].as_array().unwrap().len(), count, "{query}");
    }
    let row = &world.ok("/api/v1/records?limit=1&outcome=complete").await["records"][0];
    assert_eq!(row["labels"], json!({"team": "ml", "user": "ann"}));
    assert_eq!(
        (&row["prompt_tokens"], &row["output_tokens"], &row["quality"]),
        (&json!(100), &json!(10), &json!("exact"))
    );
    assert_eq!(
        (&row["cost_status"], &row["nano_usd"], &row["denied"]),
        (&json!("priced"), &json!(205_000), &Value::Null)
    );
    let row = &world.ok("/api/v1/records?limit=1&outcome=denied").await["records"][0];
    assert_eq!(row["denied"], json!({"by": "Budget/team-daily", "reason": "budget"}));
}

#[tokio::test]
async fn a_record_is_shown_as_it_was_written_with_the_price_it_was_priced_by() {
    let world = World::new();
    let mut written = world.record(1, &json!({}));
    written["of_a_newer_filter"] = json!({"kept": true});
    let unpriced = world.record(2, &json!({"cost": {"status": "unpriced"}}));
    world.sync(&world.report(&[written.clone(), unpriced], &[])).await;
    let answer = world.ok("/api/v1/records/edge-1/7/1").await;
    assert_eq!(answer["record"], written);
    assert!(answer["received_ms"].as_u64().unwrap() >= world.now_ms);
    let price = &answer["price"];
    assert_eq!(price["entry"], "openai/m@2026-01-01");
    assert_eq!(
        (&price["source_url"], &price["checked"]),
        (&json!("https://provider.example/pricing"), &json!("2026-11-20"))
    );
    assert_eq!((&price["rates"]["input"], &price["rates"]["output"]), (&json!("1.00"), &json!("10.50")));
    assert_eq!(world.ok("/api/v1/records/edge-1/7/2").await["price"], Value::Null);
}

#[tokio::test]
async fn policy_names_the_models_that_have_no_price() {
    let world = World::new();
    let unpriced = world.record(1, &json!({"request_model": "mystery", "cost": {"status": "unpriced"}}));
    world.sync(&world.report(&[unpriced, world.record(2, &json!({}))], &[])).await;
    let policy = world.ok("/api/v1/policy").await;
    assert_eq!((&policy["version"], &policy["good"]), (&json!("v1"), &json!(true)));
    assert_eq!(policy["unpriced_models"], json!(["mystery"]));
}

#[tokio::test]
async fn keys_are_listed_without_the_key_or_its_hash() {
    let world = World::new();
    let labels = BTreeMap::from([("team".to_owned(), "ml".to_owned())]);
    let made = world.ledger.create_key("ci".into(), labels, Some(9), 5).await.unwrap();
    let hash = world.ledger.watch_keys().unwrap().borrow()[0].sha256.clone();
    let answer = world.ok("/api/v1/keys").await;
    let row = &answer["keys"][0];
    assert_eq!((&row["id"], &row["name"], &row["labels"]["team"]), (&json!(made.id), &json!("ci"), &json!("ml")));
    assert_eq!((&row["created_ms"], &row["expires_ms"], &row["revoked_ms"]), (&json!(5), &json!(9), &Value::Null));
    let prefix = row["prefix"].as_str().unwrap();
    assert!(made.secret.starts_with(prefix) && prefix.len() < made.secret.len() / 2, "{prefix}");
    let text = answer.to_string();
    assert!(!text.contains(&made.secret) && !text.contains(&hash), "{text}");
}

#[tokio::test]
async fn a_report_sent_again_counts_nothing_twice() {
    let world = World::new();
    world.budgets(&[json!({})]);
    let lease = world.lease("ml", 205_000, USD / 10);
    let report = world.report(&[world.record(1, &json!({})), world.record(2, &json!({}))], &[lease]);
    let first = world.sync(&report).await;
    let again = world.sync(&report).await;
    assert_eq!(again, first, "what was granted is told again, not granted again");
    let summary = world.ok("/api/v1/summary").await;
    assert_eq!((&summary["requests"], &summary["spend_nano_usd"]), (&json!(2), &json!(410_000)));
    let budgets = world.ok("/api/v1/budgets").await;
    assert_eq!(budgets["budgets"][0]["spent_nano_usd"], 205_000);
    assert_eq!(world.ok("/api/v1/proxies").await["proxies"][0]["duplicates"], 2);
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_refused_by_name_and_the_next_is_taken() {
    let world = World::new();
    let without_proxy = {
        let mut report = world.report(&[], &[]);
        report.as_object_mut().unwrap().remove("proxy");
        report.to_string()
    };
    let nameless = {
        let mut report = world.report(&[], &[]);
        report["proxy"] = json!("");
        report.to_string()
    };
    let cases = [
        ("{", "EOF"),
        (without_proxy.as_str(), "missing field `proxy`"),
        (r#"{"proxy": 1}"#, "string"),
        ("\u{0}", "line 1"),
        (nameless.as_str(), "1 to 256 bytes"),
    ];
    for (body, named) in cases {
        let (status, text) = world.post_sync(body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert!(error["error"]["message"].as_str().unwrap().contains(named), "{body}: {text}");
        assert!(error["error"]["fix"].is_string(), "{text}");
    }
    let (status, _) = world.post_sync(vec![b' '; (16 << 20) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    world.sync(&world.report(&[world.record(1, &json!({}))], &[])).await;
    assert_eq!(world.ok("/api/v1/summary").await["requests"], 1);
}

#[tokio::test]
async fn the_tests_speak_as_the_filter_does() {
    let world = World::new();
    let report = world.report(&[world.record(1, &json!({}))], &[world.lease("ml", 1, 2)]);
    let typed: SyncRequest = serde_json::from_value(report).unwrap();
    let record: purser_core::record::Record = serde_json::from_str(typed.records[0].get()).unwrap();
    assert_eq!((record.proxy, record.epoch, record.seq), (typed.proxy, typed.epoch, 1));
}
