//! Cases of the table of bad cases: each has one error, the same on every backend.

use ff_core::{
    CapabilitySet, ChangePriorityArgs, EngineError, ErrorClass, ExecutionId, ExecutionPolicy, Handle, LaneId,
    LifecyclePhase, Namespace, Operation, PageLimit, TerminalOutcome, WorkerId,
};

use crate::{
    Claimed, Cx, Stop, TTL, Verdict, answers, check, equals,
    forgeries::{damaged, foreign, naming},
    holders::{all_refused, code, holder_answers},
    instants::{after, ms},
    refused, refused_with, satisfies,
    stages::{backing_off, cancelled, completed, failed, held, lapsed, not_active},
};

/// An id that no execution has, in the same partition.
fn unknown(cx: &Cx) -> Result<ExecutionId, Stop> {
    Ok(cx.execution()?.execution_id)
}

/// Every write that names an unknown execution is refused as not found and brings nothing into being.
///
/// Covers FF-ERR-001.
pub async fn writes_to_an_unknown_execution_find_nothing(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;

    let forged = naming(&claimed, unknown(cx)?);

    check!(cx, "FF-ERR-001", holder_answers(&a, &forged).await, all_refused("NotFound(Execution)"));
    check!(cx, "FF-ERR-001", a.renew(&forged).await, refused_with(EngineError::execution_not_found()));
    check!(cx, "FF-ERR-001", cx.dump().await?, equals(written));
    Ok(())
}

/// Every read that names an unknown execution answers that there is none, in a store with and without others.
///
/// Covers FF-ERR-002.
pub async fn reads_of_an_unknown_execution_answer_none(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for _ in 0..2 {
        let id = unknown(cx)?;
        check!(cx, "FF-ERR-002", a.describe_execution(&id).await, answers(None));
        check!(cx, "FF-ERR-002", a.read_execution_state(&id).await, answers(None));
        check!(cx, "FF-ERR-002", a.read_execution_info(&id).await, answers(None));
        check!(cx, "FF-ERR-002", a.get_execution_result(&id).await, answers(None));
        completed(cx, &a).await?;
    }
    Ok(())
}

/// A handle that cannot be decoded is refused as damaged by every operation, and says so.
///
/// Covers FF-ERR-003.
pub async fn a_damaged_handle_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;
    let named = || {
        satisfies(
            "names the codec",
            |got: &Result<_, EngineError>| matches!(got, Err(EngineError::Validation { detail, .. }) if detail.starts_with("handle_codec: ")),
        )
    };
    for handle in damaged(&claimed) {
        check!(cx, "FF-ERR-003", holder_answers(&a, &handle).await, all_refused("Validation(Corruption)"));
        check!(cx, "FF-ERR-003", a.renew(&handle).await, named());
    }
    check!(cx, "FF-ERR-003", cx.dump().await?, equals(written));
    Ok(())
}

/// A handle of another backend, by its outer label, by its inner one or by both, is refused as foreign.
///
/// Covers FF-ERR-003.
pub async fn a_foreign_handle_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;
    for handle in foreign(&claimed)? {
        check!(cx, "FF-ERR-003", holder_answers(&a, &handle).await, all_refused("Validation(HandleFromOtherBackend)"));
    }
    check!(cx, "FF-ERR-003", cx.dump().await?, equals(written));
    Ok(())
}

/// A foreign handle of an execution that does not exist is foreign first.
///
/// Covers FF-ERR-003.
pub async fn a_foreign_handle_is_refused_before_it_is_looked_up(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut claimed = held(cx, &a).await?;
    claimed.payload.execution_id = unknown(cx)?;
    claimed.handle = claimed.payload.seal(claimed.handle.backend().clone(), claimed.handle.kind());
    for handle in foreign(&claimed)? {
        check!(cx, "FF-ERR-003", holder_answers(&a, &handle).await, all_refused("Validation(HandleFromOtherBackend)"));
    }
    Ok(())
}

/// The holder of work that is not active any more learns how it stands: outcome, phase, epoch and latest attempt.
///
/// Covers FF-ERR-004.
pub async fn a_holder_learns_how_its_work_stands(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let terminal = LifecyclePhase::Terminal;
    let deadline = after(cx.now().await?, 1000);
    let expired = cx.execution()?.execution_deadline_at(deadline);
    let expired = crate::stages::held_as(cx, &a, expired).await?;
    let stands: [(Claimed, TerminalOutcome, LifecyclePhase); 5] = [
        (completed(cx, &a).await?, TerminalOutcome::Success, terminal),
        (failed(cx, &a).await?, TerminalOutcome::Failed, terminal),
        (cancelled(cx, &a).await?, TerminalOutcome::Cancelled, terminal),
        (backing_off(cx, &a, 3_600_000).await?.0, TerminalOutcome::None, LifecyclePhase::Runnable),
        (expired, TerminalOutcome::Expired, terminal),
    ];
    cx.set_time(deadline).await?;
    for (claimed, outcome, phase) in stands {
        let refusal = || not_active(&claimed, outcome, phase);
        check!(cx, "FF-ERR-004", a.renew(&claimed.handle).await, refused_with(refusal()));
        check!(cx, "FF-ERR-004", a.progress(&claimed.handle, None, None).await, refused_with(refusal()));
    }
    Ok(())
}

