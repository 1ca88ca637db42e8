//! The keys that sign tokens, as this process has last read them from the store.

use std::sync::{Arc, PoisonError, RwLock};

use ff_core::{Keyring, Kid, SigningKey, SigningSecret};
use sqlx::{Row, postgres::PgRow};

use crate::{
    error::PgError,
    row::{maybe_instant, number},
    tx::Sender,
};

/// The keys of a store. They may be old: a statement that depends on them says so, and they are read again.
#[derive(Debug, Default)]
pub(crate) struct Keys(RwLock<Arc<Keyring>>);

impl Keys {
    /// As they were last read.
    pub(crate) fn known(&self) -> Arc<Keyring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, read first if none of them signs.
    pub(super) async fn signing(&self, store: &Sender) -> Result<Arc<Keyring>, PgError> {
        let known = self.known();
        if known.current.is_some() { Ok(known) } else { self.read(store).await }
    }

    /// As they are now.
    pub(super) async fn read(&self, store: &Sender) -> Result<Arc<Keyring>, PgError> {
        let rows = store.rows(|| sqlx::query(include_str!("read_secrets.sql"))).await?;
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let mut ring = Keyring { version: number(first, "version")?, ..Keyring::default() };
        for row in &rows {
            let Some((kid, key)) = key(row)? else { continue };
            if key.expires_at.is_none() {
                ring.current = Some(kid.clone());
            }
            ring.keys.insert(kid, key);
        }
        let ring = Arc::new(ring);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another read may have been faster.
        if ring.version >= known.version {
            *known = Arc::clone(&ring);
        }
        Ok(ring)
    }
}

fn key(row: &PgRow) -> Result<Option<(Kid, SigningKey)>, PgError> {
    let Some(kid) = row.try_get::<Option<String>, _>("kid")? else { return Ok(None) };
    let secret = SigningSecret::from_bytes(row.try_get::<Vec<u8>, _>("secret")?)?;
    Ok(Some((Kid::try_new(kid)?, SigningKey { secret, expires_at: maybe_instant(row, "expires_at")? })))
}
