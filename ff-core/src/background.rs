//! The background loops of a backend: each scanner once an interval, until the backend is shut down or dropped.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::sleep};

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
    let drawn = Jitter::draw().millionths();
    whole.mul_f64(f64::from(drawn) / f64::from(Jitter::NONE.millionths()))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use async_trait::async_trait;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Applied, ScanReport};

    /// Tells of each pass, and answers as its number says.
    struct Told {
        passes: mpsc::UnboundedSender<Option<ScanCursor>>,
        count: AtomicU32,
        answer: fn(u32) -> Result<ScanReport, EngineError>,
    }

    #[async_trait]
    impl Scanners for Told {
        async fn scan(&self, args: ScanArgs) -> Result<ScanReport, EngineError> {
            self.passes.send(args.cursor).unwrap();
            (self.answer)(self.count.fetch_add(1, Ordering::Relaxed))
        }
    }

    type Passes = mpsc::UnboundedReceiver<Option<ScanCursor>>;

    /// One loop over a backend that answers so.
    fn looping(answer: fn(u32) -> Result<ScanReport, EngineError>) -> (Arc<Told>, Background, Passes) {
        let (passes, told) = mpsc::unbounded_channel();
        let backend = Arc::new(Told { passes, count: AtomicU32::new(0), answer });
        let mut config = ScannerConfig::default();
        for interval in [
            &mut config.attempt_timeout,
            &mut config.execution_deadline,
            &mut config.delay_promoter,
            &mut config.retention,
            &mut config.event_retention,
        ] {
            *interval = Duration::ZERO;
        }
        config.lease_expiry = Duration::from_millis(2);
        let background = Background::start(&Arc::downgrade(&backend), &config);
        (backend, background, told)
    }

    fn report(next_cursor: Option<&str>) -> Result<ScanReport, EngineError> {
        Ok(ScanReport { examined: 0, changed: 0, next_cursor: next_cursor.map(ScanCursor::from_text) })
    }

    #[tokio::test]
    async fn a_turn_goes_on_from_where_a_pass_stopped() {
        let (_backend, _background, mut passes) =
            looping(|number| report(["here", "there"].get(number as usize).copied()));
        for cursor in [None, Some("here"), Some("there"), None] {
            assert_eq!(passes.recv().await.unwrap(), cursor.map(ScanCursor::from_text));
        }
    }

    #[tokio::test]
    async fn neither_a_panic_nor_a_fault_ends_a_loop() {
        let (_backend, _background, mut passes) = looping(|number| match number {
            0 => panic!("planted"),
            1 => Err(EngineError::contention()),
            _ => report(None),
        });
        for _ in 0..4 {
            assert_eq!(passes.recv().await, Some(None));
        }
    }

    #[tokio::test]
    async fn loops_end_with_their_backend() {
        let (backend, _background, mut passes) = looping(|_| report(None));
        passes.recv().await.unwrap();
        drop(backend);
        while passes.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn drained_loops_make_no_pass_and_a_closed_backend_has_none() {
        let (backend, background, mut passes) = looping(|_| report(None));
        passes.recv().await.unwrap();
        background.drain().await;
        background.drain().await;
        assert_eq!(Arc::strong_count(&backend), 1);
        assert_eq!(Arc::weak_count(&backend), 0);

        let (backend, background, mut passes) =
            looping(|_| Err(EngineError::transport("told", TransportKind::Closed, Applied::No, "shut down")));
        passes.recv().await.unwrap();
        background.drain().await;
        assert_eq!((backend.count.load(Ordering::Relaxed), Arc::weak_count(&backend)), (1, 0));
    }

    #[test]
    fn a_pause_grows_with_failures_up_to_a_bound() {
        let interval = Duration::from_secs(1);
        for (failures, least, most) in [(0, 500, 1000), (3, 4000, 8000), (40, 30_000, 60_000)] {
            let drawn = pause(interval, failures).as_millis();
            assert!((least..=most).contains(&drawn), "{failures}: {drawn}");
        }
        assert!(pause(Duration::from_secs(600), 9) >= Duration::from_secs(300));
    }
}
