//! Answers that a provider still works on, so that their usage is charged once, to whoever asked for them.
//!
//! Kept in the [`Store`], for all workers of a proxy: by the answer's id, at most [`SLOTS`] × [`KEPT`] of them, a day
//! long. Where there is no room the oldest goes, and stays pending in the ledger. A poll that comes by another proxy
//! finds nothing here.

use crate::api::Api;
use crate::labels::Labels;
use crate::store::{self, Store};
use serde::{Deserialize, Serialize};

/// Places that an id may fall on.
const SLOTS: u64 = 256;
/// Answers of one place.
const KEPT: usize = 16;
/// How long an answer is waited for.
const LIFE_MS: u64 = 86_400_000;
/// The longest id that is kept.
const ID_MAX: usize = 256;

/// An answer that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) api: Api,
    /// The policy's name of the provider.
    pub(super) provider: String,
    /// The model that was asked for.
    pub(super) model: String,
    /// Who pays.
    pub(super) labels: Labels,
    pub(super) key: Option<String>,
    /// Estimated prompt tokens.
    pub(super) input: u64,
    pub(super) until_ms: u64,
}

fn key(id: &str) -> String {
    // FNV-1a: the place of an id needs no more.
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("purser.pending.{}", hash.checked_rem(SLOTS).unwrap_or(0))
}

fn read(value: Option<&[u8]>) -> Vec<Pending> {
    value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
}

/// Remembers an answer from now on. `false` when it has no id to know it by.
pub(super) fn remember(store: &dyn Store, mut pending: Pending, now_ms: u64) -> bool {
    if pending.id.is_empty() || pending.id.len() > ID_MAX {
        return false;
    }
    pending.until_ms = now_ms.saturating_add(LIFE_MS);
    store::update(store, &key(&pending.id), |value| {
        let mut list = read(value);
        list.retain(|other| other.until_ms > now_ms && other.id != pending.id);
        if list.len() >= KEPT {
            list.remove(0);
        }
        list.push(pending.clone());
        (serde_json::to_vec(&list).ok(), ())
    });
    true
}

/// The answer of this id, if it is waited for.
pub(super) fn find(store: &dyn Store, id: &str, now_ms: u64) -> Option<Pending> {
    let list = read(store.get(&key(id)).as_ref().map(|(value, _)| value.as_slice()));
    list.into_iter().find(|pending| pending.id == id && pending.until_ms > now_ms)
}

/// Forgets an answer. Whether it was still waited for: of all who saw it come, one is told so.
pub(super) fn take(store: &dyn Store, id: &str) -> bool {
    store::update(store, &key(id), |value| {
        let mut list = read(value);
        let before = list.len();
        list.retain(|other| other.id != id);
        let taken = list.len() < before;
        (if taken { serde_json::to_vec(&list).ok() } else { None }, taken)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn pending(id: &str) -> Pending {
        Pending {
            id: id.to_owned(),
            api: Api::OpenAiResponses,
            provider: "openai".to_owned(),
            model: "m".to_owned(),
            labels: Labels::new(),
            key: None,
            input: 3,
            until_ms: 0,
        }
    }

    #[test]
    fn an_answer_is_taken_once_and_not_after_a_day() {
        let store = MemoryStore::default();
        assert!(remember(&store, pending("a"), 0));
        assert_eq!(find(&store, "a", 1).map(|it| it.input), Some(3));
        assert_eq!(find(&store, "a", LIFE_MS), None);
        assert_eq!(find(&store, "b", 1), None);
        assert_eq!([take(&store, "a"), take(&store, "a"), take(&store, "b")], [true, false, false]);
    }

    #[test]
    fn however_many_there_are_they_take_bounded_room() {
        let store = MemoryStore::default();
        let many = SLOTS * KEPT as u64 * 3;
        for number in 0..many {
            remember(&store, pending(&number.to_string()), number);
        }
        let left = (0..many).filter(|number| find(&store, &number.to_string(), many).is_some()).count();
        assert!(left as u64 <= SLOTS * KEPT as u64 && left > 0, "{left}");
        assert!(find(&store, &(many - 1).to_string(), many).is_some(), "the newest is kept");
        assert!(!remember(&store, pending(&"x".repeat(ID_MAX + 1)), many));
    }
}
