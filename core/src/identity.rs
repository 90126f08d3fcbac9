//! Who calls: from a virtual key, the workload and the headers to labels, in the policy's order of trust.
//!
//! - A virtual key starts with [`KEY_PREFIX`] and comes where the provider's own key would. Whatever comes there is
//!   taken out before the request leaves: a provider's credential is Envoy's to put in.
//! - For each label the most trusted source that has a value wins; a header never overrides a key unless the policy
//!   trusts headers more.

use crate::config::{IdentityConfig, KeyConfig};
use crate::labels::{Label, Labels, Source};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// What every virtual key starts with.
pub const KEY_PREFIX: &str = "pk-";
/// Headers in which SDKs send keys: OpenAI's and most others' `authorization`, Anthropic's `x-api-key`, Azure's `api-key`,
/// Google's `x-goog-api-key`, AWS' session token. None of them reaches a provider.
pub const CREDENTIALS: [&str; 6] =
    ["authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "x-amz-security-token"];
/// Longest label value that is kept; the rest is cut off.
const VALUE_MAX: usize = 128;

/// Virtual keys by hash.
#[derive(Debug, Default)]
pub struct Keys {
    by_hash: HashMap<[u8; 32], KeyConfig>,
}

/// A virtual key's hash is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key `{id}`: sha256 is not 64 hexadecimal digits")]
pub struct BadHash {
    /// The key's id.
    pub id: String,
}

impl Keys {
    /// Indexes keys by their hash.
    ///
    /// # Errors
    /// [`BadHash`] for the first key whose hash cannot be read.
    pub fn new(keys: Vec<KeyConfig>) -> Result<Self, BadHash> {
        let mut by_hash = HashMap::with_capacity(keys.len());
        for key in keys {
            let hash = from_hex(&key.sha256).ok_or_else(|| BadHash { id: key.id.clone() })?;
            by_hash.insert(hash, key);
        }
        Ok(Self { by_hash })
    }

    fn find(&self, secret: &str, now_ms: u64) -> Option<&KeyConfig> {
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        self.by_hash.get(&hash).filter(|key| key.expires_ms.is_none_or(|at| now_ms < at))
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// What a caller brought along.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The value of `authorization` without its scheme, or of `x-api-key`.
    pub secret: Option<&'a str>,
    /// All request headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// Labels learned from the proxy's node metadata.
    pub workload: &'a BTreeMap<String, String>,
}

/// Who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The virtual key's id.
    pub key: Option<String>,
    /// Labels by name.
    pub labels: Labels,
}

/// Why a caller is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It looks like a virtual key, and is none (any more).
    #[error("the virtual key is unknown, revoked or expired")]
    UnknownKey,
    /// The policy wants one.
    #[error("a virtual key is needed: send it as the provider's API key")]
    KeyRequired,
    /// The policy wants a label that no trusted source gave.
    #[error("the caller's `{0}` is not known: use a virtual key that has it, or a header that the policy trusts")]
    LabelRequired(String),
}

/// The virtual key among a request's credentials, wherever it stands: another credential beside it must not hide it.
///
/// In `authorization` it is the bearer's token, or the access key's id of an AWS signature: an SDK that can only sign
/// gets the virtual key as its `AWS_ACCESS_KEY_ID`. `query`: the value of the query's `key`.
#[must_use]
pub fn virtual_key<'a>(headers: &'a [(String, String)], query: Option<&'a str>) -> Option<&'a str> {
    let credentials = headers.iter().filter(|(name, _)| CREDENTIALS.contains(&name.as_str()));
    let secrets = credentials.map(|(name, value)| {
        if !name.ends_with("authorization") {
            return value.trim();
        }
        let (scheme, secret) = value.split_once(' ').unwrap_or(("", value));
        match scheme {
            "AWS4-HMAC-SHA256" => {
                let id = secret.split_once("Credential=").map_or("", |(_, rest)| rest);
                id.split('/').next().unwrap_or_default()
            }
            _ => secret.trim(),
        }
    });
    secrets.chain(query).find(|secret| secret.starts_with(KEY_PREFIX))
}

/// Finds out who calls.
///
/// # Errors
/// [`IdentityError`] when the policy does not let such a caller in; the labels found so far come along for the record.
pub fn identify(
    config: &IdentityConfig,
    keys: &Keys,
    presented: Presented<'_>,
    now_ms: u64,
) -> Result<Identity, (Identity, IdentityError)> {
    let secret = presented.secret.filter(|secret| secret.starts_with(KEY_PREFIX));
    let key = secret.and_then(|secret| keys.find(secret, now_ms));
    let mut identity = Identity { key: key.map(|key| key.id.clone()), labels: Labels::new() };
    for source in &config.trust {
        let mut learn = |name: &str, value: &str| {
            if let Some(value) = clean(value) {
                identity.labels.entry(name.to_owned()).or_insert(Label { value, source: *source });
            }
        };
        match source {
            Source::Key => key.into_iter().flat_map(|key| &key.labels).for_each(|(name, value)| learn(name, value)),
            Source::Workload => presented.workload.iter().for_each(|(name, value)| learn(name, value)),
            Source::Header => {
                for (header, name) in &config.headers {
                    if let Some((_, value)) = presented.headers.iter().find(|(key, _)| key == header) {
                        learn(name, value);
                    }
                }
            }
        }
    }
    if secret.is_some() && key.is_none() {
        return Err((identity, IdentityError::UnknownKey));
    }
    if config.key_required && key.is_none() {
        return Err((identity, IdentityError::KeyRequired));
    }
    match config.required.iter().find(|name| !identity.labels.contains_key(*name)) {
        Some(name) => Err((identity, IdentityError::LabelRequired(name.clone()))),
        None => Ok(identity),
    }
}

