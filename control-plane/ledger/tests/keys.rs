//! Virtual keys: told once, kept as a hash, revoked everywhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use purser_ledger::Ledger;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::Book;

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("team".to_owned(), "search".to_owned())])
}

#[tokio::test]
async fn a_key_is_told_once_and_the_file_holds_only_its_hash() {
    let book = Book::new();
    let key = book.ledger.create_key("ci".into(), labels(), Some(2_000), 1_000).await.unwrap();
    assert!(key.secret.starts_with("pk-") && key.secret.len() == 46, "{}", key.secret);
    let row = book.ledger.keys().await.unwrap().remove(0);
    assert_eq!((row.id.as_str(), row.name.as_str(), &row.labels), (key.id.as_str(), "ci", &labels()));
    assert_eq!((row.created_ms, row.expires_ms, row.revoked_ms), (1_000, Some(2_000), None));
    assert!(key.secret.starts_with(&row.prefix) && row.prefix.len() == 9);
    let config = book.ledger.watch_keys().unwrap().borrow().clone().remove(0);
    let hash: String = Sha256::digest(key.secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((config.sha256, config.labels, config.expires_ms), (hash, labels(), Some(2_000)));
    for file in std::fs::read_dir(book.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = bytes.windows(key.secret.len()).any(|window| window == key.secret.as_bytes());
        assert!(!holds, "the whole key is in the file");
    }
}

#[tokio::test]
async fn keys_differ() {
    let book = Book::new();
    let mut secrets = BTreeSet::new();
    for _ in 0..20 {
        secrets.insert(book.ledger.create_key(String::new(), labels(), None, 0).await.unwrap().secret);
    }
    assert_eq!(secrets.len(), 20);
}

#[tokio::test]
async fn what_another_program_changes_is_noticed() {
    let book = Book::new();
    let mut watched = book.ledger.watch_keys().unwrap();
    assert!(watched.borrow_and_update().is_empty());
    let other = Ledger::open(&book.path()).unwrap();
    let key = other.create_key("ci".into(), labels(), None, 1_000).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), watched.changed()).await.unwrap().unwrap();
    assert_eq!(watched.borrow_and_update()[0].id, key.id);
    assert!(other.revoke_key(key.id.clone(), 2_000).await.unwrap());
    tokio::time::timeout(Duration::from_secs(5), watched.changed()).await.unwrap().unwrap();
    assert!(watched.borrow_and_update().is_empty());
    assert_eq!(book.ledger.keys().await.unwrap()[0].revoked_ms, Some(2_000));
}

#[tokio::test]
async fn a_key_is_revoked_once() {
    let book = Book::new();
    let key = book.ledger.create_key("ci".into(), labels(), None, 1_000).await.unwrap();
    assert!(book.ledger.revoke_key(key.id.clone(), 2_000).await.unwrap());
    assert!(!book.ledger.revoke_key(key.id, 3_000).await.unwrap());
    assert!(!book.ledger.revoke_key("key_none".into(), 3_000).await.unwrap());
    assert_eq!(book.ledger.keys().await.unwrap()[0].revoked_ms, Some(2_000));
}
