//! Ids of executions as the tables keep them: under half as long as their text.

use ff_core::{EngineError, ExecutionId};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::error::PgError;

/// The partition's digits, half a byte each and filled up to three bytes, then the UUID. All zero stands before all ids.
///
/// Bytes compare as ids do: `{fp:10}` before `{fp:1}`, since the brace is greater than a digit, and so is the filling.
pub(crate) type StoredId = [u8; PARTITION_BYTES + 16];

const PARTITION_BYTES: usize = 3;
const FILLING: u8 = 0xf;

/// An id as the tables keep it; `ff_id` does the same for people.
pub(crate) fn stored(id: &ExecutionId) -> StoredId {
    let count = id.partition().checked_ilog10().unwrap_or(0) + 1;
    let digit = |at: u32| match count.checked_sub(at + 1) {
        Some(behind) => u8::try_from(id.partition() / 10_u16.pow(behind) % 10).unwrap_or(FILLING),
        None => FILLING,
    };
    let mut bytes = StoredId::default();
    let (partition, uuid) = bytes.split_at_mut(PARTITION_BYTES);
    for (byte, at) in partition.iter_mut().zip((0..).step_by(2)) {
        *byte = (digit(at) << 4) | digit(at + 1);
    }
    uuid.copy_from_slice(id.as_uuid().as_bytes());
    bytes
}

/// The id in a column.
pub(crate) fn execution_id(row: &PgRow, column: &str) -> Result<ExecutionId, PgError> {
    let bytes: StoredId = row.try_get(column)?;
    read(&bytes).ok_or_else(|| EngineError::corrupt(format!("{column}: {bytes:02x?}")).into())
}

fn read(bytes: &StoredId) -> Option<ExecutionId> {
    let (partition, uuid) = bytes.split_at(PARTITION_BYTES);
    let halves = partition.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let partition = halves
        .take_while(|half| *half != FILLING)
        .try_fold(0_u16, |number, digit| number.checked_mul(10)?.checked_add(digit.into()))?;
    let id = ExecutionId::from_parts(partition, Uuid::from_slice(uuid).ok()?);
    (stored(&id) == *bytes).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> impl Iterator<Item = ExecutionId> {
        [0, 1, 2, 9, 10, 19, 100, 9_999, 10_000, 65_535]
            .into_iter()
            .flat_map(|partition| [0, 1, u128::MAX].map(|n| ExecutionId::from_parts(partition, Uuid::from_u128(n))))
    }

    #[test]
    fn what_is_stored_reads_as_it_was() {
        assert!(ids().all(|id| read(&stored(&id)) == Some(id)));
    }

    #[test]
    fn the_partition_stands_in_digits() {
        for (partition, stands) in [(0, [0x0f, 0xff, 0xff]), (10, [0x10, 0xff, 0xff]), (65_535, [0x65, 0x53, 0x5f])] {
            let bytes = stored(&ExecutionId::from_parts(partition, Uuid::max()));
            assert_eq!(bytes.split_at(PARTITION_BYTES), (&stands[..], &[0xff; 16][..]));
        }
    }

    #[test]
    fn bytes_compare_as_text_does() {
        for one in ids() {
            for other in ids() {
                let text = one.to_string().cmp(&other.to_string());
                assert_eq!(stored(&one).cmp(&stored(&other)), text, "{one} {other}");
            }
        }
    }

    #[test]
    fn bytes_that_no_id_has_are_refused() {
        let mut bytes = stored(&ExecutionId::from_parts(7, Uuid::nil()));
        for partition in [[0xff; 3], [0x07, 0xff, 0xff], [0x7f, 0x1f, 0xff], [0x65, 0x53, 0x6f], [0x70, 0xaf, 0xff]] {
            bytes.first_chunk_mut::<3>().unwrap().copy_from_slice(&partition);
            assert_eq!(read(&bytes), None, "{partition:02x?}");
        }
    }
}
