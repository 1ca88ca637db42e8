//! What must hold of every burst, whatever the order of its calls: found in one pass, without a model.

mod claims;
mod events;
mod leases;
mod liveness;
#[cfg(test)]
mod tests;
mod waitpoints;

use ff_backend_memory::{Answer, Obs, Op};
use ff_core::{ClaimExecutionResult, EngineError, Handle, HandlePayload};

use crate::bursts::{Burst, Deed, Recorded};

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The rule that is broken.
    pub(crate) requirement: &'static str,
    /// The checker.
    pub(crate) checker: &'static str,
    /// What is wrong.
    pub(crate) text: String,
}

impl Finding {
    fn new(requirement: &'static str, checker: &'static str, text: impl Into<String>) -> Self {
        Self { requirement, checker, text: text.into() }
    }
}

/// The first rule that a burst breaks, if it does; `label` is that of the backend whose handles it holds.
pub(crate) fn check(burst: &Burst, label: &str) -> Option<Finding> {
    let calls = Calls { burst, label };
    let found = leases::check(&calls).or_else(|| claims::check(&calls)).or_else(|| liveness::check(&calls));
    found.or_else(|| events::check(&calls)).or_else(|| waitpoints::check(&calls))
}

/// The calls of a burst, as checkers read them.
struct Calls<'a> {
    burst: &'a Burst,
    label: &'a str,
}

impl<'a> Calls<'a> {
    /// Every call with what was seen of it.
    fn all(&self) -> impl Iterator<Item = (&'a Recorded, &'a Op, &'a Obs)> + use<'a> {
        self.burst.calls.iter().filter_map(|recorded| match &recorded.deed {
            Deed::Call { op, obs } => Some((recorded, &**op, &**obs)),
            Deed::Clock(_) => None,
        })
    }

    /// Every lease that an answer handed out, with the call that did; a repeat of a redemption hands out nothing.
    fn handed_out(&self) -> Vec<(&'a Recorded, HandlePayload)> {
        let mut all: Vec<(&Recorded, HandlePayload)> = Vec::new();
        for (recorded, op, obs) in self.all() {
            let handles: &[Handle] = match obs {
                Obs::Answered(Ok(Answer::Claim(handle))) => handle.as_slice(),
                Obs::Answered(Ok(Answer::ClaimMany(handles))) => handles,
                Obs::Answered(Ok(Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle)))) => {
                    std::slice::from_ref(handle)
                }
                _ => &[],
            };
            let redeems = matches!(op, Op::ClaimExecution(_) | Op::ClaimResumedExecution(_) | Op::ClaimFromReclaim(_));
            for held in handles.iter().filter_map(|handle| handle.decode(self.label).ok()) {
                if !redeems || all.iter().all(|(_, known)| known.fence != held.fence) {
                    all.push((recorded, held));
                }
            }
        }
        all
    }

    /// Every call of a holder that was granted, with its handle; of a batch, each of its items.
    fn granted(&self) -> Vec<(&'a Recorded, &'a Op, HandlePayload)> {
        let mut all = Vec::new();
        for (recorded, op, obs) in self.all() {
            let Obs::Answered(Ok(answer)) = obs else { continue };
            let handles: Vec<&Handle> = match (op, answer) {
                (Op::CompleteMany(batch), Answer::CompleteMany(each)) => {
                    kept(batch.iter().map(|args| &args.handle), each).collect()
                }
                (Op::RenewMany(handles), Answer::RenewMany(each)) => kept(handles, each).collect(),
                // Whoever holds the work, a suspend under a known key is a repeat.
                (Op::Suspend { args, .. }, _) if args.idempotency_key.is_some() => Vec::new(),
                _ => op.holder().into_iter().collect(),
            };
            let held = handles.into_iter().filter_map(|handle| handle.decode(self.label).ok());
            all.extend(held.map(|held| (recorded, op, held)));
        }
        all
    }
}

/// The items of a batch that were not refused.
fn kept<'a, T>(
    items: impl IntoIterator<Item = &'a Handle>,
    each: &[Result<T, EngineError>],
) -> impl Iterator<Item = &'a Handle> {
    items.into_iter().zip(each).filter(|(_, answer)| answer.is_ok()).map(|(handle, _)| handle)
}
