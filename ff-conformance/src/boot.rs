//! Cases of the engine itself: reached, prepared, and shut down.

use std::{sync::Arc, time::Duration};

use ff_core::{
    CapabilitySet, EngineBackend, FailureClass, FailureReason, Handle, Operation, PageLimit, PrepareOutcome,
};
use futures::future::{join, join_all};

use crate::{
    Cx, Stop, TTL, Verdict, answers, check,
    crowds::{claim_order, clients},
    equals,
    holders::{Answers, all_refused, code, holder_answers},
    instants::ms,
    is_ok, is_true, satisfies,
    stages::{completed, held},
};

const GRACE: Duration = Duration::from_secs(2);

/// A ping reaches the store, from every client and as often as one likes, and changes nothing.
///
/// Covers FF-BOO-005.
pub async fn ping_reaches_the_store(cx: &Cx) -> Verdict {
    let written = cx.dump().await?;
    for client in clients(cx, 3).await? {
        for _ in 0..3 {
            check!(cx, "FF-BOO-005", client.ping().await, is_ok());
        }
    }
    check!(cx, "FF-BOO-005", cx.dump().await?, equals(written));
    Ok(())
}

/// Preparing a store that is ready does nothing.
///
/// Covers FF-BOO-001.
pub async fn prepare_again_does_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    check!(cx, "FF-BOO-001", a.prepare().await, is_ok());
    completed(cx, &a).await?;
    held(cx, &a).await?;
    let written = cx.dump().await?;
    for client in [&a, &cx.client("b").await?] {
        check!(cx, "FF-BOO-001", client.prepare().await, answers(PrepareOutcome::NoOp));
    }
    check!(cx, "FF-BOO-001", cx.dump().await?, equals(written));
    Ok(())
}

/// Preparing from several clients at once succeeds for all, while others work.
///
/// Covers FF-BOO-001.
pub async fn prepare_at_once_succeeds_for_all(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    let Some(a) = clients.first() else { return Err(Stop::Errored("no client".to_owned())) };
    let work = async {
        for _ in 0..5 {
            completed(cx, a).await?;
        }
        Ok::<(), Stop>(())
    };
    let prepares = join_all(clients.iter().flat_map(|client| [client.prepare(), client.prepare()]));

    let (prepared, worked) = join(prepares, work).await;

    worked?;
    check!(cx, "FF-BOO-001", prepared.iter().map(code).collect::<Vec<_>>(), equals(vec!["Ok".to_owned(); 8]));
    check!(cx, "FF-BOO-001", a.prepare().await, answers(PrepareOutcome::NoOp));
    Ok(())
}

/// What every operation that reaches the store and is offered answers, those of a holder with `handle`.
async fn every_answer(cx: &Cx, client: &Arc<dyn EngineBackend>, handle: &Handle) -> Result<Answers, Stop> {
    let mut answers = holder_answers(client, handle).await;
    let args = cx.execution()?;
    let id = args.execution_id;
    let none = CapabilitySet::default();
    answers.extend([
        ("ping", code(&client.ping().await)),
        ("prepare", code(&client.prepare().await)),
        ("create_execution", code(&client.create_execution(args).await)),
        ("describe_execution", code(&client.describe_execution(&id).await)),
        ("read_execution_state", code(&client.read_execution_state(&id).await)),
        ("read_execution_info", code(&client.read_execution_info(&id).await)),
        ("get_execution_result", code(&client.get_execution_result(&id).await)),
        ("claim", code(&client.claim(&cx.lane()?, &none, cx.worker("worker", TTL)?).await)),
    ]);
    let supports = client.capabilities().supports;
    if supports.offers(Operation::ListExecutions) {
        answers.insert("list_executions", code(&client.list_executions(None, PageLimit::MAX).await));
    }
    if supports.offers(Operation::ListLanes) {
        answers.insert("list_lanes", code(&client.list_lanes(None, PageLimit::MAX).await));
    }
    Ok(answers)
}

