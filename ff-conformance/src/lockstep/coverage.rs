//! What tapes have reached: which operation ended how, out of which state.

use std::collections::BTreeSet;

use ff_backend_memory::{Answer, Op, Outcome, State, StoredExecution};
use ff_core::{
    CancelExecutionResult, ClaimExecutionResult, ClaimForWorkerOutcome, CreateExecutionResult, DeliverSignalResult,
    EngineError, ExecutionId, FailOutcome, Handle, LaneId, Operation, ResumeExecutionResult, RevokeLeaseResult,
    RotateWaitpointHmacSecretOutcome, SeedOutcome, Supports, SuspendOutcome, TimestampMs, UnclaimedReason,
};
use serde::Deserialize;

use crate::{EXEMPTIONS, Hits, REFUSALS, report::refused};

/// What nobody expects of a tape.
const EXCEPTIONS: &str = include_str!("../../corpus/exceptions.json");

/// An operation, or one of its refusals, that tapes do not reach, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    op: Operation,
    #[serde(default)]
    refusal: Option<String>,
    #[expect(dead_code, reason = "a reader of the file wants it; parsing proves that it is there")]
    reason: String,
}

/// What was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Operation, end and state, each once.
    pub(crate) signatures: BTreeSet<String>,
    /// How often each operation ended with which code.
    pub(crate) hits: Hits,
}

impl Coverage {
    /// Notes that `op` ended with `outcome` on a store that was in `state`.
    pub(super) fn note(&mut self, state: &State, op: &Op, outcome: &Outcome, now: TimestampMs, label: &str) {
        let operation = op.operation();
        let class = class_of(state, op, now, label);
        self.signatures.insert(format!("{operation} {} {class}", end_of(outcome)));
        let code = outcome.as_ref().map_or_else(EngineError::code, |_| "ok".to_owned());
        self.hit(operation, &code);
        for error in refusals_in(outcome) {
            self.hit(operation, &error.code());
        }
    }

    pub(super) fn hit(&mut self, operation: Operation, code: &str) {
        *self.hits.entry(operation.to_string()).or_default().entry(code.to_owned()).or_default() += 1;
    }

    /// Takes what another tape has reached; tells whether something of it is new.
    pub(crate) fn join(&mut self, other: Self) -> bool {
        let before = self.signatures.len();
        self.signatures.extend(other.signatures);
        for (operation, codes) in other.hits {
            let mine = self.hits.entry(operation).or_default();
            codes.into_iter().for_each(|(code, count)| *mine.entry(code).or_default() += count);
        }
        self.signatures.len() > before
    }

    /// The goals of a run that were not met: every operation that the backend offers has succeeded, and met each
    /// refusal that its docs list.
    pub(crate) fn unmet(&self, supports: &Supports) -> Vec<String> {
        let exceptions: Vec<Exception> = match serde_json::from_str(EXCEPTIONS) {
            Ok(exceptions) => exceptions,
            Err(error) => return vec![format!("corpus/exceptions.json: {error}")],
        };
        let excepted = |op, refusal: Option<&str>| {
            exceptions.iter().any(|known| known.op == op && known.refusal.as_deref() == refusal)
                || EXEMPTIONS.iter().any(|known| known.op == op && known.code == refusal)
        };
        let offered = || Operation::ALL.iter().copied().filter(|op| supports.offers(*op) && !excepted(*op, None));
        let succeeded = |op: Operation| self.hits.get(op.as_str()).is_some_and(|codes| codes.contains_key("ok"));
        let mut unmet: Vec<_> =
            offered().filter(|op| !succeeded(*op)).map(|op| format!("{op}: never succeeded")).collect();
        for op in offered() {
            let listed = REFUSALS.iter().filter(|refusals| refusals.op == op).flat_map(|refusals| refusals.codes);
            let open = listed.filter(|code| !excepted(op, Some(code)) && !refused(&self.hits, op, code));
            unmet.extend(open.map(|code| format!("{op}: never met {code}")));
        }
        unmet
    }

    /// The exceptions that are none: what they name was reached.
    #[cfg(test)]
    fn needless(&self) -> Vec<String> {
        let exceptions: Vec<Exception> = serde_json::from_str(EXCEPTIONS).unwrap();
        let met = |known: &Exception| match &known.refusal {
            Some(code) => refused(&self.hits, known.op, code),
            None => self.hits.contains_key(known.op.as_str()),
        };
        exceptions.iter().filter(|known| met(known)).map(|known| format!("{known:?}")).collect()
    }
}

/// The refusals of the items of a batch.
fn refusals_in(outcome: &Outcome) -> Vec<&EngineError> {
    fn errors<T>(each: &[Result<T, EngineError>]) -> Vec<&EngineError> {
        each.iter().filter_map(|item| item.as_ref().err()).collect()
    }
    match outcome {
        Ok(Answer::CreateExecutions(each)) => errors(each),
        Ok(Answer::CompleteMany(each)) => errors(each),
        Ok(Answer::RenewMany(each)) => errors(each),
        _ => Vec::new(),
    }
}

