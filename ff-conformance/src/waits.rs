//! Cases of claims that wait for work.

use std::{sync::Arc, time::Duration};

use ff_core::{
    CapabilitySet, EngineBackend, EngineError, ExecutionId, ExecutionPolicy, FailureClass, FailureReason, Handle,
};
use futures::future::join;

use crate::{
    Cx, Stop, TTL, Verdict, check, equals,
    instants::{after, ms},
    is_none, is_true,
    stages::{held, held_as, retrying},
};

/// Longer than it takes until what a claim waits for has come.
const LONG: Duration = Duration::from_secs(30);

async fn waiting_claim(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    wait: Duration,
) -> Result<Result<Option<Handle>, EngineError>, Stop> {
    let policy = cx.worker("worker", TTL)?.max_wait(wait);
    Ok(client.claim(&cx.lane()?, &CapabilitySet::default(), policy).await)
}

fn taken(client: &Arc<dyn EngineBackend>, handle: Option<Handle>) -> Result<Option<ExecutionId>, Stop> {
    let payload = handle.map(|handle| handle.decode(client.backend_label())).transpose()?;
    Ok(payload.map(|payload| payload.execution_id))
}

/// Answers after `client` has reached the store some times: a claim that was sent before has looked by then.
async fn a_few_round_trips(client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    for _ in 0..20 {
        client.ping().await?;
    }
    Ok(())
}

/// A claim that waits takes the work that another client creates meanwhile.
///
/// Covers FF-CLM-013.
pub async fn claim_waits_until_work_is_created(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let create = async {
        a_few_round_trips(&b).await?;
        cx.created_plain(&b).await
    };

    let (claim, created) = join(waiting_claim(cx, &a, LONG), create).await;

    check!(cx, "FF-CLM-013", taken(&a, claim??)?, equals(Some(created?)));
    Ok(())
}

/// A claim that waits takes a delayed row when its instant comes.
///
/// Covers FF-CLM-013.
pub async fn claim_waits_until_a_delay_is_due(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let due = after(cx.now().await?, 3_600_000);
    let id = cx.created(&a, cx.execution()?.delay_until(due)).await?;
    let advance = async {
        a_few_round_trips(&b).await?;
        cx.set_time(due).await
    };

    let (claim, advanced) = join(waiting_claim(cx, &a, LONG), advance).await;

    advanced?;
    check!(cx, "FF-CLM-013", taken(&a, claim??)?, equals(Some(id)));
    Ok(())
}

/// A claim that waits takes over a lease when it runs out.
///
/// Covers FF-CLM-013.
pub async fn claim_waits_until_a_lease_runs_out(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let id = held(cx, &b).await?.payload.execution_id;
    let advance = async {
        a_few_round_trips(&b).await?;
        cx.pass_time(TTL).await
    };

    let (claim, advanced) = join(waiting_claim(cx, &a, LONG), advance).await;

    advanced?;
    check!(cx, "FF-CLM-013", taken(&a, claim??)?, equals(Some(id)));
    Ok(())
}

/// Claims that wait share the work that comes: each row goes to one of them.
///
/// Covers FF-CLM-004, FF-CLM-013.
pub async fn claims_that_wait_share_what_comes(cx: &Cx) -> Verdict {
    let (a, b, c) = (cx.client("a").await?, cx.client("b").await?, cx.client("c").await?);
    let create = async {
        a_few_round_trips(&c).await?;
        Ok::<_, Stop>([cx.created_plain(&c).await?, cx.created_plain(&c).await?])
    };

    let (first, (second, created)) = join(waiting_claim(cx, &a, LONG), join(waiting_claim(cx, &b, LONG), create)).await;

    let (mut got, mut created) = ([taken(&a, first??)?, taken(&b, second??)?], created?.map(Some));
    got.sort();
    created.sort();
    check!(cx, "FF-CLM-004", got, equals(created));
    check!(cx, "FF-CLM-013", got.iter().all(Option::is_some), is_true());
    Ok(())
}

