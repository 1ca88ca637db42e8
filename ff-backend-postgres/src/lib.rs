//! The execution engine on PostgreSQL 15 and later.
//!
//! [`PostgresBackend::migrate`] makes the tables, [`PostgresBackend::connect`] gives the engine.

mod attempts;
mod backend;
mod capabilities;
mod claims;
mod config;
mod error;
mod executions;
mod id;
mod leases;
mod notify;
mod row;
mod scanners;
mod subscriptions;
mod tx;
mod waitpoints;

pub use backend::PostgresBackend;
/// When the background loops run, by the name that it has on PostgreSQL.
pub use ff_core::ScannerConfig as PostgresScannerConfig;
