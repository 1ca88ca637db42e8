//! Suspended work: what it waits for, who may signal it, and how it goes on.

mod listings;
mod ring;
mod suspensions;

use std::time::Duration;

use async_trait::async_trait;
use ff_core::{
    DeliverSignalArgs, DeliverSignalResult, EngineError, ExecutionId, Handle, HandleKind, Keyring, Kid, LeaseFence,
    ListPendingWaitpointsArgs, ListPendingWaitpointsResult, ListSuspendedPage, PageLimit, PendingWaitpoint,
    PublicState, ResumeExecutionArgs, ResumeExecutionResult, ResumeSignal, RotateWaitpointHmacSecretAllArgs,
    RotateWaitpointHmacSecretAllResult, RotateWaitpointHmacSecretOutcome, SeedOutcome, SeedWaitpointHmacSecretArgs,
    StateKind, SuspendArgs, SuspendOutcome, SuspendedCursor, TokenFault, WaitpointId, Waitpoints,
};

pub(crate) use ring::Ring;

use crate::{attempts::with, backend::ValkeyBackend, fcall::Call, reply::unknown};

#[ff_observe::observed]
#[async_trait]
impl Waitpoints for ValkeyBackend {
    async fn suspend(&self, handle: &Handle, args: SuspendArgs) -> Result<SuspendOutcome, EngineError> {
        let held = self.opened(handle)?;
        if handle.kind() == HandleKind::Suspended {
            return Err(EngineError::State(StateKind::AlreadySuspended));
        }
        let expected = args.check()?;
        let index = Some((held.attempt_index, held.lease_ttl));
        suspensions::suspend(self, (&held.execution_id, &held.fence, index), &args, expected).await
    }

    async fn suspend_by_triple(
        &self,
        exec_id: ExecutionId,
        triple: LeaseFence,
        args: SuspendArgs,
    ) -> Result<SuspendOutcome, EngineError> {
        let expected = args.check()?;
        self.checked(&exec_id)?;
        suspensions::suspend(self, (&exec_id, &triple, None), &args, expected).await
    }

    async fn create_waitpoint(
        &self,
        handle: &Handle,
        waitpoint_key: &str,
        expires_in: Duration,
    ) -> Result<PendingWaitpoint, EngineError> {
        let expires_in_ms = PendingWaitpoint::check(waitpoint_key, expires_in)?;
        let (held, fresh) = (self.opened(handle)?, WaitpointId::new());
        let (keys, id) = (&self.keys, &held.execution_id);
        let names = [keys.root(), keys.core(id), keys.waitpoints(id), keys.ring()];
        let call = |ring: &Keyring, version: &str| {
            let (kid, fingerprint) = suspensions::signature(ring, id, &fresh);
            Call::write("ff_create_waitpoint", &names)
                .fenced(&held)
                .arg(version)
                .arg(kid)
                .arg(fresh.to_string())
                .arg(waitpoint_key)
                .arg(fingerprint)
                .arg(expires_in_ms)
        };
        let mut answer = ring::signed(self, call).await?;
        if answer.word != "pending" {
            return Err(answer.refusal().into());
        }
        let (waitpoint_id, kid): (WaitpointId, Kid) = (answer.reply.parsed()?, answer.reply.parsed()?);
        let hmac_token = answer.ring.mint_again(&kid, id, &waitpoint_id)?.token;
        Ok(PendingWaitpoint { waitpoint_id, hmac_token, expires_at: answer.reply.instant()? })
    }

    async fn observe_signals(&self, handle: &Handle) -> Result<Vec<ResumeSignal>, EngineError> {
        let held = self.opened(handle)?;
        Ok(listings::observe_signals(self, &held).await?)
    }

    async fn deliver_signal(&self, args: DeliverSignalArgs) -> Result<DeliverSignalResult, EngineError> {
        args.check()?;
        self.checked(&args.execution_id)?;
        deliver(self, &args).await
    }

    async fn resume_execution(&self, args: ResumeExecutionArgs) -> Result<ResumeExecutionResult, EngineError> {
        let delay_ms = args.check(&self.limits)?;
        let (keys, id) = (&self.keys, &args.execution_id);
        let names = [keys.root(), keys.operator_events(), keys.core(id), keys.suspension(id)];
        let call = Call::write("ff_resume_execution", &names).arg(id.as_uuid().to_string());
        let mut reply = self.items(call.arg(delay_ms).arg(&args.reason)).await?;
        match reply.text()?.as_str() {
            "waits" => Ok(ResumeExecutionResult::Resumed { public_state: PublicState::Delayed }),
            "ready" => Ok(ResumeExecutionResult::Resumed { public_state: PublicState::Waiting }),
            other => Err(unknown(other).into()),
        }
    }

