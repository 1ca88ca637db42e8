//! Who may deliver a signal: tokens, the keys that sign them, and how keys change.

use std::{collections::BTreeMap, fmt};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{RotateWaitpointHmacSecretOutcome, SeedOutcome};
use crate::{
    ConflictKind, EngineError, ExecutionId, Limits, StateKind, TimestampMs, ValidationKind, WaitpointId, state::words,
};

/// The credential of one waitpoint, `<kid>:<64 hexadecimal digits>`: whoever holds it may deliver signals to it.
///
/// Any text can be one; a backend refuses those that are not valid, all alike. `Debug` and `Display` hide it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WaitpointToken(String);

impl WaitpointToken {
    /// A token as it was received.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole text, to hand it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> Option<(Kid, [u8; DIGEST_BYTES])> {
        let (kid, digits) = self.0.split_once(':')?;
        let digest = unhex(digits).filter(|_| !digits.bytes().any(|byte| byte.is_ascii_uppercase()))?;
        Some((Kid::try_new(kid).ok()?, digest.try_into().ok()?))
    }
}

impl fmt::Debug for WaitpointToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some((kid, _)) => write!(f, "{}:<REDACTED:len={}>", kid.as_str(), DIGEST_BYTES * 2),
            None => f.write_str("<REDACTED:malformed>"),
        }
    }
}

impl fmt::Display for WaitpointToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The id of a signing key: 1 to 64 bytes `[A-Za-z0-9_.-]`. It is public.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kid(String);

impl Kid {
    /// A checked id.
    ///
    /// # Errors
    /// `Validation(InvalidKid)`.
    pub fn try_new(text: impl Into<String>) -> Result<Self, EngineError> {
        let text = text.into();
        let fits = (1..=Limits::KID_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if fits {
            return Ok(Self(text));
        }
        let rule = format!("kid: 1 to {} bytes [A-Za-z0-9_.-]", Limits::KID_BYTES);
        Err(EngineError::validation(ValidationKind::InvalidKid, rule))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Kid {
    type Err = EngineError;
    fn from_str(text: &str) -> Result<Self, EngineError> {
        Self::try_new(text)
    }
}

impl TryFrom<String> for Kid {
    type Error = EngineError;
    fn try_from(text: String) -> Result<Self, EngineError> {
        Self::try_new(text)
    }
}

impl From<Kid> for String {
    fn from(kid: Kid) -> Self {
        kid.0
    }
}

/// The secret of a signing key: 32 to 64 bytes. `Debug` hides it, and it compares in constant time.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    /// A secret from 64 to 128 hexadecimal digits.
    ///
    /// # Errors
    /// `Validation(InvalidSecretHex)`, which shows nothing of the text.
    pub fn from_hex(digits: &str) -> Result<Self, EngineError> {
        unhex(digits).map_or_else(|| Err(Self::malformed()), Self::from_bytes)
    }

    /// A secret from its bytes.
    ///
    /// # Errors
    /// `Validation(InvalidSecretHex)` for fewer than 32 or more than 64 bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, EngineError> {
        let bytes = bytes.into();
        if Limits::SECRET_BYTES.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(Self::malformed()) }
    }

    fn malformed() -> EngineError {
        let (least, most) = (Limits::SECRET_BYTES.start() * 2, Limits::SECRET_BYTES.end() * 2);
        let rule = format!("secret: {least} to {most} hexadecimal digits, an even number");
        EngineError::validation(ValidationKind::InvalidSecretHex, rule)
    }

    /// The bytes, for the store that keeps them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as hexadecimal digits, for the store that keeps them.
    #[must_use]
    pub fn expose_hex(&self) -> String {
        hex(&self.0)
    }

    fn mac(&self) -> Option<Hmac<Sha256>> {
        Hmac::new_from_slice(&self.0).ok()
    }
}

impl PartialEq for SigningSecret {
    fn eq(&self, other: &Self) -> bool {
        // Equal secrets give equal codes, and codes compare in constant time.
        let code = |secret: &Self| secret.mac().map(|mac| mac.chain_update(COMPARING).finalize());
        code(self) == code(other)
    }
}

