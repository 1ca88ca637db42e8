//! What the holder of a lease does with an execution: tells progress, and ends the attempt.

use async_trait::async_trait;
use ff_core::{
    Attempts, CapabilitySet, ClaimPolicy, CompleteArgs, EngineError, FailOutcome, FailureClass, FailureReason, Handle,
    HandlePayload, Jitter, Limits, Progress, TimestampMs,
};

use crate::{
    backend::ValkeyBackend,
    claims::{Claimer, Look, Minted, Wait},
    error::ValkeyError,
    fcall::Call,
    reply::Items,
};

#[ff_observe::observed]
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
            .arg(Jitter::draw().millionths());
        let mut reply = self.items(call).await?;
        match reply.text()?.as_str() {
            "retry" => Ok(FailOutcome::RetryScheduled { delay_until: reply.instant()? }),
            "failed" => Ok(FailOutcome::TerminalFailed),
            other => Err(reply.refusal(other)?.into()),
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

    async fn complete_many(&self, batch: Vec<CompleteArgs>) -> Result<Vec<Result<(), EngineError>>, EngineError> {
        let bytes = batch.iter().filter_map(|args| args.payload.as_ref()).map(Vec::len).sum();
        Limits::check_batch(batch.len(), bytes)?;
        let opened = |args: CompleteArgs| {
            self.limits.check_result(args.payload.as_deref())?;
            Ok((self.opened(&args.handle)?, args.payload))
        };
        let items = batch.into_iter().map(opened).collect();
        let keys = [self.keys.root(), self.keys.lease_history(), self.keys.completions()];
        let tell = |call: Call, (held, payload): &(HandlePayload, Option<Vec<u8>>)| {
            call.fenced(held).arg(u8::from(payload.is_some())).arg(payload.as_deref().unwrap_or_default())
        };
        Ok(self.each(Call::write("ff_complete_many", &keys), items, tell, |reply, _| done(reply)).await?)
    }

    async fn complete_and_claim(
        &self,
        handle: &Handle,
        payload: Option<Vec<u8>>,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        self.limits.check_result(payload.as_deref())?;
        policy.checked_ttl_ms()?;
        let held = self.opened(handle)?;
        let claimer = Claimer::new(&self.server, &self.keys, &held.lane_id, capabilities, &policy)?;
        let mut wait = Wait::new(policy.max_wait);
        let [root, history, completions, core, result] = self.ending(&held, self.keys.result(&held.execution_id));
        let [due, sets] = claimer.lane_keys();
        let keys = [root, history, completions, core, result, due, sets];
        let call = claimer.claiming(Call::write("ff_complete_and_claim", &keys).fenced(&held), false);
        let minted = Minted::new();
        let mut look = claimer.taken(&mut self.items(with(call.minting(&minted), payload)).await?, &minted)?;
        loop {
            match look {
                Look::Taken(handle) => return Ok(Some(handle)),
                Look::None(pause) if !wait.pause(self, &held.lane_id, pause).await => return Ok(None),
                Look::None(_) => look = claimer.look(wait.is_woken()).await?,
            }
        }
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
    pub(crate) async fn done(&self, call: Call) -> Result<(), ValkeyError> {
        done(&mut self.items(call).await?)
    }
}

/// `done`, or a refusal.
fn done(reply: &mut Items) -> Result<(), ValkeyError> {
    match reply.text()?.as_str() {
        "done" => Ok(()),
        other => Err(reply.refusal(other)?),
    }
}

/// The same with a last argument, if there is one.
pub(crate) fn with(call: Call, last: Option<impl redis::ToRedisArgs>) -> Call {
    match last {
        Some(last) => call.arg(last),
        None => call,
    }
}
