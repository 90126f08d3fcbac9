//! A configuration that a real Envoy refuses: it stops at the first proxy, and all go on with the one before.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use purser_tests::{Process, envoy, free_port, until};
use purser_xds::{AccessLog, BODY_LIMIT_BYTES, Bootstrap, FilterSource, Fleet, Gateway, RolloutState, Status};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

const PROXIES: [&str; 3] = ["a", "b", "c"];

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Starts an Envoy that asks this control plane; delta xDS for every other one.
fn start(folder: &Path, node: &str, control_plane: u16, delta: bool) -> Process {
    let bootstrap = Bootstrap {
        node_id: node.to_owned(),
        cluster: "test".to_owned(),
        metadata: json!({}),
        control_plane: ("127.0.0.1".to_owned(), control_plane),
        admin: local(0),
        delta,
    };
    let config = folder.join(format!("{node}.json"));
    std::fs::write(&config, bootstrap.render()).unwrap();
    let log = std::fs::File::create(folder.join(format!("{node}.log"))).unwrap();
    let mut command = envoy().unwrap();
    command.arg("--config-path").arg(config).args(["--concurrency", "1"]).stderr(log);
    Process::start(&mut command).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_envoy_refuses_stops_at_the_first_and_the_last_good_one_goes_on() {
    let folder = TempDir::new().unwrap();
    let (gateway_port, port) = (free_port().unwrap(), free_port().unwrap());
    let good = Gateway {
        label: "good".to_owned(),
        listen: local(gateway_port),
        providers: Vec::new(),
        filter: FilterSource {
            wasm_path: purser_tests::filter().unwrap().to_string_lossy().into_owned(),
            configuration_json: "{}".to_owned(),
        },
        access_log: AccessLog::File(folder.path().join("records.log")),
        body_limit_bytes: BODY_LIMIT_BYTES,
    };
    let fleet = Fleet::default();
    fleet.publish(good.snapshot());
    let listener = tokio::net::TcpListener::bind(local(port)).await.unwrap();
    let router = purser_xds::server::routes(fleet.clone()).into_axum_router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let _envoys: Vec<Process> =
        PROXIES.iter().enumerate().map(|(at, node)| start(folder.path(), node, port, at % 2 == 1)).collect();

    // All of it, at every proxy.
    let all = |version: &'static str| {
        let fleet = fleet.clone();
        move || {
            fleet.tick();
            let rollout = fleet.rollout();
            let there = rollout.state == RolloutState::Idle && rollout.version == version;
            std::future::ready((there && rollout.acked == PROXIES.len()).then_some(()))
        }
    };
    until("all have the first", all("good")).await.unwrap();
    let answers = || async {
        let answer = reqwest::get(format!("http://127.0.0.1:{gateway_port}/healthz")).await.ok()?;
        answer.status().is_success().then_some(())
    };
    until("the gateway answers", answers).await.unwrap();

    // Each is refused by Envoy itself or by the filter in it, and says why.
    let refused = [
        (
            "listeners",
            "no such folder",
            Gateway { access_log: AccessLog::File("/nowhere/records.log".into()), ..good.clone() },
        ),
        ("filter", "no policy", {
            let filter = FilterSource { configuration_json: r#"{"no": "policy"}"#.to_owned(), ..good.filter.clone() };
            Gateway { filter, ..good.clone() }
        }),
    ];
    for (kind, what, gateway) in refused {
        fleet.publish(Gateway { label: what.to_owned(), ..gateway }.snapshot());
        let stopped = || {
            fleet.tick();
            let rollout = fleet.rollout();
            std::future::ready((rollout.state == RolloutState::Stopped).then_some(rollout))
        };
        let rollout = until("the roll-out stops", stopped).await.unwrap();
        println!("{what}: {rollout:?}");
        assert_eq!(rollout.nacks.len(), 1, "{what}: one proxy tried it");
        assert_eq!(rollout.nacks[0].kind, kind, "{what}");
        assert!(!rollout.nacks[0].error.is_empty(), "{what}");
        let tried = rollout.nacks[0].proxy.as_str();
        let spared = fleet.proxies().into_iter().filter(|proxy| proxy.proxy != tried);
        assert!(spared.flat_map(|proxy| proxy.config).all(|config| config.status == Status::Acked), "{what}");
        until("the last good one is back", || {
            let proxies = fleet.proxies();
            let acked = proxies.iter().all(|proxy| proxy.config.iter().all(|config| config.status == Status::Acked));
            std::future::ready(acked.then_some(()))
        })
        .await
        .unwrap();
        assert!(answers().await.is_some(), "{what}: the gateway goes on");
    }

    // A good one after it goes to all.
    fleet.publish(Gateway { label: "better".to_owned(), body_limit_bytes: 1 << 20, ..good }.snapshot());
    until("all have the better one", all("better")).await.unwrap();
    answers().await.unwrap();
}
