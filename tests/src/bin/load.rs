//! `make bench-envoy`: Envoy's CPU for a request, with everything on and as a plain router, in one run.
//!
//! | case | |
//! |---|---|
//! | unary | 2 KB request, 60 words of answer |
//! | streamed | 60 chunks |
//!
//! On: identity, access, a rate limit, a warm budget, pricing, the record to log and ledger. Read the difference and the
//! ratio; absolute times are this machine's.

use anyhow::{Context, Result};
use purser_tests::World;
use serde_json::{json, Value};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

const REQUESTS: usize = 10_000;
const TASKS: usize = 16;
const POLICY: &str = r#"
apiVersion: purser.dev/v1alpha1
kind: Budget
metadata: { name: teams }
spec: { per: [team], amount: "100000", period: month, clamp: true }
---
apiVersion: purser.dev/v1alpha1
kind: RateLimit
metadata: { name: pace }
spec: { per: [team], requests: 100000000, window: 1m }
---
apiVersion: purser.dev/v1alpha1
kind: AccessPolicy
metadata: { name: models }
spec: { deny: [{ models: ["*opus*"] }] }
"#;

/// CPU time of a process so far, µs.
fn cpu_us(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    // utime and stime, in hundredths of a second.
    Ok((ticks(11) + ticks(12)) * 10_000)
}

async fn drive(url: &str, body: &Value, requests: usize) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let left = Arc::new(AtomicUsize::new(requests));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (client, left, url, body) = (client.clone(), left.clone(), format!("{url}/v1/chat/completions"), body.to_string());
        tasks.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let request = client.post(&url).header("content-type", "application/json").header("x-purser-team", "ml");
                let answer = request.body(body.clone()).send().await?.error_for_status()?;
                answer.bytes().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

async fn measure(pid: u32, url: &str, body: &Value) -> Result<f64> {
    drive(url, body, REQUESTS / 10).await?;
    let before = cpu_us(pid)?;
    drive(url, body, REQUESTS).await?;
    Ok((cpu_us(pid)? - before) as f64 / REQUESTS as f64)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut world = World::start(POLICY, 1).await?;
    let with = world.envoy_pid(0).context("an Envoy")?;
    let gateway = world.gateway();
    let (plain, router) = world.start_plain_envoy().await?;
    let text = "The purser keeps the ship's money and counts every coin aboard. ".repeat(30);
    println!("| Envoy's CPU a request | router | with Purser | difference | ratio |");
    println!("|---|--:|--:|--:|--:|");
    for (case, stream) in [("unary, 2 KB", false), ("streamed, 60 chunks", true)] {
        let body = json!({"model": "gpt-5-mini", "stream": stream, "max_completion_tokens": 60,
            "messages": [{"role": "user", "content": text}]});
        let base = measure(plain, &router, &body).await?;
        let all = measure(with, &gateway, &body).await?;
        println!("| {case} | {base:.0} µs | {all:.0} µs | +{:.0} µs | {:.2} |", all - base, all / base);
    }
    let proxies = world.api("proxies").await?;
    let memory = proxies.pointer("/proxies/0/memory_bytes").and_then(Value::as_u64).unwrap_or(0);
    println!("\nlargest linear memory of a VM: {:.1} MiB", memory as f64 / f64::from(1 << 20));
    Ok(())
}
