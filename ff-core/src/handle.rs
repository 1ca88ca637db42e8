//! What a claim hands out: an opaque proof of a lease, checked before it is used.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AttemptId, AttemptIndex, EngineError, ExecutionId, LaneId, LeaseEpoch, LeaseId, ValidationKind, WorkerInstanceId,
};

/// The label of the backend that minted a handle: 1 to 16 bytes `[a-z0-9-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendTag(String);

impl BackendTag {
    /// A checked label.
    ///
    /// # Errors
    /// `Validation(InvalidInput)` if the label is empty, longer than 16 bytes or has another byte.
    pub fn try_new(label: impl Into<String>) -> Result<Self, EngineError> {
        let label = label.into();
        let fits = (1..=16).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(label)) } else { Err(EngineError::invalid_input("backend tag: 1 to 16 bytes [a-z0-9-]")) }
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BackendTag {
    type Error = EngineError;
    fn try_from(label: String) -> Result<Self, EngineError> {
        Self::try_new(label)
    }
}

impl From<BackendTag> for String {
    fn from(tag: BackendTag) -> Self {
        tag.0
    }
}

/// How the work behind a handle came to its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandleKind {
    /// A new attempt: the first, a retry or a replay.
    Fresh,
    /// The same attempt goes on after a delay, a wait or a suspension.
    Resumed,
    /// A new attempt that takes over from a lease that lapsed or was revoked.
    Reclaimed,
    /// A receipt for a suspended execution; it holds no lease.
    Suspended,
}

/// The three values that fence a holder: all are compared by every holder operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseFence {
    /// The lease.
    pub lease_id: LeaseId,
    /// Its epoch.
    pub lease_epoch: LeaseEpoch,
    /// The attempt under it.
    pub attempt_id: AttemptId,
}

/// A lease in the hands of a worker.
///
/// It can be stored and sent, and works until the lease ends. It is neither signed nor encrypted: what protects the
/// execution is the comparison of the [`LeaseFence`], whose lease id cannot be guessed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Handle {
    backend: BackendTag,
    kind: HandleKind,
    opaque: Vec<u8>,
}

impl Handle {
    /// A handle from its parts, as a backend or a deserialiser has them.
    #[must_use]
    pub const fn from_parts(backend: BackendTag, kind: HandleKind, opaque: Vec<u8>) -> Self {
        Self { backend, kind, opaque }
    }

    /// The backend that minted it.
    #[must_use]
    pub const fn backend(&self) -> &BackendTag {
        &self.backend
    }

    /// How the work came to its holder.
    #[must_use]
    pub const fn kind(&self) -> HandleKind {
        self.kind
    }

    /// The encoded content.
    #[must_use]
    pub fn opaque(&self) -> &[u8] {
        &self.opaque
    }

    /// Reads the content for the backend called `label`.
    ///
    /// # Errors
    /// `Validation(Corruption)` if it cannot be decoded, `Validation(HandleFromOtherBackend)` if another backend
    /// minted it.
    pub fn decode(&self, label: &str) -> Result<HandlePayload, EngineError> {
        let foreign = |tag: &str| {
            EngineError::validation(ValidationKind::HandleFromOtherBackend, format!("minted by {tag:?}, not {label:?}"))
        };
        let (tag, payload) = HandlePayload::decode(&self.opaque)?;
        if self.backend.as_str() != label {
            return Err(foreign(self.backend.as_str()));
        }
        if tag != label {
            return Err(foreign(tag));
        }
        Ok(payload)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("backend", &self.backend.as_str())
            .field("kind", &self.kind)
            .field("bytes", &self.opaque.len())
            .finish()
    }
}

/// The content of a handle, for backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlePayload {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The attempt under the lease.
    pub attempt_index: AttemptIndex,
    /// What every holder operation compares.
    pub fence: LeaseFence,
    /// What `renew` extends by.
    pub lease_ttl: Duration,
    /// The lane that the work came from.
    pub lane_id: LaneId,
    /// The worker process that holds the lease.
    pub worker_instance_id: WorkerInstanceId,
}

/// The first bytes of every handle: layout 2, wire version 1.
const HEAD: [u8; 2] = [0x02, 0x01];

