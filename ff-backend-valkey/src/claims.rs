//! How a worker gets a lease.

mod crowds;
mod grants;
mod wakes;

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use ff_core::{
    AttemptId, AttemptIndex, BackendTag, CapabilitySet, ClaimExecutionArgs, ClaimExecutionResult, ClaimForWorkerArgs,
    ClaimForWorkerOutcome, ClaimPolicy, ClaimResumedExecutionArgs, ClaimResumedExecutionResult, Claims, ContentionKind,
    EngineError, ExecutionId, Handle, HandleKind, HandlePayload, Jitter, LaneId, LeaseEpoch, LeaseFence, LeaseId,
    Limits, PageLimit, ReclaimToken, UnclaimedReason, WorkerInstanceId,
};
use tokio::{
    sync::broadcast,
    time::{Sleep, sleep},
};

pub(crate) use crowds::Crowds;
pub(crate) use wakes::Wakes;

use crate::{
    backend::{LABEL, ValkeyBackend},
    error::ValkeyError,
    executions::execution_id,
    fcall::{Call, Server},
    keys::Keys,
    reply::Items,
};

#[ff_observe::observed]
#[async_trait]
impl Claims for ValkeyBackend {
    async fn claim(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
    ) -> Result<Option<Handle>, EngineError> {
        policy.checked_ttl_ms()?;
        let mut wait = Wait::new(policy.max_wait);
        loop {
            match crowds::look(self, lane, capabilities, &policy, wait.is_woken()).await? {
                Look::Taken(handle) => return Ok(Some(handle)),
                Look::None(pause) if !wait.pause(self, lane, pause).await => return Ok(None),
                Look::None(_) => {}
            }
        }
    }

    async fn claim_many(
        &self,
        lane: &LaneId,
        capabilities: &CapabilitySet,
        policy: ClaimPolicy,
        limit: PageLimit,
    ) -> Result<Vec<Handle>, EngineError> {
        let claimer = Claimer::new(&self.server, &self.keys, lane, capabilities, &policy)?;
        if limit.get() == 0 {
            return Ok(Vec::new());
        }
        let mut wait = Wait::new(policy.max_wait);
        loop {
            let (taken, pause) = claimer.look_for_many(usize::from(limit.get()), wait.is_woken()).await?;
            if !taken.is_empty() || !wait.pause(self, lane, pause).await {
                return Ok(taken);
            }
        }
    }

    async fn claim_for_worker(&self, args: ClaimForWorkerArgs) -> Result<ClaimForWorkerOutcome, EngineError> {
        Ok(grants::claim_for_worker(self, &args).await?)
    }

    async fn claim_execution(&self, args: ClaimExecutionArgs) -> Result<ClaimExecutionResult, EngineError> {
        grants::redeem(self, &args, false).await.map(ClaimExecutionResult::Claimed)
    }

    async fn claim_from_reclaim(&self, token: ReclaimToken) -> Result<Option<Handle>, EngineError> {
        match grants::redeem(self, &token, false).await {
            Err(EngineError::Contention(ContentionKind::ExecutionNotLeaseable | ContentionKind::LeaseConflict)) => {
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    async fn claim_resumed_execution(
        &self,
        args: ClaimResumedExecutionArgs,
    ) -> Result<ClaimResumedExecutionResult, EngineError> {
        grants::redeem(self, &args, true).await.map(ClaimResumedExecutionResult::Claimed)
    }

    async fn explain_unclaimed(
        &self,
        id: &ExecutionId,
        capabilities: &CapabilitySet,
    ) -> Result<Option<UnclaimedReason>, EngineError> {
        Ok(grants::explain_unclaimed(self, id, capabilities).await?)
    }
}

/// How long a claim goes on looking, and its wake-ups once it has to wait.
pub(crate) struct Wait {
    over: Option<Pin<Box<Sleep>>>,
    woken: Option<broadcast::Receiver<Arc<str>>>,
}

impl Wait {
    pub(crate) fn new(wait: Option<Duration>) -> Self {
        Self { over: wait.map(|wait| Box::pin(sleep(wait))), woken: None }
    }

    /// True if the next look may ask for a wake-up.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.is_some() && self.over.as_ref().is_some_and(|over| !over.is_elapsed())
    }

    /// Waits until the next look, for `pause` at most; false if the wait was over.
    pub(crate) async fn pause(&mut self, backend: &ValkeyBackend, lane: &LaneId, pause: Duration) -> bool {
        let Some(over) = self.over.as_mut().filter(|over| !over.is_elapsed()) else { return false };
        let Some(woken) = self.woken.as_mut() else {
            // What came before this is seen by the next look, which asks for a wake-up.
            self.woken = Some(backend.wakes.listen(&backend.server).await);
            return true;
        };
        tokio::select! {
            () = over => {}
            () = sleep(pause) => {}
            () = wakes::woken(woken, lane) => {}
            () = backend.server.closed() => {}
        }
        true
    }
}

/// What one look for one row came to: nothing, and for so long nothing falls due.
pub(crate) type Look = ff_core::Look<Handle, Duration>;

/// One claim: who takes work, and what kind.
pub(crate) struct Claimer<'a> {
    server: &'a Server,
    keys: &'a Keys,
    lane: &'a LaneId,
    capabilities: String,
    policy: &'a ClaimPolicy,
    ttl_ms: u64,
}

impl<'a> Claimer<'a> {
    pub(crate) fn new(
        server: &'a Server,
        keys: &'a Keys,
        lane: &'a LaneId,
        capabilities: &CapabilitySet,
        policy: &'a ClaimPolicy,
    ) -> Result<Self, EngineError> {
        let ttl_ms = policy.checked_ttl_ms()?;
        Ok(Self { server, keys, lane, capabilities: capabilities.joined(), policy, ttl_ms })
    }

