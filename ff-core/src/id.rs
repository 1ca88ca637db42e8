//! Identifiers: newtypes over UUIDs, names and counters, checked where they enter.

use std::{fmt, str::FromStr};

use crc::{CRC_16_XMODEM, Crc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{EngineError, Limits, PartitionConfig};

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An execution id does not start with `{fp:N}:`.
    #[error("an execution id has the form {{fp:N}}:<uuid>")]
    MissingTag,
    /// The partition index of an execution id is not a number below 65,536.
    #[error("the partition index is not a number in 0..=65535")]
    InvalidPartitionIndex,
    /// The UUID is malformed.
    #[error("not a UUID")]
    InvalidUuid,
    /// A name is empty.
    #[error("empty")]
    Empty,
    /// A name has too many bytes.
    #[error("{0} bytes are too many")]
    TooLong(usize),
    /// A byte of a lane id lies outside `0x20..=0x7e`, or a name contains U+0000.
    #[error("the byte at {0} is not allowed")]
    NonPrintable(usize),
}

impl From<IdError> for EngineError {
    fn from(error: IdError) -> Self {
        Self::invalid_input(format!("id: {error}"))
    }
}

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh random id.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would hide that it is random")]
            pub fn new() -> Self {
                Self(Uuid::new_v4())
            }

            /// An id from a UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self).map_err(|_| IdError::InvalidUuid)
            }
        }
    )* };
}

uuid_id! {
    /// A flow.
    FlowId
    /// One lease: minted by the acquisition that starts it.
    LeaseId
    /// One attempt of an execution.
    AttemptId
    /// What redeems a grant.
    GrantKey
    /// One suspension, minted by the caller: it makes the suspend repeatable.
    SuspensionId
    /// A mailbox of an execution for signals; it is used for one suspension.
    WaitpointId
    /// One signal, minted by its sender: it makes the delivery repeatable.
    SignalId
}

macro_rules! name_id {
    ($($(#[$doc:meta])* $name:ident $check:ident)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A checked name.
            ///
            /// # Errors
            /// [`IdError`] if the text is empty, too long or has a byte that is not allowed.
            pub fn try_new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::try_new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )* };
}

name_id! {
    /// The queue that an execution waits in: 1 to 64 printable ASCII bytes.
    LaneId check_lane
    /// Who an execution belongs to: the scope of idempotency keys and filters. 1 to 256 bytes without U+0000.
    Namespace check_name
    /// A worker, over all its processes. 1 to 256 bytes without U+0000.
    WorkerId check_name
    /// One process of a worker. 1 to 256 bytes without U+0000.
    WorkerInstanceId check_name
}

fn check_lane(text: &str) -> Result<(), IdError> {
    check_length(text, Limits::LANE_BYTES)?;
    match text.bytes().position(|byte| !(0x20..=0x7e).contains(&byte)) {
        Some(at) => Err(IdError::NonPrintable(at)),
        None => Ok(()),
    }
}

fn check_name(text: &str) -> Result<(), IdError> {
    check_length(text, Limits::NAME_BYTES)?;
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(IdError::NonPrintable(at)),
        None => Ok(()),
    }
}

fn check_length(text: &str, most: usize) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        length if length > most => Err(IdError::TooLong(length)),
        _ => Ok(()),
    }
}

/// An execution: `{fp:N}:<uuid>`, minted by the caller.
///
/// `N` is the partition that holds it, below the partition count of the store; operations refuse others.
/// Ids compare as their text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExecutionId {
    partition: u16,
    uuid: Uuid,
}

impl ExecutionId {
    /// A fresh id in the partition that `lane` hashes to.
    #[must_use]
    pub fn solo(lane: &LaneId, partitions: PartitionConfig) -> Self {
        Self { partition: partition_of(lane.as_str().as_bytes(), partitions), uuid: Uuid::new_v4() }
    }

    /// A fresh id in the partition of `flow`, where all its members live.
    #[must_use]
    pub fn for_flow(flow: &FlowId, partitions: PartitionConfig) -> Self {
        Self { partition: partition_of(flow.as_uuid().as_bytes(), partitions), uuid: Uuid::new_v4() }
    }

    /// An id from its parts.
    #[must_use]
    pub const fn from_parts(partition: u16, uuid: Uuid) -> Self {
        Self { partition, uuid }
    }

    /// The partition index `N`.
    #[must_use]
    pub const fn partition(&self) -> u16 {
        self.partition
    }

