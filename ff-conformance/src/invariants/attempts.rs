//! Attempts: numbered without a gap, one open at most, each as its execution tells of it.

use ff_core::{
    AttemptIndex, AttemptPhase, AttemptState, AttemptSummary, AttemptType, LeaseEpoch, LeaseEventKind, TerminalOutcome,
    TimestampMs,
};

use super::{History, Reads, Run, World, holds};
use crate::{AttemptFacts, Cx, Verdict, check};

pub(super) fn check(cx: &Cx, world: &World) -> Verdict {
    for history in world.histories.values() {
        records(cx, world, &history.attempts)?;
        leases(cx, history)?;
    }
    for (reads, history) in world.told() {
        totals(cx, reads, &history.attempts)?;
        stands_as_told(cx, reads, &history)?;
    }
    Ok(())
}

const fn is_open(attempt: &AttemptFacts) -> bool {
    matches!(attempt.phase, AttemptPhase::Started | AttemptPhase::Suspended)
}

/// The records of one execution follow each other.
fn records(cx: &Cx, world: &World, attempts: &[AttemptFacts]) -> Verdict {
    for (number, attempt) in attempts.iter().enumerate() {
        let next = attempts.get(number + 1);
        let numbered = usize::try_from(attempt.attempt_index.0) == Ok(number);
        check!(cx, "FF-EXE-001", (attempt, number), holds("attempts are numbered from 0", numbered));
        let twice = attempts[..number].iter().any(|other| other.attempt_id == attempt.attempt_id);
        check!(cx, "FF-EXE-001", attempt, holds("every attempt has an id of its own", !twice));
        let open = is_open(attempt);
        check!(cx, "FF-EXE-002", (attempt, next), holds("only the last attempt is open", next.is_none() || !open));
        let ended = attempt.ended_at.is_none() == open;
        check!(cx, "FF-EXE-002", attempt, holds("an end iff it is not open", ended));
        let blamed = attempt.failure_reason.is_some() || attempt.failure_category.is_some();
        let fits = !blamed || attempt.phase == AttemptPhase::EndedFailure;
        check!(cx, "FF-EXE-036", attempt, holds("only a failure has a reason", fits));
        let before = number.checked_sub(1).map(|last| attempts[last].phase);
        let fits = match attempt.attempt_type {
            AttemptType::Initial => before.is_none(),
            AttemptType::Retry => before == Some(AttemptPhase::EndedFailure),
            AttemptType::Reclaim => before == Some(AttemptPhase::InterruptedReclaimed),
            AttemptType::Replay => before.is_some_and(|phase| phase != AttemptPhase::InterruptedReclaimed),
        };
        check!(cx, "FF-EXE-001", (attempt, before), holds("an attempt follows from the one before", fits));
        let taken = attempt.phase != AttemptPhase::InterruptedReclaimed || next.is_some();
        check!(cx, "FF-LSE-015", attempt, holds("an interrupted attempt was taken over", taken));
        let later = [attempt.ended_at, next.map(|next| next.started_at)];
        let fits = later.into_iter().flatten().all(|later| world.in_order(attempt.started_at, later));
        check!(cx, "FF-EXE-024", (attempt, next), holds("attempts start and end in order", fits));
    }
    Ok(())
}

/// Each attempt started with its first acquisition and goes on under its last; another index begins with another.
fn leases(cx: &Cx, history: &History) -> Verdict {
    let mut acquisitions: Vec<(AttemptIndex, TimestampMs, LeaseEpoch, TimestampMs)> = Vec::new();
    for event in &history.leases {
        let resumed = acquisitions.last_mut().filter(|(index, ..)| *index == event.attempt_index);
        match (event.kind, resumed) {
            (LeaseEventKind::Acquired, Some(last)) => (last.2, last.3) = (event.lease_epoch, event.at),
            (LeaseEventKind::Acquired | LeaseEventKind::Reclaimed, _) => {
                acquisitions.push((event.attempt_index, event.at, event.lease_epoch, event.at));
            }
            _ => {}
        }
    }
    let attempts = history.attempts.iter().map(|attempt| {
        let taken_up = attempt.resumed_at.unwrap_or(attempt.started_at);
        (attempt.attempt_index, attempt.started_at, attempt.lease_epoch, taken_up)
    });
    let attempts: Vec<_> = attempts.collect();
    let fits = acquisitions == attempts;
    let id = history.leases.first().map(|event| event.execution_id);
    let found = (id, acquisitions, attempts);
    check!(
        cx,
        "FF-EXE-001",
        found,
        holds("each acquisition started an attempt or took it up again, under its epoch, at its instant", fits)
    );
    Ok(())
}

