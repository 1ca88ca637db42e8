//! A client whose calls happen or not, and whose answers arrive or not.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use ff_core::{Applied, EngineBackend, EngineError, TransportKind};

use crate::{Intercept, Intercepted, draw::Draw};

/// What becomes of a call: of the four ways in which it happens or not and is answered or not, those that an answer
/// does not rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It happens and is answered.
    Answered,
    /// It happens, and its answer is lost.
    Lost,
    /// It does not happen, and nobody knows.
    Silent,
    /// It does not happen, and the caller is told so.
    Refused,
}

/// An interceptor that lets calls fail as a network does, by dice.
#[derive(Debug)]
pub struct Unreliable {
    label: &'static str,
    /// How often a call fails, in percent.
    percent: usize,
    /// The same for methods of their own.
    rates: BTreeMap<&'static str, usize>,
    dice: Mutex<Draw>,
}

impl Unreliable {
    /// Lets `percent` of 100 calls fail; which, follows from the seed.
    #[must_use]
    pub const fn new(percent: usize, seed: u64) -> Self {
        Self { label: "", percent, rates: BTreeMap::new(), dice: Mutex::new(Draw::new(seed)) }
    }

    /// The same where calls of `method` fail at another rate.
    #[must_use]
    pub fn rate(mut self, method: &'static str, percent: usize) -> Self {
        self.rates.insert(method, percent);
        self
    }

    /// `backend`, whose calls fail so.
    #[must_use]
    pub fn before(mut self, backend: Arc<dyn EngineBackend>) -> Arc<dyn EngineBackend> {
        self.label = backend.backend_label();
        Arc::new(Intercepted::new(backend, self))
    }

    fn fate(&self, method: &str) -> Fate {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        if !dice.percent(self.rates.get(method).copied().unwrap_or(self.percent)) {
            return Fate::Answered;
        }
        *dice.one(&[Fate::Lost, Fate::Silent, Fate::Refused])
    }

    fn fault(&self, applied: Applied) -> EngineError {
        EngineError::transport(self.label, TransportKind::Connection, applied, "the suite cut the connection")
    }
}

impl Intercept for Unreliable {
    async fn pass<T: Debug + Send>(
        &self,
        method: &'static str,
        _arguments: &[String],
        call: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        match self.fate(method) {
            Fate::Answered => call.await,
            Fate::Lost => {
                let _unheard = call.await;
                Err(self.fault(Applied::Maybe))
            }
            Fate::Silent => Err(self.fault(Applied::Maybe)),
            Fate::Refused => Err(self.fault(Applied::No)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ff_backend_memory::MemoryBackend;
    use ff_core::{CreateExecutionArgs, ExecutionId, LaneId, Namespace, PartitionConfig};

    use super::*;

    #[tokio::test]
    async fn calls_happen_or_not_and_are_answered_or_not() {
        let store = MemoryBackend::new();
        let client = Unreliable::new(60, 1).rate("describe_execution", 0).before(Arc::new(store.sibling()));
        let lane = LaneId::try_new("lane").unwrap();
        let mut seen: BTreeMap<(String, bool), usize> = BTreeMap::new();
        for _ in 0..200 {
            let id = ExecutionId::solo(&lane, PartitionConfig::default());
            let args = CreateExecutionArgs::new(id, Namespace::try_new("ns").unwrap(), lane.clone(), "work");
            let told = client.create_execution(args).await.map_or_else(|error| error.code(), |_| "ok".to_owned());
            let happened = client.describe_execution(&id).await.unwrap().is_some();
            *seen.entry((told, happened)).or_default() += 1;
        }
        let ways = [
            ("Transport(Connection, Maybe)", false),
            ("Transport(Connection, Maybe)", true),
            ("Transport(Connection, No)", false),
            ("ok", true),
        ];
        assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), ways.map(|(told, happened)| (told.to_owned(), happened)));
        assert!(seen.values().all(|count| *count > 20), "{seen:?}");
    }
}
