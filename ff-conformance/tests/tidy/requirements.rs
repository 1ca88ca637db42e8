//! The rules of the contract: `requirements.toml`.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{
    cases,
    files::{Problems, Tree},
    ineligible,
};

const FILE: &str = "ff-conformance/requirements.toml";

const FAMILIES: [&str; 16] =
    ["EXE", "LSE", "CLM", "WPT", "STR", "FLO", "BUD", "QUO", "SUB", "SCN", "ERR", "CAP", "CLK", "DUR", "CON", "BOO"];

const VERIFIERS: [&str; 7] = ["directed", "lockstep", "races", "faults", "bench", "inspection", "untested"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    requirement: Vec<RequirementSource>,
}

/// One rule, as its source tells.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequirementSource {
    /// `FF-LSE-004`.
    pub(crate) id: String,
    /// MUST, SHOULD or MAY.
    pub(crate) level: String,
    since: String,
    /// The rule.
    pub(crate) text: String,
    /// What checks it.
    pub(crate) verified_by: Vec<String>,
    source: Option<String>,
    /// Since when and why it is no rule any more.
    pub(crate) retired: Option<String>,
}

/// All rules, in the order of the file.
pub(crate) fn read(tree: &Tree) -> (Vec<RequirementSource>, Problems) {
    let Some(text) = tree.text(FILE) else { return (Vec::new(), vec![format!("{FILE} does not exist")]) };
    match toml::from_str::<File>(text) {
        Ok(file) => (file.requirement, Problems::new()),
        Err(error) => (Vec::new(), vec![format!("{FILE}: {error}")]),
    }
}

/// What is wrong with the rules.
pub(crate) fn check(tree: &Tree) -> Problems {
    let (requirements, mut problems) = read(tree);
    let (cases, _) = cases::read(tree);
    let (entries, _) = ineligible::read(tree);
    problems.extend(ineligible::check(tree, &requirements));
    let excused: BTreeSet<_> = entries.iter().filter_map(|entry| entry.requirement.as_ref()).collect();
    let covered: BTreeSet<_> = cases.iter().flat_map(|case| &case.covers).collect();
    let mut ids = BTreeSet::new();
    for requirement in &requirements {
        let wrong = form(requirement).into_iter().chain(coverage(
            requirement,
            covered.contains(&requirement.id),
            excused.contains(&requirement.id),
        ));
        problems.extend(wrong.map(|text| format!("{FILE}: {}: {text}", requirement.id)));
        if !ids.insert(&requirement.id) {
            problems.push(format!("{FILE}: {}: stands twice", requirement.id));
        }
    }
    problems
}

fn form(requirement: &RequirementSource) -> Problems {
    let mut wrong = Problems::new();
    let mut must = |holds: bool, text: &str| {
        if !holds {
            wrong.push(text.to_owned());
        }
    };
    must(is_id(&requirement.id), "an id is FF-, a family and three digits");
    must(["MUST", "SHOULD", "MAY"].contains(&requirement.level.as_str()), "the level is MUST, SHOULD or MAY");
    must(
        requirement.text.ends_with('.') && !requirement.text.contains('\n'),
        "the text is one line of whole sentences",
    );
    must(!requirement.since.is_empty(), "`since` is empty");
    must(requirement.source.as_ref().is_none_or(|source| !source.is_empty()), "`source` is empty");
    must(!requirement.verified_by.is_empty(), "`verified_by` is empty; say `untested` if nothing verifies it");
    must(
        requirement.verified_by.iter().all(|word| VERIFIERS.contains(&word.as_str())),
        "`verified_by` knows directed, lockstep, races, faults, bench, inspection, untested",
    );
    wrong
}

fn coverage(requirement: &RequirementSource, has_case: bool, excused: bool) -> Option<String> {
    let directed = requirement.verified_by.iter().any(|word| word == "directed");
    let text = match (&requirement.retired, has_case) {
        (Some(_), true) => "is retired, and a case covers it",
        (None, false) if requirement.level == "MUST" && !excused => {
            "is a MUST, and no case covers it; `ineligible.toml` is for what nobody can test"
        }
        (None, _) if directed != has_case => "`verified_by` says `directed` exactly if a case covers it",
        _ => return None,
    };
    Some(text.to_owned())
}

fn is_id(id: &str) -> bool {
    let parts: Vec<_> = id.split('-').collect();
    matches!(parts[..], ["FF", family, number]
        if FAMILIES.contains(&family) && number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()))
}
