//! Cases of cost: what a caller waits for is one request and one reply.

use std::{slice, sync::Arc};

use ff_core::{
    CapabilitySet, ClaimExecutionArgs, EngineBackend, EngineError, ExecutionId, ExecutionPolicy, Operation, PageLimit,
    ScanArgs, ScannerKind,
};
use futures::future::try_join_all;

use crate::{
    Claimed, Cx, Expect, Proxy, Stop, TTL, Verdict,
    calls::{
        Call, cancel, claim_execution, claim_for_worker, claim_from_reclaim, claim_resumed_execution, complete,
        complete_many, create, create_many, delay, describe, explain_unclaimed, fail, list_executions, list_lanes,
        ping, progress, read_info, read_state, renew, renew_many, result, wait_children,
    },
    check,
    crowds::{claims_at_once, created_many},
    equals,
    forgeries::foreign,
    hand_overs::hand_over,
    reservations::{GRANT_TTL, granted, redeems, wants},
    routes::{Route, waiting},
    satisfies,
};

/// A client behind a counting proxy.
pub(crate) struct Counted {
    pub(crate) client: Arc<dyn EngineBackend>,
    proxy: Proxy,
}

/// Calls of each operation: one that makes the connection and prepares the statement, then those that are counted.
pub(crate) const CALLS: usize = 3;

impl Counted {
    /// Round trips of `call` on each of the subjects but the first; they are noted for the report.
    pub(crate) async fn turns<S, T>(
        &self,
        cx: &Cx,
        operation: Operation,
        subjects: Vec<S>,
        call: Call<S, T>,
    ) -> Result<Vec<u64>, Stop> {
        let turns = self.cost(subjects, call).await?;
        cx.measure(format!("round_trips.{operation}"), turns.iter().copied().max().unwrap_or_default());
        Ok(turns)
    }

    /// Round trips of `call` on each of the subjects but the first, whose call has to prepare its statement.
    pub(crate) async fn cost<S, T>(&self, subjects: Vec<S>, call: Call<S, T>) -> Result<Vec<u64>, Stop> {
        let mut turns = Vec::new();
        for subject in subjects {
            self.proxy.reset();
            call(Arc::clone(&self.client), subject).await?;
            turns.push(self.proxy.turns());
        }
        Ok(turns.into_iter().skip(1).collect())
    }

    /// Round trips of one pass, and the rows that it changed.
    pub(crate) async fn turns_of_scan(&self, scanner: ScannerKind) -> Result<(u64, u32), Stop> {
        self.proxy.reset();
        let report = self.client.scan(ScanArgs::new(scanner)).await?;
        Ok((self.proxy.turns(), report.changed))
    }

    /// As many executions under live leases as there are calls.
    pub(crate) async fn held(&self, cx: &Cx, policy: ExecutionPolicy) -> Result<Vec<Claimed>, Stop> {
        let mut held = Vec::new();
        for _ in 0..CALLS {
            cx.created(&self.client, cx.execution()?.policy(policy.clone())).await?;
            held.push(cx.claimed(&self.client, "worker").await?);
        }
        Ok(held)
    }
}

pub(crate) async fn counted(cx: &Cx) -> Result<Counted, Stop> {
    let (client, proxy) = cx.proxied("counted").await?;
    Ok(Counted { client, proxy })
}

/// Round trips of a holder's `call`.
pub(crate) async fn of_holder<T>(
    cx: &Cx,
    operation: Operation,
    policy: ExecutionPolicy,
    call: Call<Claimed, T>,
) -> Result<Vec<u64>, Stop> {
    let counted = counted(cx).await?;
    let held = counted.held(cx, policy).await?;
    counted.turns(cx, operation, held, call).await
}

/// Round trips of a reader's `call` on an execution that completed with a result.
pub(crate) async fn of_reader<T>(cx: &Cx, operation: Operation, call: Call<ExecutionId, T>) -> Result<Vec<u64>, Stop> {
    let counted = counted(cx).await?;
    let id = cx.created_plain(&counted.client).await?;
    let held = cx.claimed(&counted.client, "worker").await?;
    counted.client.complete(&held.handle, Some(b"done".to_vec())).await?;
    counted.turns(cx, operation, vec![id; CALLS], call).await
}

/// Every counted call cost one round trip.
pub(crate) fn one_each() -> impl Expect<Vec<u64>> {
    equals(vec![1; CALLS - 1])
}

