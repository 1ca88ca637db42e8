//! The other side: a durable claim as one writes it by hand on a bare store, with the same rows written.

mod bare;
mod memory;
mod postgres;
mod valkey;

use uuid::Uuid;

pub(crate) use bare::{Floor, Nothing};
pub(crate) use memory::RawMemory;
pub(crate) use postgres::RawPostgres;
pub(crate) use valkey::RawValkey;

/// The life of a lease in milliseconds, longer than any run.
const TTL_MS: i64 = 3_600_000;

const NAMESPACE: &str = "shop";
const LANE: &str = "mail";
const WORKER: &str = "mailer";
const WORKER_INSTANCE: &str = "mailer-1";

/// A lease, with all that its end is checked by.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    id: String,
    epoch: i64,
    attempt_index: i64,
    lease_id: Uuid,
    attempt_id: Uuid,
}
