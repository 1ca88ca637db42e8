//! Cases of writes that meet at one row: what waited decides by what holds when its wait is over.

use std::{sync::Arc, time::Duration};

use ff_core::{
    CancelExecutionArgs, CancelExecutionResult, CapabilitySet, EngineBackend, EngineError, ExecutionId, Handle,
    HandleKind, ResumeExecutionArgs, RevokeLeaseArgs, TerminalOutcome,
};
use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::{
    Claimed, Cx, Expect, Held, Stop, TTL, Verdict,
    calls::{Answer, Call, cancel, cancel_execution, cancel_held, complete, fail, progress, renew},
    check, equals, is_ok, is_true, refused, satisfies,
    suspensions::{seeded, waits_for_any},
    words::{CANCELLED, CANCELLED_UNSTARTED, attempt_log, completion_log, reads, vector},
};

/// How long a write may take until it waits behind a hold.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What a write answered that waited over an instant, and whether it changed anything.
struct Waited<T> {
    answer: Result<T, EngineError>,
    unchanged: bool,
}

/// A holder's `call` waits inside the store while `passed` goes by, and goes on after that.
async fn waits<T: Send + 'static>(
    cx: &Cx,
    held: &Claimed,
    passed: Duration,
    call: Call<Claimed, T>,
) -> Result<Waited<T>, Stop> {
    let client = cx.client("waiting").await?;
    let written = cx.dump().await?.lines;
    let hold = cx.hold()?.hold(&held.payload.execution_id).await?;
    let waiting = tokio::spawn(call(client, held.clone()));
    cx.eventually("a write waits behind the hold", LIMIT, || async { Ok(hold.is_awaited().await?) }).await?;
    cx.pass_time(passed).await?;
    hold.release().await?;
    let answer = joined(waiting).await?;
    Ok(Waited { answer, unchanged: cx.dump().await?.lines == written })
}

pub(crate) async fn joined<T>(task: JoinHandle<T>) -> Result<T, Stop> {
    task.await.map_err(|error| Stop::Errored(format!("a call of the case: {error}")))
}

/// A holder's `call` that waits until its lease has run out.
async fn waits_past_the_lease<T: Send + 'static>(cx: &Cx, call: Call<Claimed, T>) -> Result<Waited<T>, Stop> {
    // Without the control there is nothing to prepare.
    cx.hold()?;
    let client = cx.client("a").await?;
    cx.created_plain(&client).await?;
    let held = cx.claimed(&client, "worker").await?;
    waits(cx, &held, TTL, call).await
}

/// A renewal that waited behind another transaction until its lease had run out is refused and changes nothing.
///
/// Covers FF-CLK-003. Needs hold, clock, dump.
pub async fn renew_that_waited_past_the_end_of_its_lease_is_refused(cx: &Cx) -> Verdict {
    let waited = waits_past_the_lease(cx, renew).await?;
    check!(cx, "FF-CLK-003", waited.answer, refused("State(LeaseExpired)"));
    check!(cx, "FF-CLK-003", waited.unchanged, equals(true));
    Ok(())
}

/// A progress that waited behind another transaction until its lease had run out is refused and changes nothing.
///
/// Covers FF-CLK-003. Needs hold, clock, dump, progress.
pub async fn progress_that_waited_past_the_end_of_its_lease_is_refused(cx: &Cx) -> Verdict {
    let waited = waits_past_the_lease(cx, progress).await?;
    check!(cx, "FF-CLK-003", waited.answer, refused("State(LeaseExpired)"));
    check!(cx, "FF-CLK-003", waited.unchanged, equals(true));
    Ok(())
}

/// A complete that waited behind another transaction until its lease had run out is refused and changes nothing.
///
/// Covers FF-CLK-003. Needs hold, clock, dump.
pub async fn complete_that_waited_past_the_end_of_its_lease_is_refused(cx: &Cx) -> Verdict {
    let waited = waits_past_the_lease(cx, complete).await?;
    check!(cx, "FF-CLK-003", waited.answer, refused("State(LeaseExpired)"));
    check!(cx, "FF-CLK-003", waited.unchanged, equals(true));
    Ok(())
}

/// A fail that waited behind another transaction until its lease had run out is refused and changes nothing.
///
/// Covers FF-CLK-003. Needs hold, clock, dump.
pub async fn fail_that_waited_past_the_end_of_its_lease_is_refused(cx: &Cx) -> Verdict {
    let waited = waits_past_the_lease(cx, fail).await?;
    check!(cx, "FF-CLK-003", waited.answer, refused("State(LeaseExpired)"));
    check!(cx, "FF-CLK-003", waited.unchanged, equals(true));
    Ok(())
}

