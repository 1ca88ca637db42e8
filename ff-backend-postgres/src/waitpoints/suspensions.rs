//! How suspensions begin, and how an operator ends them.

use std::time::Duration;

use ff_core::{
    AdditionalWaitpoint, AttemptId, AttemptIndex, BackendTag, ConflictKind, EngineError, ExecutionId, Handle,
    HandleKind, HandlePayload, Keyring, Kid, LeaseEpoch, LeaseFence, LeaseId, Limits, MintedToken, PendingWaitpoint,
    PublicState, ResumeExecutionArgs, ResumeExecutionResult, StateKind, SuspendArgs, SuspendOutcome,
    SuspendOutcomeDetails, SuspensionId, TimeoutBehavior, TimestampMs, WaitpointBinding, WaitpointId, WaitpointRecord,
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    attempts::fenced,
    backend::PostgresBackend,
    capabilities::LABEL,
    error::PgError,
    executions::{json, signed},
    id::{StoredId, stored},
    row::{instant, number, outcome, word},
    tx::{ATTEMPTS, Statement},
};

/// Who suspends.
struct Suspender {
    execution_id: ExecutionId,
    id: StoredId,
    fence: LeaseFence,
    /// None: that of the lease.
    attempt_index: Option<i64>,
    ttl_ms: i64,
}

pub(super) async fn suspend(
    backend: &PostgresBackend,
    handle: &Handle,
    args: &SuspendArgs,
) -> Result<SuspendOutcome, PgError> {
    let held = handle.decode(LABEL)?;
    if handle.kind() == HandleKind::Suspended {
        return Err(EngineError::State(StateKind::AlreadySuspended).into());
    }
    let suspender = Suspender {
        execution_id: held.execution_id,
        id: stored(&held.execution_id),
        fence: held.fence,
        attempt_index: Some(i64::from(held.attempt_index.0)),
        ttl_ms: milliseconds(held.lease_ttl).min(signed(Limits::DURATION_MS)),
    };
    begin(backend, &suspender, args).await
}

pub(super) async fn suspend_by_triple(
    backend: &PostgresBackend,
    execution_id: ExecutionId,
    triple: LeaseFence,
    args: &SuspendArgs,
) -> Result<SuspendOutcome, PgError> {
    let id = stored(&execution_id);
    let suspender = Suspender { execution_id, id, fence: triple, attempt_index: None, ttl_ms: 0 };
    begin(backend, &suspender, args).await
}

async fn begin(
    backend: &PostgresBackend,
    suspender: &Suspender,
    args: &SuspendArgs,
) -> Result<SuspendOutcome, PgError> {
    let plan = Planned::of(args)?;
    suspender.execution_id.check_partition(backend.limits().partitions)?;
    let store = backend.store().await?;
    let mut keys = backend.keys().signing(store).await?;
    for _ in 0..ATTEMPTS {
        let minted = plan.mint(&keys, &suspender.execution_id)?;
        let (verdict, row) = store.decide(|| plan.beginning(suspender, &keys, &minted)).await?;
        if verdict == "ring" {
            keys = backend.keys().read(store).await?;
            continue;
        }
        if let Some(refusal) = refusal(&verdict) {
            return Err(refusal.into());
        }
        outcome(&verdict, &row)?;
        return begun(&row, &suspender.execution_id, &keys);
    }
    Err(EngineError::contention().into())
}

/// A suspension in the words of the store.
struct Planned<'a> {
    args: &'a SuspendArgs,
    /// The key that a pending primary waitpoint must have.
    expected_key: Option<String>,
    leaves: String,
    waitpoint_ids: Vec<Uuid>,
    /// None of a pending one: the store knows it.
    waitpoint_keys: Vec<Option<&'a str>>,
}

impl<'a> Planned<'a> {
    fn of(args: &'a SuspendArgs) -> Result<Self, EngineError> {
        Ok(Self {
            args,
            expected_key: args.check()?,
            leaves: json(serde_json::to_string(&args.leaves()))?,
            waitpoint_ids: args.waitpoints.iter().map(|binding| binding.waitpoint_id().as_uuid()).collect(),
            waitpoint_keys: args.waitpoints.iter().map(WaitpointBinding::waitpoint_key).collect(),
        })
    }

