//! The planted stall: a loop that does not see it measures nothing.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::pace;
use crate::{
    Failure,
    drive::Run,
    raw::{Lease, RawMemory, Rows},
};

/// Of each period, how long nothing is answered.
const STALL: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_secs(20);

const RATE: f64 = 200.0;

/// The memory by hand, which answers nothing in the first second of every twenty.
#[derive(Clone)]
struct Stalling {
    rows: Arc<Mutex<Rows>>,
    begun: Instant,
}

impl Run for Stalling {
    type Work = Lease;

    async fn claim(&self) -> Result<Option<Lease>, Failure> {
        let into = Duration::from_nanos(
            u64::try_from(self.begun.elapsed().as_nanos() % PERIOD.as_nanos()).unwrap_or_default(),
        );
        if into < STALL {
            tokio::time::sleep(STALL - into).await;
        }
        self.rows.claim().await
    }

    async fn complete(&self, lease: Lease) -> Result<(), Failure> {
        self.rows.complete(lease).await
    }

    async fn complete_and_claim(&self, lease: Lease) -> Result<Option<Lease>, Failure> {
        self.rows.complete_and_claim(lease).await
    }

    async fn claim_many(&self, most: u16) -> Result<Vec<Lease>, Failure> {
        self.rows.claim_many(most).await
    }

    async fn complete_many(&self, leases: Vec<Lease>) -> Result<(), Failure> {
        self.rows.complete_many(leases).await
    }
}

/// Of all calls a twentieth meet the stall and wait for half a second in the mean: p99 is 0.8 s and the mean 25 ms, both
/// within a tenth.
///
/// Fails if the loop tells anything else.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the process clock")]
pub(super) async fn check() -> Result<f64, Failure> {
    let rows = Arc::new(RawMemory.fill(10_000));
    let paced = pace::claims(Stalling { rows, begun: Instant::now() }, RATE, PERIOD).await?;
    let (p99_ms, mean_ms) = (paced.summary().p99_ms(), paced.summary().mean_ms());
    if (720.0..=880.0).contains(&p99_ms) && (22.5..=32.5).contains(&mean_ms) {
        return Ok(p99_ms);
    }
    Err(format!("nothing is published: a stall of 1 s in 20 s shows as p99 {p99_ms:.0} ms, mean {mean_ms:.1} ms")
        .into())
}
