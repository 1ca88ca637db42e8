//! `src/registry.rs`: every case and every requirement, written from the case files and `requirements.toml`.

use std::fmt::Write;

use ff_core::Operation;
use sha2::{Digest, Sha256};

use crate::{
    cases::{self, CaseSource},
    files::{Problems, Tree, ensure},
    ineligible::{self, Entry},
    refusals,
    requirements::{self, RequirementSource},
};

const FILE: &str = "ff-conformance/src/registry.rs";

/// Writes the registry if it differs from its sources.
pub(crate) fn check(tree: &Tree) -> Problems {
    let (cases, mut problems) = cases::read(tree);
    let (requirements, more) = requirements::read(tree);
    problems.extend(more);
    let (refusals, more) = refusals::read(tree);
    problems.extend(more);
    let (entries, more) = ineligible::read(tree);
    problems.extend(more);
    let goals = goals(&refusals, &entries);
    // Half a registry would hide what is wrong with the other half.
    if problems.is_empty() { ensure(tree, FILE, &text(&cases, &requirements, &goals)) } else { problems }
}

fn text(cases: &[CaseSource], requirements: &[RequirementSource], goals: &str) -> String {
    let table: String = cases.iter().map(row).collect();
    let rules: String = requirements.iter().filter(|rule| rule.retired.is_none()).map(rule).collect();
    let hash: String = Sha256::digest(format!("{table}{rules}")).iter().map(|byte| format!("{byte:02x}")).collect();
    let stems = stems(cases);
    let capability = if table.contains("Capability::") { "Capability, " } else { "" };
    let topology = if goals.contains("Topology::") { "Topology, " } else { "" };
    let control = if table.contains("Control::") { "Control, " } else { "" };
    format!(
        "//! Every case and every requirement; the test `tidy` writes this file.\n\n\
         #[rustfmt::skip]\n\
         use ff_core::{{{capability}Operation}};\n\n\
         #[rustfmt::skip]\n\
         use crate::{{Case, {control}Exemption, Level, Refusals, Requirement, {topology}{}}};\n\n\
         /// Hands every case to the macro `$then`, behind further arguments: `stem {{ case, … }} …`.\n\
         #[rustfmt::skip]\n\
         #[macro_export]\n\
         macro_rules! for_each_case {{\n    ($then:path $(, $arg:tt)*) => {{ $then! {{ $($arg)*\n{}    }} }};\n}}\n\n\
         /// The hash of cases and requirements.\n\
         #[rustfmt::skip]\n\
         pub const REGISTRY_SHA256: &str = \"{hash}\";\n\n\
         /// Every case, by stem.\n\
         #[rustfmt::skip]\n\
         pub const CASES: &[Case] = &[\n{table}];\n\n\
         /// Every requirement, in the order of `requirements.toml`.\n\
         #[rustfmt::skip]\n\
         pub const REQUIREMENTS: &[Requirement] = &[\n{rules}];\n{goals}",
        stems.join(", "),
        names(cases, &stems)
    )
}

fn stems(cases: &[CaseSource]) -> Vec<&str> {
    let mut stems: Vec<_> = cases.iter().map(|case| case.stem.as_str()).collect();
    stems.dedup();
    stems
}

fn names(cases: &[CaseSource], stems: &[&str]) -> String {
    let mut text = String::new();
    for stem in stems {
        let names: Vec<_> = cases.iter().filter(|case| case.stem == *stem).map(|case| case.name.as_str()).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "        {stem} {{ {} }}", names.join(", "));
    }
    text
}

fn row(case: &CaseSource) -> String {
    let CaseSource { stem, name, summary, covers, .. } = case;
    let needs: Vec<_> = case.needs.iter().map(|need| format!("Capability::{need:?}")).collect();
    let controls: Vec<_> = case.controls.iter().map(|control| format!("Control::{control:?}")).collect();
    format!(
        "    Case {{ stem: {stem:?}, name: {name:?}, summary: {summary:?}, covers: &{covers:?}, needs: &[{}], controls: &[{}], run: |cx| Box::pin({stem}::{name}(cx)) }},\n",
        needs.join(", "),
        controls.join(", "),
    )
}

fn rule(rule: &RequirementSource) -> String {
    let mut level = rule.level.to_lowercase();
    level.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
    format!("    Requirement {{ id: {:?}, level: Level::{level}, text: {:?} }},\n", rule.id, rule.text)
}

/// What a whole run has to see, and what it cannot.
fn goals(refusals: &[(Operation, Vec<String>)], entries: &[Entry]) -> String {
    let lists: String = refusals
        .iter()
        .map(|(op, codes)| format!("    Refusals {{ op: Operation::{op:?}, codes: &{codes:?} }},\n"))
        .collect();
    let exempt = |entry: &Entry| {
        let rows = entry.methods.iter().map(|op| exemption(*op, entry)).collect::<Vec<_>>();
        rows.concat()
    };
    let exemptions: String = entries.iter().map(exempt).collect();
    format!(
        "\n/// The refusals that the docs of each operation list.\n\
         #[rustfmt::skip]\n\
         pub const REFUSALS: &[Refusals] = &[\n{lists}];\n\n\
         /// What no run sees, from `ineligible.toml`.\n\
         #[rustfmt::skip]\n\
         pub const EXEMPTIONS: &[Exemption] = &[\n{exemptions}];\n"
    )
}

fn exemption(op: Operation, entry: &Entry) -> String {
    let topology = entry.topology.map_or("None".to_owned(), |topology| format!("Some(Topology::{topology:?})"));
    format!(
        "    Exemption {{ op: Operation::{op:?}, code: {:?}, topology: {topology}, reason: {:?} }},\n",
        entry.refusal, entry.reason
    )
}
