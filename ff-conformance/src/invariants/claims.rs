//! Claims: none at or after a deadline, none before its execution, nothing handed out twice.

use std::collections::HashSet;

use ff_core::{LeaseEventKind, LeaseHistoryEvent};

use super::{World, holds};
use crate::{Cx, Verdict, check};

pub(super) fn check(cx: &Cx, world: &World) -> Verdict {
    let (mut leases, mut attempts) = (HashSet::new(), HashSet::new());
    for event in world.dump.iter().flat_map(|dump| &dump.lease_history) {
        if matches!(event.kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed) {
            check!(cx, "FF-LSE-001", event, holds("no lease is handed out twice", leases.insert(event.lease_id)));
        }
    }
    for attempt in world.dump.iter().flat_map(|dump| &dump.attempts) {
        let fresh = attempts.insert(attempt.attempt_id);
        check!(cx, "FF-EXE-001", attempt, holds("no attempt is of two executions", fresh));
    }
    for (reads, history) in world.told() {
        let info = &reads.info;
        let claims =
            |event: &&LeaseHistoryEvent| matches!(event.kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed);
        for event in history.leases.iter().filter(claims) {
            // A replay counts the deadline anew, by a clock that may have stepped back.
            let deadline = info.execution_deadline_at.map(|deadline| deadline.plus(world.slack));
            let early = deadline.is_none_or(|deadline| !deadline.has_come(event.at));
            let found = (event, info.execution_deadline_at);
            check!(cx, "FF-EXE-008", found, holds("no claim at or after the deadline", early));
            let fits = world.in_order(info.created_at, event.at);
            check!(cx, "FF-CLM-016", (event, info.created_at), holds("no claim before the creation", fits));
        }
    }
    Ok(())
}
