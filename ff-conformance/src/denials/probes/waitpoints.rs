//! The calls with which the suite asks for suspended work, its signals and their tokens.

use ff_core::{
    CompositeBody, DeliverSignalArgs, ExecutionId, Handle, Kid, ListPendingWaitpointsArgs, PageLimit, ResumeCondition,
    ResumeExecutionArgs, RotateWaitpointHmacSecretAllArgs, SeedWaitpointHmacSecretArgs, SignalId, SigningSecret,
    SuspendArgs, SuspendedCursor, SuspensionId, SuspensionReasonCode, TimestampMs, WaitpointBinding, WaitpointId,
    WaitpointToken,
};

use super::{Asked, GOOD, Subject};
use crate::TTL;

/// A suspension that an operator ends.
fn suspension() -> SuspendArgs {
    let reason = SuspensionReasonCode::ManualPause;
    SuspendArgs::new(SuspensionId::new(), vec![WaitpointBinding::fresh()], ResumeCondition::OperatorOnly, reason)
}

/// A suspension that breaks every rule.
fn malformed() -> SuspendArgs {
    let mut args = suspension();
    args.waitpoints.clear();
    args.resume_condition = ResumeCondition::Composite(CompositeBody::AllOf { members: Vec::new() });
    args
}

/// Ids of the subject and of no partition.
fn ids(subject: &Subject) -> [(&'static str, ExecutionId); 2] {
    [(GOOD, subject.id()), ("an id beyond all partitions", subject.beyond())]
}

pub(super) fn suspend(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, handle: Handle, args: SuspendArgs| {
        subject.asks(arguments, move |with| async move { with.client.suspend(&handle, args).await })
    };
    let held = || subject.claimed.handle.clone();
    let mut calls =
        vec![call(GOOD, held(), suspension()), call("a suspension without a waitpoint", held(), malformed())];
    let junk = subject.junk_handles().into_iter();
    calls.extend(junk.map(|handle| call("a handle that is none", handle, suspension())));
    calls
}

pub(super) fn suspend_by_triple(subject: &Subject) -> Vec<Asked> {
    let fence = subject.claimed.payload.fence;
    let call = |arguments, id, args: SuspendArgs| {
        subject.asks(arguments, move |with| async move { with.client.suspend_by_triple(id, fence, args).await })
    };
    let mut calls: Vec<_> = ids(subject).map(|(arguments, id)| call(arguments, id, suspension())).into();
    calls.push(call("a suspension without a waitpoint", subject.id(), malformed()));
    calls
}

pub(super) fn create_waitpoint(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, handle: Handle, key: &'static str, life| {
        subject.asks(arguments, move |with| async move { with.client.create_waitpoint(&handle, key, life).await })
    };
    let held = || subject.claimed.handle.clone();
    let endless = std::time::Duration::MAX;
    let mut calls = vec![
        call(GOOD, held(), "approval", TTL),
        call("a key that is none and a life out of range", held(), "\0", endless),
    ];
    calls.extend(subject.junk_handles().into_iter().map(|handle| call("a handle that is none", handle, "a", TTL)));
    calls
}

pub(super) fn observe_signals(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, handle: Handle| {
        subject.asks(arguments, move |with| async move { with.client.observe_signals(&handle).await })
    };
    let mut calls = vec![call(GOOD, subject.claimed.handle.clone())];
    calls.extend(subject.junk_handles().into_iter().map(|handle| call("a handle that is none", handle)));
    calls
}

pub(super) fn deliver_signal(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, id, name: &str| {
        let token = WaitpointToken::new(format!("kid:{}", "0".repeat(64)));
        let args = DeliverSignalArgs::new(id, WaitpointId::new(), token, SignalId::new(), name);
        subject.asks(arguments, move |with| async move { with.client.deliver_signal(args).await })
    };
    let mut calls: Vec<_> = ids(subject).map(|(arguments, id)| call(arguments, id, "approve")).into();
    calls.push(call("a name that is none", subject.id(), "\0"));
    calls
}

pub(super) fn resume_execution(subject: &Subject) -> Vec<Asked> {
    let call = |(arguments, id)| {
        let args = ResumeExecutionArgs::new(id, "reviewed");
        subject.asks(arguments, move |with| async move { with.client.resume_execution(args).await })
    };
    ids(subject).map(call).into()
}

pub(super) fn list_suspended(subject: &Subject) -> Vec<Asked> {
    let page = |arguments, cursor| {
        subject.asks(arguments, move |with| async move { with.client.list_suspended(cursor, PageLimit::MAX).await })
    };
    let behind = |execution_id| Some(SuspendedCursor { suspended_at: TimestampMs::from_ms(0), execution_id });
    let mut calls = vec![page(GOOD, None)];
    calls.extend(ids(subject).map(|(arguments, id)| page(arguments, behind(id))));
    calls
}

pub(super) fn list_pending_waitpoints(subject: &Subject) -> Vec<Asked> {
    let page = |(arguments, id)| {
        let args = ListPendingWaitpointsArgs::new(id).after(Some(WaitpointId::new()));
        subject.asks(arguments, move |with| async move { with.client.list_pending_waitpoints(args).await })
    };
    ids(subject).map(page).into()
}

/// A key and its secret.
fn key(kid: &str, byte: u8) -> Option<(Kid, SigningSecret)> {
    Some((Kid::try_new(kid).ok()?, SigningSecret::from_bytes([byte; 32]).ok()?))
}

pub(super) fn seed_waitpoint_hmac_secret(subject: &Subject) -> Vec<Asked> {
    let call = |(kid, secret)| {
        let args = SeedWaitpointHmacSecretArgs::new(kid, secret);
        subject.asks(GOOD, move |with| async move { with.client.seed_waitpoint_hmac_secret(args).await })
    };
    key("probe", 7).into_iter().map(call).collect()
}

pub(super) fn rotate_waitpoint_hmac_secret_all(subject: &Subject) -> Vec<Asked> {
    let call = |arguments, kid, secret, grace| {
        let args = RotateWaitpointHmacSecretAllArgs::new(kid, secret, grace);
        subject.asks(arguments, move |with| async move { with.client.rotate_waitpoint_hmac_secret_all(args).await })
    };
    let good = key("probe", 7).map(|(kid, secret)| call(GOOD, kid, secret, TTL));
    let endless = std::time::Duration::MAX;
    let junk = key("other", 8).map(|(kid, secret)| call("a grace out of range", kid, secret, endless));
    good.into_iter().chain(junk).collect()
}
