//! Policy that follows its folder: compiled again when a file, a key or a budget's period changes.
//!
//! A folder that does not compile leaves the last good policy in force; its problems are kept for all to see. Keys and
//! budget periods go on changing under that policy: a revoked key must not wait until someone has mended a file.

use crate::compile::{Compiled, compile, load};
use crate::read::{DocumentRef, Problem, Severity, Written};
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
    /// What is in force, as it was written.
    written: Arc<Written>,
}

impl PolicyState {
    /// The state after reading the folder once more.
    fn next(&self, book: &PriceBook, keys: &[KeyConfig], now: Timestamp) -> Self {
        let loaded = load(&self.directory, book, keys, now);
        loaded.map(|(written, compiled)| self.with(Arc::new(written), compiled, now)).unwrap_or_else(|problems| {
            let last = self.good.as_ref().and_then(|_| compile(&self.written, book, keys, now).ok());
            let state = last.map_or_else(|| self.clone(), |compiled| self.with(self.written.clone(), compiled, now));
            Self { problems, ..state }
        })
    }

    fn with(&self, written: Arc<Written>, compiled: Compiled, now: Timestamp) -> Self {
        Self {
            problems: compiled.warnings.clone(),
            good: Some(Arc::new(compiled)),
            loaded_ms: u64::try_from(now.as_millisecond()).unwrap_or(0),
            documents: written.documents.clone(),
            directory: self.directory.clone(),
            written,
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
                    // Until it is quiet, or has not been for long enough.
                    let quiet = async { while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {} };
                    let _ = tokio::time::timeout(POLL, quiet).await;
                }
                Ok(()) = keys.changed() => {}
                () = tokio::time::sleep(rolls.min(POLL)) => {}
                () = sender.closed() => return,
            }
            let now_keys = keys.borrow_and_update().clone();
            let before = Arc::clone(&sender.borrow());
            let next = before.next(&book, &now_keys, Timestamp::now());
            // Documents too: a comment above one moves it to another line.
            if next.version() != before.version()
                || next.problems != before.problems
                || next.documents != before.documents
            {
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
        match problem.severity {
            _ if before.problems.contains(problem) => {}
            Severity::Error => tracing::warn!("policy: {problem}"),
            Severity::Warning => tracing::info!("policy: {problem}"),
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

    #[tokio::test]
    async fn a_key_is_revoked_even_while_the_folder_has_errors() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.yaml"), PROVIDER).unwrap();
        let key = KeyConfig { id: "k".into(), sha256: "0".repeat(64), labels: Default::default(), expires_ms: None };
        let (key_sender, keys) = watch::channel(vec![key]);
        let mut states = super::watch(folder.path(), Arc::new(shipped_book().unwrap()), keys);
        let in_force = |state: &PolicyState| state.good.as_ref().unwrap().filter.keys.len();
        assert_eq!(in_force(&states.borrow()), 1);

        fs::write(folder.path().join("bad.yaml"), "kind: Budgit\n").unwrap();
        until(&mut states, |state| !state.problems.is_empty()).await;
        key_sender.send_replace(Vec::new());
        until(&mut states, |state| in_force(state) == 0).await;
        assert_eq!(states.borrow().problems[0].file, "bad.yaml", "it is still shown");
        assert_eq!(states.borrow().documents.len(), 1, "the last good policy");
    }

    #[tokio::test]
    async fn whatever_changes_is_a_new_version_and_a_moved_document_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, secret) = (folder.path().join("p.yaml"), folder.path().join("secret"));
        let policy = |rest: &str| {
            let credential = format!("credential: {{ file: {} }}", secret.display());
            format!("{}---\n{rest}", PROVIDER.replace("spec: {", &format!("spec: {{ {credential},")))
        };
        let budget = "apiVersion: purser.dev/v1alpha1\nkind: Budget\nmetadata: { name: all }\n\
            spec: { amount: \"1.00\", period: month, thresholds: [90] }\n";
        fs::write(&secret, "first").unwrap();
        fs::write(&file, policy(budget)).unwrap();
        let (_keys, keys) = watch::channel(Vec::new());
        let mut states = super::watch(folder.path(), Arc::new(shipped_book().unwrap()), keys);
        let credential = |state: &PolicyState| state.good.as_ref()?.providers.first()?.credential.clone();
        assert!(states.borrow().problems.is_empty(), "{:?}", states.borrow().problems);

        let before = states.borrow().version().unwrap().to_owned();
        fs::write(&secret, "second").unwrap();
        until(&mut states, |state| state.version() != Some(before.as_str())).await;
        assert_eq!(credential(&states.borrow()).unwrap().value, "Bearer second", "a credential was rotated");

        let before = states.borrow().version().unwrap().to_owned();
        fs::write(&file, policy(&budget.replace("[90]", "[70]"))).unwrap();
        until(&mut states, |state| state.version() != Some(before.as_str())).await;
        assert_eq!(states.borrow().good.as_ref().unwrap().thresholds["all"], [70]);

        fs::write(&file, format!("# one line more\n{}", policy(&budget.replace("[90]", "[70]")))).unwrap();
        until(&mut states, |state| state.documents[0].line == 2).await;
    }
}
