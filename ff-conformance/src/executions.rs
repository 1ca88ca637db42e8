//! Cases of creation: what a new execution is, and what a second create of it does.

use ff_core::{CreateExecutionResult, ExecutionPolicy, LeaseEpoch, PublicState, TimestampMs};
use futures::future::join_all;

use crate::{
    Cx, Verdict, answers, check,
    crowds::{claim_order, clients},
    equals,
    instants::{after, before, ms},
    is_none, is_true, satisfies,
    stages::{completed, retrying},
    words::{DELAYED, WAITING, attempt_log, completion_log, lease_log, reads, vector},
};

/// A create without options makes an execution that waits for a worker.
///
/// Covers FF-EXE-003, FF-EXE-006, FF-EXE-013, FF-EXE-024, FF-EXE-025.
pub async fn create_execution_makes_a_row_that_waits_for_a_worker(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let (now, args) = (cx.now().await?, cx.execution()?);
    let execution_id = args.execution_id;

    let answer = a.create_execution(args).await;

    let public_state = PublicState::Waiting;
    check!(cx, "FF-EXE-013", answer, answers(CreateExecutionResult::Created { execution_id, public_state }));
    let info = cx.info(&a, &execution_id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(WAITING));
    check!(cx, "FF-EXE-006", info.created_at, equals(now));
    check!(cx, "FF-EXE-024", (info.started_at, info.completed_at), equals((None, None)));
    check!(cx, "FF-EXE-025", (info.last_transition_at, info.last_mutation_at), equals((now, now)));
    check!(cx, "FF-EXE-013", info.delay_until, is_none());
    check!(
        cx,
        "FF-EXE-013",
        (info.current_lease_epoch, info.total_attempt_count, info.retry_count, info.lease_reclaim_count),
        equals((LeaseEpoch(0), 0, 0, 0))
    );
    check!(cx, "FF-EXE-013", (info.current_attempt, info.progress, info.failure_reason), equals((None, None, None)));
    Ok(())
}

/// A create whose delay lies ahead makes an execution that waits for that instant.
///
/// Covers FF-EXE-003, FF-EXE-014.
pub async fn create_execution_with_a_delay_ahead_waits_for_it(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 1);
    let args = cx.execution()?.delay_until(due);
    let execution_id = args.execution_id;

    let answer = a.create_execution(args).await;

    let public_state = PublicState::Delayed;
    check!(cx, "FF-EXE-014", answer, answers(CreateExecutionResult::Created { execution_id, public_state }));
    let info = cx.info(&a, &execution_id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(DELAYED));
    check!(cx, "FF-EXE-014", info.delay_until, equals(Some(due)));
    Ok(())
}

/// A delayed execution reads as waiting from exactly its due instant on, though nobody wrote anything.
///
/// Covers FF-EXE-003, FF-EXE-010, FF-EXE-014.
pub async fn a_delay_reads_as_over_from_its_due_instant_on(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 60_000);
    let id = cx.created(&a, cx.execution()?.delay_until(due)).await?;
    let written = cx.dump().await?;

    cx.set_time(before(due, 1)).await?;
    check!(cx, "FF-EXE-014", vector(&cx.info(&a, &id).await?), reads(DELAYED));
    cx.set_time(due).await?;
    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-003", vector(&info), reads(WAITING));
    check!(cx, "FF-EXE-014", info.delay_until, is_none());
    check!(cx, "FF-EXE-010", cx.dump().await?, equals(written));
    Ok(())
}

/// A delay in the past is none: the execution can be claimed at once.
///
/// Covers FF-EXE-003, FF-EXE-013.
pub async fn create_execution_takes_a_past_delay_for_none(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    for delay in [before(now, 1), before(now, 3_600_000), TimestampMs::from_ms(0)] {
        let args = cx.execution()?.delay_until(delay);
        let execution_id = args.execution_id;

        let answer = a.create_execution(args).await;

        let public_state = PublicState::Waiting;
        check!(cx, "FF-EXE-013", answer, answers(CreateExecutionResult::Created { execution_id, public_state }));
        check!(cx, "FF-EXE-003", vector(&cx.info(&a, &execution_id).await?), reads(WAITING));
        check!(cx, "FF-EXE-013", claim_order(cx, &a, 1).await?, equals(vec![execution_id]));
    }
    Ok(())
}

