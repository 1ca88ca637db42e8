//! Short histories of clients that call at the same time, each judged by what one thread could have seen.

mod draw;
mod follow;
mod judge;
mod model;
mod play;
mod record;
mod timeline;
mod weather;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    judge::{BurstVerdict, Violation},
    record::{Burst, Deed, Log, Recorded},
    timeline::timeline,
};
pub(crate) use self::{
    judge::{judge, subjects},
    record::Told,
};
use self::{
    play::{BURST_LIMIT, Crew, Cursors},
    weather::Line,
};
use crate::{
    Client, Control, Harness, Proxy, Stop, Store,
    draw::Draw,
    run::{CLOSE_LIMIT, OPEN_LIMIT, guarded},
};

/// Steps of the search for an order after which a burst counts as unknown.
const STEPS: u64 = 200_000;
/// Bursts that one store bears, one after the other; a further store is opened for more.
const EACH_STORE: u64 = 50;
/// Violations after which a run ends.
const MOST_VIOLATIONS: usize = 3;

/// How many bursts, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstPlan {
    /// Bursts.
    pub bursts: u64,
    /// Where their calls come from; which of them meet is up to the machine.
    pub seed: u64,
    /// Stores at once.
    pub jobs: usize,
    /// Whether calls meet faults on their way.
    pub weather: Weather,
    /// How long the run may take; it ends after the burst that is under way then.
    pub at_most: Option<Duration>,
}

/// Whether calls meet faults on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weather {
    /// No call does.
    Clear,
    /// A call in eight meets one: it is reset, cut or swallowed, or its reply is. Where nothing lies between a client
    /// and its store, a decorator of the client does the same.
    Rough,
}

/// What came of a run of bursts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Races {
    /// The seed.
    pub seed: u64,
    /// Whether calls met faults.
    pub weather: Weather,
    /// Bursts that were played.
    pub bursts: u64,
    /// Calls in them.
    pub calls: u64,
    /// Calls whose answer was lost.
    pub lost: u64,
    /// Bursts that one order explains.
    pub ok: u64,
    /// Bursts that broke a rule.
    pub violated: u64,
    /// Bursts without a verdict.
    pub unknown: u64,
    /// Those that broke a rule.
    pub violations: Vec<BrokenBurst>,
    /// Why the run cannot be judged, if so.
    pub errored: Option<String>,
    /// Why it did not run, if so.
    pub not_run: Option<String>,
}

/// A burst that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenBurst {
    /// The seed of the burst.
    pub seed: u64,
    /// What it broke.
    pub violation: Violation,
    /// The burst as JSON; a report has it in a file beside it.
    #[serde(skip)]
    pub burst: String,
    /// The timeline as a page of HTML; a report has it in a file beside it.
    #[serde(skip)]
    pub page: String,
}

impl Races {
    fn new(plan: &BurstPlan) -> Self {
        Self {
            seed: plan.seed,
            weather: plan.weather,
            bursts: 0,
            calls: 0,
            lost: 0,
            ok: 0,
            violated: 0,
            unknown: 0,
            violations: Vec::new(),
            errored: None,
            not_run: None,
        }
    }

    /// The burst of `seed` on an empty store, as a test of the suite itself wants it.
    #[cfg(test)]
    pub(crate) async fn one(harness: &dyn Harness, seed: u64) -> Result<Burst, Stop> {
        let store = harness.open().await?;
        crew(&*store, Weather::Clear).await?.play("burst", seed).await
    }

    /// True if every burst was judged and none broke a rule; at most one in a hundred may be without a verdict.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errored.is_none() && self.not_run.is_none() && self.violated == 0 && self.bursts > 0
    }

    fn count(&mut self, burst: &Burst, verdict: BurstVerdict) {
        self.bursts += 1;
        self.calls += burst.calls.len() as u64;
        let is_lost = |recorded: &&Recorded| recorded.returned.is_none();
        self.lost += burst.calls.iter().filter(is_lost).count() as u64;
        match verdict {
            BurstVerdict::Ok => self.ok += 1,
            BurstVerdict::Unknown => self.unknown += 1,
            BurstVerdict::Violated(violation) => {
                self.violated += 1;
                self.violations.push(BrokenBurst {
                    seed: burst.seed,
                    burst: serde_json::to_string(burst).unwrap_or_default(),
                    page: timeline(burst, &violation),
                    violation: *violation,
                });
            }
        }
    }

    fn end(&mut self, stop: Stop) {
        match stop {
            Stop::NotRun(reason) | Stop::Ineligible(reason) => self.not_run = Some(reason),
            Stop::Errored(reason) => self.errored = Some(reason),
            other => self.errored = Some(format!("{other:?}")),
        }
    }

    fn join(&mut self, other: Self) {
        self.bursts += other.bursts;
        self.calls += other.calls;
        self.lost += other.lost;
        self.ok += other.ok;
        self.violated += other.violated;
        self.unknown += other.unknown;
        self.violations.extend(other.violations);
        self.errored = self.errored.take().or(other.errored);
        self.not_run = self.not_run.take().or(other.not_run);
    }

    /// Too many bursts without a verdict say nothing about the others.
    fn concluded(mut self) -> Self {
        if self.unknown * 100 > self.bursts {
            let (unknown, bursts) = (self.unknown, self.bursts);
            self.errored.get_or_insert(format!("{unknown} of {bursts} bursts are without a verdict"));
        }
        self
    }
}

