//! The names of the keys that a caller can know, the mirror of `lua/lib/keys.lua`.

use ff_core::{ExecutionId, LaneId};

/// The keys of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    root: String,
}

impl Keys {
    /// Those of partition `partition`; the braces make its keys share one hash slot.
    pub(crate) fn of(partition: u16) -> Self {
        Self { root: format!("ff:{{fp:{partition}}}") }
    }

    /// The key that all others begin with; no value stands in it.
    pub(crate) fn root(&self) -> String {
        self.root.clone()
    }

    /// What `prepare` has stored: partition count and library version.
    pub(crate) fn meta(&self) -> String {
        self.fixed("meta")
    }

    pub(crate) fn core(&self, id: &ExecutionId) -> String {
        self.execution("x", id)
    }

    pub(crate) fn input(&self, id: &ExecutionId) -> String {
        self.execution("in", id)
    }

    pub(crate) fn result(&self, id: &ExecutionId) -> String {
        self.execution("out", id)
    }

    pub(crate) fn text(&self, id: &ExecutionId) -> String {
        self.execution("txt", id)
    }

    pub(crate) fn tags(&self, id: &ExecutionId) -> String {
        self.execution("tag", id)
    }

    pub(crate) fn ids(&self) -> String {
        self.fixed("ids")
    }

    pub(crate) fn lanes(&self) -> String {
        self.fixed("lanes")
    }

    pub(crate) fn idempotency(&self) -> String {
        self.fixed("idem")
    }

    pub(crate) fn idempotency_expiry(&self) -> String {
        self.fixed("idem:due")
    }

    pub(crate) fn lease_history(&self) -> String {
        self.fixed("events:lease")
    }

    pub(crate) fn completions(&self) -> String {
        self.fixed("events:completion")
    }

    pub(crate) fn due(&self, lane: &LaneId) -> String {
        format!("{}:due:{lane}", self.root)
    }

    pub(crate) fn sets(&self, lane: &LaneId) -> String {
        format!("{}:sets:{lane}", self.root)
    }

    fn execution(&self, kind: &str, id: &ExecutionId) -> String {
        format!("{}:{kind}:{}", self.root, id.as_uuid())
    }

    fn fixed(&self, name: &str) -> String {
        format!("{}:{name}", self.root)
    }
}
