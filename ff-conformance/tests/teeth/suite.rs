//! The whole suite against a memory backend with one planted fault, and what broke.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use ff_backend_memory::{Flaw, MemoryConfig};
use ff_conformance::{
    CASES, Case, Environment, FailureKind, Harness, HarnessError, Identity, Outcome, Store, backends::memory, execute,
    runtime,
};
use futures::{StreamExt, stream};

/// What shows a rule again on megabytes or on a thousand rows, and takes longer than all other cases; `matrix.rs` runs it.
const HEAVY: [&str; 6] = [
    "the_largest_input_is_exactly_as_declared",
    "the_largest_result_is_exactly_as_declared",
    "the_largest_page_holds_a_thousand",
    "a_mebibyte_comes_back",
    "a_thousand_rows_due_at_once_come_in_order",
    "hundreds_of_lapsed_leases_are_taken_over_once_each",
];

/// How many cases run at once.
const AT_ONCE: usize = 4;

/// How long a case may take: a flaw may keep one from its end.
const LIMIT: Duration = Duration::from_secs(20);

/// The memory backend with at most one planted fault.
#[derive(Clone, Copy)]
pub(crate) struct Flawed(pub(crate) Option<Flaw>);

#[async_trait]
impl Harness for Flawed {
    fn identity(&self) -> Identity {
        memory::Memory.identity()
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        let config = MemoryConfig::new();
        Ok(memory::store(match self.0 {
            Some(flaw) => config.flaw(flaw),
            None => config,
        }))
    }

    fn environment(&self) -> Environment {
        memory::Memory.environment()
    }
}

/// What a run of the suite found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How many cases passed.
    pub(crate) passed: usize,
    /// The requirements that broke, each with the cases that saw it.
    pub(crate) broken: BTreeMap<String, BTreeSet<String>>,
    /// In what way each case failed.
    pub(crate) kinds: BTreeMap<String, FailureKind>,
    /// The cases that ended as denials, each with the operations.
    pub(crate) denied: BTreeMap<String, String>,
    /// The cases that could not be judged, each with the reason.
    pub(crate) errored: BTreeMap<String, String>,
}

impl Found {
    /// The cases that failed.
    pub(crate) fn killers(&self) -> BTreeSet<&str> {
        self.broken.values().flatten().map(String::as_str).collect()
    }

    fn add(&mut self, case: String, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Denied { op } => {
                self.denied.insert(case, op);
            }
            Outcome::Failed { kind, failure } => {
                self.kinds.insert(case.clone(), kind);
                self.broken.entry(failure.requirement).or_default().insert(case);
            }
            Outcome::Errored { reason } => {
                self.errored.insert(case, reason);
            }
            Outcome::NotRun { .. } | Outcome::Ineligible { .. } => {}
        }
    }
}

/// The cases that a run of a fault consists of.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(|case| !HEAVY.contains(&case.name))
}

/// Runs every case against a store with that fault.
pub(crate) fn run(flaw: Option<Flaw>) -> Found {
    run_cases(Flawed(flaw), cases())
}

/// Runs `cases` against the stores of `harness`.
pub(crate) fn run_cases<'a>(harness: impl Harness + Clone, cases: impl Iterator<Item = &'a Case>) -> Found {
    let runtime = runtime().expect("a runtime");
    let cases: Vec<Case> = cases.copied().collect();
    let events = runtime.block_on(async {
        let runs = cases.into_iter().map(|case| {
            let harness = harness.clone();
            async move { tokio::spawn(judge(harness, case)).await }
        });
        stream::iter(runs).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
    });
    let mut found = Found::default();
    for event in events {
        let (case, outcome) = event.expect("a case that panics is told, not passed on");
        found.add(case, outcome);
    }
    found
}

async fn judge(harness: impl Harness, case: Case) -> (String, Outcome) {
    let outcome = match tokio::time::timeout(LIMIT, execute(&harness, &case)).await {
        Ok(event) => event.case.outcome,
        Err(_) => Outcome::Errored { reason: format!("not finished within {} s", LIMIT.as_secs()) },
    };
    (case.path(), outcome)
}