    /// One look for one row; `waits` asks for a wake-up if there is none.
    pub(crate) async fn look(&self, waits: bool) -> Result<Look, ValkeyError> {
        self.taken(&mut Items::of(self.server.call(minting(self.call("ff_claim", waits))).await?)?)
    }

    /// One look for as many rows as the limit says.
    async fn look_for_many(&self, most: usize, waits: bool) -> Result<(Vec<Handle>, Duration), ValkeyError> {
        let call = (0..most).fold(self.call("ff_claim_many", waits), |call, _| minting(call));
        let mut reply = Items::of(self.server.call(call).await?)?;
        let (mut taken, mut pause) = (Vec::new(), Duration::ZERO);
        while let Some(mut item) = reply.next_items()? {
            match self.taken(&mut item)? {
                Look::Taken(handle) => taken.push(handle),
                Look::None(wait) => pause = wait,
            }
        }
        Ok((taken, pause))
    }

    fn call(&self, function: &str, waits: bool) -> Call {
        let keys = self.keys;
        let [due, sets] = self.lane_keys();
        let names = [keys.root(), keys.lease_history(), keys.completions(), due, sets];
        self.claiming(Call::write(function, &names), waits)
    }

    /// The keys of the lane that a claim looks at.
    pub(crate) fn lane_keys(&self) -> [String; 2] {
        [self.keys.due(self.lane), self.keys.sets(self.lane)]
    }

    /// The same call with who claims, and what; `waits` asks for a wake-up.
    pub(crate) fn claiming(&self, call: Call, waits: bool) -> Call {
        call.arg(self.lane.as_str())
            .arg(&self.capabilities)
            .arg(self.policy.worker_id.as_str())
            .arg(self.policy.worker_instance_id.as_str())
            .arg(self.ttl_ms)
            .arg(Limits::PROMOTE_PER_CLAIM)
            .arg(Jitter::draw().millionths())
            .arg(u8::from(waits))
    }

    /// What `ff.take` or `ff.none` answers, or a refusal.
    pub(crate) fn taken(&self, reply: &mut Items) -> Result<Look, ValkeyError> {
        match reply.text()?.as_str() {
            "none" => Ok(Look::None(Duration::from_millis(reply.number()?))),
            "claimed" => {
                let instance = &self.policy.worker_instance_id;
                handle(reply, self.lane.clone(), self.ttl_ms, instance).map(Look::Taken)
            }
            other => Err(reply.refusal(other)?),
        }
    }
}

/// What `ff.take` answers of a row of `lane_id`, as a handle.
fn handle(
    reply: &mut Items,
    lane_id: LaneId,
    ttl_ms: u64,
    worker_instance_id: &WorkerInstanceId,
) -> Result<Handle, ValkeyError> {
    let execution_id = execution_id(&reply.text()?)?;
    let lease_epoch = LeaseEpoch(reply.number()?);
    let attempt_index = AttemptIndex(reply.number()?);
    let kind = match reply.text()?.as_str() {
        "fresh" => HandleKind::Fresh,
        "resumed" => HandleKind::Resumed,
        "reclaimed" => HandleKind::Reclaimed,
        other => return Err(ValkeyError::Reply(format!("{other:?} was not expected"))),
    };
    let (attempt_id, lease_id) = (reply.parsed()?, reply.parsed()?);
    let payload = HandlePayload {
        execution_id,
        attempt_index,
        fence: LeaseFence { lease_id, lease_epoch, attempt_id },
        lease_ttl: Duration::from_millis(ttl_ms),
        lane_id,
        worker_instance_id: worker_instance_id.clone(),
    };
    Ok(payload.seal(BackendTag::try_new(LABEL)?, kind))
}

/// The same with the ids of one more lease and attempt.
pub(crate) fn minting(call: Call) -> Call {
    call.arg(LeaseId::new().to_string()).arg(AttemptId::new().to_string())
}
