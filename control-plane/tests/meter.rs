//! `purser meter` as a shell sees it: lines in, lines out, and what is wrong on the error stream.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn meter(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_purser"))
        .arg("meter")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

fn answers(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A recorded exchange, as a line.
fn line(change: Value) -> String {
    let mut line = json!({
        "id": "1", "method": "POST", "url": "https://api.openai.com/v1/chat/completions",
        "request_headers": {"content-type": "application/json"},
        "request_body": r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}"#,
        "status": 200, "response_headers": {"content-type": "application/json"},
        "response_body": r#"{"model":"gpt-4o-mini-2024-07-18","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500,"prompt_tokens_details":{"cached_tokens":400},
            "completion_tokens_details":{"reasoning_tokens":200}}}"#,
    });
    for (key, value) in change.as_object().unwrap() {
        line[key] = value.clone();
    }
    format!("{line}\n")
}

#[test]
fn an_exchange_is_metered_and_priced() {
    let output = meter(&[], &line(json!({})));
    assert!(output.status.success());
    let [answer] = &answers(&output)[..] else { panic!("one line") };
    let units = json!({"input": 600, "cache_read": 400, "output": 500, "reasoning": 200});
    assert_eq!((&answer["usage"], &answer["quality"]), (&units, &json!("exact")));
    let named = json!(["1", "openai.chat", "openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"]);
    let names = ["id", "api", "provider", "request_model", "response_model"];
    assert_eq!(Value::from(names.map(|name| answer[name].clone()).to_vec()), named);
    // 0.15, 0.075 and 0.60 USD per 10⁶: 90 + 30 + 300 µUSD.
    assert_eq!(answer["cost_nano_usd"], 420_000, "{answer}");
    assert_eq!(answer["cost_by_kind"], json!({"input": "0.00009", "cache_read": "0.00003", "output": "0.0003"}));
    assert!(answer["price_entry"].as_str().unwrap().starts_with("openai/gpt-4o-mini@"));
    let summary = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(summary.contains("1 metered: 1 exact") && summary.contains("0.00042 USD"), "{summary}");
}

