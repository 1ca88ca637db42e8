//! The copy of the store's signing keys, and the calls that work by it.

use std::sync::{Arc, PoisonError, RwLock};

use ff_core::{EngineError, Keyring, SigningKey, SigningSecret, TimestampMs};

use crate::{
    backend::ValkeyBackend,
    error::ValkeyError,
    fcall::Call,
    reply::{Items, unknown},
};

/// How often a call is sent at most while others replace the keys.
const CALLS: u32 = 5;

/// The keys as they were read last.
#[derive(Default)]
pub(crate) struct Ring(RwLock<Option<Arc<Keyring>>>);

impl Ring {
    fn copy(&self) -> Option<Arc<Keyring>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, ring: Keyring) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ring));
    }
}

/// What a function answered, and the keys that the store had then.
pub(super) struct Signed {
    pub(super) word: String,
    pub(super) reply: Items,
    pub(super) ring: Arc<Keyring>,
}

/// Sends what `call` makes of the keys and their version. A store that has others answers with them and does nothing else;
/// then it is sent once more.
pub(super) async fn signed(
    backend: &ValkeyBackend,
    call: impl Fn(&Keyring, &str) -> Call,
) -> Result<Signed, ValkeyError> {
    for _ in 0..CALLS {
        let copy = backend.ring.copy();
        let version = copy.as_ref().map(|ring| ring.version.to_string()).unwrap_or_default();
        let ring = copy.unwrap_or_default();
        let mut reply = backend.items(call(&ring, &version)).await?;
        let word = reply.text()?;
        if word != "ring" {
            return Ok(Signed { word, reply, ring });
        }
        backend.ring.keep(read(reply)?);
    }
    Err(EngineError::contention().into())
}

fn read(mut reply: Items) -> Result<Keyring, ValkeyError> {
    let mut ring = Keyring { version: reply.parsed()?, current: reply.optional()?, ..Keyring::default() };
    while let Some(mut key) = reply.next_items()? {
        let (kid, secret) = (key.parsed()?, secret(&key.text()?)?);
        let expires_at = key.optional()?.map(TimestampMs::from_ms);
        ring.keys.insert(kid, SigningKey { secret, expires_at });
    }
    Ok(ring)
}

/// A stored secret.
pub(super) fn secret(digits: &str) -> Result<SigningSecret, ValkeyError> {
    SigningSecret::from_hex(digits).map_err(|_| EngineError::corrupt("a stored secret").into())
}

impl Signed {
    /// The refusal that the answer tells.
    pub(super) fn refusal(mut self) -> ValkeyError {
        match self.word.as_str() {
            "not_active" => self.reply.not_active().map_or_else(|error| error, ValkeyError::from),
            other => unknown(other),
        }
    }
}