/// A delay until this very instant is none.
///
/// Covers FF-EXE-003, FF-EXE-013.
pub async fn create_execution_takes_a_delay_until_now_for_none(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let args = cx.execution()?.delay_until(cx.now().await?);
    let execution_id = args.execution_id;

    let answer = a.create_execution(args).await;

    let public_state = PublicState::Waiting;
    check!(cx, "FF-EXE-013", answer, answers(CreateExecutionResult::Created { execution_id, public_state }));
    check!(cx, "FF-EXE-003", vector(&cx.info(&a, &execution_id).await?), reads(WAITING));
    let claimed = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-013", claimed.payload.execution_id, equals(execution_id));
    Ok(())
}

/// Whatever a create gives is read back as it was given.
///
/// Covers FF-EXE-020.
pub async fn create_execution_keeps_every_argument(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 86_400_000);
    let mut args = cx
        .execution()?
        .input_payload("{\"a\": 1}")
        .payload_encoding("application/json; charset=utf-8")
        .priority(17)
        .creator_identity("Zoë \u{1f980} 'quoted' \"twice\" \\ {curly}\n")
        .tag("team.name", "größe")
        .tag("team.empty", "")
        .execution_deadline_at(deadline);
    args.execution_kind = "send mail: é\t%s $1 --".to_owned();
    args.namespace = cx.namespace("Ünter/namespace {1}")?;
    let id = cx.created(&a, args.clone()).await?;

    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-020", info.execution_id, equals(args.execution_id));
    check!(cx, "FF-EXE-020", info.namespace, equals(args.namespace));
    check!(cx, "FF-EXE-020", info.lane_id, equals(args.lane_id));
    check!(cx, "FF-EXE-020", info.execution_kind, equals(args.execution_kind));
    check!(cx, "FF-EXE-020", info.creator_identity, equals(args.creator_identity));
    check!(cx, "FF-EXE-020", info.input_payload, equals(args.input_payload));
    check!(cx, "FF-EXE-020", info.payload_encoding, equals(args.payload_encoding));
    check!(cx, "FF-EXE-020", info.priority, equals(17));
    check!(cx, "FF-EXE-020", info.execution_deadline_at, equals(Some(deadline)));
    let tags = a.describe_execution(&id).await?.map(|snapshot| snapshot.tags);
    check!(cx, "FF-EXE-020", tags, equals(Some(args.tags)));
    Ok(())
}

/// What a create does not give reads as absent, and the empty input as empty.
///
/// Covers FF-EXE-020.
pub async fn create_execution_leaves_out_what_it_was_not_given(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;

    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-020", (info.creator_identity, info.payload_encoding), equals((None, None)));
    check!(cx, "FF-EXE-020", (info.input_payload, info.priority), equals((Vec::new(), 0)));
    check!(cx, "FF-EXE-020", (info.delay_until, info.execution_deadline_at), equals((None, None)));
    let snapshot = a.describe_execution(&id).await?;
    check!(cx, "FF-EXE-020", snapshot.map(|snapshot| snapshot.tags.len()), equals(Some(0)));
    Ok(())
}

/// A priority out of range is clamped at both ends, and readers see the clamped value.
///
/// Covers FF-EXE-018.
pub async fn create_execution_clamps_the_priority(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (asked, effective) in [(i32::MIN, 0), (-1, 0), (0, 0), (1, 1), (9000, 9000), (9001, 9000), (i32::MAX, 9000)] {
        let id = cx.created(&a, cx.execution()?.priority(asked)).await?;
        check!(cx, "FF-EXE-018", cx.info(&a, &id).await?.priority, equals(effective));
        let by_policy = cx.execution()?.policy(ExecutionPolicy::new().priority(asked));
        let id = cx.created(&a, by_policy).await?;
        check!(cx, "FF-EXE-018", cx.info(&a, &id).await?.priority, equals(effective));
    }
    Ok(())
}

/// The priority of the create wins over that of its policy, which counts where the create says nothing.
///
/// Covers FF-EXE-019.
pub async fn create_execution_prefers_its_priority_to_the_policy(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let policy = ExecutionPolicy::new().priority(5);

    let both = cx.created(&a, cx.execution()?.priority(0).policy(policy.clone())).await?;
    let policy_only = cx.created(&a, cx.execution()?.policy(policy)).await?;

    check!(cx, "FF-EXE-019", cx.info(&a, &both).await?.priority, equals(0));
    check!(cx, "FF-EXE-019", cx.info(&a, &policy_only).await?.priority, equals(5));
    let claimed = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-019", claimed.payload.execution_id, equals(policy_only));
    Ok(())
}

