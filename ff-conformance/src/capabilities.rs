//! Cases of what a backend declares: it is constant, it is true, and its numbers hold exactly.

use ff_core::{EngineError, ExecutionId, Operation, PageLimit, PartitionConfig};

use crate::{
    Cx, Stop, Verdict, check,
    crowds::created_many,
    denials::{self, Subject},
    equals,
    instants::ms,
    is_ok, is_true, refused, satisfies,
    stages::held,
};

/// Capabilities are the same at each call and from every client, before and after work, and when the store is closed.
///
/// Covers FF-CAP-004.
pub async fn capabilities_never_change(cx: &Cx) -> Verdict {
    let (a, b) = (cx.client("a").await?, cx.client("b").await?);
    let declared = a.capabilities();
    check!(cx, "FF-CAP-004", b.capabilities(), equals(declared.clone()));
    let claimed = held(cx, &b).await?;
    b.complete(&claimed.handle, None).await?;
    cx.pass_time(ms(86_400_000)).await?;
    check!(cx, "FF-CAP-004", a.capabilities(), equals(declared.clone()));
    check!(cx, "FF-CAP-004", cx.client("c").await?.capabilities(), equals(declared.clone()));
    a.shutdown_prepare(ms(1000)).await?;
    check!(cx, "FF-CAP-004", a.capabilities(), equals(declared.clone()));
    check!(cx, "FF-CAP-004", b.capabilities(), equals(declared));
    Ok(())
}

/// One label names the backend: in `backend_label`, in its capabilities and in its handles.
///
/// Covers FF-CAP-008.
pub async fn one_label_names_the_backend(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let label = a.backend_label();
    let well_formed = satisfies("1 to 16 bytes of a-z, 0-9 and -", |label: &&str| {
        (1..=16).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    });
    check!(cx, "FF-CAP-008", label, well_formed);
    check!(cx, "FF-CAP-008", a.capabilities().identity.label.as_str(), equals(label));
    check!(cx, "FF-CAP-008", cx.client("b").await?.backend_label(), equals(label));
    let claimed = held(cx, &a).await?;
    check!(cx, "FF-CAP-008", claimed.handle.backend().as_str(), equals(label));
    Ok(())
}

/// An input of exactly the declared size comes back; one byte more is refused and nothing is written.
///
/// Covers FF-CAP-007, FF-EXE-007.
pub async fn the_largest_input_is_exactly_as_declared(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let most = a.capabilities().limits.payload_bytes;
    let written = cx.dump().await?;
    let beyond = cx.execution()?.input_payload(vec![0xa5; most + 1]);
    check!(cx, "FF-CAP-007", a.create_execution(beyond).await, refused("Validation(PayloadTooLarge)"));
    check!(cx, "FF-CAP-007", cx.dump().await?, equals(written));

    let bytes = vec![0xa5; most];
    let args = cx.execution()?.input_payload(bytes.clone());
    let id = args.execution_id;
    check!(cx, "FF-CAP-007", a.create_execution(args).await, is_ok());
    check!(cx, "FF-EXE-007", cx.info(&a, &id).await?.input_payload == bytes, is_true());
    Ok(())
}

/// A result of exactly the declared size comes back; one byte more is refused and the work goes on.
///
/// Covers FF-CAP-007, FF-EXE-007.
pub async fn the_largest_result_is_exactly_as_declared(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let most = a.capabilities().limits.payload_bytes;
    let claimed = held(cx, &a).await?;
    let written = cx.dump().await?;
    let beyond = a.complete(&claimed.handle, Some(vec![0x5a; most + 1])).await;
    check!(cx, "FF-CAP-007", beyond, refused("Validation(PayloadTooLarge)"));
    check!(cx, "FF-CAP-007", cx.dump().await?, equals(written));

    let bytes = vec![0x5a; most];
    check!(cx, "FF-CAP-007", a.complete(&claimed.handle, Some(bytes.clone())).await, is_ok());
    let result = a.get_execution_result(&claimed.payload.execution_id).await?;
    check!(cx, "FF-EXE-007", result == Some(bytes), is_true());
    Ok(())
}

/// Ids of every partition below the declared number are accepted, the one at it is refused.
///
/// Covers FF-CAP-007.
pub async fn the_partitions_are_exactly_as_declared(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let partitions = a.capabilities().limits.partitions;
    check!(cx, "FF-CAP-007", PartitionConfig::new(partitions), is_ok());
    for (partition, fits) in [(0, true), (partitions - 1, true), (partitions, false)] {
        let mut args = cx.execution()?;
        args.execution_id = ExecutionId::from_parts(partition, args.execution_id.as_uuid());
        let answer = a.create_execution(args).await;
        check!(cx, "FF-CAP-007", (partition, answer.is_ok()), equals((partition, fits)));
    }
    Ok(())
}

/// The declared page is the largest that can be asked for.
///
/// Covers FF-CAP-007.
pub async fn the_largest_page_is_exactly_as_declared(cx: &Cx) -> Verdict {
    let a = cx.client("a").await?;
    let most = u32::from(a.capabilities().limits.page);
    check!(cx, "FF-CAP-007", PageLimit::new(most + 1), refused("Validation(InvalidInput)"));
    check!(cx, "FF-CAP-007", a.list_executions(None, PageLimit::new(most)?).await, is_ok());
    check!(cx, "FF-CAP-007", a.list_lanes(None, PageLimit::new(most)?).await, is_ok());
    check!(cx, "FF-CAP-007", a.list_executions(None, PageLimit::new(0)?).await, is_ok());
    Ok(())
}

