//! A fixed budget of tapes on every backend: one seed that is always the same, and one that follows from the commit.

use ff_conformance::{
    Harness,
    backends::{memory::Memory, postgres::Postgres, valkey::Valkey},
    lockstep::{Plan, lockstep},
    report::Provenance,
    runtime,
};

/// The seed that is always the same.
const SEED: u64 = 1;

#[rstest::rstest]
#[case::memory(Memory, 150)]
#[case::postgres(Postgres::from_env(), 12)]
#[case::valkey(Valkey::from_env(), 12)]
fn a_backend_is_the_specification(#[case] harness: impl Harness, #[case] tapes: u64) -> Result<(), String> {
    for seed in [SEED, Provenance::here("").seed()] {
        let plan = Plan { jobs: 2, ..Plan::new(tapes, seed) };
        let run = runtime()?.block_on(lockstep(&harness, &plan, |_| {}));
        println!("seed {seed}: {} tapes, {} steps, {} signatures", run.tapes, run.steps, run.signatures);
        let failures: String = run.failures.iter().map(|failure| failure.text()).collect();
        assert!(run.failures.is_empty() && run.errored.is_empty(), "{failures}{:?}", run.errored);
    }
    Ok(())
}
