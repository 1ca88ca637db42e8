//! What differs between two reports on one profile, times, seeds and machines aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::discriminant,
};

use super::{CaseReport, Report};

/// What differs between `old` and `new`; empty if they say the same about the backend.
#[must_use]
pub fn diff(old: &Report, new: &Report) -> Vec<String> {
    let mut differences = Vec::new();
    let mut same = |what: &str, old: String, new: String| {
        if old != new {
            differences.push(format!("{what}: {old}, now {new}"));
        }
    };
    same("backend", old.identity.name.clone(), new.identity.name.clone());
    same("profile", old.profile.id.clone(), new.profile.id.clone());
    same("controls", format!("{:?}", old.profile.controls), format!("{:?}", new.profile.controls));
    same("registry", old.suite.registry_sha256.clone(), new.suite.registry_sha256.clone());
    same("declared", format!("{:?}", old.declared), format!("{:?}", new.declared));
    same("goals unmet", format!("{:?}", old.coverage.goals_unmet), format!("{:?}", new.coverage.goals_unmet));
    same("verdict", old.footer.verdict.to_string(), new.footer.verdict.to_string());
    let (old, new) = (by_name(old), by_name(new));
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if discriminant(&old.outcome) == discriminant(&new.outcome) => {}
            (old, new) => differences.push(format!("{name}: {}, now {}", word(old), word(new))),
        }
    }
    differences
}

fn by_name(report: &Report) -> BTreeMap<&str, &CaseReport> {
    report.cases.iter().map(|case| (case.case.as_str(), case)).collect()
}

fn word(case: Option<&&CaseReport>) -> &'static str {
    case.map_or("absent", |case| case.outcome.as_str())
}
