//! What a whole run has to have seen: every operation at work, and every refusal that its docs list.

use ff_core::Operation;

use super::{CaseReport, Declared};
use crate::{Case, EXEMPTIONS, Hits, Level, REFUSALS, Requirement, Topology};

/// The goals that a run did not meet; a run of some cases has none, it is partial by them.
pub(super) fn unmet(cases: &[CaseReport], hits: &Hits, declared: Option<&Declared>, topology: Topology) -> Vec<String> {
    let idle = |case: &CaseReport| !case.was_executed() || case.no_server().is_some();
    if cases.iter().any(idle) {
        return Vec::new();
    }
    let called = |op: &&Operation| cases.iter().any(|case| covers_must(case) && case.calls(**op));
    let missing = Operation::ALL.iter().filter(|op| !called(op) && !exempt(**op, None, topology));
    let mut goals: Vec<_> = missing.map(|op| format!("{op}: no case of a MUST calls it")).collect();
    // A case that needs what the backend lacks may be the one that would have shown a refusal.
    if declared.is_some_and(|declared| declared.capabilities.values().any(|there| !there)) {
        return goals;
    }
    for refusals in REFUSALS {
        let open = |code: &&&str| !refused(hits, refusals.op, code) && !exempt(refusals.op, Some(code), topology);
        let codes = refusals.codes.iter().filter(open);
        goals.extend(codes.map(|code| format!("{}: never answered {code}, which its docs list", refusals.op)));
    }
    goals
}

/// How many of the refusals that the docs of `op` list were seen, and how many could have been.
#[must_use]
pub fn refusals(hits: &Hits, op: Operation, topology: Topology) -> (usize, usize) {
    let listed = REFUSALS.iter().filter(|refusals| refusals.op == op).flat_map(|refusals| refusals.codes);
    let listed: Vec<_> = listed.filter(|code| !exempt(op, Some(code), topology)).collect();
    (listed.iter().filter(|code| refused(hits, op, code)).count(), listed.len())
}

/// True if `op` was refused with `code`, or with a closer form of it.
#[must_use]
pub fn refused(hits: &Hits, op: Operation, code: &str) -> bool {
    hits.get(op.as_str()).is_some_and(|seen| seen.keys().any(|answer| is_of(answer, code)))
}

fn covers_must(case: &CaseReport) -> bool {
    let must = |id: &&str| Requirement::find(id).is_some_and(|requirement| requirement.level == Level::Must);
    Case::find(&case.case).is_some_and(|case| case.covers.iter().any(must))
}

fn exempt(op: Operation, code: Option<&str>, topology: Topology) -> bool {
    EXEMPTIONS.iter().any(|exemption| {
        exemption.op == op && exemption.code == code && exemption.topology.is_none_or(|only| only == topology)
    })
}

/// True if `answer` is `listed` or a closer form of it: `Transport(Closed, No)` of `Transport(Closed)` and of `Transport`.
fn is_of(answer: &str, listed: &str) -> bool {
    let begin = listed.strip_suffix(')').unwrap_or(listed);
    answer.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['(', ')', ',']))
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn a_closer_form_is_of_the_family() {
        for (answer, listed, expected) in [
            ("State(LeaseExpired)", "State(LeaseExpired)", true),
            ("Transport(Closed, No)", "Transport(Closed)", true),
            ("Transport(Closed, No)", "Transport", true),
            ("State(LeaseExpired)", "State(Lease)", false),
            ("Transport(Timeout, No)", "Transport(Closed)", false),
            ("ok", "State(StaleLease)", false),
        ] {
            assert_eq!(is_of(answer, listed), expected, "{answer} of {listed}");
        }
    }
}
