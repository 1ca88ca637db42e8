//! Each checker is green on a burst of the memory backend, and red on the same burst once it is spoiled.

use ff_backend_memory::{Answer, Obs, Op};
use ff_core::{
    DeliverSignalResult, HandleKind, LeaseEventKind, LeaseHistoryEvent, LeaseId, LifecyclePhase, ReleaseReason,
    SignalDeliveryEffect, SignalEffect, SignalId,
};

use super::{Finding, check};
use crate::{Burst, BurstVerdict, Deed, Races, backends::memory::Memory, bursts::judge, recheck_burst, timeline};

const LABEL: &str = "memory";

fn begins(event: &LeaseHistoryEvent) -> bool {
    matches!(event.kind, LeaseEventKind::Acquired | LeaseEventKind::Reclaimed)
}

async fn burst() -> Burst {
    Races::one(&Memory, 5).await.unwrap()
}

async fn spoiled(spoil: impl FnOnce(&mut Burst)) -> Finding {
    let mut burst = burst().await;
    assert_eq!(check(&burst, LABEL), None);
    spoil(&mut burst);
    check(&burst, LABEL).expect("a spoiled burst is red")
}

#[tokio::test]
async fn a_lease_that_begins_before_the_other_ended_is_seen() {
    let found = spoiled(|burst| {
        let second = burst.log.leases.iter().find(|event| begins(event) && event.lease_epoch.0 == 2).unwrap().clone();
        let ends = |event: &LeaseHistoryEvent| {
            event.execution_id == second.execution_id && event.lease_epoch.0 == 1 && !begins(event)
        };
        burst.log.leases.retain(|event| !ends(event));
    })
    .await;
    assert_eq!((found.requirement, found.checker), ("FF-LSE-001", "lease exclusion"));
}

#[tokio::test]
async fn an_epoch_that_stays_is_seen() {
    let found = spoiled(|burst| {
        let second = burst.log.leases.iter_mut().find(|event| begins(event) && event.lease_epoch.0 == 2).unwrap();
        second.lease_epoch.0 = 1;
    })
    .await;
    assert_eq!(found.requirement, "FF-LSE-002");
}

#[tokio::test]
async fn a_second_end_of_a_lease_is_seen() {
    let found = spoiled(|burst| {
        let end = |event: &LeaseHistoryEvent| event.kind == LeaseEventKind::Released;
        let place = burst.log.leases.iter().position(end).unwrap();
        let again = burst.log.leases[place].clone();
        burst.log.leases.insert(place + 1, again);
    })
    .await;
    assert_eq!(found.requirement, "FF-LSE-003");
}

#[tokio::test]
async fn a_lapse_before_its_time_is_seen() {
    let found = spoiled(|burst| {
        let end = |event: &&mut LeaseHistoryEvent| event.kind == LeaseEventKind::Released;
        burst.log.leases.iter_mut().find(end).unwrap().kind = LeaseEventKind::Expired;
    })
    .await;
    assert_eq!(found.requirement, "FF-LSE-001");
}

#[tokio::test]
async fn a_holder_that_is_granted_after_the_next_one_is_seen() {
    let found = spoiled(|burst| {
        let taken = |deed: &Deed| match deed {
            Deed::Call { obs, .. } => match &**obs {
                Obs::Answered(Ok(Answer::Claim(Some(handle)))) => Some(handle.clone()),
                _ => None,
            },
            Deed::Clock(_) => None,
        };
        let claims = burst.calls.iter().filter_map(|recorded| Some((recorded.clone(), taken(&recorded.deed)?)));
        let claims: Vec<_> = claims.collect();
        let held = |handle: &ff_core::Handle| handle.decode(LABEL).unwrap();
        let old = claims.iter().find(|(_, old)| {
            claims.iter().any(|(_, new)| {
                let (old, new) = (held(old), held(new));
                old.execution_id == new.execution_id && old.fence.lease_epoch < new.fence.lease_epoch
            })
        });
        let (mut call, handle) = old.unwrap().clone();
        let end = burst.calls.iter().filter_map(|call| call.returned).max().unwrap();
        (call.invoked, call.returned) = (end + 1, Some(end + 2));
        let op = Box::new(Op::Progress { handle, percent: None, message: None });
        call.deed = Deed::Call { op, obs: Box::new(Obs::Answered(Ok(Answer::Done))) };
        burst.calls.push(call);
    })
    .await;
    assert_eq!(found.requirement, "FF-LSE-004");
}

