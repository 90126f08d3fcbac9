//! `make bench-envoy`: Envoy's CPU for a request, with everything on and as a plain router, in one run.
//!
//! | case | |
//! |---|---|
//! | unary | 2 KB request, 1 KB answer |
//! | streamed | 60 chunks |
//!
//! On: identity, access, a rate limit, a warm budget, pricing, the record to log and ledger. Each Envoy has one
//! worker and one core, and all else has the others. The two take turns, and the median round counts. Read the difference and the ratio;
//! absolute times are this machine's.
//!
//! `load soak` sends 100,000 requests of mixed sizes, and prints the filter's memory as it goes.

use anyhow::{Context, Result, bail};
use purser_tests::World;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ROUNDS: usize = 5;
const REQUESTS: usize = 4_000;
/// Before it is measured: V8 has compiled what is hot, connections stand, leases are warm.
const WARM_UP: usize = 8_000;
const TASKS: usize = 32;
const SOAK_REQUESTS: usize = 100_000;
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

/// Binds all threads of a process to these cores.
fn pin(pid: u32, cores: &str) -> Result<()> {
    let status = Command::new("taskset")
        .args(["-a", "-c", "-p", cores, &pid.to_string()])
        .stdout(std::process::Stdio::null())
        .status()?;
    if !status.success() {
        bail!("taskset: {status}");
    }
    Ok(())
}

/// CPU time of a process so far, µs: what the scheduler gave to its threads.
fn cpu_us(pid: u32) -> Result<f64> {
    let mut total_ns = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total_ns += text.split(' ').next().context("schedstat")?.parse::<u64>()?;
    }
    Ok(total_ns as f64 / 1_000.0)
}

/// Sends `requests` requests, each with the next of `bodies`.
async fn drive(url: &str, bodies: &[Value], requests: usize) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let sent = Arc::new(AtomicUsize::new(0));
    let bodies: Arc<Vec<String>> = Arc::new(bodies.iter().map(Value::to_string).collect());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (client, sent, url, bodies) =
            (client.clone(), sent.clone(), format!("{url}/v1/chat/completions"), bodies.clone());
        tasks.spawn(async move {
            loop {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return anyhow::Ok(());
                }
                let body = bodies.get(number % bodies.len()).cloned().unwrap_or_default();
                let request =
                    client.post(&url).header("content-type", "application/json").header("x-purser-team", "ml");
                let answer = request.body(body).send().await?.error_for_status()?;
                answer.bytes().await?;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

async fn measure(pid: u32, url: &str, body: &Value) -> Result<f64> {
    let before = cpu_us(pid)?;
    drive(url, std::slice::from_ref(body), REQUESTS).await?;
    Ok((cpu_us(pid)? - before) / REQUESTS as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn request(stream: bool, words: usize) -> Value {
    let text = "The purser keeps the ship's money and counts every coin aboard. ".repeat(words / 11);
    json!({"model": "gpt-5-mini", "stream": stream, "max_completion_tokens": 60,
        "messages": [{"role": "user", "content": text}]})
}

async fn compare() -> Result<()> {
    // What is started from here on inherits it; the Envoys get the first core to themselves.
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        bail!("needs two cores: one for Envoy, one for all else");
    }
    pin(std::process::id(), &format!("1-{}", cores - 1))?;
    let mut world = World::start_with(POLICY, 1, 1).await?;
    let with = world.envoy_pid(0).context("an Envoy")?;
    let gateway = world.gateway();
    let (plain, router) = world.start_plain_envoy().await?;
    pin(with, "0")?;
    pin(plain, "0")?;
    println!("| Envoy's CPU a request | router | with Purser | difference | ratio |");
    println!("|---|--:|--:|--:|--:|");
    for (case, stream) in [("unary, 2 KB", false), ("streamed, 60 chunks", true)] {
        let body = request(stream, 340);
        for url in [&router, &gateway] {
            drive(url, std::slice::from_ref(&body), WARM_UP).await?;
        }
        let (mut base, mut all) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            base.push(measure(plain, &router, &body).await?);
            all.push(measure(with, &gateway, &body).await?);
        }
        let (base, all) = (median(base), median(all));
        println!("| {case} | {base:.1} µs | {all:.1} µs | +{:.1} µs | {:.2} |", all - base, all / base);
    }
    println!("\nlargest linear memory of a VM: {:.1} MiB", memory_mib(&world).await?);
    Ok(())
}

async fn memory_mib(world: &World) -> Result<f64> {
    let proxies = world.api("proxies").await?;
    let bytes = proxies.pointer("/proxies/0/memory_bytes").and_then(Value::as_u64).context("memory_bytes")?;
    Ok(bytes as f64 / f64::from(1 << 20))
}

async fn soak() -> Result<()> {
    let world = World::start(POLICY, 1).await?;
    let gateway = world.gateway();
    // From half a kilobyte to half a megabyte, every other one streamed.
    let bodies: Vec<Value> =
        (0..64usize).map(|n| request(n % 2 == 1, if n % 32 == 0 { 80_000 } else { 80 + n * n * 3 })).collect();
    println!("| requests | linear memory of a VM | records lost |");
    println!("|--:|--:|--:|");
    const PART: usize = SOAK_REQUESTS / 10;
    for part in 1..=10 {
        drive(&gateway, &bodies, PART).await?;
        let proxies = world.api("proxies").await?;
        let lost = proxies.pointer("/proxies/0/dropped").and_then(Value::as_u64).context("dropped")?;
        println!("| {} | {:.1} MiB | {lost} |", part * PART, memory_mib(&world).await?);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("soak") => soak().await,
        _ => compare().await,
    }
}
