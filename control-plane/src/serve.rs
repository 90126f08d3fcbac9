//! `purser serve`: the control plane, until it is told to stop.

use crate::api::{ApiState, ConfigView, PolicyView, ProxyAnswer, RolloutAnswer};
use crate::{api, dashboard, sync};
use anyhow::{Context, Result};
use purser_ledger::Ledger;
use purser_policy::{Compiled, PolicyState, ProviderTarget, Severity, shipped_book};
use purser_xds::{AccessLog, FilterSource, Fleet, Gateway, ProviderEndpoint};
use serde::Deserialize;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

/// What the control plane is told. In a file (`--config`) with these names in camel case, or by flags, which win.
#[derive(Debug, Clone, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Options {
    /// Folder of policy files.
    #[arg(long, env = "PURSER_POLICIES")]
    pub policies: Option<PathBuf>,
    /// Folder for the ledger.
    #[arg(long, env = "PURSER_DATA")]
    pub data: Option<PathBuf>,
    /// Where people reach the dashboard and the API [default: 127.0.0.1:9600].
    #[arg(long, env = "PURSER_HTTP")]
    pub http: Option<SocketAddr>,
    /// Where proxies reach xDS and sync [default: 127.0.0.1:9601].
    #[arg(long, env = "PURSER_PROXIES")]
    pub proxies: Option<SocketAddr>,
    /// Where gateways listen [default: 127.0.0.1:10000].
    #[arg(long, env = "PURSER_GATEWAY")]
    pub gateway: Option<SocketAddr>,
    /// The filter's wasm module, as a path on the proxies' machines.
    #[arg(long, env = "PURSER_FILTER")]
    pub filter: Option<PathBuf>,
    /// Where proxies log records: a file on their machines [default: their standard output].
    #[arg(long)]
    pub access_log: Option<PathBuf>,
    /// Answers for providers whose credential is not there: `http://host:port`. For trying things out.
    #[arg(long)]
    pub stand_in: Option<String>,
    /// Written with the addresses in use once all is up: JSON.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

impl Options {
    /// Reads a file, under what these say already.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn under(self, config: Option<&Path>) -> Result<Self> {
        let Some(path) = config else { return Ok(self) };
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let file: Self = serde_saphyr::from_str(&text).with_context(|| format!("{}", path.display()))?;
        Ok(Self {
            policies: self.policies.or(file.policies),
            data: self.data.or(file.data),
            http: self.http.or(file.http),
            proxies: self.proxies.or(file.proxies),
            gateway: self.gateway.or(file.gateway),
            filter: self.filter.or(file.filter),
            access_log: self.access_log.or(file.access_log),
            stand_in: self.stand_in.or(file.stand_in),
            ready_file: self.ready_file.or(file.ready_file),
        })
    }
}

/// Where a running control plane is reached.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Addresses {
    /// For people.
    pub http: SocketAddr,
    /// For proxies.
    pub proxies: SocketAddr,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Serves until `stop`. `ready` hears of the addresses once all is up.
