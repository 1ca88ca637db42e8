//! Short histories of clients that call at the same time, each judged by what one thread could have seen.

mod draw;
mod follow;
mod judge;
mod model;
mod play;
mod record;
mod timeline;
mod weather;

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

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
    run::{CLOSE_LIMIT, OPEN_LIMIT, guarded, time_is_over},
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
    /// Where the calls on the first store come from; those on the next come from the next number, and so on. Which of
    /// them meet is up to the machine.
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
    /// Once in a while the server ends all sessions, and forgets the functions that it keeps.
    Storm,
}

/// What came of a run of bursts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Races {
    /// The seed.
    pub seed: u64,
    /// Whether calls met faults.
    pub weather: Weather,
    /// Stores that were opened; the next run goes on with the seed behind theirs.
    pub stores: u64,
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
    /// The seed of its store.
    pub store: u64,
    /// Its place among the bursts of the store, from 0.
    pub place: u64,
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
            stores: 0,
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

    /// True if every burst was judged and none broke a rule; at most one in a hundred, or one, may be without a verdict.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errored.is_none() && self.not_run.is_none() && self.violated == 0 && self.bursts > 0
    }

    fn count(&mut self, (store, place): (u64, u64), burst: &Burst, verdict: BurstVerdict) {
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
                    store,
                    place,
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
        self.stores += other.stores;
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
        if self.unknown > (self.bursts / 100).max(1) {
            let (unknown, bursts) = (self.unknown, self.bursts);
            self.errored.get_or_insert(format!("{unknown} of {bursts} bursts are without a verdict"));
        }
        self
    }
}

/// Plays the bursts of `plan` on stores of `harness` and judges them.
pub async fn races(harness: &dyn Harness, plan: &BurstPlan) -> Races {
    let mut all = Races::new(plan);
    let over = time_is_over(plan.at_most);
    let is_over = tokio::sync::watch::Sender::new(false);
    let next = AtomicU64::new(0);
    let runs = (0..plan.jobs.max(1)).map(|_| {
        let (is_over, next) = (is_over.subscribe(), &next);
        async move { job_of(harness, plan, next, &is_over).await }
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

/// Plays one store after another, each the next that no other job has.
async fn job_of(
    harness: &dyn Harness,
    plan: &BurstPlan,
    next: &AtomicU64,
    is_over: &tokio::sync::watch::Receiver<bool>,
) -> Races {
    let mut all = Races::new(plan);
    while !*is_over.borrow() && all.violations.len() < MOST_VIOLATIONS {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let most = plan.bursts.saturating_sub(number.saturating_mul(EACH_STORE)).min(EACH_STORE);
        if most == 0 {
            break;
        }
        all.stores += 1;
        let store = BurstPlan { bursts: most, seed: plan.seed.wrapping_add(number), ..*plan };
        if let Err(stop) = on_a_store(harness, &store, &mut all, is_over).await {
            all.end(stop);
            break;
        }
    }
    all
}

async fn on_a_store(
    harness: &dyn Harness,
    plan: &BurstPlan,
    all: &mut Races,
    is_over: &tokio::sync::watch::Receiver<bool>,
) -> Result<(), Stop> {
    let store = guarded("open", OPEN_LIMIT, harness.open()).await.map_err(Stop::Errored)??;
    let mut seeds = Draw::new(plan.seed);
    let mut result = Ok(());
    match crew(&*store, plan.weather).await {
        Err(stop) => result = Err(stop),
        Ok(mut crew) => {
            for number in 0..plan.bursts {
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
                        all.count((plan.seed, number), &burst, verdict);
                    }
                }
            }
        }
    }
    let closed = guarded("close", CLOSE_LIMIT, store.close(result.is_err())).await.map_err(Stop::Errored)?;
    closed?;
    result
}

/// Judges a burst again that was written down as JSON; if it broke a rule, its timeline comes with the verdict.
///
/// # Errors
/// If the text is no burst.
pub fn recheck_burst(text: &str) -> Result<(BurstVerdict, Option<String>), String> {
    let burst: Burst = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // Labels live as long as the program; a program rechecks one burst.
    let label = burst.label.clone().leak();
    let verdict = judge(&burst, label, STEPS);
    let page = match &verdict {
        BurstVerdict::Violated(violation) => Some(timeline(&burst, violation)),
        BurstVerdict::Ok | BurstVerdict::Unknown => None,
    };
    Ok((verdict, page))
}

/// Clients for the bursts of one store.
async fn crew(store: &dyn Store, weather: Weather) -> Result<Crew, Stop> {
    let controls = store.controls();
    let no_clock = || Stop::NotRun(format!("no {} control", Control::Clock.as_str()));
    let clock = controls.clock.clone().ok_or_else(no_clock)?;
    let no_sessions = || Stop::NotRun(format!("no {} control", Control::Sessions.as_str()));
    let sessions = match weather {
        Weather::Storm => Some(controls.sessions.clone().ok_or_else(no_sessions)?),
        Weather::Clear | Weather::Rough => None,
    };
    let observer = store.connect(Client::new("observer")).await?;
    let mut lines = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::new(format!("client {number}"));
        let line = match (weather, controls.address) {
            (Weather::Clear | Weather::Storm, _) => Line::clear(store.connect(client).await?),
            (Weather::Rough, None) => Line::unreliable(store.connect(client).await?, number),
            (Weather::Rough, Some(target)) => {
                let proxy = Proxy::start(target).map_err(|error| Stop::Errored(format!("proxy: {error}")))?;
                let client = Client { pool_size: NonZeroU32::MIN, ..client.address(proxy.address()) };
                Line::through(store.connect(client).await?, proxy)
            }
        };
        lines.push(Arc::new(line));
    }
    Ok(Crew { observer, lines, clock, sessions, cursors: Cursors::default() })
}

/// Clients that call at the same time.
const CLIENTS: u64 = 5;
