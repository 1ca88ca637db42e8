//! Lock-step on the memory backend: it agrees with itself, and what is shrunk is short.

use super::*;
use crate::backends::memory::Memory;

#[tokio::test]
async fn the_specification_agrees_with_itself_and_reaches_its_goals() {
    let report = lockstep(&Memory, &Plan::new(1200, 1), |_| {}).await;
    println!("{} tapes, {} steps, {} signatures", report.tapes, report.steps, report.signatures);
    assert_eq!((&report.failures, &report.errored), (&Vec::new(), &Vec::new()));
    assert_eq!(report.goals_unmet, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_without_a_number_of_tapes_ends_with_its_time() {
    let plan = Plan { at_most: Some(Duration::ZERO), ..Plan::new(u64::MAX, 1) };
    let report = lockstep(&Memory, &plan, |_| {}).await;
    assert_eq!(usize::try_from(report.corpus), Ok(corpus().len()));
    assert_eq!((&report.failures, &report.errored), (&Vec::new(), &Vec::new()));
}
