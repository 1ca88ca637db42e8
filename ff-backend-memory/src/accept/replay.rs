//! The mint of a step that was observed: first every id is open, then it is the one that the answer shows.

use std::collections::HashMap;

use ff_core::{AttemptId, FailOutcome, GrantKey, Jitter, Keyring, LeaseId, TimestampMs, WaitpointId};
use uuid::Uuid;

use super::shown::shown;
use crate::{Answer, Mint, Outcome, State, StoredExecution};

/// The first half of every open id; the version 8 is that of nobody else.
const OPEN: u64 = 0x6f70_656e_0000_8000;

/// The open id with a number.
const fn open_id(number: u64) -> Uuid {
    Uuid::from_u64_pair(OPEN, 0x8000_0000_0000_0000 | number)
}

fn is_open(id: Uuid) -> bool {
    id.as_u64_pair().0 == OPEN
}

/// Hands out ids in the order in which a step asks for them.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    /// The open ids of the state before the step.
    before: u64,
    /// Those that the step asked for.
    asked: u64,
    /// What the open ids turned out to be.
    bound: HashMap<Uuid, Uuid>,
    /// What listings show of the tokens of waitpoints.
    fingerprints: HashMap<Uuid, String>,
    jitter: Jitter,
    drew: bool,
}

impl Replay {
    /// Every id of the step is open.
    pub(super) fn blind(state: &State) -> Self {
        Self {
            before: state.unseen,
            asked: 0,
            bound: HashMap::new(),
            fingerprints: HashMap::new(),
            jitter: Jitter::NONE,
            drew: false,
        }
    }

    /// How many ids of the step nobody has seen.
    pub(super) fn open(&self) -> u64 {
        let mine = (self.before..self.before + self.asked).map(open_id);
        // All that are asked for keep their numbers: the next step counts behind them.
        if mine.clone().any(|id| !self.bound.contains_key(&id)) { self.asked } else { 0 }
    }

    /// The mint of the same step that hands out what `outcome` shows where `expected` shows open ids; none if no mint
    /// makes the one the other.
    pub(super) fn seen(&self, state: &State, expected: &Outcome, outcome: &Outcome, now: TimestampMs) -> Option<Self> {
        let (open, seen) = (shown(expected, state.label), shown(outcome, state.label));
        if open.len() != seen.len() {
            return None;
        }
        let mut bound = HashMap::new();
        for (open, seen) in open.into_iter().zip(seen).filter(|(open, _)| is_open(*open)) {
            if *bound.entry(open).or_insert(seen) != seen {
                return None;
            }
        }
        let jitter = if self.drew { drawn(expected, outcome, now)? } else { Jitter::NONE };
        if bound.is_empty() && jitter == Jitter::NONE {
            return None;
        }
        let mut fresh: Vec<_> = bound.values().copied().collect();
        fresh.sort_unstable();
        if fresh.windows(2).any(|pair| pair[0] == pair[1]) || fresh.iter().any(|id| is_known(state, *id)) {
            return None;
        }
        let fingerprints = fingerprints(outcome);
        Some(Self { bound, fingerprints, jitter, ..Self::blind(state) })
    }

    /// Writes into a state what its open ids turned out to be.
    pub(super) fn bind(&self, state: &mut State) {
        let old = |id: &Uuid| id.as_u64_pair().1 & u64::MAX >> 1 < self.before;
        for (open, seen) in self.bound.iter().filter(|(open, _)| old(open)) {
            for row in state.executions.values_mut().filter(|row| ids_of(row).any(|id| id == *open)) {
                rename(row, *open, *seen);
                self.rename_waitpoint(&state.keyring, row, *open, *seen);
            }
            state.events.rename_lease(LeaseId::from_uuid(*open), LeaseId::from_uuid(*seen));
        }
    }

