//! The root context: configuration and ticks.

use crate::host::{self, SharedData};
use crate::stream::Stream;
use crate::vm::Vm;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use purser_core::config::FilterConfig;
use purser_core::exchange::Proxy;
use purser_core::policy::Policy;
use purser_core::store;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(200);
const EPOCH_KEY: &str = "purser.epoch";

/// The root of one VM.
pub(crate) struct Root {
    context_id: u32,
    vm: Rc<Vm>,
}

impl Root {
    pub(crate) fn new(context_id: u32) -> Self {
        Self { context_id, vm: Rc::new(Vm::new()) }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, body_size: usize, _trailers: usize) {
        self.vm.root_answered(self.context_id, token, body_size);
    }
}

impl RootContext for Root {
    /// `false` is a NACK: the last good configuration goes on.
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = host::plugin_configuration();
        let policy = if is_placeholder(&text) { Ok(None) } else { compile(&text).map(Some) };
        match policy {
            Ok(policy) => {
                let workload = policy.as_ref().map(workload).unwrap_or_default();
                let id = host::property(&["xds", "node", "id"]).unwrap_or_default();
                self.vm.configure(Proxy { id, epoch: epoch(), workload }, policy);
                host::set_tick(TICK);
                true
            }
            Err(message) => {
                host::warn(&message);
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.vm.tick(self.context_id);
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context_id, Rc::clone(&self.vm))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// The configuration that stands in until the first policy comes: `{}` or nothing.
fn is_placeholder(text: &[u8]) -> bool {
    matches!(text.trim_ascii(), b"" | b"{}")
}

fn compile(text: &[u8]) -> Result<Policy, String> {
    let config: FilterConfig =
        serde_json::from_slice(text).map_err(|error| format!("purser: configuration refused: {error}"))?;
    Policy::compile(config).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("purser: configuration refused: {}", list.join("; "))
    })
}

/// This run of the process: when its first VM was configured.
fn epoch() -> u64 {
    store::update(&SharedData, EPOCH_KEY, |value| match value.and_then(store::read_u64) {
        Some(epoch) => (None, epoch),
        None => {
            let now_ms = host::now_ms();
            (Some(now_ms.to_le_bytes().to_vec()), now_ms)
        }
    })
}

/// Labels from the node's metadata, by the paths of the policy.
fn workload(policy: &Policy) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (path, label) in &policy.config.identity.workload {
        // `LABELS.app` is a member of an object; a label's own name may hold more dots.
        let (head, rest) = path.split_once('.').map_or((path.as_str(), None), |(head, rest)| (head, Some(rest)));
        let property = ["xds", "node", "metadata", head].into_iter().chain(rest).collect::<Vec<_>>();
        if let Some(value) = host::property(&property) {
            labels.insert(label.clone(), value);
        }
    }
    labels
}