    /// A token for each waitpoint; a pending one keeps its own.
    fn mint(&self, keys: &Keyring, execution_id: &ExecutionId) -> Result<Vec<MintedToken>, EngineError> {
        self.args.waitpoints.iter().map(|binding| keys.mint(execution_id, &binding.waitpoint_id())).collect()
    }

    fn beginning<'q>(&'q self, suspender: &'q Suspender, keys: &Keyring, minted: &'q [MintedToken]) -> Statement<'q> {
        let args = self.args;
        sqlx::query(include_str!("suspend.sql"))
            .bind(suspender.id)
            .bind(suspender.fence.lease_id.as_uuid())
            .bind(signed(suspender.fence.lease_epoch.0))
            .bind(suspender.fence.attempt_id.as_uuid())
            .bind(suspender.attempt_index)
            .bind(version(keys))
            .bind(minted.first().map(|minted| minted.kid.as_str()))
            .bind(args.suspension_id.as_uuid())
            .bind(&self.waitpoint_ids)
            .bind(&self.waitpoint_keys)
            .bind(minted.iter().map(|minted| minted.fingerprint.as_str()).collect::<Vec<_>>())
            .bind(&self.leaves)
            .bind(self.expected_key.as_deref())
            .bind(args.reason_code.as_str())
            .bind(args.reason_code.blocking_reason().as_str())
            .bind(args.requested_by.as_str())
            .bind(args.timeout_at.map(TimestampMs::as_ms))
            .bind(args.timeout_behavior.map(TimeoutBehavior::as_str))
            .bind(args.continuation_metadata_pointer.as_deref())
            .bind(args.resume_policy.resume_delay.map(milliseconds))
            .bind(args.idempotency_key.as_deref().filter(|key| !key.is_empty()))
            .bind(signed(Limits::TIMEOUT_TOLERANCE_MS))
            .bind(signed(Limits::SUSPEND_KEY_MS))
            .bind(suspender.ttl_ms)
    }
}

/// What only a suspend is refused for.
fn refusal(verdict: &str) -> Option<EngineError> {
    Some(match verdict {
        "wrong_attempt" => SuspendArgs::other_attempt_index(),
        "timeout_past" => SuspendArgs::timeout_past(),
        "waitpoint_exists" => EngineError::Conflict(ConflictKind::WaitpointAlreadyExists),
        "waitpoint_missing" => WaitpointRecord::not_found(),
        "waitpoint_not_pending" => EngineError::State(StateKind::WaitpointNotPending),
        "waitpoint_foreign" => WaitpointRecord::of_another_attempt(),
        "waitpoint_expired" => EngineError::State(StateKind::PendingWaitpointExpired),
        "key_mismatch" => SuspendArgs::key_mismatch(),
        _ => return None,
    })
}

/// What the suspend of a row led to, now or when it was first asked for.
fn begun(row: &PgRow, execution_id: &ExecutionId, keys: &Keyring) -> Result<SuspendOutcome, PgError> {
    let mut waitpoints = waitpoints(row, execution_id, keys)?.into_iter();
    let primary = waitpoints.next().ok_or_else(|| EngineError::corrupt("a suspension without a waitpoint"))?;
    let details = SuspendOutcomeDetails {
        suspension_id: SuspensionId::from_uuid(row.try_get("suspension_id")?),
        waitpoint_id: primary.waitpoint_id,
        waitpoint_key: primary.waitpoint_key,
        waitpoint_token: primary.waitpoint_token,
        additional_waitpoints: waitpoints.collect(),
    };
    if row.try_get("satisfied")? {
        return Ok(SuspendOutcome::AlreadySatisfied { details });
    }
    let receipt = HandlePayload {
        execution_id: *execution_id,
        attempt_index: AttemptIndex(number(row, "attempt_index")?),
        fence: LeaseFence {
            lease_id: LeaseId::from_uuid(row.try_get("lease_id")?),
            lease_epoch: LeaseEpoch(number(row, "lease_epoch")?),
            attempt_id: AttemptId::from_uuid(row.try_get("attempt_id")?),
        },
        lease_ttl: Duration::from_millis(number(row, "lease_ms")?),
        lane_id: word(row, "lane_id")?,
        worker_instance_id: word(row, "worker_instance_id")?,
    };
    Ok(SuspendOutcome::Suspended { details, handle: receipt.seal(BackendTag::try_new(LABEL)?, HandleKind::Suspended) })
}

