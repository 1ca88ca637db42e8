//! Every predicate finds the fault that is planted for it, and nothing in a store without one.

use std::{collections::BTreeMap, sync::Arc};

use ff_core::{
    AttemptId, AttemptIndex, AttemptPhase, AttemptState, AttemptSummary, AttemptType, EligibilityState, LeaseEpoch,
    LeaseEventKind, LeaseId, LeaseStatus, LeaseSummary, Namespace, OwnershipState, ReleaseReason, StateVector,
    TerminalOutcome, WorkerInstanceId,
};

use super::*;
use crate::{Client, HarnessError, Recorder, Store};

struct NoStore;

#[crate::async_trait]
impl Store for NoStore {
    async fn connect(&self, _: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        Err(HarnessError::new("no store"))
    }
}

fn at(ms: i64) -> TimestampMs {
    TimestampMs::from_ms(ms)
}

fn event(id: ExecutionId, lease: LeaseId, epoch: u32, kind: LeaseEventKind, ms: i64) -> LeaseHistoryEvent {
    LeaseHistoryEvent {
        execution_id: id,
        namespace: Namespace::try_new("n").unwrap(),
        kind,
        lease_id: lease,
        lease_epoch: LeaseEpoch(u64::from(epoch)),
        attempt_index: AttemptIndex(epoch - 1),
        worker_instance_id: WorkerInstanceId::try_new("w-1").unwrap(),
        reason: None,
        at: at(ms),
    }
}

fn attempt(id: ExecutionId, index: u32, phase: AttemptPhase, times: (i64, Option<i64>)) -> AttemptFacts {
    AttemptFacts {
        execution_id: id,
        attempt_index: AttemptIndex(index),
        attempt_id: AttemptId::new(),
        attempt_type: if index == 0 { AttemptType::Initial } else { AttemptType::Reclaim },
        phase,
        lease_epoch: LeaseEpoch(u64::from(index) + 1),
        started_at: at(times.0),
        resumed_at: None,
        ended_at: times.1.map(at),
        failure_reason: None,
        failure_category: None,
    }
}

fn info(id: ExecutionId, state: StateVector, attempts: &[AttemptFacts]) -> ExecutionInfo {
    ExecutionInfo {
        execution_id: id,
        namespace: Namespace::try_new("n").unwrap(),
        lane_id: LaneId::try_new("lane").unwrap(),
        priority: 0,
        execution_kind: "work".to_owned(),
        creator_identity: None,
        input_payload: Vec::new(),
        payload_encoding: None,
        state,
        public_state: state.public_state(),
        delay_until: None,
        execution_deadline_at: Some(at(1000)),
        created_at: at(0),
        started_at: Some(at(10)),
        completed_at: None,
        last_transition_at: at(50),
        last_mutation_at: at(50),
        current_attempt: attempts
            .last()
            .map(|attempt| AttemptSummary { attempt_id: attempt.attempt_id, attempt_index: attempt.attempt_index }),
        current_lease_epoch: LeaseEpoch(u64::try_from(attempts.len()).unwrap()),
        total_attempt_count: u32::try_from(attempts.len()).unwrap(),
        retry_count: 0,
        lease_reclaim_count: u32::try_from(attempts.len()).unwrap() - 1,
        replay_count: 0,
        failure_reason: None,
        failure_category: None,
        cancellation_reason: None,
        cancelled_by: None,
        progress: None,
    }
}

fn reads(info: ExecutionInfo, current_lease: Option<LeaseSummary>) -> Reads {
    let snapshot = ExecutionSnapshot {
        execution_id: info.execution_id,
        lane_id: info.lane_id.clone(),
        namespace: info.namespace.clone(),
        public_state: info.public_state,
        blocking_reason: None,
        current_attempt: info.current_attempt,
        lease_status: if current_lease.is_some() { LeaseStatus::Live } else { LeaseStatus::None },
        current_lease,
        current_waitpoint: None,
        created_at: info.created_at,
        last_mutation_at: info.last_mutation_at,
        total_attempt_count: info.total_attempt_count,
        tags: BTreeMap::new(),
    };
    Reads { state: info.public_state, result: None, waitpoints: None, snapshot, info }
}

