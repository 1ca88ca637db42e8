//! What the memory backend can do.

use std::time::Duration;

use ff_core::{BackendIdentity, Capabilities, Durability, Limits, OrderScope, Properties, Supports, WakeUp};

/// The label in handles, logs and reports.
pub(crate) const LABEL: &str = "memory";

/// How long a waiting claim pauses at most between two looks.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(5);

pub(crate) fn capabilities(limits: &Limits) -> Capabilities {
    Capabilities {
        identity: BackendIdentity { label: LABEL.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        supports: Supports::all(),
        properties: Properties { durability: Durability::None, order: OrderScope::Store, wake_up: WakeUp::Push },
        limits: limits.clone(),
    }
}
