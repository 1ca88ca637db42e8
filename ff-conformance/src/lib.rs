//! Proves that execution engine backends are the same engine.
//!
//! A [`Harness`] opens empty stores of one backend; the suite's cases drive them through the contract and answer with a
//! [`Verdict`]. [`suite!`] makes one test of every case; `certify!` makes a program of all that ends with a report.

mod acknowledged;
pub mod arguments;
pub mod attempts;
pub mod backends;
pub mod backoffs;
pub mod batches;
pub mod boot;
mod bursts;
mod calls;
pub mod cancellations;
pub mod capabilities;
mod case;
#[cfg(feature = "certify")]
mod certify;
mod checkers;
pub mod claim_batches;
pub mod claims;
pub mod clocks;
mod controls;
mod crowds;
mod cx;
pub mod deadlines;
pub mod delays;
mod denials;
mod draw;
pub mod durability;
pub mod errors;
pub mod executions;
mod expect;
pub mod explanations;
mod facts;
mod feeds;
pub mod fences;
mod forgeries;
pub mod grants;
pub mod hand_overs;
mod harness;
pub mod held_batches;
pub mod histories;
mod holders;
pub mod holds;
pub mod idempotency;
mod instants;
mod intercept;
mod invariants;
pub mod kills;
pub mod leases;
mod linear;
#[cfg(feature = "command")]
pub mod load;
pub mod lockstep;
pub mod loops;
mod matrix;
mod opened;
pub mod pages;
pub mod passes;
pub mod payloads;
pub mod pending_waitpoints;
mod perform;
pub mod priorities;
pub mod promotions;
mod proxy;
mod reads;
pub mod reclaims;
mod recorder;
pub mod redemptions;
pub mod refusals;
mod registry;
pub mod replays;
pub mod report;
mod reservations;
pub mod retention;
pub mod retries;
pub mod revocations;
pub mod round_trips;
mod routes;
pub mod routing;
mod run;
pub mod scanners;
mod scrutiny;
#[cfg(feature = "command")]
pub mod servers;
pub mod signals;
pub mod snapshots;
mod stages;
pub mod steering;
pub mod subscriptions;
pub mod suspends;
pub mod suspension_timeouts;
mod suspensions;
pub mod tags;
pub mod time_limits;
pub mod together;
pub mod tokens;
mod trials;
mod unreliable;
mod verdict;
pub mod void_grants;
pub mod waitpoint_faults;
pub mod waitpoints;
pub mod waits;
mod words;
pub mod worker_capabilities;

pub use async_trait::async_trait;
pub use bursts::{
    BrokenBurst, Burst, BurstPlan, BurstVerdict, Deed, Log, Races, Recorded, Violation, Weather, races, recheck_burst,
    timeline,
};
pub use case::{Case, Exemption, Level, Refusals, Requirement};
#[cfg(feature = "certify")]
pub use certify::certify;
pub use controls::{
    AttemptFacts, ClockControl, Control, Controls, Dump, DumpControl, Held, HoldControl, MortalServer, ServerControl,
    SessionControl, WriteThrough,
};
pub use cx::{Claimed, Cx, TTL};
pub use expect::{
    Expect, answers, differs_from, equals, is_none, is_ok, is_some, is_true, refused, refused_with, satisfies,
};
pub use harness::{Client, Environment, Harness, HarnessError, Identity, Store, Topology};
pub use intercept::{Intercept, Intercepted};
pub use matrix::Matrix;
pub use opened::{TempFolder, controlled_store, store};
pub use proxy::{Fault, Proxy};
pub use recorder::{Call, Hits, Recorder};
pub use registry::{CASES, EXEMPTIONS, REFUSALS, REGISTRY_SHA256, REQUIREMENTS};
pub use report::{CaseReport, Event, Report};
pub use run::{execute, run, runtime};
pub use scrutiny::Diagnosis;
pub use unreliable::Unreliable;
pub use verdict::{Failure, FailureKind, Outcome, Place, Stop, Verdict};
