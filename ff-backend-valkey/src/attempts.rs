//! What the holder of a lease does with an execution: tells progress, and ends the attempt.

use async_trait::async_trait;
use ff_core::{
    Attempts, CapabilitySet, ClaimPolicy, CompleteArgs, EngineError, FailOutcome, FailureClass, FailureReason, Handle,
    HandlePayload, Jitter, Limits, Operation, Progress, TimestampMs,
};
use uuid::Uuid;

use crate::{backend::ValkeyBackend, error::ValkeyError, fcall::Call};

#[async_trait]
impl Attempts for ValkeyBackend {
    async fn progress(&self, handle: &Handle, percent: Option<u8>, message: Option<String>) -> Result<(), EngineError> {
        Progress::check(percent, message.as_deref())?;
        let held = self.opened(handle)?;
        let id = &held.execution_id;
        let call = Call::write("ff_progress", &[self.keys.root(), self.keys.core(id), self.keys.text(id)])
            .fenced(&held)
            .arg(percent.map(|percent| percent.to_string()).unwrap_or_default());
        Ok(self.done(with(call, message)).await?)
    }

    async fn complete(&self, handle: &Handle, payload: Option<Vec<u8>>) -> Result<(), EngineError> {
        self.limits.check_result(payload.as_deref())?;
        let held = self.opened(handle)?;
        let result = self.keys.result(&held.execution_id);
        let call = Call::write("ff_complete", &self.ending(&held, result)).fenced(&held);
        Ok(self.done(with(call, payload)).await?)
    }

    async fn fail(
        &self,
        handle: &Handle,
        reason: FailureReason,
        classification: FailureClass,
    ) -> Result<FailOutcome, EngineError> {
        reason.check()?;
        let held = self.opened(handle)?;
        let call = Call::write("ff_fail", &self.ending(&held, self.keys.text(&held.execution_id)))
            .fenced(&held)
            .arg(&reason.message)
            .arg(reason.effective_category(classification))
            .arg(u8::from(classification.is_retryable()))
            .arg(jitter_millionths());
        let mut reply = self.items(call).await?;
        match reply.text()?.as_str() {
            "retry" => Ok(FailOutcome::RetryScheduled { delay_until: reply.instant()? }),
            "failed" => Ok(FailOutcome::TerminalFailed),
            "not_active" => Err(reply.not_active()?),
            other => Err(ValkeyError::Reply(format!("{other:?} was not expected")).into()),
        }
    }

    async fn cancel(&self, handle: &Handle, reason: &str) -> Result<(), EngineError> {
        Limits::check_reason(reason)?;
        let held = self.opened(handle)?;
        let keys = self.ending(&held, self.keys.text(&held.execution_id));
        Ok(self.done(Call::write("ff_cancel", &keys).fenced(&held).arg(reason)).await?)
    }

    async fn delay(&self, handle: &Handle, delay_until: TimestampMs) -> Result<(), EngineError> {
        delay_until.check("delay_until")?;
        let held = self.opened(handle)?;
        let call = Call::write("ff_delay", &self.giving_back(&held)).fenced(&held);
        Ok(self.done(call.arg(delay_until.as_ms())).await?)
    }

    async fn wait_children(&self, handle: &Handle) -> Result<(), EngineError> {
        let held = self.opened(handle)?;
        Ok(self.done(Call::write("ff_wait_children", &self.giving_back(&held)).fenced(&held)).await?)
    }

    async fn complete_many(&self, _batch: Vec<CompleteArgs>) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        Err(EngineError::unavailable(Operation::CompleteMany))
    }

    async fn complete_and_claim(
        &self,
        _handle: &Handle,
        _payload: Option<Vec<u8>>,
        _capabilities: &CapabilitySet,
        _policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        Err(EngineError::unavailable(Operation::CompleteAndClaim))
    }
}

impl ValkeyBackend {
    /// The keys of an operation that ends a lease.
    fn ending(&self, held: &HandlePayload, last: String) -> [String; 5] {
        let keys = &self.keys;
        [keys.root(), keys.lease_history(), keys.completions(), keys.core(&held.execution_id), last]
    }

    /// The keys of an operation that gives a lease back.
    fn giving_back(&self, held: &HandlePayload) -> [String; 4] {
        let keys = &self.keys;
        [keys.root(), keys.lease_history(), keys.completions(), keys.core(&held.execution_id)]
    }

    /// Calls a function that answers `done` or refuses.
    async fn done(&self, call: Call) -> Result<(), ValkeyError> {
        let mut reply = self.items(call).await?;
        match reply.text()?.as_str() {
            "done" => Ok(()),
            "not_active" => Err(reply.not_active()?.into()),
            other => Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
        }
    }
}

fn with(call: Call, last: Option<impl redis::ToRedisArgs>) -> Call {
    match last {
        Some(last) => call.arg(last),
        None => call,
    }
}

/// The draw of a call that may schedule a retry.
pub(crate) fn jitter_millionths() -> u32 {
    Jitter::from_bits(Uuid::new_v4().as_u128()).millionths()
}
