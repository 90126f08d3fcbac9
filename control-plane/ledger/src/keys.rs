//! Virtual keys. The whole key is told once; only its hash is kept.

use crate::{Ledger, LedgerError, int, schema};
use purser_core::config::KeyConfig;
use purser_core::identity::KEY_PREFIX;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

/// How often others' changes are looked for.
const POLL: Duration = Duration::from_millis(300);
/// How much of a key is shown, to know it again: the prefix and six of its 43 characters.
const SHOWN: usize = 9;
/// Random bytes in a key.
const RANDOM: usize = 32;

/// A key as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyRow {
    /// Its id, by which it is revoked.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// Labels that it stands for.
    pub labels: BTreeMap<String, String>,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// When it stops to work.
    pub expires_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
}

/// A key that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its id.
    pub id: String,
    /// The key. It is not to be had again.
    pub secret: String,
}

fn random<const N: usize>() -> Result<[u8; N], LedgerError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|_| LedgerError::NoRandom)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number that the bytes are, in digits 0–9A–Za–z, as many as the largest number of that length has.
fn base62(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // 62 < 2⁶, and 32 bytes need 43 digits: log₆₂ 2⁸ < 1.3436.
    let length = (bytes.len() * 13_436).div_ceil(10_000);
    let mut number = bytes.to_vec();
    let digits = (0..length).map(|_| {
        let remainder = number.iter_mut().fold(0u32, |remainder, byte| {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            value % 62
        });
        DIGITS.get(remainder as usize).copied().map_or('0', char::from)
    });
    let digits: Vec<char> = digits.collect();
    digits.into_iter().rev().collect()
}

impl Ledger {
    /// Makes a key.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be written.
    pub async fn create_key(
        &self,
        name: String,
        labels: BTreeMap<String, String>,
        expires_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<NewKey, LedgerError> {
        let secret = format!("{KEY_PREFIX}{}", base62(&random::<RANDOM>()?));
        let id = format!("key_{}", hex(&random::<6>()?));
        let sha256 = hex(&Sha256::digest(secret.as_bytes()));
        let prefix: String = secret.chars().take(SHOWN).collect();
        let (key, labels) = (NewKey { id: id.clone(), secret }, serde_json::to_string(&labels)?);
        self.read(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute(
                "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL)",
                params![id, name, prefix, sha256, labels, int(now_ms), expires_ms.map(int)],
            )?;
            transaction.execute("UPDATE key_changes SET number = number + 1", [])?;
            transaction.commit()?;
            Ok(())
        })
        .await?;
        Ok(key)
    }

    /// Revokes a key. `false`: there is none of this id that is not revoked.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be written.
    pub async fn revoke_key(&self, id: String, now_ms: u64) -> Result<bool, LedgerError> {
        self.read(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let changed = transaction.execute(
                "UPDATE keys SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL",
                params![id, int(now_ms)],
            )?;
            transaction.execute("UPDATE key_changes SET number = number + ?1", [changed > 0])?;
            transaction.commit()?;
            Ok(changed > 0)
        })
        .await
    }

    /// All keys, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`] when they cannot be read.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, LedgerError> {
        self.read(|connection| {
            let mut rows = connection.prepare_cached(
                "SELECT id, name, prefix, labels, created_ms, expires_ms, revoked_ms FROM keys ORDER BY created_ms DESC, id",
            )?;
            let mut found = Vec::new();
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let time = |at: Option<i64>| at.and_then(|at| u64::try_from(at).ok());
                found.push(KeyRow {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    prefix: row.get(2)?,
                    labels: serde_json::from_str(&row.get::<_, String>(3)?)?,
                    created_ms: time(row.get(4)?).unwrap_or(0),
                    expires_ms: time(row.get(5)?),
                    revoked_ms: time(row.get(6)?),
                });
            }
            Ok(found)
        })
        .await
    }
}

fn in_force(connection: &Connection) -> Result<(i64, Vec<KeyConfig>), LedgerError> {
    let number: i64 = connection.query_row("SELECT number FROM key_changes", [], |row| row.get(0))?;
    let mut statement = connection
        .prepare_cached("SELECT id, sha256, labels, expires_ms FROM keys WHERE revoked_ms IS NULL ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(KeyConfig {
            id: row.get(0)?,
            sha256: row.get(1)?,
            labels: serde_json::from_str(&row.get::<_, String>(2)?)?,
            expires_ms: row.get::<_, Option<i64>>(3)?.and_then(|at| u64::try_from(at).ok()),
        });
    }
    Ok((number, keys))
}

/// Follows the keys in force, on a thread that ends with the last receiver.
pub(crate) fn watch(path: &Path) -> Result<watch::Receiver<Vec<KeyConfig>>, LedgerError> {
    let connection = schema::connect(path)?;
    let (mut number, keys) = in_force(&connection)?;
    let (sender, receiver) = watch::channel(keys);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            std::thread::sleep(POLL);
            let now = connection.query_row("SELECT number FROM key_changes", [], |row| row.get::<_, i64>(0));
            if now.is_ok_and(|now| now == number) {
                continue;
            }
            match in_force(&connection) {
                Ok((changed, keys)) => {
                    number = changed;
                    sender.send_replace(keys);
                }
                Err(error) => tracing::warn!(%error, "keys cannot be read"),
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base62_is_the_number_in_as_many_digits_as_its_bytes_can_need() {
        let cases: [(&[u8], &str); 5] =
            [(&[0], "00"), (&[61], "0z"), (&[62], "10"), (&[255], "47"), (&[1, 0, 0], "00H32")];
        for (bytes, text) in cases {
            assert_eq!(base62(bytes), text, "{bytes:?}");
        }
        assert_eq!(base62(&[255; RANDOM]).len(), 43);
        assert_ne!(base62(&[255; RANDOM]), base62(&[254; RANDOM]));
        assert!(!base62(&[255; RANDOM]).starts_with('0'), "all of it fits");
    }
}
