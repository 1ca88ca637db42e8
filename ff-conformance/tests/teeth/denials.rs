//! Backends that lack a capability, honestly or not: the suite tells them apart, through the rule that each breaks.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use async_trait::async_trait;
use ff_conformance::{
    Case, Client, Control, Controls, Environment, FailureKind, Harness, HarnessError, Identity, Intercept, Intercepted,
    Store, backends::memory::Memory,
};
use ff_core::{
    Capabilities, Capability, CreateExecutionArgs, EngineBackend, EngineError, ExecutionId, LaneId, Namespace,
    Operation, PartitionConfig,
};

use crate::suite::{cases, run_cases};

/// How a backend deals with a capability that it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// It says so, and denies the operations.
    Honest,
    /// C1: it claims what it lacks.
    Claims,
    /// C2: it supports what it denies.
    Supports,
    /// C3: it denies after it has written.
    Writes,
    /// C4: it looks for the row before it denies.
    LooksFirst,
    /// C5: it never answers.
    Hangs,
}

/// The memory backend without one capability.
#[derive(Clone, Copy)]
struct Lacking(Capability, Lack);

#[async_trait]
impl Harness for Lacking {
    fn identity(&self) -> Identity {
        Memory.identity()
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        Ok(Box::new(LackingStore { inner: Memory.open().await?, lacking: *self }))
    }

    fn environment(&self) -> Environment {
        Memory.environment()
    }
}

struct LackingStore {
    inner: Box<dyn Store>,
    lacking: Lacking,
}

#[async_trait]
impl Store for LackingStore {
    async fn connect(&self, client: Client) -> Result<Arc<dyn EngineBackend>, HarnessError> {
        let inner = self.inner.connect(client).await?;
        let gate = Gate { inner: Arc::clone(&inner), lacking: self.lacking };
        Ok(Arc::new(Intercepted::new(inner, gate)))
    }

    fn controls(&self) -> Controls {
        self.inner.controls()
    }
}

/// What stands before the operations of the capability.
struct Gate {
    inner: Arc<dyn EngineBackend>,
    lacking: Lacking,
}

impl Intercept for Gate {
    async fn pass<T: Debug + Send>(
        &self,
        method: &'static str,
        _arguments: &[String],
        call: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        let Lacking(capability, lack) = self.lacking;
        let gated = |op: &&Operation| op.as_str() == method && Capability::of(**op) == Some(capability);
        let Some(&op) = Operation::ALL.iter().find(gated) else { return call.await };
        match lack {
            Lack::Honest | Lack::Claims => {}
            Lack::Supports => return call.await,
            Lack::Writes => drop(self.inner.create_execution(some_work()).await),
            Lack::LooksFirst => return Err(EngineError::execution_not_found()),
            Lack::Hangs => std::future::pending().await,
        }
        Err(EngineError::unavailable(op))
    }

    fn capabilities(&self, own: Capabilities) -> Capabilities {
        let Lacking(capability, lack) = self.lacking;
        match lack {
            Lack::Claims => own,
            _ => Capabilities { supports: own.supports.without(capability), ..own },
        }
    }
}

fn some_work() -> CreateExecutionArgs {
    let (lane, namespace) = (LaneId::try_new("lane").expect("a lane"), Namespace::try_new("n").expect("a namespace"));
    let id = ExecutionId::solo(&lane, PartitionConfig::default());
    CreateExecutionArgs::new(id, namespace, lane, "work")
}

fn gated(capability: Capability) -> impl Iterator<Item = Operation> {
    Operation::ALL.iter().copied().filter(move |&op| Capability::of(op) == Some(capability))
}

fn dedicated(capability: Capability) -> BTreeSet<String> {
    gated(capability).map(|op| format!("capabilities::{op}_works_or_is_denied")).collect()
}

/// Every case passes or ends as a denial, and none is left out.
#[test]
fn a_backend_that_lacks_a_capability_passes_by_denials() {
    for &capability in Capability::ALL {
        let found = run_cases(Lacking(capability, Lack::Honest), cases());
        assert!(found.broken.is_empty() && found.errored.is_empty(), "{capability:?}: {found:#?}");
        let needing = cases().filter(|case| case.needs.contains(&capability));
        let runs = |case: &&Case| case.controls.iter().all(|control| [Control::Clock, Control::Dump].contains(control));
        let runnable = needing.filter(runs).map(Case::path);
        let wanted: BTreeSet<_> = runnable.chain(dedicated(capability)).collect();
        assert_eq!(found.denied.keys().cloned().collect::<BTreeSet<_>>(), wanted, "{capability:?}");
        for (case, op) in &found.denied {
            assert!(gated(capability).any(|gated| op.contains(gated.as_str())), "{case}: {op}");
        }
    }
}

/// Every way to lack a capability dishonestly breaks its rule, in the case of every operation that it gates.
#[rstest::rstest]
#[case::c1_claims_what_it_lacks(Lack::Claims, FailureKind::FalseClaim, "FF-CAP-001")]
#[case::c2_supports_what_it_denies(Lack::Supports, FailureKind::UndeclaredSupport, "FF-CAP-002")]
#[case::c3_denies_after_writing(Lack::Writes, FailureKind::DeniedWithEffect, "FF-CAP-002")]
#[case::c4_denies_with_not_found_first(Lack::LooksFirst, FailureKind::UndeclaredSupport, "FF-CAP-003")]
#[case::c5_never_answers(Lack::Hangs, FailureKind::WrongDenial, "FF-CAP-002")]
fn a_dishonest_lack_breaks_its_rule(#[case] lack: Lack, #[case] kind: FailureKind, #[case] requirement: &str) {
    // Whoever never answers is waited for, a second a call: one capability shows it.
    let most = if lack == Lack::Hangs { 1 } else { Capability::ALL.len() };
    for &capability in Capability::ALL.iter().take(most) {
        let dedicated = dedicated(capability);
        let found = run_cases(Lacking(capability, lack), cases().filter(|case| dedicated.contains(&case.path())));
        assert!(found.broken.contains_key(requirement), "{capability:?}: {found:#?}");
        assert!(found.kinds.values().any(|seen| *seen == kind), "{capability:?}: {found:#?}");
        let killers: BTreeSet<_> = found.killers().into_iter().map(str::to_owned).collect();
        assert_eq!(killers, dedicated, "{capability:?}: {found:#?}");
    }
}
