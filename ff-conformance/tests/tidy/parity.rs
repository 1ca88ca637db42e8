//! `docs/parity.md`: what the committed reports say, side by side.

use std::collections::{BTreeMap, BTreeSet};

use ff_conformance::{
    CASES, CaseReport, Outcome, Report,
    report::{self, Status, Tally, properties},
};
use ff_core::{Capability, Operation};

use crate::{
    files::{Problems, Tree, compare, updating},
    footnotes::Footnotes,
    ineligible,
    requirements::{self, RequirementSource},
    teeth,
};

const FILE: &str = "docs/parity.md";

const REPORTS: &str = "docs/reports/";

/// The backends of this project; each has at least one committed report.
const OURS: [&str; 3] = ["memory", "postgres", "valkey"];

/// A committed report and the head of its column.
struct Column {
    title: String,
    report: Report,
}

/// Compares the document with the reports, and the reports with the suite.
pub(crate) fn check(tree: &Tree) -> Problems {
    let (mut columns, mut problems) = (Vec::new(), Problems::new());
    for (path, text) in tree.ending(".json").filter(|(path, _)| path.starts_with(REPORTS)) {
        match column(path, text) {
            Ok(column) => columns.push(column),
            Err(problem) => problems.push(problem),
        }
    }
    // What is written again is judged when it is read again.
    if !updating() {
        problems.extend(missing(&columns));
        let own = tree.ending(".json").filter(|(path, _)| is_own(path));
        problems.extend(own.flat_map(|(path, text)| stale(path, text)));
        problems.extend(columns.iter().flat_map(|column| seen(tree, &column.report)));
    }
    if !problems.is_empty() || columns.is_empty() {
        return problems;
    }
    compare(tree, FILE, &Document::new(tree, columns).text())
}

/// True for a report of this project; those of others lie in a folder of their own.
fn is_own(path: &str) -> bool {
    path.strip_prefix(REPORTS).is_some_and(|name| !name.contains('/'))
}

fn column(path: &str, text: &str) -> Result<Column, String> {
    let report: Report = serde_json::from_str(text).map_err(|error| format!("{path}: {error}"))?;
    let name = path.trim_start_matches(REPORTS).trim_end_matches(".json");
    if name.rsplit('/').next() != Some(&report.profile.id) {
        return Err(format!("{path}: is the report on {}", report.profile.id));
    }
    let old = if report.suite == report::SuiteFacts::current() {
        String::new()
    } else {
        format!(" (suite {}, {:.7})", report.suite.version, report.suite.registry_sha256)
    };
    Ok(Column { title: format!("{name}{old}"), report })
}

/// Backends of this project without a report.
fn missing(columns: &[Column]) -> Problems {
    let there = |name: &&str| columns.iter().any(|column| column.report.identity.name == **name);
    let missing = OURS.iter().filter(|name| !there(name));
    missing.map(|name| format!("{REPORTS}: there is no report on {name}: {}", report::REMEDY)).collect()
}

/// Why a report is not one that this suite would write: other cases, other counts, changed by hand.
fn stale(path: &str, text: &str) -> Problems {
    let wrong = report::verify_text(text);
    let first = wrong.first().map(|first| format!("{path}: {first}; {}", report::REMEDY));
    first.into_iter().collect()
}

/// What `ineligible.toml` says that nobody sees, and this report shows.
fn seen(tree: &Tree, report: &Report) -> Problems {
    let (entries, _) = ineligible::read(tree);
    let hits = &report.coverage.methods;
    let here = entries.iter().filter(|entry| entry.topology.is_none_or(|only| only == report.profile.topology));
    let seen = here.flat_map(|entry| entry.methods.iter().map(move |op| (op, entry.refusal.as_deref())));
    let seen = seen.filter(|(op, refusal)| match refusal {
        Some(code) => report::refused(hits, **op, code),
        None => report.cases.iter().any(|case| case.calls(**op)),
    });
    let told = |(op, refusal): (&Operation, Option<&str>)| {
        let what = refusal.unwrap_or("calls");
        format!("{}: the report on {} shows {op}: {what}; strike it out", ineligible::FILE, report.profile.id)
    };
    seen.map(told).collect()
}

struct Document {
    columns: Vec<Column>,
    rules: Vec<RequirementSource>,
    teeth: BTreeMap<String, Vec<String>>,
    excuses: BTreeMap<String, String>,
}

impl Document {
    fn new(tree: &Tree, columns: Vec<Column>) -> Self {
        let (rules, _) = requirements::read(tree);
        let (entries, _) = ineligible::read(tree);
        let excuses = entries.into_iter().filter_map(|entry| Some((entry.requirement?, entry.reason))).collect();
        let teeth = teeth::read(tree).into_iter().map(|(rule, faults)| (rule, by_fault(faults))).collect();
        Self { columns, rules: rules.into_iter().filter(|rule| rule.retired.is_none()).collect(), teeth, excuses }
    }

