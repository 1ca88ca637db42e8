//! Faults of the memory backend that tapes find, each in the operation or log that it spoils.

use ff_backend_memory::{Flaw, MemoryConfig, SeededMint};
use ff_conformance::{
    Harness, HarnessError, Identity, Store, async_trait,
    backends::memory::store,
    lockstep::{Plan, lockstep},
    runtime,
};

/// Tapes until a fault has to be found.
const TAPES: u64 = 200;

struct Flawed(Flaw);

#[async_trait]
impl Harness for Flawed {
    fn identity(&self) -> Identity {
        Identity::new("memory", "0.0.0", "https://example.org/flawed")
    }

    async fn open(&self) -> Result<Box<dyn Store>, HarnessError> {
        Ok(store(MemoryConfig::new().flaw(self.0).mint(SeededMint::new(7))))
    }
}

#[rstest::rstest]
#[case(Flaw::M01, &["complete", "renew"])]
#[case(Flaw::M02, &["complete", "renew", "fail", "progress"])]
#[case(Flaw::M07, &["fail", "FF-EXE-011"])]
#[case(Flaw::M07b, &["fail", "read_execution_info"])]
#[case(Flaw::M07c, &["claim", "FF-LSE-014"])]
#[case(Flaw::M09, &["completions"])]
#[case(Flaw::M09b, &["complete", "fail"])]
#[case(Flaw::M11, &["claim", "claim_for_worker"])]
#[case(Flaw::M12, &["scan"])]
#[case(Flaw::Gv, &["claim"])]
#[case(Flaw::O2, &["read_execution_info", "fail"])]
fn a_flaw_dies_in_lockstep(#[case] flaw: Flaw, #[case] _where: &[&str]) {
    let plan = Plan { until_failure: true, ..Plan::new(TAPES, 1) };
    let run = runtime().expect("a runtime").block_on(lockstep(&Flawed(flaw), &plan, |_| {}));
    let found = run.failures.first().expect("a tape parts from the specification");
    println!(
        "flaw {flaw}: tape {} of {TAPES}, {} in {} steps",
        run.tapes,
        found.subject,
        found.tape.lines().count() - 3
    );
    assert!(run.errored.is_empty(), "{:?}", run.errored);
}
