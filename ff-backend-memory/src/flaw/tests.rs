//! Planted faults of steps show, and a store without one behaves as a build without the feature.

use std::time::Duration;

use ff_core::{
    BackendTag, Backoff, CancelExecutionArgs, CapabilitySet, ChangePriorityArgs, ClaimExecutionArgs,
    ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimGrant, ClaimPolicy, Claims, ExecutionPolicy, Executions,
    FailureClass, FailureReason, Handle, LeaseId, Limits, PageLimit, ReplayExecutionArgs, RetentionConfig, RetryPolicy,
    RevokeLeaseArgs, ScanArgs, ScannerKind, TimeoutPolicy, TimestampMs, WorkerId, WorkerInstanceId,
};

use super::Flaw;
use crate::{
    Answer, Clock, MemoryConfig, Op, SeededMint, State,
    apply::world::{TTL_MS, World, args, id, lane, taken, tokens},
};

fn world(flaw: Option<Flaw>) -> World {
    World::of(State::new(Limits::of_partitions(1)).with_flaw(flaw))
}

/// The lane worked off by a worker with these tokens: which rows, in which order.
fn drain(world: &mut World, offered: &[&str]) -> String {
    let order: Vec<_> = std::iter::from_fn(|| taken(world.claim_with(offered).as_ref())).take(100).collect();
    format!("{order:?}\n")
}

fn fail(handle: Handle, classification: FailureClass) -> Op {
    Op::Fail { handle, reason: FailureReason::new("no"), classification }
}

fn retrying(world: &mut World, n: u32) {
    let backoff = Backoff::Fixed { delay_ms: 0 };
    let retry = RetryPolicy { max_retries: 2, backoff, ..RetryPolicy::default() };
    world.create(args(n).policy(ExecutionPolicy::new().retry(retry).max_reclaim_count(1)));
}

/// Creates, order, capabilities, pages.
fn queue(world: &mut World) -> String {
    world.create(args(3).idempotency_key("once").delay_until(world.at(-1)));
    world.create(args(2));
    let twice = [args(2), args(4).idempotency_key("once")];
    let mut log = format!("{:?}\n", twice.map(|args| world.apply(&Op::CreateExecution(Box::new(args)))));
    let gpu = ExecutionPolicy::new().required_capabilities(tokens(&["gpu"]));
    world.create(args(9).priority(1).policy(gpu));
    world.now += 1;
    world.create(args(7).priority(1));
    world.create(args(8).execution_deadline_at(world.at(0)));
    let list = Op::ListExecutions { cursor: Some(id(2)), limit: PageLimit::MAX };
    log += &format!("{:?}\n", world.apply(&list));
    log + &drain(world, &[])
}

/// The ends of attempts, their repeats, and what a progress call leaves.
fn ends(world: &mut World) -> String {
    for n in 1..4 {
        world.create(args(n));
    }
    let [first, second, third] = [(); 3].map(|()| world.claim().unwrap());
    let mut log = String::new();
    for (percent, message) in [(Some(5), Some("on".to_owned())), (Some(6), None)] {
        log += &format!("{:?}\n", world.apply(&Op::Progress { handle: first.clone(), percent, message }));
    }
    for op in [
        Op::Complete { handle: first, payload: None },
        Op::Complete { handle: second, payload: Some(Vec::new()) },
        Op::Cancel { handle: third.clone(), reason: "why".to_owned() },
    ] {
        log += &format!("{:?} {:?}\n", world.apply(&op), world.apply(&op));
    }
    world.now += 1;
    log + &format!("{:?}\n", world.apply(&Op::Renew { handle: third }))
}

/// Retries to the limit, and a failure that is never retried.
fn retries(world: &mut World) -> String {
    retrying(world, 1);
    let mut log = String::new();
    for _ in 0..4 {
        let Some(handle) = world.claim() else { break };
        log += &format!("{:?}\n", world.apply(&fail(handle, FailureClass::Transient)));
    }
    retrying(world, 2);
    let handle = world.claim().unwrap();
    log + &format!("{:?}\n", world.apply(&fail(handle, FailureClass::Permanent)))
}

/// Leases that lapse, at the instant and after it, and handles that are not theirs.
fn lapses(world: &mut World) -> String {
    for n in 0..60 {
        retrying(world, n);
    }
    let handles: Vec<Handle> = std::iter::from_fn(|| world.claim()).collect();
    let mut forged = handles[0].decode("memory").unwrap();
    forged.fence.lease_id = LeaseId::from_uuid(id(0).as_uuid());
    let forged = forged.seal(BackendTag::try_new("memory").unwrap(), handles[0].kind());
    let mut log = format!("{:?}\n", world.apply(&Op::Renew { handle: forged }));
    world.now += TTL_MS;
    log += &format!("{:?}\n", world.apply(&Op::Renew { handle: handles[0].clone() }));
    log += &drain(world, &[]);
    log += &format!("{:?}\n", world.apply(&Op::Renew { handle: handles[0].clone() }));
    world.now += TTL_MS + 1;
    log + &drain(world, &[])
}

