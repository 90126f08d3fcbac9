//! What a hard budget lets through when everything happens at once: three Envoys of two workers each, 128 streams at a
//! time, one dollar for all, and things that die in the middle. The provider knows the truth.
//!
//! The bound that is published: what is spent is at most the limit and, for requests that cost more than was held for
//! them, the difference. With `clamp` there is no such difference but that of the prompt's estimate.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use purser_tests::{World, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const LIMIT: u64 = 1_000_000_000;
/// claude-opus-4-5: 5 USD and 25 USD per 10⁶ tokens, in nano-USD per token.
const INPUT: u64 = 5_000;
const OUTPUT: u64 = 25_000;
const STREAMS: usize = 128;

fn policy(enforcement: &str, amount: &str) -> String {
    format!(
        "apiVersion: purser.dev/v1alpha1\nkind: Budget\nmetadata: {{ name: all }}\nspec: {{ amount: \"{amount}\", \
         period: month, enforcement: {enforcement}, clamp: {} }}\n",
        enforcement == "hard"
    )
}

fn body() -> Value {
    json!({"model": "claude-opus-4-5", "max_tokens": 100, "stream": true,
        "messages": [{"role": "user", "content": "Count every coin aboard, aloud."}]})
}

/// What the driver lets the test do between two looks.
enum Next {
    GoOn,
    /// Everyone stops calling, as a gateway would have it whose counter is at the limit.
    Stop,
}

/// Kills the control plane and starts it again, a while later: long enough for leases to be spent to their end.
fn restart_control_plane(world: &mut World) {
    world.kill_control_plane();
    wait(tokio::time::sleep(Duration::from_millis(700)));
    wait(world.start_control_plane()).unwrap();
}

/// Waits for `what` from where waiting is not asynchronous.
fn wait<T>(what: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(what))
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

