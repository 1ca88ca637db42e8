//! The right to work in a tape: how it is extended, and how it is taken away.

use ff_backend_memory::Op;
use ff_core::{Operation, RevokeLeaseArgs};
use serde::{Deserialize, Serialize};

use super::{
    draw::Draw,
    names::{Exec, TOO_LONG, Unresolved, Worker, is_default, text},
    refs::{Book, LeaseRef},
};

/// A call of the stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LeasesCall {
    Renew(LeaseRef),
    RenewMany(Vec<LeaseRef>),
    RevokeLease(Revoke),
}

/// The lease that an operator takes away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Revoke {
    execution: Exec,
    #[serde(skip_serializing_if = "is_default")]
    lease: Option<LeaseRef>,
    #[serde(skip_serializing_if = "is_default")]
    worker: Option<Worker>,
    #[serde(skip_serializing_if = "is_default")]
    reason: String,
}

impl LeasesCall {
    pub(super) fn resolve(&self, book: &Book) -> Result<Op, Unresolved> {
        Ok(match self {
            Self::Renew(lease) => Op::Renew { handle: book.lease(*lease)? },
            Self::RenewMany(leases) => {
                Op::RenewMany(leases.iter().map(|lease| book.lease(*lease)).collect::<Result<_, _>>()?)
            }
            Self::RevokeLease(revoke) => {
                let mut args = RevokeLeaseArgs::new(revoke.execution.id()?, text(&revoke.reason));
                if let Some(lease) = revoke.lease {
                    let held = book.read(&book.lease(lease)?);
                    args.expected_lease_id = held.map(|held| held.fence.lease_id);
                }
                if let Some(worker) = revoke.worker {
                    args = args.worker_instance_id(worker.names()?.1);
                }
                Op::RevokeLease(args)
            }
        })
    }

    /// A call of `op`; none if it is of another stem, or nobody has a lease.
    pub(super) fn draw(op: Operation, draw: &mut Draw<'_>) -> Option<Self> {
        Some(match op {
            Operation::Renew => Self::Renew(draw.lease()?),
            Operation::RenewMany => {
                let count = draw.dice.below(3) + 1;
                Self::RenewMany((0..count).filter_map(|_| draw.lease()).collect())
            }
            Operation::RevokeLease => {
                let execution = draw.execution();
                let lease = if draw.dice.chance(40) { draw.lease_of(execution) } else { None };
                let worker = draw.dice.chance(30).then(|| draw.worker());
                let reason = if draw.spoils() { TOO_LONG } else { "stuck" };
                Self::RevokeLease(Revoke { execution, lease, worker, reason: reason.to_owned() })
            }
            _ => return None,
        })
    }
}
