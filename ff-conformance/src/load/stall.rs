//! The planted stall: a loop that does not see it measures nothing.

use std::time::{Duration, Instant};

use super::{Failure, pace};

/// Of each period, how long nothing is answered.
const STALL: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_secs(20);

const RATE: f64 = 200.0;

/// Measures calls that are answered at once, but none in the first second of every twenty, and returns their p99 in
/// milliseconds.
///
/// A twentieth of all calls meet the stall and wait for half a second in the mean: p99 is 0.8 s and the mean 25 ms, both
/// within a tenth.
///
/// # Errors
/// If the loop tells anything else: it must not publish what it measures then.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
pub async fn check() -> Result<f64, Failure> {
    let begun = Instant::now();
    let call = move || async move {
        let into = begun.elapsed().as_nanos() % PERIOD.as_nanos();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or_default());
        if into < STALL {
            tokio::time::sleep(STALL - into).await;
        }
        true
    };
    let summary = pace::paced(call, RATE, PERIOD).await?.summary();
    let (p99_ms, mean_ms) = (summary.p99_ms(), summary.mean_ms());
    if (720.0..=880.0).contains(&p99_ms) && (22.5..=32.5).contains(&mean_ms) {
        return Ok(p99_ms);
    }
    Err(format!("nothing is published: a stall of 1 s in 20 s shows as p99 {p99_ms:.0} ms, mean {mean_ms:.1} ms")
        .into())
}