/// A cancel that waited behind another transaction until its lease had run out is refused and changes nothing.
///
/// Covers FF-CLK-003. Needs hold, clock, dump.
pub async fn cancel_that_waited_past_the_end_of_its_lease_is_refused(cx: &Cx) -> Verdict {
    let waited = waits_past_the_lease(cx, cancel).await?;
    check!(cx, "FF-CLK-003", waited.answer, refused("State(LeaseExpired)"));
    check!(cx, "FF-CLK-003", waited.unchanged, equals(true));
    Ok(())
}

/// A renewal that waited for a while counts from the end of its wait.
///
/// Covers FF-CLK-003. Needs hold, clock, dump.
pub async fn renew_that_waited_counts_from_the_end_of_its_wait(cx: &Cx) -> Verdict {
    cx.hold()?;
    let client = cx.client("a").await?;
    cx.created_plain(&client).await?;
    let held = cx.claimed(&client, "worker").await?;
    let expected = cx.now().await?.plus(TTL / 2).plus(TTL);
    let waited = waits(cx, &held, TTL / 2, renew).await?;
    let expires_at = waited.answer.map(|renewal| renewal.expires_at);
    check!(cx, "FF-CLK-003", expires_at, equals(Ok(expected)));
    Ok(())
}

/// A complete that waited until the execution's deadline is refused: the execution has expired.
///
/// Covers FF-CLK-003, FF-EXE-008. Needs hold, clock, dump.
pub async fn complete_that_waited_past_the_deadline_is_refused(cx: &Cx) -> Verdict {
    cx.hold()?;
    let client = cx.client("a").await?;
    let deadline = cx.now().await?.plus(TTL / 2);
    cx.created(&client, cx.execution()?.execution_deadline_at(deadline)).await?;
    let held = cx.claimed(&client, "worker").await?;
    let waited = waits(cx, &held, TTL / 2, complete).await?;
    check!(cx, "FF-EXE-008", waited.answer, refused("Contention(ExecutionNotActive)"));
    check!(cx, "FF-CLK-003", waited.unchanged, equals(true));
    Ok(())
}

/// Two ends of one lease that wait at once end the execution once: one is told so, the other that it came late.
///
/// Covers FF-CON-001, FF-SUB-001. Needs hold, dump.
pub async fn two_ends_that_wait_for_one_row_end_it_once(cx: &Cx) -> Verdict {
    cx.hold()?;
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let id = cx.created_plain(&a).await?;
    let held = cx.claimed(&a, "worker").await?;
    let hold = cx.hold()?.hold(&id).await?;
    let completes = tokio::spawn(complete(a, held.clone()));
    cx.eventually("a write waits behind the hold", LIMIT, || async { Ok(hold.is_awaited().await?) }).await?;
    let cancels = tokio::spawn(cancel(b, held));
    hold.release().await?;
    let (completed, cancelled) = (joined(completes).await?, joined(cancels).await?);

    let outcome = if completed.is_ok() { TerminalOutcome::Success } else { TerminalOutcome::Cancelled };
    check!(cx, "FF-CON-001", [completed, cancelled], one_end());
    let told: Vec<_> = cx.dump().await?.completions.iter().map(|event| (event.execution_id, event.outcome)).collect();
    check!(cx, "FF-SUB-001", told, equals(vec![(id, outcome)]));
    Ok(())
}

/// Exactly one call succeeded, and the others came late.
fn one_end<const N: usize>() -> impl Expect<[Result<(), EngineError>; N]> {
    satisfies("exactly one succeeds, the others come late", |got: &[Result<(), EngineError>; N]| {
        let late = |answer: &&Result<(), EngineError>| {
            answer.as_ref().is_err_and(|error| error.code() == "Contention(ExecutionNotActive)")
        };
        got.iter().filter(|answer| answer.is_ok()).count() == 1 && got.iter().filter(late).count() == N - 1
    })
}