/// How a call ended, without what differs from one tape to another.
fn end_of(outcome: &Outcome) -> String {
    let answer = match outcome {
        Err(error) => return error.code(),
        Ok(answer) => answer,
    };
    let some = |found: bool| if found { "some" } else { "none" };
    let each = |oks: usize, all: usize| match oks {
        oks if oks == all => "all".to_owned(),
        0 => "refused".to_owned(),
        _ => "mixed".to_owned(),
    };
    let kind = |handle: &Handle| format!("{:?}", handle.kind());
    match answer {
        Answer::Done | Answer::Renew(_) | Answer::ChangePriority(_) | Answer::ReplayExecution(_) => "ok".to_owned(),
        Answer::CreateExecution(CreateExecutionResult::Created { public_state, .. }) => format!("{public_state:?}"),
        Answer::CreateExecution(CreateExecutionResult::Duplicate { .. }) => "duplicate".to_owned(),
        Answer::CreateExecutions(answers) => each(answers.iter().filter(|one| one.is_ok()).count(), answers.len()),
        Answer::CompleteMany(answers) => each(answers.iter().filter(|one| one.is_ok()).count(), answers.len()),
        Answer::RenewMany(answers) => each(answers.iter().filter(|one| one.is_ok()).count(), answers.len()),
        Answer::DescribeExecution(found) => some(found.is_some()).to_owned(),
        Answer::ReadExecutionState(found) => found.map_or("none".to_owned(), |state| format!("{state:?}")),
        Answer::ReadExecutionInfo(found) => some(found.is_some()).to_owned(),
        Answer::GetExecutionResult(found) => some(found.is_some()).to_owned(),
        Answer::ListExecutions(page) => some(page.next_cursor.is_some()).to_owned(),
        Answer::ListLanes(page) => some(page.next_cursor.is_some()).to_owned(),
        Answer::ListAttempts(page) => format!("{}", page.attempts.len().min(3)),
        Answer::CancelExecution(CancelExecutionResult::Cancelled { .. }) => "cancelled".to_owned(),
        Answer::RevokeLease(RevokeLeaseResult::Revoked { .. }) => "revoked".to_owned(),
        Answer::RevokeLease(RevokeLeaseResult::AlreadySatisfied { reason }) => reason.to_string(),
        Answer::Fail(FailOutcome::RetryScheduled { .. }) => "retry".to_owned(),
        Answer::Fail(FailOutcome::TerminalFailed) => "failed".to_owned(),
        Answer::Claim(found) => found.as_ref().map_or("none".to_owned(), kind),
        Answer::ClaimMany(handles) => format!("{}", handles.len().min(3)),
        Answer::ClaimForWorker(ClaimForWorkerOutcome::Granted(_)) => "granted".to_owned(),
        Answer::ClaimForWorker(ClaimForWorkerOutcome::NoWork) => "none".to_owned(),
        Answer::ClaimExecution(ClaimExecutionResult::Claimed(handle)) => kind(handle),
        Answer::ExplainUnclaimed(found) => found.as_ref().map_or("none", reason_of).to_owned(),
        Answer::Suspend(outcome) => match &**outcome {
            SuspendOutcome::Suspended { .. } => "suspended".to_owned(),
            SuspendOutcome::AlreadySatisfied { .. } => "satisfied".to_owned(),
        },
        Answer::CreateWaitpoint(_) => "ok".to_owned(),
        Answer::ObserveSignals(signals) => format!("{}", signals.len().min(2)),
        Answer::DeliverSignal(DeliverSignalResult::Accepted { effect, .. }) => effect.to_string(),
        Answer::DeliverSignal(DeliverSignalResult::Duplicate { .. }) => "duplicate".to_owned(),
        Answer::ResumeExecution(ResumeExecutionResult::Resumed { public_state }) => format!("{public_state:?}"),
        Answer::ListSuspended(page) => some(page.next_cursor.is_some()).to_owned(),
        Answer::ListPendingWaitpoints(page) => format!("{}", page.waitpoints.len().min(3)),
        Answer::SeedWaitpointHmacSecret(SeedOutcome::Seeded { .. }) => "seeded".to_owned(),
        Answer::SeedWaitpointHmacSecret(SeedOutcome::AlreadySeeded { same_secret, .. }) => format!("{same_secret}"),
        Answer::RotateWaitpointHmacSecretAll(result) => match result.entries.first().map(|entry| &entry.result) {
            Some(Ok(RotateWaitpointHmacSecretOutcome::Rotated { gc_count, .. })) => format!("{}", gc_count.min(&1)),
            _ => "ok".to_owned(),
        },
        Answer::Scan(report) => format!("{}/{}", report.changed.min(2), some(report.next_cursor.is_some())),
    }
}

