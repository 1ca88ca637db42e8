//! Proves that the suite can fail: every planted fault breaks the rule that it is planted against.

mod flaws;
mod mutants;
mod suite;
