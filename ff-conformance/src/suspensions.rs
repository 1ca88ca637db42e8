//! Suspended executions as cases make them: a key that signs, conditions, and signals with the right token.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ff_core::{
    CompositeBody, CountKind, CreateExecutionArgs, DeliverSignalArgs, EngineBackend, ExecutionId, Handle, HandleKind,
    Kid, ListPendingWaitpointsArgs, PendingWaitpoint, ResumeCondition, SeedWaitpointHmacSecretArgs, SignalId,
    SignalMatcher, SigningSecret, SuspendArgs, SuspendOutcome, SuspendOutcomeDetails, SuspensionId,
    SuspensionReasonCode, TimeoutBehavior, TimestampMs, WaitpointBinding, WaitpointId, WaitpointState, WaitpointToken,
};

use crate::{Claimed, Cx, Stop, stages::held_as};

/// The key that signs from the beginning.
pub(crate) const KID: &str = "first";
/// The byte that its secret repeats.
const BYTE: u8 = 0xa1;

/// All that a time-out can do.
pub(crate) const BEHAVIORS: [TimeoutBehavior; 5] = [
    TimeoutBehavior::Fail,
    TimeoutBehavior::Cancel,
    TimeoutBehavior::Expire,
    TimeoutBehavior::AutoResumeWithTimeoutSignal,
    TimeoutBehavior::Escalate,
];

/// The key id `text`.
pub(crate) fn kid(text: &str) -> Result<Kid, Stop> {
    Ok(Kid::try_new(text)?)
}

/// A secret that repeats `byte`; no text of the case may show it.
pub(crate) fn secret(cx: &Cx, byte: u8) -> Result<SigningSecret, Stop> {
    let secret = SigningSecret::from_bytes([byte; 32])?;
    cx.keep_secret(&secret.expose_hex());
    Ok(secret)
}

/// What installs the first key of a case.
pub(crate) fn first_key(cx: &Cx) -> Result<SeedWaitpointHmacSecretArgs, Stop> {
    Ok(SeedWaitpointHmacSecretArgs::new(kid(KID)?, secret(cx, BYTE)?))
}

/// Lets the first key of the case sign.
pub(crate) async fn seeded(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<(), Stop> {
    client.seed_waitpoint_hmac_secret(first_key(cx)?).await?;
    Ok(())
}

/// Says that no text may show `token`, whole or cut; the digits that listings show are no secret.
pub(crate) fn keep_token(cx: &Cx, token: &WaitpointToken) {
    let digits = token.expose().split_once(':').map_or("", |(_, digits)| digits);
    if let Some(hidden) = digits.get(16..40) {
        cx.keep_secret(hidden);
    }
}

/// Any signal at the waitpoint called `key`.
pub(crate) fn any_at(key: &str) -> ResumeCondition {
    ResumeCondition::Single { waitpoint_key: key.to_owned(), matcher: SignalMatcher::Wildcard }
}

/// A signal called `name` at the waitpoint called `key`.
pub(crate) fn named_at(key: &str, name: &str) -> ResumeCondition {
    ResumeCondition::Single { waitpoint_key: key.to_owned(), matcher: SignalMatcher::ByName(name.to_owned()) }
}

/// All of `members`.
pub(crate) fn all_of(members: Vec<ResumeCondition>) -> ResumeCondition {
    ResumeCondition::Composite(CompositeBody::AllOf { members })
}

/// At least `n` distinct things at the waitpoints called `keys`.
pub(crate) fn count(n: u32, count_kind: CountKind, keys: &[&str]) -> ResumeCondition {
    let waitpoints = keys.iter().map(|key| (*key).to_owned()).collect();
    ResumeCondition::Composite(CompositeBody::Count { n, count_kind, matcher: None, waitpoints })
}

/// A suspension with fresh waitpoints called `keys`.
pub(crate) fn waits_for(keys: &[&str], condition: ResumeCondition) -> SuspendArgs {
    let waitpoints = keys.iter().map(|key| WaitpointBinding::fresh_with_key(*key)).collect();
    SuspendArgs::new(SuspensionId::new(), waitpoints, condition, SuspensionReasonCode::WaitingForSignal)
}

/// A suspension that any signal at its one waitpoint ends.
pub(crate) fn waits_for_any() -> SuspendArgs {
    waits_for(&["a"], any_at("a"))
}

/// The same that times out at `at`.
pub(crate) fn times_out(at: TimestampMs, behavior: TimeoutBehavior) -> SuspendArgs {
    waits_for_any().timeout(at, behavior)
}

/// A waitpoint of an execution, with its token.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) execution_id: ExecutionId,
    pub(crate) waitpoint_id: WaitpointId,
    pub(crate) token: WaitpointToken,
}

impl Door {
    /// The door that a pending waitpoint opens.
    pub(crate) fn of(execution_id: ExecutionId, pending: &PendingWaitpoint) -> Self {
        Self { execution_id, waitpoint_id: pending.waitpoint_id, token: pending.hmac_token.clone() }
    }

    /// A new signal called `name`.
    pub(crate) fn signal(&self, name: &str) -> DeliverSignalArgs {
        DeliverSignalArgs::new(self.execution_id, self.waitpoint_id, self.token.clone(), SignalId::new(), name)
    }
}

/// A suspended execution.
#[derive(Clone, Debug)]
pub(crate) struct Suspended {
    /// The lease that was given back.
    pub(crate) claimed: Claimed,
    pub(crate) details: SuspendOutcomeDetails,
    /// What the suspend handed out.
    pub(crate) receipt: Handle,
    doors: BTreeMap<String, Door>,
}

