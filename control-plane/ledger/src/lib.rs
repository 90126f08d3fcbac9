//! The book: records kept once, spend rolled up, budgets leased out. SQLite, one file.
//!
//! - `write` is the one writer: it takes many syncs into one transaction, and answers when that is on the disk. What is
//!   granted was written before.
//! - `lease` says how much is granted; `gaps` what is missing; `query` what people ask; `keys` who may call.

mod gaps;
mod keys;
mod lease;
mod query;
mod schema;
mod write;

pub use keys::{KeyRow, NewKey};
pub use query::{
    Bucket, BudgetAccount, BudgetRow, By, GroupLabel, PeriodRow, ProxyRow, RecordFilter, RecordRow, Records, Series,
    Spend, StoredRecord, Summary, TopRow,
};

use purser_core::config::{BudgetRule, KeyConfig};
use purser_core::sync::{SyncRequest, SyncResponse};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// Why the book could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// SQLite's word.
    #[error("the ledger's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A newer program wrote it.
    #[error("the ledger's database has version {found}, this program knows {known}: use a newer one")]
    TooNew {
        /// The file's.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// A stored text is no JSON.
    #[error("the ledger holds something unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A sync that no proxy would send.
    #[error("{field} is {value}: {wanted}")]
    Senseless {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        wanted: &'static str,
    },
    /// The writer or a reader ended.
    #[error("the ledger is closed")]
    Closed,
    /// No randomness for a key.
    #[error("the system gave no random bytes for a key")]
    NoRandom,
}

/// Connections kept open for reads.
const IDLE_READERS: usize = 8;

/// The budgets that leases are granted by.
#[derive(Debug, Clone, Default)]
struct Budgets {
    /// Counts the changes since the file was opened.
    number: u64,
    rules: Arc<BTreeMap<String, BudgetRule>>,
}

/// The book. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    path: PathBuf,
    writer: std::sync::mpsc::Sender<write::Job>,
    readers: Arc<Mutex<Vec<Connection>>>,
    budgets: Arc<RwLock<Budgets>>,
}

impl Ledger {
    /// Opens the book in a file, and makes it if there is none.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be opened or is of a newer program.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let connection = schema::open(path)?;
        let rules = Arc::new(schema::read_budgets(&connection)?);
        let budgets = Arc::new(RwLock::new(Budgets { number: 0, rules }));
        let writer = write::spawn(connection, Arc::clone(&budgets));
        Ok(Self { path: path.to_owned(), writer, readers: Arc::default(), budgets })
    }

    /// The budgets that leases are granted by. Until they are set, those that were last granted by.
    pub fn set_budgets(&self, rules: Vec<BudgetRule>) {
        let mut budgets = self.budgets.write().unwrap_or_else(PoisonError::into_inner);
        budgets.number += 1;
        budgets.rules = Arc::new(rules.into_iter().map(|rule| (rule.name.clone(), rule)).collect());
    }

    /// Takes in a proxy's sync, and answers when all of it is on the disk.
    ///
    /// # Errors
    /// [`LedgerError`] when it makes no sense or could not be written: nothing of it was.
    pub async fn sync(&self, request: SyncRequest, now_ms: u64) -> Result<SyncResponse, LedgerError> {
        make_sense(&request)?;
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.writer.send(write::Job { request, now_ms, reply }).map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// Runs a read on a connection of its own, off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (path, readers) = (self.path.clone(), Arc::clone(&self.readers));
        let task = tokio::task::spawn_blocking(move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => schema::connect(&path)?,
            };
            let answer = read(&connection);
            let mut idle = readers.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push(connection);
            }
            answer
        });
        task.await.map_err(|_| LedgerError::Closed)?
    }

    /// Virtual keys in force, followed: also when another program on the same file changes them.
    ///
    /// # Errors
    /// [`LedgerError`] when they cannot be read now.
    pub fn watch_keys(&self) -> Result<watch::Receiver<Vec<KeyConfig>>, LedgerError> {
        keys::watch(&self.path)
    }
}

/// The longest name of a proxy.
const NAME_MAX: usize = 256;

/// Whether a sync can be booked at all. Its records are looked at one by one, later.
fn make_sense(request: &SyncRequest) -> Result<(), LedgerError> {
    let senseless = |field, value: String, wanted| Err(LedgerError::Senseless { field, value, wanted });
    if request.proxy.is_empty() || request.proxy.len() > NAME_MAX {
        let start: String = request.proxy.chars().take(32).collect();
        return senseless("proxy", format!("`{start}`"), "a node id has 1 to 256 bytes");
    }
    if i64::try_from(request.epoch).is_err() {
        return senseless("epoch", request.epoch.to_string(), "an epoch is below 2^63");
    }
    if !(1..=write::SEQ_MAX).contains(&request.next_seq) {
        return senseless("next_seq", request.next_seq.to_string(), "numbers are from 1 to 2^53");
    }
    Ok(())
}

/// A number as SQLite holds it. What does not fit is held at the largest.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