/// A warm create is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn create_execution_costs_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let mut plans = Vec::new();
    for number in 0..CALLS {
        plans.push(cx.execution()?.idempotency_key(format!("order-{number}")).tag("order.kind", "book"));
    }
    let turns = counted.turns(cx, Operation::CreateExecution, plans, create).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A claim in `lane` for which there is work exactly if `work`, and its round trips.
async fn claimed(cx: &Cx, counted: &Counted, lane: &str, work: bool) -> Result<(bool, u64), Stop> {
    let (lane, nobody, worker) = (cx.lane_called(lane)?, CapabilitySet::default(), cx.worker("worker", TTL)?);
    counted.proxy.reset();
    let claimed = counted.client.claim(&lane, &nobody, worker).await?;
    Ok((claimed.is_some() == work, counted.proxy.turns()))
}

/// Claims that take waiting work, find none, and take over lapsed work.
async fn claims(cx: &Cx, counted: &Counted, lane: &str) -> Result<Vec<(bool, u64)>, Stop> {
    for _ in 0..2 {
        cx.created(&counted.client, cx.execution_in(lane)?).await?;
    }
    let mut turns = Vec::new();
    for (passed, work) in [(false, true), (false, true), (false, false), (true, true), (false, true)] {
        if passed {
            cx.pass_time(TTL).await?;
        }
        turns.push(claimed(cx, counted, lane, work).await?);
    }
    Ok(turns)
}

/// A warm claim is one request and one reply, whether it takes waiting work or finds none; one that comes upon work
/// that has fallen due may settle that first, and the next one finds it settled.
///
/// Covers FF-CON-004. Needs address, clock.
pub async fn claim_costs_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    claims(cx, &counted, "warm").await?;
    let mut turns = claims(cx, &counted, "lane").await?;
    let due = turns.remove(3);
    cx.measure("round_trips.claim", turns.iter().map(|(_, turns)| *turns).max().unwrap_or_default());
    cx.measure("round_trips.claim_of_due_work", due.1);
    check!(cx, "FF-CON-004", turns, equals(vec![(true, 1); 4]));
    let bounded = |(fits, turns): &(bool, u64)| *fits && (1..=3).contains(turns);
    check!(cx, "FF-CON-004", due, satisfies("takes the work with at most three round trips", bounded));
    Ok(())
}

/// A warm renewal is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn renew_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::Renew, ExecutionPolicy::new(), renew).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm progress is one request and one reply.
///
/// Covers FF-CON-004. Needs address, progress.
pub async fn progress_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::Progress, ExecutionPolicy::new(), progress).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm complete is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn complete_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::Complete, ExecutionPolicy::new(), complete).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm fail is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn fail_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::Fail, ExecutionPolicy::new(), fail).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm cancel is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn cancel_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::Cancel, ExecutionPolicy::new(), cancel).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm delay is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn delay_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::Delay, ExecutionPolicy::new(), delay).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// Items of each batch that is counted.
const ITEMS: usize = 10;

/// As many batches of leases as there are calls.
async fn held_batches(cx: &Cx, counted: &Counted) -> Result<Vec<Vec<Claimed>>, Stop> {
    let mut batches = Vec::new();
    for _ in 0..CALLS {
        let mut batch = Vec::new();
        for _ in 0..ITEMS {
            cx.created_plain(&counted.client).await?;
            batch.push(cx.claimed(&counted.client, "worker").await?);
        }
        batches.push(batch);
    }
    Ok(batches)
}

/// A warm batch of creates is one request and one reply, also with an id and a key that occur twice.
///
/// Covers FF-CON-004. Needs address.
pub async fn create_executions_costs_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let mut batches = Vec::new();
    for number in 0..CALLS {
        let mut batch = Vec::new();
        for item in 0..ITEMS {
            batch.push(cx.execution()?.idempotency_key(format!("{number}-{}", item / 2)));
        }
        batch.extend(batch.first().cloned());
        batches.push(batch);
    }
    let turns = counted.turns(cx, Operation::CreateExecutions, batches, create_many).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm wait for nothing is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn wait_children_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_holder(cx, Operation::WaitChildren, ExecutionPolicy::new(), wait_children).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm reservation is one request and one reply.
///
/// Covers FF-CON-004. Needs address, grants.
pub async fn claim_for_worker_costs_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let mut wanted = Vec::new();
    for _ in 0..CALLS {
        cx.created_plain(&counted.client).await?;
        wanted.push(wants(cx, "worker", GRANT_TTL)?);
    }
    let turns = counted.turns(cx, Operation::ClaimForWorker, wanted, claim_for_worker).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm batch of completions is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn complete_many_costs_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let batches = held_batches(cx, &counted).await?;
    let turns = counted.turns(cx, Operation::CompleteMany, batches, complete_many).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// Calls that one client makes at the same time.
