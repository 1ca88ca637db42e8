//! The execution engine on Valkey 7.2 and later, and on Redis 7.0 and later: one function call an operation.
//!
//! The functions stand in one server library, [`library`], that [`ff_core::EngineBackend::prepare`] loads.

mod attempts;
mod backend;
mod capabilities;
mod claims;
mod config;
mod error;
mod executions;
mod fcall;
mod keys;
mod leases;
mod library;
mod reply;
mod scanners;
mod subscriptions;
mod waitpoints;

pub use backend::ValkeyBackend;
pub use library::{LIBRARY_VERSION, library};