#[tokio::test]
async fn a_claim_that_is_doubled_lost_or_unexpected_is_seen() {
    let found = spoiled(|burst| {
        let is_claim = |deed: &Deed| {
            matches!(deed, Deed::Call { obs, .. } if matches!(**obs, Obs::Answered(Ok(Answer::Claim(Some(_))))))
        };
        let again = burst.calls.iter().find(|recorded| is_claim(&recorded.deed)).unwrap().clone();
        burst.calls.push(again);
    })
    .await;
    assert_eq!((found.requirement, found.text.starts_with("doubled")), ("FF-LSE-001", true), "{found:?}");
    let found = spoiled(|burst| {
        let first = burst.log.leases.iter_mut().find(|event| event.kind == LeaseEventKind::Acquired).unwrap();
        first.lease_id = LeaseId::new();
    })
    .await;
    assert_eq!((found.requirement, found.text.starts_with("lost")), ("FF-LSE-003", true), "{found:?}");
    let found = spoiled(|burst| {
        for recorded in &mut burst.calls {
            if let Deed::Call { op, obs } = &mut recorded.deed
                && matches!(**op, Op::Claim { .. })
                && matches!(**obs, Obs::Answered(Ok(Answer::Claim(Some(ref handle)))) if handle.kind() == HandleKind::Fresh)
            {
                **obs = Obs::Answered(Ok(Answer::Claim(None)));
                break;
            }
        }
    })
    .await;
    assert_eq!((found.requirement, found.text.starts_with("unexpected")), ("FF-CLM-004", true), "{found:?}");
}

#[tokio::test]
async fn a_completion_that_is_lost_or_told_twice_is_seen() {
    let found = spoiled(|burst| drop(burst.log.completions.pop())).await;
    assert_eq!(found.requirement, "FF-SUB-001");
    let found = spoiled(|burst| {
        let again = burst.log.completions[0].clone();
        burst.log.completions.push(again);
    })
    .await;
    assert_eq!(found.requirement, "FF-SUB-001");
}

#[tokio::test]
async fn a_subscriber_that_misses_an_event_or_gets_another_order_is_seen() {
    let found = spoiled(|burst| drop(burst.feeds[0].leases.remove(1))).await;
    assert_eq!(found.requirement, "FF-SUB-003");
    let found = spoiled(|burst| burst.feeds[0].leases.reverse()).await;
    assert_eq!(found.requirement, "FF-SUB-003");
}

#[tokio::test]
async fn an_answer_that_no_order_explains_is_seen_with_the_way_up_to_it() {
    let mut burst = burst().await;
    assert_eq!(judge(&burst, LABEL, 1_000_000), BurstVerdict::Ok);
    let is_read = |deed: &Deed| {
        let Deed::Call { obs, .. } = deed else { return false };
        matches!(**obs, Obs::Answered(Ok(Answer::ReadExecutionInfo(Some(_)))))
    };
    let place = burst.calls.iter().rposition(|recorded| is_read(&recorded.deed)).unwrap();
    if let Deed::Call { obs, .. } = &mut burst.calls[place].deed {
        **obs = Obs::Answered(Ok(Answer::ReadExecutionInfo(None)));
    }
    let first = burst.calls.iter().position(|recorded| is_read(&recorded.deed)).unwrap();
    assert!(first <= place);
    let BurstVerdict::Violated(violation) = judge(&burst, LABEL, 1_000_000) else { panic!("it has an order") };
    assert_eq!((violation.requirement.as_str(), violation.checker.as_str()), ("FF-CON-001", "order"));
    assert!(violation.stuck.contains(&place) && violation.text.contains("the specification answers"), "{violation:?}");
    assert!(violation.prefix.len() + 2 >= place, "{violation:?}");
    let page = timeline(&burst, &violation);
    assert!(page.contains(&format!("id=c{place} class=stuck")) && page.contains("class=\"placed\""));
    assert_eq!(judge(&burst, LABEL, 1), BurstVerdict::Unknown);
}

#[tokio::test]
async fn work_that_is_left_behind_is_seen() {
    let found = spoiled(|burst| {
        let last = burst.calls.iter_mut().rev().find_map(|recorded| match &mut recorded.deed {
            Deed::Call { obs, .. } => match &mut **obs {
                Obs::Answered(Ok(Answer::ReadExecutionInfo(Some(info)))) => Some(info),
                _ => None,
            },
            Deed::Clock(_) => None,
        });
        last.unwrap().state.lifecycle_phase = LifecyclePhase::Runnable;
    })
    .await;
    assert_eq!((found.requirement, found.checker), ("FF-CLM-005", "liveness"));
}

