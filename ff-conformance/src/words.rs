//! States and logs as words, so that a case reads like a row of the transition table.

use ff_core::{ExecutionId, ExecutionInfo};

use crate::{Dump, Expect, satisfies};

pub(crate) const WAITING: &str = "runnable/unowned/eligible_now/waiting_for_worker/none/pending_first_attempt/waiting";
pub(crate) const DELAYED: &str =
    "runnable/unowned/not_eligible_until_time/waiting_for_delay/none/pending_first_attempt/delayed";
pub(crate) const LEASED: &str = "active/leased/not_applicable/none/none/running_attempt/active";
pub(crate) const LAPSED: &str =
    "active/lease_expired_reclaimable/not_applicable/waiting_for_worker/none/attempt_interrupted/active";
pub(crate) const BACKING_OFF: &str =
    "runnable/unowned/not_eligible_until_time/waiting_for_retry_backoff/none/pending_retry_attempt/delayed";
pub(crate) const RETRY_DUE: &str =
    "runnable/unowned/eligible_now/waiting_for_worker/none/pending_retry_attempt/waiting";
pub(crate) const PARKED: &str =
    "runnable/unowned/not_eligible_until_time/waiting_for_delay/none/attempt_interrupted/delayed";
pub(crate) const INTERRUPTED: &str =
    "runnable/unowned/eligible_now/waiting_for_worker/none/attempt_interrupted/waiting";
pub(crate) const COMPLETED: &str = "terminal/unowned/not_applicable/none/success/attempt_terminal/completed";
pub(crate) const FAILED: &str = "terminal/unowned/not_applicable/none/failed/attempt_terminal/failed";
pub(crate) const CANCELLED: &str = "terminal/unowned/not_applicable/none/cancelled/attempt_terminal/cancelled";
pub(crate) const CANCELLED_UNSTARTED: &str = "terminal/unowned/not_applicable/none/cancelled/none/cancelled";
pub(crate) const REVOKED: &str =
    "active/lease_revoked/not_applicable/waiting_for_worker/none/attempt_interrupted/active";
pub(crate) const REPLAY_DUE: &str =
    "runnable/unowned/eligible_now/waiting_for_worker/none/pending_replay_attempt/waiting";
pub(crate) const EXPIRED: &str = "terminal/unowned/not_applicable/none/expired/attempt_terminal/expired";
pub(crate) const EXPIRED_UNSTARTED: &str = "terminal/unowned/not_applicable/none/expired/none/expired";

pub(crate) const SUSPENDED: &str =
    "suspended/unowned/not_applicable/waiting_for_signal/none/attempt_interrupted/suspended";
pub(crate) const ESCALATED: &str =
    "suspended/unowned/not_applicable/paused_by_operator/none/attempt_interrupted/suspended";
pub(crate) const RESUME_DELAYED: &str =
    "runnable/unowned/not_eligible_until_time/waiting_for_resume_delay/none/attempt_interrupted/delayed";

/// All seven dimensions of a state, in the order of the transition table.
pub(crate) fn vector(info: &ExecutionInfo) -> String {
    let state = &info.state;
    format!(
        "{}/{}/{}/{}/{}/{}/{}",
        state.lifecycle_phase,
        state.ownership_state,
        state.eligibility_state,
        state.blocking_reason,
        state.terminal_outcome,
        state.attempt_state,
        info.public_state
    )
}

/// The lease history of one execution: what happened, to which epoch, why.
pub(crate) fn lease_log(dump: &Dump, id: &ExecutionId) -> String {
    let told = dump.lease_history.iter().filter(|event| event.execution_id == *id).map(|event| {
        let reason = event.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
        format!("{} {}{reason}", event.kind, event.lease_epoch.0)
    });
    joined(told)
}

/// The completions of one execution.
pub(crate) fn completion_log(dump: &Dump, id: &ExecutionId) -> String {
    joined(dump.completions.iter().filter(|event| event.execution_id == *id).map(|event| event.outcome.to_string()))
}

/// What operators did to one execution: what, and with what.
pub(crate) fn operator_log(dump: &Dump, id: &ExecutionId) -> String {
    let told = dump.operator_events.iter().filter(|event| event.execution_id == *id);
    joined(told.map(|event| format!("{} {}", event.kind, event.detail)))
}

/// What was delivered to one execution: to what effect.
pub(crate) fn signal_log(dump: &Dump, id: &ExecutionId) -> String {
    joined(
        dump.signal_deliveries.iter().filter(|event| event.execution_id == *id).map(|event| event.effect.to_string()),
    )
}

/// The attempts of one execution: index, why, where it stands, under which epoch.
pub(crate) fn attempt_log(dump: &Dump, id: &ExecutionId) -> String {
    let attempts = dump.attempts.iter().filter(|attempt| attempt.execution_id == *id).map(|attempt| {
        format!("{} {} {} {}", attempt.attempt_index.0, attempt.attempt_type, attempt.phase, attempt.lease_epoch.0)
    });
    joined(attempts)
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// The words are these.
pub(crate) fn reads(words: &str) -> impl Expect<String> {
    let words = words.to_owned();
    satisfies(format!("reads {words:?}"), move |got: &String| *got == words)
}
