//! What outlives one exchange and is shared by all workers of a proxy. In Envoy: proxy-wasm shared data.

/// A store of small values under compare-and-swap.
pub trait Store {
    /// The value and its version; `None` when the key is absent.
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Writes `value` if the key still stands as `expected`.
    ///
    /// # Errors
    /// [`Conflict`] when someone else wrote first: read again.
    fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<(), Conflict>;
}

/// How a key stood when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// There was none.
    Absent,
    /// It had this version.
    Version(u32),
}

/// Someone else wrote first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;

/// Reads a value, lets `change` make the next one, and writes it, again and again until nobody came between.
/// `change` returns the bytes to write, or `None` to leave the value as it is, and the answer.
pub fn update<T>(store: &dyn Store, key: &str, mut change: impl FnMut(Option<&[u8]>) -> (Option<Vec<u8>>, T)) -> T {
    loop {
        let read = store.get(key);
        let (expected, value) = match &read {
            Some((value, version)) => (Expected::Version(*version), Some(value.as_slice())),
            None => (Expected::Absent, None),
        };
        let (next, answer) = change(value);
        match next {
            None => return answer,
            Some(next) => {
                if store.put(key, &next, expected).is_ok() {
                    return answer;
                }
            }
        }
    }
}

/// A counter that gives every caller another number, from 1.
pub fn next_number(store: &dyn Store, key: &str) -> u64 {
    update(store, key, |value| {
        let next = value.and_then(read_u64).unwrap_or(0).saturating_add(1);
        (Some(next.to_le_bytes().to_vec()), next)
    })
}

/// Reads a number as [`next_number`] writes it.
#[must_use]
pub fn read_u64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))
}

/// A store in the process's own memory, for tests and simulations.
#[derive(Debug, Default)]
pub struct MemoryStore {
    values: std::cell::RefCell<std::collections::HashMap<String, (Vec<u8>, u32)>>,
}

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.values.borrow().get(key).cloned()
    }

    fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<(), Conflict> {
        let mut values = self.values.borrow_mut();
        let stands = values.get(key).map_or(Expected::Absent, |(_, version)| Expected::Version(*version));
        if stands != expected {
            return Err(Conflict);
        }
        let version = match stands {
            Expected::Absent => 1,
            Expected::Version(version) => version.wrapping_add(1),
        };
        values.insert(key.to_owned(), (value.to_vec(), version));
        Ok(())
    }
}
