//! Bursts of calls at the same time, on every backend of this project, with a fixed budget.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use ff_conformance::{
    BrokenBurst, BurstPlan, Harness, Races, Weather,
    backends::{memory::Memory, postgres::Postgres, valkey::Valkey},
    races, report, runtime,
};

/// Every run of the tests plays these; the calls are the same each time, who meets whom is not.
const SEED: u64 = 20;

fn played(harness: &dyn Harness, weather: Weather, bursts: u64) -> Races {
    let plan = BurstPlan { bursts, seed: SEED, jobs: 1, weather, at_most: None };
    let races = runtime().expect("a runtime").block_on(races(harness, &plan));
    let shown: Vec<_> = races.violations.iter().map(|broken| (kept(broken), &broken.violation)).collect();
    println!(
        "{weather:?}: {} bursts, {} calls, {} lost, {} unknown",
        races.bursts, races.calls, races.lost, races.unknown
    );
    assert!(races.is_clean(), "{:?} {:?} {shown:#?}", races.errored, races.not_run);
    assert_eq!(races.ok + races.unknown, bursts);
    races
}

/// Writes a burst that broke a rule; `./dev report recheck` judges it again, and the page beside it shows it.
fn kept(broken: &BrokenBurst) -> String {
    let file = report::folder().join(format!("burst-{:016x}.json", broken.seed));
    let written = report::write_file(&file, &broken.burst)
        .and_then(|()| report::write_file(&file.with_extension("html"), &broken.page));
    written.map_or_else(|error| error.to_string(), |()| file.display().to_string())
}

#[test]
fn bursts_on_memory_have_an_order() {
    played(&Memory, Weather::Clear, 200);
}

#[test]
fn bursts_on_postgres_have_an_order() {
    played(&Postgres::from_env(), Weather::Clear, 60);
}

#[test]
fn bursts_on_valkey_have_an_order() {
    played(&Valkey::from_env(), Weather::Clear, 60);
}

#[test]
fn bursts_in_rough_weather_on_postgres_have_an_order() {
    assert!(played(&Postgres::from_env(), Weather::Rough, 20).lost > 0);
}

#[test]
fn bursts_in_rough_weather_on_valkey_have_an_order() {
    assert!(played(&Valkey::from_env(), Weather::Rough, 20).lost > 0);
}

#[test]
fn bursts_in_rough_weather_on_memory_have_an_order() {
    assert!(played(&Memory, Weather::Rough, 60).lost > 0);
}

#[test]
fn bursts_whose_sessions_end_on_postgres_have_an_order() {
    assert!(played(&Postgres::from_env(), Weather::Storm, 20).lost > 0);
}

#[test]
fn bursts_whose_sessions_and_functions_end_on_valkey_have_an_order() {
    assert!(played(&Valkey::from_env(), Weather::Storm, 20).lost > 0);
}
