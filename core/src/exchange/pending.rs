//! What a provider still works on, so that its usage is charged once, to whoever asked for it: answers in the background,
//! and batches with the files of their results.
//!
//! Kept in the [`Store`], for all workers of a proxy: by id, at most [`Shelf::slots`] × [`KEPT`] of each sort, answers a
//! day long, batches thirty days. Where there is no room the oldest goes: an answer stays pending in the ledger, a batch
//! is charged to whoever downloads its results. Whoever comes by another proxy finds nothing here.

use crate::api::Api;
use crate::labels::Labels;
use crate::store::{self, Store};
use serde::{Deserialize, Serialize};

/// What one slot keeps.
const KEPT: usize = 16;
/// The longest id that is kept.
const ID_MAX: usize = 256;

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// An answer.
    Answers,
    /// A batch, or a file of its results.
    Batches,
}

impl Shelf {
    /// Places that an id may fall on.
    fn slots(self) -> u64 {
        match self {
            Self::Answers => 256,
            Self::Batches => 1_024,
        }
    }

    /// How long it is waited for. A batch takes a day or more, and its results are often fetched much later.
    fn life_ms(self) -> u64 {
        match self {
            Self::Answers => 86_400_000,
            Self::Batches => 30 * 86_400_000,
        }
    }

    fn key(self, id: &str) -> String {
        // FNV-1a: the place of an id needs no more.
        let hash = id
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let slot = hash.checked_rem(self.slots()).unwrap_or(0);
        match self {
            Self::Answers => format!("purser.pending.{slot}"),
            Self::Batches => format!("purser.batch.{slot}"),
        }
    }
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) api: Api,
    /// The policy's name of the provider.
    pub(super) provider: String,
    /// The model that was asked for; of a batch it is not known.
    pub(super) model: String,
    /// Who pays.
    pub(super) labels: Labels,
    pub(super) key: Option<String>,
    /// Estimated prompt tokens.
    pub(super) input: u64,
    pub(super) until_ms: u64,
    /// Of results: they were charged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) charged: bool,
}

fn read(value: Option<&[u8]>) -> Vec<Pending> {
    value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
}

/// Puts one more on its place.
fn put(list: &mut Vec<Pending>, pending: Pending, now_ms: u64) -> Option<Vec<u8>> {
    list.retain(|other| other.until_ms > now_ms && other.id != pending.id);
    if list.len() >= KEPT {
        list.remove(0);
    }
    list.push(pending);
    serde_json::to_vec(&list).ok()
}

fn has_id(pending: &Pending) -> bool {
    !pending.id.is_empty() && pending.id.len() <= ID_MAX
}

/// Remembers something from now on; a batch, or its results, only if it is not known already. `false` when it has no id
/// to know it by.
pub(super) fn remember(store: &dyn Store, shelf: Shelf, mut pending: Pending, now_ms: u64) -> bool {
    if !has_id(&pending) {
        return false;
    }
    pending.until_ms = now_ms.saturating_add(shelf.life_ms());
    store::update(store, &shelf.key(&pending.id), |value| {
        let mut list = read(value);
        let known = list.iter().any(|other| other.id == pending.id && other.until_ms > now_ms);
        if known && shelf == Shelf::Batches {
            return (None, ());
        }
        (put(&mut list, pending.clone(), now_ms), ())
    });
    true
}

/// What has this id, if it is waited for.
pub(super) fn find(store: &dyn Store, shelf: Shelf, id: &str, now_ms: u64) -> Option<Pending> {
    let list = read(store.get(&shelf.key(id)).as_ref().map(|(value, _)| value.as_slice()));
    list.into_iter().find(|pending| pending.id == id && pending.until_ms > now_ms)
}

/// Forgets an answer. Whether it was still waited for: of all who saw it come, one is told so.
pub(super) fn take(store: &dyn Store, id: &str) -> bool {
    store::update(store, &Shelf::Answers.key(id), |value| {
        let mut list = read(value);
        let before = list.len();
        list.retain(|other| other.id != id);
        let taken = list.len() < before;
        (if taken { serde_json::to_vec(&list).ok() } else { None }, taken)
    })
}

/// Notes that results are charged, and says to whom: whoever is known to have asked for them, else as `pending` says.
/// `None` when they were charged before: of all who download them, one is told.
pub(super) fn charge(store: &dyn Store, pending: Pending, now_ms: u64) -> Option<Pending> {
    if !has_id(&pending) {
        return Some(pending);
    }
    store::update(store, &Shelf::Batches.key(&pending.id), |value| {
        let mut list = read(value);
        let known = list.iter().find(|other| other.id == pending.id && other.until_ms > now_ms);
        let mut payer = known.cloned().unwrap_or_else(|| pending.clone());
        if payer.charged {
            return (None, None);
        }
        let until_ms = now_ms.saturating_add(Shelf::Batches.life_ms());
        // Who pays does not matter any more.
        let mark = Pending { charged: true, until_ms, labels: Labels::new(), key: None, ..payer.clone() };
        payer.charged = true;
        (put(&mut list, mark, now_ms), Some(payer))
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
            charged: false,
        }
    }

    #[test]
    fn an_answer_is_taken_once_and_not_after_a_day() {
        let store = MemoryStore::default();
        assert!(remember(&store, Shelf::Answers, pending("a"), 0));
        assert_eq!(find(&store, Shelf::Answers, "a", 1).map(|it| it.input), Some(3));
        assert_eq!(find(&store, Shelf::Answers, "a", Shelf::Answers.life_ms()), None);
        assert_eq!(find(&store, Shelf::Answers, "b", 1), None);
        assert_eq!([take(&store, "a"), take(&store, "a"), take(&store, "b")], [true, false, false]);
    }

    #[test]
    fn however_many_there_are_they_take_bounded_room() {
        let store = MemoryStore::default();
        let many = Shelf::Answers.slots() * KEPT as u64 * 3;
        for number in 0..many {
            remember(&store, Shelf::Answers, pending(&number.to_string()), number);
        }
        let left = (0..many).filter(|number| find(&store, Shelf::Answers, &number.to_string(), many).is_some()).count();
        assert!(left as u64 <= Shelf::Answers.slots() * KEPT as u64 && left > 0, "{left}");
        assert!(find(&store, Shelf::Answers, &(many - 1).to_string(), many).is_some(), "the newest is kept");
        assert!(!remember(&store, Shelf::Answers, pending(&"x".repeat(ID_MAX + 1)), many));
    }

    #[test]
    fn results_are_charged_once_to_their_owner_for_thirty_days() {
        let store = MemoryStore::default();
        let of = |id: &str, key: &str| Pending { key: Some(key.to_owned()), ..pending(id) };
        let charged = |id: &str, now_ms| charge(&store, of(id, "downloads"), now_ms).and_then(|payer| payer.key);
        assert!(remember(&store, Shelf::Batches, of("file", "owner"), 0));
        assert!(remember(&store, Shelf::Batches, of("file", "asks later"), 1));
        assert_eq!(find(&store, Shelf::Answers, "file", 1), None);
        let days = 29 * 86_400_000;
        assert_eq!(charged("file", days).as_deref(), Some("owner"));
        remember(&store, Shelf::Batches, of("file", "owner"), days);
        assert_eq!(charged("file", days + 1), None);
        assert_eq!([charged("other", 0).as_deref(), charged("other", 1).as_deref()], [Some("downloads"), None]);
    }
}
