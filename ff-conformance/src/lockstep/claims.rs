//! How workers get leases in a tape.

use std::time::Duration;

use ff_backend_memory::Op;
use ff_core::{CapabilitySet, ClaimExecutionArgs, ClaimForWorkerArgs, Operation, PageLimit};
use serde::{Deserialize, Serialize};

use super::{
    draw::{Draw, Intent},
    names::{Exec, Lane, NOBODY, Unresolved, Worker, is_default},
    refs::{Book, GrantRef},
};

/// A call of the stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClaimsCall {
    Claim(Claim),
    ClaimMany { by: Claim, limit: u32 },
    ClaimForWorker(Claim),
    ClaimExecution(Redeem),
    ClaimFromReclaim(Redeem),
    ClaimResumedExecution(Redeem),
    ExplainUnclaimed { execution: Exec, offers: CapabilitySet },
}

/// Who claims where, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    #[serde(default, skip_serializing_if = "is_default")]
    lane: Lane,
    #[serde(default, skip_serializing_if = "is_default")]
    worker: Worker,
    #[serde(default, skip_serializing_if = "is_default")]
    offers: CapabilitySet,
    ttl_ms: u64,
}

/// Who redeems which grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redeem {
    grant: GrantRef,
    #[serde(default, skip_serializing_if = "is_default")]
    worker: Worker,
    /// The execution instead of that of the grant.
    #[serde(default, skip_serializing_if = "is_default")]
    execution: Option<Exec>,
    ttl_ms: u64,
}

impl ClaimsCall {
    pub(super) fn resolve(&self, book: &Book) -> Result<Op, Unresolved> {
        Ok(match self {
            Self::Claim(by) => {
                Op::Claim { lane: by.lane.id()?, capabilities: by.offers.clone(), policy: by.worker.policy(by.ttl_ms)? }
            }
            Self::ClaimMany { by, limit } => Op::ClaimMany {
                lane: by.lane.id()?,
                capabilities: by.offers.clone(),
                policy: by.worker.policy(by.ttl_ms)?,
                limit: PageLimit::new(*limit)?,
            },
            Self::ClaimForWorker(by) => {
                let (worker, process) = by.worker.names()?;
                let args = ClaimForWorkerArgs::new(by.lane.id()?, worker, process, Duration::from_millis(by.ttl_ms));
                Op::ClaimForWorker(Box::new(args.worker_capabilities(by.offers.clone())))
            }
            Self::ClaimExecution(redeem) => Op::ClaimExecution(Box::new(redeem.args(book)?)),
            Self::ClaimFromReclaim(redeem) => Op::ClaimFromReclaim(Box::new(redeem.args(book)?)),
            Self::ClaimResumedExecution(redeem) => Op::ClaimResumedExecution(Box::new(redeem.args(book)?)),
            Self::ExplainUnclaimed { execution, offers } => {
                Op::ExplainUnclaimed { id: execution.id()?, capabilities: offers.clone() }
            }
        })
    }

    /// A call of `op`; none if it is of another stem, or nobody has a grant.
    pub(super) fn draw(op: Operation, draw: &mut Draw<'_>) -> Option<Self> {
        Some(match op {
            Operation::Claim => Self::Claim(Claim::draw(draw)),
            Operation::ClaimMany => {
                let limit = u32::try_from(draw.dice.below(4)).unwrap_or_default();
                Self::ClaimMany { by: Claim::draw(draw), limit }
            }
            Operation::ClaimForWorker => {
                let lives: &[i64] = if draw.spoils() { &[0, 60_001] } else { &[1, 500, 60_000] };
                let ttl_ms = draw.dice.one(lives).unwrap_or(1).unsigned_abs();
                Self::ClaimForWorker(Claim { ttl_ms, ..Claim::draw(draw) })
            }
            Operation::ClaimExecution => Self::ClaimExecution(Redeem::draw(draw, false)?),
            Operation::ClaimFromReclaim => Self::ClaimFromReclaim(Redeem::draw(draw, false)?),
            Operation::ClaimResumedExecution => Self::ClaimResumedExecution(Redeem::draw(draw, true)?),
            Operation::ExplainUnclaimed => {
                Self::ExplainUnclaimed { execution: draw.execution(), offers: draw.offers() }
            }
            _ => return None,
        })
    }
}

impl Claim {
    fn draw(draw: &mut Draw<'_>) -> Self {
        Self { lane: draw.lane(), worker: draw.worker(), offers: draw.offers(), ttl_ms: draw.ttl_ms() }
    }
}

impl Redeem {
    fn args(&self, book: &Book) -> Result<ClaimExecutionArgs, Unresolved> {
        let mut grant = book.grant(self.grant)?;
        if let Some(execution) = self.execution {
            grant.execution_id = execution.id()?;
        }
        let (worker, process) = self.worker.names()?;
        Ok(ClaimExecutionArgs::new(grant, worker, process, Duration::from_millis(self.ttl_ms)))
    }

    fn draw(draw: &mut Draw<'_>, interrupted: bool) -> Option<Self> {
        let (grant, named) = draw.grant(interrupted)?;
        let worker = if draw.intent == Intent::Enabled || draw.dice.chance(75) { named } else { draw.worker() };
        let elsewhere = draw.intent != Intent::Enabled;
        let execution = match draw.dice.below(100) {
            0..10 if elsewhere => Some(NOBODY),
            10..20 if elsewhere => Some(draw.execution()),
            _ => None,
        };
        Some(Self { grant, worker, execution, ttl_ms: draw.ttl_ms() })
    }
}