/// The row that ended after a take-over names the attempt that took over, also to the holder before.
///
/// Covers FF-ERR-004.
pub async fn a_former_holder_learns_of_the_latest_attempt(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let old = lapsed(cx, &a).await?;
    let new = cx.claimed(&a, "other").await?;
    a.complete(&new.handle, None).await?;
    let ended = not_active(&new, TerminalOutcome::Success, LifecyclePhase::Terminal);
    check!(cx, "FF-ERR-004", a.complete(&old.handle, None).await, refused_with(ended));
    Ok(())
}

/// A holder whose lease ran out is told so; one whose work another took over is told that.
///
/// Covers FF-ERR-006, FF-ERR-007.
pub async fn a_lost_lease_is_expired_until_it_is_stale(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = lapsed(cx, &a).await?;
    check!(cx, "FF-ERR-006", holder_answers(&a, &claimed.handle).await, all_refused("State(LeaseExpired)"));
    cx.claimed(&a, "other").await?;
    check!(cx, "FF-ERR-007", holder_answers(&a, &claimed.handle).await, all_refused("State(StaleLease)"));
    Ok(())
}

/// An id of a partition that the store lacks is refused by every operation that takes one, bare or in a handle.
///
/// Covers FF-ERR-017.
pub async fn an_id_of_a_partition_beyond_the_store_is_refused(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;
    for partition in [a.capabilities().limits.partitions, u16::MAX] {
        let id = ExecutionId::from_parts(partition, unknown(cx)?.as_uuid());
        let mut args = cx.execution()?;
        args.execution_id = id;
        check!(cx, "FF-ERR-017", a.create_execution(args).await, refused("Validation(InvalidInput)"));
        check!(cx, "FF-ERR-017", a.describe_execution(&id).await, refused("Validation(InvalidInput)"));
        check!(cx, "FF-ERR-017", a.read_execution_state(&id).await, refused("Validation(InvalidInput)"));
        check!(cx, "FF-ERR-017", a.read_execution_info(&id).await, refused("Validation(InvalidInput)"));
        check!(cx, "FF-ERR-017", a.get_execution_result(&id).await, refused("Validation(InvalidInput)"));
        let supports = a.capabilities().supports;
        if supports.offers(Operation::ChangePriority) {
            let answer = a.change_priority(ChangePriorityArgs::new(id, 7)).await;
            check!(cx, "FF-ERR-017", answer, refused("Validation(InvalidInput)"));
        }
        if supports.offers(Operation::ExplainUnclaimed) {
            let answer = a.explain_unclaimed(&id, &CapabilitySet::default()).await;
            check!(cx, "FF-ERR-017", answer, refused("Validation(InvalidInput)"));
        }
        let forged = naming(&claimed, id);
        check!(cx, "FF-ERR-017", holder_answers(&a, &forged).await, all_refused("Validation(InvalidInput)"));
    }
    check!(cx, "FF-ERR-017", cx.dump().await?, equals(written));
    Ok(())
}