    /// The token of a waitpoint follows from its id, and what listings show of it from the token.
    fn rename_waitpoint(&self, ring: &Keyring, row: &mut StoredExecution, open: Uuid, seen: Uuid) {
        let Some(mut waitpoint) = row.mailbox.waitpoints.remove(&WaitpointId::from_uuid(open)) else { return };
        waitpoint.waitpoint_id = WaitpointId::from_uuid(seen);
        let signed = ring.mint_again(&waitpoint.token_kid, &row.record.execution_id, &waitpoint.waitpoint_id);
        let fingerprint = match signed {
            Ok(signed) if signed.kid == waitpoint.token_kid => Some(signed.fingerprint),
            // Its key is gone: only the listing knows.
            _ => self.fingerprints.get(&seen).cloned(),
        };
        waitpoint.token_fingerprint = fingerprint.unwrap_or_default();
        row.mailbox.waitpoints.insert(waitpoint.waitpoint_id, waitpoint);
    }

    fn next(&mut self) -> Uuid {
        let open = open_id(self.before + self.asked);
        self.asked += 1;
        self.bound.get(&open).copied().unwrap_or(open)
    }
}

impl Mint for Replay {
    fn lease_id(&mut self) -> LeaseId {
        LeaseId::from_uuid(self.next())
    }

    fn attempt_id(&mut self) -> AttemptId {
        AttemptId::from_uuid(self.next())
    }

    fn grant_key(&mut self) -> GrantKey {
        GrantKey::from_uuid(self.next())
    }

    fn waitpoint_id(&mut self) -> WaitpointId {
        WaitpointId::from_uuid(self.next())
    }

    fn jitter(&mut self) -> Jitter {
        self.drew = true;
        self.jitter
    }
}

/// The factor that makes the longest wait, which was expected, the one that was seen.
fn drawn(expected: &Outcome, outcome: &Outcome, now: TimestampMs) -> Option<Jitter> {
    let wait = |outcome: &Outcome| match outcome {
        Ok(Answer::Fail(FailOutcome::RetryScheduled { delay_until })) => {
            u128::try_from(delay_until.as_ms() - now.as_ms()).ok()
        }
        _ => None,
    };
    let (Some(longest), Some(seen)) = (wait(expected), wait(outcome)) else { return Some(Jitter::NONE) };
    // The smallest factor that is one and gives the wait; the step itself says whether it does.
    let factor = (seen * 1_000_000).div_ceil(longest.max(1)).max(500_000);
    (factor <= 1_000_000).then(|| Jitter::from_bits(factor - 500_000))
}

/// Every id of an execution that a store mints.
fn ids_of(row: &StoredExecution) -> impl Iterator<Item = Uuid> {
    let lease = row.record.lease.iter().flat_map(|lease| [lease.lease_id.as_uuid(), lease.attempt_id.as_uuid()]);
    let grant = row.record.grant.iter().map(|grant| grant.grant_key.as_uuid());
    let attempts = row.attempts.iter().flat_map(|held| [held.lease_id.as_uuid(), held.attempt_id.as_uuid()]);
    lease.chain(grant).chain(attempts).chain(row.mailbox.waitpoints.keys().map(|id| id.as_uuid()))
}

/// What a listing shows of the tokens of waitpoints.
fn fingerprints(outcome: &Outcome) -> HashMap<Uuid, String> {
    let Ok(Answer::ListPendingWaitpoints(page)) = outcome else { return HashMap::new() };
    let shown = page.waitpoints.iter().map(|info| (info.waitpoint_id.as_uuid(), info.token_fingerprint.clone()));
    shown.collect()
}

fn is_known(state: &State, id: Uuid) -> bool {
    state.executions.values().any(|row| ids_of(row).any(|known| known == id))
        || state.events.knows_lease(LeaseId::from_uuid(id))
}

fn rename(row: &mut StoredExecution, open: Uuid, seen: Uuid) {
    let lease = |id: &mut LeaseId| *id = if id.as_uuid() == open { LeaseId::from_uuid(seen) } else { *id };
    let attempt = |id: &mut AttemptId| *id = if id.as_uuid() == open { AttemptId::from_uuid(seen) } else { *id };
    if let Some(latest) = &mut row.record.lease {
        lease(&mut latest.lease_id);
        attempt(&mut latest.attempt_id);
    }
    if let Some(grant) = row.record.grant.as_mut().filter(|grant| grant.grant_key.as_uuid() == open) {
        grant.grant_key = GrantKey::from_uuid(seen);
    }
    for held in &mut row.attempts {
        lease(&mut held.lease_id);
        attempt(&mut held.attempt_id);
    }
}
