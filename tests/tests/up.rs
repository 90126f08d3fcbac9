//! `purser up` as its first user has it: what it prints works as it stands, the demo meets a budget, Ctrl-C leaves
//! nothing behind and nothing out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use purser_tests::{DEADLINE, Process, free_port, purser, repository, signal, until};
use serde_json::Value;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Up {
    process: Process,
    gateway: u16,
    http: u16,
    said: String,
}

impl Drop for Up {
    /// Politely, so that its Envoy ends too.
    fn drop(&mut self) {
        if matches!(self.process.ended(), Ok(None)) {
            let _ = signal("-TERM", self.process.id());
        }
        let began = Instant::now();
        while began.elapsed() < DEADLINE && matches!(self.process.ended(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Starts it, and waits for all that it has to say.
async fn up(folder: &Path) -> Up {
    let (gateway, http) = (free_port().unwrap(), free_port().unwrap());
    let (out, log) = (folder.join("out"), folder.join("log"));
    let mut command = purser().unwrap();
    command.arg("up").args(["--gateway-port", &gateway.to_string(), "--http-port", &http.to_string()]);
    command.args(["--proxy-port", "0", "--policies"]).arg(repository().join("policies"));
    command.arg("--data").arg(folder.join("data"));
    command.arg("--envoy").arg(purser_tests::envoy().unwrap().get_program());
    command.arg("--filter").arg(purser_tests::filter().unwrap());
    command.env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&log).unwrap());
    let process = Process::start(&mut command).unwrap();
    let said = || std::future::ready(std::fs::read_to_string(&out).ok().filter(|text| text.contains("Ctrl-C stops")));
    let said = until("all is up", said).await.unwrap_or_else(|error| {
        panic!("{error:#}\n{}", std::fs::read_to_string(&log).unwrap_or_default());
    });
    Up { process, gateway, http, said }
}

async fn requests(up: &Up) -> Option<u64> {
    let url = format!("http://127.0.0.1:{}/api/v1/summary", up.http);
    let summary: Value = reqwest::get(url).await.ok()?.json().await.ok()?;
    summary.get("requests")?.as_u64()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_prints_works_and_ctrl_c_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let mut first = up(folder.path()).await;
    assert_eq!(requests(&first).await, Some(0), "nobody asked anything yet");

    let (_, lines) = first.said.split_once("Try:").unwrap();
    let (lines, _) = lines.split_once("`make demo`").unwrap();
    let output = Command::new("bash").args(["-euc", lines]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{lines}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for answer in ["\"object\":\"chat.completion\"", "\"type\":\"message\"", "data: [DONE]"] {
        assert!(text.contains(answer), "{answer}: {text}");
    }

    let mut demo = purser().unwrap();
    demo.arg("demo").args(["--gateway-port", &first.gateway.to_string(), "--http-port", &first.http.to_string()]);
    let output = demo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let research = text.lines().find(|line| line.starts_with("research ")).unwrap();
    assert!(research.contains(" by Budget/team-daily"), "the budget was met: {text}");
    assert_eq!(requests(&first).await, Some(603), "all of it is on the dashboard: {text}");

    // A request whose record is not reported yet when Ctrl-C comes.
    Command::new("bash").args(["-euc", lines.trim().split("\n\n").next().unwrap()]).output().unwrap();
    signal("-INT", first.process.id()).unwrap();
    let status = until("it ends", || std::future::ready(first.process.ended().unwrap())).await.unwrap();
    assert!(status.success(), "{status}");
    TcpListener::bind(("127.0.0.1", first.gateway)).unwrap();
    TcpListener::bind(("127.0.0.1", first.http)).unwrap();
    let logged = std::fs::read_to_string(folder.path().join("data/access.log")).unwrap();
    assert_eq!(logged.lines().count(), 604, "Envoy wrote all of its log");

    let second = up(folder.path()).await;
    assert_eq!(requests(&second).await, Some(604), "nothing is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_at_once() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = purser().unwrap();
    command.arg("up").args(["--gateway-port", &port]).arg("--data").arg(folder.path());
    command.arg("--filter").arg(purser_tests::filter().unwrap());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(&format!("port {port} is in use")), "{text}");
}
