//! The patches of the real stores: each applies, and names a rule and its killers.

use std::{collections::BTreeSet, fs, process::Command};

use ff_conformance::{CASES, Requirement};

use crate::manifest::{Mutant, read, root};

fn mutants() -> Vec<Mutant> {
    read().expect("mutants.toml")
}

/// A fault whose patch does not apply is not planted: it must be renewed with the file that it changes.
#[test]
fn every_patch_applies() {
    let mut wrong = Vec::new();
    for mutant in mutants() {
        let mut git = Command::new("git");
        git.current_dir(root()).args(["apply", "--check", "--verbose", &mutant.patch()]);
        let output = git.output().expect("git");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // What git does not tell that it checked, it has skipped.
        let checked = mutant.files.iter().all(|file| said.contains(&format!("Checking patch {file}...")));
        let changed = said.lines().filter(|line| line.starts_with("Checking patch ")).count();
        if !output.status.success() || !checked || changed != mutant.files.len() {
            wrong.push(format!("{}:\n{said}", mutant.patch()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_patch_is_listed_once() {
    let listed: Vec<_> = mutants().iter().map(|mutant| format!("{}.patch", mutant.name())).collect();
    let entries = fs::read_dir(root().join("ff-conformance/mutants")).expect("the folder of the patches").flatten();
    let patches: BTreeSet<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".patch"))
        .collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), patches);
    assert_eq!(listed.len(), patches.len(), "a mutant is listed twice");
}

#[test]
fn every_mutant_has_killers() {
    for mutant in mutants() {
        let name = mutant.name();
        assert!(!mutant.what.is_empty(), "{name}: says nothing");
        assert!(["postgres", "valkey"].contains(&mutant.store.as_str()), "{name}: no such store");
        assert!(Requirement::find(&mutant.requirement).is_some(), "{name}: there is no {}", mutant.requirement);
        for text in &mutant.cases {
            assert!(CASES.iter().any(|case| case.path().contains(text)), "{name}: no case contains {text}");
        }
        let covers = |text: &String| {
            let mut cases = CASES.iter().filter(|case| case.path().contains(text));
            cases.any(|case| case.covers.contains(&mutant.requirement.as_str()))
        };
        assert!(mutant.cases.iter().any(covers), "{name}: none of its cases covers {}", mutant.requirement);
    }
}

/// Ten files whose operation is decided by one comparison, at least, in each language.
#[test]
fn single_comparisons_are_negated_in_many_files() {
    let files: BTreeSet<_> =
        mutants().into_iter().filter(|mutant| mutant.id.starts_with('N')).flat_map(|mutant| mutant.files).collect();
    let of = |ending: &str| files.iter().filter(|file| file.ends_with(ending)).count();
    assert!(of(".sql") >= 10 && of(".lua") >= 8, "{files:#?}");
}
