//! What differs between two reports on one profile, times, seeds and machines aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::discriminant,
    path::PathBuf,
};

use super::{CaseReport, Declared, Report, properties};

/// What to do when a run says something else than what is committed.
pub const REMEDY: &str = "run `./dev reports` and commit what it writes, if this is meant";

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
    same("topology", format!("{:?}", old.profile.topology), format!("{:?}", new.profile.topology));
    same("controls", format!("{:?}", old.profile.controls), format!("{:?}", new.profile.controls));
    same("suite", old.suite.version.clone(), new.suite.version.clone());
    same("registry", old.suite.registry_sha256.clone(), new.suite.registry_sha256.clone());
    same("goals unmet", format!("{:?}", old.coverage.goals_unmet), format!("{:?}", new.coverage.goals_unmet));
    same("verdict", old.footer.verdict.to_string(), new.footer.verdict.to_string());
    let (was, is) = (declared(old), declared(new));
    for name in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        let value = |of: &BTreeMap<String, String>| of.get(name).cloned().unwrap_or_else(|| "absent".to_owned());
        same(&format!("declared {name}"), value(&was), value(&is));
    }
    let (old, new) = (by_name(old), by_name(new));
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if discriminant(&old.outcome) == discriminant(&new.outcome) => {}
            (old, new) => differences.push(format!("{name}: {}, now {}", word(old), word(new))),
        }
    }
    differences
}

/// What differs between the reports that are committed and those of a run; a profile that is not committed is no drift.
#[must_use]
pub fn drift(committed: &[(PathBuf, Report)], run: &[(PathBuf, Report)]) -> Vec<String> {
    let mut differences = Vec::new();
    for (_, new) in run {
        let old = committed.iter().find(|(_, old)| old.profile.id == new.profile.id);
        let own = old.map(|(_, old)| diff(old, new)).unwrap_or_default();
        differences.extend(own.iter().map(|difference| format!("{}: {difference}", new.profile.id)));
    }
    differences
}

/// What a backend says of itself, one value by its name.
fn declared(report: &Report) -> BTreeMap<String, String> {
    let Some(Declared { capabilities, properties, limits }) = &report.declared else { return BTreeMap::new() };
    let capabilities = capabilities.iter().map(|(name, there)| (name, there.to_string()));
    let values = properties.iter().chain(limits).map(|(name, value)| (name, properties::word(value)));
    capabilities.chain(values).map(|(name, value)| (name.clone(), value)).collect()
}

fn by_name(report: &Report) -> BTreeMap<&str, &CaseReport> {
    report.cases.iter().map(|case| (case.case.as_str(), case)).collect()
}

fn word(case: Option<&&CaseReport>) -> &'static str {
    case.map_or("absent", |case| case.outcome.as_str())
}
