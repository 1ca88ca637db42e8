//! How the keys that sign tokens change.

use ff_core::{
    ConflictKind, EngineError, Keyring, Kid, RotateWaitpointHmacSecretAllArgs, RotateWaitpointHmacSecretAllResult,
    RotateWaitpointHmacSecretOutcome, SeedOutcome, SeedWaitpointHmacSecretArgs, TimestampMs,
};
use sqlx::Row;

use crate::{
    backend::PostgresBackend,
    error::PgError,
    row::{number, word},
};

pub(super) async fn seed(
    backend: &PostgresBackend,
    args: &SeedWaitpointHmacSecretArgs,
) -> Result<SeedOutcome, PgError> {
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("seed_waitpoint_hmac_secret.sql"))
                .bind(args.kid.as_str())
                .bind(args.secret.expose())
        })
        .await?;
    let kid = args.kid.clone();
    if verdict == "seeded" {
        return Ok(SeedOutcome::Seeded { kid });
    }
    let signs = word::<Kid>(&row, "kid")?;
    if signs != kid {
        return Err(Keyring::seeded_otherwise(&signs).into());
    }
    Ok(SeedOutcome::AlreadySeeded { kid, same_secret: row.try_get("same")? })
}

pub(super) async fn rotate(
    backend: &PostgresBackend,
    args: &RotateWaitpointHmacSecretAllArgs,
) -> Result<RotateWaitpointHmacSecretAllResult, PgError> {
    let grace_ms = i64::try_from(args.check()?).unwrap_or(i64::MAX);
    let (verdict, row) = backend
        .store()
        .await?
        .decide(|| {
            sqlx::query(include_str!("rotate_waitpoint_hmac_secret_all.sql"))
                .bind(args.new_kid.as_str())
                .bind(args.new_secret.expose())
                .bind(grace_ms)
                .bind(TimestampMs::MAX.as_ms())
        })
        .await?;
    let kid = args.new_kid.clone();
    let outcome = match verdict.as_str() {
        "rotated" => RotateWaitpointHmacSecretOutcome::Rotated {
            previous_kid: row.try_get::<Option<String>, _>("previous_kid")?.map(Kid::try_new).transpose()?,
            new_kid: kid,
            gc_count: number(&row, "removed")?,
        },
        "noop" => RotateWaitpointHmacSecretOutcome::Noop { kid },
        "conflict" => return Err(EngineError::Conflict(ConflictKind::RotationConflict).into()),
        other => return Err(EngineError::corrupt(format!("unknown verdict {other:?}")).into()),
    };
    Ok(RotateWaitpointHmacSecretAllResult::whole(outcome))
}
