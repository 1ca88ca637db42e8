//! One concept, one stem, in every folder.

use std::collections::BTreeSet;

use crate::files::{Problems, Tree};

/// The concepts of the contract, in the order of their migrations.
const STEMS: [&str; 12] = [
    "executions",
    "attempts",
    "leases",
    "claims",
    "waitpoints",
    "streams",
    "flows",
    "edges",
    "budgets",
    "quotas",
    "subscriptions",
    "scanners",
];

/// Stems in folders where one is missing or too many.
pub(crate) fn check(tree: &Tree) -> Problems {
    let stems: BTreeSet<_> =
        STEMS.into_iter().filter(|stem| tree.text(&format!("ff-core/src/{stem}.rs")).is_some()).collect();
    let mut problems = Problems::new();
    for (folder, ending, name) in [
        ("ff-backend-memory/src", "rs", "impl"),
        ("ff-backend-memory/src/apply", "rs", "steps"),
        ("ff-backend-postgres/src", "rs", "impl"),
        ("ff-backend-valkey/src", "rs", "impl"),
        ("ff-conformance/src", "rs", "cases"),
    ] {
        let here = STEMS.into_iter().filter(|stem| tree.text(&format!("{folder}/{stem}.{ending}")).is_some());
        compare(&stems, &here.collect(), folder, name, &mut problems);
    }
    let lua = STEMS.into_iter().filter(|stem| tree.all().any(|(path, _)| path.starts_with(&format!("lua/{stem}/"))));
    compare(&stems, &lua.collect(), "lua", "functions", &mut problems);
    let tables = STEMS
        .into_iter()
        .enumerate()
        .filter(|(at, stem)| tree.text(&format!("migrations/{:04}_{stem}.sql", at + 1)).is_some());
    compare(&stems, &tables.map(|(_, stem)| stem).collect(), "migrations", "tables", &mut problems);
    problems.extend(foreign_migrations(tree, &stems));
    problems
}

fn compare(wanted: &BTreeSet<&str>, here: &BTreeSet<&str>, folder: &str, what: &str, problems: &mut Problems) {
    // A folder without any stem is not built yet.
    if here.is_empty() {
        return;
    }
    problems.extend(wanted.difference(here).map(|stem| format!("{folder}: no {what} of `{stem}`")));
    problems.extend(here.difference(wanted).map(|stem| format!("{folder}: `{stem}` is no stem of ff-core")));
}

/// Migrations that are not `NNNN_<stem>[_<change>].sql`.
fn foreign_migrations(tree: &Tree, stems: &BTreeSet<&str>) -> Problems {
    let mut problems = Problems::new();
    for (path, _) in tree.all().filter(|(path, _)| path.starts_with("migrations/") && path.ends_with(".sql")) {
        let name = path.trim_start_matches("migrations/");
        let stem = name.split_once('_').map_or("", |(_, rest)| rest.split(['_', '.']).next().unwrap_or_default());
        if !stems.contains(stem) {
            problems.push(format!("{path}: the form is NNNN_<stem>[_<change>].sql"));
        }
    }
    problems
}