/// The same complete twice at once, as a client does that lost patience, ends the execution once, and both are told
/// that it did.
///
/// Covers FF-DUR-003, FF-SUB-001. Needs hold, dump.
pub async fn two_equal_ends_that_wait_for_one_row_are_one(cx: &Cx) -> Verdict {
    cx.hold()?;
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let id = cx.created_plain(&a).await?;
    let held = cx.claimed(&a, "worker").await?;
    let hold = cx.hold()?.hold(&id).await?;
    let first = tokio::spawn(complete(a, held.clone()));
    cx.eventually("a write waits behind the hold", LIMIT, || async { Ok(hold.is_awaited().await?) }).await?;
    let second = tokio::spawn(complete(b, held));
    hold.release().await?;

    check!(cx, "FF-DUR-003", joined(first).await?, is_ok());
    check!(cx, "FF-DUR-003", joined(second).await?, is_ok());
    let told: Vec<_> = cx.dump().await?.completions.iter().map(|event| (event.execution_id, event.outcome)).collect();
    check!(cx, "FF-SUB-001", told, equals(vec![(id, TerminalOutcome::Success)]));
    Ok(())
}

/// Whatever order many ends of one lease arrive in, one of them wins, and all that is stored agrees with it.
///
/// Covers FF-CON-001, FF-SUB-001. Needs dump.
pub async fn racing_ends_of_one_lease_end_it_once(cx: &Cx) -> Verdict {
    let clients = [cx.client("a").await?, cx.client("b").await?, cx.client("c").await?, cx.client("d").await?];
    for _ in 0..10 {
        let id = cx.created_plain(&clients[0]).await?;
        let held = cx.claimed(&clients[0], "worker").await?;
        let [a, b, c, d] = clients.clone();
        let ends = [complete(a, held.clone()), cancel(b, held.clone()), complete(c, held.clone()), cancel(d, held)];
        let answers = join_all(ends.map(tokio::spawn)).await;
        let mut ok = Vec::new();
        for answer in answers {
            ok.push(answer.map_err(|error| Stop::Errored(format!("a call of the case: {error}")))?.is_ok());
        }

        // A repeat of the end that won is told so too.
        let outcome = if ok[0] { TerminalOutcome::Success } else { TerminalOutcome::Cancelled };
        check!(cx, "FF-CON-001", ok, equals(vec![ok[0], !ok[0], ok[0], !ok[0]]));
        let dump = cx.dump().await?;
        let told = dump.completions.iter().filter(|event| event.execution_id == id);
        check!(cx, "FF-SUB-001", told.map(|event| event.outcome).collect::<Vec<_>>(), equals(vec![outcome]));
    }
    Ok(())
}

/// A cancel by an operator that waits while a claim takes the execution ends what the claim began: no attempt stays
/// open and no lease stays live.
///
/// Covers FF-EXE-002, FF-EXE-060, FF-CON-001. Needs hold, dump.
pub async fn cancel_execution_that_waited_for_a_claim_ends_its_attempt(cx: &Cx) -> Verdict {
    cx.hold()?;
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let id = cx.created_plain(&a).await?;
    let hold = cx.hold()?.hold_claim(&id).await?;
    let (lane, worker) = (cx.lane()?, cx.worker("worker", TTL)?);
    let claims = tokio::spawn(async move { a.claim(&lane, &ff_core::CapabilitySet::default(), worker).await });
    cx.eventually("the claim waits behind the hold", LIMIT, || async { Ok(hold.waiting().await? >= 1) }).await?;
    let cancels = tokio::spawn(cancel_execution(b, CancelExecutionArgs::new(id, "no longer wanted")));
    cx.eventually("the cancel waits behind the claim", LIMIT, || async { Ok(hold.waiting().await? >= 2) }).await?;
    hold.release().await?;

    let handle = joined(claims).await?;
    check!(cx, "FF-CON-001", handle.as_ref().is_ok_and(Option::is_some), is_true());
    check!(cx, "FF-EXE-060", joined(cancels).await?, is_ok());
    let client = cx.client("a").await?;
    check!(cx, "FF-EXE-060", vector(&cx.info(&client, &id).await?), reads(CANCELLED));
    check!(cx, "FF-EXE-002", attempt_log(&cx.dump().await?, &id), reads("0 initial ended_cancelled 1"));
    if let Ok(Some(handle)) = handle {
        check!(cx, "FF-CON-001", client.renew(&handle).await, refused("Contention(ExecutionNotActive)"));
    }
    Ok(())
}

