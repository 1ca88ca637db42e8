//! The execution engine in one process: embedded default, test double and executable specification.
//!
//! [`apply`] is the contract as one pure function over [`State`]; [`MemoryBackend`] is that function behind a mutex.
//!
//! ```
//! use std::time::Duration;
//!
//! use ff_backend_memory::MemoryBackend;
//! use ff_core::{
//!     CapabilitySet, ClaimPolicy, CreateExecutionArgs, EngineBackend, ExecutionId, LaneId, Namespace,
//!     PartitionConfig, WorkerId, WorkerInstanceId,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine: std::sync::Arc<dyn EngineBackend> = std::sync::Arc::new(MemoryBackend::new());
//! let lane = LaneId::try_new("mail")?;
//! let id = ExecutionId::solo(&lane, PartitionConfig::default());
//! let args = CreateExecutionArgs::new(id, Namespace::try_new("shop")?, lane.clone(), "send_receipt");
//! engine.create_execution(args.input_payload(b"order 17".to_vec())).await?;
//!
//! let worker = ClaimPolicy::new(
//!     WorkerId::try_new("mailer")?,
//!     WorkerInstanceId::try_new("mailer-1")?,
//!     Duration::from_secs(30),
//! );
//! let handle = engine.claim(&lane, &CapabilitySet::default(), worker).await?.ok_or("no work")?;
//! engine.complete(&handle, Some(b"sent".to_vec())).await?;
//!
//! assert_eq!(engine.get_execution_result(&id).await?, Some(b"sent".to_vec()));
//! # Ok(())
//! # }
//! ```

mod accept;
mod apply;
mod attempts;
mod backend;
mod capabilities;
mod claims;
mod clock;
mod executions;
#[cfg(feature = "flaws")]
mod flaw;
mod leases;
mod mint;
mod op;
mod scanners;
mod state;
mod subscriptions;
mod waitpoints;

pub use accept::{Interval, Judgement, Obs, accept, accept_any, accept_passing};
pub use apply::apply;
pub use backend::{MemoryBackend, MemoryConfig};
pub use clock::{Clock, ManualClock};
#[cfg(feature = "flaws")]
pub use flaw::Flaw;
pub use mint::{Mint, RandomMint, SeededMint};
pub use op::{Answer, Each, Op, Outcome};
pub use state::{AttemptRecord, FirstSuspension, KeyRecord, Mailbox, Place, SignalRecord, State, StoredExecution};