/// The promotion of a claim is bounded by a number above 0.
///
/// Covers FF-CAP-007.
pub async fn the_promotion_of_a_claim_is_bounded(cx: &Cx) -> Verdict {
    let limits = cx.client("a").await?.capabilities().limits;
    check!(cx, "FF-CAP-007", limits.promote_per_claim, satisfies("is above 0", |bound: &u32| *bound > 0));
    Ok(())
}

/// An operation that a capability gates works if that is declared, and is otherwise denied before anything else.
async fn works_or_is_denied(cx: &Cx, op: Operation) -> Verdict {
    let a = cx.client("a").await?;
    let declared = a.capabilities().supports.offers(op);
    let empty = if declared { Ok(()) } else { denials::require(cx, op, &Subject::unknown(cx, &a)?).await };
    created_many(cx, &a, 3, |_, args| args).await?;
    let subject = Subject::held(cx, &a, held(cx, &a).await?)?;
    if !declared {
        // What a populated store shows comes first: there an operation can succeed that should not exist.
        denials::require(cx, op, &subject).await?;
        empty?;
        return Err(Stop::Denied(op.to_string()));
    }
    // What the call needs beside a lease, such as an interrupted attempt, is for the cases of its stem.
    let there = satisfies("is not denied", |answer: &Result<(), EngineError>| {
        !matches!(answer, Err(EngineError::Unavailable { .. }))
    });
    check!(cx, "FF-CAP-001", denials::called(op, &subject).await?, there);
    Ok(())
}

/// Listing executions works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn list_executions_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ListExecutions).await
}

/// Listing lanes works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn list_lanes_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ListLanes).await
}

/// Progress works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn progress_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::Progress).await
}

/// Creating several executions works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn create_executions_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::CreateExecutions).await
}

/// Listing attempts works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn list_attempts_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ListAttempts).await
}

/// Cancelling from outside works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn cancel_execution_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::CancelExecution).await
}

/// Changing a priority works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn change_priority_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ChangePriority).await
}

/// Replaying works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn replay_execution_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ReplayExecution).await
}

/// Setting a label works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn set_execution_tag_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SetExecutionTag).await
}

/// Completing several works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn complete_many_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::CompleteMany).await
}

/// Renewing several leases works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn renew_many_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::RenewMany).await
}

/// Revoking a lease works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn revoke_lease_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::RevokeLease).await
}

/// Claiming several works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn claim_many_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ClaimMany).await
}

/// Reserving work works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn claim_for_worker_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ClaimForWorker).await
}

/// Redeeming a grant works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn claim_execution_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ClaimExecution).await
}

/// Redeeming a grant of lapsed work works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn claim_from_reclaim_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ClaimFromReclaim).await
}

/// Redeeming a grant of an interrupted attempt works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn claim_resumed_execution_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ClaimResumedExecution).await
}

/// Explaining why work waits works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn explain_unclaimed_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ExplainUnclaimed).await
}

/// A subscription to the lease history works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn subscribe_lease_history_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SubscribeLeaseHistory).await
}

/// A subscription to completions from a cursor works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn subscribe_completion_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SubscribeCompletion).await
}

/// A subscription to what operators do works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn subscribe_operator_events_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SubscribeOperatorEvents).await
}

/// A subscription to what ends from now on works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn subscribe_completions_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SubscribeCompletions).await
}

/// A filtered subscription to what ends from now on works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn subscribe_completions_filtered_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SubscribeCompletionsFiltered).await
}

/// A pass of periodic work works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn scan_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::Scan).await
}

/// Suspending works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn suspend_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::Suspend).await
}

/// Suspending by the fence of a lease works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn suspend_by_triple_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SuspendByTriple).await
}

/// Opening a waitpoint works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn create_waitpoint_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::CreateWaitpoint).await
}

/// Reading the signals of a suspension works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn observe_signals_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ObserveSignals).await
}

/// Delivering a signal works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn deliver_signal_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::DeliverSignal).await
}

/// Resuming from outside works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn resume_execution_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ResumeExecution).await
}

/// Listing what is suspended works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn list_suspended_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ListSuspended).await
}

/// Listing open waitpoints works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn list_pending_waitpoints_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::ListPendingWaitpoints).await
}

/// Installing the first key works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn seed_waitpoint_hmac_secret_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SeedWaitpointHmacSecret).await
}

/// Installing the next key works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn rotate_waitpoint_hmac_secret_all_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::RotateWaitpointHmacSecretAll).await
}

/// A subscription to deliveries works if it is declared, and is otherwise denied before anything else.
///
/// Covers FF-CAP-001, FF-CAP-002, FF-CAP-003.
pub async fn subscribe_signal_delivery_works_or_is_denied(cx: &Cx) -> Verdict {
    works_or_is_denied(cx, Operation::SubscribeSignalDelivery).await
}
