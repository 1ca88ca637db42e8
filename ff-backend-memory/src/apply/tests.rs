//! Rules of `apply` that show in its state: the bound of a claim, the events of a take-over and of an end, the order.

use super::world::{TTL_MS, World, args, claim_op, id, taken, tokens};
use crate::{Answer, Op, Place, State};
use ff_core::{
    AttemptPhase, AttemptType, Backoff, ExecutionPolicy, FailOutcome, FailureClass, FailureReason, HandleKind,
    LeaseEventKind, Limits, PageLimit, PublicState, ReleaseReason, RetryPolicy, TerminalOutcome,
};

fn public_state(world: &mut World, n: u32) -> PublicState {
    match world.apply(&Op::ReadExecutionState(id(n))).unwrap() {
        Answer::ReadExecutionState(Some(state)) => state,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_claim_makes_at_most_256_rows_ready_oldest_first() {
    let mut world = World::new();
    for n in 0..600 {
        let delay = if n < 300 { 20 } else { 10 };
        world.create(args(n).delay_until(world.at(delay)));
    }
    world.now += 20;
    assert_eq!(taken(world.claim().as_ref()), Some(id(300)), "the first 256 are the first due: 300 to 555");
    let ready = |world: &World| world.state.executions().filter(|row| row.place.ready).count();
    assert_eq!(ready(&world), 255);
    assert_eq!(
        taken(world.claim().as_ref()),
        Some(id(0)),
        "44 rows of the second instant's 300 follow, then its first"
    );
    assert_eq!(ready(&world), 510);
    while world.claim().is_some() {}
    assert_eq!(world.state.lease_events().count(), 600);
}

#[test]
fn a_claim_without_the_capabilities_still_promotes() {
    let mut world = World::new();
    let gpu = ExecutionPolicy::new().required_capabilities(tokens(&["gpu"]));
    world.create(args(1).policy(gpu).delay_until(world.at(5)));
    world.now += 5;
    assert_eq!(world.claim(), None);
    assert_eq!(world.state.execution(&id(1)).unwrap().place, Place { ready: true, ..Place::default() });
    assert_eq!(taken(world.claim_with(&["eu", "gpu"]).as_ref()), Some(id(1)));
}

#[test]
fn a_take_over_tells_expired_and_reclaimed() {
    let mut world = World::new();
    world.create(args(1));
    let first = world.claim().unwrap();
    world.now += TTL_MS - 1;
    assert_eq!(world.claim(), None);
    world.now += 1;
    let second = world.claim().unwrap();
    assert_eq!((first.kind(), second.kind()), (HandleKind::Fresh, HandleKind::Reclaimed));
    let log = world.lease_log();
    assert_eq!(
        log,
        [(LeaseEventKind::Acquired, 1, None), (LeaseEventKind::Expired, 1, None), (LeaseEventKind::Reclaimed, 2, None)]
    );
    let row = world.state.execution(&id(1)).unwrap();
    let attempts: Vec<_> = row.attempts.iter().map(|attempt| (attempt.attempt_type, attempt.phase)).collect();
    assert_eq!(
        attempts,
        [(AttemptType::Initial, AttemptPhase::InterruptedReclaimed), (AttemptType::Reclaim, AttemptPhase::Started)]
    );
    assert_eq!((row.record.lease_reclaim_count, row.record.total_attempt_count), (1, 2));
    let stale = world.apply(&Op::Complete { handle: first, payload: None });
    assert_eq!(stale.unwrap_err().code(), "State(StaleLease)");
}

#[test]
fn a_lease_that_lapses_at_the_cap_fails_the_execution() {
    let mut world = World::new();
    world.create(args(1).policy(ExecutionPolicy::new().max_reclaim_count(1)));
    for _ in 0..2 {
        assert!(world.claim().is_some());
        world.now += TTL_MS;
    }
    assert_eq!(public_state(&mut world, 1), PublicState::Active);
    assert_eq!(world.claim(), None);
    assert_eq!(public_state(&mut world, 1), PublicState::Failed);
    assert_eq!(world.lease_log().last(), Some(&(LeaseEventKind::Revoked, 2, Some(ReleaseReason::MaxReclaimsExceeded))));
    let outcomes: Vec<_> = world.state.completion_events().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [TerminalOutcome::Failed]);
    let row = world.state.execution(&id(1)).unwrap();
    assert_eq!(row.place, Place { ended_at: row.record.completed_at, ..Place::default() });
    assert_eq!(row.record.failure_category.as_deref(), Some("max_reclaims_exceeded"));
}

#[test]
fn a_deadline_ends_a_held_a_lapsed_and_a_waiting_row() {
    let mut world = World::new();
    for (n, deadline) in [(1, TTL_MS - 1), (2, TTL_MS), (3, TTL_MS)] {
        let due = world.at(deadline);
        world.create(args(n).execution_deadline_at(due));
    }
    assert_eq!(taken(world.claim().as_ref()), Some(id(1)));
    assert_eq!(taken(world.claim().as_ref()), Some(id(2)));
    world.now += TTL_MS;
    assert_eq!(public_state(&mut world, 3), PublicState::Expired);
    assert_eq!(world.state.completion_events().count(), 0, "reads write nothing");
    assert_eq!(world.claim(), None);
    assert_eq!(
        world.lease_log()[2..],
        [(LeaseEventKind::Released, 1, Some(ReleaseReason::ExecutionDeadline)), (LeaseEventKind::Expired, 1, None)]
    );
    assert_eq!(world.state.completion_events().count(), 3);
    let row = world.state.execution(&id(1)).unwrap();
    assert_eq!(row.record.completed_at, Some(world.at(-1)));
    assert_eq!(row.record.last_transition_at, world.at(0));
    assert_eq!(row.attempts[0].failure_category.as_deref(), Some("timeout"));
    assert_eq!(row.record.failure_category, None);
}

#[test]
fn order_is_priority_then_creation_then_id() {
    let mut world = World::new();
    world.create(args(9));
    world.create(args(8));
    world.now += 1;
    let gpu = ExecutionPolicy::new().required_capabilities(tokens(&["gpu"]));
    world.create(args(7).priority(5));
    world.create(args(6).priority(99_999).policy(gpu));
    world.create(args(5));
    let order: Vec<_> = std::iter::from_fn(|| taken(world.claim().as_ref())).collect();
    assert_eq!(order, [id(7), id(8), id(9), id(5)]);
    assert_eq!(taken(world.claim_with(&["gpu"]).as_ref()), Some(id(6)));
}

#[test]
fn a_repeated_failure_returns_the_first_answer_until_the_next_claim() {
    let mut world = World::new();
    let retry = RetryPolicy { max_retries: 1, backoff: Backoff::Fixed { delay_ms: 40 }, ..RetryPolicy::default() };
    world.create(args(1).policy(ExecutionPolicy::new().retry(retry)));
    let handle = world.claim().unwrap();
    let fail = Op::Fail { handle, reason: FailureReason::new("no"), classification: FailureClass::Timeout };
    let first = world.apply(&fail).unwrap();
    assert_eq!(first, Answer::Fail(FailOutcome::RetryScheduled { delay_until: world.at(40) }));
    world.now += 40;
    let before = world.state.dump();
    assert_eq!(world.apply(&fail).unwrap(), first);
    assert_eq!(world.state.dump(), before);
    assert!(world.claim().is_some());
    assert_eq!(world.apply(&fail).unwrap_err().code(), "State(StaleLease)");
}

#[test]
fn a_renewal_after_the_clock_went_back_takes_a_row_out_of_the_ready_index() {
    let mut world = World::new();
    world.create(args(1).policy(ExecutionPolicy::new().required_capabilities(tokens(&["gpu"]))));
    let handle = world.claim_with(&["gpu"]).unwrap();
    world.now += TTL_MS;
    assert_eq!(world.claim(), None);
    assert!(world.state.execution(&id(1)).unwrap().place.ready);
    world.now -= 1;
    world.apply(&Op::Renew { handle }).unwrap();
    let row = world.state.execution(&id(1)).unwrap();
    assert_eq!(row.place, Place { due_at: Some(world.at(TTL_MS)), ..Place::default() });
    assert_eq!(world.claim_with(&["gpu"]), None);
}

#[test]
fn a_refused_operation_leaves_the_state_as_it_was() {
    let mut world = World::new();
    world.create(args(1).idempotency_key("once"));
    let handle = world.claim().unwrap();
    world.now += TTL_MS;
    let before = world.state.clone();
    let refused = [
        (Op::Renew { handle: handle.clone() }, "State(LeaseExpired)"),
        (Op::Progress { handle: handle.clone(), percent: Some(101), message: None }, "Validation(InvalidInput)"),
        (Op::Cancel { handle: handle.clone(), reason: "x".repeat(4097) }, "Validation(InvalidInput)"),
        (Op::Complete { handle, payload: Some(Vec::new()) }, "State(LeaseExpired)"),
        (
            Op::DescribeExecution("{fp:1}:00000000-0000-4000-8000-000000000001".parse().unwrap()),
            "Validation(InvalidInput)",
        ),
    ];
    for (op, code) in refused {
        assert_eq!(world.apply(&op).unwrap_err().code(), code);
        assert_eq!(world.state, before);
    }
    world.create(args(2).idempotency_key("once"));
    assert_eq!(world.state, before, "a duplicate");
}

#[test]
fn pages_end_without_a_cursor() {
    let mut world = World::new();
    for n in 0..4 {
        world.create(args(n));
    }
    let mut page = |cursor, items| {
        let limit = PageLimit::new(items).unwrap();
        match world.apply(&Op::ListExecutions { cursor, limit }).unwrap() {
            Answer::ListExecutions(page) => page,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(page(None, 0).next_cursor, None);
    assert_eq!(page(None, 2).next_cursor, Some(id(1)));
    assert_eq!(page(Some(id(1)), 2).next_cursor, None);
    assert_eq!(page(Some(id(1)), 2).executions, [id(2), id(3)]);
    assert_eq!(page(Some(id(3)), 2).executions, []);
}

#[test]
fn an_operation_survives_its_serialisation() {
    let mut world = World::new();
    world.create(args(1));
    let handle = world.claim().unwrap();
    let ops = [
        Op::CreateExecution(Box::new(args(1).tag("a.b", "c").input_payload([0, 255]))),
        claim_op(&["gpu"]),
        Op::Complete { handle, payload: Some(vec![0, 255]) },
    ];
    for op in ops {
        let text = serde_json::to_string(&op).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), op);
    }
}

#[test]
fn equal_steps_lead_to_equal_states() {
    let run = || {
        let mut world = World::of(State::new(Limits::of_partitions(1)));
        (0..20).for_each(|n| world.create(args(n)));
        while world.claim().is_some() {}
        world.state
    };
    assert_eq!(run(), run());
    assert_eq!(run().dump(), run().dump());
}