/// The delay of the create wins over that of its policy, which counts where the create says nothing.
///
/// Covers FF-EXE-019.
pub async fn create_execution_prefers_its_delay_to_the_policy(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let now = cx.now().await?;
    let policy = ExecutionPolicy::new().delay_until(after(now, 1000));

    let later = cx.created(&a, cx.execution()?.delay_until(after(now, 5000)).policy(policy.clone())).await?;
    let at_once = cx.created(&a, cx.execution()?.delay_until(now).policy(policy.clone())).await?;
    let policy_only = cx.created(&a, cx.execution()?.policy(policy)).await?;

    check!(cx, "FF-EXE-019", cx.info(&a, &later).await?.delay_until, equals(Some(after(now, 5000))));
    check!(cx, "FF-EXE-019", cx.info(&a, &at_once).await?.public_state, equals(PublicState::Waiting));
    check!(cx, "FF-EXE-019", cx.info(&a, &policy_only).await?.delay_until, equals(Some(after(now, 1000))));
    Ok(())
}

/// A second create of one id is a duplicate; what it says is not compared and changes nothing.
///
/// Covers FF-EXE-015.
pub async fn create_execution_of_a_known_id_is_a_duplicate(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let args = cx.execution()?.input_payload("first").priority(1);
    let execution_id = cx.created(&a, args.clone()).await?;
    cx.pass_time(ms(1)).await?;
    let written = cx.dump().await?;

    let mut other = cx.execution_in("another-lane")?.input_payload("second").priority(9).tag("a.b", "c");
    other.execution_id = execution_id;
    for repeat in [args, other.idempotency_key("key").policy(retrying(1, 1))] {
        let answer = b.create_execution(repeat).await;
        check!(cx, "FF-EXE-015", answer, answers(CreateExecutionResult::Duplicate { execution_id }));
    }
    check!(cx, "FF-EXE-015", cx.dump().await?, equals(written));
    Ok(())
}

/// A second create of one id is a duplicate also when the execution is held or has ended.
///
/// Covers FF-EXE-015.
pub async fn create_execution_of_an_ended_id_is_a_duplicate(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let ended = completed(cx, &a).await?.payload.execution_id;
    let held = cx.created_plain(&a).await?;
    cx.claimed(&a, "worker").await?;
    let written = cx.dump().await?;

    for execution_id in [ended, held] {
        let mut repeat = cx.execution()?;
        repeat.execution_id = execution_id;
        let answer = a.create_execution(repeat).await;
        check!(cx, "FF-EXE-015", answer, answers(CreateExecutionResult::Duplicate { execution_id }));
    }
    check!(cx, "FF-EXE-015", cx.dump().await?, equals(written));
    Ok(())
}

/// Of many creates of one id at the same time one creates and the others are duplicates.
///
/// Covers FF-EXE-015.
pub async fn create_execution_of_one_id_at_once_creates_once(cx: &Cx) -> Verdict {
    let clients = clients(cx, 4).await?;
    for _ in 0..5 {
        let args = cx.execution()?;
        let execution_id = args.execution_id;
        let creates = clients.iter().flat_map(|client| [client, client]).map(|client| {
            let args = args.clone();
            client.create_execution(args)
        });

        let results = join_all(creates).await.into_iter().collect::<Result<Vec<_>, _>>()?;

        let first = CreateExecutionResult::Created { execution_id, public_state: PublicState::Waiting };
        let (created, others): (Vec<_>, Vec<_>) = results.into_iter().partition(|result| *result == first);
        check!(cx, "FF-EXE-015", created.len(), equals(1));
        let again = CreateExecutionResult::Duplicate { execution_id };
        check!(cx, "FF-EXE-015", others.iter().all(|result| *result == again), is_true());
    }
    Ok(())
}

/// A create tells no event and starts no attempt.
///
/// Covers FF-LSE-010, FF-SUB-001.
pub async fn create_execution_tells_no_event(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let due = after(cx.now().await?, 1000);
    for args in [cx.execution()?, cx.execution()?.delay_until(due), cx.execution()?.execution_deadline_at(due)] {
        let id = cx.created(&a, args).await?;
        let dump = cx.dump().await?;
        check!(cx, "FF-LSE-010", (lease_log(&dump, &id), attempt_log(&dump, &id)), equals(Default::default()));
        check!(cx, "FF-SUB-001", completion_log(&dump, &id), reads(""));
    }
    Ok(())
}