/// After a shutdown every operation of that backend is refused as closed, and nothing is applied.
///
/// Covers FF-BOO-004, FF-BOO-006, FF-ERR-018.
pub async fn shutdown_prepare_closes_every_operation(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;

    check!(cx, "FF-BOO-006", a.shutdown_prepare(GRACE).await, is_ok());

    for _ in 0..2 {
        check!(cx, "FF-BOO-004", every_answer(cx, &a, &claimed.handle).await?, all_refused("Transport(Closed, No)"));
    }
    let fault = a.ping().await.map_err(|error| error.class());
    check!(cx, "FF-ERR-018", fault, equals(Err(ff_core::ErrorClass::Terminal)));
    check!(cx, "FF-BOO-004", cx.dump().await?, equals(written));
    Ok(())
}

/// A second shutdown succeeds and changes nothing, whatever its grace.
///
/// Covers FF-BOO-006.
pub async fn shutdown_prepare_again_succeeds(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    a.ping().await?;
    for grace in [GRACE, GRACE, Duration::ZERO, ms(1)] {
        check!(cx, "FF-BOO-006", a.shutdown_prepare(grace).await, is_ok());
    }
    check!(cx, "FF-BOO-006", a.ping().await.is_err(), is_true());
    Ok(())
}

/// A shutdown without any grace, and one before the first operation, succeed.
///
/// Covers FF-BOO-006, FF-BOO-004.
pub async fn shutdown_prepare_needs_no_grace(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    check!(cx, "FF-BOO-006", a.shutdown_prepare(Duration::ZERO).await, is_ok());
    check!(cx, "FF-BOO-004", a.ping().await, crate::refused("Transport(Closed, No)"));
    Ok(())
}

/// The shutdown of one client leaves the others alone, and the leases that it took go on.
///
/// Covers FF-BOO-004, FF-LSE-013.
pub async fn shutdown_prepare_leaves_other_clients_alone(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let claimed = held(cx, &a).await?;
    let other = cx.created_plain(&b).await?;

    a.shutdown_prepare(GRACE).await?;

    check!(cx, "FF-BOO-004", b.ping().await, is_ok());
    check!(cx, "FF-BOO-004", claim_order(cx, &b, 2).await?, equals(vec![other]));
    check!(cx, "FF-LSE-013", b.complete(&claimed.handle, None).await, is_ok());
    Ok(())
}

/// A claim that waits ends when its backend is shut down, and has taken nothing.
///
/// Covers FF-BOO-004, FF-BOO-006.
pub async fn shutdown_prepare_ends_a_claim_that_waits(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let policy = cx.worker("worker", TTL)?.max_wait(Duration::from_secs(3600));
    let (lane, none) = (cx.lane()?, CapabilitySet::default());
    let shutdown = async {
        for _ in 0..20 {
            b.ping().await?;
        }
        a.shutdown_prepare(GRACE).await
    };

    let (claim, shut) = join(a.claim(&lane, &none, policy), shutdown).await;

    check!(cx, "FF-BOO-006", shut, is_ok());
    let ended = satisfies("ends without work", |answer: &String| answer == "Ok" || answer == "Transport(Closed, No)");
    check!(cx, "FF-BOO-004", claim.as_ref().is_ok_and(Option::is_some), equals(false));
    check!(cx, "FF-BOO-004", code(&claim), ended);
    let id = cx.created_plain(&b).await?;
    check!(cx, "FF-BOO-004", claim_order(cx, &b, 1).await?, equals(vec![id]));
    Ok(())
}

/// Calls that are under way when the shutdown begins are answered: applied as they say, or refused as closed.
///
/// Covers FF-BOO-004, FF-BOO-006.
pub async fn shutdown_prepare_lets_calls_under_way_end(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let mut held_by_a = Vec::new();
    for _ in 0..12 {
        held_by_a.push(held(cx, &a).await?);
    }
    let fails =
        held_by_a.iter().map(|held| a.fail(&held.handle, FailureReason::new("broken"), FailureClass::Permanent));

    let (failed, shut) = join(join_all(fails), a.shutdown_prepare(GRACE)).await;

    check!(cx, "FF-BOO-006", shut, is_ok());
    for (held, answer) in held_by_a.iter().zip(failed) {
        let state = cx.info(&b, &held.payload.execution_id).await?.public_state;
        let told = (code(&answer), state.as_str());
        let fits = satisfies("tells what happened", |(answer, state): &(String, &str)| match answer.as_str() {
            "Ok" => *state == "failed",
            "Transport(Closed, No)" => *state == "active",
            _ => false,
        });
        check!(cx, "FF-BOO-004", told, fits);
    }
    Ok(())
}