/// Limits in time, and leases that are given back.
fn spans(world: &mut World) -> String {
    let timeouts = TimeoutPolicy { attempt_timeout_ms: Some(100), ..TimeoutPolicy::default() };
    let mut log = String::new();
    for (n, timeouts) in [
        (1, timeouts),
        (2, TimeoutPolicy { execution_deadline_ms: Some(500), ..TimeoutPolicy::default() }),
        (3, TimeoutPolicy { attempt_timeout_ms: Some(0), ..TimeoutPolicy::default() }),
        (4, TimeoutPolicy { attempt_timeout_ms: Some(5000), ..TimeoutPolicy::default() }),
    ] {
        let args = args(n).policy(ExecutionPolicy::new().timeouts(timeouts));
        log += &format!("{:?}\n", world.apply(&Op::CreateExecution(Box::new(args))));
    }
    log += &drain(world, &[]);
    world.now += 10_000;
    log += &drain(world, &[]);
    world.create(args(5));
    let handle = world.claim().unwrap();
    log += &format!("{:?}\n", world.apply(&Op::WaitChildren { handle }));
    log += &drain(world, &[]);
    world.now += 1;
    log + &drain(world, &[])
}

fn reserve(world: &mut World, offered: &[&str], life_ms: u64) -> (String, Option<ClaimGrant>) {
    let (worker, instance) = (WorkerId::try_new("w").unwrap(), WorkerInstanceId::try_new("w-1").unwrap());
    let wanted = ClaimForWorkerArgs::new(lane(), worker, instance, Duration::from_millis(life_ms));
    let answer = world.apply(&Op::ClaimForWorker(Box::new(wanted.worker_capabilities(tokens(offered)))));
    let grant = match &answer {
        Ok(Answer::ClaimForWorker(ClaimForWorkerOutcome::Granted(grant))) => Some(grant.clone()),
        _ => None,
    };
    (format!("{answer:?}\n"), grant)
}

fn redeeming(grant: ClaimGrant, worker: &str) -> Box<ClaimExecutionArgs> {
    let (worker, instance) = (WorkerId::try_new(worker).unwrap(), WorkerInstanceId::try_new("w-1").unwrap());
    Box::new(ClaimExecutionArgs::new(grant, worker, instance, Duration::from_secs(1)))
}

/// Reservations, of which some are redeemed, some lapse and some come too late.
fn reservations(world: &mut World) -> String {
    let mut log = reserve(world, &[], 90_000).0;
    world.create(args(1).policy(ExecutionPolicy::new().required_capabilities(tokens(&["gpu"]))));
    log += &reserve(world, &["gpu"], 100).0;
    let reserved = Op::ExplainUnclaimed { id: id(1), capabilities: tokens(&["gpu"]) };
    log += &format!("{:?}\n{}", world.apply(&reserved), drain(world, &["gpu"]));
    world.now += 100;
    log += &drain(world, &["gpu"]);
    world.now += TTL_MS;
    log += &reserve(world, &["gpu"], 100).0;
    world.create(args(2).execution_deadline_at(world.at(50_000)));
    let (answer, grant) = reserve(world, &[], 100);
    log += &answer;
    let Some(grant) = grant else { return log };
    for op in [
        Op::ClaimExecution(redeeming(grant.clone(), "other")),
        Op::ClaimResumedExecution(redeeming(grant.clone(), "w")),
        Op::ClaimExecution(redeeming(grant.clone(), "w")),
        Op::ClaimExecution(redeeming(grant.clone(), "w")),
    ] {
        log += &format!("{:?}\n", world.apply(&op));
    }
    world.now += 50_000;
    log + &format!("{:?}\n", world.apply(&Op::ClaimExecution(redeeming(grant, "w"))))
}

/// Batches with an item that is refused, a bounded one, and a hand-over by a holder that was refused.
fn batches(world: &mut World) -> String {
    let mut log = format!("{:?}\n", world.apply(&Op::CreateExecutions([1, 2, 3].map(args).to_vec())));
    let handle = world.claim().unwrap();
    let damaged = Handle::from_parts(handle.backend().clone(), handle.kind(), Vec::new());
    log += &format!("{:?}\n", world.apply(&Op::RenewMany(vec![damaged, handle.clone()])));
    let (capabilities, policy) = (CapabilitySet::default(), policy());
    let limit = PageLimit::new(1).unwrap();
    let claims = Op::ClaimMany { lane: lane(), capabilities: capabilities.clone(), policy: policy.clone(), limit };
    log += &format!("{:?}\n", world.apply(&claims));
    world.apply(&Op::Cancel { handle: handle.clone(), reason: String::new() }).unwrap();
    log + &format!("{:?}\n", world.apply(&Op::CompleteAndClaim { handle, payload: None, capabilities, policy }))
}

