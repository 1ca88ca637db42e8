//! Cases of batches that meet rows which another transaction holds: they wait, and decide by what holds then.

use std::sync::Arc;

use ff_core::{CapabilitySet, EngineBackend, ExecutionId, Handle, PageLimit};
use tokio::task::JoinHandle;

use crate::{
    Claimed, Cx, Held, Stop, TTL, Verdict,
    batches::{codes, id_of},
    calls::{cancel, complete_many, create_many, renew_many},
    check,
    crowds::{claim_order, created_many},
    equals,
    holds::{LIMIT, joined},
    is_true,
};

/// Three executions under live leases; the one in the middle for [`TTL`], the others for longer.
async fn three_held(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Vec<Claimed>, Stop> {
    let mut held = Vec::new();
    for ttl in [2 * TTL, TTL, 2 * TTL] {
        cx.created_plain(client).await?;
        held.push(cx.claimed_for(client, "worker", ttl).await?);
    }
    Ok(held)
}

fn middle(held: &[Claimed]) -> Result<&Claimed, Stop> {
    held.get(1).ok_or_else(|| Stop::Errored("no middle".to_owned()))
}

/// `waiting` writes wait behind the hold.
async fn waits(cx: &Cx, hold: &dyn Held, waiting: u64) -> Result<(), Stop> {
    cx.eventually("writes wait behind the hold", LIMIT, || async { Ok(hold.waiting().await? >= waiting) }).await
}

/// A batch of completions waits for the row that another transaction holds. What has lapsed by then is refused in its
/// place, and its neighbours complete.
///
/// Covers FF-CLK-003, FF-EXE-085. Needs hold, clock, batches.
pub async fn complete_many_that_waited_for_one_row_completes_its_neighbours(cx: &Cx) -> Verdict {
    cx.hold()?;
    let a = cx.client("a").await?;
    let held = three_held(cx, &a).await?;
    let hold = cx.hold()?.hold(&middle(&held)?.payload.execution_id).await?;
    let waiting = tokio::spawn(complete_many(cx.client("waiting").await?, held));
    waits(cx, &*hold, 1).await?;
    cx.pass_time(TTL).await?;
    hold.release().await?;

    let answers = joined(waiting).await??;

    check!(cx, "FF-CLK-003", codes(&answers).get(1).cloned(), equals(Some("State(LeaseExpired)".to_owned())));
    check!(cx, "FF-EXE-085", codes(&answers), equals(["Ok", "State(LeaseExpired)", "Ok"].map(str::to_owned).to_vec()));
    Ok(())
}

/// A batch of renewals waits for the row that another transaction holds. What has lapsed by then is refused in its
/// place, and its neighbours are renewed from the end of the wait on.
///
/// Covers FF-CLK-003, FF-LSE-080. Needs hold, clock, batches.
pub async fn renew_many_that_waited_for_one_row_renews_its_neighbours(cx: &Cx) -> Verdict {
    cx.hold()?;
    let a = cx.client("a").await?;
    let held = three_held(cx, &a).await?;
    let hold = cx.hold()?.hold(&middle(&held)?.payload.execution_id).await?;
    let waiting = tokio::spawn(renew_many(cx.client("waiting").await?, held));
    waits(cx, &*hold, 1).await?;
    cx.pass_time(TTL).await?;
    let until = cx.now().await?.plus(2 * TTL);
    hold.release().await?;

    let answers = joined(waiting).await??;

    check!(cx, "FF-CLK-003", codes(&answers).get(1).cloned(), equals(Some("State(LeaseExpired)".to_owned())));
    check!(cx, "FF-LSE-080", codes(&answers), equals(["Ok", "State(LeaseExpired)", "Ok"].map(str::to_owned).to_vec()));
    let renewed: Vec<_> = answers.iter().flatten().map(|renewal| renewal.expires_at).collect();
    check!(cx, "FF-LSE-080", renewed, equals(vec![until; 2]));
    Ok(())
}

/// A batch that meets a cancel at one of its rows completes the others; that row ends once, by whichever came first.
///
/// Covers FF-EXE-085, FF-EXE-086, FF-CON-001, FF-SUB-001. Needs hold, dump, batches.
pub async fn complete_many_and_a_cancel_that_wait_for_one_row_end_it_once(cx: &Cx) -> Verdict {
    cx.hold()?;
    let a = cx.client("a").await?;
    let held = three_held(cx, &a).await?;
    let (contested, others) = (middle(&held)?.clone(), [held[0].clone(), held[2].clone()]);
    let hold = cx.hold()?.hold(&contested.payload.execution_id).await?;
    let cancels = tokio::spawn(cancel(cx.client("cancels").await?, contested.clone()));
    waits(cx, &*hold, 1).await?;
    let completes = tokio::spawn(complete_many(cx.client("completes").await?, held));
    waits(cx, &*hold, 2).await?;
    hold.release().await?;
    let (cancelled, completed) = (joined(cancels).await?, codes(&joined(completes).await??));

    let late = "Contention(ExecutionNotActive)".to_owned();
    let (first, last) = (completed.first().cloned(), completed.last().cloned());
    check!(cx, "FF-EXE-085", (first, last), equals((Some("Ok".to_owned()), Some("Ok".to_owned()))));
    let ends = [codes(&[cancelled]).concat(), completed.get(1).cloned().unwrap_or_default()];
    let once = ends == ["Ok".to_owned(), late.clone()] || ends == [late, "Ok".to_owned()];
    check!(cx, "FF-CON-001", (ends, once).1, is_true());
    let mut told: Vec<_> = cx.dump().await?.completions.iter().map(|event| event.execution_id).collect();
    let mut ended: Vec<_> = others.iter().chain([&contested]).map(|held| held.payload.execution_id).collect();
    told.sort();
    ended.sort();
    check!(cx, "FF-SUB-001", told, equals(ended));
    Ok(())
}

/// A batch of creates beside a held row creates what is new and names what is there.
///
/// Covers FF-EXE-082, FF-EXE-086. Needs hold, batches.
pub async fn create_executions_of_a_held_row_names_it(cx: &Cx) -> Verdict {
    cx.hold()?;
    let a = cx.client("a").await?;
    let known = cx.execution()?.idempotency_key("one");
    let id = cx.created(&a, known.clone()).await?;
    let hold = cx.hold()?.hold(&id).await?;
    let batch = vec![cx.execution()?, known, cx.execution()?.idempotency_key("one"), cx.execution()?];
    let creating = tokio::spawn(create_many(cx.client("creates").await?, batch.clone()));
    ended_or_waits(cx, &*hold, &creating).await?;
    hold.release().await?;

    let answers = joined(creating).await??;

    let named: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok().map(id_of)).collect();
    let wanted = [batch[0].execution_id, id, id, batch[3].execution_id].map(Some).to_vec();
    check!(cx, "FF-EXE-082", named, equals(wanted));
    Ok(())
}