///
/// # Errors
/// When the data folder, an address or the filter cannot be used.
pub async fn serve(options: Options, ready: impl FnOnce(Addresses), stop: impl Future<Output = ()>) -> Result<()> {
    let data = options.data.unwrap_or_else(|| PathBuf::from("data"));
    std::fs::create_dir_all(&data).with_context(|| format!("data folder {} cannot be made", data.display()))?;
    let policies = options.policies.unwrap_or_else(|| PathBuf::from("policies"));
    let filter = options.filter.context("no filter: name the wasm module with --filter")?;
    let filter = std::path::absolute(filter)?;
    let gateway = options.gateway.unwrap_or_else(|| local(10_000));

    let ledger = Ledger::open(&data.join("ledger.db"))?;
    let states = purser_policy::watch(&policies, Arc::new(shipped_book()?), ledger.watch_keys()?);
    let fleet = Fleet::default();
    let stand_in = options.stand_in.as_deref().map(parse_stand_in).transpose()?;
    let template = Template { gateway, filter, access_log: options.access_log, stand_in };
    let publisher = tokio::spawn(publish(template.clone(), states.clone(), fleet.clone(), ledger.clone()));
    let ticker = tokio::spawn(tick(fleet.clone()));

    let http = listen(options.http.unwrap_or_else(|| local(9_600)), "--http, or --http-port of `purser up`").await?;
    let proxies =
        listen(options.proxies.unwrap_or_else(|| local(9_601)), "--proxies, or --proxy-port of `purser up`").await?;
    let addresses = Addresses { http: http.local_addr()?, proxies: proxies.local_addr()? };

    let api = api::router(api_state(&ledger, &states, &fleet, &template));
    let people = api.merge(dashboard::router()).layer(CompressionLayer::new());
    let machines = purser_xds::server::routes(fleet).into_axum_router().merge(sync::router(ledger));
    let serve = async {
        tokio::try_join!(axum::serve(http, people).into_future(), axum::serve(proxies, machines).into_future())
    };
    tracing::info!(http = %addresses.http, proxies = %addresses.proxies, "control plane is up");
    if let Some(path) = &options.ready_file {
        let text = serde_json::to_string(&addresses)?;
        let part = path.with_extension("part");
        std::fs::write(&part, text)?;
        std::fs::rename(&part, path)?;
    }
    ready(addresses);
    let ended = tokio::select! {
        ended = serve => ended.map(|_| ()).context("a listener failed"),
        () = stop => Ok(()),
    };
    publisher.abort();
    ticker.abort();
    ended
}

async fn listen(address: SocketAddr, flags: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on: choose another with {flags}"))
}

async fn tick(fleet: Fleet) {
    let mut interval = tokio::time::interval(Duration::from_millis(250));
    loop {
        interval.tick().await;
        fleet.tick();
    }
}

/// What makes a gateway of a policy.
#[derive(Debug, Clone)]
struct Template {
    gateway: SocketAddr,
    filter: PathBuf,
    access_log: Option<PathBuf>,
    stand_in: Option<(String, u16)>,
}

fn parse_stand_in(url: &str) -> Result<(String, u16)> {
    let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').context("--stand-in is http://host:port")?;
    Ok((host.to_owned(), port.parse().context("--stand-in is http://host:port")?))
}

impl Template {
    fn gateway(&self, compiled: &Compiled) -> Result<Gateway> {
        let access_log = match &self.access_log {
            Some(path) => AccessLog::File(path.clone()),
            None => AccessLog::Stdout,
        };
        Ok(Gateway {
            label: compiled.filter.version.clone(),
            listen: self.gateway,
            providers: compiled.providers.iter().map(|target| self.provider(target)).collect(),
            filter: FilterSource {
                wasm_path: self.filter.display().to_string(),
                configuration_json: serde_json::to_string(&compiled.filter)?,
            },
            access_log,
            body_limit_bytes: purser_xds::BODY_LIMIT_BYTES,
        })
    }

    /// Whether the stand-in answers for a provider: its credential is wanted and not there.
    fn stands_in(&self, target: &ProviderTarget) -> bool {
        self.stand_in.is_some() && target.wants_credential && target.credential.is_none()
    }

    fn provider(&self, target: &ProviderTarget) -> ProviderEndpoint {
        let credential = target.credential.as_ref().map(|credential| purser_xds::Credential {
            header: credential.header.clone(),
            value: credential.value.clone(),
        });
        let real = ProviderEndpoint {
            name: target.name.clone(),
            tls: target.tls,
            http2: target.http2,
            host: target.host.clone(),
            port: target.port,
            path_prefix: target.path_prefix.clone(),
            credential,
            blocked: None,
            timeout: target.timeout,
        };
        match &self.stand_in {
            Some((host, port)) if self.stands_in(target) => ProviderEndpoint {
                tls: false,
                http2: false,
                host: host.clone(),
                port: *port,
                path_prefix: String::new(),
                credential: Some(purser_xds::Credential {
                    header: "authorization".to_owned(),
                    value: "Bearer stand-in".to_owned(),
                }),
                ..real
            },
            _ if target.wants_credential && target.credential.is_none() => ProviderEndpoint {
                blocked: Some(format!("provider {} has no credential: its operator must give it one", target.name)),
                ..real
            },
            _ => real,
        }
    }
}