/// A claim that waits for nothing answers no work when its wait is over.
///
/// Covers FF-CLM-013, FF-CLM-015.
pub async fn claim_gives_up_when_its_wait_is_over(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let written = cx.dump().await?;
    for wait in [Duration::ZERO, ms(1), ms(120)] {
        check!(cx, "FF-CLM-013", waiting_claim(cx, &a, wait).await??, is_none());
    }
    check!(cx, "FF-CLM-015", cx.dump().await?, equals(written));
    Ok(())
}

/// A claim that may wait takes work that is there at once.
///
/// Covers FF-CLM-013.
pub async fn claim_does_not_wait_for_work_that_is_there(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for wait in [Duration::ZERO, LONG] {
        let id = cx.created_plain(&a).await?;
        check!(cx, "FF-CLM-013", taken(&a, waiting_claim(cx, &a, wait).await??)?, equals(Some(id)));
    }
    Ok(())
}

/// Shorter than a claim takes that is not woken, longer than a wake-up takes on a busy machine.
const SOON: Duration = Duration::from_secs(3);

/// A claim that waits, with work that `arrive` makes after it has begun to wait: what came within [`SOON`].
async fn woken_by(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    other: &Arc<dyn EngineBackend>,
    arrive: impl Future<Output = Result<ExecutionId, Stop>>,
) -> Result<(Option<ExecutionId>, ExecutionId), Stop> {
    let arrive = async {
        a_few_round_trips(other).await?;
        arrive.await
    };
    let claim = tokio::time::timeout(SOON, waiting_claim(cx, client, LONG));
    let (claim, came) = join(claim, arrive).await;
    Ok((taken(client, claim.ok().transpose()?.transpose()?.flatten())?, came?))
}

/// Every way in which work arrives wakes a claim that waits in its lane, again and again.
///
/// Covers FF-CLM-030.
pub async fn claim_that_waits_is_woken_by_what_arrives(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    for _ in 0..3 {
        let (got, created) = woken_by(cx, &a, &b, cx.created_plain(&b)).await?;
        check!(cx, "FF-CLM-030", got, equals(Some(created)));
    }
    let policy = retrying(1, 0);
    let failing = held_as(cx, &b, cx.execution()?.policy(policy)).await?;
    let fails = async {
        b.fail(&failing.handle, FailureReason::new("broken"), FailureClass::Transient).await?;
        Ok(failing.payload.execution_id)
    };
    let (got, retried) = woken_by(cx, &a, &b, fails).await?;
    check!(cx, "FF-CLM-030", got, equals(Some(retried)));
    let held = held(cx, &b).await?;
    let delays = async {
        b.delay(&held.handle, cx.now().await?).await?;
        Ok(held.payload.execution_id)
    };
    let (got, delayed) = woken_by(cx, &a, &b, delays).await?;
    check!(cx, "FF-CLM-030", got, equals(Some(delayed)));
    Ok(())
}

/// Work for other lanes or other workers does not keep a claim from waiting, and work of its own still wakes it.
///
/// Covers FF-CLM-030.
pub async fn claim_that_waits_is_woken_behind_work_of_others(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let arrive = async {
        for n in 0..5 {
            cx.created(&b, cx.execution_in(&format!("other-{n}"))?).await?;
            let elsewhere = ExecutionPolicy::new().required_capabilities(CapabilitySet::try_new(["gpu"])?);
            cx.created(&b, cx.execution()?.policy(elsewhere)).await?;
        }
        a_few_round_trips(&b).await?;
        cx.created_plain(&b).await
    };
    let (got, created) = woken_by(cx, &a, &b, arrive).await?;
    check!(cx, "FF-CLM-030", got, equals(Some(created)));
    Ok(())
}

/// A claim that is woken for what is due later takes it when its instant comes.
///
/// Covers FF-CLM-030.
pub async fn claim_that_is_woken_too_early_waits_for_the_instant(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    for _ in 0..3 {
        let arrive = async {
            let due = after(cx.now().await?, 200);
            let id = cx.created(&b, cx.execution()?.delay_until(due)).await?;
            a_few_round_trips(&b).await?;
            cx.set_time(due).await?;
            Ok(id)
        };
        let (got, created) = woken_by(cx, &a, &b, arrive).await?;
        check!(cx, "FF-CLM-030", got, equals(Some(created)));
    }
    Ok(())
}
