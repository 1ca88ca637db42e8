//! Whether a report can be believed: everything in it that follows from the rest is computed again.

use std::collections::BTreeSet;

use super::{Report, SCHEMA, SuiteFacts, Tally, goals, merge, races};
use crate::Case;

/// What is wrong with a report that somebody wants to publish; empty if nothing is.
#[must_use]
pub fn verify(report: &Report) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, text: String| {
        if !holds {
            wrong.push(text);
        }
    };
    let suite = SuiteFacts::current();
    must(report.schema == SCHEMA, format!("schema {:?}, not {SCHEMA:?}", report.schema));
    must(report.footer.complete, "the footer does not say `complete`".to_owned());
    must(
        report.suite == suite,
        format!(
            "judged by suite {} with registry {:.12}…, this is {} with {:.12}…",
            report.suite.version, report.suite.registry_sha256, suite.version, suite.registry_sha256
        ),
    );
    let mut seen = BTreeSet::new();
    for case in &report.cases {
        let known = Case::find(&case.case);
        must(known.is_some(), format!("{}: the suite has no such case", case.case));
        must(seen.insert(&case.case), format!("{}: stands twice", case.case));
        let covers = known.map(|known| known.covers).unwrap_or_default();
        must(case.covers == covers, format!("{}: covers {:?}, not {covers:?}", case.case, case.covers));
    }
    must(seen.len() == suite.cases, format!("{} cases of {}", seen.len(), suite.cases));
    let counts = Tally::of(&report.cases);
    must(report.footer.counts == counts, "the counts are not those of the cases".to_owned());
    let (hits, declared) = (&report.coverage.methods, report.declared.as_ref());
    let goals = goals::unmet(&report.cases, hits, declared, report.profile.topology);
    must(report.coverage.goals_unmet == goals, "the unmet goals do not follow from what was called".to_owned());
    let cases = merge::conclusion(&counts, &goals, report.run.time_factor);
    let verdict = cases.max(races::conclusion(&report.races));
    must(
        report.footer.verdict == verdict,
        format!("the verdict says {}, and {verdict} follows from the cases", report.footer.verdict),
    );
    must(
        report.requirements == races::with_violated(merge::statuses(&report.cases), &report.races),
        "the requirements do not follow from the cases".to_owned(),
    );
    must(!report.run.dirty, "the working tree had changes: commit them and run again".to_owned());
    wrong
}
