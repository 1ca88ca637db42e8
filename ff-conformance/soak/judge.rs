//! What was lost and what was doubled, by three witnesses: the producer, the workers' journals, and the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    journal::{Line, Step},
    store::Facts,
};

/// Sentences that a verdict shows of each kind.
const SHOWN: usize = 5;

/// The numbers of a soak.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    created: usize,
    attempts: usize,
    killed: usize,
    /// Created, and never told as completed.
    lost: Vec<String>,
    /// Completed more than once, or by two holders.
    doubled: Vec<String>,
    /// The witnesses contradict each other in another way.
    wrong: Vec<String>,
}

impl Verdict {
    /// True if nothing is wrong, and something was tried.
    pub(crate) fn is_good(&self) -> bool {
        self.created > 0 && self.lost.is_empty() && self.doubled.is_empty() && self.wrong.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, attempts, killed, lost, doubled, wrong } = self;
        write!(f, "{created} jobs in {attempts} attempts, {killed} workers killed: ")?;
        write!(f, "{} lost, {} doubled, {} wrong", lost.len(), doubled.len(), wrong.len())?;
        for sentence in [lost, doubled, wrong].into_iter().flat_map(|all| all.iter().take(SHOWN)) {
            write!(f, "\n  {sentence}")?;
        }
        Ok(())
    }
}

/// Judges what `created` became.
pub(crate) fn judge(created: &BTreeSet<String>, journals: &[Line], facts: &Facts, killed: usize) -> Verdict {
    let attempts = facts.attempts.values().map(Vec::len).sum();
    let mut verdict = Verdict { created: created.len(), attempts, killed, ..Verdict::default() };
    for execution in created {
        stored(execution, facts, &mut verdict);
    }
    for execution in facts.completions.keys().filter(|execution| !created.contains(*execution)) {
        verdict.wrong.push(format!("{execution} was completed, and nobody created it"));
    }
    written(journals, facts, &mut verdict);
    verdict
}

/// One completion of one attempt, which is the last one.
fn stored(execution: &str, facts: &Facts, verdict: &mut Verdict) {
    match facts.completions.get(execution).map(Vec::as_slice) {
        None | Some([]) => verdict.lost.push(format!("{execution} was never completed")),
        Some([outcome]) if outcome == "success" => {}
        Some([outcome]) => verdict.lost.push(format!("{execution} ended as {outcome}")),
        Some(many) => verdict.doubled.push(format!("{execution} was completed {} times", many.len())),
    }
    let attempts = facts.attempts.get(execution).map(Vec::as_slice).unwrap_or_default();
    let winners = attempts.iter().filter(|attempt| attempt.phase == "ended_success").count();
    if winners > 1 {
        verdict.doubled.push(format!("{execution} has {winners} attempts that ended with success"));
    }
    if winners == 1 && attempts.last().is_some_and(|last| last.phase != "ended_success") {
        verdict.doubled.push(format!("{execution} was attempted again after its success"));
    }
}

/// No fence in two hands, and every success that a worker was told of is the one that is stored.
fn written(journals: &[Line], facts: &Facts, verdict: &mut Verdict) {
    let mut holders = BTreeMap::new();
    let mut winners: BTreeMap<&str, &Line> = BTreeMap::new();
    for line in journals {
        let execution = line.execution.as_str();
        if line.step == Step::Begun {
            if holders.insert((execution, line.epoch), &line.word).is_some() {
                verdict.doubled.push(format!("{execution}: epoch {} was handed out twice", line.epoch));
            }
            continue;
        }
        if winners.insert(execution, line).is_some() {
            verdict.doubled.push(format!("{execution}: two workers were told that they completed it"));
        }
        if facts.results.get(execution) != Some(&line.word) {
            verdict.wrong.push(format!("{execution}: the stored result is not that of the worker that completed it"));
        }
        let attempt = facts.attempts.get(execution).and_then(|all| all.get(line.index as usize));
        if attempt.is_none_or(|attempt| attempt.epoch != line.epoch || attempt.phase != "ended_success") {
            verdict.wrong.push(format!("{execution}: no successful attempt {} of epoch {}", line.index, line.epoch));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Attempt;

    fn line(step: Step, epoch: u64, word: &str) -> Line {
        let index = u32::try_from(epoch).unwrap() - 1;
        Line { step, execution: "a".to_owned(), index, epoch, word: word.to_owned() }
    }

    /// One job that a second worker finished after the first had been killed.
    fn good() -> (BTreeSet<String>, Vec<Line>, Facts) {
        let attempt = |phase: &str, epoch| Attempt { phase: phase.to_owned(), epoch };
        let mut facts = Facts::default();
        let attempts = vec![attempt("interrupted_reclaimed", 1), attempt("ended_success", 2)];
        facts.attempts.insert("a".to_owned(), attempts);
        facts.completions.insert("a".to_owned(), vec!["success".to_owned()]);
        facts.results.insert("a".to_owned(), "w2".to_owned());
        let journal = vec![line(Step::Begun, 1, "w1"), line(Step::Begun, 2, "w2"), line(Step::Done, 2, "w2")];
        (BTreeSet::from(["a".to_owned()]), journal, facts)
    }

    #[test]
    fn nothing_is_wrong_with_a_job_that_was_taken_over() {
        let (created, journal, facts) = good();
        let verdict = judge(&created, &journal, &facts, 1);
        assert!(verdict.is_good(), "{verdict}");
        assert!(!judge(&BTreeSet::new(), &[], &Facts::default(), 1).is_good());
    }

    #[test]
    fn each_way_to_lose_or_double_is_seen() {
        type Spoil = fn(&mut Vec<Line>, &mut Facts);
        let ways: [(&str, Spoil); 8] = [
            ("1 lost", |_, facts| facts.completions.clear()),
            ("1 lost", |_, facts| facts.completions.get_mut("a").unwrap()[0] = "failed".to_owned()),
            ("1 doubled", |_, facts| facts.completions.get_mut("a").unwrap().push("success".to_owned())),
            ("1 doubled", |_, facts| facts.attempts.get_mut("a").unwrap()[0].phase = "ended_success".to_owned()),
            ("1 doubled", |journal, _| journal.push(line(Step::Begun, 2, "w3"))),
            ("1 doubled", |journal, _| journal.push(line(Step::Done, 2, "w2"))),
            ("1 wrong", |_, facts| facts.results.clear()),
            ("1 wrong", |_, facts| facts.attempts.get_mut("a").unwrap()[1].epoch = 3),
        ];
        for (expected, spoil) in ways {
            let (created, mut journal, mut facts) = good();
            spoil(&mut journal, &mut facts);
            let verdict = judge(&created, &journal, &facts, 1).to_string();
            assert!(verdict.contains(expected), "{expected}: {verdict}");
        }
    }
}
