//! Tapes on a store beside the executable specification: drawn from a seed, judged step by step, shrunk when they fail.

mod attempts;
mod call;
mod claims;
mod corpus;
mod coverage;
mod dice;
mod draw;
mod executions;
mod failure;
mod generate;
mod leases;
mod look;
mod names;
mod play;
mod refs;
mod scanners;
mod shrink;
mod tape;
mod told;
mod trace;
mod waitpoints;

use std::{sync::Arc, time::Duration};

use ff_core::{Supports, TimestampMs};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

pub use self::{corpus::corpus, failure::LockstepFailure, play::Disagreement, tape::Tape, trace::recheck};
use self::{
    coverage::Coverage,
    dice::Dice,
    generate::{Recipe, generate},
    play::{Halt, Stage},
};
use crate::{
    Client, Cx, Harness, Recorder, Stop,
    run::{CLOSE_LIMIT, OPEN_LIMIT, guarded, time_is_over},
};

/// Where the store's clock stands when a tape begins.
const BEGIN: TimestampMs = TimestampMs::from_ms(1_000_000_000_000);
/// How long a tape may take.
const TAPE_LIMIT: Duration = Duration::from_secs(120);
/// Tapes without anything new after which a run says that it has seen what it can.
const PLATEAU: u64 = 20;
/// Failures after which a run ends: each costs a shrinking.
const MOST_FAILURES: usize = 3;

/// How many tapes, and which.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Tapes at most, without those of the corpus.
    pub tapes: u64,
    /// Where they come from.
    pub seed: u64,
    /// Tapes under way at once.
    pub jobs: usize,
    /// Ends before that many tapes when nothing new is seen any more.
    pub until_plateau: bool,
    /// Ends with the first failure.
    pub until_failure: bool,
    /// How long tapes may be drawn; those that are under way then are played to their end.
    pub at_most: Option<Duration>,
}

impl Plan {
    /// So many tapes from this seed, one after the other.
    #[must_use]
    pub const fn new(tapes: u64, seed: u64) -> Self {
        Self { tapes, seed, jobs: 1, until_plateau: false, until_failure: false, at_most: None }
    }
}

/// What came of a run in lock-step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockstep {
    /// The seed.
    pub seed: u64,
    /// Tapes that were drawn and played.
    pub tapes: u64,
    /// Tapes of the corpus that were played before them.
    pub corpus: u64,
    /// Steps of all tapes.
    pub steps: u64,
    /// Distinct ends of operations, by the state that they met.
    pub signatures: u64,
    /// True if the last tapes showed nothing new.
    pub plateau: bool,
    /// Operations that never succeeded, and refusals of their docs that they never met.
    pub goals_unmet: Vec<String>,
    /// Where the store and the specification part.
    pub failures: Vec<LockstepFailure>,
    /// Why a tape said nothing.
    pub errored: Vec<String>,
}

/// Plays the corpus and then tapes that are drawn from the plan's seed; `ended` is told of each.
///
/// Every answer, read and log is judged by the executable specification; a tape that fails is shrunk.
pub async fn lockstep(harness: &dyn Harness, plan: &Plan, mut ended: impl FnMut(&Lockstep)) -> Lockstep {
    let mut run =
        Run { harness, report: Lockstep { seed: plan.seed, ..Lockstep::default() }, seen: Coverage::default() };
    let supports = match supports(harness).await {
        Ok(supports) => supports,
        Err(reason) => {
            run.report.errored.push(reason);
            return run.report;
        }
    };
    for (name, tape) in corpus() {
        let once = play(harness, &tape).await;
        run.take(name, tape, once).await;
        run.report.corpus += 1;
        ended(&run.report);
    }
    let recipe = Recipe { supports: supports.clone(), ..Recipe::new() };
    let mut tapes = stream::iter(0..plan.tapes)
        .take_until(Box::pin(time_is_over(plan.at_most)))
        .map(|number| {
            let tape = generate(Dice::of_tape(plan.seed, number), &recipe);
            async move {
                let once = play(harness, &tape).await;
                (number, tape, once)
            }
        })
        .buffered(plan.jobs.max(1));
    let mut still = 0;
    while let Some((number, tape, once)) = tapes.next().await {
        let new = run.take(&format!("tape {number} of seed {}", plan.seed), tape, once).await;
        run.report.tapes += 1;
        // A store in this process never waits: without a pause no clock would be looked at.
        tokio::task::yield_now().await;
        still = if new { 0 } else { still + 1 };
        run.report.plateau = still >= PLATEAU;
        ended(&run.report);
        let most = if plan.until_failure { 1 } else { MOST_FAILURES };
        let stuck = run.report.failures.len() >= most || run.report.errored.len() >= most;
        if stuck || (plan.until_plateau && run.report.plateau) {
            break;
        }
    }
    run.report.goals_unmet = run.seen.unmet(&supports);
    run.report
}

