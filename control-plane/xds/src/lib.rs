//! The xDS side: snapshots of Envoy resources, pushed in stages, with ACK and NACK kept for each proxy.
//!
//! ```text
//! Gateway ─ resources ─► Snapshot ─ fleet (who gets which) ─► session (what to say on a stream) ─► server (gRPC)
//!                                      ▲                          │
//!                                      └────── acks, nacks ───────┘
//! ```
//!
//! It knows nothing of policy files or money: the filter's configuration is a text to it.

pub mod bootstrap;
pub mod fleet;
pub mod resources;
pub mod server;
pub mod session;
pub mod snapshot;

pub use bootstrap::Bootstrap;
pub use fleet::{ConfigStatus, Fleet, Nack, ProxyView, RolloutState, RolloutView, Status};
pub use resources::{AccessLog, BODY_LIMIT_BYTES, Credential, FilterSource, Gateway, ProviderEndpoint};
pub use snapshot::{Kind, Snapshot};
