//! Policy as written: read, checked with every problem named, compiled for the filter, watched for changes.
//!
//! `spec` is what may be written, `read` brings a folder's files in and names every problem, `compile` makes of them
//! what the filter gets, `watch` does it again when something changes, `shipped` is the price book that comes along.

pub mod compile;
pub mod read;
pub mod shipped;
pub mod spec;
pub mod watch;

pub use compile::{Compiled, Credential, ProviderTarget, compile, load};
pub use read::{DocumentRef, Problem, Severity, Written, nearest, read};
pub use shipped::shipped_book;
pub use watch::{PolicyState, watch};