/// `created_at` never changes and `started_at` is that of the first claim, through retry, take-over and completion.
///
/// Covers FF-EXE-006, FF-EXE-024.
pub async fn created_at_and_started_at_are_set_once(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let created_at = cx.now().await?;
    let id = cx.created(&a, cx.execution()?.policy(retrying(1, 10))).await?;
    cx.pass_time(ms(7)).await?;
    let started_at = cx.now().await?;
    let first = cx.claimed_for(&a, "worker", ms(100)).await?;
    a.fail(&first.handle, ff_core::FailureReason::new("broken"), ff_core::FailureClass::Transient).await?;
    cx.pass_time(ms(10)).await?;
    cx.claimed_for(&a, "worker", ms(100)).await?;
    cx.pass_time(ms(100)).await?;
    let third = cx.claimed_for(&a, "worker", ms(100)).await?;
    cx.pass_time(ms(1)).await?;
    check!(cx, "FF-EXE-024", cx.info(&a, &id).await?.completed_at, is_none());
    a.complete(&third.handle, None).await?;
    let completed_at = cx.now().await?;
    cx.pass_time(ms(1)).await?;

    let info = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-006", info.created_at, equals(created_at));
    check!(cx, "FF-EXE-024", (info.started_at, info.completed_at), equals((Some(started_at), Some(completed_at))));
    Ok(())
}

/// Each write moves `last_mutation_at`, each transition `last_transition_at` too, and time alone neither.
///
/// Covers FF-EXE-025.
pub async fn writes_and_transitions_leave_their_instant(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let id = cx.created_plain(&a).await?;
    cx.pass_time(ms(1)).await?;
    let claimed_at = cx.now().await?;
    let claimed = cx.claimed(&a, "worker").await?;
    let stamps = |info: ff_core::ExecutionInfo| (info.last_transition_at, info.last_mutation_at);
    check!(cx, "FF-EXE-025", stamps(cx.info(&a, &id).await?), equals((claimed_at, claimed_at)));

    cx.pass_time(ms(1)).await?;
    let renewed_at = cx.now().await?;
    a.renew(&claimed.handle).await?;
    check!(cx, "FF-EXE-025", stamps(cx.info(&a, &id).await?), equals((claimed_at, renewed_at)));

    cx.pass_time(ms(1)).await?;
    let told_at = cx.now().await?;
    a.progress(&claimed.handle, Some(1), None).await?;
    check!(cx, "FF-EXE-025", stamps(cx.info(&a, &id).await?), equals((claimed_at, told_at)));

    cx.pass_time(crate::TTL).await?;
    let lapsed = cx.info(&a, &id).await?;
    check!(cx, "FF-EXE-025", stamps(lapsed), equals((claimed_at, told_at)));

    let taken_at = cx.now().await?;
    let second = cx.claimed(&a, "worker").await?;
    check!(cx, "FF-EXE-025", stamps(cx.info(&a, &id).await?), equals((taken_at, taken_at)));
    cx.pass_time(ms(1)).await?;
    let ended_at = cx.now().await?;
    a.cancel(&second.handle, "over").await?;
    check!(cx, "FF-EXE-025", stamps(cx.info(&a, &id).await?), equals((ended_at, ended_at)));
    Ok(())
}

/// An execution that has ended stays as it ended, however much time passes.
///
/// Covers FF-EXE-005.
pub async fn an_end_is_final(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let deadline = after(cx.now().await?, 60_000);
    let id = cx.created(&a, cx.execution()?.execution_deadline_at(deadline)).await?;
    let claimed = cx.claimed(&a, "worker").await?;
    a.complete(&claimed.handle, None).await?;
    let (written, info) = (cx.dump().await?, cx.info(&a, &id).await?);

    for span in [ms(30_000), ms(30_000), ms(86_400_000)] {
        cx.pass_time(span).await?;
        check!(
            cx,
            "FF-EXE-005",
            cx.try_claim(&a, "worker", crate::TTL).await?,
            satisfies("is no work", Option::is_none)
        );
    }
    check!(cx, "FF-EXE-005", cx.info(&a, &id).await?, equals(info));
    check!(cx, "FF-EXE-005", cx.dump().await?, equals(written));
    Ok(())
}