/// Drives the world until the budget refuses everyone, or `disturb`, which hears of the answers so far, stops it.
async fn drive(world: &mut World, mut disturb: impl FnMut(&mut World, usize) -> Next) -> Outcome {
    /// Far more than the budget has: a driver that never stops is a failure, not a hang.
    const MOST: usize = 5_000;
    let (sent, answered, refused) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let url = format!("{}/v1/messages", world.gateway());
    let drivers: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (sent, answered, refused) = (sent.clone(), answered.clone(), refused.clone());
            let (done, stop) = (done.clone(), stop.clone());
            let (url, client) = (url.clone(), world.client.clone());
            tokio::spawn(async move {
                // Refused a few times in a row: there is nothing left for anyone.
                let mut in_a_row = 0;
                while in_a_row < 12 && !stop.load(Ordering::Relaxed) && sent.fetch_add(1, Ordering::Relaxed) < MOST {
                    let answer = client.post(&url).header("x-stand-in", "delay_ms=4").json(&body()).send().await;
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
        if let Next::Stop = disturb(world, answered.load(Ordering::Relaxed)) {
            stop.store(true, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for driver in drivers {
        driver.await.unwrap();
    }
    assert!(sent.load(Ordering::Relaxed) <= MOST, "nothing stopped the drivers");
    Outcome {
        spent: truth(world),
        answered: answered.load(Ordering::Relaxed),
        refused: refused.load(Ordering::Relaxed),
        cold_waits: world.cold_waits().await.unwrap(),
    }
}

/// A row of the table that `make overshoot` prints.
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
    let mut world = World::start(&policy("hard", "1.00"), 3).await.unwrap();
    let calm = drive(&mut world, |_, _| Next::GoOn).await;
    show("leases, nothing killed", &calm);
    assert!(calm.spent <= bound(&calm), "{calm:?}");
    assert!(calm.spent >= LIMIT * 95 / 100, "{calm:?}\n{}", world.logs());
    settled_equals_truth(&world, calm.spent).await;
    let proxies = world.api("proxies").await.unwrap();
    assert!(proxies["proxies"].as_array().unwrap().iter().all(|proxy| proxy["missing"] == 0), "{proxies}");
}

/// Nothing on the request path needs the control plane while a lease is warm: here it does not even answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_warm_lease_calls_nobody() {
    const WARM: usize = 60;
    let world = World::start(&policy("hard", "50.00"), 1).await.unwrap();
    let url = format!("{}/v1/messages", world.gateway());
    let ask = || {
        let request = world.client.post(&url).json(&body());
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            answer.bytes().await.unwrap();
            status
        }
    };
    // Demand, so that the lease is of some size; then until what is left of it covers the requests to come.
    let needed = 2 * WARM as u64 * (100 * OUTPUT + 100 * INPUT);
    until("the lease is warm", || async {
        (0..WARM).map(|_| ask()).collect::<tokio::task::JoinSet<_>>().join_all().await;
        // What a record waited for is told with it or before it.
        world.records(world.stand_in.ledger().len()).await.ok()?;
        let budgets = world.api("budgets").await.ok()?;
        (budgets["budgets"][0]["reserved_nano_usd"].as_u64()? >= needed).then_some(())
    })
    .await
    .unwrap();
    let (before, sent) = (world.cold_waits().await.unwrap(), world.stand_in.ledger().len());
    assert!(before > 0, "the first request had to ask");

    world.freeze_control_plane(true).unwrap();
    for _ in 0..WARM {
        assert_eq!(ask().await, 200, "no call, so no silence to wait out and no refusal");
    }
    world.freeze_control_plane(false).unwrap();

    // Counted by the filter, and told once the control plane listens again.
    world.records(sent + WARM).await.unwrap();
    assert_eq!(world.stand_in.ledger().len(), sent + WARM);
    let after = world.cold_waits().await.unwrap();
    println!("calls of {WARM} requests with a warm lease: {}", after - before);
    assert_eq!(after, before);
    assert_eq!(world.api("proxies").await.unwrap()["proxies"][0]["missing"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_dies_and_comes_back_grants_nothing_twice() {
    let mut world = World::start(&policy("hard", "1.00"), 3).await.unwrap();
    let mut killed = false;
    let outcome = drive(&mut world, |world, answered| {
        if !killed && answered > 100 {
            killed = true;
            restart_control_plane(world);
        }
        Next::GoOn
    })
    .await;
    show("control plane killed and restarted", &outcome);
    assert!(killed);
    assert!(outcome.spent <= bound(&outcome), "{outcome:?}");
    assert!(outcome.spent >= LIMIT / 2, "it went on after the restart: {outcome:?}");
    settled_equals_truth(&world, outcome.spent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_dies_takes_no_more_than_its_lease_along() {
    let mut world = World::start(&policy("hard", "1.00"), 3).await.unwrap();
    let mut killed = false;
    let outcome = drive(&mut world, |world, answered| {
        if !killed && answered > 100 {
            killed = true;
            world.kill_envoy(1);
        }
        Next::GoOn
    })
    .await;
    show("one Envoy killed", &outcome);
    assert!(killed);
    assert!(outcome.spent <= bound(&outcome), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_may_die_in_one_run_and_the_budget_holds() {
    let mut world = World::start(&policy("hard", "1.00"), 3).await.unwrap();
    let mut step = 0;
    let outcome = drive(&mut world, |world, answered| {
        if step == 0 && answered > 60 {
            step = 1;
            world.kill_envoy(1);
            restart_control_plane(world);
        } else if step == 1 && answered > 200 {
            step = 2;
            restart_control_plane(world);
        }
        Next::GoOn
    })
    .await;
    show("both killed, one of them twice", &outcome);
    assert!(step >= 1);
    assert!(outcome.spent <= bound(&outcome), "{outcome:?}");
}

/// The contrast, with leases off: gateways that look up what was counted before they let a request pass. It is counted
/// when it is known, which is after the answer. This one is kinder than most: all of its gateways hear of each record
/// within 20 ms of its being stored, and of nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn counting_after_the_fact_overshoots() {
    let mut world = World::start(&policy("soft", "1.00"), 3).await.unwrap();
    let outcome = drive(&mut world, |world, _| {
        let counted = wait(world.api("summary")).ok().and_then(|summary| summary["spend_nano_usd"].as_u64());
        if counted >= Some(LIMIT) { Next::Stop } else { Next::GoOn }
    })
    .await;
    show("no leases: counted after the fact", &outcome);
    assert!(outcome.spent > bound(&outcome), "nothing held it back: {outcome:?}");
}
