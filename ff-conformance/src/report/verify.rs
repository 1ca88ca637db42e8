//! Whether a report can be believed: everything in it that follows from the rest is computed again.

use std::collections::BTreeSet;

use ff_core::{Capability, EngineError, Operation};

use super::{CaseReport, Conclusion, Report, SCHEMA, SuiteFacts, Tally, goals, lockstep, merge, races};
use crate::{Case, Outcome, harness::can_have};

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
        let contradicted = known.and_then(|known| contradiction(report, known, case));
        must(contradicted.is_none(), format!("{}: {}", case.case, contradicted.unwrap_or_default()));
        let unseen = case.methods.iter().find(|method| !report.coverage.methods.contains_key(*method));
        must(unseen.is_none(), format!("{}: calls {unseen:?}, and the run has no answer of it", case.case));
    }
    must(seen.len() == suite.cases, format!("{} cases of {}", seen.len(), suite.cases));
    let counts = Tally::of(&report.cases);
    must(report.footer.counts == counts, "the counts are not those of the cases".to_owned());
    let (hits, declared) = (&report.coverage.methods, report.declared.as_ref());
    let goals = goals::unmet(&report.cases, hits, declared, report.profile.topology);
    must(report.coverage.goals_unmet == goals, "the unmet goals do not follow from what was called".to_owned());
    let cases = merge::conclusion(&counts, &goals, report.run.time_factor);
    let verdict = cases.max(lockstep::conclusion(report.lockstep.as_ref())).max(races::conclusion(&report.races));
    must(
        report.footer.verdict == verdict,
        format!("the verdict says {}, and {verdict} follows from the cases", report.footer.verdict),
    );
    // Where a case failed, the report is about just that.
    let false_claim = false_claim(report).filter(|_| verdict != Conclusion::Failed);
    must(false_claim.is_none(), false_claim.unwrap_or_default());
    must(
        report.requirements == races::with_violated(merge::statuses(&report.cases), &report.races),
        "the requirements do not follow from the cases".to_owned(),
    );
    must(!report.run.dirty, "the working tree had changes: commit them and run again".to_owned());
    wrong
}

/// What in the report says that the case cannot have ended so.
fn contradiction(report: &Report, known: &Case, case: &CaseReport) -> Option<String> {
    let lacks = |capability| report.declared.as_ref().is_some_and(|declared| declared.lacks(capability));
    match &case.outcome {
        Outcome::Ineligible { .. } => {
            let profile = &report.profile;
            let cannot_run = known.controls.iter().any(|control| {
                !can_have(profile.topology, &profile.source, *control) && !profile.controls.contains(control)
            });
            (!cannot_run).then(|| "ineligible, and all that it needs can exist there".to_owned())
        }
        Outcome::Denied { op } => {
            let declared = op.split(", ").find(|name| {
                let op = Operation::ALL.iter().find(|op| op.as_str() == *name);
                !op.copied().and_then(Capability::of).is_some_and(lacks)
            });
            declared.map(|name| format!("denied, and the backend does not say that it lacks {name}"))
        }
        Outcome::Passed => {
            let lacking = known.needs.iter().find(|&&capability| lacks(capability));
            lacking.map(|capability| format!("passed, and the backend says that it lacks {capability:?}"))
        }
        Outcome::Failed { .. } | Outcome::Errored { .. } | Outcome::NotRun { .. } => None,
    }
}

/// An operation that answered what it cannot answer if the declaration holds.
fn false_claim(report: &Report) -> Option<String> {
    let lacks = |capability| report.declared.as_ref().is_some_and(|declared| declared.lacks(capability));
    let claimed = |op: &&Operation| {
        let hits = report.coverage.methods.get(op.as_str());
        let unavailable = EngineError::unavailable(**op).code();
        !Capability::of(**op).is_some_and(lacks) && hits.is_some_and(|codes| codes.contains_key(&unavailable))
    };
    let op = Operation::ALL.iter().find(claimed)?;
    Some(format!("{op} was not available, the backend does not say that it lacks it, and no case failed"))
}
