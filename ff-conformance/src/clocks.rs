//! Cases of the clock: the store's decides, wherever the client's stands, and a small step back does no harm.

use std::{fmt::Debug, time::Duration};

use ff_core::{
    Backoff, ExecutionPolicy, FailureClass, FailureReason, LeaseStatus, PublicState, RetryPolicy, TimestampMs,
};

use crate::{
    Cx, Stop, TTL, Verdict, answers, check, equals,
    facts::{Facts, facts_of},
    is_ok, refused,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 60 * 60 * 1000;
/// The largest step back that must do no harm.
const STEP_BACK_MS: i64 = 2000;

/// What `answer` says, without the ids and instants in it.
fn word<T: Debug>(answer: &T) -> String {
    let text = format!("{answer:?}");
    text.split(" {").next().unwrap_or_default().to_owned()
}

/// Answers that depend on time, at the store's instants from `start` on, and what has become of the two executions.
async fn story(cx: &Cx, start: TimestampMs) -> Result<(Vec<String>, Vec<Facts>), Stop> {
    cx.set_time(start).await?;
    let client = cx.client("a").await?;
    let backoff = Backoff::Fixed { delay_ms: 5000 };
    let retry = RetryPolicy { backoff, ..RetryPolicy::default() };
    let policy = ExecutionPolicy::new().retry(retry).dedup_window_ms(2000);
    let keyed = || cx.execution().map(|args| args.policy(policy.clone()).idempotency_key("order-17"));
    let claim = || cx.try_claim(&client, "worker", 2 * SECOND);
    let mut told = Vec::new();

    let args = keyed()?.delay_until(start.plus(SECOND));
    let id = args.execution_id;
    told.push(word(&client.create_execution(args).await));
    told.push(word(&client.read_execution_state(&id).await));
    told.push(word(&claim().await?.map(|claimed| claimed.handle.kind())));
    cx.pass_time(SECOND).await?;
    told.push(word(&client.read_execution_state(&id).await));
    let Some(first) = claim().await? else { return Ok((told, Vec::new())) };
    told.push(word(&client.create_execution(keyed()?).await));
    cx.pass_time(SECOND).await?;
    told.push(word(&client.renew(&first.handle).await));
    told.push(word(&client.progress(&first.handle, Some(10), None).await));
    let args = keyed()?.execution_deadline_at(start.plus(4 * SECOND));
    let later = args.execution_id;
    told.push(word(&client.create_execution(args).await));
    cx.pass_time(2 * SECOND).await?;
    told.push(word(&client.renew(&first.handle).await));
    told.push(word(&client.read_execution_state(&later).await));
    let Some(second) = claim().await? else { return Ok((told, Vec::new())) };
    told.push(word(&second.handle.kind()));
    let reason = FailureReason::new("broken");
    told.push(word(&client.fail(&second.handle, reason, FailureClass::Transient).await));
    cx.pass_time(5 * SECOND).await?;
    let Some(third) = claim().await? else { return Ok((told, Vec::new())) };
    told.push(word(&third.handle.kind()));
    told.push(word(&client.complete(&third.handle, None).await));
    let facts = vec![facts_of(cx, &client, &id, start).await?, facts_of(cx, &client, &later, start).await?];
    Ok((told, facts))
}

/// The answers of the story, wherever the clocks stand.
const STORY: [&str; 14] = [
    "Ok(Created",
    "Ok(Some(Delayed))",
    "None",
    "Ok(Some(Waiting))",
    "Ok(Duplicate",
    "Ok(LeaseRenewal",
    "Ok(())",
    "Ok(Created",
    "Err(State(LeaseExpired))",
    "Ok(Some(Expired))",
    "Reclaimed",
    "Ok(RetryScheduled",
    "Fresh",
    "Ok(())",
];

/// With the store's clock an hour behind the client's, at one with it and an hour ahead, all answers and all that is
/// stored are the same: delays, leases, deadlines, retries and idempotency keys follow the store alone.
///
/// Covers FF-CLK-001. Needs clock, dump.
pub async fn an_hour_between_client_and_store_changes_no_answer(cx: &Cx) -> Verdict {
    let process = cx.process_clock().as_ms();
    let (told, behind) = story(cx, TimestampMs::from_ms(process - HOUR_MS)).await?;
    check!(cx, "FF-CLK-001", told, equals(STORY.map(str::to_owned).to_vec()));
    let (told, level) = story(cx, TimestampMs::from_ms(process)).await?;
    check!(cx, "FF-CLK-001", told, equals(STORY.map(str::to_owned).to_vec()));
    check!(cx, "FF-CLK-001", level, equals(behind.clone()));
    let (told, ahead) = story(cx, TimestampMs::from_ms(process + HOUR_MS)).await?;
    check!(cx, "FF-CLK-001", told, equals(STORY.map(str::to_owned).to_vec()));
    check!(cx, "FF-CLK-001", ahead, equals(behind));
    Ok(())
}

/// The instants of a life are the store's, an hour from those of the client.
///
/// Covers FF-CLK-001. Needs clock.
pub async fn an_hour_between_client_and_store_shows_in_no_stored_instant(cx: &Cx) -> Verdict {
    let client = cx.client("a").await?;
    for offset in [HOUR_MS, 2 * HOUR_MS] {
        let now = TimestampMs::from_ms(cx.process_clock().as_ms() + offset);
        cx.set_time(now).await?;
        let id = cx.created_plain(&client).await?;
        let held = cx.claimed(&client, "worker").await?;
        let renewed = client.renew(&held.handle).await.map(|renewal| renewal.expires_at);
        check!(cx, "FF-CLK-001", renewed, answers(now.plus(TTL)));
        client.progress(&held.handle, Some(1), None).await?;
        client.complete(&held.handle, None).await?;
        let info = cx.info(&client, &id).await?;
        let instants = [info.created_at, info.last_transition_at, info.last_mutation_at];
        check!(cx, "FF-CLK-001", instants, equals([now; 3]));
        let instants = [info.started_at, info.completed_at, info.progress.map(|progress| progress.updated_at)];
        check!(cx, "FF-CLK-001", instants, equals([Some(now); 3]));
    }
    Ok(())
}

async fn step_back(cx: &Cx) -> Result<(), Stop> {
    let now = cx.now().await?;
    cx.set_time(TimestampMs::from_ms(now.as_ms() - STEP_BACK_MS)).await
}

/// A live lease stays live when the store's clock steps back, and every holder operation works.
///
/// Covers FF-CLK-004. Needs clock.
pub async fn a_step_back_of_the_store_leaves_a_lease_live(cx: &Cx) -> Verdict {
    let client = cx.client("a").await?;
    let id = cx.created_plain(&client).await?;
    let held = cx.claimed(&client, "worker").await?;
    cx.pass_time(SECOND).await?;
    client.renew(&held.handle).await?;

    step_back(cx).await?;

    let status = client.describe_execution(&id).await.map(|found| found.map(|snapshot| snapshot.lease_status));
    check!(cx, "FF-CLK-004", status, answers(Some(LeaseStatus::Live)));
    let expected = cx.now().await?.plus(TTL);
    let renewed = client.renew(&held.handle).await.map(|renewal| renewal.expires_at);
    check!(cx, "FF-CLK-004", renewed, answers(expected));
    check!(cx, "FF-CLK-004", client.progress(&held.handle, Some(50), None).await, is_ok());
    check!(cx, "FF-CLK-004", client.complete(&held.handle, None).await, is_ok());
    Ok(())
}

/// Work that waits keeps its order when the store's clock steps back between creates and claims.
///
/// Covers FF-CLK-004. Needs clock.
pub async fn a_step_back_of_the_store_keeps_the_order_of_what_waits(cx: &Cx) -> Verdict {
    let client = cx.client("a").await?;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(cx.created_plain(&client).await?);
        cx.pass_time(Duration::from_millis(1)).await?;
    }

    step_back(cx).await?;

    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(cx.claimed(&client, "worker").await?.payload.execution_id);
    }
    check!(cx, "FF-CLK-004", taken, equals(created));
    Ok(())
}

