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
    /// It claims what it lacks.
    C1,
    /// It supports what it denies.
    C2,
    /// It denies after it has written.
    C3,
    /// It looks for the row before it denies.
    C4,
    /// It never answers.
    C5,
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
            Lack::Honest | Lack::C1 => {}
            Lack::C2 => return call.await,
            Lack::C3 => drop(self.inner.create_execution(some_work()).await),
            Lack::C4 => return Err(EngineError::execution_not_found()),
            Lack::C5 => std::future::pending().await,
        }
        Err(EngineError::unavailable(op))
    }

    fn capabilities(&self, own: Capabilities) -> Capabilities {
        let Lacking(capability, lack) = self.lacking;
        match lack {
            Lack::C1 => own,
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

/// One test for each way to lack a capability dishonestly.
macro_rules! lacking {
    ($($name:ident: $kind:ident by $lack:ident against $requirement:literal;)*) => {
        #[rstest::rstest]
        $(#[case::$name(Lack::$lack, FailureKind::$kind, $requirement)])*
        fn a_dishonest_lack_breaks_its_rule(
            #[case] lack: Lack,
            #[case] kind: FailureKind,
            #[case] requirement: &str,
        ) {
            breaks(lack, kind, requirement);
        }
    };
}

lacking! {
    claims_what_it_lacks: FalseClaim by C1 against "FF-CAP-001";
    supports_what_it_denies: UndeclaredSupport by C2 against "FF-CAP-002";
    denies_after_writing: DeniedWithEffect by C3 against "FF-CAP-002";
    denies_with_not_found_first: UndeclaredSupport by C4 against "FF-CAP-003";
    never_answers: WrongDenial by C5 against "FF-CAP-002";
}

/// The rule breaks in the case of every operation that the capability gates, and nowhere else.
fn breaks(lack: Lack, kind: FailureKind, requirement: &str) {
    // Whoever never answers is waited for, a second a call: one capability shows it.
    let most = if lack == Lack::C5 { 1 } else { Capability::ALL.len() };
    for &capability in Capability::ALL.iter().take(most) {
        let dedicated = dedicated(capability);
        let found = run_cases(Lacking(capability, lack), cases().filter(|case| dedicated.contains(&case.path())));
        assert!(found.broken.contains_key(requirement), "{capability:?}: {found:#?}");
        assert!(found.kinds.values().any(|seen| *seen == kind), "{capability:?}: {found:#?}");
        let killers: BTreeSet<_> = found.killers().into_iter().map(str::to_owned).collect();
        assert_eq!(killers, dedicated, "{capability:?}: {found:#?}");
    }
}
