//! Calls at intended instants, and what each of them waited.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;

use super::Failure;

/// The longest wait that is told apart, in microseconds.
const LONGEST_US: u64 = 120_000_000;

/// How a rate is raised until it is not sustained.
const STEP: f64 = 1.5;

/// Halvings of the gap between a rate that was sustained and one that was not.
const HALVINGS: usize = 4;

/// What calls at one rate have come to.
pub struct Paced {
    rate: f64,
    time: Duration,
    took: Duration,
    failed: u64,
    /// From the intended instant to the end.
    response: Histogram<u64>,
    /// From the start to the end.
    service: Histogram<u64>,
    /// From the intended instant to the start.
    lag: Histogram<u64>,
    /// The longest lag of the last fifth, and of the one before.
    late: [Duration; 2],
}

/// The figures of calls at one rate.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    rate: f64,
    achieved: f64,
    failed: u64,
    mean_ms: f64,
    /// Share and milliseconds.
    response_ms: Vec<(f64, f64)>,
    service_p99_ms: f64,
    lag_p99_ms: f64,
}

impl Summary {
    /// Calls in a second that were intended.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// The response at p99, in milliseconds.
    #[must_use]
    pub fn p99_ms(&self) -> f64 {
        self.at(0.99)
    }

    /// The mean response, in milliseconds.
    #[must_use]
    pub const fn mean_ms(&self) -> f64 {
        self.mean_ms
    }

    /// The response at a share that is told, in milliseconds.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let near = self.response_ms.iter().find(|(told, _)| *told >= share);
        near.map_or(f64::NAN, |(_, ms)| *ms)
    }
}

/// The shares of the responses that are told.
pub(super) const SHARES: [f64; 7] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0];

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) fn ms(histogram: &Histogram<u64>, share: f64) -> f64 {
    histogram.value_at_quantile(share) as f64 / 1e3
}

/// An empty histogram of microseconds.
pub(super) fn histogram() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new_with_bounds(1, LONGEST_US, 3)?)
}

/// Notes a wait.
pub(super) fn note(histogram: &mut Histogram<u64>, wait: Duration) {
    histogram.saturating_record(u64::try_from(wait.as_micros()).unwrap_or(LONGEST_US).max(1));
}

impl Paced {
    /// The figures.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            rate: self.rate,
            achieved: self.response.len() as f64 / self.took.as_secs_f64(),
            failed: self.failed,
            mean_ms: self.response.mean() / 1e3,
            response_ms: SHARES.iter().map(|share| (*share, ms(&self.response, *share))).collect(),
            service_p99_ms: ms(&self.service, 0.99),
            lag_p99_ms: ms(&self.lag, 0.99),
        }
    }

    /// Whether the store keeps up: p99 within the limit, nothing failed, the end within 1 % of the schedule and the lag
    /// not growing.
    #[must_use]
    pub fn is_sustained(&self, slo: Duration) -> bool {
        let [last, before] = self.late;
        let behind = self.took.saturating_sub(self.time);
        self.failed == 0
            && Duration::from_micros(self.response.value_at_quantile(0.99)) <= slo
            && behind <= (self.time / 100).max(slo)
            && last <= (before * 2).max(slo)
    }
}

/// Begins one call after another at `rate` for `time`, none of which waits for those before it, and tells how long it took
/// until all had ended. A call is made for its intended instant and its share of the time.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
pub(super) async fn on_schedule<F>(
    rate: f64,
    time: Duration,
    mut call: impl FnMut(Instant, f64) -> F,
) -> Result<Duration, Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    let mut number = 0.0;
    loop {
        let offset = Duration::from_secs_f64(number / rate);
        number += 1.0;
        if offset >= time {
            break;
        }
        let intended = begun + offset;
        // Several instants that have passed go at once: the schedule is kept, not stretched.
        if intended > Instant::now() {
            tokio::time::sleep_until(intended.into()).await;
        }
        calls.spawn(call(intended, offset.as_secs_f64() / time.as_secs_f64()));
        while calls.try_join_next().is_some() {}
    }
    while let Some(call) = calls.join_next().await {
        call?;
    }
    Ok(begun.elapsed())
}

/// One call after another at `rate` for `time`; none waits for those before it.
///
/// A call says whether it did what it was to do.
///
/// # Errors
/// If a call panics.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
pub async fn paced<F>(call: impl Fn() -> F, rate: f64, time: Duration) -> Result<Paced, Failure>
where
    F: Future<Output = bool> + Send + 'static,
{
    let waits = Arc::new(Mutex::new((histogram()?, histogram()?, histogram()?, [Duration::ZERO; 2], 0_u64)));
    let took = on_schedule(rate, time, |intended, share| {
        let (called, waits) = (call(), Arc::clone(&waits));
        async move {
            let started = Instant::now();
            let done = called.await;
            let ended = Instant::now();
            let mut waits = waits.lock().unwrap_or_else(PoisonError::into_inner);
            let lag = started.saturating_duration_since(intended);
            note(&mut waits.0, ended.saturating_duration_since(intended));
            note(&mut waits.1, ended.saturating_duration_since(started));
            note(&mut waits.2, lag);
            if share >= 0.6 {
                let fifth = usize::from(share < 0.8);
                waits.3[fifth] = waits.3[fifth].max(lag);
            }
            waits.4 += u64::from(!done);
        }
    })
    .await?;
    let waits = Arc::into_inner(waits).ok_or("a call has not ended")?;
    let (response, service, lag, late, failed) = waits.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Paced { rate, time, took, failed, response, service, lag, late })
}

/// The highest rate that is sustained: raised or lowered from `guess` until both kinds are known, then the gap is halved.
///
/// # Errors
/// If a trial fails, or no rate is sustained.
pub async fn highest(
    guess: f64,
    slo: Duration,
    trial: impl AsyncFn(f64) -> Result<Paced, Failure>,
) -> Result<f64, Failure> {
    let holds = async |rate: f64| Ok::<_, Failure>(trial(rate).await?.is_sustained(slo));
    let (mut held, mut broken) = (0.0, guess);
    while holds(broken).await? {
        held = broken;
        broken *= STEP;
    }
    while held == 0.0 {
        let lower = broken / STEP;
        if lower < 1.0 {
            return Err("no rate is sustained".into());
        }
        if holds(lower).await? { held = lower } else { broken = lower }
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(held, broken);
        if holds(middle).await? { held = middle } else { broken = middle }
    }
    Ok(held)
}
