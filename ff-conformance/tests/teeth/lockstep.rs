//! Faults of the memory backend that tapes find, each on a tape that is short when it is shrunk.

use ff_backend_memory::{Flaw, MemoryConfig, SeededMint};
use ff_conformance::{
    Harness, HarnessError, Identity, Store, async_trait,
    backends::memory::store,
    lockstep::{Plan, lockstep},
    runtime,
};

/// Tapes until a fault has to be found.
const TAPES: u64 = 300;
/// Steps of the longest tape that a reader wants to see; those of a fault are fewer.
const MOST_STEPS: usize = 15;

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
#[case::m01_an_older_lease_is_accepted(Flaw::M01)]
#[case::m02_the_fence_compares_the_epoch_alone(Flaw::M02)]
#[case::m06_a_take_over_keeps_the_epoch(Flaw::M06)]
#[case::m07_the_retry_limit_is_ignored(Flaw::M07)]
#[case::m07b_a_retry_counts_twice(Flaw::M07b)]
#[case::m07c_the_reclaim_limit_is_ignored(Flaw::M07c)]
#[case::m09_a_repeat_tells_a_second_completion(Flaw::M09)]
#[case::m09b_a_repeat_is_refused(Flaw::M09b)]
#[case::m11_the_order_ignores_the_priority(Flaw::M11)]
#[case::m11b_ties_go_to_the_greatest_id(Flaw::M11b)]
#[case::m12_a_scan_always_takes_the_first_rows(Flaw::M12)]
#[case::m13_a_page_continues_behind_an_instant(Flaw::M13)]
#[case::p1_progress_clears_what_it_does_not_tell(Flaw::P1)]
#[case::s1_a_lapse_is_told_again(Flaw::S1)]
fn a_flaw_dies_in_lockstep(#[case] flaw: Flaw) {
    let plan = Plan { until_failure: true, ..Plan::new(TAPES, 1) };
    let run = runtime().expect("a runtime").block_on(lockstep(&Flawed(flaw), &plan, |_| {}));
    assert!(run.errored.is_empty(), "{:?}", run.errored);
    let found = run.failures.first().expect("a tape parts from the specification");
    let steps = found.listing().lines().count();
    println!("flaw {flaw}: tape {} of {TAPES}, {} in {steps} steps", run.tapes, found.subject);
    assert!(steps <= MOST_STEPS, "shrunk to {steps} steps: {}", found.text());
}