/// A cancel by an operator that waited until the execution's deadline is refused: it has expired.
///
/// Covers FF-CLK-003, FF-EXE-061. Needs hold, clock, dump.
pub async fn cancel_execution_that_waited_past_the_deadline_is_refused(cx: &Cx) -> Verdict {
    cx.hold()?;
    let client = cx.client("a").await?;
    let deadline = cx.now().await?.plus(TTL / 2);
    cx.created(&client, cx.execution()?.execution_deadline_at(deadline)).await?;
    let held = cx.claimed(&client, "worker").await?;
    let waited = waits(cx, &held, TTL / 2, cancel_held).await?;
    check!(cx, "FF-EXE-061", waited.answer, refused("State(Terminal)"));
    check!(cx, "FF-CLK-003", waited.unchanged, equals(true));
    Ok(())
}

/// The cancels of four operators and completes of the holder that meet: one way to end it wins, and all agree with it.
///
/// Covers FF-CON-001, FF-EXE-061, FF-SUB-001. Needs dump.
pub async fn racing_cancels_and_completes_end_it_once(cx: &Cx) -> Verdict {
    let clients = [cx.client("a").await?, cx.client("b").await?, cx.client("c").await?, cx.client("d").await?];
    for _ in 0..10 {
        let id = cx.created_plain(&clients[0]).await?;
        let held = cx.claimed(&clients[0], "worker").await?;
        let [a, b, c, d] = clients.clone();
        let cancels = |client| cancel_execution(client, CancelExecutionArgs::new(id, "no longer wanted"));
        let ends = (complete(a, held.clone()), cancels(b), complete(c, held), cancels(d));
        let (first, cancelled, second, again) =
            tokio::join!(tokio::spawn(ends.0), tokio::spawn(ends.1), tokio::spawn(ends.2), tokio::spawn(ends.3));
        let lost = |error| Stop::Errored(format!("a call of the case: {error}"));
        let completes = [first.map_err(lost)?, second.map_err(lost)?];
        let cancels = [cancelled.map_err(lost)?, again.map_err(lost)?];

        let completed = completes[0].is_ok();
        for answer in completes {
            let late = answer.as_ref().is_err_and(|error| error.code() == "Contention(ExecutionNotActive)");
            check!(cx, "FF-CON-001", if completed { answer.is_ok() } else { late }, is_true());
        }
        for answer in cancels {
            let late = answer == Err(EngineError::State(ff_core::StateKind::Terminal));
            check!(cx, "FF-EXE-061", if completed { late } else { answer.is_ok() }, is_true());
        }
        let outcome = if completed { "success" } else { "cancelled" };
        check!(cx, "FF-SUB-001", completion_log(&cx.dump().await?, &id), reads(outcome));
    }
    Ok(())
}

/// Claims and cancels that meet at one execution leave it cancelled, with no attempt or one that ended so.
///
/// Covers FF-CON-001, FF-EXE-002, FF-EXE-060. Needs dump.
pub async fn racing_claims_and_cancels_leave_nothing_open(cx: &Cx) -> Verdict {
    let clients = [cx.client("a").await?, cx.client("b").await?, cx.client("c").await?, cx.client("d").await?];
    for _ in 0..10 {
        let id: ExecutionId = cx.created_plain(&clients[0]).await?;
        let [a, b, c, d] = &clients;
        let args = || CancelExecutionArgs::new(id, "no longer wanted");
        let (first, cancelled, second, again) = tokio::join!(
            cx.try_claim(a, "worker", TTL),
            b.cancel_execution(args()),
            cx.try_claim(c, "other", TTL),
            d.cancel_execution(args())
        );
        let cancels: Vec<Result<CancelExecutionResult, EngineError>> = vec![cancelled, again];
        check!(cx, "FF-EXE-060", cancels.iter().all(Result::is_ok), is_true());
        let taken: Vec<Claimed> = [first?, second?].into_iter().flatten().collect();
        let state = vector(&cx.info(a, &id).await?);
        let attempts = attempt_log(&cx.dump().await?, &id);
        let (vector, ended) = match taken.len() {
            0 => (CANCELLED_UNSTARTED, ""),
            _ => (CANCELLED, "0 initial ended_cancelled 1"),
        };
        check!(cx, "FF-CON-001", taken.len() <= 1, is_true());
        check!(cx, "FF-CON-001", state, reads(vector));
        check!(cx, "FF-EXE-002", attempts, reads(ended));
    }
    Ok(())
}

/// A claim that has begun to look at new work, which another worker holds by now.
struct LateClaim {
    held: Claimed,
    client: Arc<dyn EngineBackend>,
    /// The claim behind a hold; a store where nobody can come in between does it later.
    waiting: Option<(Box<dyn Held>, Claims)>,
    later: Answer<Option<Handle>>,
}

