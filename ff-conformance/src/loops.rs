//! Cases of the background loops: a backend that runs its scanners by itself.

use std::{sync::Arc, time::Duration};

use ff_core::{EngineBackend, ExecutionId, PublicState, ScannerConfig, ScannerFilter};

use crate::{
    Client, Cx, Stop, TTL, Verdict, check, equals,
    instants::{after, ms},
    is_none, is_ok, refused,
    stages::{completed, held, held_as},
    words::{completion_log, lease_log, reads},
};

const GRACE: Duration = Duration::from_secs(5);

/// How long a case waits for a loop, in real time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every scanner every few milliseconds of real time.
fn eager() -> ScannerConfig {
    let mut config = ScannerConfig::default();
    for interval in [
        &mut config.lease_expiry,
        &mut config.attempt_timeout,
        &mut config.execution_deadline,
        &mut config.delay_promoter,
        &mut config.retention,
        &mut config.event_retention,
    ] {
        *interval = ms(10);
    }
    config
}

async fn looping(cx: &Cx, config: ScannerConfig) -> Result<Arc<dyn EngineBackend>, Stop> {
    cx.connect(Client::new("looping").scanners(config)).await
}

/// Waits until the lease history of an execution reads so.
async fn told(cx: &Cx, id: &ExecutionId, log: &str) -> Result<(), Stop> {
    cx.eventually(log, PATIENCE, || async { Ok(lease_log(&cx.dump().await?, id) == log) }).await
}

/// Lets loops of that pace take turns: those of another client have taken several, over work of their own.
async fn turns_pass(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    let elsewhere = cx.namespace("elsewhere")?;
    let mut config = eager();
    config.scanner_filter = ScannerFilter::new().namespace(elsewhere.clone());
    looping(cx, config).await?;
    for n in 0..3 {
        let mut args = cx.execution_in(&format!("elsewhere-{n}"))?.execution_deadline_at(cx.now().await?);
        args.namespace = elsewhere.clone();
        let id = cx.created(client, args).await?;
        let what = "another loop takes a turn";
        cx.eventually(what, PATIENCE, || async { Ok(completion_log(&cx.dump().await?, &id) == "expired") }).await?;
    }
    Ok(())
}

/// A backend with loops writes down what time has done, and removes what is old, without being asked.
///
/// Covers FF-BOO-020. Needs scanners.
pub async fn loops_do_the_periodic_work(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    looping(cx, eager()).await?;
    let lapsing = held(cx, &a).await?.payload.execution_id;
    let deadline = after(cx.now().await?, 60_000);
    let expiring = held_as(cx, &a, cx.execution()?.execution_deadline_at(deadline)).await?.payload.execution_id;
    let ended = completed(cx, &a).await?.payload.execution_id;

    cx.pass_time(TTL).await?;
    told(cx, &lapsing, "acquired 1, expired 1").await?;
    cx.set_time(deadline).await?;
    let what = "the deadline is written down";
    cx.eventually(what, PATIENCE, || async { Ok(completion_log(&cx.dump().await?, &expiring) == "expired") }).await?;
    check!(cx, "FF-BOO-020", lease_log(&cx.dump().await?, &expiring), reads("acquired 1, expired 1"));
    cx.pass_time(ms(24 * 3_600_000)).await?;
    let what = "what is old is removed";
    cx.eventually(what, PATIENCE, || async {
        let dump = cx.dump().await?;
        let told = dump.lease_history.len() + dump.completions.len();
        Ok(told == 0 && a.read_execution_state(&ended).await?.is_none())
    })
    .await?;
    check!(cx, "FF-BOO-020", a.read_execution_state(&expiring).await?, is_none());
    check!(cx, "FF-BOO-020", a.read_execution_state(&lapsing).await?, equals(Some(PublicState::Active)));
    cx.removed_until_now().await
}

/// A loop whose interval is zero does not run, and the others do.
///
/// Covers FF-BOO-020. Needs scanners.
pub async fn a_zero_interval_disables_a_loop(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut config = eager();
    config.lease_expiry = Duration::ZERO;
    looping(cx, config).await?;
    let lapsing = held(cx, &a).await?.payload.execution_id;
    let args = cx.execution()?.execution_deadline_at(after(cx.now().await?, 60_000));
    let expiring = cx.created(&a, args).await?;
    for _ in 0..2 {
        cx.pass_time(TTL).await?;
    }
    let what = "the deadline is written down";
    cx.eventually(what, PATIENCE, || async { Ok(completion_log(&cx.dump().await?, &expiring) == "expired") }).await?;
    check!(cx, "FF-BOO-020", lease_log(&cx.dump().await?, &lapsing), reads("acquired 1"));
    Ok(())
}

/// A shutdown ends the loops within its grace, a second one changes nothing, and the loops of others go on.
///
/// Covers FF-BOO-021. Needs scanners.
pub async fn shutdown_prepare_ends_the_loops(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let looping = looping(cx, eager()).await?;
    let first = held(cx, &a).await?.payload.execution_id;
    cx.pass_time(TTL).await?;
    told(cx, &first, "acquired 1, expired 1").await?;

    check!(cx, "FF-BOO-021", looping.shutdown_prepare(GRACE).await, is_ok());

    let lapsing = held(cx, &a).await?;
    // The row that lapsed first comes first.
    check!(cx, "FF-BOO-021", lapsing.payload.execution_id, equals(first));
    cx.pass_time(TTL).await?;
    check!(cx, "FF-BOO-021", looping.ping().await, refused("Transport(Closed, No)"));
    check!(cx, "FF-BOO-021", looping.shutdown_prepare(Duration::ZERO).await, is_ok());
    turns_pass(cx, &a).await?;
    let log = "acquired 1, expired 1, reclaimed 2";
    check!(cx, "FF-BOO-021", lease_log(&cx.dump().await?, &first), reads(log));
    cx.connect(Client::new("another").scanners(eager())).await?;
    told(cx, &first, &format!("{log}, expired 2")).await
}

/// A backend with loops works like any other, and its loops disturb no claim.
///
/// Covers FF-BOO-020. Needs scanners.
pub async fn loops_leave_workers_alone(cx: &Cx) -> Verdict {
    let a = looping(cx, eager()).await?;
    for _ in 0..20 {
        let claimed = held(cx, &a).await?;
        cx.pass_time(TTL - ms(1)).await?;
        check!(cx, "FF-BOO-020", a.renew(&claimed.handle).await, is_ok());
        cx.pass_time(ms(1)).await?;
        check!(cx, "FF-BOO-020", a.complete(&claimed.handle, None).await, is_ok());
    }
    Ok(())
}