impl Eq for SigningSecret {}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<REDACTED>")
    }
}

impl TryFrom<String> for SigningSecret {
    type Error = EngineError;
    fn try_from(digits: String) -> Result<Self, EngineError> {
        Self::from_hex(&digits)
    }
}

impl From<SigningSecret> for String {
    fn from(secret: SigningSecret) -> Self {
        hex(&secret.0)
    }
}

words! {
    /// Why a token was refused. For a metric only: a caller learns that it was.
    TokenFault {
        /// There is none.
        Missing = "missing",
        /// It has not the form of a token.
        Malformed = "malformed",
        /// No such key is installed.
        UnknownKid = "unknown_kid",
        /// It was not signed with its key for this waitpoint of this execution.
        Mismatch = "mismatch",
        /// The grace of its key is over.
        Expired = "expired",
        /// There is no such waitpoint.
        UnknownWaitpoint = "unknown_waitpoint",
    }
}

impl EngineError {
    /// `Validation(InvalidToken)`: the one refusal of every token that is not valid, whatever the reason.
    #[must_use]
    pub fn invalid_token() -> Self {
        Self::validation(ValidationKind::InvalidToken, "the token does not open this waitpoint")
    }
}

/// What a fresh token is made of: the token, and what listings show of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintedToken {
    /// The token.
    pub token: WaitpointToken,
    /// The key that signed it.
    pub kid: Kid,
    /// The first 16 digits of its digest.
    pub fingerprint: String,
}

/// A signing key that a store keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Its secret.
    pub secret: SigningSecret,
    /// When its grace ends; the key that signs has none.
    pub expires_at: Option<TimestampMs>,
}

impl SigningKey {
    /// True if tokens of the key are valid at `now`.
    #[must_use]
    pub fn counts(&self, now: TimestampMs) -> bool {
        self.expires_at.is_none_or(|end| !end.has_come(now))
    }
}

/// The signing keys of a store, as it keeps them or as a client has read them.
///
/// The store raises `version` with every change, so that a client notices that its copy is old; whether a key still
/// counts is the store's to say, by its clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    /// Changes whenever anything else does; 0 is the empty ring.
    pub version: u64,
    /// The key that signs.
    pub current: Option<Kid>,
    /// All keys that are kept, those whose grace is over included.
    pub keys: BTreeMap<Kid, SigningKey>,
}

/// What separates these codes from any other use of a secret.
const DOMAIN: &[u8] = b"ff-core/waitpoint-token/1";
const COMPARING: &[u8] = b"ff-core/compare-secrets/1";
const DIGEST_BYTES: usize = 32;
/// Hexadecimal digits of a fingerprint.
const FINGERPRINT: usize = 16;

impl Keyring {
    /// The token of a waitpoint under the key that signs.
    ///
    /// # Errors
    /// `State(SigningKeyMissing)` if there is none.
    pub fn mint(&self, execution: &ExecutionId, waitpoint: &WaitpointId) -> Result<MintedToken, EngineError> {
        let missing = || EngineError::State(StateKind::SigningKeyMissing);
        self.current.as_ref().and_then(|kid| self.sign(kid, execution, waitpoint)).ok_or_else(missing)
    }

    /// The token of a waitpoint under the key `kid` that signed it first, or, once that key is gone, under the one that
    /// signs now.
    ///
    /// # Errors
    /// `State(SigningKeyMissing)` if there is neither.
    pub fn mint_again(
        &self,
        kid: &Kid,
        execution: &ExecutionId,
        waitpoint: &WaitpointId,
    ) -> Result<MintedToken, EngineError> {
        self.sign(kid, execution, waitpoint).map_or_else(|| self.mint(execution, waitpoint), Ok)
    }

