//! The faults that bursts must find: those that show where calls meet, and some that any history shows.

use ff_backend_memory::Flaw;
use ff_conformance::{BurstPlan, Weather, races, runtime};

use crate::suite::Flawed;

/// Bursts within which a fault has to be found.
const BUDGET: u64 = 300;

/// Which rule bursts find broken.
pub(crate) const PLANTED: &[(Flaw, &str)] = &[
    (Flaw::M03, "FF-LSE-001"),
    (Flaw::M06, "FF-LSE-002"),
    (Flaw::M08, "FF-SUB-001"),
    (Flaw::M09, "FF-SUB-001"),
    (Flaw::M11, "FF-CON-001"),
    (Flaw::M19, "FF-SUB-003"),
    (Flaw::Wp28, "FF-WPT-004"),
    (Flaw::Wp29, "FF-WPT-008"),
    (Flaw::Wp04, "FF-SUB-001"),
    (Flaw::Wp27, "FF-CON-001"),
];

#[rstest::rstest]
#[case::m03_two_claims_take_one_row(0)]
#[case::m06_a_take_over_keeps_the_epoch(1)]
#[case::m08_an_end_without_its_completion(2)]
#[case::m09_a_repeat_tells_a_second_completion(3)]
#[case::m11_the_order_ignores_the_priority(4)]
#[case::m19_a_subscriber_passes_over_late_events(5)]
#[case::wp28_two_signals_end_one_suspension(6)]
#[case::wp29_two_deliveries_with_one_key_are_accepted(7)]
#[case::wp04_a_signal_overtakes_a_timeout(8)]
#[case::wp27_repeats_are_not_told(9)]
fn bursts_find(#[case] number: usize) {
    let (flaw, requirement) = PLANTED[number];
    let runtime = runtime().expect("a runtime");
    let (mut broken, mut bursts) = (Vec::new(), 0);
    // A run ends with its first violations, and another rule may be broken by chance before this one.
    for seed in 1.. {
        let plan = BurstPlan { bursts: BUDGET - bursts, seed, jobs: 1, weather: Weather::Clear, at_most: None };
        let run = runtime.block_on(races(&Flawed(Some(flaw)), &plan));
        assert!(run.errored.is_none() && run.not_run.is_none(), "{flaw}: {:?} {:?}", run.errored, run.not_run);
        broken.extend(run.violations.into_iter().map(|broken| broken.violation.requirement));
        bursts += run.bursts;
        if broken.iter().any(|found| found == requirement) || bursts >= BUDGET {
            break;
        }
    }
    println!("flaw {} against {requirement}: {broken:?} after {bursts} bursts", flaw.as_str());
    assert!(broken.iter().any(|found| found == requirement), "{flaw} does not break {requirement}, but {broken:?}");
}
