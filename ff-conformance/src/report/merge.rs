//! Joins the events of a run to one report for each profile, and judges it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    CaseReport, Conclusion, Coverage, Event, Footer, Provenance, Report, RunFacts, SCHEMA, Status, SuiteFacts, Tally,
    event, facts::rfc3339, goals,
};
use crate::{CASES, Case, Control, Hits, Outcome, REQUIREMENTS};

/// A set of files that says nothing: something is missing, double or foreign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    /// With the words that help its reader.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// Stretching limits further than this says little about a backend.
const MOST_STRETCH: f64 = 4.0;

/// Joins the events of one run of one profile; a case without an event was not run.
///
/// # Errors
/// `Invalid` if there is no event, or one is double, of another run, profile or suite.
pub fn merge(events: Vec<Event>, provenance: &Provenance) -> Result<Report, Invalid> {
    let Some(first) = events.first().cloned() else { return Err(Invalid::new("no events: no case was run")) };
    let mut known: BTreeMap<String, CaseReport> = BTreeMap::new();
    let (mut hits, mut controls, mut declared) = (Hits::new(), BTreeSet::new(), None);
    let (mut begin, mut end) = (u64::MAX, 0);
    for event in events {
        check(&event, &first)?;
        (begin, end) = (begin.min(event.started_ms), end.max(event.started_ms + event.case.ms.unwrap_or_default()));
        add(&mut hits, &event.methods);
        controls.extend(event.profile.controls.iter().copied());
        declared = declared.or(event.declared);
        let name = event.case.case.clone();
        if known.insert(name.clone(), event.case).is_some() {
            return Err(Invalid::new(format!("{name}: two events")));
        }
    }
    let cases: Vec<_> = CASES.iter().map(|case| known.remove(&case.path()).unwrap_or_else(|| absent(case))).collect();
    let mut profile = first.profile;
    profile.controls = controls.into_iter().collect::<Vec<Control>>();
    let goals_unmet = goals::unmet(&cases, &hits, declared.as_ref(), profile.topology);
    let counts = Tally::of(&cases);
    let verdict = conclusion(&counts, &goals_unmet, first.time_factor);
    Ok(Report {
        schema: SCHEMA.to_owned(),
        suite: first.suite,
        identity: first.identity,
        profile,
        run: RunFacts {
            id: first.run,
            started: rfc3339(begin),
            duration_ms: end.saturating_sub(begin),
            commit: provenance.commit.clone(),
            dirty: provenance.dirty,
            seeds: provenance.seeds.clone(),
            time_factor: first.time_factor,
            reproduce: provenance.reproduce.clone(),
            host: first.host,
        },
        declared,
        requirements: statuses(&cases),
        coverage: Coverage { methods: hits, goals_unmet },
        lockstep: None,
        races: Vec::new(),
        cases,
        footer: Footer { complete: true, counts, verdict },
    })
}

fn check(event: &Event, first: &Event) -> Result<(), Invalid> {
    let name = &event.case.case;
    if event.schema != event::SCHEMA {
        return Err(Invalid::new(format!("{name}: schema {:?}, not {:?}", event.schema, event::SCHEMA)));
    }
    if event.suite != SuiteFacts::current() {
        return Err(Invalid::new(format!(
            "{name}: judged by suite {} with registry {:.12}…, this is {} with {:.12}…; run it again with this suite",
            event.suite.version,
            event.suite.registry_sha256,
            SuiteFacts::current().version,
            SuiteFacts::current().registry_sha256
        )));
    }
    if Case::find(name).is_none() {
        return Err(Invalid::new(format!("{name}: the suite has no such case")));
    }
    if event.run != first.run {
        return Err(Invalid::new(format!("{name}: of run {}, not {}", event.run, first.run)));
    }
    if event.identity != first.identity {
        return Err(Invalid::new(format!("{name}: about {:?}, not {:?}", event.identity, first.identity)));
    }
    let (own, others) = (&event.profile, &first.profile);
    if (&own.id, &own.server, &own.settings) != (&others.id, &others.server, &others.settings) {
        return Err(Invalid::new(format!(
            "{name}: on {} ({}), not {} ({})",
            own.id, own.server, others.id, others.server
        )));
    }
    Ok(())
}

fn add(hits: &mut Hits, more: &Hits) {
    for (method, codes) in more {
        let known = hits.entry(method.clone()).or_default();
        for (code, count) in codes {
            *known.entry(code.clone()).or_default() += count;
        }
    }
}

fn absent(case: &Case) -> CaseReport {
    CaseReport::of(case, event::not_executed())
}

/// What the cases say of every requirement.
pub(super) fn statuses(cases: &[CaseReport]) -> BTreeMap<String, Status> {
    REQUIREMENTS.iter().map(|requirement| (requirement.id.to_owned(), status(requirement.id, cases))).collect()
}

fn status(id: &str, cases: &[CaseReport]) -> Status {
    let names =
        |case: &&CaseReport| matches!(&case.outcome, Outcome::Failed { failure, .. } if failure.requirement == id);
    if cases.iter().any(|case| names(&case)) {
        return Status::Violated;
    }
    let covering = || cases.iter().filter(|case| case.covers.iter().any(|covered| covered == id));
    if covering().any(|case| case.outcome == Outcome::Passed) {
        Status::Verified
    } else if covering().any(|case| matches!(case.outcome, Outcome::Denied { .. })) {
        Status::Denied
    } else if covering().next().is_some() {
        Status::NotRun
    } else {
        Status::Untested
    }
}

/// The verdict that follows from the counts.
pub(super) fn conclusion(counts: &Tally, goals_unmet: &[String], time_factor: f64) -> Conclusion {
    if counts.is_red() {
        Conclusion::Failed
    } else if counts.not_run > 0 || !goals_unmet.is_empty() || time_factor > MOST_STRETCH {
        Conclusion::Partial
    } else {
        Conclusion::Certified
    }
}