    async fn list_suspended(
        &self,
        cursor: Option<SuspendedCursor>,
        limit: PageLimit,
    ) -> Result<ListSuspendedPage, EngineError> {
        Ok(listings::list_suspended(self, cursor, limit).await?)
    }

    async fn list_pending_waitpoints(
        &self,
        args: ListPendingWaitpointsArgs,
    ) -> Result<ListPendingWaitpointsResult, EngineError> {
        args.check(&self.limits)?;
        Ok(listings::list_pending_waitpoints(self, &args).await?)
    }

    async fn seed_waitpoint_hmac_secret(&self, args: SeedWaitpointHmacSecretArgs) -> Result<SeedOutcome, EngineError> {
        let SeedWaitpointHmacSecretArgs { kid, secret, .. } = args;
        let call = Call::write("ff_seed_waitpoint_hmac_secret", &[self.keys.root(), self.keys.ring()]);
        let mut reply = self.items(call.arg(kid.as_str()).arg(secret.expose_hex())).await?;
        match reply.text()?.as_str() {
            "seeded" => Ok(SeedOutcome::Seeded { kid }),
            "signs" => {
                let (current, stored) = (reply.parsed()?, ring::secret(&reply.text()?)?);
                if current == kid {
                    Ok(SeedOutcome::AlreadySeeded { kid, same_secret: stored == secret })
                } else {
                    Err(Keyring::seeded_otherwise(&current))
                }
            }
            other => Err(unknown(other).into()),
        }
    }

    async fn rotate_waitpoint_hmac_secret_all(
        &self,
        args: RotateWaitpointHmacSecretAllArgs,
    ) -> Result<RotateWaitpointHmacSecretAllResult, EngineError> {
        let (grace_ms, new_kid) = (args.check()?, args.new_kid);
        let call = Call::write("ff_rotate_waitpoint_hmac_secret_all", &[self.keys.root(), self.keys.ring()]);
        let call = call.arg(new_kid.as_str()).arg(args.new_secret.expose_hex()).arg(grace_ms);
        let mut reply = self.items(call).await?;
        let outcome = match reply.text()?.as_str() {
            "same" => RotateWaitpointHmacSecretOutcome::Noop { kid: new_kid },
            "rotated" => RotateWaitpointHmacSecretOutcome::Rotated {
                previous_kid: reply.optional()?,
                new_kid,
                gc_count: reply.number()?,
            },
            other => return Err(unknown(other).into()),
        };
        Ok(RotateWaitpointHmacSecretAllResult::whole(outcome))
    }
}

async fn deliver(backend: &ValkeyBackend, args: &DeliverSignalArgs) -> Result<DeliverSignalResult, EngineError> {
    let (keys, id, waitpoint) = (&backend.keys, &args.execution_id, &args.waitpoint_id);
    let names = [
        keys.root(),
        keys.core(id),
        keys.waitpoints(id),
        keys.signals(id),
        keys.suspension(id),
        keys.observed(id),
        keys.ring(),
        keys.signal_deliveries(),
    ];
    let marked = |text: &Option<String>| text.as_ref().map(|text| format!("={text}")).unwrap_or_default();
    let (dedup_key, life_ms) = args.dedup().unwrap_or_default();
    let call = |ring: &Keyring, version: &str| {
        let kid = ring.check(&args.waitpoint_token, id, waitpoint);
        let call = Call::write("ff_deliver_signal", &names)
            .arg(id.as_uuid().to_string())
            .arg(waitpoint.to_string())
            .arg(version)
            .arg(kid.as_ref().map_or("", |kid| kid.as_str()))
            .arg(args.signal_id.to_string())
            .arg(&args.signal_name)
            .arg(&args.signal_category)
            .arg(&args.source_type)
            .arg(&args.source_identity)
            .arg(marked(&args.correlation_id))
            .arg(marked(&args.payload_encoding))
            .arg(dedup_key)
            .arg(life_ms)
            .arg(suspensions::milliseconds(args.resume_delay));
        with(call, args.payload.as_deref())
    };
    let mut answer = ring::signed(backend, call).await?;
    match answer.word.as_str() {
        "accepted" => {
            Ok(DeliverSignalResult::Accepted { signal_id: args.signal_id, effect: answer.reply.text()?.parse()? })
        }
        "duplicate" => Ok(DeliverSignalResult::Duplicate { existing_signal_id: answer.reply.parsed()? }),
        "invalid_token" => {
            let why: TokenFault = answer.reply.text()?.parse()?;
            let why = answer.ring.check(&args.waitpoint_token, id, waitpoint).err().unwrap_or(why);
            backend.observer().token_refused(why);
            Err(EngineError::invalid_token())
        }
        _ => Err(answer.refusal().into()),
    }
}
