//! A world to test in: the real control plane, real Envoys with the built filter, and a provider that knows the truth.
//!
//! Programs are taken from `PURSER_BIN`, `PURSER_ENVOY` and `PURSER_FILTER`, or from where `make` puts them.

use anyhow::{Context, Result, bail};
use purser_stand_in::StandIn;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that should happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A program, killed with this value.
pub struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn()?))
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it ended, and how.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder of the checkout.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn program(variable: &str, places: &[&str], make: &str) -> Result<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.into_iter().chain(places.iter().map(|place| repository().join(place))).find(|path| path.exists());
    found.with_context(|| format!("{variable} is not set and {} is not there: run `make {make}`", places.join(", ")))
}

/// The control plane and command line.
///
/// # Errors
/// When it was not built.
pub fn purser() -> Result<Command> {
    Ok(Command::new(program("PURSER_BIN", &["target/debug/purser", "target/release/purser"], "build")?))
}

/// Sends a signal, such as `-INT`.
///
/// # Errors
/// When there is no such process.
pub fn signal(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill").args([name, &pid.to_string()]).status()?;
    if status.success() { Ok(()) } else { bail!("kill {name}: {status}") }
}

/// Envoy, to be started beside others on this machine.
///
/// # Errors
/// When it is not installed.
pub fn envoy() -> Result<Command> {
    let mut command = Command::new(program("PURSER_ENVOY", &[".tools/envoy/envoy/_bin/envoy"], "tools")?);
    command.args(["--disable-hot-restart", "--log-level", "warning"]);
    Ok(command)
}

/// The built filter.
///
/// # Errors
/// When it was not built.
pub fn filter() -> Result<PathBuf> {
    program("PURSER_FILTER", &["target/wasm32-wasip1/filter/purser_filter.wasm"], "filter")
}

