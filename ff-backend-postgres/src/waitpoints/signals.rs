//! What is delivered to a waitpoint, and what a resumed worker sees of it.

use ff_core::{
    ConditionLeaf, ConditionSignal, DeliverSignalArgs, DeliverSignalResult, EngineError, Handle, Keyring, Kid, Limits,
    ResumeSignal, SignalId, StateKind, SuspensionEnd, SuspensionId, TokenFault,
};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    backend::PostgresBackend,
    error::PgError,
    id::{StoredId, stored},
    row::{instant, leaves, word},
    tx::{ATTEMPTS, Sender, Statement},
};

pub(super) async fn deliver(
    backend: &PostgresBackend,
    args: &DeliverSignalArgs,
) -> Result<DeliverSignalResult, PgError> {
    args.check()?;
    args.execution_id.check_partition(backend.limits().partitions)?;
    let id = stored(&args.execution_id);
    let store = backend.store().await?;
    let mut keys = backend.keys().known();
    for _ in 0..ATTEMPTS {
        let kid = match keys.check(&args.waitpoint_token, &args.execution_id, &args.waitpoint_id) {
            Ok(kid) => kid,
            Err(fault) => {
                let read = backend.keys().read(store).await?;
                if read.version == keys.version {
                    return Err(refused(backend, fault));
                }
                keys = read;
                continue;
            }
        };
        let (verdict, row) = store.decide_in_turn(&id, || delivering(args, &id, &keys, &kid)).await?;
        if verdict == "ring" {
            keys = backend.keys().read(store).await?;
            continue;
        }
        let answer = answer(backend, &verdict, &row, args)?;
        backend.wake(&row)?;
        return Ok(answer);
    }
    Err(EngineError::contention().into())
}

fn delivering<'q>(args: &'q DeliverSignalArgs, id: &'q StoredId, keys: &Keyring, kid: &'q Kid) -> Statement<'q> {
    let dedup = args.dedup();
    sqlx::query(include_str!("deliver_signal.sql"))
        .bind(id)
        .bind(args.waitpoint_id.as_uuid())
        .bind(kid.as_str())
        .bind(i64::try_from(keys.version).unwrap_or(i64::MAX))
        .bind(args.signal_id.as_uuid())
        .bind(&args.signal_name)
        .bind(&args.signal_category)
        .bind(&args.source_type)
        .bind(&args.source_identity)
        .bind(args.correlation_id.as_deref())
        .bind(args.payload.as_deref())
        .bind(args.payload_encoding.as_deref())
        .bind(dedup.map(|(key, _)| key))
        .bind(dedup.map(|(_, life_ms)| i64::try_from(life_ms).unwrap_or(i64::MAX)))
        .bind(args.resume_delay.map(|delay| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)))
        .bind(i64::from(Limits::SIGNALS))
}

fn answer(
    backend: &PostgresBackend,
    verdict: &str,
    row: &PgRow,
    args: &DeliverSignalArgs,
) -> Result<DeliverSignalResult, PgError> {
    Err(match verdict {
        "ok" => {
            let (signal_id, effect) = (args.signal_id, word(row, "effect")?);
            return Ok(DeliverSignalResult::Accepted { signal_id, effect });
        }
        "duplicate" => {
            let existing_signal_id = SignalId::from_uuid(row.try_get("signal_id")?);
            return Ok(DeliverSignalResult::Duplicate { existing_signal_id });
        }
        "token_expired" => refused(backend, TokenFault::Expired),
        "no_waitpoint" => refused(backend, TokenFault::UnknownWaitpoint),
        "target_not_signalable" => EngineError::State(StateKind::TargetNotSignalable).into(),
        "waitpoint_closed" => EngineError::State(StateKind::WaitpointClosed).into(),
        "signal_limit" => DeliverSignalArgs::too_many().into(),
        other => EngineError::corrupt(format!("unknown verdict {other:?}")).into(),
    })
}

/// The one refusal of a token; only the instruments learn why.
fn refused(backend: &PostgresBackend, fault: TokenFault) -> PgError {
    backend.observer().token_refused(fault);
    EngineError::invalid_token().into()
}

pub(super) async fn observe(backend: &PostgresBackend, handle: &Handle) -> Result<Vec<ResumeSignal>, PgError> {
    let holder = backend.holder(handle)?;
    let store: &Sender = backend.store().await?;
    let statement = || sqlx::query(include_str!("observe_signals.sql")).bind(holder.id).bind(holder.attempt_id);
    let rows = store.rows(statement).await?;
    let first = rows.first().ok_or_else(EngineError::execution_not_found)?;
    if first.try_get::<Option<&str>, _>("resumed_by")?.is_none() {
        return Ok(Vec::new());
    }
    if word::<SuspensionEnd>(first, "resumed_by")? == SuspensionEnd::TimedOutAutoResume {
        let suspension = SuspensionId::from_uuid(first.try_get("suspension_id")?);
        return Ok(vec![ResumeSignal::timeout(&suspension, instant(first, "timed_out_at")?)]);
    }
    let leaves = leaves(first)?;
    let (mut accepted, mut signals) = (Vec::new(), Vec::new());
    for row in &rows {
        let Some((seen, signal)) = accepted_signal(row)? else { break };
        accepted.push(seen);
        signals.push(signal);
    }
    // What was kept may go on behind the signal that fulfilled the condition. More signals never undo it.
    let counts: Vec<usize> = (1..=accepted.len()).collect();
    let fulfilled = counts.partition_point(|count| !ConditionLeaf::all_hold(&leaves, &accepted[..*count])) + 1;
    let counted = |(seen, signal)| leaves.iter().any(|leaf| leaf.matches(&seen)).then_some(signal);
    Ok(accepted.into_iter().zip(signals).take(fulfilled).filter_map(counted).collect())
}

/// The signal of a row, if there is one: as conditions see it, and as workers do.
fn accepted_signal(row: &PgRow) -> Result<Option<(ConditionSignal, ResumeSignal)>, PgError> {
    let Some(signal_id) = row.try_get::<Option<Uuid>, _>("signal_id")? else { return Ok(None) };
    let signal = ResumeSignal {
        signal_id: SignalId::from_uuid(signal_id),
        signal_name: row.try_get("signal_name")?,
        signal_category: row.try_get("signal_category")?,
        source_type: row.try_get("source_type")?,
        source_identity: row.try_get("source_identity")?,
        correlation_id: row.try_get("correlation_id")?,
        accepted_at: instant(row, "accepted_at")?,
        payload: row.try_get("payload")?,
        payload_encoding: row.try_get("payload_encoding")?,
    };
    let seen = ConditionSignal {
        waitpoint_key: row.try_get("waitpoint_key")?,
        signal_id: signal.signal_id,
        signal_name: signal.signal_name.clone(),
        source_type: signal.source_type.clone(),
        source_identity: signal.source_identity.clone(),
    };
    Ok(Some((seen, signal)))
}
