//! Proves that the suite can fail: every planted fault breaks the rule that it is planted against.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod denials;
mod flaws;
mod lockstep;
#[path = "../../mutants/manifest.rs"]
mod manifest;
mod mutants;
mod races;
mod suite;
