//! Reservations.

use ff_core::{
    CapabilitySet, ClaimExecutionArgs, ClaimForWorkerArgs, ClaimForWorkerOutcome, ClaimGrant, EngineError, ExecutionId,
    GrantKey, Handle, Jitter, UnclaimedReason,
};

use super::{Leased, Minted, kind};
use crate::{backend::ValkeyBackend, error::ValkeyError, executions::execution_id, fcall::Call, reply::Row};

pub(super) async fn claim_for_worker(
    backend: &ValkeyBackend,
    args: &ClaimForWorkerArgs,
) -> Result<ClaimForWorkerOutcome, ValkeyError> {
    let (ttl_ms, grant_key, lane) = (args.checked_ttl_ms()?, GrantKey::new(), &args.lane_id);
    let keys = &backend.keys;
    let names = [keys.root(), keys.lease_history(), keys.completions(), keys.due(lane), keys.sets(lane)];
    let call = Call::write("ff_claim_for_worker", &names)
        .arg(lane.as_str())
        .arg(args.worker_capabilities.joined())
        .arg(args.worker_id.as_str())
        .arg(args.worker_instance_id.as_str())
        .arg(ttl_ms)
        .arg(backend.limits.promote_per_claim)
        .arg(Jitter::draw().millionths())
        .arg(grant_key.to_string());
    let mut reply = backend.items(call).await?;
    match reply.text()?.as_str() {
        "none" => Ok(ClaimForWorkerOutcome::NoWork),
        "granted" => Ok(ClaimForWorkerOutcome::Granted(ClaimGrant {
            execution_id: execution_id(&reply.text()?)?,
            grant_key,
            expires_at: reply.instant()?,
            lane_id: lane.clone(),
        })),
        other => Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
    }
}

/// The lease that the grant stands for, or stood for if it is live; `only_resumed` refuses all but interrupted attempts.
pub(super) async fn redeem(
    backend: &ValkeyBackend,
    args: &ClaimExecutionArgs,
    only_resumed: bool,
) -> Result<Handle, EngineError> {
    let (ttl_ms, id, keys) = (args.check(&backend.limits)?, &args.grant.execution_id, &backend.keys);
    let names = [keys.root(), keys.lease_history(), keys.completions(), keys.core(id)];
    let call = Call::write("ff_claim_execution", &names)
        .arg(id.as_uuid().to_string())
        .arg(args.grant.grant_key.to_string())
        .arg(args.worker_id.as_str())
        .arg(args.worker_instance_id.as_str())
        .arg(ttl_ms);
    let mut reply = backend.items(call.minting(&Minted::new()).arg(u8::from(only_resumed))).await?;
    let lane_id = reply.parsed()?;
    let word = reply.text()?;
    let Some(kind) = kind(&word) else { return Err(reply.refusal(&word)?.into()) };
    let leased = Leased::read(&mut reply)?;
    let (attempt_id, lease_id) = (reply.parsed()?, reply.parsed()?);
    Ok(leased.handle(kind, lane_id, ttl_ms, &args.worker_instance_id, &Minted { lease_id, attempt_id })?)
}

pub(super) async fn explain_unclaimed(
    backend: &ValkeyBackend,
    id: &ExecutionId,
    capabilities: &CapabilitySet,
) -> Result<Option<UnclaimedReason>, ValkeyError> {
    backend.checked(id)?;
    let names = [backend.keys.root(), backend.keys.core(id)];
    let mut reply = backend.items(Call::read("ff_explain_unclaimed", &names)).await?;
    let (now, core) = (reply.instant()?, reply.hash()?);
    if core.is_absent() {
        return Ok(None);
    }
    let required = core.required_capabilities()?;
    Ok(Some(core.record(*id, Row::default())?.unclaimed_reason(&required, capabilities, now)))
}
