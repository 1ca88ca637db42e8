//! What this backend can do, and what follows from the server it meets.

use std::time::Duration;

use ff_core::{
    BackendIdentity, Capabilities, Durability, Limits, OrderScope, PartitionConfig, Properties, Supports, WakeUp,
};

/// The label in handles, errors and reports.
pub(crate) const LABEL: &str = "postgres";

/// How long a waiting claim sleeps at most between two looks.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The same where the store knows whom to wake: an idle worker asks less than once in 5 s, its entry in the lane
/// included.
pub(crate) const LOOK_AGAIN_UNLESS_WOKEN: Duration = Duration::from_secs(10);

/// The same where the store has just been told whom to wake.
pub(crate) const LOOK_AGAIN_AT_ONCE: Duration = Duration::from_millis(10);

/// What is lost at most when commits do not wait for the log: what was committed within so many pauses of its writer.
const PAUSES: u32 = 3;

/// The capabilities of a backend on a store with `partitions` and `durability`.
pub(crate) fn capabilities(partitions: PartitionConfig, durability: Durability) -> Capabilities {
    Capabilities {
        identity: BackendIdentity { label: LABEL.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        supports: Supports::all(),
        properties: Properties { durability, order: OrderScope::Store, wake_up: WakeUp::Push },
        limits: Limits::of_partitions(partitions.count().get()),
    }
}

/// What survives the sudden end of a server with these settings, whose log writer pauses for `wal_writer_delay`.
pub(crate) fn durability(fsync: &str, synchronous_commit: &str, wal_writer_delay: Duration) -> Durability {
    match (fsync, synchronous_commit) {
        ("on", "off") => Durability::Bounded(wal_writer_delay * PAUSES),
        ("on", _) => Durability::Sync,
        _ => Durability::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_follows_from_the_settings() {
        let pause = Duration::from_millis(250);
        assert_eq!(durability("on", "on", pause), Durability::Sync);
        assert_eq!(durability("on", "local", pause), Durability::Sync);
        assert_eq!(durability("on", "off", pause), Durability::Bounded(Duration::from_millis(750)));
        assert_eq!(durability("off", "on", pause), Durability::None);
    }
}