const AT_ONCE: usize = 16;

/// Round trips of claims at the same time, of hand-overs of what they got, and of the completions after these.
async fn at_once(cx: &Cx, counted: &Counted) -> Result<Vec<u64>, Stop> {
    let (client, worker) = (&counted.client, cx.worker("worker", TTL)?);
    created_many(cx, client, 2 * AT_ONCE, |_, args| args).await?;
    counted.proxy.reset();
    let claimed = claims_at_once(cx, slice::from_ref(client), AT_ONCE).await?;
    let mut turns = vec![counted.proxy.turns()];
    counted.proxy.reset();
    let next = try_join_all(claimed.iter().map(|held| hand_over(client, &held.handle, worker.clone()))).await?;
    turns.push(counted.proxy.turns());
    counted.proxy.reset();
    try_join_all(next.iter().flatten().map(|handle| client.complete(handle, None))).await?;
    turns.push(counted.proxy.turns());
    Ok(turns)
}

/// Calls of one client at the same time cost no more round trips than the same calls one after the other.
///
/// Covers FF-CON-004. Needs address.
pub async fn calls_at_once_cost_no_more_than_one_by_one(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    at_once(cx, &counted).await?;
    let turns = at_once(cx, &counted).await?;
    let most = u64::try_from(AT_ONCE).unwrap_or(u64::MAX);
    let no_more =
        satisfies("is at most one for each call", move |turns: &Vec<u64>| turns.iter().all(|one| *one <= most));
    check!(cx, "FF-CON-004", turns, no_more);
    Ok(())
}

/// Round trips of a `call` that redeems a grant of an interrupted attempt.
async fn of_redeeming<T>(cx: &Cx, operation: Operation, call: Call<ClaimExecutionArgs, T>) -> Result<Vec<u64>, Stop> {
    let counted = counted(cx).await?;
    let mut redeeming = Vec::new();
    for _ in 0..CALLS {
        waiting(cx, &counted.client, Route::WaitedForNothing).await?;
        redeeming.push(redeems(cx, &granted(cx, &counted.client, "worker").await?, "worker")?);
    }
    counted.turns(cx, operation, redeeming, call).await
}

/// Redeeming a grant is one request and one reply once it is warm.
///
/// Covers FF-CON-004. Needs address, grants.
pub async fn claim_execution_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_redeeming(cx, Operation::ClaimExecution, claim_execution).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// Redeeming a grant if its work can still be taken is one request and one reply once it is warm.
///
/// Covers FF-CON-004. Needs address, grants.
pub async fn claim_from_reclaim_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_redeeming(cx, Operation::ClaimFromReclaim, claim_from_reclaim).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// Redeeming the grant of an interrupted attempt is one request and one reply once it is warm.
///
/// Covers FF-CON-004. Needs address, grants.
pub async fn claim_resumed_execution_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_redeeming(cx, Operation::ClaimResumedExecution, claim_resumed_execution).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// Asking why work waits is one request and one reply once it is warm.
///
/// Covers FF-CON-004. Needs address, explanations.
pub async fn explain_unclaimed_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::ExplainUnclaimed, explain_unclaimed).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm batch of renewals is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn renew_many_costs_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let batches = held_batches(cx, &counted).await?;
    let turns = counted.turns(cx, Operation::RenewMany, batches, renew_many).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm batch of claims is one request and one reply, and so is a warm hand-over to new work.
