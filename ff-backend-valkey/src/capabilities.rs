//! What this backend can do.

use ff_core::{BackendIdentity, Capabilities, Durability, Limits, OrderScope, Properties, Supports, WakeUp};

use crate::backend::LABEL;

/// What the backend can do on a server of that durability.
pub(crate) fn capabilities(durability: Durability, partitions: u16) -> Capabilities {
    Capabilities {
        identity: BackendIdentity { label: LABEL.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        supports: Supports::all(),
        properties: Properties { durability, order: OrderScope::Store, wake_up: WakeUp::Push },
        limits: Limits::of_partitions(partitions),
    }
}