    fn sign(&self, kid: &Kid, execution: &ExecutionId, waitpoint: &WaitpointId) -> Option<MintedToken> {
        let mac = self.keys.get(kid)?.secret.mac()?;
        let digits = hex(&over(mac, kid, execution, waitpoint).finalize().into_bytes());
        let token = WaitpointToken(format!("{kid}:{digits}"));
        Some(MintedToken { token, kid: kid.clone(), fingerprint: digits.chars().take(FINGERPRINT).collect() })
    }

    /// The key that signed `token` for this waitpoint of this execution; whether it still counts is the store's to say.
    ///
    /// # Errors
    /// What is wrong with the token.
    pub fn check(
        &self,
        token: &WaitpointToken,
        execution: &ExecutionId,
        waitpoint: &WaitpointId,
    ) -> Result<Kid, TokenFault> {
        if token.0.is_empty() {
            return Err(TokenFault::Missing);
        }
        let (kid, digest) = token.parts().ok_or(TokenFault::Malformed)?;
        let mac = self.keys.get(&kid).and_then(|key| key.secret.mac()).ok_or(TokenFault::UnknownKid)?;
        // Compares in constant time.
        match over(mac, &kid, execution, waitpoint).verify_slice(&digest) {
            Ok(()) => Ok(kid),
            Err(_) => Err(TokenFault::Mismatch),
        }
    }

    /// Installs the first key; see [`crate::Waitpoints::seed_waitpoint_hmac_secret`].
    ///
    /// # Errors
    /// `Validation(InvalidInput)` if another key signs.
    pub fn seed(&mut self, kid: &Kid, secret: &SigningSecret) -> Result<SeedOutcome, EngineError> {
        match &self.current {
            None => {
                self.install(kid, secret);
                Ok(SeedOutcome::Seeded { kid: kid.clone() })
            }
            Some(current) if current == kid => {
                let same_secret = self.keys.get(kid).is_some_and(|key| key.secret == *secret);
                Ok(SeedOutcome::AlreadySeeded { kid: kid.clone(), same_secret })
            }
            Some(current) => Err(Self::seeded_otherwise(current)),
        }
    }

    /// The refusal of a seed where the key `current` signs.
    #[must_use]
    pub fn seeded_otherwise(current: &Kid) -> EngineError {
        EngineError::invalid_input(format!("kid: {current} signs already; rotate to replace it"))
    }

    /// Installs the next key; see [`crate::Waitpoints::rotate_waitpoint_hmac_secret_all`].
    ///
    /// # Errors
    /// `Conflict(RotationConflict)` if the id stands for another secret.
    pub fn rotate(
        &mut self,
        kid: &Kid,
        secret: &SigningSecret,
        grace_ms: u64,
        now: TimestampMs,
    ) -> Result<RotateWaitpointHmacSecretOutcome, EngineError> {
        let known = self.keys.get(kid).filter(|key| key.counts(now));
        if known.is_some_and(|key| key.secret != *secret) {
            return Err(EngineError::Conflict(ConflictKind::RotationConflict));
        }
        if self.current.as_ref() == Some(kid) {
            return Ok(RotateWaitpointHmacSecretOutcome::Noop { kid: kid.clone() });
        }
        let kept = self.keys.len();
        self.keys.retain(|_, key| key.counts(now));
        let gc_count = u32::try_from(kept - self.keys.len()).unwrap_or(u32::MAX);
        let previous_kid = self.current.clone();
        if let Some(previous) = previous_kid.as_ref().and_then(|kid| self.keys.get_mut(kid)) {
            previous.expires_at = Some(now.plus(std::time::Duration::from_millis(grace_ms)));
        }
        self.install(kid, secret);
        Ok(RotateWaitpointHmacSecretOutcome::Rotated { previous_kid, new_kid: kid.clone(), gc_count })
    }

    fn install(&mut self, kid: &Kid, secret: &SigningSecret) {
        self.version += 1;
        self.current = Some(kid.clone());
        self.keys.insert(kid.clone(), SigningKey { secret: secret.clone(), expires_at: None });
    }
}

