//! What the holders of leases do in a tape.

use ff_backend_memory::Op;
use ff_core::{CapabilitySet, CompleteArgs, FailureClass, FailureReason, Handle, Operation, TimestampMs};
use serde::{Deserialize, Serialize};

use super::{
    draw::Draw,
    names::{TOO_LONG, Unresolved, Worker, bytes, from_now, is_default, text},
    refs::{Book, LeaseRef},
};

/// A call of the stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AttemptsCall {
    Progress { lease: LeaseRef, percent: Option<u8>, message: Option<String> },
    Complete(Complete),
    CompleteMany(Vec<Complete>),
    CompleteAndClaim(HandOver),
    Fail(Fail),
    Cancel { lease: LeaseRef, reason: String },
    Delay { lease: LeaseRef, delay_ms: i64 },
    WaitChildren(LeaseRef),
}

/// An end with success; without a number of bytes there is no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Complete {
    lease: LeaseRef,
    #[serde(default, skip_serializing_if = "is_default")]
    result_bytes: Option<u32>,
}

/// An end with success, and the next piece of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandOver {
    lease: LeaseRef,
    #[serde(default, skip_serializing_if = "is_default")]
    result_bytes: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    worker: Worker,
    #[serde(default, skip_serializing_if = "is_default")]
    offers: CapabilitySet,
    ttl_ms: u64,
}

/// An end with failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fail {
    lease: LeaseRef,
    class: FailureClass,
    #[serde(default, skip_serializing_if = "is_default")]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    message: String,
}

impl AttemptsCall {
    pub(super) fn resolve(&self, book: &Book, now: TimestampMs) -> Result<Op, Unresolved> {
        Ok(match self {
            Self::Progress { lease, percent, message } => {
                let message = message.as_deref().map(text);
                Op::Progress { handle: book.lease(*lease)?, percent: *percent, message }
            }
            Self::Complete(complete) => {
                let (handle, payload) = complete.parts(book)?;
                Op::Complete { handle, payload }
            }
            Self::CompleteMany(batch) => {
                let args = |complete: &Complete| {
                    complete.parts(book).map(|(handle, payload)| CompleteArgs::new(handle, payload))
                };
                Op::CompleteMany(batch.iter().map(args).collect::<Result<_, _>>()?)
            }
            Self::CompleteAndClaim(over) => Op::CompleteAndClaim {
                handle: book.lease(over.lease)?,
                payload: over.result_bytes.map(bytes),
                capabilities: over.offers.clone(),
                policy: over.worker.policy(over.ttl_ms)?,
            },
            Self::Fail(fail) => {
                let reason = FailureReason::new(text(&fail.message));
                let reason = fail.category.iter().fold(reason, |reason, category| reason.category(text(category)));
                Op::Fail { handle: book.lease(fail.lease)?, reason, classification: fail.class }
            }
            Self::Cancel { lease, reason } => Op::Cancel { handle: book.lease(*lease)?, reason: text(reason) },
            Self::Delay { lease, delay_ms } => {
                Op::Delay { handle: book.lease(*lease)?, delay_until: from_now(now, *delay_ms) }
            }
            Self::WaitChildren(lease) => Op::WaitChildren { handle: book.lease(*lease)? },
        })
    }

    /// A call of `op`; none if it is of another stem, or nobody has a lease.
    pub(super) fn draw(op: Operation, draw: &mut Draw<'_>) -> Option<Self> {
        Some(match op {
            Operation::Progress => {
                let lease = draw.lease()?;
                let percent = draw.dice.maybe(60, |dice| dice.one(&[0, 50, 100]).unwrap_or_default());
                let percent = if draw.spoils() { Some(101) } else { percent };
                Self::Progress { lease, percent, message: draw.dice.maybe(50, |_| "half".to_owned()) }
            }
            Operation::Complete => Self::Complete(Complete::draw(draw)?),
            Operation::CompleteMany => {
                let count = draw.dice.below(3) + 1;
                Self::CompleteMany((0..count).filter_map(|_| Complete::draw(draw)).collect())
            }
            Operation::CompleteAndClaim => {
                let Complete { lease, result_bytes } = Complete::draw(draw)?;
                let (worker, offers, ttl_ms) = (draw.worker(), draw.offers(), draw.ttl_ms());
                Self::CompleteAndClaim(HandOver { lease, result_bytes, worker, offers, ttl_ms })
            }
            Operation::Fail => {
                let lease = draw.lease()?;
                let classes = [FailureClass::Transient, FailureClass::Transient, FailureClass::Permanent];
                let others = [FailureClass::InfraCrash, FailureClass::Timeout, FailureClass::Cancelled];
                let class = draw.dice.one(&[classes, others].concat()).unwrap_or(FailureClass::Transient);
                let category = draw.dice.maybe(40, |dice| dice.one(&["network", "disk"]).unwrap_or("disk").to_owned());
                let message = if draw.spoils() { TOO_LONG } else { "broke" };
                Self::Fail(Fail { lease, class, category, message: message.to_owned() })
            }
            Operation::Cancel => {
                let reason = if draw.spoils() { TOO_LONG } else { "no need" };
                Self::Cancel { lease: draw.lease()?, reason: reason.to_owned() }
            }
            Operation::Delay => {
                let instants: &[i64] = if draw.spoils() { &[i64::MAX, i64::MIN] } else { &[0, -5, 100, 1000] };
                Self::Delay { lease: draw.lease()?, delay_ms: draw.dice.number(1, instants) }
            }
            Operation::WaitChildren => Self::WaitChildren(draw.lease()?),
            _ => return None,
        })
    }
}

impl Complete {
    fn parts(&self, book: &Book) -> Result<(Handle, Option<Vec<u8>>), Unresolved> {
        Ok((book.lease(self.lease)?, self.result_bytes.map(bytes)))
    }

    fn draw(draw: &mut Draw<'_>) -> Option<Self> {
        let lease = draw.lease()?;
        Some(Self { lease, result_bytes: draw.dice.maybe(60, |dice| dice.one(&[0, 1, 40]).unwrap_or_default()) })
    }
}
