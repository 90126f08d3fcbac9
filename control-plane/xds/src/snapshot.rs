//! All resources that a proxy gets, with versions that are hashes of their content.
//!
//! Two control planes with the same content have the same versions, so that a proxy that reconnects to either gets
//! nothing it has already.

use envoy_types::pb::google::protobuf::Any;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A kind of resource, in the order in which changes are sent: what is referred to goes before what refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Clusters: CDS.
    Cluster,
    /// Secrets: SDS.
    Secret,
    /// Listeners: LDS.
    Listener,
    /// Routes: RDS.
    Route,
    /// The filter's configuration: ECDS.
    Extension,
}

impl Kind {
    /// Every kind, in the order of sending.
    pub const ALL: [Self; 5] = [Self::Cluster, Self::Secret, Self::Listener, Self::Route, Self::Extension];

    /// The type URL of its resources.
    #[must_use]
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// The kind of a type URL.
    #[must_use]
    pub fn of(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// A word for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "clusters",
            Self::Secret => "secrets",
            Self::Listener => "listeners",
            Self::Route => "routes",
            Self::Extension => "filter",
        }
    }
}

/// A resource and the hash of its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Content hash.
    pub version: String,
    /// The message.
    pub body: Any,
}

/// All resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// What people call it: the policy's version.
    pub label: String,
    resources: BTreeMap<Kind, BTreeMap<String, Resource>>,
    versions: BTreeMap<Kind, String>,
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Snapshot {
    /// A snapshot of these resources, each with its name.
    #[must_use]
    pub fn new(label: String, resources: Vec<(Kind, String, Any)>) -> Self {
        let mut it = Self { label, ..Self::default() };
        for (kind, name, body) in resources {
            let version = hash(&[body.type_url.as_bytes(), &body.value]);
            it.resources.entry(kind).or_default().insert(name, Resource { version, body });
        }
        for kind in Kind::ALL {
            let of_kind = it.of(kind);
            let parts: Vec<&[u8]> =
                of_kind.iter().flat_map(|(name, one)| [name.as_bytes(), one.version.as_bytes()]).collect();
            let version = hash(&parts);
            it.versions.insert(kind, version);
        }
        it
    }

    /// The resources of a kind, by name.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &BTreeMap<String, Resource> {
        static NONE: BTreeMap<String, Resource> = BTreeMap::new();
        self.resources.get(&kind).unwrap_or(&NONE)
    }

    /// The version of all resources of a kind.
    #[must_use]
    pub fn version(&self, kind: Kind) -> &str {
        self.versions.get(&kind).map(String::as_str).unwrap_or_default()
    }
}