/// Each part with its length before it: no two different triples give the same bytes.
fn over(mac: Hmac<Sha256>, kid: &Kid, execution: &ExecutionId, waitpoint: &WaitpointId) -> Hmac<Sha256> {
    let parts = [kid.as_str().to_owned(), execution.to_string(), waitpoint.to_string()];
    parts.iter().fold(mac.chain_update(DOMAIN), |mac, part| {
        mac.chain_update((part.len() as u64).to_be_bytes()).chain_update(part.as_bytes())
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kid(text: &str) -> Kid {
        Kid::try_new(text).unwrap()
    }

    fn secret(byte: u8) -> SigningSecret {
        SigningSecret::from_bytes([byte; 32]).unwrap()
    }

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::from_ms(ms)
    }

    fn target() -> (ExecutionId, WaitpointId) {
        let waitpoint = WaitpointId::from_uuid("00000000-0000-4000-8000-00000000000a".parse().unwrap());
        ("{fp:0}:00000000-0000-4000-8000-000000000001".parse().unwrap(), waitpoint)
    }

    fn seeded() -> Keyring {
        let mut ring = Keyring::default();
        ring.seed(&kid("k1"), &secret(1)).unwrap();
        ring
    }

    #[test]
    fn a_token_is_that_of_the_golden_vector() {
        let (execution, waitpoint) = target();
        let minted = seeded().mint(&execution, &waitpoint).unwrap();
        let digits = "8bc06594f8337ab699e0ead3e834ed7b1813afcf725bd96b358d0dc4c339ffaa";
        assert_eq!(minted.token.expose(), format!("k1:{digits}"));
        assert_eq!((minted.kid, minted.fingerprint.as_str()), (kid("k1"), &digits[..16]));
    }

    #[test]
    fn a_token_opens_its_own_waitpoint_only() {
        let ((execution, waitpoint), ring) = (target(), seeded());
        let token = ring.mint(&execution, &waitpoint).unwrap().token;
        assert_eq!(ring.check(&token, &execution, &waitpoint), Ok(kid("k1")));
        let other: ExecutionId = "{fp:0}:00000000-0000-4000-8000-000000000002".parse().unwrap();
        assert_eq!(ring.check(&token, &other, &waitpoint), Err(TokenFault::Mismatch));
        assert_eq!(ring.check(&token, &execution, &WaitpointId::new()), Err(TokenFault::Mismatch));
        let mut foreign = Keyring::default();
        foreign.seed(&kid("k1"), &secret(2)).unwrap();
        assert_eq!(foreign.check(&token, &execution, &waitpoint), Err(TokenFault::Mismatch));
        assert_eq!(Keyring::default().check(&token, &execution, &waitpoint), Err(TokenFault::UnknownKid));
    }

    #[test]
    fn no_changed_byte_and_no_cut_passes() {
        let ((execution, waitpoint), ring) = (target(), seeded());
        let text = ring.mint(&execution, &waitpoint).unwrap().token.expose().to_owned();
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let token = WaitpointToken::new(String::from_utf8(bytes).unwrap());
                assert!(ring.check(&token, &execution, &waitpoint).is_err(), "{at} {bit}");
            }
            assert!(ring.check(&WaitpointToken::new(&text[..at]), &execution, &waitpoint).is_err());
        }
        let longer = WaitpointToken::new(format!("{text}0"));
        assert_eq!(ring.check(&longer, &execution, &waitpoint), Err(TokenFault::Malformed));
        assert_eq!(ring.check(&WaitpointToken::new(""), &execution, &waitpoint), Err(TokenFault::Missing));
    }

    #[test]
    fn nothing_that_prints_shows_a_token_or_a_secret() {
        let (execution, waitpoint) = target();
        let ring = seeded();
        let minted = ring.mint(&execution, &waitpoint).unwrap();
        let digits = &minted.token.expose()[3 + FINGERPRINT..];
        let text = format!("{minted:?} {} {ring:?} {:?}", minted.token, WaitpointToken::new("x"));
        assert!(!text.contains(digits) && !text.contains("0101"), "{text}");
        assert!(text.contains("k1:<REDACTED:len=64>") && text.contains("<REDACTED:malformed>"), "{text}");
        assert!(!SigningSecret::from_hex("abcdef").unwrap_err().to_string().contains("abcdef"));
    }

    #[test]
    fn seeding_again_changes_nothing() {
        let mut ring = seeded();
        let before = ring.clone();
        let again = |same_secret| Ok(SeedOutcome::AlreadySeeded { kid: kid("k1"), same_secret });
        assert_eq!(ring.seed(&kid("k1"), &secret(1)), again(true));
        assert_eq!(ring.seed(&kid("k1"), &secret(2)), again(false));
        assert_eq!(ring.seed(&kid("k2"), &secret(1)).unwrap_err().code(), "Validation(InvalidInput)");
        assert_eq!(ring, before);
    }

    #[test]
    fn keys_within_their_grace_count_and_others_are_collected() {
        let mut ring = seeded();
        ring.rotate(&kid("k2"), &secret(2), 100, at(0)).unwrap();
        ring.rotate(&kid("k3"), &secret(3), 100, at(50)).unwrap();
        let counting = |now| {
            ring.keys.iter().filter(|(_, key)| key.counts(at(now))).map(|(kid, _)| kid.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(counting(99), ["k1", "k2", "k3"]);
        assert_eq!(counting(100), ["k2", "k3"]);
        assert_eq!(counting(150), ["k3"]);
        let outcome = ring.rotate(&kid("k4"), &secret(4), 100, at(100)).unwrap();
        let rotated = RotateWaitpointHmacSecretOutcome::Rotated {
            previous_kid: Some(kid("k3")),
            new_kid: kid("k4"),
            gc_count: 1,
        };
        assert_eq!(outcome, rotated);
        assert_eq!(ring.keys.len(), 3);
    }

    #[test]
    fn rotating_back_leaves_the_key_without_an_end() {
        let mut ring = seeded();
        ring.rotate(&kid("k2"), &secret(2), 100, at(0)).unwrap();
        ring.rotate(&kid("k1"), &secret(1), 100, at(50)).unwrap();
        ring.rotate(&kid("k3"), &secret(3), 1000, at(200)).unwrap();
        assert!(ring.keys[&kid("k1")].counts(at(1199)));
        assert!(!ring.keys.contains_key(&kid("k2")));
    }

    #[test]
    fn an_id_that_counts_stands_for_one_secret() {
        let mut ring = seeded();
        let conflict =
            |answer: Result<_, EngineError>| assert_eq!(answer.unwrap_err().code(), "Conflict(RotationConflict)");
        conflict(ring.rotate(&kid("k1"), &secret(9), 0, at(0)));
        ring.rotate(&kid("k2"), &secret(2), 100, at(0)).unwrap();
        let version = ring.version;
        conflict(ring.rotate(&kid("k1"), &secret(9), 0, at(99)));
        let noop = RotateWaitpointHmacSecretOutcome::Noop { kid: kid("k2") };
        assert_eq!(ring.rotate(&kid("k2"), &secret(2), 7, at(99)), Ok(noop));
        assert_eq!(ring.version, version);
        ring.rotate(&kid("k1"), &secret(9), 0, at(100)).unwrap();
    }

    #[test]
    fn ids_and_secrets_have_rules() {
        for text in ["", "a:b", "a b", "é", &"x".repeat(65)] {
            assert_eq!(Kid::try_new(text).unwrap_err().code(), "Validation(InvalidKid)");
        }
        for digits in ["", "abc", &"0".repeat(62), &"0".repeat(65), &"g".repeat(64), &"0".repeat(130)] {
            assert_eq!(SigningSecret::from_hex(digits).unwrap_err().code(), "Validation(InvalidSecretHex)");
        }
        assert_eq!(SigningSecret::from_hex(&"Ab".repeat(32)).unwrap().expose_hex(), "ab".repeat(32));
    }
}
