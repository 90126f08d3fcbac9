//! The command line.

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use purser::{demo, meter, now_ms, price, prices, serve, text, up};
use purser_ledger::Ledger;
use purser_policy::{Severity, load, shipped_book};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Spend control for LLM traffic, inside Envoy.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: control plane, one Envoy, a stand-in provider
    Up(up::Args),
    /// Run the control plane
    Serve {
        /// A file with the options below, in camel case; flags win
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(flatten)]
        options: serve::Options,
    },
    /// Print an Envoy bootstrap
    Bootstrap {
        /// The proxy's id: its name in the ledger
        #[arg(long)]
        node: String,
        /// The proxy's cluster
        #[arg(long, default_value = "gateway")]
        cluster: String,
        /// Where the control plane listens for proxies: host:port
        #[arg(long, default_value = "127.0.0.1:9601")]
        control_plane: String,
        /// Envoy's admin listener
        #[arg(long, default_value = "127.0.0.1:0")]
        admin: SocketAddr,
        /// Node metadata, such as WORKLOAD_NAME=checkout; may be given again
        #[arg(long, value_parser = pair)]
        metadata: Vec<(String, String)>,
        /// Speak the incremental protocol
        #[arg(long)]
        delta: bool,
    },
    /// Check policy files: every problem with its file, line, path and fix
    Check {
        /// The folder
        folder: PathBuf,
    },
    /// Virtual keys
    Keys {
        #[command(subcommand)]
        command: Keys,
        /// Folder of the ledger
        #[arg(long, env = "PURSER_DATA", default_value = "data", global = true)]
        data: PathBuf,
    },
    /// Say what usages cost: JSON lines, or one from flags
    Price(price::Args),
    /// What recorded exchanges used and cost: JSON lines in and out
    Meter(meter::Args),
    /// The price book: import, list, show
    Prices {
        #[command(subcommand)]
        command: prices::Command,
    },
    /// Send traffic of several teams through the gateway, until one meets its budget
    Demo(demo::Args),
}

#[derive(Subcommand)]
enum Keys {
    /// Make a key; it is shown once
    Create {
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
        /// A label that it stands for, such as team=ml; may be given again
        #[arg(long, value_parser = pair)]
        label: Vec<(String, String)>,
        /// When it stops to work, such as 2027-01-31T00:00:00Z
        #[arg(long)]
        expires: Option<jiff::Timestamp>,
    },
    /// List keys
    List,
    /// Revoke a key, in effect everywhere within two seconds
    Revoke {
        /// Its id
        id: String,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,purser=info,purser_policy=info,purser_xds=info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("purser: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args).await?,
        Command::Serve { config, options } => {
            let options = options.under(config.as_deref())?;
            serve::serve(options, |_| {}, up::interrupted()).await?;
        }
        Command::Bootstrap { node, cluster, control_plane, admin, metadata, delta } => {
            let Some((host, port)) = control_plane.rsplit_once(':') else { bail!("--control-plane is host:port") };
            let metadata = metadata.into_iter().map(|(name, value)| (name, value.into())).collect();
            let metadata = serde_json::Value::Object(metadata);
            let control_plane = (host.to_owned(), port.parse()?);
            let bootstrap = purser_xds::Bootstrap { node_id: node, cluster, metadata, control_plane, admin, delta };
            print!("{}", bootstrap.render());
        }
        Command::Check { folder } => return check(&folder),
        Command::Keys { command, data } => keys(command, data).await?,
        Command::Price(args) => return price::run(args),
        Command::Meter(args) => return meter::run(&args),
        Command::Prices { command } => return prices::run(&command),
        Command::Demo(args) => demo::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(folder: &std::path::Path) -> Result<ExitCode> {
    let book = shipped_book()?;
    let (problems, documents) = match load(folder, &book, &[], jiff::Timestamp::now()) {
        Ok((written, compiled)) => (compiled.warnings, Some(written.documents.len())),
        Err(problems) => (problems, None),
    };
    for problem in &problems {
        println!("{problem}");
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match documents {
        Some(documents) => println!("{}: {}, no error", folder.display(), counted(documents, "document")),
        None => println!("{}: {}", folder.display(), counted(errors, "error")),
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn keys(command: Keys, data: PathBuf) -> Result<()> {
    std::fs::create_dir_all(&data)?;
    let ledger = Ledger::open(&data.join("ledger.db"))?;
    match command {
        Keys::Create { name, label, expires } => {
            let labels: BTreeMap<String, String> = label.into_iter().collect();
            if let Some(unknown) = labels.keys().find(|name| !purser_core::labels::NAMES.contains(&name.as_str())) {
                bail!("no label `{unknown}`: there are {}", purser_core::labels::NAMES.join(", "));
            }
            let expires_ms = expires.and_then(|at| u64::try_from(at.as_millisecond()).ok());
            let key = ledger.create_key(name, labels, expires_ms, now_ms()).await?;
            println!("{}", key.secret);
            eprintln!("id {}. The key is not shown again: its hash is all that is kept.", key.id);
        }
        Keys::List => {
            let time = |ms: Option<u64>| {
                let at = ms.and_then(|ms| jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
                at.map_or_else(|| "-".to_owned(), |at| at.to_string())
            };
            let rows = ledger.keys().await?.into_iter().map(|key| {
                let labels: Vec<String> = key.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let state = if key.revoked_ms.is_some() { "revoked" } else { "in force" };
                vec![
                    key.id,
                    format!("{}…", key.prefix),
                    key.name,
                    labels.join(" "),
                    time(Some(key.created_ms)),
                    time(key.expires_ms),
                    state.to_owned(),
                ]
            });
            println!("{}", text::table(&["id", "key", "name", "labels", "created", "expires", "state"], rows));
        }
        Keys::Revoke { id } => {
            if !ledger.revoke_key(id.clone(), now_ms()).await? {
                bail!("no key `{id}` is in force: see `purser keys list`");
            }
            println!("{id} is revoked");
        }
    }
    Ok(())
}
