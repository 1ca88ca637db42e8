//! Cases of writes that meet at one row: what waited decides by what holds when its wait is over.

use std::time::Duration;

use ff_core::{EngineError, TerminalOutcome};
use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::{
    Claimed, Cx, Expect, Stop, TTL, Verdict,
    calls::{Call, cancel, complete, fail, progress, renew},
    check, equals, is_ok, refused, satisfies,
};

/// How long a write may take until it waits behind a hold.
const LIMIT: Duration = Duration::from_secs(30);

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

async fn joined<T>(task: JoinHandle<T>) -> Result<T, Stop> {
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
