//! Which planted fault dies through which rule, and the rules of which no fault says that they can bite.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{
    files::{Problems, Tree, compare},
    requirements::RequirementSource,
};

/// The rules without teeth; the list may only shrink.
const FILE: &str = "ff-conformance/toothless.txt";

const MUTANTS: &str = "ff-conformance/mutants/mutants.toml";

/// Where the faults of the memory backend stand.
const FLAWS: &str = "ff-conformance/tests/teeth/";

const HEAD: &str = "# Every MUST without a planted fault that dies through it. `./dev docs` strikes out what has teeth by now;\n# nothing is ever added: a new rule comes with a flaw of the memory backend or a mutant of a server's code.\n";

#[derive(Deserialize)]
struct Manifest {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
struct Mutant {
    id: String,
    store: String,
    requirement: String,
}

/// The faults that die through each rule: `M01 memory`, `M01 postgres`.
pub(crate) fn read(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    let mut teeth: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // A list that does not parse is told by the test that plants its faults.
    let mutants = tree.text(MUTANTS).and_then(|text| toml::from_str::<Manifest>(text).ok());
    for mutant in mutants.map(|manifest| manifest.mutant).unwrap_or_default() {
        teeth.entry(mutant.requirement).or_default().insert(format!("{} {}", mutant.id, mutant.store));
    }
    let lists = tree.ending(".rs").filter(|(path, _)| path.starts_with(FLAWS));
    for (flaw, rule) in lists.flat_map(|(_, text)| text.lines()).filter_map(planted) {
        teeth.entry(rule.to_owned()).or_default().insert(format!("{flaw} memory"));
    }
    teeth
}

/// Flaw and rule of a line `name: M01 against "FF-LSE-004";`.
fn planted(line: &str) -> Option<(&str, &str)> {
    let (begin, rest) = line.split_once(" against \"")?;
    Some((begin.rsplit(' ').next()?, rest.split_once("\";")?.0))
}

/// Compares the list with the rules and the faults.
pub(crate) fn check(tree: &Tree, requirements: &[RequirementSource]) -> Problems {
    let teeth = read(tree);
    let counts = |rule: &&RequirementSource| {
        rule.retired.is_none() && rule.level == "MUST" && rule.verified_by.iter().any(|word| word != "untested")
    };
    let must = requirements.iter().filter(counts).map(|rule| rule.id.as_str());
    let toothless: BTreeSet<_> = must.filter(|id| !teeth.contains_key(*id)).collect();
    let Some(text) = tree.text(FILE) else { return compare(tree, FILE, &list(&toothless)) };
    let listed: BTreeSet<_> = text.lines().filter(|line| line.starts_with("FF-")).collect();
    let grown = toothless.difference(&listed).map(|id| {
        format!("{id} is a MUST, and no planted fault dies through it: add a flaw ({FLAWS}) or a mutant ({MUTANTS})")
    });
    let mut problems: Problems = grown.collect();
    problems.extend(compare(tree, FILE, &list(&toothless.intersection(&listed).copied().collect())));
    problems
}

fn list(ids: &BTreeSet<&str>) -> String {
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    format!("{HEAD}{lines}")
}

#[cfg(test)]
mod tests {
    use super::planted;

    #[test]
    fn a_line_names_its_flaw_and_its_rule() {
        assert_eq!(planted("    m01_name: M01 against \"FF-LSE-004\";"), Some(("M01", "FF-LSE-004")));
        assert_eq!(planted("    ($($name:ident: $flaw:ident against $requirement:literal;)*) => {"), None);
    }
}
