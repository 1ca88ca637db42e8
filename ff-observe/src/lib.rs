//! Metrics and spans of execution engine backends: one place that sees every operation.
//!
//! A backend has an [`Observer`] and stands its implementations of the contract under [`observed`]; [`Metrics`] holds
//! the instruments. Neither shows a payload, a reason, a message, a token, a handle or a lease id.

mod answer;
mod metrics;
mod observer;
mod traced;

pub use answer::Answer;
pub use ff_observe_macros::observed;
pub use metrics::{Metrics, PoolUse};
pub use observer::{Observer, watch};
pub use traced::Traced;
#[doc(hidden)]
pub use tracing;
