//! How the keys that sign tokens are installed and replaced.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Kid, SigningSecret};
use crate::{EngineError, ValidationKind, time::checked_ms};

/// The first signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeedWaitpointHmacSecretArgs {
    /// Its id.
    pub kid: Kid,
    /// Its secret.
    pub secret: SigningSecret,
}

impl SeedWaitpointHmacSecretArgs {
    /// The key `kid`.
    #[must_use]
    pub const fn new(kid: Kid, secret: SigningSecret) -> Self {
        Self { kid, secret }
    }
}

/// What a seed did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeedOutcome {
    /// The key signs from now on.
    Seeded {
        /// Its id.
        kid: Kid,
    },
    /// It did so before; nothing changed.
    AlreadySeeded {
        /// Its id.
        kid: Kid,
        /// Whether its secret is the one that was given.
        same_secret: bool,
    },
}

/// The next signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RotateWaitpointHmacSecretAllArgs {
    /// Its id.
    pub new_kid: Kid,
    /// Its secret.
    pub new_secret: SigningSecret,
    /// How long tokens of the key before it stay valid: up to 100 years, in whole milliseconds.
    pub grace: Duration,
}

impl RotateWaitpointHmacSecretAllArgs {
    /// The key `new_kid`; tokens of the key before it stay valid for `grace`.
    #[must_use]
    pub const fn new(new_kid: Kid, new_secret: SigningSecret, grace: Duration) -> Self {
        Self { new_kid, new_secret, grace }
    }

    /// Refuses what no backend accepts; the grace in milliseconds.
    ///
    /// # Errors
    /// `Validation(InvalidGraceMs)` for a grace above 100 years.
    pub fn check(&self) -> Result<u64, EngineError> {
        checked_ms(self.grace, "grace", 0).map_err(|error| match error {
            EngineError::Validation { detail, .. } => EngineError::validation(ValidationKind::InvalidGraceMs, detail),
            other => other,
        })
    }
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotateWaitpointHmacSecretOutcome {
    /// The new key signs from now on.
    Rotated {
        /// The key that signed before; its grace has begun.
        previous_kid: Option<Kid>,
        /// The key that signs now.
        new_kid: Kid,
        /// How many keys were removed because their grace was over.
        gc_count: u32,
    },
    /// The key signed before; nothing changed.
    Noop {
        /// Its id.
        kid: Kid,
    },
}

/// What a rotation did to one part of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RotateWaitpointHmacSecretEntry {
    /// The first partition of the part.
    pub partition: u16,
    /// What was done there; a repeat of the rotation goes on where one failed.
    pub result: Result<RotateWaitpointHmacSecretOutcome, EngineError>,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RotateWaitpointHmacSecretAllResult {
    /// One entry for each part of the store that changes in a step of its own: one, unless the store is a cluster.
    pub entries: Vec<RotateWaitpointHmacSecretEntry>,
}

impl RotateWaitpointHmacSecretAllResult {
    /// That of a store which does it in one step.
    #[must_use]
    pub fn whole(outcome: RotateWaitpointHmacSecretOutcome) -> Self {
        Self { entries: vec![RotateWaitpointHmacSecretEntry { partition: 0, result: Ok(outcome) }] }
    }
}
