//! What Envoy is asked to do. Every status is handled here: a call that fails is a `None` or a `false`, not a panic.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};
use purser_core::store::{Conflict, Expected, Store};
use std::time::{Duration, UNIX_EPOCH};

/// Proxy-wasm shared data, which all workers of the process see.
pub(crate) struct SharedData;

/// A version that no value has: Envoy's counter would have to run once around. Writing with it succeeds only where
/// there is no value yet, so that of two first writers one is told.
const NO_VERSION: u32 = u32::MAX;

impl Store for SharedData {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        match hostcalls::get_shared_data(key) {
            Ok((Some(value), Some(version))) => Some((value, version)),
            _ => None,
        }
    }

    fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<(), Conflict> {
        let version = match expected {
            Expected::Absent => NO_VERSION,
            Expected::Version(version) => version,
        };
        hostcalls::set_shared_data(key, Some(value), Some(version)).map_err(|_| Conflict)
    }
}

pub(crate) fn now_ms() -> u64 {
    let elapsed = hostcalls::get_current_time().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    elapsed.and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok()).unwrap_or(0)
}

pub(crate) fn warn(message: &str) {
    let _ = hostcalls::log(LogLevel::Warn, message);
}

pub(crate) fn set_tick(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

pub(crate) fn plugin_configuration() -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX).ok().flatten().unwrap_or_default()
}

/// Request headers with lower-case names. A value that is no UTF-8 is taken with its bad bytes replaced.
pub(crate) fn request_headers() -> Vec<(String, String)> {
    let pairs = hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default();
    let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(bad) => String::from_utf8_lossy(bad.as_bytes()).into_owned(),
    };
    pairs.into_iter().map(|(name, value)| (name, text(value))).collect()
}

pub(crate) fn set_request_header(name: &str, value: &str) {
    let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, Some(value));
}

pub(crate) fn remove_request_header(name: &str) {
    let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, None);
}

pub(crate) fn response_header(name: &str) -> Option<String> {
    let value = hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).ok().flatten()?;
    String::from_utf8(value).ok()
}

pub(crate) fn remove_response_header(name: &str) {
    let _ = hostcalls::set_map_value(MapType::HttpResponseHeaders, name, None);
}

/// Part of the request's body as Envoy holds it.
pub(crate) fn request_body(start: usize, size: usize) -> Option<Vec<u8>> {
    hostcalls::get_buffer(BufferType::HttpRequestBody, start, size).ok().flatten()
}

/// Puts `body` in the place of the whole request body that Envoy holds.
pub(crate) fn replace_request_body(body: &[u8]) -> bool {
    hostcalls::set_buffer(BufferType::HttpRequestBody, 0, usize::MAX, body).is_ok()
}

/// The piece of the response's body that is passing.
pub(crate) fn response_body(size: usize) -> Option<Vec<u8>> {
    hostcalls::get_buffer(BufferType::HttpResponseBody, 0, size).ok().flatten()
}

/// Puts `piece` in the place of the piece that is passing.
pub(crate) fn replace_response_body(piece: &[u8]) {
    let _ = hostcalls::set_buffer(BufferType::HttpResponseBody, 0, usize::MAX, piece);
}

pub(crate) fn respond(status: u16, headers: &[(&'static str, String)], body: &str) {
    let headers = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _ = hostcalls::send_http_response(u32::from(status), headers, Some(body.as_bytes()));
}

pub(crate) fn resume_request() {
    let _ = hostcalls::resume_http_request();
}

/// Makes the calls that follow be about another stream of this VM. `false` when it is gone.
pub(crate) fn act_for(context_id: u32) -> bool {
    hostcalls::set_effective_context(context_id).is_ok()
}

/// A text property, such as `["xds", "node", "id"]`.
pub(crate) fn property(path: &[&str]) -> Option<String> {
    let value = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    String::from_utf8(value).ok()
}

/// Publishes a value as filter state `wasm.<name>`, for access logs.
pub(crate) fn publish(name: &str, value: &str) {
    let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
}

/// Starts `POST path` on an Envoy cluster. The answer comes to `on_http_call_response` of the context that is active.
pub(crate) fn post(cluster: &str, path: &str, body: &str, timeout: Duration) -> Option<u32> {
    let headers =
        vec![(":method", "POST"), (":path", path), (":authority", cluster), ("content-type", "application/json")];
    hostcalls::dispatch_http_call(cluster, headers, Some(body.as_bytes()), vec![], timeout).ok()
}

/// Status and body of the answer to [`post`]; `None` when there is none.
pub(crate) fn post_answer(body_size: usize) -> Option<(u16, Vec<u8>)> {
    let status = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok().flatten()?;
    let status = std::str::from_utf8(&status).ok()?.parse().ok()?;
    let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size).ok().flatten();
    Some((status, body.unwrap_or_default()))
}

pub(crate) fn define_counter(name: &str) -> Option<u32> {
    hostcalls::define_metric(MetricType::Counter, name).ok()
}

pub(crate) fn add_to_counter(id: u32, amount: u64) {
    let _ = hostcalls::increment_metric(id, i64::try_from(amount).unwrap_or(i64::MAX));
}

/// Linear memory of this VM.
pub(crate) fn memory_bytes() -> u64 {
    #[cfg(target_arch = "wasm32")]
    let pages = core::arch::wasm32::memory_size(0);
    #[cfg(not(target_arch = "wasm32"))]
    let pages = 0usize;
    (pages as u64).saturating_mul(65_536)
}