    fn text(&self) -> String {
        let mut notes = Footnotes::default();
        let suite = self.columns.first().map(|column| &column.report.suite);
        let suite = suite.map_or_else(String::new, |suite| {
            format!(
                "Suite {}, contract {}, {} cases, {} rules, registry `{:.12}`.\n",
                suite.version,
                suite.contract,
                suite.cases,
                self.rules.len(),
                suite.registry_sha256
            )
        });
        let parts = [
            "# Parity\n\nGenerated by `UPDATE_DOCS=1 cargo test -p ff-conformance --test tidy` from [docs/reports](reports); `./dev reports` runs the suite and writes both.\n".to_owned(),
            suite,
            "\n`✅ n` passed · `⛔ n` denied, and the denial was tested · `❌ k/n` failed · `◻` not run · `—` cannot run there · `❔` not tested by the suite.\n".to_owned(),
            "\n## Verdicts and cases\n\n".to_owned(),
            self.stems(&mut notes),
            "\n## Operations\n\nHow many cases call an operation, and how many kinds of refusal its docs list; a run that does not see all of them is not certified.\n\n".to_owned(),
            self.operations(&mut notes),
            "\n## Where both are right but differ\n\n".to_owned(),
            self.properties(),
            "\n## Requirements\n\nTeeth are the planted faults that die through a rule.\n\n".to_owned(),
            self.requirements(&mut notes),
            "\n## Profiles\n\n".to_owned(),
            self.profiles(),
            notes.text(),
        ];
        parts.concat()
    }

