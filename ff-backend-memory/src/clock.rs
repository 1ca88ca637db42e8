//! The store's time: the process clock, or one that a test moves by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ff_core::TimestampMs;

/// Where a memory store reads its time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Process,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of this process.
    #[must_use]
    pub fn process() -> Self {
        Self::default()
    }

    /// A clock that stands at `start` until it is moved by hand.
    #[must_use]
    pub fn manual(start: TimestampMs) -> ManualClock {
        ManualClock(Arc::new(AtomicI64::new(start.as_ms())))
    }

    /// The instant it shows.
    #[must_use]
    pub fn now(&self) -> TimestampMs {
        match &self.0 {
            Source::Process => process_now(),
            Source::Manual(ms) => TimestampMs::from_ms(ms.load(Ordering::SeqCst)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this store's time is the process clock, and this is where it is read")]
fn process_now() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::from_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// The hand that moves a manual clock; all clones move the same one.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// The clock, for a store.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.0)))
    }

    /// The instant it shows.
    #[must_use]
    pub fn now(&self) -> TimestampMs {
        TimestampMs::from_ms(self.0.load(Ordering::SeqCst))
    }

    /// Moves it to `instant`, forwards or back.
    pub fn set(&self, instant: TimestampMs) {
        self.0.store(instant.as_ms(), Ordering::SeqCst);
    }

    /// Moves it forwards by `duration`, in whole milliseconds.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_shows_what_its_hand_set() {
        let hand = Clock::manual(TimestampMs::from_ms(5));
        let clock = hand.clock();
        hand.advance(Duration::from_millis(7));
        assert_eq!(clock.now(), TimestampMs::from_ms(12));
        hand.clone().set(TimestampMs::from_ms(1));
        assert_eq!((clock.now(), hand.now()), (TimestampMs::from_ms(1), TimestampMs::from_ms(1)));
    }
}
