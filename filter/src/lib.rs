//! Purser's filter: host callbacks to the engine's events, the engine's effects to host calls. It decides nothing.
//!
//! `root` takes the configuration and the ticks, `stream` is one HTTP stream, `vm` is what they share within one
//! worker's VM, and `host` is the only file that names `proxy_wasm::hostcalls`.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![expect(missing_docs, reason = "the entry point that `main!` makes has none")]

mod host;
mod metrics;
mod root;
mod stream;
mod vm;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
}}
