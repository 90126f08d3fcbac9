//! What a hard budget lets through when everything happens at once: three Envoys of two workers each, 128 streams at a
//! time, one dollar for all, and things that die in the middle. The provider knows the truth.
//!
//! The bound that is published: what is spent is at most the limit and, for requests that cost more than was held for
//! them, the difference. With `clamp` there is no such difference but that of the prompt's estimate.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use purser_tests::{World, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LIMIT: u64 = 1_000_000_000;
/// claude-opus-4-5: 5 USD and 25 USD per 10⁶ tokens, in nano-USD per token.
const INPUT: u64 = 5_000;
const OUTPUT: u64 = 25_000;
const STREAMS: usize = 128;

fn policy(enforcement: &str) -> String {
    format!(
        "apiVersion: purser.dev/v1alpha1\nkind: Budget\nmetadata: {{ name: all }}\nspec: {{ amount: \"1.00\", period: month, \
         enforcement: {enforcement}, clamp: {} }}\n",
        enforcement == "hard"
    )
}

#[derive(Debug)]
struct Outcome {
    spent: u64,
    answered: usize,
    refused: usize,
    cold_waits: u64,
}

fn truth(world: &World) -> u64 {
    world.stand_in.ledger().entries().iter().map(|entry| entry.prompt * INPUT + entry.output * OUTPUT).sum()
}

/// Drives the world until the budget refuses everyone, or `most` requests were sent.
async fn drive(world: &mut World, most: usize, mut disturb: impl FnMut(&mut World, usize)) -> Outcome {
    let (sent, answered, refused) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(AtomicUsize::new(0));
    let url = format!("{}/v1/messages", world.gateway());
    let drivers: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (sent, answered, refused, done) = (sent.clone(), answered.clone(), refused.clone(), done.clone());
            let (url, client) = (url.clone(), world.client.clone());
            tokio::spawn(async move {
                // Refused a few times in a row: there is nothing left for anyone.
                let mut in_a_row = 0;
                while in_a_row < 12 && sent.fetch_add(1, Ordering::Relaxed) < most {
                    let body = json!({"model": "claude-opus-4-5", "max_tokens": 100, "stream": true,
                        "messages": [{"role": "user", "content": "Count every coin aboard, aloud."}]});
                    let answer = client.post(&url).header("x-stand-in", "delay_ms=4").json(&body).send().await;
                    match answer {
                        Ok(answer) if answer.status() == 200 => {
                            in_a_row = 0;
                            let _ = answer.bytes().await;
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => {
                            in_a_row += 1;
                            let _ = answer.bytes().await;
                            refused.fetch_add(1, Ordering::Relaxed);
                            // As a client that was told so: not at once again.
                            tokio::time::sleep(Duration::from_millis(250)).await;
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    while done.load(Ordering::Relaxed) < STREAMS {
        disturb(world, answered.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for driver in drivers {
        driver.await.unwrap();
    }
    let cold_waits = world.api("proxies").await.map_or(0, |proxies| {
        let list = proxies["proxies"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|proxy| proxy["cold_waits"].as_u64()).sum()
    });
    Outcome {
        spent: truth(world),
        answered: answered.load(Ordering::Relaxed),
        refused: refused.load(Ordering::Relaxed),
        cold_waits,
    }
}

fn show(case: &str, outcome: &Outcome) {
    println!(
        "| {case:<34} | {:>7.4} USD | {:>8} | {:>7} | {:>10} |",
        outcome.spent as f64 / 1e9,
        outcome.answered,
        outcome.refused,
        outcome.cold_waits
    );
}

/// The published bound: requests under way whose prompt was longer than estimated. Held were a fifth and 16 more.
fn bound(outcome: &Outcome) -> u64 {
    LIMIT + outcome.answered as u64 / 100 * INPUT
}

async fn settled_equals_truth(world: &World, truth: u64) {
    until("the ledger knows what the provider knows", || async {
        let summary = world.api("summary").await.ok()?;
        (summary["spend_nano_usd"].as_u64()? == truth).then_some(())
    })
    .await
    .unwrap();
    let budgets = world.api("budgets").await.unwrap();
    assert_eq!(budgets["budgets"][0]["spent_nano_usd"], Value::from(truth));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_budget_holds_and_nearly_all_of_it_can_be_used() {
    let mut world = World::start(&policy("hard"), 3).await.unwrap();
    let calm = drive(&mut world, 5_000, |_, _| {}).await;
    show("leases, nothing killed", &calm);
    assert!(calm.spent <= bound(&calm), "{calm:?}");
    assert!(calm.spent >= LIMIT * 95 / 100, "{calm:?}\n{}", world.logs());
    assert!(calm.cold_waits < calm.answered as u64, "most requests found a warm lease: {calm:?}");
    settled_equals_truth(&world, calm.spent).await;
    let proxies = world.api("proxies").await.unwrap();
    assert!(proxies["proxies"].as_array().unwrap().iter().all(|proxy| proxy["missing"] == 0), "{proxies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_dies_and_comes_back_grants_nothing_twice() {
    let mut world = World::start(&policy("hard"), 3).await.unwrap();
    let handle = tokio::runtime::Handle::current();
    let mut step = 0;
    let outcome = drive(&mut world, 5_000, |world, answered| {
        if step == 0 && answered > 100 {
            step = 1;
            world.kill_control_plane();
        } else if step == 1 {
            step = 2;
            tokio::task::block_in_place(|| handle.block_on(world.start_control_plane())).unwrap();
        }
    })
    .await;
    show("control plane killed and restarted", &outcome);
    assert_eq!(step, 2);
    assert!(outcome.spent <= bound(&outcome), "{outcome:?}");
    assert!(outcome.spent >= LIMIT / 2, "it went on after the restart: {outcome:?}");
    settled_equals_truth(&world, outcome.spent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_dies_takes_no_more_than_its_lease_along() {
    let mut world = World::start(&policy("hard"), 3).await.unwrap();
    let mut killed = false;
    let outcome = drive(&mut world, 5_000, |world, answered| {
        if !killed && answered > 100 {
            killed = true;
            world.kill_envoy(1);
        }
    })
    .await;
    show("one Envoy killed", &outcome);
    assert!(killed);
    assert!(outcome.spent <= bound(&outcome), "{outcome:?}");
}

/// The contrast: counting after the fact, as others do it. The driver plays the gateway that looks at the spend every
/// so often and then stops everyone.
#[tokio::test(flavor = "multi_thread")]
async fn counting_after_the_fact_overshoots() {
    let mut world = World::start(&policy("soft"), 3).await.unwrap();
    let outcome = drive(&mut world, 700, |_, _| {}).await;
    show("no leases (700 requests, counted)", &outcome);
    assert!(outcome.spent > LIMIT, "nothing held it back: {outcome:?}");
}