/// Plays the bursts of `plan` on stores of `harness` and judges them.
pub async fn races(harness: &dyn Harness, plan: &BurstPlan) -> Races {
    let mut all = Races::new(plan);
    let over = async {
        match plan.at_most {
            Some(at_most) => tokio::time::sleep(at_most).await,
            None => std::future::pending().await,
        }
    };
    let is_over = tokio::sync::watch::Sender::new(false);
    let jobs = plan.jobs.max(1) as u64;
    let share = |job: u64| plan.bursts / jobs + u64::from(job < plan.bursts % jobs);
    let runs = (0..jobs).map(|job| {
        let is_over = is_over.subscribe();
        let plan = BurstPlan { bursts: share(job), seed: plan.seed ^ job << 48, ..*plan };
        async move { job_of(harness, &plan, &is_over).await }
    });
    let runs = futures::future::join_all(runs);
    tokio::pin!(runs, over);
    let parts = tokio::select! {
        parts = &mut runs => parts,
        () = &mut over => {
            is_over.send_replace(true);
            runs.await
        }
    };
    parts.into_iter().for_each(|part| all.join(part));
    all.concluded()
}

/// Plays the share of one job, store by store.
async fn job_of(harness: &dyn Harness, plan: &BurstPlan, is_over: &tokio::sync::watch::Receiver<bool>) -> Races {
    let mut all = Races::new(plan);
    let mut seeds = Draw::new(plan.seed);
    while all.bursts < plan.bursts && !*is_over.borrow() {
        let most = EACH_STORE.min(plan.bursts - all.bursts);
        if let Err(stop) = on_a_store(harness, plan, most, &mut seeds, &mut all, is_over).await {
            all.end(stop);
            break;
        }
        if all.violations.len() >= MOST_VIOLATIONS {
            break;
        }
    }
    all
}

async fn on_a_store(
    harness: &dyn Harness,
    plan: &BurstPlan,
    most: u64,
    seeds: &mut Draw,
    all: &mut Races,
    is_over: &tokio::sync::watch::Receiver<bool>,
) -> Result<(), Stop> {
    let store = guarded("open", OPEN_LIMIT, harness.open()).await.map_err(Stop::Errored)??;
    let mut result = Ok(());
    match crew(&*store, plan.weather).await {
        Err(stop) => result = Err(stop),
        Ok(mut crew) => {
            for number in 0..most {
                if *is_over.borrow() || all.violations.len() >= MOST_VIOLATIONS {
                    break;
                }
                let name = format!("burst-{number}");
                let played = crew.play(&name, seeds.any());
                match guarded("a burst", BURST_LIMIT, played).await.map_err(Stop::Errored).and_then(|burst| burst) {
                    Err(stop) => {
                        result = Err(stop);
                        break;
                    }
                    Ok(burst) => {
                        let label = crew.observer.backend_label();
                        let judged = tokio::task::spawn_blocking(move || {
                            let verdict = judge(&burst, label, STEPS);
                            (burst, verdict)
                        });
                        let (burst, verdict) = judged.await.map_err(|error| Stop::Errored(error.to_string()))?;
                        all.count(&burst, verdict);
                    }
                }
            }
        }
    }
    let closed = guarded("close", CLOSE_LIMIT, store.close(result.is_err())).await.map_err(Stop::Errored)?;
    closed?;
    result
}

/// Clients for the bursts of one store.
async fn crew(store: &dyn Store, weather: Weather) -> Result<Crew, Stop> {
    let controls = store.controls();
    let no_clock = || Stop::NotRun(format!("no {} control", Control::Clock.as_str()));
    let clock = controls.clock.clone().ok_or_else(no_clock)?;
    let observer = store.connect(Client::new("observer")).await?;
    let mut lines = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::new(format!("client {number}"));
        let line = match (weather, controls.address) {
            (Weather::Clear, _) => Line::clear(store.connect(client).await?),
            (Weather::Rough, None) => Line::unreliable(store.connect(client).await?, number),
            (Weather::Rough, Some(target)) => {
                let proxy = Proxy::start(target).map_err(|error| Stop::Errored(format!("proxy: {error}")))?;
                let client = Client { pool_size: NonZeroU32::MIN, ..client.address(proxy.address()) };
                Line::through(store.connect(client).await?, proxy)
            }
        };
        lines.push(Arc::new(line));
    }
    Ok(Crew { observer, lines, clock, cursors: Cursors::default() })
}

/// Clients that call at the same time.
const CLIENTS: u64 = 5;
