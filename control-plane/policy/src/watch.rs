//! Policy that follows its folder: compiled again when a file, a key or a budget's period changes.
//!
//! A folder that does not compile leaves the last good policy in force; its problems are kept for all to see.

use crate::compile::{Compiled, compile};
use crate::read::{DocumentRef, Problem, Written, read};
use jiff::Timestamp;
use notify::{RecursiveMode, Watcher as _};
use purser_core::config::KeyConfig;
use purser_core::pricing::PriceBook;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long the folder must be quiet before it is read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// How often the folder is read even if nobody said that it changed: some mounts tell nothing.
const POLL: Duration = Duration::from_secs(1);

/// Policy as it stands.
#[derive(Debug, Clone, Default)]
pub struct PolicyState {
    /// What is in force; `None` until a folder first compiled.
    pub good: Option<Arc<Compiled>>,
    /// When that was compiled, milliseconds since 1970.
    pub loaded_ms: u64,
    /// Problems of the folder as it is now; with none but warnings, it is what is in force.
    pub problems: Vec<Problem>,
    /// Documents in force.
    pub documents: Vec<DocumentRef>,
    /// The folder.
    pub directory: PathBuf,
}

impl PolicyState {
    /// The state after reading the folder once more.
    fn next(&self, book: &PriceBook, keys: &[KeyConfig], now: Timestamp) -> Self {
        let attempt: Result<(Written, Compiled), Vec<Problem>> =
            read(&self.directory).and_then(|written| compile(&written, book, keys, now).map(|it| (written, it)));
        match attempt {
            Ok((written, compiled)) => Self {
                problems: compiled.warnings.clone(),
                good: Some(Arc::new(compiled)),
                loaded_ms: u64::try_from(now.as_millisecond()).unwrap_or(0),
                documents: written.documents,
                directory: self.directory.clone(),
            },
            Err(problems) => Self { problems, ..self.clone() },
        }
    }

    fn version(&self) -> Option<&str> {
        self.good.as_ref().map(|good| good.filter.version.as_str())
    }
}

/// Reads the folder, and again whenever something changes, until all receivers are gone.
pub fn watch(
    directory: &Path,
    book: Arc<PriceBook>,
    mut keys: watch::Receiver<Vec<KeyConfig>>,
) -> watch::Receiver<Arc<PolicyState>> {
    let empty = PolicyState { directory: directory.to_owned(), ..PolicyState::default() };
    let first = empty.next(&book, &keys.borrow_and_update(), Timestamp::now());
    report(&empty, &first);
    let (sender, receiver) = watch::channel(Arc::new(first));
    let (changed, mut changes) = mpsc::unbounded_channel();
    let directory = directory.to_owned();
    tokio::spawn(async move {
        // Dropped with the task. A folder that cannot be watched is still polled.
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.send(());
            }
        });
        let mut watcher = watcher.inspect_err(|error| tracing::warn!(%error, "policy folder is polled only")).ok();
        if let Some(watcher) = &mut watcher
            && let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive)
        {
            tracing::warn!(%error, "policy folder is polled only");
        }
        loop {
            let rolls = next_change(&sender.borrow());
            tokio::select! {
                Some(()) = changes.recv() => {
                    // Until it is quiet.
                    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
                }
                Ok(()) = keys.changed() => {}
                () = tokio::time::sleep(rolls.min(POLL)) => {}
                () = sender.closed() => return,
            }
            let now_keys = keys.borrow_and_update().clone();
            let before = Arc::clone(&sender.borrow());
            let next = before.next(&book, &now_keys, Timestamp::now());
            if next.version() != before.version() || next.problems != before.problems {
                report(&before, &next);
                sender.send_replace(Arc::new(next));
            }
        }
    });
    receiver
}

/// How long until a budget's period ends.
fn next_change(state: &PolicyState) -> Duration {
    let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    let at = state.good.as_ref().and_then(|good| good.next_change_ms);
    at.map_or(POLL, |at| Duration::from_millis(at.saturating_sub(now_ms).saturating_add(1)))
}

fn report(before: &PolicyState, next: &PolicyState) {
    for problem in &next.problems {
        if !before.problems.contains(problem) {
            tracing::warn!("policy: {problem}");
        }
    }
    if next.version() != before.version() {
        tracing::info!(version = next.version(), documents = next.documents.len(), "policy compiled");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped_book;
    use std::fs;

    const PROVIDER: &str = "apiVersion: purser.dev/v1alpha1\nkind: Provider\nmetadata: { name: openai }\n\
        spec: { endpoint: https://api.openai.com, apis: [openai.chat] }\n";

    async fn until(receiver: &mut watch::Receiver<Arc<PolicyState>>, what: impl Fn(&PolicyState) -> bool) {
        let wait = receiver.wait_for(|state| what(state));
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("in time").unwrap();
    }

    #[tokio::test]
    async fn a_change_is_taken_in_and_a_bad_file_leaves_the_last_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        fs::write(&file, PROVIDER).unwrap();
        let (key_sender, keys) = watch::channel(Vec::new());
        let mut states = super::watch(folder.path(), Arc::new(shipped_book().unwrap()), keys);
        let first = states.borrow().version().unwrap().to_owned();

        fs::write(&file, format!("{PROVIDER}---\nkind: Budgit\n")).unwrap();
        until(&mut states, |state| !state.problems.is_empty()).await;
        assert_eq!(states.borrow().version(), Some(first.as_str()), "the last good one is in force");
        assert_eq!(
            states.borrow().problems[0].to_string(),
            "p.yaml:6: kind: no kind `Budgit` (fix: write `kind: Budget`)"
        );

        // As editors save: another file takes its place.
        let other = folder.path().join(".p.yaml.swp");
        fs::write(&other, PROVIDER.replace("api.openai.com", "example.com")).unwrap();
        fs::rename(&other, &file).unwrap();
        until(&mut states, |state| state.problems.is_empty() && state.version() != Some(first.as_str())).await;

        let second = states.borrow().version().unwrap().to_owned();
        let key = KeyConfig { id: "k".into(), sha256: "0".repeat(64), labels: Default::default(), expires_ms: None };
        key_sender.send_replace(vec![key]);
        until(&mut states, |state| state.version() != Some(second.as_str())).await;
    }
}
