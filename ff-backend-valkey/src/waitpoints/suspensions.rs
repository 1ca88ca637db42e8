//! How a suspension begins.

use std::time::Duration;

use ff_core::{
    AdditionalWaitpoint, AttemptIndex, BackendTag, EngineError, ExecutionId, HandleKind, HandlePayload, Keyring,
    LeaseEpoch, LeaseFence, SuspendArgs, SuspendOutcome, SuspendOutcomeDetails, WaitpointBinding, WaitpointId,
};

use super::ring::{self, Signed};
use crate::{
    backend::{LABEL, ValkeyBackend},
    error::ValkeyError,
    fcall::Call,
    reply::{Items, reason_letter},
};

/// Whose lease is given back: the execution, the fence, and what a handle says beyond it.
type Holder<'a> = (&'a ExecutionId, &'a LeaseFence, Option<(AttemptIndex, Duration)>);

pub(super) async fn suspend(
    backend: &ValkeyBackend,
    holder: Holder<'_>,
    args: &SuspendArgs,
    expected_key: Option<String>,
) -> Result<SuspendOutcome, EngineError> {
    let (id, ..) = holder;
    let keys = &backend.keys;
    let names = [
        keys.root(),
        keys.lease_history(),
        keys.completions(),
        keys.core(id),
        keys.waitpoints(id),
        keys.signals(id),
        keys.suspension(id),
        keys.suspend_keys(id),
        keys.observed(id),
        keys.ring(),
    ];
    let leaves = serde_json::to_string(&args.leaves()).map_err(|error| EngineError::corrupt(error.to_string()))?;
    let expected_key = expected_key.unwrap_or_default();
    let call = |ring: &Keyring, version: &str| {
        let call = began(Call::write("ff_suspend", &names), holder, args, (ring, version));
        let (_, _, of_handle) = holder;
        let call = call.arg(&leaves).arg(&expected_key).arg(milliseconds(of_handle.map(|(_, ttl)| ttl)));
        args.waitpoints.iter().fold(call, |call, binding| bound(call, ring, id, binding))
    };
    Ok(outcome(ring::signed(backend, call).await?, id)?)
}

/// The same call with everything up to the parts of the condition.
fn began(call: Call, holder: Holder<'_>, args: &SuspendArgs, (ring, version): (&Keyring, &str)) -> Call {
    let (id, fence, of_handle) = holder;
    call.arg(id.as_uuid().to_string())
        .arg(fence.lease_id.to_string())
        .arg(fence.lease_epoch.0)
        .arg(fence.attempt_id.to_string())
        .arg(of_handle.map(|(index, _)| index.0.to_string()).unwrap_or_default())
        .arg(version)
        .arg(ring.current.as_ref().map_or("", |kid| kid.as_str()))
        .arg(args.suspension_id.to_string())
        .arg(args.idempotency_key.as_deref().unwrap_or_default())
        .arg(args.timeout_at.map(|at| at.as_ms().to_string()).unwrap_or_default())
        .arg(args.timeout_behavior.map_or("", |behavior| behavior.as_str()))
        .arg(args.reason_code.as_str())
        .arg(reason_letter(args.reason_code.blocking_reason()))
        .arg(args.requested_by.as_str())
        .arg(args.continuation_metadata_pointer.as_ref().map(|text| format!("={text}")).unwrap_or_default())
        .arg(milliseconds(args.resume_policy.resume_delay))
}

/// The same call with one more waitpoint.
fn bound(call: Call, ring: &Keyring, id: &ExecutionId, binding: &WaitpointBinding) -> Call {
    let waitpoint = binding.waitpoint_id();
    let key = binding.waitpoint_key().unwrap_or_default();
    call.arg(waitpoint.to_string()).arg(key).arg(signature(ring, id, &waitpoint).1)
}

/// The key that signs and the fingerprint of a fresh token; empty without a key.
pub(super) fn signature(ring: &Keyring, id: &ExecutionId, waitpoint: &WaitpointId) -> (String, String) {
    ring.mint(id, waitpoint).map(|minted| (minted.kid.to_string(), minted.fingerprint)).unwrap_or_default()
}

/// A duration in milliseconds; none is the empty text.
pub(super) fn milliseconds(duration: Option<Duration>) -> String {
    duration.map(|duration| duration.as_millis().to_string()).unwrap_or_default()
}

fn outcome(mut answer: Signed, id: &ExecutionId) -> Result<SuspendOutcome, ValkeyError> {
    let suspended = match answer.word.as_str() {
        "suspended" => true,
        "satisfied" => false,
        _ => return Err(answer.refusal()),
    };
    let reply = &mut answer.reply;
    let suspension_id = reply.parsed()?;
    let receipt = receipt(reply, id)?;
    let mut waitpoints = Vec::new();
    while let Some(mut told) = reply.next_items()? {
        let (waitpoint_id, waitpoint_key, kid) = (told.parsed()?, told.text()?, told.parsed()?);
        let waitpoint_token = answer.ring.mint_again(&kid, id, &waitpoint_id)?.token;
        waitpoints.push(AdditionalWaitpoint { waitpoint_id, waitpoint_key, waitpoint_token });
    }
    if waitpoints.is_empty() {
        return Err(EngineError::corrupt("a suspension without waitpoints").into());
    }
    let AdditionalWaitpoint { waitpoint_id, waitpoint_key, waitpoint_token } = waitpoints.remove(0);
    let details = SuspendOutcomeDetails {
        suspension_id,
        waitpoint_id,
        waitpoint_key,
        waitpoint_token,
        additional_waitpoints: waitpoints,
    };
    if !suspended {
        return Ok(SuspendOutcome::AlreadySatisfied { details });
    }
    let handle = receipt.seal(BackendTag::try_new(LABEL)?, HandleKind::Suspended);
    Ok(SuspendOutcome::Suspended { details, handle })
}

/// The lease that was given back.
fn receipt(reply: &mut Items, id: &ExecutionId) -> Result<HandlePayload, ValkeyError> {
    let (lane_id, worker_instance_id) = (reply.parsed()?, reply.parsed()?);
    let (lease_id, lease_epoch, attempt_id) = (reply.parsed()?, LeaseEpoch(reply.parsed()?), reply.parsed()?);
    let attempt_index = AttemptIndex(reply.parsed()?);
    let lease_ttl = Duration::from_millis(reply.optional()?.unwrap_or_default());
    let fence = LeaseFence { lease_id, lease_epoch, attempt_id };
    Ok(HandlePayload { execution_id: *id, attempt_index, fence, lease_ttl, lane_id, worker_instance_id })
}
