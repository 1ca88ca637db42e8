//! What nobody tests: `ineligible.toml`, with a reason and a place to read on for each entry.

use ff_conformance::Topology;
use ff_core::Operation;
use serde::Deserialize;

use crate::{
    files::{Problems, Tree},
    refusals,
    requirements::RequirementSource,
};

/// The list.
pub(crate) const FILE: &str = "ff-conformance/ineligible.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    ineligible: Vec<Entry>,
}

/// One entry: a requirement, or operations as a whole or for one refusal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The rule that nobody tests.
    pub(crate) requirement: Option<String>,
    /// The operations.
    #[serde(default)]
    pub(crate) methods: Vec<Operation>,
    /// The refusal of theirs that no run sees; without it no case calls them.
    pub(crate) refusal: Option<String>,
    /// Where that is so; everywhere without it.
    pub(crate) topology: Option<Topology>,
    /// Why.
    pub(crate) reason: String,
    link: String,
}

/// All entries.
pub(crate) fn read(tree: &Tree) -> (Vec<Entry>, Problems) {
    let Some(text) = tree.text(FILE) else { return (Vec::new(), vec![format!("{FILE} does not exist")]) };
    match toml::from_str::<File>(text) {
        Ok(file) => (file.ineligible, Problems::new()),
        Err(error) => (Vec::new(), vec![format!("{FILE}: {error}")]),
    }
}

/// What is wrong with the entries.
pub(crate) fn check(tree: &Tree, requirements: &[RequirementSource]) -> Problems {
    let (entries, mut problems) = read(tree);
    let (refusals, more) = refusals::read(tree);
    problems.extend(more);
    let lists =
        |op: &Operation, code: &String| refusals.iter().any(|(other, codes)| other == op && codes.contains(code));
    for entry in &entries {
        let name = name(entry);
        let mut bad = |text: &str| problems.push(format!("{FILE}: {name}: {text}"));
        if !entry.reason.ends_with('.') {
            bad("the reason is a sentence");
        }
        let place = entry.link.split('#').next().unwrap_or_default();
        if !entry.link.starts_with("https://") && !tree.exists(place) {
            bad("the link leads nowhere");
        }
        if entry.requirement.is_some() != entry.methods.is_empty() {
            bad("names either a requirement or methods");
        }
        if let Some(id) = &entry.requirement {
            let rule = requirements.iter().find(|rule| rule.id == *id);
            if !rule.is_some_and(|rule| rule.retired.is_none() && rule.verified_by == ["untested"]) {
                bad("is no rule, or something verifies it");
            }
        }
        if let Some(code) = &entry.refusal
            && let Some(op) = entry.methods.iter().find(|op| !lists(op, code))
        {
            bad(&format!("the docs of {op} do not list {code}"));
        }
    }
    problems
}

fn name(entry: &Entry) -> String {
    let methods: Vec<_> = entry.methods.iter().map(|op| op.as_str()).collect();
    let words = [entry.requirement.clone(), Some(methods.join(", ")), entry.refusal.clone()];
    words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
