//! Exchanges through a real Envoy: metered, priced, attributed, refused, and written down, token by token.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use purser_tests::{World, until};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;

const POLICY: &str = r#"
apiVersion: purser.dev/v1alpha1
kind: Identity
metadata: { name: callers }
spec: { trust: [key, workload, header] }
---
apiVersion: purser.dev/v1alpha1
kind: Budget
metadata: { name: teams }
spec: { selector: { labels: { team: [ml, tiny, paced] } }, per: [team], amount: "5.00", period: month }
---
apiVersion: purser.dev/v1alpha1
kind: Budget
metadata: { name: nothing }
spec: { selector: { labels: { team: [broke] } }, amount: "0", period: month }
---
apiVersion: purser.dev/v1alpha1
kind: AccessPolicy
metadata: { name: no-opus }
spec: { subject: { labels: { team: [ml] } }, deny: [{ models: ["*opus*"] }] }
---
apiVersion: purser.dev/v1alpha1
kind: RateLimit
metadata: { name: slow }
spec: { selector: { labels: { team: [paced] } }, requests: 1, window: 1h }
"#;

fn chat(stream: bool) -> Value {
    json!({"model": "gpt-5-mini", "max_completion_tokens": 40, "stream": stream,
        "messages": [{"role": "user", "content": "How much is in the chest?"}]})
}

fn message(stream: bool) -> Value {
    json!({"model": "claude-sonnet-4-5", "max_tokens": 30, "stream": stream,
        "messages": [{"role": "user", "content": "How much is in the chest?"}]})
}

fn response(stream: bool) -> Value {
    json!({"model": "gpt-5-mini", "max_output_tokens": 40, "stream": stream, "input": "How much is in the chest?"})
}