/// What has ended stays ended when the store's clock steps back, and a repeat is still recognised.
///
/// Covers FF-CLK-004, FF-EXE-005. Needs clock.
pub async fn a_step_back_of_the_store_revives_nothing_that_ended(cx: &Cx) -> Verdict {
    let client = cx.client("a").await?;
    let id = cx.created_plain(&client).await?;
    let held = cx.claimed(&client, "worker").await?;
    cx.pass_time(SECOND).await?;
    client.complete(&held.handle, None).await?;
    let before = cx.info(&client, &id).await?;

    step_back(cx).await?;

    check!(cx, "FF-CLK-004", client.complete(&held.handle, None).await, is_ok());
    check!(cx, "FF-CLK-004", client.renew(&held.handle).await, refused("Contention(ExecutionNotActive)"));
    check!(cx, "FF-CLK-004", cx.info(&client, &id).await?, equals(before));
    check!(cx, "FF-EXE-005", client.read_execution_state(&id).await, answers(Some(PublicState::Completed)));
    Ok(())
}

/// A lease that was taken over stays lost when the store's clock steps back before its end.
///
/// Covers FF-CLK-004, FF-LSE-004. Needs clock.
pub async fn a_step_back_of_the_store_gives_no_lost_lease_back(cx: &Cx) -> Verdict {
    let client = cx.client("a").await?;
    cx.created_plain(&client).await?;
    let old = cx.claimed(&client, "old").await?;
    cx.pass_time(TTL).await?;
    let new = cx.claimed(&client, "new").await?;

    step_back(cx).await?;

    check!(cx, "FF-LSE-004", client.renew(&old.handle).await, refused("State(StaleLease)"));
    check!(cx, "FF-LSE-004", client.complete(&old.handle, None).await, refused("State(StaleLease)"));
    check!(cx, "FF-CLK-004", client.renew(&new.handle).await, is_ok());
    check!(cx, "FF-CLK-004", client.complete(&new.handle, None).await, is_ok());
    Ok(())
}
