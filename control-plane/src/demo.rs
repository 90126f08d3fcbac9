//! `purser demo`: traffic of several teams through the gateway, until one of them meets its budget.

use crate::text::{table, usd};
use anyhow::{Context, Result, bail};
use purser_core::money::NanoUsd;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What to drive.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Port of the gateway on 127.0.0.1.
    #[arg(long, env = "PURSER_GATEWAY_PORT", default_value_t = 10_000)]
    gateway_port: u16,
    /// Port of the dashboard and API on 127.0.0.1.
    #[arg(long, env = "PURSER_HTTP_PORT", default_value_t = 9_600)]
    http_port: u16,
    /// The most requests to send.
    #[arg(long, default_value_t = 600)]
    requests: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 8)]
    concurrency: usize,
}

/// Who asks for what. The share says how many of ten requests are theirs.
struct Payer {
    team: &'static str,
    users: &'static [&'static str],
    feature: &'static str,
    model: &'static str,
    max_tokens: u64,
    share: usize,
}

const PAYERS: [Payer; 6] = [
    Payer { team: "support", users: &["ana", "bo"], feature: "chat", model: "gpt-5-mini", max_tokens: 300, share: 3 },
    Payer { team: "support", users: &["ana"], feature: "triage", model: "claude-haiku-4-5", max_tokens: 200, share: 1 },
    Payer { team: "search", users: &["chen"], feature: "rerank", model: "gpt-5-nano", max_tokens: 100, share: 2 },
    Payer {
        team: "research",
        users: &["dee", "eli"],
        feature: "agent",
        model: "claude-opus-4-5",
        max_tokens: 1_000,
        share: 2,
    },
    Payer { team: "research", users: &["dee"], feature: "eval", model: "gpt-5", max_tokens: 800, share: 1 },
    Payer { team: "sales", users: &["finn"], feature: "mail", model: "claude-sonnet-4-5", max_tokens: 250, share: 1 },
];

#[derive(Debug, Default, Clone)]
struct Tally {
    answered: usize,
    failed: usize,
    refused: BTreeMap<String, usize>,
    first_refusal: Option<String>,
}

/// Drives the gateway and prints what came of it.
///
/// # Errors
/// When the gateway cannot be reached or nothing at all was answered.
pub async fn run(args: Args) -> Result<()> {
    let gateway = format!("http://127.0.0.1:{}", args.gateway_port);
    let client = reqwest::Client::builder().no_proxy().build()?;
    client
        .get(format!("{gateway}/healthz"))
        .send()
        .await
        .with_context(|| format!("no gateway at {gateway}: start `make run` in another terminal"))?;
    println!("driving {gateway} with up to {} requests of {} teams", args.requests, 4);
    let api = Api { client: client.clone(), dashboard: format!("http://127.0.0.1:{}", args.http_port) };
    let before = api.requests().await;

    let tallies: Arc<Mutex<BTreeMap<&'static str, Tally>>> = Arc::default();
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..args.concurrency.max(1)).map(|_| {
        let (client, gateway, tallies, next) = (client.clone(), gateway.clone(), tallies.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= args.requests {
                    return;
                }
                let payer = payer_of(number);
                let outcome = ask(&client, &gateway, payer, number).await;
                let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
                let tally = tallies.entry(payer.team).or_default();
                match outcome {
                    Ok(None) => tally.answered += 1,
                    Ok(Some((by, message))) => {
                        *tally.refused.entry(by).or_default() += 1;
                        tally.first_refusal.get_or_insert(message);
                    }
                    Err(_) => tally.failed += 1,
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await?;
    }

    let tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(before) = before {
        api.wait_for(before.saturating_add(args.requests as u64)).await;
    }
    let spent = api.spent_by_team().await.unwrap_or_default();
    let rows = tallies.iter().map(|(team, tally)| {
        let refused: Vec<String> = tally.refused.iter().map(|(by, count)| format!("{count} by {by}")).collect();
        let refused = if refused.is_empty() { "-".to_owned() } else { refused.join(", ") };
        let spent = spent.get(*team).map_or_else(|| "-".to_owned(), |amount| usd(*amount));
        vec![(*team).to_owned(), tally.answered.to_string(), refused, tally.failed.to_string(), spent]
    });
    println!("\n{}", table(&["team", "answered", "refused", "failed", "spent in 24 h"], rows));
    for (team, tally) in &tallies {
        if let Some(message) = &tally.first_refusal {
            println!("\n{team} was told: {message}");
        }
    }
    println!("\nThe spend and the refusals: {}", api.dashboard);
    if tallies.values().all(|tally| tally.answered == 0) {
        bail!("no request was answered: look at {} for why", api.dashboard);
    }
    Ok(())
}

/// What the control plane knows.
struct Api {
    client: reqwest::Client,
    dashboard: String,
}

impl Api {
    async fn get(&self, path: &str) -> Option<Value> {
        self.client.get(format!("{}/api/v1/{path}", self.dashboard)).send().await.ok()?.json().await.ok()
    }

    /// Requests of the last 24 hours that were reported.
    async fn requests(&self) -> Option<u64> {
        self.get("summary").await?.get("requests")?.as_u64()
    }

    /// Proxies report once a second.
    async fn wait_for(&self, requests: u64) {
        for _ in 0..50 {
            if self.requests().await.is_none_or(|known| known >= requests) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn spent_by_team(&self) -> Option<BTreeMap<String, NanoUsd>> {
        let top = self.get("top?by=team").await?;
        let row = |row: &Value| Some((row.get("key")?.as_str()?.to_owned(), NanoUsd(row.get("nano_usd")?.as_u64()?)));
        Some(top.get("rows")?.as_array()?.iter().filter_map(row).collect())
    }
}

fn payer_of(number: usize) -> &'static Payer {
    let mut slot = number % 10;
    for payer in &PAYERS {
        if slot < payer.share {
            return payer;
        }
        slot -= payer.share;
    }
    &PAYERS[0]
}

/// Sends one request. `Ok(Some)`: refused, by whom and with which words.
async fn ask(
    client: &reqwest::Client,
    gateway: &str,
    payer: &Payer,
    number: usize,
) -> Result<Option<(String, String)>> {
    let anthropic = payer.model.starts_with("claude");
    let stream = number.is_multiple_of(2);
    let question = format!("Question {number} of {}: what changed since yesterday, and why?", payer.feature);
    let messages = json!([{"role": "user", "content": question}]);
    let (path, body) = if anthropic {
        let body =
            json!({"model": payer.model, "max_tokens": payer.max_tokens, "stream": stream, "messages": messages});
        ("/v1/messages", body)
    } else {
        let body = json!({"model": payer.model, "max_completion_tokens": payer.max_tokens, "stream": stream,
            "messages": messages});
        ("/v1/chat/completions", body)
    };
    let answer = client
        .post(format!("{gateway}{path}"))
        .header("x-purser-team", payer.team)
        .header("x-purser-user", payer.users[number % payer.users.len()])
        .header("x-purser-feature", payer.feature)
        .header("x-purser-environment", if number.is_multiple_of(5) { "staging" } else { "production" })
        .json(&body)
        .send()
        .await?;
    let status = answer.status();
    let by = answer.headers().get("x-purser-denied-by").and_then(|by| by.to_str().ok()).map(str::to_owned);
    let text = answer.text().await?;
    match by {
        Some(by) => {
            let body: Value = serde_json::from_str(&text)?;
            let message = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("refused");
            Ok(Some((by, message.to_owned())))
        }
        None if status.is_success() => Ok(None),
        None => bail!("status {status}"),
    }
}
