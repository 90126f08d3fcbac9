//! What an application sees that calls through the gateway with an official SDK: answers as from the provider, and for
//! each refusal the exception that the SDK has for it, after as many requests as make sense.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use purser_tests::{World, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;

const POLICY: &str = r#"
apiVersion: purser.dev/v1alpha1
kind: Budget
metadata: { name: nothing }
spec: { selector: { labels: { team: [broke] } }, amount: "0", period: month }
---
apiVersion: purser.dev/v1alpha1
kind: AccessPolicy
metadata: { name: no-dear-ones }
spec: { deny: [{ models: ["*opus*", "*-pro"] }] }
---
apiVersion: purser.dev/v1alpha1
kind: RateLimit
metadata: { name: hourly }
spec: { selector: { labels: { team: [slow] } }, requests: 1, window: 1h }
---
apiVersion: purser.dev/v1alpha1
kind: RateLimit
metadata: { name: by-the-second }
spec: { selector: { labels: { team: [quick] } }, requests: 1, window: 2s }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdks_understand_answers_and_refusals() {
    // One worker: its records come in the order of their ends.
    let world = World::start_with(POLICY, 1, 1).await.unwrap();
    let sdk = purser_tests::repository().join("tests/sdk");
    let packages = purser_tests::repository().join(".tools/sdk");
    let child = tokio::process::Command::new("python3")
        .arg(sdk.join("calls.py"))
        .arg(world.gateway())
        .env("PYTHONPATH", packages)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), child).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "run `make test-e2e`, which installs the SDKs\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let calls: BTreeMap<String, Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| (row["call"].as_str().unwrap().to_owned(), row))
        .collect();
    let last = |rows: &[Value]| {
        rows.iter().any(|row| row["labels"]["feature"] == "anthropic-limit-short" && row["status"] == 200)
    };
    let rows = until("the last call's record", || async { world.records(1).await.ok().filter(|rows| last(rows)) })
        .await
        .unwrap();
    // What came of each call, and how many requests it took, the SDK's own repetitions among them.
    let cases = [
        ("openai-plain", "", 200, "", 1),
        ("openai-streamed", "", 200, "", 1),
        ("openai-usage", "", 200, "", 1),
        ("openai-budget", "RateLimitError", 429, "Budget/nothing", 1),
        ("openai-budget-streamed", "RateLimitError", 429, "Budget/nothing", 1),
        ("openai-access", "PermissionDeniedError", 403, "AccessPolicy/no-dear-ones", 1),
        ("openai-key", "AuthenticationError", 401, "Identity", 1),
        ("openai-model", "BadRequestError", 400, "Request", 1),
        ("openai-limit-long", "RateLimitError", 429, "RateLimit/hourly", 1),
        ("openai-limit-short", "", 200, "", 2),
        ("anthropic-plain", "", 200, "", 1),
        ("anthropic-streamed", "", 200, "", 1),
        ("anthropic-budget", "BadRequestError", 400, "Budget/nothing", 1),
        ("anthropic-budget-streamed", "BadRequestError", 400, "Budget/nothing", 1),
        ("anthropic-access", "PermissionDeniedError", 403, "AccessPolicy/no-dear-ones", 1),
        ("anthropic-key", "AuthenticationError", 401, "Identity", 1),
        ("anthropic-model", "BadRequestError", 400, "Request", 1),
        ("anthropic-limit-long", "RateLimitError", 429, "RateLimit/hourly", 1),
        ("anthropic-limit-short", "", 200, "", 2),
    ];
    assert_eq!(calls.len(), cases.len());
    for (call, raised, status, by, requests) in cases {
        let result = calls.get(call).unwrap();
        let text = |name: &str| result[name].as_str().unwrap_or_default();
        assert_eq!((text("raised"), text("by")), (raised, by), "{result:#}");
        assert_eq!(result["status"].as_u64().unwrap_or(200), status, "{result:#}");
        let made = rows.iter().filter(|row| row["labels"]["feature"] == call).count();
        assert_eq!(made, requests, "{call}: requests sent");
        if raised.is_empty() {
            assert!(text("text").starts_with("The purser keeps"), "{result:#}");
        }
    }
    // Usage was asked for upstream in both streams, and goes only to the caller who asked.
    assert_eq!(calls["openai-streamed"]["output"], Value::Null);
    assert_eq!((&calls["openai-usage"]["output"], &calls["openai-usage"]["empty"]), (&json!(40), &json!(1)));
    let budget = &calls["openai-budget"];
    assert_eq!((&budget["type"], &budget["code"]), (&json!("insufficient_quota"), &json!("budget_exceeded")));
}
