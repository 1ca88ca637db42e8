//! The time-bound right to work; epochs fence the stale holder.

use async_trait::async_trait;
use ff_core::{
    EngineError, Handle, HandlePayload, LeaseEpoch, LeaseRenewal, Leases, Limits, RevokeLeaseArgs, RevokeLeaseResult,
    WorkerInstanceId,
};

use crate::{backend::ValkeyBackend, error::ValkeyError, fcall::Call, reply::Items};

#[ff_observe::observed]
#[async_trait]
impl Leases for ValkeyBackend {
    async fn renew(&self, handle: &Handle) -> Result<LeaseRenewal, EngineError> {
        let held = self.opened(handle)?;
        let call = Call::write("ff_renew", &[self.keys.root(), self.keys.core(&held.execution_id)]);
        let call = renewing(call, &held);
        Ok(renewal(&mut self.items(call).await?, &held)?)
    }

    async fn renew_many(&self, handles: &[Handle]) -> Result<Vec<Result<LeaseRenewal, EngineError>>, EngineError> {
        Limits::check_batch(handles.len(), 0)?;
        let items = handles.iter().map(|handle| self.opened(handle)).collect();
        let call = Call::write("ff_renew_many", &[self.keys.root()]);
        Ok(self.each(call, items, renewing, renewal).await?)
    }

    async fn revoke_lease(&self, args: RevokeLeaseArgs) -> Result<RevokeLeaseResult, EngineError> {
        args.check(&self.limits)?;
        let (keys, id) = (&self.keys, &args.execution_id);
        let names = [keys.root(), keys.lease_history(), keys.operator_events(), keys.core(id)];
        let call = Call::write("ff_revoke_lease", &names)
            .arg(id.as_uuid().to_string())
            .arg(&args.reason)
            .arg(args.expected_lease_id.map(|lease| lease.to_string()).unwrap_or_default())
            .arg(args.worker_instance_id.as_ref().map(WorkerInstanceId::as_str).unwrap_or_default());
        let mut reply = self.items(call).await?;
        match reply.text()?.as_str() {
            "revoked" => Ok(RevokeLeaseResult::Revoked {
                lease_id: reply.parsed()?,
                lease_epoch: LeaseEpoch(reply.number::<u64>()?),
            }),
            "skipped" => Ok(RevokeLeaseResult::AlreadySatisfied { reason: reply.parsed()? }),
            "not_active" => Err(reply.not_active()?),
            other => Err(ValkeyError::Reply(format!("{other:?} was not expected")).into()),
        }
    }
}

/// The same with what a renewal says of a lease.
fn renewing(call: Call, held: &HandlePayload) -> Call {
    call.fenced(held).arg(u64::try_from(held.lease_ttl.as_millis()).unwrap_or(u64::MAX).min(Limits::DURATION_MS))
}

/// What a renewal answers.
fn renewal(reply: &mut Items, held: &HandlePayload) -> Result<LeaseRenewal, ValkeyError> {
    match reply.text()?.as_str() {
        "renewed" => Ok(LeaseRenewal { expires_at: reply.instant()?, lease_epoch: held.fence.lease_epoch }),
        other => Err(reply.refusal(other)?),
    }
}
