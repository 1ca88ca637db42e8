//! Reports as Markdown, and the failures of a run as plain text.

use std::fmt::Write;

use super::{CaseReport, Coverage, Report, lockstep, races};
use crate::{Outcome, REQUIREMENTS, matrix::Matrix};

/// One document over all `reports`: the matrix, the facts of each profile, what failed, what did not run.
#[must_use]
pub fn markdown(reports: &[Report]) -> String {
    let mut text = String::from("# Conformance\n\n");
    if let Some(report) = reports.first() {
        line(
            &mut text,
            &format!(
                "Suite {}, contract {}, {} cases, registry `{:.12}`.\n",
                report.suite.version, report.suite.contract, report.suite.cases, report.suite.registry_sha256
            ),
        );
    }
    text.push_str(&Matrix::of(reports).markdown());
    for report in reports {
        profile(&mut text, report);
    }
    text.push_str("\n## Requirements\n\n");
    text.push_str(&requirements(reports));
    text
}

fn profile(text: &mut String, report: &Report) {
    let (profile, run, counts) = (&report.profile, &report.run, &report.footer.counts);
    line(text, &format!("\n## {}\n", profile.id));
    line(
        text,
        &format!(
            "**{}**: {} passed, {} denied, {} failed, {} errored, {} not run, {} ineligible.\n",
            report.footer.verdict,
            counts.passed,
            counts.denied,
            counts.failed,
            counts.errored,
            counts.not_run,
            counts.ineligible
        ),
    );
    line(text, &format!("- Backend: {} {}, <{}>", report.identity.name, report.identity.version, report.identity.url));
    line(text, &format!("- Server: {} by {}", profile.server, profile.source));
    if let Some(image) = &profile.image {
        line(text, &format!("- Image: `{image}`"));
    }
    for (name, value) in &profile.settings {
        line(text, &format!("- `{name}` = `{value}`"));
    }
    let dirty = if run.dirty { ", with changes" } else { "" };
    if let Some(commit) = &run.commit {
        line(text, &format!("- Commit: `{commit}`{dirty}"));
    }
    line(text, &format!("- Run: {} of {}, {} ms, `{}`", run.id, run.started, run.duration_ms, run.reproduce));
    for goal in &report.coverage.goals_unmet {
        line(text, &format!("- Goal not met: {goal}"));
    }
    if let Some(run) = &report.lockstep {
        line(text, &format!("- {}", lockstep::line(run)));
        for failure in &run.failures {
            line(text, &format!("\n```text\n{}```", failure.text()));
        }
        for reason in &run.errored {
            line(text, &format!("- A tape could not be judged: {reason}"));
        }
    }
    for run in &report.races {
        line(text, &format!("- {}", races::line(run)));
        if !run.is_clean() {
            line(text, &format!("\n```text\n{}\n```", races::text(run)));
        }
    }
    told(text, report, "Failed", |outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Errored { .. }));
    told(text, report, "Not run", |outcome| matches!(outcome, Outcome::NotRun { .. }));
    told(text, report, "Ineligible", |outcome| matches!(outcome, Outcome::Ineligible { .. }));
    methods(text, &report.coverage);
}

/// The cases whose outcome is chosen; those that share a reason share its line.
fn told(text: &mut String, report: &Report, title: &str, chosen: impl Fn(&Outcome) -> bool) {
    let mut cases = report.cases.iter().filter(|case| chosen(&case.outcome)).peekable();
    if cases.peek().is_none() {
        return;
    }
    line(text, &format!("\n### {title} on {}\n", report.profile.id));
    if let Some(reason) = report.no_server() {
        line(text, &format!("All cases: {reason}"));
        return;
    }
    for case in cases {
        match &case.outcome {
            Outcome::NotRun { reason } | Outcome::Ineligible { reason } => {
                line(text, &format!("- `{}`: {reason}", case.case));
            }
            _ => {
                let again = format!("{} --case {}", report.run.reproduce, case.case);
                line(text, &format!("```text\n{}\n```\n", case.text(&report.identity.name, &again)));
            }
        }
    }
}

fn methods(text: &mut String, coverage: &Coverage) {
    line(text, "\n| method | answers |\n|---|---|");
    for (method, codes) in &coverage.methods {
        let codes: Vec<_> = codes.iter().map(|(code, count)| format!("{code} {count}")).collect();
        line(text, &format!("| `{method}` | {} |", codes.join(" · ")));
    }
}

/// One row for each requirement, one column for each report.
#[must_use]
pub(crate) fn requirements(reports: &[Report]) -> String {
    let mut text = String::from("| requirement |");
    for report in reports {
        let _ = write!(text, " {} |", report.profile.id);
    }
    line(&mut text, &format!("\n|---|{}", "---|".repeat(reports.len())));
    for requirement in REQUIREMENTS {
        let _ = write!(text, "| {} {} |", requirement.id, requirement.text.replace('|', "\\|"));
        for report in reports {
            let status = report.requirements.get(requirement.id).copied();
            let sign =
                if report.cannot_judge(requirement.id) { "—" } else { status.map_or("❔", super::Status::sign) };
            let _ = write!(text, " {sign} |");
        }
        text.push('\n');
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Failures of one profile that a terminal shows with their details, and unmet goals that it shows at all.
const SHOWN: usize = 5;

/// What failed in `reports`, for a terminal: the first failures with details, the others by name; empty if nothing did.
#[must_use]
pub fn summary(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        if let Some(reason) = report.no_server() {
            line(&mut text, &format!("\n{}: {reason}", report.identity.name));
            continue;
        }
        let is_red = |case: &&CaseReport| matches!(case.outcome, Outcome::Failed { .. } | Outcome::Errored { .. });
        for (at, case) in report.cases.iter().filter(is_red).enumerate() {
            let again = format!("{} --case {}", report.run.reproduce, case.case);
            let brief = case.brief(&report.profile.id, &again);
            if at < SHOWN {
                line(&mut text, &format!("\n{brief}"));
            } else {
                let space = if at == SHOWN { "\n" } else { "" };
                line(&mut text, &format!("{space}{}", brief.lines().next().unwrap_or_default()));
            }
        }
        goals(&mut text, report);
        if let Some(run) = &report.lockstep {
            line(&mut text, &format!("\n{}: {}", report.profile.id, lockstep::text(run).trim_end()));
        }
        for run in &report.races {
            line(&mut text, &format!("\n{}: {}", report.profile.id, races::text(run)));
        }
    }
    text
}

/// The first goals that a run did not meet, and how many more there are.
fn goals(text: &mut String, report: &Report) {
    let unmet = &report.coverage.goals_unmet;
    if unmet.is_empty() {
        return;
    }
    line(text, &format!("\n{}: goals not met", report.profile.id));
    for goal in unmet.iter().take(SHOWN) {
        line(text, &format!("  {goal}"));
    }
    if unmet.len() > SHOWN {
        line(text, &format!("  … {} more in the report", unmet.len() - SHOWN));
    }
}