/// The call has ended, or waits behind the hold.
async fn ended_or_waits<T>(cx: &Cx, hold: &dyn Held, call: &JoinHandle<T>) -> Result<(), Stop> {
    let ended_or_waits = || async { Ok(call.is_finished() || hold.is_awaited().await?) };
    cx.eventually("the call ends or waits behind the hold", LIMIT, ended_or_waits).await
}

/// A batch of claims beside a row that another transaction holds takes the others in their order: it passes that row by,
/// or waits for it. The row goes to one claimer, and as soon as it is free.
///
/// Covers FF-CLM-080, FF-CLM-081, FF-CLM-003. Needs hold, batches.
pub async fn claim_many_beside_a_held_row_takes_the_others(cx: &Cx) -> Verdict {
    cx.hold()?;
    let a = cx.client("a").await?;
    let ids = created_many(cx, &a, 4, |n, args| args.priority(9 - i32::try_from(n).unwrap_or_default())).await?;
    let first = *ids.first().ok_or_else(|| Stop::Errored("nothing was created".to_owned()))?;
    let hold = cx.hold()?.hold(&first).await?;
    let client = cx.client("claims").await?;
    let (lane, worker) = (cx.lane()?, cx.worker("worker", TTL)?);
    let limit = PageLimit::new(3)?;
    let claiming =
        tokio::spawn(async move { client.claim_many(&lane, &CapabilitySet::default(), worker, limit).await });
    ended_or_waits(cx, &*hold, &claiming).await?;
    hold.release().await?;

    let taken = executions(&a, joined(claiming).await??)?;

    let passed_by = taken.first() != Some(&first);
    let wanted = if passed_by { ids[1..].to_vec() } else { ids[..3].to_vec() };
    check!(cx, "FF-CLM-080", taken, equals(wanted));
    let left = if passed_by { vec![first] } else { ids[3..].to_vec() };
    check!(cx, "FF-CLM-081", claim_order(cx, &a, 2).await?, equals(left));
    check!(cx, "FF-CLM-003", claim_order(cx, &a, 1).await?, equals(Vec::new()));
    Ok(())
}

fn executions(client: &Arc<dyn EngineBackend>, handles: Vec<Handle>) -> Result<Vec<ExecutionId>, Stop> {
    let decoded = handles.into_iter().map(|handle| Ok(handle.decode(client.backend_label())?.execution_id));
    decoded.collect()
}