/// Brings each good policy to the ledger and the proxies.
async fn publish(template: Template, mut states: watch::Receiver<Arc<PolicyState>>, fleet: Fleet, ledger: Ledger) {
    let mut published = String::new();
    loop {
        let state = Arc::clone(&states.borrow_and_update());
        if let Some(good) = state.good.as_ref().filter(|good| good.filter.version != published) {
            published.clone_from(&good.filter.version);
            ledger.set_budgets(good.filter.budgets.clone());
            match template.gateway(good) {
                Ok(gateway) => fleet.publish(gateway.snapshot()),
                Err(error) => tracing::error!(%error, "the policy cannot be pushed"),
            }
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

fn api_state(
    ledger: &Ledger,
    states: &watch::Receiver<Arc<PolicyState>>,
    fleet: &Fleet,
    template: &Template,
) -> ApiState {
    let policy = {
        let (states, fleet, template) = (states.clone(), fleet.clone(), template.clone());
        move || policy_view(&states.borrow(), &fleet, &template)
    };
    let proxies = {
        let fleet = fleet.clone();
        move || fleet.proxies().into_iter().map(proxy_view).collect()
    };
    let good = {
        let states = states.clone();
        move || states.borrow().good.clone()
    };
    let thresholds = {
        let good = good.clone();
        move |budget: &str| good().and_then(|good| good.thresholds.get(budget).cloned()).unwrap_or_default()
    };
    ApiState {
        ledger: ledger.clone(),
        policy: Arc::new(policy),
        proxies: Arc::new(proxies),
        book: Arc::new(move || good().map(|good| Arc::clone(&good.book))),
        thresholds: Arc::new(thresholds),
    }
}

fn policy_view(state: &PolicyState, fleet: &Fleet, template: &Template) -> PolicyView {
    let rollout = fleet.rollout();
    let word = |value: &dyn erased::Word| value.word();
    let good = state.good.as_deref();
    PolicyView {
        version: good.map(|good| good.filter.version.clone()).unwrap_or_default(),
        price_book: good.map(|good| good.filter.price_book.clone()).unwrap_or_default(),
        loaded_ms: state.loaded_ms,
        directory: state.directory.display().to_string(),
        good: good.is_some() && state.problems.iter().all(|problem| problem.severity == Severity::Warning),
        problems: state.problems.clone(),
        rollout: RolloutAnswer {
            version: rollout.version.clone(),
            state: word(&rollout.state),
            acked: rollout.acked,
            total: rollout.total,
            nacks: rollout.nacks.iter().filter_map(|nack| serde_json::to_value(nack).ok()).collect(),
        },
        documents: state.documents.clone(),
        unpriced_models: Vec::new(),
        gateway: template.gateway.to_string(),
        stand_in: good
            .map(|good| good.providers.iter().filter(|it| template.stands_in(it)).map(|it| it.name.clone()).collect())
            .unwrap_or_default(),
    }
}

fn proxy_view(view: purser_xds::ProxyView) -> ProxyAnswer {
    use erased::Word;
    let config = view.config.into_iter().map(|said| ConfigView {
        r#type: said.kind.to_owned(),
        version: said.version,
        status: said.status.word(),
        error: said.error,
        at_ms: said.at_ms,
    });
    ProxyAnswer {
        connected: view.connected,
        envoy_version: view.envoy_version,
        config: config.collect(),
        report: purser_ledger::ProxyRow { proxy: view.proxy, ..Default::default() },
    }
}

/// The word that JSON has for a value of a fixed set.
mod erased {
    pub(super) trait Word {
        fn word(&self) -> String;
    }

    impl<T: serde::Serialize> Word for T {
        fn word(&self) -> String {
            match serde_json::to_value(self) {
                Ok(serde_json::Value::String(word)) => word,
                _ => String::new(),
            }
        }
    }
}