/// One execution that was taken over and completed, and one under a live lease.
fn sound() -> World {
    let [done, live] = {
        let lane = LaneId::try_new("lane").unwrap();
        let mut ids = [0, 1].map(|_| ExecutionId::solo(&lane, ff_core::PartitionConfig::default()));
        ids.sort();
        ids
    };
    let (first, second, third) = (LeaseId::new(), LeaseId::new(), LeaseId::new());
    let mut released = event(done, second, 2, LeaseEventKind::Released, 50);
    released.reason = Some(ReleaseReason::Completed);
    let history = vec![
        event(done, first, 1, LeaseEventKind::Acquired, 10),
        event(live, third, 1, LeaseEventKind::Acquired, 50),
        event(done, first, 1, LeaseEventKind::Expired, 40),
        event(done, second, 2, LeaseEventKind::Reclaimed, 40),
        released,
    ];
    let done_attempts = [
        attempt(done, 0, AttemptPhase::InterruptedReclaimed, (10, Some(40))),
        attempt(done, 1, AttemptPhase::EndedSuccess, (40, Some(50))),
    ];
    let live_attempts = [attempt(live, 0, AttemptPhase::Started, (50, None))];
    let mut ended =
        info(done, StateVector::terminal(TerminalOutcome::Success, AttemptState::AttemptTerminal), &done_attempts);
    ended.completed_at = Some(at(50));
    let mut held = info(live, StateVector::leased(), &live_attempts);
    held.started_at = Some(at(50));
    let lease = LeaseSummary {
        lease_id: third,
        lease_epoch: LeaseEpoch(1),
        attempt_index: AttemptIndex(0),
        worker_instance_id: WorkerInstanceId::try_new("w-1").unwrap(),
        acquired_at: at(50),
        expires_at: at(90),
        last_renewed_at: None,
    };
    let completion = CompletionEvent {
        execution_id: done,
        namespace: ended.namespace.clone(),
        outcome: TerminalOutcome::Success,
        at: at(50),
    };
    let mut world = World {
        ids: Some(vec![done, live]),
        lanes: Some(vec![LaneId::try_new("lane").unwrap()]),
        reads: vec![reads(ended, None), reads(held, Some(lease))],
        now: Some(at(60)),
        ..World::default()
    };
    world.take(Some(Dump {
        lease_history: history,
        completions: vec![completion],
        operator_events: Vec::new(),
        signal_deliveries: Vec::new(),
        attempts: [&done_attempts[..], &live_attempts[..]].concat(),
        lines: Vec::new(),
    }));
    world
}

