//! What outlives one exchange and is shared by all workers of a proxy. In Envoy: proxy-wasm shared data.

/// A store of small values under compare-and-swap.
pub trait Store {
    /// The value and its version; `None` when the key is absent.
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Writes `value`. With a `version`, only if the value is still the one that had it.
    /// A key that is absent takes any first write (Envoy ignores the version then), so create keys before they race.
    fn set(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict>;
}

/// Someone else wrote first: read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;
