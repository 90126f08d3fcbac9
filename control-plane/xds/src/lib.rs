//! The xDS side of Purser: Envoy resources built from plain input, kept in a [`Snapshot`], and pushed to a [`Fleet`] of proxies
//! in stages, over ADS (state of the world and delta).
//!
//! A request for configuration goes from the tonic service in [`server`] to the state machine of its stream in [`protocol`],
//! which does no I/O; what the proxy answered goes to the [`Fleet`], which says what each proxy may have.

pub mod bootstrap;
pub mod fleet;
pub mod protocol;
pub mod resources;
pub mod server;
pub mod snapshot;

pub use bootstrap::Bootstrap;
pub use fleet::{Fleet, FleetStatus};
pub use resources::{AccessLog, Credential, FilterSource, Gateway, ProviderEndpoint};
pub use server::routes;
pub use snapshot::{Kind, Resource, Snapshot};