/// The execution counts its attempts.
fn totals(cx: &Cx, reads: &Reads, attempts: &[AttemptFacts]) -> Verdict {
    let info = &reads.info;
    let id = info.execution_id;
    let fits = usize::try_from(info.total_attempt_count) == Ok(attempts.len());
    let found = (id, info.total_attempt_count, attempts.len());
    check!(cx, "FF-EXE-001", found, holds("total_attempt_count counts the attempts", fits));
    let first = attempts.first().map(|attempt| attempt.started_at);
    let found = (id, info.started_at, first);
    check!(cx, "FF-EXE-024", found, holds("it started with its first attempt", info.started_at == first));
    let pending = matches!(
        info.state.attempt_state,
        AttemptState::PendingFirstAttempt | AttemptState::PendingRetryAttempt | AttemptState::PendingReplayAttempt
    );
    let last = attempts
        .last()
        .filter(|_| !pending)
        .map(|attempt| AttemptSummary { attempt_id: attempt.attempt_id, attempt_index: attempt.attempt_index });
    let found = (id, info.current_attempt, last);
    check!(
        cx,
        "FF-EXE-040",
        found,
        holds("the current attempt is the last, unless one is pending", info.current_attempt == last)
    );
    Ok(())
}

/// The last attempt stands where the execution says.
fn stands_as_told(cx: &Cx, reads: &Reads, history: &History) -> Verdict {
    let state = &reads.info.state;
    let last = history.attempts.last().map(|attempt| attempt.phase);
    let open = history.attempts.last().is_some_and(is_open);
    let fits = match state.attempt_state {
        AttemptState::None | AttemptState::PendingFirstAttempt => last.is_none(),
        AttemptState::RunningAttempt => last == Some(AttemptPhase::Started),
        // A lapse is read by comparison: nobody has written anything into the record.
        AttemptState::AttemptInterrupted => open,
        AttemptState::PendingRetryAttempt => last == Some(AttemptPhase::EndedFailure),
        // What was cancelled before it started has no attempt.
        AttemptState::PendingReplayAttempt => !open,
        // The last attempt is that of a run before, or may be.
        AttemptState::AttemptTerminal if !matches!(history.run(&reads.info), Run::Began(_)) => last.is_some() && !open,
        AttemptState::AttemptTerminal => match state.terminal_outcome {
            TerminalOutcome::Success => last == Some(AttemptPhase::EndedSuccess),
            TerminalOutcome::Failed | TerminalOutcome::Cancelled if reads.ended_suspended() && history.is_untold() => {
                open
            }
            TerminalOutcome::Failed => last == Some(AttemptPhase::EndedFailure),
            // An operator also cancels what waits for a retry.
            TerminalOutcome::Cancelled => {
                let by_worker = reads.info.cancelled_by.as_deref() == Some("worker");
                last == Some(AttemptPhase::EndedCancelled) || (!by_worker && last == Some(AttemptPhase::EndedFailure))
            }
            // A deadline too is read by comparison until somebody writes it down and tells of it.
            TerminalOutcome::Expired => last == Some(AttemptPhase::EndedFailure) || (history.is_untold() && open),
            TerminalOutcome::None | TerminalOutcome::Skipped => last.is_some() && !open,
        },
    };
    let found = (reads.info.execution_id, state, last, history.completions.len());
    check!(cx, "FF-EXE-002", found, holds("the last attempt stands where its execution says", fits));
    Ok(())
}