/// The requirement that a world with this fault breaks.
fn broken_by(plant: impl FnOnce(&mut World, &mut Dump)) -> String {
    let mut world = sound();
    let mut dump = world.dump.take().unwrap();
    world.histories.clear();
    plant(&mut world, &mut dump);
    world.take(Some(dump));
    let cx = Cx::new(Box::new(NoStore), Recorder::new());
    match world.check(&cx) {
        Ok(()) => "nothing".to_owned(),
        Err(Stop::Failed(failure)) => failure.requirement,
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn a_sound_store_breaks_nothing() {
    assert_eq!(broken_by(|_, _| ()), "nothing");
}

#[test]
fn a_store_without_a_dump_is_judged_by_its_reads() {
    let mut world = sound();
    world.dump = None;
    world.histories.clear();
    let cx = Cx::new(Box::new(NoStore), Recorder::new());
    assert_eq!(world.check(&cx), Ok(()));
    world.reads[0].info.completed_at = None;
    assert!(matches!(world.check(&cx), Err(Stop::Failed(failure)) if failure.requirement == "FF-EXE-024"));
}

#[test]
fn faults_of_reads_are_found() {
    let done = |plant: fn(&mut Reads)| broken_by(move |world, _| plant(&mut world.reads[0]));
    let live = |plant: fn(&mut Reads)| broken_by(move |world, _| plant(&mut world.reads[1]));
    assert_eq!(done(|r| r.info.state.terminal_outcome = TerminalOutcome::None), "FF-EXE-003");
    assert_eq!(done(|r| r.state = PublicState::Active), "FF-EXE-004");
    assert_eq!(done(|r| r.snapshot.total_attempt_count = 3), "FF-EXE-004");
    assert_eq!(done(|r| r.snapshot.last_mutation_at = at(51)), "FF-EXE-004");
    assert_eq!(done(|r| r.info.completed_at = Some(at(49))), "FF-EXE-005");
    assert_eq!(done(|r| r.info.started_at = Some(at(-1))), "FF-EXE-006");
    assert_eq!(done(|r| r.info.execution_deadline_at = Some(at(50))), "FF-EXE-008");
    assert_eq!(live(|r| r.info.execution_deadline_at = Some(at(60))), "FF-EXE-008");
    assert_eq!(done(|r| r.info.retry_count = 1), "FF-EXE-011");
    assert_eq!(done(|r| r.info.lease_reclaim_count = 0), "FF-EXE-011");
    assert_eq!(done(|r| r.info.delay_until = Some(at(70))), "FF-EXE-014");
    assert_eq!(live(|r| r.result = Some(Vec::new())), "FF-EXE-023");
    assert_eq!(live(|r| r.info.started_at = Some(at(11))), "FF-EXE-024");
    assert_eq!(live(|r| r.info.last_transition_at = at(51)), "FF-EXE-025");
    assert_eq!(live(|r| r.info.cancelled_by = Some("worker".to_owned())), "FF-EXE-037");
    assert_eq!(live(|r| r.snapshot.lease_status = LeaseStatus::Expired), "FF-EXE-040");
    assert_eq!(live(|r| r.info.current_lease_epoch = LeaseEpoch(2)), "FF-EXE-040");
    assert_eq!(broken_by(|world, _| world.now = Some(at(90))), "FF-LSE-005");
    assert_eq!(broken_by(|world, _| world.lanes = Some(Vec::new())), "FF-EXE-022");
    assert_eq!(live(|r| r.info.state.eligibility_state = EligibilityState::EligibleNow), "FF-EXE-003");
    assert_eq!(live(|r| r.info.state.ownership_state = OwnershipState::LeaseRevoked), "FF-EXE-003");
}

#[test]
fn faults_of_attempts_are_found() {
    let planted = |plant: fn(&mut Vec<AttemptFacts>)| broken_by(move |_, dump| plant(&mut dump.attempts));
    assert_eq!(planted(|a| a[1].attempt_index = AttemptIndex(2)), "FF-EXE-001");
    assert_eq!(planted(|a| a[1].attempt_id = a[0].attempt_id), "FF-EXE-001");
    assert_eq!(planted(|a| a[2].attempt_id = a[0].attempt_id), "FF-EXE-040");
    assert_eq!(planted(|a| a[1].attempt_type = AttemptType::Retry), "FF-EXE-001");
    assert_eq!(planted(|a| a[1].lease_epoch = LeaseEpoch(1)), "FF-EXE-001");
    assert_eq!(planted(|a| drop(a.remove(2))), "FF-EXE-001");
    assert_eq!(planted(|a| a[0].phase = AttemptPhase::Started), "FF-EXE-002");
    assert_eq!(planted(|a| a[1].ended_at = None), "FF-EXE-002");
    assert_eq!(planted(|a| a[1].phase = AttemptPhase::EndedCancelled), "FF-EXE-002");
    assert_eq!(planted(|a| (a[2].phase, a[2].ended_at) = (AttemptPhase::EndedSuccess, Some(at(55)))), "FF-EXE-002");
    assert_eq!(planted(|a| a[0].ended_at = Some(at(9))), "FF-EXE-024");
    assert_eq!(planted(|a| a[1].failure_category = Some("timeout".to_owned())), "FF-EXE-036");
}

#[test]
fn faults_of_leases_are_found() {
    let planted = |plant: fn(&mut Vec<LeaseHistoryEvent>)| broken_by(move |_, dump| plant(&mut dump.lease_history));
    assert_eq!(planted(|l| drop(l.remove(2))), "FF-LSE-001");
    assert_eq!(planted(|l| drop(l.remove(4))), "FF-LSE-001");
    assert_eq!(planted(|l| l.push(l[4].clone())), "FF-LSE-003");
    assert_eq!(planted(|l| l[4].lease_id = l[0].lease_id), "FF-LSE-003");
    assert_eq!(planted(|l| (l[3].lease_id, l[4].lease_id) = (l[0].lease_id, l[0].lease_id)), "FF-LSE-002");
    assert_eq!(planted(|l| l[1].lease_id = LeaseId::new()), "FF-LSE-003");
    assert_eq!(planted(|l| l[4].reason = None), "FF-LSE-011");
    assert_eq!(planted(|l| l[4].reason = Some(ReleaseReason::Cancelled)), "FF-LSE-007");
    assert_eq!(planted(|l| l[2].at = at(9)), "FF-LSE-011");
    let untold = |world: &mut World, dump: &mut Dump| {
        world.reads[0].info.lease_reclaim_count = 0;
        dump.lease_history[3].kind = LeaseEventKind::Acquired;
    };
    assert_eq!(broken_by(untold), "FF-LSE-015");
    assert_eq!(planted(|l| l[0].namespace = Namespace::try_new("other").unwrap()), "FF-LSE-011");
    let alike = |world: &mut World, dump: &mut Dump| {
        (dump.lease_history[3].lease_epoch, dump.lease_history[4].lease_epoch) = (LeaseEpoch(3), LeaseEpoch(3));
        dump.attempts[1].lease_epoch = LeaseEpoch(3);
        world.reads[0].info.current_lease_epoch = LeaseEpoch(3);
    };
    assert_eq!(broken_by(alike), "FF-LSE-002");
}

#[test]
fn faults_of_events_are_found() {
    let planted = |plant: fn(&mut Vec<CompletionEvent>)| broken_by(move |_, dump| plant(&mut dump.completions));
    assert_eq!(planted(|c| c.clear()), "FF-SUB-001");
    assert_eq!(planted(|c| c.push(c[0].clone())), "FF-SUB-001");
    assert_eq!(planted(|c| c[0].outcome = TerminalOutcome::Failed), "FF-SUB-001");
    assert_eq!(planted(|c| c[0].at = at(51)), "FF-SUB-001");
    let stranger = |_: &mut World, dump: &mut Dump| {
        let mut event = dump.lease_history[0].clone();
        event.execution_id = ExecutionId::from_parts(0, LeaseId::new().as_uuid());
        event.lease_id = LeaseId::new();
        dump.lease_history.push(event);
    };
    assert_eq!(broken_by(stranger), "FF-LSE-011");
}

#[test]
fn a_step_back_loosens_the_order_of_instants_by_as_much() {
    let planted = |slack: u64| {
        broken_by(move |world, dump| {
            world.slack = Duration::from_millis(slack);
            world.reads[1].info.created_at = at(55);
            world.reads[1].snapshot.created_at = at(55);
            dump.lines.clear();
        })
    };
    assert_eq!(planted(4), "FF-EXE-006");
    assert_eq!(planted(5), "nothing");
}

#[test]
fn a_difference_between_dumps_is_named() {
    let before = Dump { lines: vec!["a".to_owned(), "b".to_owned()], ..Dump::default() };
    assert_eq!(difference(&before, &before.clone()), None);
    let more = Dump { lines: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], ..Dump::default() };
    assert_eq!(difference(&before, &more).as_deref(), Some("new: c"));
    assert!(difference(&more, &before).is_some());
}