impl HandlePayload {
    /// The handle that carries this content.
    #[must_use]
    pub fn seal(&self, backend: BackendTag, kind: HandleKind) -> Handle {
        let mut out =
            Vec::with_capacity(FIXED_BYTES + self.lane_id.as_str().len() + self.worker_instance_id.as_str().len());
        out.extend(HEAD);
        put_text(&mut out, backend.as_str());
        put_text(&mut out, &self.execution_id.to_string());
        out.extend(self.attempt_index.0.to_le_bytes());
        put_uuid(&mut out, self.fence.attempt_id.as_uuid());
        put_uuid(&mut out, self.fence.lease_id.as_uuid());
        out.extend(self.fence.lease_epoch.0.to_le_bytes());
        out.extend(u64::try_from(self.lease_ttl.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
        put_text(&mut out, self.lane_id.as_str());
        put_text(&mut out, self.worker_instance_id.as_str());
        Handle { backend, kind, opaque: out }
    }

    fn decode(bytes: &[u8]) -> Result<(&str, Self), EngineError> {
        let mut input = Reader(bytes);
        if input.take(2)? != HEAD {
            return Err(damaged("unknown version"));
        }
        let tag = input.text()?;
        let execution_id = input.parsed()?;
        let attempt_index = AttemptIndex(u32::from_le_bytes(input.array()?));
        let attempt_id = input.parsed()?;
        let lease_id = input.parsed()?;
        let lease_epoch = LeaseEpoch(u64::from_le_bytes(input.array()?));
        let lease_ttl = Duration::from_millis(u64::from_le_bytes(input.array()?));
        let lane_id = input.parsed()?;
        let worker_instance_id = input.parsed()?;
        if !input.0.is_empty() {
            return Err(damaged("trailing bytes"));
        }
        let fence = LeaseFence { lease_id, lease_epoch, attempt_id };
        Ok((tag, Self { execution_id, attempt_index, fence, lease_ttl, lane_id, worker_instance_id }))
    }
}

/// The most that everything but the lane and the worker instance takes.
const FIXED_BYTES: usize = 192;

fn put_uuid(out: &mut Vec<u8>, uuid: Uuid) {
    put_text(out, uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // No name of the contract comes near 4 GiB.
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text.as_bytes());
}

fn damaged(what: &str) -> EngineError {
    EngineError::corrupt(format!("handle_codec: {what}"))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], EngineError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(|| damaged("cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        self.take(N)?.try_into().map_err(|_| damaged("cut short"))
    }

    fn text(&mut self) -> Result<&'a str, EngineError> {
        let length = u32::from_le_bytes(self.array()?);
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| damaged("text is not UTF-8"))
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, EngineError> {
        self.text()?.parse().map_err(|_| damaged("malformed field"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> HandlePayload {
        HandlePayload {
            execution_id: "{fp:0}:00000000-0000-4000-8000-000000000001".parse().unwrap(),
            attempt_index: AttemptIndex(3),
            fence: LeaseFence { lease_id: LeaseId::new(), lease_epoch: LeaseEpoch(7), attempt_id: AttemptId::new() },
            lease_ttl: Duration::from_secs(30),
            lane_id: LaneId::try_new("mail").unwrap(),
            worker_instance_id: WorkerInstanceId::try_new("w-1 é").unwrap(),
        }
    }

    #[test]
    fn a_sealed_handle_decodes_to_its_content() {
        let payload = sample();
        let handle = payload.seal(BackendTag::try_new("memory").unwrap(), HandleKind::Fresh);
        assert_eq!(handle.decode("memory").unwrap(), payload);
        let copy: Handle = serde_json::from_str(&serde_json::to_string(&handle).unwrap()).unwrap();
        assert_eq!(copy, handle);
    }

    #[test]
    fn a_handle_of_another_backend_is_named_as_such() {
        let memory = BackendTag::try_new("memory").unwrap();
        let handle = sample().seal(memory, HandleKind::Fresh);
        let relabelled =
            Handle::from_parts(BackendTag::try_new("valkey").unwrap(), HandleKind::Fresh, handle.opaque().to_vec());
        for (handle, label) in [(&handle, "valkey"), (&relabelled, "valkey"), (&relabelled, "memory")] {
            assert_eq!(handle.decode(label).unwrap_err().code(), "Validation(HandleFromOtherBackend)");
        }
    }

    #[test]
    fn no_cut_or_trailing_byte_decodes() {
        let tag = BackendTag::try_new("memory").unwrap();
        let whole = sample().seal(tag.clone(), HandleKind::Fresh).opaque().to_vec();
        for length in 0..whole.len() {
            let cut = Handle::from_parts(tag.clone(), HandleKind::Fresh, whole[..length].to_vec());
            assert_eq!(cut.decode("memory").unwrap_err().code(), "Validation(Corruption)");
        }
        let longer = [whole, vec![0]].concat();
        let error = Handle::from_parts(tag, HandleKind::Fresh, longer).decode("memory").unwrap_err();
        assert_eq!(error, EngineError::corrupt("handle_codec: trailing bytes"));
    }
}