/// USD per 10⁶ tokens of the two models, as the catalog has them: input, cache read, writes of 5 minutes and an hour,
/// output; in nano-USD per token.
fn price(model: &str) -> [u64; 5] {
    if model == "gpt-5-mini" { [250, 25, 250, 250, 2_000] } else { [3_000, 300, 3_750, 6_000, 15_000] }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_is_recorded_as_the_provider_knows_it() {
    let world = World::start(POLICY, 1).await.unwrap();
    let cases: [(&str, Value, &str); 12] = [
        ("/v1/chat/completions", chat(false), ""),
        ("/v1/chat/completions", chat(true), ""),
        ("/openai/v1/chat/completions", chat(false), "gzip"),
        ("/v1/chat/completions", chat(true), "cut=7"),
        ("/v1/chat/completions", chat(true), "garbage"),
        ("/v1/chat/completions", chat(false), "cached=500"),
        ("/v1/messages", message(false), ""),
        ("/v1/messages", message(true), "cached=200,write5m=100,write1h=50"),
        ("/v1/messages", message(true), "cut=3"),
        ("/v1/messages", message(false), "gzip"),
        ("/v1/responses", response(false), "cached=500"),
        ("/v1/responses", response(true), "cut=5"),
    ];
    for (path, body, trouble) in &cases {
        let path = path.trim_start_matches("/openai");
        let answer = world
            .post(path, body)
            .header("x-purser-team", "ml")
            .header("x-purser-workload", "spoofed")
            .header("x-stand-in", *trouble)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path} {trouble}\n{}", world.logs());
        let bytes = answer.bytes().await.unwrap();
        if !trouble.contains("gzip") {
            let text = String::from_utf8_lossy(&bytes);
            let streams = body["stream"] == true;
            assert!(!(streams && text.contains("\"choices\":[]")), "the usage event is taken out: {text}");
            assert!(!streams || path != "/v1/chat/completions" || text.ends_with("data: [DONE]\n\n"), "{text}");
        }
    }
    let mut rows = world.records(cases.len()).await.unwrap();
    // Each worker reports on its own: the order of arrival is not that of the exchanges.
    let seq = |row: &Value| row["id"].as_str().and_then(|id| id.rsplit('/').next()?.parse::<u64>().ok());
    rows.sort_by_key(|row| std::cmp::Reverse(seq(row)));
    let truth = world.stand_in.ledger().entries();
    assert_eq!((rows.len(), truth.len()), (cases.len(), cases.len()));
    for ((row, truth), (_, body, trouble)) in rows.iter().rev().zip(&truth).zip(&cases) {
        let record = world.record(row).await.unwrap();
        let units = &record["usage"]["units"];
        let count = |name: &str| units.get(name).and_then(Value::as_u64).unwrap_or(0);
        let model = body["model"].as_str().unwrap();
        let rates = price(model);
        let uncached = truth.prompt - truth.cached - truth.write_5m - truth.write_1h;
        let want = [uncached, truth.cached, truth.write_5m, truth.write_1h, truth.output];
        let got = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"].map(count);
        assert_eq!(got, want, "{model} {trouble}: {record}");
        assert_eq!(record["usage"]["quality"], "exact", "{record}");
        let cost: u64 = want.iter().zip(rates).map(|(tokens, rate)| tokens * rate).sum();
        assert_eq!(record["cost"]["nano_usd"], cost, "{model} {trouble}: {record}");
        assert_eq!(record["labels"]["team"], json!({"value": "ml", "source": "header"}));
        let workload = json!({"value": "checkout", "source": "workload"});
        assert_eq!(
            record["labels"]["workload"], workload,
            "from the proxy's node metadata, and no header says otherwise"
        );
        assert_eq!(record["outcome"], "complete");
        // What reached the provider: its own credential, and nothing of ours.
        let headers = &truth.headers;
        assert!(headers.keys().all(|name| !name.starts_with("x-purser-")), "{headers:?}");
        let secret = headers.get("authorization").or(headers.get("x-api-key")).unwrap();
        assert!(secret.ends_with("provider-secret"), "{headers:?}");
    }
    // The same lines, by the other way.
    let logged = until("the access log has all", || async {
        let lines = world.access_log();
        (lines.len() == cases.len()).then_some(lines)
    });
    let mut logged = logged.await.unwrap();
    logged.sort_by_key(|line| line["seq"].as_u64());
    for (row, line) in rows.iter().rev().zip(&logged) {
        assert_eq!(&world.record(row).await.unwrap(), line);
    }
    // What was charged is what was recorded.
    let recorded: u64 = rows.iter().filter_map(|row| row["nano_usd"].as_u64()).sum();
    let budgets = world.api("budgets").await.unwrap();
    let ml = budgets["budgets"].as_array().unwrap().iter().find(|row| row["group"][0]["value"] == "ml").unwrap();
    assert_eq!(ml["spent_nano_usd"], recorded);
    let proxies = world.api("proxies").await.unwrap();
    assert_eq!((&proxies["proxies"][0]["missing"], &proxies["proxies"][0]["duplicates"]), (&json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_speak_the_dialect_and_nothing_reaches_the_provider() {
    let world = World::start(POLICY, 1).await.unwrap();
    let opus = json!({"model": "claude-opus-4-5", "max_tokens": 5, "messages": []});
    let mystery = json!({"model": "mystery-1", "messages": []});
    let cases: [(&str, &str, Value, u16, &str, &str); 7] = [
        ("/v1/messages", "ml", opus, 403, "AccessPolicy/no-opus", "permission_error"),
        ("/v1/chat/completions", "broke", chat(true), 429, "Budget/nothing", "insufficient_quota"),
        ("/v1/messages", "broke", message(false), 400, "Budget/nothing", "invalid_request_error"),
        ("/v1/chat/completions", "ml", mystery, 403, "Budget/teams", "permission_error"),
        ("/v1/chat/completions", "ml", json!([]), 400, "Request", "invalid_request_error"),
        ("/v1/chat/completions", "ml", json!({"model": 5}), 400, "Request", "invalid_request_error"),
        ("/v1/messages", "ml", json!({"model": "c", "stream": "yes"}), 400, "Request", "invalid_request_error"),
    ];
    for (path, team, body, status, by, kind) in &cases {
        let answer = world.post(path, body).header("x-purser-team", *team).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!((answer.status().as_u16(), header("x-purser-denied-by").as_deref()), (*status, Some(*by)), "{body}");
        assert_eq!(header("x-should-retry").as_deref(), Some("false"), "{body}");
        let text: Value = answer.json().await.unwrap();
        assert_eq!(text["error"]["type"], *kind, "{text}");
    }
    let paced = || world.post("/v1/chat/completions", &chat(false)).header("x-purser-team", "paced").send();
    assert_eq!(paced().await.unwrap().status(), 200);
    let second = paced().await.unwrap();
    assert_eq!(second.status(), 429);
    assert!(second.headers().contains_key("retry-after"));
    assert_eq!(world.stand_in.ledger().len(), 1, "only the one that passed");
    let rows = world.records(cases.len() + 2).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row["outcome"] == "denied").count(), cases.len() + 1);

    // Naming a provider oneself does not lead past the filter.
    let bypass =
        world.client.get(format!("{}/v1/files", world.gateway())).header("x-purser-route", "openai").send().await;
    assert_eq!(bypass.unwrap().status(), 404);
    assert_eq!(world.stand_in.ledger().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_its_labels_until_it_is_revoked() {
    let world = World::start(POLICY, 1).await.unwrap();
    let key = world.keys(&["create", "--label", "team=ml", "--label", "user=ann", "--name", "test"]).unwrap();
    let ask =
        || world.post("/v1/chat/completions", &chat(false)).bearer_auth(&key).header("x-purser-team", "spoofed").send();
    until("the key is known", || async { (ask().await.ok()?.status() == 200).then_some(()) }).await.unwrap();
    let rows = until("a record with the key's labels", || async {
        let rows = world.records(1).await.ok()?;
        rows.iter().any(|row| row["labels"]["user"] == "ann").then_some(rows)
    });
    let row = rows.await.unwrap().into_iter().find(|row| row["labels"]["user"] == "ann").unwrap();
    assert_eq!(row["labels"]["team"], "ml", "a key is trusted before a header");
    let unknown = world.post("/v1/messages", &message(false)).header("x-api-key", "pk-nonsense").send().await.unwrap();
    assert_eq!(
        (unknown.status().as_u16(), unknown.json::<Value>().await.unwrap()["error"]["type"].clone()),
        (401, json!("authentication_error"))
    );
    assert!(world.stand_in.ledger().entries().iter().all(|entry| !format!("{:?}", entry.headers).contains("pk-")));

    let list = world.keys(&["list"]).unwrap();
    let id = list.lines().last().unwrap().split(' ').next().unwrap();
    world.keys(&["revoke", id]).unwrap();
    let began = std::time::Instant::now();
    until("the key is refused", || async { (ask().await.ok()?.status() == 401).then_some(()) }).await.unwrap();
    assert!(began.elapsed().as_secs() < 3, "in effect within two seconds, and a second for slow machines");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_policy_cuts_no_stream_and_a_bad_file_changes_nothing() {
    let world = World::start(POLICY, 1).await.unwrap();
    let slow = world
        .post("/v1/chat/completions", &chat(true))
        .header("x-purser-team", "ml")
        .header("x-stand-in", "delay_ms=60");
    let mut slow = slow.send().await.unwrap();
    slow.chunk().await.unwrap();
    world.write_policy("policy.yaml", &POLICY.replace("*opus*", "gpt-*")).unwrap();
    let ask = || world.post("/v1/chat/completions", &chat(false)).header("x-purser-team", "ml").send();
    let began = std::time::Instant::now();
    until("the new rule acts", || async { (ask().await.ok()?.status() == 403).then_some(()) }).await.unwrap();
    assert!(began.elapsed().as_millis() < 3_000, "hot within two seconds, and one for slow machines");
    let mut rest = String::new();
    while let Some(chunk) = slow.chunk().await.unwrap() {
        rest.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "the stream under way went on to its end");

    world.write_policy("broken.yaml", "kind: Budgit\n").unwrap();
    let policy = until("the problem is shown", || async {
        let policy = world.api("policy").await.ok()?;
        (policy["good"] == false).then_some(policy)
    });
    let policy = policy.await.unwrap();
    assert_eq!((&policy["problems"][0]["file"], &policy["problems"][0]["line"]), (&json!("broken.yaml"), &json!(1)));
    assert_eq!(ask().await.unwrap().status(), 403, "the last good policy is in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_asks_for_no_more_output_than_its_budget_has() {
    let policy = "apiVersion: purser.dev/v1alpha1\nkind: Budget\nmetadata: { name: small }\n\
        spec: { amount: \"0.0002\", period: month, clamp: true, defaultMaxTokens: 30 }\n";
    let world = World::start(policy, 1).await.unwrap();
    let question = json!([{"role": "user", "content": "How much?"}]);
    let cases = [
        ("says nothing", json!({"model": "gpt-5-mini", "messages": question}), 30..=30),
        ("says less", json!({"model": "gpt-5-mini", "max_completion_tokens": 20, "messages": question}), 20..=20),
        // The whole amount buys a hundred tokens of this model, and half of them were bought above.
        ("says more", json!({"model": "gpt-5-mini", "max_completion_tokens": 999, "messages": question}), 16..=49),
    ];
    for (case, body, capped) in &cases {
        let answer = world.post("/v1/chat/completions", body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{case}: {}", answer.text().await.unwrap());
        answer.bytes().await.unwrap();
        let sent: Value = serde_json::from_str(&world.stand_in.ledger().entries().last().unwrap().body).unwrap();
        let asked = sent["max_completion_tokens"].as_u64().or(sent["max_tokens"].as_u64()).unwrap();
        assert!(capped.contains(&asked), "{case}: {sent}");
        assert_eq!(sent["messages"], question, "{case}: the rest is as it was");
    }
    let rows = world.records(cases.len()).await.unwrap();
    let spent: u64 = rows.iter().filter_map(|row| row["nano_usd"].as_u64()).sum();
    assert!(spent <= 200_000, "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_control_plane_the_policy_decides() {
    let budget = |name: &str, rest: &str| {
        format!(
            "apiVersion: purser.dev/v1alpha1\nkind: Budget\nmetadata: {{ name: {name} }}\nspec: {{ selector: {{ labels: \
             {{ team: [{name}] }} }}, amount: \"1.00\", period: month{rest} }}\n"
        )
    };
    let policy = format!("{}---\n{}", budget("strict", ""), budget("lenient", ", onUnavailable: open"));
    let mut world = World::start(&policy, 1).await.unwrap();
    world.kill_control_plane();
    let ask = |world: &World, team: &str| {
        world.post("/v1/chat/completions", &chat(false)).header("x-purser-team", team).send()
    };
    let began = std::time::Instant::now();
    let (strict, lenient) = (ask(&world, "strict").await.unwrap(), ask(&world, "lenient").await.unwrap());
    assert!(began.elapsed().as_secs() < 10, "neither waits for long");
    assert_eq!(strict.status(), 503);
    assert_eq!(strict.headers()["x-purser-denied-by"], "Budget/strict");
    assert!(strict.headers().contains_key("retry-after"));
    assert_eq!(lenient.status(), 200);
    assert_eq!(world.stand_in.ledger().len(), 1, "only the one that policy lets through");

    // What was let through is charged once somebody keeps the book again, and both can go on.
    world.start_control_plane().await.unwrap();
    until("the strict one passes again", || async {
        (ask(&world, "strict").await.ok()?.status() == 200).then_some(())
    })
    .await
    .unwrap();
    until("both are charged", || async {
        let budgets = world.api("budgets").await.ok()?;
        let spent = |row: &Value| row["spent_nano_usd"].as_u64() > Some(0);
        budgets["budgets"].as_array()?.iter().all(spent).then_some(())
    })
    .await
    .unwrap();
}

/// What is to be seen of an exchange that went wrong.
struct Seen {
    status: u64,
    outcome: &'static str,
    /// What its cost is: a status, and whether it is above nothing.
    cost: (&'static str, bool),
    quality: Option<&'static str>,
    problems: &'static [&'static str],
}

/// A provider that nobody listens for, and one that is given up when it is silent for a second.
fn troubled(world: &World) -> String {
    let credential = world.credential_file();
    let one = |name: &str, endpoint: &str| {
        let head = "apiVersion: purser.dev/v1alpha1\nkind";
        format!(
            "{head}: Provider\nmetadata: {{ name: {name} }}\n\
             spec: {{ endpoint: \"{endpoint}\", apis: [openai.chat], credential: {{ file: {credential:?} }}, timeout: 1s }}\n---\n\
             {head}: Model\nmetadata: {{ name: {name}-1 }}\nspec: {{ provider: {name} }}\n---\n\
             {head}: PriceOverride\nmetadata: {{ name: {name} }}\n\
             spec: {{ provider: {name}, models: [{name}-1], rates: [{{ from: 2026-01-01, input: \"1\", output: \"1\" }}] }}\n"
        )
    };
    format!("{}---\n{}", one("gone", "http://127.0.0.1:1"), one("silent", &format!("http://{}", world.stand_in.addr())))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_is_seen_and_nothing_hangs() {
    let world = World::start(POLICY, 1).await.unwrap();
    world.write_policy("troubled.yaml", &troubled(&world)).unwrap();
    until("the new providers are there", || async {
        let policy = world.api("policy").await.ok()?;
        let known = |name: &str| policy["documents"].as_array()?.iter().find(|it| it["name"] == name).map(|_| ());
        known("silent")
    })
    .await
    .unwrap();
    world.settled().await.unwrap();
    // Each case is found again by its label.
    let request = |case: &str, trouble: &str| {
        let url = format!("{}/v1/chat/completions", world.gateway());
        let request = world.client.post(url).header("x-purser-team", "ml").header("x-purser-feature", case);
        request.header("x-stand-in", trouble)
    };
    let text = |case: &'static str, body: &'static str| {
        let request = request(case, "").body(body);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let ask = |case: &'static str, trouble: &str, body: Value| {
        let request = request(case, trouble).json(&body);
        async move {
            let answer = request.send().await.unwrap();
            // To its end: a client that leaves early is another case, below.
            let status = answer.status().as_u16();
            (status, answer.bytes().await.is_ok())
        }
    };
    let named = |model: &str| json!({"model": model, "max_completion_tokens": 5, "stream": true, "messages": []});

    assert_eq!(text("broken JSON", r#"{"model": "gpt-5-mini", "messages": [}"#).await, 400);
    assert_eq!(text("JSON that ends early", r#"{"model": "gpt-5-mini", "messages": ["#).await, 400);
    assert_eq!(text("no JSON", "hello").await, 400);
    assert_eq!(text("nothing", "").await, 400);
    assert_eq!(text("wrong types", r#"{"model": ["gpt-5-mini"], "messages": {}}"#).await, 400);
    assert_eq!(ask("error of the provider", "status=500", chat(false)).await, (500, true));
    assert_eq!(ask("stream cut by the provider", "reset=mid", chat(true)).await, (200, false));
    assert_eq!(ask("answer cut short", "truncate", chat(false)).await, (200, true));
    assert_eq!(ask("no usage", "nousage", chat(true)).await, (200, true));
    assert_eq!(ask("garbage in the stream", "garbage", chat(true)).await, (200, true));
    assert_eq!(ask("nobody listens", "", named("gone-1")).await, (503, true));
    assert_eq!(ask("stream that falls silent", "delay_ms=20000", named("silent-1")).await, (200, false));
    // Envoy answers in the provider's place, or passes the broken answer on: that depends on what came first.
    let reset = ask("reset before the answer", "reset=before", chat(false)).await;
    let picture = format!("data:image/png;base64,{}", "iVBORw0K".repeat(4 << 20));
    let big = json!({"model": "gpt-5-mini", "max_completion_tokens": 5, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": picture}}]}]});
    assert_eq!(ask("a picture of 32 MiB", "", big).await, (200, true), "{}", world.logs());
    // A body that its sender never ends.
    let mut socket = TcpStream::connect(world.gateway().trim_start_matches("http://")).unwrap();
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-purser-team: ml\r\nx-purser-feature: body cut short\r\n";
    socket.write_all(format!("{head}content-length: 500\r\n\r\n{{\"model\":").as_bytes()).unwrap();
    drop(socket);
    // A client that leaves in mid-stream.
    let mut left = request("client that left", "delay_ms=30").json(&chat(true)).send().await.unwrap();
    left.chunk().await.unwrap();
    drop(left);

    let refused = Seen {
        status: 400,
        outcome: "denied",
        cost: ("none", false),
        quality: None,
        problems: &["request_unreadable"],
    };
    let seen = |status, outcome, cost, quality, problems| Seen { status, outcome, cost, quality, problems };
    let free = ("none", false);
    let priced = ("priced", true);
    let cases = [
        ("broken JSON", Seen { ..refused }),
        ("JSON that ends early", Seen { ..refused }),
        ("no JSON", Seen { ..refused }),
        ("nothing", Seen { ..refused }),
        ("wrong types", refused),
        ("error of the provider", seen(500, "complete", free, None, &[])),
        ("stream cut by the provider", seen(200, "aborted", priced, Some("partial"), &[])),
        (
            "answer cut short",
            seen(200, "complete", priced, Some("estimated"), &["response_unreadable", "usage_missing"]),
        ),
        ("no usage", seen(200, "complete", priced, Some("estimated"), &["usage_missing"])),
        ("garbage in the stream", seen(200, "complete", priced, Some("exact"), &["event_unreadable"])),
        ("nobody listens", seen(503, "failed", free, None, &[])),
        ("stream that falls silent", seen(200, "aborted", priced, Some("partial"), &[])),
        ("a picture of 32 MiB", seen(200, "complete", priced, Some("exact"), &[])),
        ("body cut short", seen(0, "aborted", free, None, &[])),
        ("client that left", seen(200, "aborted", priced, Some("partial"), &[])),
    ];
    let rows = world.records(cases.len() + 1).await.unwrap();
    assert_eq!(rows.len(), cases.len() + 1, "each is counted, once: {rows:#?}");
    let mut wrong = Vec::new();
    for (case, want) in &cases {
        let row = rows.iter().find(|row| row["labels"]["feature"] == *case).unwrap_or(&Value::Null);
        let record = world.record(row).await.unwrap();
        let cost = (row["cost_status"].as_str().unwrap_or(""), row["nano_usd"].as_u64() > Some(0));
        let problems = record["problems"].as_array().cloned().unwrap_or_default();
        let same = row["status"] == want.status
            && row["outcome"] == want.outcome
            && cost == want.cost
            && row["quality"].as_str() == want.quality
            && problems == want.problems;
        if !same {
            wrong.push(format!("{case}: {row} {problems:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let row = rows.iter().find(|row| row["labels"]["feature"] == "reset before the answer").unwrap();
    assert!(row["outcome"] == "failed" || row["outcome"] == "aborted", "{reset:?} {row}");
    assert_eq!(world.api("proxies").await.unwrap()["proxies"][0]["missing"], 0);
}
