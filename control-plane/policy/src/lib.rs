//! Policy as written: read, checked with every problem named, compiled for the filter, watched for changes.
//!
//! `spec` is what may be written, `read` brings a folder's files in and names every problem, `compile` makes of them
//! what the filter gets, `watch` does it again when something changes, `shipped` is the price book that comes along.

pub mod compile;
pub mod read;
pub mod shipped;
pub mod spec;
pub mod watch;

pub use compile::{compile, Compiled, Credential, ProviderTarget};
pub use read::{read, DocumentRef, Problem, Severity, Written};
pub use shipped::shipped_book;
pub use watch::{watch, PolicyState};