/// A policy of an unknown shape or with an unknown field is refused by name, and so is a bad required token.
///
/// Covers FF-ERR-017.
pub async fn a_malformed_policy_is_refused(cx: &Cx) -> Verdict {
    for (json, named) in [
        ("", "malformed"),
        ("[]", "not_object"),
        (r#"{"routing_requirements":[]}"#, "routing_requirements:not_object"),
        (r#"{"prioritie":1}"#, "prioritie"),
        (r#"{"timeout_policy":{"attempt_timeout_ms":0}}"#, "timeout_policy.attempt_timeout_ms"),
        (r#"{"timeout_policy":{"execution_deadline_ms":-1}}"#, "-1"),
        (r#"{"max_reclaim_count":1,"timeout_policy":{"max_reclaim_count":2}}"#, "max_reclaim_count"),
        (r#"{"fallback_policy":{"tiers":[]}}"#, "fallback_policy"),
        (r#"{"retry_policy":{"backoff":{"type":"linear"}}}"#, "linear"),
        (r#"{"retry_policy":{"max_retries":-1}}"#, "-1"),
        (r#"{"dedup_window_ms":0}"#, "dedup_window_ms"),
    ] {
        let refusal = ExecutionPolicy::from_json(json).map_err(|error| (error.code(), error.to_string()));
        let expectation = satisfies(
            format!("is refused with {named:?}"),
            move |got: &Result<_, (String, String)>| matches!(got, Err((code, text)) if code == "Validation(InvalidPolicyJson)" && text.contains(named)),
        );
        check!(cx, "FF-ERR-017", refusal, expectation);
    }
    for (tokens, rule) in [
        ("[1]", "non_string_token"),
        ("{}", "not_array"),
        (r#"["a b"]"#, "control_or_whitespace"),
        (r#"[""]"#, "empty_token"),
    ] {
        let json = format!(r#"{{"routing_requirements":{{"required_capabilities":{tokens}}}}}"#);
        let refusal = ExecutionPolicy::from_json(&json).map(drop);
        let expected = EngineError::validation(ff_core::ValidationKind::InvalidCapabilities, rule);
        check!(cx, "FF-ERR-017", refusal, refused_with(expected));
    }
    Ok(())
}

/// Names, sets and page sizes that break their rule cannot even be made.
///
/// Covers FF-ERR-017.
pub async fn malformed_names_and_sets_are_refused(cx: &Cx) -> Verdict {
    let long = "x".repeat(257);
    let as_error = EngineError::from;
    for name in ["", "nul\0", long.as_str()] {
        check!(cx, "FF-ERR-017", Namespace::try_new(name).map_err(as_error), refused("Validation(InvalidInput)"));
        check!(cx, "FF-ERR-017", WorkerId::try_new(name).map_err(as_error), refused("Validation(InvalidInput)"));
        check!(cx, "FF-ERR-017", LaneId::try_new(name).map_err(as_error), refused("Validation(InvalidInput)"));
    }
    for id in ["", "{fp:0}:", "0:00000000-0000-4000-8000-000000000001", "{fp:0}:nothing"] {
        let parsed = id.parse::<ExecutionId>().map_err(as_error);
        check!(cx, "FF-ERR-017", parsed, refused("Validation(InvalidInput)"));
    }
    check!(cx, "FF-ERR-017", CapabilitySet::try_new(["a,b"]), refused("Validation(InvalidCapabilities)"));
    check!(cx, "FF-ERR-017", PageLimit::new(1001), refused("Validation(InvalidInput)"));
    Ok(())
}

/// One handle for each way to lose an execution.
async fn lost_handles(cx: &Cx) -> Result<Vec<(Handle, ErrorClass)>, Stop> {
    let a = cx.client("a").await?;
    let stale = lapsed(cx, &a).await?;
    let current = cx.claimed(&a, "other").await?;
    let unknown = naming(&current, unknown(cx)?);
    let damaged = damaged(&current).swap_remove(0);
    let foreign = foreign(&current)?.swap_remove(0);
    let ended = completed(cx, &a).await?;
    cx.created_plain(&a).await?;
    let lapsed = cx.claimed_for(&a, "worker", ms(1)).await?;
    cx.pass_time(ms(1)).await?;
    Ok(vec![
        (stale.handle, ErrorClass::Terminal),
        (lapsed.handle, ErrorClass::Terminal),
        (ended.handle, ErrorClass::Retryable),
        (unknown, ErrorClass::Terminal),
        (damaged, ErrorClass::Terminal),
        (foreign, ErrorClass::Terminal),
    ])
}

/// Every refusal has the class that says what to do; a lost lease is never worth another try.
///
/// Covers FF-ERR-019.
pub async fn every_refusal_has_its_class(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (handle, class) in lost_handles(cx).await? {
        let refusal = a.renew(&handle).await.map_err(|error| (error.class(), error.code())).map(drop);
        let expectation = satisfies(
            format!("is refused as {class:?}"),
            move |got: &Result<(), (ErrorClass, String)>| matches!(got, Err((found, _)) if *found == class),
        );
        check!(cx, "FF-ERR-019", refusal, expectation);
    }
    Ok(())
}

/// No refusal by the contract hides in a transport fault, whoever asks and however often.
///
/// Covers FF-ERR-018.
pub async fn no_refusal_is_a_transport_fault(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let mut codes = Vec::new();
    for (handle, _) in lost_handles(cx).await? {
        for client in [&a, &cx.client("b").await?] {
            codes.extend(holder_answers(client, &handle).await.into_values());
        }
    }
    let mut bad = cx.execution()?;
    bad.execution_kind = String::new();
    codes.push(code(&a.create_execution(bad).await));
    let none = CapabilitySet::default();
    codes.push(code(&a.claim(&cx.lane()?, &none, cx.worker("worker", ms(0))?).await));
    let contract = satisfies("are refusals by the contract", |codes: &Vec<String>| {
        codes.iter().all(|code| !code.starts_with("Transport") && !code.starts_with("ResourceExhausted"))
    });
    check!(cx, "FF-ERR-018", codes, contract);
    Ok(())
}

/// After a refusal the same client goes on as if it had not asked.
///
/// Covers FF-ERR-018.
pub async fn a_refusal_leaves_the_client_usable(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    for (handle, _) in lost_handles(cx).await? {
        holder_answers(&a, &handle).await;
        cx.pass_time(TTL).await?;
        let fresh = cx.created(&a, cx.execution()?.priority(9)).await?;
        let claimed = cx.claimed(&a, "worker").await?;
        check!(cx, "FF-ERR-018", claimed.payload.execution_id, equals(fresh));
        check!(cx, "FF-ERR-018", a.complete(&claimed.handle, None).await, crate::is_ok());
    }
    Ok(())
}