/// The waitpoints of a row with their tokens, in the order of their bindings.
fn waitpoints(row: &PgRow, execution_id: &ExecutionId, keys: &Keyring) -> Result<Vec<AdditionalWaitpoint>, PgError> {
    let ids: Vec<Uuid> = row.try_get("waitpoint_ids")?;
    let names: Vec<String> = row.try_get("waitpoint_keys")?;
    let kids: Vec<String> = row.try_get("token_kids")?;
    let all = ids.into_iter().map(WaitpointId::from_uuid).zip(names).zip(kids);
    all.map(|((waitpoint_id, waitpoint_key), kid)| {
        let waitpoint_token = keys.mint_again(&Kid::try_new(kid)?, execution_id, &waitpoint_id)?.token;
        Ok(AdditionalWaitpoint { waitpoint_id, waitpoint_key, waitpoint_token })
    })
    .collect()
}

pub(super) async fn create_waitpoint(
    backend: &PostgresBackend,
    handle: &Handle,
    waitpoint_key: &str,
    expires_in: Duration,
) -> Result<PendingWaitpoint, PgError> {
    let life_ms = signed(PendingWaitpoint::check(waitpoint_key, expires_in)?);
    let (holder, execution_id) = (backend.holder(handle)?, handle.decode(LABEL)?.execution_id);
    let (waitpoint_id, store) = (WaitpointId::new(), backend.store().await?);
    let mut keys = backend.keys().signing(store).await?;
    for _ in 0..ATTEMPTS {
        let minted = keys.mint(&execution_id, &waitpoint_id);
        let signed_by = minted.as_ref().ok();
        let statement = || {
            fenced(include_str!("create_waitpoint.sql"), &holder)
                .bind(version(&keys))
                .bind(signed_by.map(|minted| minted.kid.as_str()))
                .bind(waitpoint_id.as_uuid())
                .bind(waitpoint_key)
                .bind(signed_by.map(|minted| minted.fingerprint.as_str()))
                .bind(life_ms)
                .bind(TimestampMs::MAX.as_ms())
        };
        let (verdict, row) = store.decide(statement).await?;
        if verdict == "ring" {
            keys = backend.keys().read(store).await?;
            continue;
        }
        if verdict == "no_key" {
            minted?;
        }
        outcome(&verdict, &row)?;
        let waitpoint_id = WaitpointId::from_uuid(row.try_get("waitpoint_id")?);
        let hmac_token = keys.mint_again(&word(&row, "kid")?, &execution_id, &waitpoint_id)?.token;
        return Ok(PendingWaitpoint { waitpoint_id, hmac_token, expires_at: instant(&row, "expires_at")? });
    }
    Err(EngineError::contention().into())
}

pub(super) async fn resume(
    backend: &PostgresBackend,
    args: &ResumeExecutionArgs,
) -> Result<ResumeExecutionResult, PgError> {
    let delay_ms = signed(args.check(backend.limits())?);
    let id = stored(&args.execution_id);
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| sqlx::query(include_str!("resume_execution.sql")).bind(id).bind(delay_ms).bind(&args.reason))
        .await?;
    if verdict == "not_suspended" {
        return Err(EngineError::State(StateKind::ExecutionNotSuspended).into());
    }
    outcome(&verdict, &row)?;
    backend.wake(&row)?;
    let public_state = if row.try_get("delayed")? { PublicState::Delayed } else { PublicState::Waiting };
    Ok(ResumeExecutionResult::Resumed { public_state })
}

fn version(keys: &Keyring) -> i64 {
    signed(keys.version)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