///
/// Covers FF-CON-004. Needs address.
pub async fn claim_many_and_complete_and_claim_cost_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let (client, lane, none) = (&counted.client, cx.lane()?, CapabilitySet::default());
    let (mut batches, mut hand_overs) = (Vec::new(), Vec::new());
    for _ in 0..CALLS * ITEMS {
        cx.created_plain(client).await?;
    }
    for _ in 0..CALLS {
        let limit = PageLimit::new(u32::try_from(ITEMS).unwrap_or_default())?;
        counted.proxy.reset();
        let taken = client.claim_many(&lane, &none, cx.worker("worker", TTL)?, limit).await?.len();
        batches.push((taken, counted.proxy.turns()));
    }
    for _ in 0..=CALLS {
        cx.created_plain(client).await?;
    }
    let mut held = cx.claimed(client, "worker").await?.handle;
    for _ in 0..CALLS {
        counted.proxy.reset();
        let next = client.complete_and_claim(&held, None, &none, cx.worker("worker", TTL)?).await?;
        hand_overs.push((next.is_some(), counted.proxy.turns()));
        held = next.unwrap_or(held);
    }
    // The first of each prepares its statement.
    let (batches, hand_overs) = (batches.split_off(1), hand_overs.split_off(1));
    let most = |turns: Option<u64>| turns.unwrap_or_default();
    cx.measure("round_trips.claim_many", most(batches.iter().map(|(_, turns)| *turns).max()));
    cx.measure("round_trips.complete_and_claim", most(hand_overs.iter().map(|(_, turns)| *turns).max()));
    check!(cx, "FF-CON-004", batches, equals(vec![(ITEMS, 1); CALLS - 1]));
    check!(cx, "FF-CON-004", hand_overs, equals(vec![(true, 1); CALLS - 1]));
    Ok(())
}

/// A batch of nothing, or of what is refused before it is looked up, costs no round trip.
///
/// Covers FF-CON-004, FF-EXE-081. Needs address.
pub async fn a_batch_without_anything_to_do_costs_no_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let held = counted.held(cx, ExecutionPolicy::new()).await?;
    let mut nameless = cx.execution()?;
    nameless.execution_kind = String::new();
    let client = || Arc::clone(&counted.client);
    counted.proxy.reset();
    let empty = (create_many(client(), Vec::new()).await?, complete_many(client(), Vec::new()).await?);
    check!(cx, "FF-EXE-081", empty, equals((Vec::new(), Vec::new())));
    renew_many(client(), Vec::new()).await?;
    create_many(client(), vec![nameless]).await?;
    let foreign = held.into_iter().map(|mut held| {
        held.handle = foreign(&held)?.swap_remove(0);
        Ok(held)
    });
    let foreign = foreign.collect::<Result<Vec<_>, Stop>>()?;
    renew_many(client(), foreign.clone()).await?;
    complete_many(client(), foreign).await?;
    check!(cx, "FF-CON-004", counted.proxy.turns(), equals(0));
    Ok(())
}

/// A warm snapshot is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn describe_execution_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::DescribeExecution, describe).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm read of the state is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn read_execution_state_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::ReadExecutionState, read_state).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm read of everything is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn read_execution_info_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::ReadExecutionInfo, read_info).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm read of the result is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn get_execution_result_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::GetExecutionResult, result).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm page of executions is one request and one reply.
///
/// Covers FF-CON-004. Needs address, listings.
pub async fn list_executions_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::ListExecutions, list_executions).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A warm page of lanes is one request and one reply.
///
/// Covers FF-CON-004. Needs address, listings.
pub async fn list_lanes_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::ListLanes, list_lanes).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A ping is one request and one reply.
///
/// Covers FF-CON-004. Needs address.
pub async fn ping_costs_one_round_trip(cx: &Cx) -> Verdict {
    let turns = of_reader(cx, Operation::Ping, ping).await?;
    check!(cx, "FF-CON-004", turns, one_each());
    Ok(())
}

/// A call that is refused, or that repeats one that ended its lease, costs one round trip as well.
///
/// Covers FF-CON-004. Needs address.
pub async fn a_repeated_or_refused_call_costs_one_round_trip(cx: &Cx) -> Verdict {
    let counted = counted(cx).await?;
    let held = counted.held(cx, ExecutionPolicy::new()).await?;
    let (mut repeated, mut refused) = (Vec::new(), Vec::new());
    for held in held {
        complete(Arc::clone(&counted.client), held.clone()).await?;
        counted.proxy.reset();
        complete(Arc::clone(&counted.client), held.clone()).await?;
        repeated.push(counted.proxy.turns());
        // The first refusal prepares its statement.
        let answer = cancel(Arc::clone(&counted.client), held.clone()).await;
        counted.proxy.reset();
        let again = cancel(Arc::clone(&counted.client), held).await;
        refused.push((codes([answer, again]), counted.proxy.turns()));
    }
    check!(cx, "FF-CON-004", repeated, equals(vec![1; CALLS]));
    let code = "Contention(ExecutionNotActive)".to_owned();
    check!(cx, "FF-CON-004", refused, equals(vec![([code.clone(), code], 1); CALLS]));
    Ok(())
}

fn codes(answers: [Result<(), EngineError>; 2]) -> [String; 2] {
    answers.map(|answer| answer.map_or_else(|error| error.code(), |()| "Ok".to_owned()))
}