fn policy() -> ClaimPolicy {
    let instance = WorkerInstanceId::try_new("w-1").unwrap();
    ClaimPolicy::new(WorkerId::try_new("w").unwrap(), instance, Duration::from_secs(1))
}

/// Passes over lapses, and what the retention leaves.
fn scans(world: &mut World) -> String {
    for n in 1..4 {
        world.create(args(n).idempotency_key(format!("key-{n}")));
    }
    let mut log = String::new();
    let done = world.claim().unwrap();
    let late = CancelExecutionArgs::new(done.decode("memory").unwrap().execution_id, "late");
    log += &format!("{:?}\n", world.apply(&Op::Complete { handle: done, payload: None }));
    log += &format!("{:?}\n", world.apply(&Op::CancelExecution(late)));
    world.claim().unwrap();
    world.claim().unwrap();
    world.now += TTL_MS;
    let retention = RetentionConfig { executions: Duration::ZERO, ..RetentionConfig::default() };
    let mut args = ScanArgs::new(ScannerKind::AttemptTimeout).limit(PageLimit::new(1).unwrap());
    for _ in 0..3 {
        let answer = world.apply(&Op::Scan { args: args.clone(), retention });
        log += &format!("{answer:?}\n");
        if let Ok(Answer::Scan(report)) = answer {
            args = args.cursor(report.next_cursor);
        }
    }
    for scanner in [ScannerKind::LeaseExpiry, ScannerKind::Retention] {
        log += &format!("{:?}\n", world.apply(&Op::Scan { args: ScanArgs::new(scanner), retention }));
    }
    log + &drain(world, &[])
}

/// What operators do: a priority, a revocation, a replay after used-up retries.
fn operators(world: &mut World) -> String {
    for n in 1..4 {
        retrying(world, n);
    }
    let mut log = format!("{:?}\n", world.apply(&Op::ChangePriority(ChangePriorityArgs::new(id(3), 9))));
    let handle = world.claim().unwrap();
    let revoked = handle.decode("memory").unwrap().execution_id;
    log += &format!("{:?}\n", world.apply(&Op::RevokeLease(RevokeLeaseArgs::new(revoked, "why"))));
    log += &format!("{:?}\n", world.apply(&Op::Renew { handle }));
    for _ in 0..4 {
        let Some(handle) = world.claim() else { break };
        log += &format!("{:?}\n", world.apply(&fail(handle, FailureClass::Transient)));
    }
    for n in 1..4 {
        log += &format!("{:?}\n", world.apply(&Op::ReplayExecution(ReplayExecutionArgs::new(id(n)))));
    }
    log
}

fn tape(flaw: Option<Flaw>) -> String {
    [queue, ends, retries, lapses, spans, reservations, batches, scans, operators]
        .map(|part| {
            let mut world = world(flaw);
            part(&mut world) + &world.state.dump()
        })
        .concat()
}

#[test]
fn every_flaw_but_the_races_changes_the_tape() {
    let right = tape(None);
    // The suite alone shows these: they need clients and reads or suspended work, or make the lane of the tape endless.
    let beyond = [Flaw::Ex1..=Flaw::Ba9, Flaw::Wp01..=Flaw::Wp27];
    let races = [Flaw::M03, Flaw::M19, Flaw::Wp28, Flaw::Wp29];
    let shown = |flaw: &&Flaw| !races.contains(flaw) && !beyond.iter().any(|range| range.contains(*flaw));
    for flaw in Flaw::ALL.iter().filter(shown) {
        assert!(tape(Some(*flaw)) != right, "{flaw} does not show");
    }
    for flaw in races {
        assert_eq!(tape(Some(flaw)), right, "{flaw} needs clients that meet");
    }
}

#[tokio::test]
async fn two_claimers_get_one_row_only_with_the_race() {
    for flaw in [None, Some(Flaw::M03)] {
        let clock = Clock::manual(TimestampMs::from_ms(1));
        let config = MemoryConfig::new().clock(clock.clock()).mint(SeededMint::new(1));
        let backend = flaw.map_or(config, |flaw| MemoryConfig::new().clock(clock.clock()).flaw(flaw)).open();
        backend.create_execution(args(1)).await.unwrap();
        let (policy, lane, none) = (policy(), lane(), CapabilitySet::default());
        let (one, two) = tokio::join!(backend.claim(&lane, &none, policy.clone()), backend.claim(&lane, &none, policy));
        let got = [one, two].into_iter().filter(|answer| matches!(answer, Ok(Some(_)))).count();
        assert_eq!(got, if flaw.is_some() { 2 } else { 1 });
    }
}