impl Suspended {
    pub(crate) const fn id(&self) -> ExecutionId {
        self.claimed.payload.execution_id
    }

    /// The door of the waitpoint called `key`.
    pub(crate) fn door(&self, key: &str) -> Result<Door, Stop> {
        self.doors.get(key).cloned().ok_or_else(|| Stop::Errored(format!("no waitpoint is called {key}")))
    }

    /// A new signal called `name` for the waitpoint called `key`.
    pub(crate) fn signal_at(&self, key: &str, name: &str) -> Result<DeliverSignalArgs, Stop> {
        Ok(self.door(key)?.signal(name))
    }

    /// A new signal for the primary waitpoint.
    pub(crate) fn signal(&self) -> Result<DeliverSignalArgs, Stop> {
        self.signal_at(&self.details.waitpoint_key, "go")
    }
}

/// The doors of the waitpoints of a suspension, by key; no text of the case may show their tokens.
pub(crate) fn doors(cx: &Cx, id: ExecutionId, details: &SuspendOutcomeDetails) -> BTreeMap<String, Door> {
    let primary = (&details.waitpoint_key, details.waitpoint_id, &details.waitpoint_token);
    let others = details
        .additional_waitpoints
        .iter()
        .map(|waitpoint| (&waitpoint.waitpoint_key, waitpoint.waitpoint_id, &waitpoint.waitpoint_token));
    let mut doors = BTreeMap::new();
    for (key, waitpoint_id, token) in std::iter::once(primary).chain(others) {
        keep_token(cx, token);
        doors.insert(key.clone(), Door { execution_id: id, waitpoint_id, token: token.clone() });
    }
    doors
}

/// Suspends a held execution.
pub(crate) async fn suspends(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    claimed: Claimed,
    args: SuspendArgs,
) -> Result<Suspended, Stop> {
    match client.suspend(&claimed.handle, args).await? {
        SuspendOutcome::Suspended { details, handle } => {
            let doors = doors(cx, claimed.payload.execution_id, &details);
            Ok(Suspended { claimed, details, receipt: handle, doors })
        }
        SuspendOutcome::AlreadySatisfied { .. } => Err(Stop::Errored("nothing was suspended".to_owned())),
    }
}

/// The execution of `execution`, held and suspended as `args` say.
pub(crate) async fn suspended_as(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    execution: CreateExecutionArgs,
    args: SuspendArgs,
) -> Result<Suspended, Stop> {
    seeded(cx, client).await?;
    let claimed = held_as(cx, client, execution).await?;
    suspends(cx, client, claimed, args).await
}

/// An execution that is suspended as `args` say.
pub(crate) async fn suspended_with(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    args: SuspendArgs,
) -> Result<Suspended, Stop> {
    suspended_as(cx, client, cx.execution()?, args).await
}

/// An execution that any signal resumes.
pub(crate) async fn suspended(cx: &Cx, client: &Arc<dyn EngineBackend>) -> Result<Suspended, Stop> {
    suspended_with(cx, client, waits_for_any()).await
}

/// A pending waitpoint called `key` of a held execution, for a minute.
pub(crate) async fn pending(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
    claimed: &Claimed,
    key: &str,
) -> Result<Door, Stop> {
    let pending = client.create_waitpoint(&claimed.handle, key, Duration::from_secs(60)).await?;
    keep_token(cx, &pending.hmac_token);
    Ok(Door::of(claimed.payload.execution_id, &pending))
}

/// The open waitpoints of an execution: key and state, by key.
pub(crate) async fn open_at(client: &Arc<dyn EngineBackend>, id: &ExecutionId) -> Result<String, Stop> {
    let page = client.list_pending_waitpoints(ListPendingWaitpointsArgs::new(*id)).await?;
    let mut open: Vec<(String, WaitpointState)> =
        page.waitpoints.into_iter().map(|waitpoint| (waitpoint.waitpoint_key, waitpoint.state)).collect();
    open.sort();
    let told: Vec<_> = open.into_iter().map(|(key, state)| format!("{key} {state}")).collect();
    Ok(told.join(", "))
}

/// The executions that are listed as suspended.
pub(crate) async fn listed(client: &Arc<dyn EngineBackend>) -> Result<Vec<ExecutionId>, Stop> {
    let page = client.list_suspended(None, ff_core::PageLimit::MAX).await?;
    Ok(page.entries.into_iter().map(|entry| entry.execution_id).collect())
}

/// The names of the signals that a worker sees.
pub(crate) async fn seen(client: &Arc<dyn EngineBackend>, handle: &Handle) -> Result<Vec<String>, Stop> {
    Ok(client.observe_signals(handle).await?.into_iter().map(|signal| signal.signal_name).collect())
}

/// What a claim takes: of which kind, which attempt, under which epoch.
pub(crate) async fn claims(
    cx: &Cx,
    client: &Arc<dyn EngineBackend>,
) -> Result<Option<(Claimed, HandleKind, u32, u64)>, Stop> {
    let claimed = cx.try_claim(client, "next", crate::TTL).await?;
    Ok(claimed.map(|claimed| {
        let (index, epoch) = (claimed.payload.attempt_index.0, claimed.payload.fence.lease_epoch.0);
        let kind = claimed.handle.kind();
        (claimed, kind, index, epoch)
    }))
}