    fn head(&self, first: &[&str]) -> String {
        let titles = first.iter().copied().chain(self.columns.iter().map(|column| column.title.as_str()));
        let titles: Vec<_> = titles.collect();
        format!("| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()))
    }

    fn row(&self, first: &[&str], mut cell: impl FnMut(&Report) -> String) -> String {
        let cells: Vec<_> = self.columns.iter().map(|column| cell(&column.report)).collect();
        format!("| {} | {} |\n", first.join(" | "), cells.join(" | "))
    }

    fn stems(&self, notes: &mut Footnotes) -> String {
        let mut text = self.head(&[" "]);
        text.push_str(&self.row(&["**verdict**"], |report| {
            let goals = report.coverage.goals_unmet.iter();
            let marks: String = goals.map(|goal| notes.mark(&format!("{}: {goal}.", report.profile.id))).collect();
            format!("**{}**{marks}", report.footer.verdict)
        }));
        let mut stems: Vec<_> = CASES.iter().map(|case| case.stem).collect();
        stems.dedup();
        for stem in stems {
            let own: Vec<_> = CASES.iter().filter(|case| case.stem == stem).collect();
            let mut rules: Vec<_> = own.iter().flat_map(|case| case.covers).collect();
            rules.sort();
            rules.dedup();
            let title = format!("**{stem}** ({}, {})", several(rules.len(), "rule"), several(own.len(), "case"));
            text.push_str(&self.row(&[&title], |report| {
                let marks = reasons(report, |case| case.stem() == stem, notes);
                format!("{}{marks}", report.tally(stem))
            }));
        }
        text.push_str(&self.row(&["**all**"], |report| report.footer.counts.to_string()));
        text
    }

    fn operations(&self, notes: &mut Footnotes) -> String {
        let mut text = self.head(&["operation", "stem", "refusals"]);
        for &op in Operation::ALL {
            let stem = format!("{:?}", op.stem()).to_lowercase();
            let listed = self.columns.iter().map(|column| refusals(&column.report, op).1).max().unwrap_or_default();
            text.push_str(&self.row(&[&format!("`{op}`"), &stem, &listed.to_string()], |report| {
                let lacks = |gate: Capability| report.declared.as_ref().is_some_and(|declared| declared.lacks(gate));
                if Capability::of(op).is_some_and(lacks) {
                    return "⛔ denied".to_owned();
                }
                let calling = Tally::of(report.cases.iter().filter(|case| case.calls(op)));
                match refusals(report, op) {
                    (seen, listed) if seen < listed => {
                        format!("{calling}{}", notes.mark(&format!("{seen} of {listed} refusals were seen.")))
                    }
                    _ => calling.to_string(),
                }
            }));
        }
        text
    }

    fn requirements(&self, notes: &mut Footnotes) -> String {
        let mut text = self.head(&["requirement", "level", "verified by", "teeth"]);
        for rule in &self.rules {
            let title = format!("**{}** {}", rule.id, rule.text.replace('|', "\\|"));
            let teeth = self.teeth.get(&rule.id).map_or_else(|| "none".to_owned(), |teeth| teeth.join(", "));
            text.push_str(&self.row(&[&title, &rule.level, &rule.verified_by.join(", "), &teeth], |report| {
                let status = report.requirements.get(&rule.id).copied().unwrap_or(Status::Untested);
                let excuse = self.excuses.get(&rule.id).filter(|_| status == Status::Untested);
                let mark = excuse.map(|reason| notes.mark(reason)).unwrap_or_default();
                let covers = |case: &CaseReport| case.covers.contains(&rule.id);
                if report.cannot_judge(&rule.id) {
                    return format!("—{}", reasons(report, covers, notes));
                }
                format!("{}{mark}", status.sign())
            }));
        }
        text
    }

    fn properties(&self) -> String {
        let mut text =
            String::from("| property | value | profiles | what it means | what it costs |\n|---|---|---|---|---|\n");
        let reports: Vec<_> = self.columns.iter().map(|column| column.report.clone()).collect();
        for name in properties::properties(&reports) {
            let mut values: BTreeMap<String, (Vec<&str>, (&str, &str))> = BTreeMap::new();
            for column in &self.columns {
                let declared = column.report.declared.as_ref();
                if let Some(value) = declared.and_then(|declared| declared.properties.get(&name)) {
                    let entry = values.entry(properties::word(value));
                    entry.or_insert_with(|| (Vec::new(), properties::effect(&name, value))).0.push(&column.title);
                }
            }
            for (value, (titles, (effect, cost))) in values {
                let name = name.replace('_', " ");
                text.push_str(&format!("| {name} | {value} | {} | {effect} | {cost} |\n", titles.join(", ")));
            }
        }
        text.push_str(&format!("\n{}", self.head(&["limit"])));
        for name in properties::limits(&reports) {
            text.push_str(&self.row(&[&name.replace('_', " ")], |report| {
                let value = report.declared.as_ref().and_then(|declared| declared.limits.get(&name));
                value.map_or_else(|| "❔".to_owned(), properties::word)
            }));
        }
        text
    }

    fn profiles(&self) -> String {
        let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        let mut text = self.head(&[" "]);
        text.push_str(
            &self.row(&["backend"], |report| format!("{} {}", report.identity.name, report.identity.version)),
        );
        text.push_str(&self.row(&["server"], |report| report.profile.server.clone()));
        text.push_str(&self.row(&["found by"], |report| report.profile.source.clone()));
        text.push_str(&self.row(&["image"], |report| or_none(report.profile.image.clone().unwrap_or_default())));
        text.push_str(&self.row(&["settings"], |report| {
            let settings = report.profile.settings.iter().map(|(name, value)| match value.as_str() {
                "" => format!("`{name}` is empty"),
                value => format!("`{name}` = {value}"),
            });
            or_none(settings.collect::<Vec<_>>().join(", "))
        }));
        text.push_str(&self.row(&["controls"], |report| {
            or_none(report.profile.controls.iter().map(|control| control.as_str()).collect::<Vec<_>>().join(", "))
        }));
        text.push_str(&self.row(&["run"], |report| report.run.started.clone()));
        text.push_str(&self.row(&["commit"], |report| {
            or_none(report.run.commit.as_ref().map(|commit| format!("`{commit:.12}`")).unwrap_or_default())
        }));
        text.push_str(&self.row(&["seeds"], |report| {
            or_none(report.run.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
        }));
        text
    }
}

/// `M01 memory`, `M01 postgres` as `M01 (memory, postgres)`.
fn by_fault(faults: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut stores: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for fault in faults {
        let (id, store) = fault.split_once(' ').unwrap_or((&fault, ""));
        stores.entry(id.to_owned()).or_default().push(store.to_owned());
    }
    stores.into_iter().map(|(id, stores)| format!("{id} ({})", stores.join(", "))).collect()
}

fn refusals(report: &Report, op: Operation) -> (usize, usize) {
    report::refusals(&report.coverage.methods, op, report.profile.topology)
}

/// `1 rule`, `2 rules`.
fn several(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The marks of why chosen cases did not run.
fn reasons(report: &Report, chosen: impl Fn(&CaseReport) -> bool, notes: &mut Footnotes) -> String {
    let mut reasons = BTreeSet::new();
    for case in report.cases.iter().filter(|case| chosen(case)) {
        if let Outcome::NotRun { reason } | Outcome::Ineligible { reason } = &case.outcome {
            reasons.insert(reason);
        }
    }
    reasons.into_iter().map(|reason| notes.mark(&format!("{}: {reason}.", report.profile.id))).collect()
}
