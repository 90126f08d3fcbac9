//! What a proxy is to have: resources by type, each with a version that is the hash of its content.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::google::protobuf::Any;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A type of resource, in the order in which a change goes out: what is referred to goes before what refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// CDS.
    Cluster,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// SDS.
    Secret,
    /// ECDS.
    Extension,
}

impl Kind {
    /// All kinds, in the order of sending.
    pub const ALL: [Self; 5] = [Self::Cluster, Self::Listener, Self::Route, Self::Secret, Self::Extension];

    /// The kind whose type URL this is.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url)
    }

    /// The type URL on the wire.
    #[must_use]
    pub const fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// Whether a subscription without names means every resource, and a response is the full state.
    #[must_use]
    pub const fn wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

/// One resource, encoded.
#[derive(Clone, PartialEq)]
pub struct Resource {
    /// SHA-256 of the content, as hex.
    pub version: String,
    /// The message.
    pub body: Any,
}

// A secret's body must not come into a log by way of `{:?}`.
impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Everything a proxy is to have at one time. Equal content has equal versions, in every process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    kinds: BTreeMap<Kind, BTreeMap<String, Resource>>,
}

impl Snapshot {
    /// Adds a resource, or replaces the one of the same kind and name.
    #[must_use]
    pub fn with(mut self, kind: Kind, name: impl Into<String>, body: Any) -> Self {
        let version = hash([body.type_url.as_bytes(), &body.value]);
        self.kinds.entry(kind).or_default().insert(name.into(), Resource { version, body });
        self
    }

    /// Takes a resource away.
    #[must_use]
    pub fn without(mut self, kind: Kind, name: &str) -> Self {
        if let Some(of_kind) = self.kinds.get_mut(&kind) {
            of_kind.remove(name);
        }
        self
    }

    /// The resources of a kind which a subscription selects, by name. `None` is all of them.
    pub fn select<'a>(
        &'a self,
        kind: Kind,
        names: Option<&'a BTreeSet<String>>,
    ) -> impl Iterator<Item = (&'a String, &'a Resource)> + 'a {
        self.kinds
            .get(&kind)
            .into_iter()
            .flatten()
            .filter(move |(name, _)| names.is_none_or(|names| names.contains(*name)))
    }

    /// The version of what a subscription selects: equal names and contents, equal version.
    #[must_use]
    pub fn version_of(&self, kind: Kind, names: Option<&BTreeSet<String>>) -> String {
        hash(self.select(kind, names).flat_map(|(name, resource)| [name.as_bytes(), resource.version.as_bytes()]))
    }

    /// The version of all resources together.
    #[must_use]
    pub fn version(&self) -> String {
        let versions: Vec<String> = Kind::ALL.iter().map(|kind| self.version_of(*kind, None)).collect();
        hash(versions.iter().map(String::as_bytes))
    }

    /// Whether there is nothing of this kind.
    #[must_use]
    pub fn is_empty_of(&self, kind: Kind) -> bool {
        self.kinds.get(&kind).is_none_or(BTreeMap::is_empty)
    }
}

/// SHA-256 over parts, each with its length before it, so that no two lists of parts read alike.
fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
