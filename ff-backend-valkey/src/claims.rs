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
        let minted = Minted::new();
        let call = self.call("ff_claim", waits).minting(&minted);
        self.taken(&mut Items::of(self.server.call(call).await?)?, &minted)
    }

    /// One look for as many rows as the limit says.
    async fn look_for_many(&self, most: usize, waits: bool) -> Result<(Vec<Handle>, Duration), ValkeyError> {
        let minted: Vec<_> = (0..most).map(|_| Minted::new()).collect();
        let call = minted.iter().fold(self.call("ff_claim_many", waits), Call::minting);
        let mut reply = Items::of(self.server.call(call).await?)?;
        let (mut taken, mut pause) = (Vec::new(), Duration::ZERO);
        for minted in &minted {
            let Some(mut item) = reply.next_items()? else { break };
            match self.taken(&mut item, minted)? {
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

    /// What `ff.take` or `ff.none` answers to a call with `minted`, or a refusal.
    pub(crate) fn taken(&self, reply: &mut Items, minted: &Minted) -> Result<Look, ValkeyError> {
        let word = reply.text()?;
        if word == "none" {
            return Ok(Look::None(Duration::from_millis(reply.number()?)));
        }
        let Some(kind) = kind(&word) else { return Err(reply.refusal(&word)?) };
        let leased = Leased::read(reply)?;
        // What is resumed goes on with its attempt.
        let attempt_id = if kind == HandleKind::Resumed { reply.parsed()? } else { minted.attempt_id };
        let minted = Minted { lease_id: minted.lease_id, attempt_id };
        leased.handle(kind, self.lane.clone(), self.ttl_ms, &self.policy.worker_instance_id, &minted).map(Look::Taken)
    }
}

/// The kind of work that a word stands for.
fn kind(word: &str) -> Option<HandleKind> {
    match word {
        "fresh" => Some(HandleKind::Fresh),
        "resumed" => Some(HandleKind::Resumed),
        "reclaimed" => Some(HandleKind::Reclaimed),
        _ => None,
    }
}

/// A row that was taken.
struct Leased {
    execution_id: ExecutionId,
    lease_epoch: LeaseEpoch,
    attempt_index: AttemptIndex,
}

impl Leased {
    fn read(reply: &mut Items) -> Result<Self, ValkeyError> {
        Ok(Self {
            execution_id: execution_id(&reply.text()?)?,
            lease_epoch: LeaseEpoch(reply.number()?),
            attempt_index: AttemptIndex(reply.number()?),
        })
    }

    fn handle(
        self,
        kind: HandleKind,
        lane_id: LaneId,
        ttl_ms: u64,
        worker_instance_id: &WorkerInstanceId,
        ids: &Minted,
    ) -> Result<Handle, ValkeyError> {
        let (lease_epoch, Minted { lease_id, attempt_id }) = (self.lease_epoch, *ids);
        let payload = HandlePayload {
            execution_id: self.execution_id,
            attempt_index: self.attempt_index,
            fence: LeaseFence { lease_id, lease_epoch, attempt_id },
            lease_ttl: Duration::from_millis(ttl_ms),
            lane_id,
            worker_instance_id: worker_instance_id.clone(),
        };
        Ok(payload.seal(BackendTag::try_new(LABEL)?, kind))
    }
}

/// The ids of one more lease and attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minted {
    lease_id: LeaseId,
    attempt_id: AttemptId,
}

impl Minted {
    pub(crate) fn new() -> Self {
        Self { lease_id: LeaseId::new(), attempt_id: AttemptId::new() }
    }
}

impl Call {
    /// The same call with the ids of one more lease and attempt.
    pub(crate) fn minting(self, minted: &Minted) -> Self {
        let mut text = [0; 36];
        let call = self.arg(&*minted.lease_id.as_uuid().as_hyphenated().encode_lower(&mut text));
        call.arg(&*minted.attempt_id.as_uuid().as_hyphenated().encode_lower(&mut text))
    }
}