/// A port that was free a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until `what` gives something.
///
/// # Errors
/// When it does not in time.
pub async fn until<T, F: Future<Output = Option<T>>>(name: &str, mut what: impl FnMut() -> F) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(it) = what().await {
            return Ok(it);
        }
        if began.elapsed() > DEADLINE {
            bail!("not in time: {name}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All of it, running.
pub struct World {
    folder: TempDir,
    /// The provider.
    pub stand_in: StandIn,
    control_plane: Option<Process>,
    envoys: Vec<Option<Process>>,
    plain: Option<Process>,
    http: SocketAddr,
    proxies: SocketAddr,
    gateway: u16,
    /// Worker threads of each Envoy.
    workers: usize,
    /// For requests; it keeps no more connections than it must.
    pub client: reqwest::Client,
}

impl World {
    /// Starts all, with these policy documents beside the two providers, and waits until every Envoy has its policy.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(policies: &str, envoys: usize) -> Result<Self> {
        Self::start_with(policies, envoys, 2).await
    }

    /// As [`World::start`], each Envoy with this many worker threads.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start_with(policies: &str, envoys: usize, workers: usize) -> Result<Self> {
        Self::start_serving(None, policies, envoys, workers).await
    }

    /// As [`World::start_with`], with these `Provider` documents in the place of the two of the stand-in.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start_serving(providers: Option<&str>, policies: &str, envoys: usize, workers: usize) -> Result<Self> {
        let folder = TempDir::new()?;
        let stand_in = StandIn::start(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        std::fs::create_dir_all(folder.path().join("policies"))?;
        std::fs::write(folder.path().join("credential"), "provider-secret\n")?;
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(DEADLINE).build()?;
        let mut world = Self {
            stand_in,
            control_plane: None,
            envoys: Vec::new(),
            plain: None,
            http: local(free_port()?),
            proxies: local(free_port()?),
            gateway: free_port()?,
            workers,
            client,
            folder,
        };
        world.write_policy("providers.yaml", &providers.map_or_else(|| world.providers(), str::to_owned))?;
        world.write_policy("policy.yaml", policies)?;
        world.start_control_plane().await?;
        for index in 0..envoys {
            world.start_envoy(index)?;
        }
        world.settled().await?;
        let url = format!("{}/healthz", world.gateway());
        until("the gateway answers", || async { world.client.get(&url).send().await.ok() }).await?;
        Ok(world)
    }

    /// Where the providers' credential is.
    pub fn credential_file(&self) -> PathBuf {
        self.folder.path().join("credential")
    }

    fn providers(&self) -> String {
        let one = |name: &str, api: &str| {
            format!(
                "apiVersion: purser.dev/v1alpha1\nkind: Provider\nmetadata: {{ name: {name} }}\nspec:\n  endpoint: \"http://{}\"\n  \
                 apis: [{api}]\n  credential: {{ file: \"{}\" }}\n",
                self.stand_in.addr(),
                self.credential_file().display(),
            )
        };
        format!("{}---\n{}", one("openai", "openai.*"), one("anthropic", "anthropic.*"))
    }

    /// Writes a file into the policy folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_policy(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.folder.path().join("policies").join(name), text)?)
    }

    fn log(&self, name: &str) -> Result<Stdio> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join(name))?;
        Ok(file.into())
    }

    /// Starts the control plane (again), where it was, and waits until it answers.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_control_plane(&mut self) -> Result<()> {
        let path = |name: &str| self.folder.path().join(name);
        let config = json!({
            "http": self.http, "proxies": self.proxies, "gateway": format!("127.0.0.1:{}", self.gateway),
            "policies": path("policies"), "data": path("data"), "accessLog": path("access.log"), "filter": filter()?,
        });
        // YAML has JSON in it.
        std::fs::write(path("purser.yaml"), config.to_string())?;
        let child = purser()?
            .args(["serve", "--config"])
            .arg(path("purser.yaml"))
            .stdout(self.log("control-plane.log")?)
            .stderr(self.log("control-plane.log")?)
            .spawn()?;
        self.control_plane = Some(Process(child));
        let url = format!("http://{}/healthz", self.http);
        until("control plane answers", || async { self.client.get(&url).send().await.ok() }).await?;
        Ok(())
    }

    /// Kills the control plane, with no time to say good-bye.
    pub fn kill_control_plane(&mut self) {
        self.control_plane = None;
    }

    /// Stops the control plane in mid-step, or lets it go on: while it is stopped it takes connections and never answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze_control_plane(&self, frozen: bool) -> Result<()> {
        let pid = self.control_plane.as_ref().context("no control plane")?.0.id();
        signal(if frozen { "-STOP" } else { "-CONT" }, pid)
    }

    fn start_envoy(&mut self, index: usize) -> Result<()> {
        let output = purser()?
            .args(["bootstrap", "--node", &format!("envoy-{index}"), "--control-plane", &self.proxies.to_string()])
            .args(["--metadata", "WORKLOAD_NAME=checkout"])
            .args(if index % 2 == 1 { &["--delta"][..] } else { &[] })
            .output()?;
        let config = self.folder.path().join(format!("envoy-{index}.json"));
        std::fs::write(&config, output.stdout)?;
        // All share the gateway's port: the system spreads connections over them.
        let child = envoy()?
            .arg("--config-path")
            .arg(config)
            .args(["--concurrency", &self.workers.to_string()])
            .stdout(self.log(&format!("envoy-{index}.log"))?)
            .stderr(self.log(&format!("envoy-{index}.log"))?)
            .spawn()?;
        self.envoys.push(Some(Process(child)));
        Ok(())
    }

    /// Kills an Envoy, with no time to say good-bye.
    pub fn kill_envoy(&mut self, index: usize) {
        if let Some(envoy) = self.envoys.get_mut(index) {
            *envoy = None;
        }
    }

    /// Waits until the newest policy is everywhere.
    ///
    /// # Errors
    /// When it does not get there in time.
    pub async fn settled(&self) -> Result<()> {
        let running = self.envoys.iter().flatten().count();
        until("the policy is at every proxy", || async {
            let policy = self.api("policy").await.ok()?;
            let rollout = policy.get("rollout")?;
            let all = rollout.get("acked")?.as_u64()? as usize == running && rollout.get("state")? == "idle";
            let same = rollout.get("version")? == policy.get("version")?;
            (all && same).then_some(())
        })
        .await
    }

    /// The process of an Envoy.
    pub fn envoy_pid(&self, index: usize) -> Option<u32> {
        self.envoys.get(index)?.as_ref().map(|envoy| envoy.0.id())
    }

    /// Starts an Envoy that does nothing but route to the provider and log a line. Returns its process and address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_plain_envoy(&mut self) -> Result<(u32, String)> {
        let port = free_port()?;
        let address = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        let http = "type.googleapis.com/envoy.extensions.filters";
        let config = json!({
            "admin": {"address": address(0)},
            "static_resources": {
                "listeners": [{"address": address(port), "filter_chains": [{"filters": [{
                    "name": "http", "typed_config": {
                        "@type": format!("{http}.network.http_connection_manager.v3.HttpConnectionManager"),
                        "stat_prefix": "plain", "stream_idle_timeout": "600s",
                        "access_log": [{"name": "file", "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                            "path": self.folder.path().join("plain.log"),
                            "log_format": {"text_format_source": {"inline_string": "%REQ(:PATH)% %RESPONSE_CODE% %DURATION%\n"}},
                        }}],
                        "http_filters": [{"name": "router", "typed_config": {"@type": format!("{http}.http.router.v3.Router")}}],
                        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
                            "match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}}],
                            "request_headers_to_add": [{"header": {"key": "authorization", "value": "Bearer plain"}}]}]},
                    }}]}]}],
                "clusters": [{"name": "provider", "connect_timeout": "1s", "load_assignment": {"cluster_name": "provider",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(self.stand_in.addr().port())}}]}]}}],
            },
        });
        let path = self.folder.path().join("plain.json");
        std::fs::write(&path, config.to_string())?;
        let child = envoy()?
            .arg("--config-path")
            .arg(path)
            .args(["--concurrency", &self.workers.to_string()])
            .stdout(self.log("plain.out")?)
            .stderr(self.log("plain.out")?)
            .spawn()?;
        let pid = child.id();
        self.plain = Some(Process(child));
        let url = format!("http://127.0.0.1:{port}");
        until("the plain Envoy answers", || async { self.client.get(&url).send().await.ok() }).await?;
        Ok((pid, url))
    }

    /// Where the gateway is.
    pub fn gateway(&self) -> String {
        format!("http://127.0.0.1:{}", self.gateway)
    }

    /// Where people reach the control plane.
    pub fn dashboard(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Asks the API.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let url = format!("http://{}/api/v1/{path}", self.http);
        Ok(self.client.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// A request to the gateway.
    pub fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.gateway())).json(body)
    }

    /// The newest records, once there are `count` of them, the newest first.
    ///
    /// # Errors
    /// When they do not come in time.
    pub async fn records(&self, count: usize) -> Result<Vec<Value>> {
        until("records come", || async {
            let list = self.api("records?limit=1000").await.ok()?;
            let list = list.get("records")?.as_array()?.clone();
            (list.len() >= count).then_some(list)
        })
        .await
    }

    /// One record whole.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn record(&self, row: &Value) -> Result<Value> {
        let id = row.get("id").and_then(Value::as_str).context("a record's id")?;
        Ok(self.api(&format!("records/{id}")).await?.get("record").cloned().unwrap_or_default())
    }

    /// `purser keys …` on this world's ledger.
    ///
    /// # Errors
    /// When it fails.
    pub fn keys(&self, arguments: &[&str]) -> Result<String> {
        let output =
            purser()?.arg("keys").args(arguments).arg("--data").arg(self.folder.path().join("data")).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// How often requests of all proxies waited for a call to the control plane, so far.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn cold_waits(&self) -> Result<u64> {
        let proxies = self.api("proxies").await?;
        let list = proxies.get("proxies").and_then(Value::as_array).context("a list of proxies")?;
        Ok(list.iter().filter_map(|proxy| proxy.get("cold_waits")?.as_u64()).sum())
    }

    /// Lines of the access log.
    pub fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What the programs said, for a test that failed.
    pub fn logs(&self) -> String {
        let names = ["control-plane.log", "envoy-0.log", "envoy-1.log", "envoy-2.log"];
        let read = |name: &&str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        names.iter().map(|name| format!("--- {name}\n{}", read(name))).collect()
    }
}
