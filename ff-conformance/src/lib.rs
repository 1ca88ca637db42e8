//! Proves that execution engine backends are the same engine.
//!
//! A [`Harness`] opens empty stores of one backend; the suite's cases drive them through the contract and answer with a
//! [`Verdict`]. [`suite!`] makes one test of every case.

pub mod arguments;
pub mod attempts;
pub mod backends;
pub mod backoffs;
pub mod boot;
mod calls;
pub mod capabilities;
mod case;
pub mod claims;
pub mod clocks;
mod controls;
mod crowds;
mod cx;
pub mod deadlines;
pub mod durability;
pub mod errors;
pub mod executions;
mod expect;
mod facts;
mod feeds;
pub mod fences;
mod forgeries;
mod harness;
mod holders;
pub mod holds;
pub mod idempotency;
mod instants;
mod invariants;
pub mod leases;
mod matrix;
pub mod pages;
pub mod payloads;
pub mod priorities;
pub mod promotions;
mod proxy;
mod reads;
pub mod reclaims;
mod recorder;
mod registry;
pub mod report;
pub mod retries;
pub mod round_trips;
mod run;
#[cfg(feature = "command")]
pub mod servers;
pub mod snapshots;
mod stages;
pub mod subscriptions;
mod trials;
mod verdict;
pub mod waits;
mod words;
pub mod worker_capabilities;

pub use async_trait::async_trait;
pub use case::{Case, Level, Requirement};
pub use controls::{AttemptFacts, ClockControl, Control, Controls, Dump, DumpControl, Held, HoldControl};
pub use cx::{Claimed, Cx, TTL};
pub use expect::{
    Expect, answers, differs_from, equals, is_none, is_ok, is_some, is_true, refused, refused_with, satisfies,
};
pub use harness::{Client, Environment, Harness, HarnessError, Identity, Store, Topology};
pub use matrix::Matrix;
pub use proxy::{Fault, Proxy};
pub use recorder::{Call, Hits, Recorder};
pub use registry::{CASES, REGISTRY_SHA256, REQUIREMENTS};
pub use report::{CaseReport, Event, Report};
pub use run::{execute, run, runtime};
pub use verdict::{Failure, FailureKind, Outcome, Place, Stop, Verdict};