    /// The UUID behind the partition.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.uuid
    }

    /// Refuses an id of a partition that the store does not have.
    ///
    /// # Errors
    /// `Validation(InvalidInput)`.
    pub fn check_partition(&self, partitions: u16) -> Result<(), EngineError> {
        if self.partition < partitions {
            return Ok(());
        }
        Err(EngineError::invalid_input(format!(
            "execution id: partition {} of a store with {partitions}",
            self.partition
        )))
    }
}

/// The slot hash of Valkey Cluster, its table computed when the crate is compiled.
static SLOT: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// CRC-16/XMODEM modulo the partition count.
fn partition_of(bytes: &[u8], partitions: PartitionConfig) -> u16 {
    SLOT.checksum(bytes) % partitions.count().get()
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = Uuid::encode_buffer();
        write!(f, "{{fp:{}}}:{}", self.partition, self.uuid.hyphenated().encode_lower(&mut buffer))
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecutionId({self})")
    }
}

impl FromStr for ExecutionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let tagged = text.strip_prefix("{fp:").ok_or(IdError::MissingTag)?;
        let (index, uuid) = tagged.split_once("}:").ok_or(IdError::MissingTag)?;
        let partition: u16 = index.parse().map_err(|_| IdError::InvalidPartitionIndex)?;
        let id = Self { partition, uuid: uuid.parse().map_err(|_| IdError::InvalidUuid)? };
        // One text for one id: no sign, no leading zeros, no upper case, no other UUID form.
        let plain_index = index.bytes().all(|byte| byte.is_ascii_digit()) && (index == "0" || !index.starts_with('0'));
        let plain_uuid = id.uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == uuid;
        if plain_index && plain_uuid { Ok(id) } else { Err(IdError::InvalidUuid) }
    }
}

impl TryFrom<String> for ExecutionId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ExecutionId> for String {
    fn from(id: ExecutionId) -> Self {
        id.to_string()
    }
}

impl Ord for ExecutionId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self.partition == other.partition {
            return self.uuid.cmp(&other.uuid);
        }
        // The text of the index ends with '}', which is greater than every digit: {fp:10} stands before {fp:1}.
        format!("{}}}", self.partition).cmp(&format!("{}}}", other.partition))
    }
}

impl PartialOrd for ExecutionId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// How many leases an execution has had: the first is 1, 0 means never leased.
///
/// It grows by one with every acquisition over the execution's whole life and fences the holders before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseEpoch(pub u64);

/// Which attempt of an execution, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptIndex(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ExecutionId {
        text.parse().unwrap()
    }

    #[test]
    fn execution_ids_order_as_their_text() {
        let u = "00000000-0000-4000-8000-000000000001";
        let mut ids = [1u16, 2, 9, 10, 11, 100, 255].map(|n| id(&format!("{{fp:{n}}}:{u}")));
        let mut texts = ids.map(|id| id.to_string());
        ids.sort();
        texts.sort();
        assert_eq!(ids.map(|id| id.to_string()), texts);
    }

    #[test]
    fn an_execution_id_has_one_text() {
        let u = "00000000-0000-4000-8000-00000000000a";
        for index in ["01", "00", "+1"] {
            assert_eq!(format!("{{fp:{index}}}:{u}").parse::<ExecutionId>(), Err(IdError::InvalidUuid));
        }
        assert_eq!(id(&format!("{{fp:0}}:{u}")).to_string(), format!("{{fp:0}}:{u}"));
        assert_eq!(format!("{{fp:1}}:{}", u.to_uppercase()).parse::<ExecutionId>(), Err(IdError::InvalidUuid));
        assert_eq!(format!("{{fp:70000}}:{u}").parse::<ExecutionId>(), Err(IdError::InvalidPartitionIndex));
        assert_eq!(u.parse::<ExecutionId>(), Err(IdError::MissingTag));
        assert_eq!("{fp:1}:x".parse::<ExecutionId>(), Err(IdError::InvalidUuid));
    }

    #[test]
    fn lane_ids_are_short_printable_ascii() {
        assert_eq!(LaneId::try_new(""), Err(IdError::Empty));
        assert_eq!(LaneId::try_new("x".repeat(65)), Err(IdError::TooLong(65)));
        assert_eq!(LaneId::try_new("a\tb"), Err(IdError::NonPrintable(1)));
        assert!(serde_json::from_str::<LaneId>("\"\"").is_err());
    }

    #[test]
    fn solo_ids_of_one_lane_share_a_partition() {
        let lane = LaneId::try_new("mail").unwrap();
        let partitions = PartitionConfig::new(64).unwrap();
        assert_eq!(ExecutionId::solo(&lane, partitions).partition(), ExecutionId::solo(&lane, partitions).partition());
        assert_eq!(partition_of(b"123456789", PartitionConfig::new(u16::MAX).unwrap()), 0x31c3);
    }
}