/// A claim under way.
type Claims = JoinHandle<Result<Option<Handle>, EngineError>>;

/// A claim looks at new work, and waits; another worker takes it meanwhile.
async fn looks_too_early(cx: &Cx) -> Result<LateClaim, Stop> {
    cx.hold()?;
    let (client, late) = (cx.client("a").await?, cx.client("late").await?);
    cx.created_plain(&client).await?;
    let (lane, worker) = (cx.lane()?, cx.worker("late", TTL)?);
    let claim = move || -> Answer<Option<Handle>> {
        Box::pin(async move { late.claim(&lane, &CapabilitySet::default(), worker).await })
    };
    let (mut waiting, later) = (None, claim.clone()());
    if let Some(hold) = cx.hold()?.hold_look().await? {
        let claims = tokio::spawn(claim());
        cx.eventually("the claim waits while it looks", LIMIT, || async { Ok(hold.is_awaited().await?) }).await?;
        waiting = Some((hold, claims));
    }
    let held = cx.claimed(&client, "worker").await?;
    Ok(LateClaim { held, client, waiting, later })
}

/// The claim takes the work as it is by now: as `kind`, and its attempts are `attempts`.
async fn is_taken_as_it_is(cx: &Cx, late: LateClaim, kind: HandleKind, attempts: &str) -> Verdict {
    let taken = match late.waiting {
        Some((hold, claims)) => {
            hold.release().await?;
            joined(claims).await??
        }
        None => late.later.await?,
    };
    check!(cx, "FF-CON-001", taken.as_ref().map(Handle::kind), equals(Some(kind)));
    let id = late.held.payload.execution_id;
    check!(cx, "FF-EXE-002", attempt_log(&cx.dump().await?, &id), reads(attempts));
    if let Some(handle) = taken {
        check!(cx, "FF-CON-001", late.client.renew(&handle).await, is_ok());
    }
    Ok(())
}

/// Work that another worker began and put off after a claim had looked at it is resumed by that claim.
///
/// Covers FF-CON-001, FF-EXE-002. Needs hold, dump.
pub async fn a_claim_that_looked_before_work_was_put_off_resumes_it(cx: &Cx) -> Verdict {
    let late = looks_too_early(cx).await?;
    late.client.delay(&late.held.handle, cx.now().await?).await?;
    is_taken_as_it_is(cx, late, HandleKind::Resumed, "0 initial started 2").await
}

/// Work that another worker began and suspended, and that an operator resumed, after a claim had looked at it is resumed
/// by that claim.
///
/// Covers FF-CON-001, FF-EXE-002. Needs hold, dump, waitpoints.
pub async fn a_claim_that_looked_before_work_was_suspended_resumes_it(cx: &Cx) -> Verdict {
    seeded(cx, &cx.client("a").await?).await?;
    let late = looks_too_early(cx).await?;
    late.client.suspend(&late.held.handle, waits_for_any()).await?;
    late.client.resume_execution(ResumeExecutionArgs::new(late.held.payload.execution_id, "go on")).await?;
    is_taken_as_it_is(cx, late, HandleKind::Resumed, "0 initial started 2").await
}

/// Work that another worker began, and whose lease ran out after a claim had looked at it, is taken over by that claim.
///
/// Covers FF-CON-001, FF-EXE-002. Needs hold, clock, dump.
pub async fn a_claim_that_looked_before_a_lease_ran_out_takes_over(cx: &Cx) -> Verdict {
    let late = looks_too_early(cx).await?;
    cx.pass_time(TTL).await?;
    is_taken_as_it_is(cx, late, HandleKind::Reclaimed, TAKEN_OVER).await
}

/// Work that another worker began, and whose lease was revoked after a claim had looked at it, is taken over by that
/// claim.
///
/// Covers FF-CON-001, FF-EXE-002. Needs hold, dump, operator_control.
pub async fn a_claim_that_looked_before_a_lease_was_revoked_takes_over(cx: &Cx) -> Verdict {
    let late = looks_too_early(cx).await?;
    late.client.revoke_lease(RevokeLeaseArgs::new(late.held.payload.execution_id, "taken away")).await?;
    is_taken_as_it_is(cx, late, HandleKind::Reclaimed, TAKEN_OVER).await
}

/// The attempts of work that was taken over once.
const TAKEN_OVER: &str = "0 initial interrupted_reclaimed 1, 1 reclaim started 2";