const fn reason_of(reason: &UnclaimedReason) -> &'static str {
    match reason {
        UnclaimedReason::Ended { .. } => "ended",
        UnclaimedReason::Suspended => "suspended",
        UnclaimedReason::Leased { .. } => "leased",
        UnclaimedReason::Delayed { .. } => "delayed",
        UnclaimedReason::Blocked { .. } => "blocked",
        UnclaimedReason::MissingCapabilities { .. } => "missing",
        UnclaimedReason::Reserved { .. } => "reserved",
        UnclaimedReason::Claimable => "claimable",
    }
}

/// The state of what a call is about.
fn class_of(state: &State, op: &Op, now: TimestampMs, label: &str) -> String {
    let row = |id: &ExecutionId| state.execution(id).map_or("unknown".to_owned(), |row| class_of_row(row, now));
    let handle = |handle: &Handle| handle.decode(label).map_or("bad".to_owned(), |held| row(&held.execution_id));
    match op {
        Op::CreateExecution(args) => row(&args.execution_id),
        Op::DescribeExecution(id)
        | Op::ReadExecutionState(id)
        | Op::ReadExecutionInfo(id)
        | Op::GetExecutionResult(id)
        | Op::ListAttempts { id, .. }
        | Op::ExplainUnclaimed { id, .. } => row(id),
        Op::CancelExecution(args) => row(&args.execution_id),
        Op::ChangePriority(args) => row(&args.execution_id),
        Op::ReplayExecution(args) => row(&args.execution_id),
        Op::SetExecutionTag(args) => row(&args.execution_id),
        Op::RevokeLease(args) => row(&args.execution_id),
        Op::Progress { handle: held, .. }
        | Op::Complete { handle: held, .. }
        | Op::Fail { handle: held, .. }
        | Op::Cancel { handle: held, .. }
        | Op::Delay { handle: held, .. }
        | Op::WaitChildren { handle: held }
        | Op::Renew { handle: held }
        | Op::Suspend { handle: held, .. }
        | Op::CreateWaitpoint { handle: held, .. }
        | Op::ObserveSignals(held) => handle(held),
        Op::SuspendByTriple { id, .. } => row(id),
        Op::DeliverSignal(args) => row(&args.execution_id),
        Op::ResumeExecution(args) => row(&args.execution_id),
        Op::ListPendingWaitpoints(args) => row(&args.execution_id),
        Op::CompleteAndClaim { handle: held, .. } => handle(held),
        Op::Claim { lane, .. } | Op::ClaimMany { lane, .. } => class_of_lane(state, lane, now),
        Op::ClaimForWorker(args) => class_of_lane(state, &args.lane_id, now),
        Op::ClaimExecution(args) | Op::ClaimFromReclaim(args) | Op::ClaimResumedExecution(args) => {
            row(&args.grant.execution_id)
        }
        Op::Scan { args, .. } => args.scanner.to_string(),
        Op::CreateExecutions(_)
        | Op::CompleteMany(_)
        | Op::RenewMany(_)
        | Op::ListExecutions { .. }
        | Op::ListLanes { .. }
        | Op::ListSuspended { .. }
        | Op::SeedWaitpointHmacSecret(_)
        | Op::RotateWaitpointHmacSecretAll(_) => "many".to_owned(),
    }
}

fn class_of_row(row: &StoredExecution, now: TimestampMs) -> String {
    let state = row.record.state_at(now);
    let reserved = if row.record.live_grant(now).is_some() { "+granted" } else { "" };
    let written = if state == row.record.state { "" } else { "+unwritten" };
    let again = if row.attempts.len() > 1 { "+again" } else { "" };
    format!("{:?}/{:?}{reserved}{written}{again}", state.public_state(), state.ownership_state)
}

/// What a claim finds in a lane: how much is ready, and how much falls due first.
fn class_of_lane(state: &State, lane: &LaneId, now: TimestampMs) -> String {
    let of_lane = || state.executions().filter(|row| row.record.lane_id == *lane);
    let ready = of_lane().filter(|row| row.place.ready).count().min(2);
    let due = of_lane().filter(|row| row.place.due_at.is_some_and(|due| due.has_come(now))).count().min(2);
    format!("{ready} ready, {due} due")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_reached_is_a_goal_unless_it_is_excepted() {
        let mut coverage = Coverage::default();
        assert!(coverage.unmet(&Supports::all()).contains(&"claim: never succeeded".to_owned()));
        coverage.hit(Operation::Claim, "ok");
        let unmet = coverage.unmet(&Supports::all());
        assert!(!unmet.iter().any(|goal| goal == "claim: never succeeded"));
        assert!(unmet.contains(&"claim: never met Validation(InvalidInput)".to_owned()));
        assert!(!unmet.iter().any(|goal| goal.starts_with("shutdown_prepare")), "{unmet:?}");
        assert_eq!(coverage.needless(), Vec::<String>::new());
    }

    #[test]
    fn joining_tells_what_is_new() {
        let with =
            |signature: &str| Coverage { signatures: BTreeSet::from([signature.to_owned()]), ..Coverage::default() };
        let mut coverage = with("a");
        assert!(coverage.join(with("b")));
        assert!(!coverage.join(with("a")));
    }
}