/// The value without control characters and surrounding space, cut to its longest; `None` when nothing is left.
fn clean(value: &str) -> Option<String> {
    let mut text: String = value.trim().chars().filter(|c| !c.is_control()).collect();
    if text.len() > VALUE_MAX {
        let cut = (0..=VALUE_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "pk-correct-horse";

    fn keys() -> Keys {
        let hash: [u8; 32] = Sha256::digest(SECRET.as_bytes()).into();
        let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let labels = BTreeMap::from([("team".to_owned(), "ml".to_owned())]);
        Keys::new(vec![KeyConfig { id: "k1".into(), sha256, labels, expires_ms: Some(1_000) }]).unwrap()
    }

    fn config(trust: &[Source]) -> IdentityConfig {
        IdentityConfig {
            trust: trust.to_vec(),
            headers: BTreeMap::from([("x-purser-team".into(), "team".into()), ("x-purser-user".into(), "user".into())]),
            ..IdentityConfig::default()
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn team(identity: &Identity) -> Option<(&str, Source)> {
        identity.labels.get("team").map(|label| (label.value.as_str(), label.source))
    }

    #[test]
    fn the_most_trusted_source_wins_and_the_others_fill_in() {
        let claims = headers(&[("x-purser-team", "spoofed"), ("x-purser-user", "ann")]);
        let workload = BTreeMap::from([("team".to_owned(), "mesh".to_owned())]);
        let cases = [
            ("key first", vec![Source::Key, Source::Workload, Source::Header], ("ml", Source::Key)),
            ("workload first", vec![Source::Workload, Source::Key], ("mesh", Source::Workload)),
            ("headers first", vec![Source::Header, Source::Key], ("spoofed", Source::Header)),
        ];
        for (case, trust, want) in cases {
            let presented = Presented { secret: Some(SECRET), headers: &claims, workload: &workload };
            let identity = identify(&config(&trust), &keys(), presented, 0).unwrap();
            assert_eq!(team(&identity), Some(want), "{case}");
            assert_eq!(identity.key.as_deref(), Some("k1"), "{case}");
        }
    }

    #[test]
    fn a_source_that_is_not_trusted_is_not_read() {
        let claims = headers(&[("x-purser-team", "spoofed")]);
        let presented = Presented { secret: None, headers: &claims, workload: &BTreeMap::new() };
        let identity = identify(&config(&[Source::Key]), &keys(), presented, 0).unwrap();
        assert_eq!(identity, Identity::default());
    }

    #[test]
    fn a_key_that_is_unknown_or_expired_is_refused_even_where_none_is_needed() {
        for (secret, now_ms) in [("pk-other", 0), (SECRET, 1_000)] {
            let presented = Presented { secret: Some(secret), headers: &[], workload: &BTreeMap::new() };
            let (_, error) = identify(&config(&[Source::Key]), &keys(), presented, now_ms).unwrap_err();
            assert_eq!(error, IdentityError::UnknownKey, "{secret}");
        }
    }

    #[test]
    fn what_the_policy_requires_must_be_there() {
        let presented = Presented { secret: Some("sk-a-providers-own"), headers: &[], workload: &BTreeMap::new() };
        let strict = IdentityConfig { key_required: true, ..config(&[Source::Key]) };
        assert_eq!(identify(&strict, &keys(), presented, 0).unwrap_err().1, IdentityError::KeyRequired);
        let labelled = IdentityConfig { required: vec!["user".into()], ..config(&[Source::Key]) };
        let presented = Presented { secret: Some(SECRET), ..presented };
        assert_eq!(
            identify(&labelled, &keys(), presented, 0).unwrap_err().1,
            IdentityError::LabelRequired("user".into())
        );
    }

    #[test]
    fn a_virtual_key_is_found_wherever_an_sdk_sends_its_key() {
        let signature = "AWS4-HMAC-SHA256 Credential=pk-1/20261123/us-east-1/bedrock/aws4_request, SignedHeaders=host";
        let cases = [
            (vec![("authorization", "Bearer pk-1")], None, Some("pk-1")),
            (vec![("authorization", "bearer  pk-1 ")], None, Some("pk-1")),
            (vec![("authorization", "pk-1")], None, Some("pk-1")),
            (vec![("authorization", signature)], None, Some("pk-1")),
            (vec![("x-api-key", "pk-1")], None, Some("pk-1")),
            (vec![("api-key", "sk-other"), ("x-goog-api-key", "pk-1")], None, Some("pk-1")),
            (vec![("authorization", "Bearer sk-a"), ("authorization", "Bearer pk-1")], None, Some("pk-1")),
            (vec![("authorization", "Bearer sk-a")], Some("pk-1"), Some("pk-1")),
            (vec![("x-other", "pk-1")], Some("AIza"), None),
        ];
        for (pairs, query, want) in cases {
            assert_eq!(virtual_key(&headers(&pairs), query), want, "{pairs:?} {query:?}");
        }
    }

    #[test]
    fn values_are_cut_at_a_character_and_lose_control_characters() {
        assert_eq!(clean(" a\u{7}b "), Some("ab".into()));
        assert_eq!(clean(" \n"), None);
        let long = "é".repeat(100);
        assert_eq!(clean(&long).unwrap().len(), 128);
        assert_eq!(clean(&format!("x{long}")).unwrap().len(), 127);
    }
}
