//! The background loops of a backend: each scanner once an interval, until the backend is shut down or dropped.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::sleep};
use uuid::Uuid;

use crate::{
    EngineError, Jitter, ScanArgs, ScanCursor, ScannerConfig, ScannerFilter, ScannerKind, Scanners, TransportKind,
};

/// The longest pause of a loop whose passes fail, unless its interval is longer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The shortest share of time that the passes of one turn get.
const SHARE_MIN: Duration = Duration::from_millis(100);

/// The loops of one backend, which keeps them; they end with it.
///
/// They know the backend weakly and hold it only for the length of a pass.
#[derive(Debug)]
pub struct Background {
    /// Its end tells the loops to stop.
    stop: Mutex<Option<watch::Sender<()>>>,
    loops: Mutex<JoinSet<()>>,
}

impl Background {
    /// Starts a loop for each scanner of `backend` whose interval is not zero; a runtime must be there.
    pub fn start<B: Scanners>(backend: &Weak<B>, config: &ScannerConfig) -> Self {
        let (stop, stopped) = watch::channel(());
        let mut loops = JoinSet::new();
        for scanner in ScannerKind::ALL.iter().copied() {
            let interval = config.interval(scanner);
            if interval.is_zero() {
                continue;
            }
            let backend: Weak<dyn Scanners> = backend.clone();
            let turn = Turn { scanner, interval, filter: config.scanner_filter.clone(), cursor: None };
            loops.spawn(repeat(backend, turn, stopped.clone()));
        }
        Self { stop: Mutex::new(Some(stop)), loops: Mutex::new(loops) }
    }

    /// Tells the loops to stop, and waits until the passes that run have ended.
    ///
    /// Whoever stops waiting ends them where they stand.
    pub async fn drain(&self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Dropped before its end, the set ends its tasks.
        let mut loops = std::mem::take(&mut *self.loops.lock().unwrap_or_else(PoisonError::into_inner));
        while loops.join_next().await.is_some() {}
    }
}

/// What one loop does.
#[derive(Clone)]
struct Turn {
    scanner: ScannerKind,
    interval: Duration,
    filter: ScannerFilter,
    /// Where the turn before stopped.
    cursor: Option<ScanCursor>,
}

/// How a turn ended.
enum Ended {
    /// With everything looked at, or at this cursor because its time was over.
    Passed(Option<ScanCursor>),
    /// With a refusal of the store.
    Failed,
    /// The backend is gone or was shut down.
    Closed,
}

async fn repeat(backend: Weak<dyn Scanners>, mut turn: Turn, mut stopped: watch::Receiver<()>) {
    let mut failures = 0;
    loop {
        tokio::select! {
            // Nothing is ever sent: the sender is gone.
            _ = stopped.changed() => return,
            () = sleep(pause(turn.interval, failures)) => {}
        }
        // In a task of its own, so that a panic ends the turn and not the loop.
        let mut supervised = JoinSet::new();
        supervised.spawn(take_turn(backend.clone(), turn.clone(), stopped.clone()));
        match supervised.join_next().await.unwrap_or(Ok(Ended::Failed)) {
            Ok(Ended::Passed(cursor)) => {
                turn.cursor = cursor;
                failures = 0;
            }
            Ok(Ended::Closed) => return,
            Ok(Ended::Failed) | Err(_) => {
                // From the beginning: the cursor may be what the store refuses.
                turn.cursor = None;
                failures += 1;
            }
        }
    }
}

/// Passes until nothing is left behind, or the loop's share of time is over.
async fn take_turn(backend: Weak<dyn Scanners>, turn: Turn, stopped: watch::Receiver<()>) -> Ended {
    let mut over = pin!(sleep(turn.interval.max(SHARE_MIN)));
    let mut cursor = turn.cursor;
    loop {
        let Some(held) = backend.upgrade() else { return Ended::Closed };
        let args = ScanArgs::new(turn.scanner).filter(turn.filter.clone()).cursor(cursor);
        let mut passing = pin!(held.scan(args));
        // A pass that was sent is waited for; beside it only the clock of the turn runs.
        let answer = tokio::select! {
            answer = &mut passing => answer,
            () = &mut over, if !over.is_elapsed() => passing.await,
        };
        cursor = match answer {
            Ok(report) => report.next_cursor,
            Err(error) if is_closed(&error) => return Ended::Closed,
            Err(_) => return Ended::Failed,
        };
        if cursor.is_none() || over.is_elapsed() || stopped.has_changed().is_err() {
            return Ended::Passed(cursor);
        }
    }
}

fn is_closed(error: &EngineError) -> bool {
    matches!(error, EngineError::Transport(fault) if fault.kind == TransportKind::Closed)
}

/// The pause before the next turn: the interval, doubled with each failure in a row up to a bound, and drawn from half
/// of it to all of it, so that processes that started together do not stay together.
fn pause(interval: Duration, failures: u32) -> Duration {
    let bound = PAUSE_MAX.max(interval);
    let whole = interval.saturating_mul(1 << failures.min(16)).min(bound);
    let drawn = Jitter::from_bits(Uuid::new_v4().as_u128()).millionths();
    whole.mul_f64(f64::from(drawn) / f64::from(Jitter::NONE.millionths()))
}