/// Plays one tape; what fails is not shrunk.
///
/// # Errors
/// Where the store and the specification part, or why nothing can be said.
pub async fn replay(harness: &dyn Harness, tape: Tape) -> Result<usize, String> {
    let once = play(harness, &tape).await;
    match once.halt {
        None => Ok(once.taken),
        Some(Halt::Errored(reason)) => Err(reason),
        Some(Halt::Disagreement(found)) => {
            let backend = harness.identity().name;
            Err(LockstepFailure::new("the tape", &backend, *found, &tape, &once.trace).text())
        }
    }
}

/// Plays a tape on the store of a case: where the store and the specification part, if they do.
///
/// # Errors
/// If the text is no tape, or nothing can be said.
pub async fn disagreement(cx: &Cx, tape: &str) -> Result<Option<Disagreement>, Stop> {
    let tape = Tape::read(tape).map_err(Stop::Errored)?;
    let played = async {
        let mut stage = Stage::enter(cx, &tape).await?;
        stage.play(&tape).await
    };
    match played.await {
        Ok(()) => Ok(None),
        Err(Halt::Disagreement(found)) => Ok(Some(*found)),
        Err(Halt::Errored(reason)) => Err(Stop::Errored(reason)),
    }
}

/// A run under way.
struct Run<'a> {
    harness: &'a dyn Harness,
    report: Lockstep,
    seen: Coverage,
}

impl Run<'_> {
    /// Takes what came of a tape; tells whether it showed something new.
    async fn take(&mut self, name: &str, tape: Tape, once: Once) -> bool {
        self.report.steps += u64::try_from(once.taken).unwrap_or_default();
        let new = self.seen.join(once.coverage);
        self.report.signatures = u64::try_from(self.seen.signatures.len()).unwrap_or_default();
        match once.halt {
            None => {}
            Some(Halt::Errored(reason)) => self.report.errored.push(format!("{name}: {reason}")),
            Some(Halt::Disagreement(found)) => {
                let (tape, found, trace) = shrink::shrink(self.harness, tape, *found, once.trace).await;
                let backend = self.harness.identity().name;
                self.report.failures.push(LockstepFailure::new(name, &backend, found, &tape, &trace));
            }
        }
        new
    }
}

/// What came of one tape on a store of its own.
struct Once {
    halt: Option<Halt>,
    coverage: Coverage,
    trace: Vec<trace::Line>,
    taken: usize,
}

impl Once {
    fn errored(reason: String) -> Self {
        Self { halt: Some(Halt::Errored(reason)), coverage: Coverage::default(), trace: Vec::new(), taken: 0 }
    }
}

/// Plays a tape on an empty store.
async fn play(harness: &dyn Harness, tape: &Tape) -> Once {
    let store = match guarded("open", OPEN_LIMIT, harness.open()).await {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => return Once::errored(error.to_string()),
        Err(reason) => return Once::errored(reason),
    };
    let cx = Cx::new(store, Recorder::new()).environment(harness.environment());
    let mut once = match guarded("tape", TAPE_LIMIT, played(&cx, tape)).await {
        Ok(once) => once,
        Err(reason) => Once::errored(reason),
    };
    let failed = once.halt.is_some();
    let closed = match guarded("close", CLOSE_LIMIT, cx.close(failed)).await {
        Ok(closed) => closed.map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    if let (Err(reason), false) = (closed, failed) {
        once.halt = Some(Halt::Errored(format!("close: {reason}")));
    }
    once
}

async fn played(cx: &Cx, tape: &Tape) -> Once {
    let mut stage = match Stage::enter(cx, tape).await {
        Ok(stage) => stage,
        Err(halt) => return Once { halt: Some(halt), ..Once::errored(String::new()) },
    };
    let halt = stage.play(tape).await.err();
    Once { halt, coverage: stage.coverage, trace: stage.trace, taken: stage.taken }
}

/// What the backend offers.
async fn supports(harness: &dyn Harness) -> Result<Supports, String> {
    let store = guarded("open", OPEN_LIMIT, harness.open()).await?.map_err(|error| error.to_string())?;
    let supports = {
        let client: Arc<_> = store.connect(Client::new("a")).await.map_err(|error| error.to_string())?;
        client.capabilities().supports
    };
    guarded("close", CLOSE_LIMIT, store.close(false)).await?.map_err(|error| error.to_string())?;
    Ok(supports)
}

#[cfg(test)]
mod tests;
