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

    pub(crate) fn attempts(&self, id: &ExecutionId) -> String {
        self.execution("at", id)
    }

    pub(crate) fn waitpoints(&self, id: &ExecutionId) -> String {
        self.execution("wp", id)
    }

    pub(crate) fn signals(&self, id: &ExecutionId) -> String {
        self.execution("sig", id)
    }

    pub(crate) fn suspension(&self, id: &ExecutionId) -> String {
        self.execution("sus", id)
    }

    pub(crate) fn suspend_keys(&self, id: &ExecutionId) -> String {
        self.execution("suk", id)
    }

    pub(crate) fn observed(&self, id: &ExecutionId) -> String {
        self.execution("obs", id)
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

    pub(crate) fn operator_events(&self) -> String {
        self.fixed("events:operator")
    }

    pub(crate) fn signal_deliveries(&self) -> String {
        self.fixed("events:signal")
    }

    /// The keys that sign the tokens of waitpoints.
    pub(crate) fn ring(&self) -> String {
        self.fixed("ring")
    }

    pub(crate) fn suspended(&self) -> String {
        self.fixed("suspended")
    }

    pub(crate) fn ended(&self) -> String {
        self.fixed("ended")
    }

    /// The channel of wake-ups, each a lane; no key.
    pub(crate) fn wake(&self) -> String {
        self.fixed("wake")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_golden_ones() {
        let keys = Keys::of(0);
        let id: ExecutionId = "{fp:0}:00000000-0000-4000-8000-000000000001".parse().unwrap();
        let lane = LaneId::try_new("a:b c").unwrap();
        let names = [
            ("core", keys.core(&id)),
            ("input", keys.input(&id)),
            ("result", keys.result(&id)),
            ("text", keys.text(&id)),
            ("tags", keys.tags(&id)),
            ("attempts", keys.attempts(&id)),
            ("waitpoints", keys.waitpoints(&id)),
            ("signals", keys.signals(&id)),
            ("suspension", keys.suspension(&id)),
            ("suspend_keys", keys.suspend_keys(&id)),
            ("observed", keys.observed(&id)),
            ("ids", keys.ids()),
            ("lanes", keys.lanes()),
            ("idempotency", keys.idempotency()),
            ("idempotency_expiry", keys.idempotency_expiry()),
            ("lease_history", keys.lease_history()),
            ("completions", keys.completions()),
            ("operator_events", keys.operator_events()),
            ("signal_deliveries", keys.signal_deliveries()),
            ("ring", keys.ring()),
            ("suspended", keys.suspended()),
            ("ended", keys.ended()),
            ("due", keys.due(&lane)),
            ("sets", keys.sets(&lane)),
        ];
        let lines: String = names.iter().map(|(name, key)| format!("{name} {key}\n")).collect();
        assert_eq!(lines, include_str!("../tests/keys.txt"));
        assert!(names.iter().all(|(_, key)| key.starts_with(&keys.root())));
    }
}
