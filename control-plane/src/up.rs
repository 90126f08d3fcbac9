//! `purser up`: all of it on this machine, on embedded defaults: control plane, one Envoy, a stand-in provider.

use crate::serve::{Addresses, Options, serve};
use anyhow::{Context, Result, bail};
use purser_stand_in::StandIn;
use purser_xds::Bootstrap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// How long Envoy may take until the gateway answers.
const START: Duration = Duration::from_secs(60);
/// How long the filter may take to report the last records: it does so once a second.
const LAST_REPORT: Duration = Duration::from_millis(1_300);
/// How long Envoy may take to end.
const END: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Port of the gateway on 127.0.0.1.
    #[arg(long, env = "PURSER_GATEWAY_PORT", default_value_t = 10_000)]
    gateway_port: u16,
    /// Port of the dashboard and API on 127.0.0.1.
    #[arg(long, env = "PURSER_HTTP_PORT", default_value_t = 9_600)]
    http_port: u16,
    /// Port for proxies on 127.0.0.1; 0: any.
    #[arg(long, env = "PURSER_PROXY_PORT", default_value_t = 9_601)]
    proxy_port: u16,
    /// Folder of policy files.
    #[arg(long, env = "PURSER_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// Folder for the ledger and the logs.
    #[arg(long, env = "PURSER_DATA", default_value = "data")]
    data: PathBuf,
    /// The Envoy program.
    #[arg(long, env = "PURSER_ENVOY", default_value = "envoy")]
    envoy: PathBuf,
    /// The filter's wasm module.
    #[arg(long, env = "PURSER_FILTER")]
    filter: PathBuf,
    /// Envoy's worker threads.
    #[arg(long, default_value_t = 2)]
    concurrency: u32,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Starts all, prints where it is, and stops all at Ctrl-C.
///
/// # Errors
/// When something cannot be started, or Envoy ends by itself.
pub async fn run(args: Args) -> Result<()> {
    std::fs::create_dir_all(&args.data).with_context(|| format!("{} cannot be made", args.data.display()))?;
    // Envoy shares its port with whoever else does: two of them would each get half of the requests.
    drop(TcpListener::bind(local(args.gateway_port)).with_context(|| {
        format!("port {} is in use: choose another with --gateway-port or PURSER_GATEWAY_PORT", args.gateway_port)
    })?);
    let data = std::path::absolute(&args.data)?;
    let stand_in = StandIn::start(local(0)).await.context("the stand-in provider cannot start")?;
    let options = Options {
        policies: Some(args.policies.clone()),
        data: Some(data.clone()),
        http: Some(local(args.http_port)),
        proxies: Some(local(args.proxy_port)),
        gateway: Some(local(args.gateway_port)),
        filter: Some(args.filter.clone()),
        access_log: Some(data.join("access.log")),
        stand_in: Some(format!("http://{}", stand_in.addr())),
        ready_file: None,
    };
    let (ready, is_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut control_plane = tokio::spawn(serve(
        options,
        |addresses| {
            let _ = ready.send(addresses);
        },
        async {
            let _ = stopped.await;
        },
    ));
    let addresses: Addresses = tokio::select! {
        ended = &mut control_plane => return ended?.and(Err(anyhow::anyhow!("the control plane ended"))),
        addresses = is_ready => addresses.context("the control plane did not start")?,
    };

    let mut envoy = start_envoy(&args, &data, addresses)?;
    let outcome = async {
        wait_for_gateway(&args, &data, &mut envoy).await?;
        introduce(&args, addresses, &data, stand_in.addr());
        tokio::select! {
            status = envoy.wait() => bail!("Envoy ended ({}): see {}", status?, data.join("envoy.log").display()),
            ended = &mut control_plane => ended?.and(Err(anyhow::anyhow!("the control plane ended"))),
            () = interrupted() => Ok(()),
        }
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        () = interrupted() => Ok(()),
    };
    println!("stopping");
    if outcome.is_ok() {
        tokio::select! {
            () = tokio::time::sleep(LAST_REPORT) => {}
            () = interrupted() => {}
        }
    }
    end_envoy(&mut envoy).await;
    let _ = stop.send(());
    if !control_plane.is_finished() {
        let _ = control_plane.await;
    }
    outcome
}

/// Ctrl-C, a polite kill, or a terminal that was closed.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let on = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = on(SignalKind::terminate()) => {}
        () = on(SignalKind::hangup()) => {}
    }
}

