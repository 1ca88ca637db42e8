//! Proves that execution engine backends are the same engine.
//!
//! A [`Harness`] opens empty stores of one backend; the suite's cases drive them through the contract and answer with a
//! [`Verdict`].

pub mod arguments;
mod calls;
pub mod claims;
pub mod clocks;
mod controls;
mod crowds;
mod cx;
pub mod durability;
pub mod executions;
mod expect;
mod facts;
pub mod fences;
mod forgeries;
mod harness;
mod holders;
pub mod holds;
pub mod idempotency;
mod instants;
pub mod leases;
pub mod payloads;
pub mod priorities;
pub mod promotions;
mod proxy;
mod reads;
mod recorder;
pub mod round_trips;
#[cfg(feature = "command")]
pub mod servers;
mod stages;
mod trials;
mod verdict;
pub mod waits;
mod words;
pub mod worker_capabilities;

pub use async_trait::async_trait;
pub use controls::{AttemptFacts, ClockControl, Control, Controls, Dump, DumpControl, Held, HoldControl};
pub use cx::{Claimed, Cx, TTL};
pub use expect::{
    Expect, answers, differs_from, equals, is_none, is_ok, is_some, is_true, refused, refused_with, satisfies,
};
pub use harness::{Client, Environment, Harness, HarnessError, Identity, Store, Topology};
pub use proxy::{Fault, Proxy};
pub use recorder::Recorder;
pub use verdict::{Failure, Place, Stop, Verdict};