#[tokio::test]
async fn a_burst_that_was_written_down_is_judged_the_same() {
    let mut burst = burst().await;
    let text = |burst: &Burst| serde_json::to_string(burst).unwrap();
    assert_eq!(recheck_burst(&text(&burst)), Ok((BurstVerdict::Ok, None)));
    burst.feeds[0].is_whole = false;
    let Ok((BurstVerdict::Violated(found), Some(page))) = recheck_burst(&text(&burst)) else {
        panic!("it is explained")
    };
    assert!(found.checker == "events" && page.contains("Found by <b>events</b>"));
    assert!(recheck_burst("{}").is_err());
}

/// What is found in the first burst with suspended work that `spoil` can spoil.
async fn spoiled_wait(spoil: impl Fn(&mut Burst) -> Option<()>) -> Finding {
    for seed in 0..100 {
        let mut burst = Races::one(&Memory, seed).await.unwrap();
        assert_eq!(check(&burst, LABEL), None);
        if spoil(&mut burst).is_some() {
            return check(&burst, LABEL).expect("a spoiled burst is red");
        }
    }
    panic!("no burst has what is to be spoiled")
}

/// Whoever reads the log in pieces reads the same.
fn told_alike(burst: &mut Burst) {
    let whole = burst.log.clone();
    burst.feeds.iter_mut().for_each(|feed| *feed = whole.clone());
}

#[tokio::test]
async fn a_suspension_that_two_signals_end_is_seen() {
    let found = spoiled_wait(|burst| {
        let is_end = |event: &ff_core::SignalDeliveryEvent| event.effect == SignalDeliveryEffect::Satisfied;
        let mut again = burst.log.signals.iter().find(|event| is_end(event))?.clone();
        again.signal_id = SignalId::new();
        burst.log.signals.push(again);
        told_alike(burst);
        Some(())
    })
    .await;
    assert_eq!((found.requirement, found.checker), ("FF-WPT-004", "waitpoints"));
}

#[tokio::test]
async fn a_signal_that_is_lost_or_counted_twice_is_seen() {
    let is_kept = |event: &ff_core::SignalDeliveryEvent| event.effect == SignalDeliveryEffect::Buffered;
    let found = spoiled_wait(|burst| {
        let place = burst.log.signals.iter().position(is_kept)?;
        burst.log.signals.remove(place);
        told_alike(burst);
        Some(())
    })
    .await;
    assert_eq!(found.requirement, "FF-WPT-027");
    let found = spoiled_wait(|burst| {
        let again = burst.log.signals.iter().find(|event| is_kept(event))?.clone();
        burst.log.signals.push(again);
        told_alike(burst);
        Some(())
    })
    .await;
    assert_eq!(found.requirement, "FF-WPT-008");
}

#[tokio::test]
async fn suspended_work_that_another_attempt_goes_on_with_is_seen() {
    let found = spoiled_wait(|burst| {
        let leases = &mut burst.log.leases;
        let place = leases.iter().position(|event| event.reason == Some(ReleaseReason::Suspend))?;
        let id = leases[place].execution_id;
        leases[place + 1..].iter_mut().find(|event| event.execution_id == id)?.kind = LeaseEventKind::Reclaimed;
        told_alike(burst);
        Some(())
    })
    .await;
    assert_eq!(found.requirement, "FF-WPT-002");
}

#[tokio::test]
async fn a_signal_that_is_accepted_after_the_end_of_its_suspension_is_seen() {
    let found = spoiled_wait(|burst| {
        let ends = |deed: &Deed| {
            let Deed::Call { obs, .. } = deed else { return false };
            let satisfied = SignalEffect::ResumeConditionSatisfied;
            matches!(&**obs, Obs::Answered(Ok(Answer::DeliverSignal(DeliverSignalResult::Accepted { effect, .. })))
                if *effect == satisfied)
        };
        let mut late = burst.calls.iter().find(|recorded| ends(&recorded.deed))?.clone();
        let end = burst.calls.iter().filter_map(|call| call.returned).max()?;
        (late.invoked, late.returned) = (end + 1, Some(end + 2));
        let Deed::Call { op, obs } = &mut late.deed else { return None };
        let Op::DeliverSignal(args) = &mut **op else { return None };
        (args.signal_id, args.idempotency_key) = (SignalId::new(), None);
        let (signal_id, effect) = (args.signal_id, SignalEffect::AppendedToWaitpoint);
        let told = burst.log.signals.iter().find(|event| event.waitpoint_id == args.waitpoint_id)?.clone();
        let effect_told = SignalDeliveryEffect::Buffered;
        burst.log.signals.push(ff_core::SignalDeliveryEvent { signal_id, effect: effect_told, ..told });
        **obs = Obs::Answered(Ok(Answer::DeliverSignal(DeliverSignalResult::Accepted { signal_id, effect })));
        burst.calls.push(late);
        told_alike(burst);
        Some(())
    })
    .await;
    assert_eq!(found.requirement, "FF-WPT-009");
}