/// Asks Envoy to end, so that it writes the rest of its access log; kills it when it does not.
async fn end_envoy(envoy: &mut Child) {
    if let Some(pid) = envoy.id() {
        let asked = Command::new("kill").arg(pid.to_string()).stderr(Stdio::null()).status().await;
        if asked.is_ok_and(|status| status.success()) && tokio::time::timeout(END, envoy.wait()).await.is_ok() {
            return;
        }
    }
    let _ = envoy.start_kill();
    let _ = envoy.wait().await;
}

fn start_envoy(args: &Args, data: &Path, addresses: Addresses) -> Result<Child> {
    let bootstrap = Bootstrap {
        node_id: "local".to_owned(),
        cluster: "local".to_owned(),
        metadata: serde_json::json!({"WORKLOAD_NAME": "local"}),
        control_plane: (addresses.proxies.ip().to_string(), addresses.proxies.port()),
        admin: local(0),
        delta: false,
    };
    let path = data.join("envoy.json");
    std::fs::write(&path, bootstrap.render())?;
    let log = std::fs::File::create(data.join("envoy.log"))?;
    Command::new(&args.envoy)
        .arg("--config-path")
        .arg(&path)
        .arg("--admin-address-path")
        .arg(data.join("envoy.admin"))
        // Hot restarts need shared memory, which would be left behind.
        .args(["--disable-hot-restart", "--log-level", "warning", "--concurrency", &args.concurrency.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("Envoy cannot be started ({}): `make tools` installs it", args.envoy.display()))
}

/// The gateway's listener opens when the filter has its policy.
async fn wait_for_gateway(args: &Args, data: &Path, envoy: &mut Child) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let url = format!("http://127.0.0.1:{}/healthz", args.gateway_port);
    let began = Instant::now();
    loop {
        if let Some(status) = envoy.try_wait()? {
            bail!("Envoy ended ({status}): see {}", data.join("envoy.log").display());
        }
        if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if began.elapsed() > START {
            bail!(
                "the gateway does not answer: see {} and the policy's problems above",
                data.join("envoy.log").display()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn introduce(args: &Args, addresses: Addresses, data: &Path, stand_in: SocketAddr) {
    let gateway = format!("http://127.0.0.1:{}", args.gateway_port);
    let missing = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"].into_iter().filter(|name| std::env::var_os(name).is_none());
    let missing: Vec<&str> = missing.collect();
    println!("Purser is up.");
    println!("  gateway     {gateway}    (Envoy, all of its configuration by xDS)");
    println!("  dashboard   http://{}", addresses.http);
    println!("  API         http://{}/api/openapi.json", addresses.http);
    println!("  policies    {}    (edit them: they are followed)", args.policies.display());
    println!("  data, logs  {}", data.display());
    if !missing.is_empty() {
        println!("  stand-in    http://{stand_in}    (answers made up: {} not set)", missing.join(" and "));
    }
    println!("\nTry:\n");
    println!(
        "  curl {gateway}/v1/chat/completions -H 'content-type: application/json' -H 'x-purser-team: search' \\\n    \
         -d '{{\"model\":\"gpt-5-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"Who keeps the ship'\"'\"'s money?\"}}]}}'\n"
    );
    println!(
        "  curl {gateway}/v1/messages -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' -H 'x-purser-team: sales' \\\n    \
         -d '{{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":100,\"messages\":[{{\"role\":\"user\",\"content\":\"And who spends it?\"}}]}}'\n"
    );
    println!(
        "  curl -N {gateway}/v1/chat/completions -H 'content-type: application/json' -H 'x-purser-team: support' \\\n    \
         -d '{{\"model\":\"gpt-5-nano\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Tell me as you go.\"}}]}}'\n"
    );
    println!("`make demo` in another terminal sends a few hundred. Ctrl-C stops all of it.");
}