#[test]
fn what_has_no_price_is_not_free_and_what_is_no_exchange_is_not_metered() {
    let mystery = r#"{"model":"mystery","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let count_tokens = "https://api.anthropic.com/v1/messages/count_tokens";
    let input = [
        line(json!({"request_body": r#"{"model":"mystery","messages":[]}"#, "response_body": mystery})),
        line(json!({"status": 429, "response_body": r#"{"error":{"message":"slow down"}}"#})),
        line(json!({"url": count_tokens, "response_body": r#"{"input_tokens":9}"#})),
        line(json!({"url": "http://localhost/orders", "request_body": "{}", "response_body": "{}"})),
    ]
    .concat();
    let output = meter(&["--quiet"], &input);
    assert!(output.status.success() && output.stderr.is_empty());
    let answers = answers(&output);
    assert_eq!((&answers[0]["metered"], &answers[0]["cost_nano_usd"]), (&json!(true), &Value::Null));
    assert_eq!(answers[0]["usage"], json!({"input": 1, "output": 1}));
    assert!(answers[0]["problems"][0].as_str().unwrap().contains("no price for model `mystery`"));
    for answer in &answers[1..] {
        let said = (&answer["metered"], &answer["usage"], &answer["cost_nano_usd"]);
        assert_eq!(said, (&json!(false), &Value::Null, &Value::Null));
    }
}

#[test]
fn a_response_in_the_background_is_charged_once_by_the_first_poll_that_brings_its_usage() {
    let url = "https://api.openai.com/v1/responses";
    let answer = |status: &str, usage: &str| {
        format!(
            r#"{{"id":"resp_1","object":"response","status":"{status}","model":"gpt-5","output":[],"usage":{usage}}}"#
        )
    };
    let poll = |status: &str, usage: &str| {
        let body = answer(status, usage);
        line(json!({"method": "GET", "url": format!("{url}/resp_1"), "request_body": null, "response_body": body}))
    };
    let usage = r#"{"input_tokens":10,"output_tokens":20,"total_tokens":30}"#;
    let body = r#"{"model":"gpt-5","input":"hi","background":true}"#;
    let post = line(json!({"url": url, "request_body": body, "response_body": answer("queued", "null")}));
    let input = [post, poll("in_progress", "null"), poll("completed", usage), poll("completed", usage)].concat();
    let charged = answers(&meter(&["--quiet"], &input));
    let tokens: Vec<&Value> = charged.iter().map(|answer| &answer["usage"]["output"]).collect();
    assert_eq!(tokens, [&Value::Null, &Value::Null, &json!(20), &Value::Null]);
    let alone = answers(&meter(&["--quiet"], &poll("completed", usage)));
    assert_eq!(alone[0]["metered"], false, "nobody knows that it ran in the background");
}

#[test]
fn bodies_come_as_base64_too_and_a_bad_line_is_named_and_does_not_end_the_run() {
    // {"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3}}
    let coded = "eyJtb2RlbCI6ImdwdC00by1taW5pIiwiY2hvaWNlcyI6W10sInVzYWdlIjp7InByb21wdF90b2tlbnMiOjIsImNvbXBsZXRpb25fdG9rZW5zIjozfX0=";
    let input = [
        "not json\n".to_owned(),
        line(json!({"response_body": null, "response_body_base64": coded})),
        line(json!({"response_body": null, "response_body_base64": "!"})),
        line(json!({"url": null})),
    ]
    .concat();
    let output = meter(&[], &input);
    assert!(!output.status.success());
    let answers = answers(&output);
    assert_eq!((answers.len(), &answers[1]["usage"]), (4, &json!({"input": 2, "output": 3})));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for want in ["-:1: expected", "-:3: response_body_base64: ", "-:4: url: is missing", "3 unreadable"] {
        assert!(errors.contains(want), "{want}: {errors}");
    }
}

#[test]
fn a_table_is_for_people() {
    let output = meter(&["--quiet", "--format", "table"], &line(json!({})));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<&str> = text.lines().collect();
    assert!(
        rows[0].starts_with("id  api") && rows[1].contains("openai.chat") && rows[1].ends_with("0.00042"),
        "{text}"
    );
}

#[test]
fn results_of_a_batch_are_metered_once_at_the_price_of_a_batch() {
    let body = json!({"model": "gpt-4o-mini-2024-07-18", "choices": [{"finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500}});
    let results = json!({"custom_id": "a", "response": {"status_code": 200, "body": body}, "error": null});
    let failed = json!({"custom_id": "b", "response": null, "error": {"code": "batch_expired"}});
    let download = |id: &str, status: u16| {
        line(json!({"method": "GET", "url": format!("https://api.openai.com/v1/files/{id}/content"),
            "request_body": null, "status": status, "response_headers": {"content-type": "application/octet-stream"},
            "response_body": format!("{results}\n{failed}\n{results}\n")}))
    };
    let started =
        line(json!({"url": "https://api.openai.com/v1/batches", "request_body": "{\"input_file_id\":\"file-in\"}",
        "response_body": "{\"id\":\"batch_1\",\"status\":\"validating\",\"output_file_id\":null}"}));
    let other =
        line(json!({"method": "GET", "url": "https://api.openai.com/v1/files/file-in/content", "request_body": null,
        "response_body": "{\"custom_id\":\"a\",\"method\":\"POST\",\"body\":{\"model\":\"gpt-4o-mini\"}}"}));
    let input = [started, download("f1", 206), download("f1", 200), download("f1", 200), download("f2", 200), other];
    let output = meter(&["--quiet"], &input.concat());
    let answers = answers(&output);
    let metered: Vec<bool> = answers.iter().map(|answer| answer["metered"] == true).collect();
    assert_eq!(metered, [false, false, true, false, true, false], "{answers:#?}");
    let first = &answers[2];
    assert_eq!((&first["api"], &first["terms"]), (&json!("openai.batch"), &json!({"service_tier": "batch"})));
    assert_eq!(first["usage"], json!({"input": 2_000, "output": 1_000}));
    // Half of 0.15 and 0.60 USD per 10⁶.
    assert_eq!(first["cost_nano_usd"], 450_000, "{first}");
}
