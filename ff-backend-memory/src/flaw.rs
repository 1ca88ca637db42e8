//! Planted faults that the conformance suite must find.

mod planted;
#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use planted::{
    decide_due, duplicate, ended, list_executions, moves, next_epoch, pick, progress, promotable, refused, repeated,
    replayed_retries, result, retry, retry_scheduled, revoked, row, split_claim, verdict,
};

macro_rules! flaws {
    ($($(#[$doc:meta])* $name:ident = $code:literal),* $(,)?) => {
        /// One fault, planted in a store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Flaw { $($(#[$doc])* $name),* }

        impl Flaw {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code under which the suite lists it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
        }
    };
}

flaws! {
    /// `renew` and `complete` accept the handle of an older lease.
    M01 = "M01",
    /// The fence compares the epoch and ignores lease and attempt.
    M02 = "M02",
    /// A claim looks in one step and takes in another: two claimers get one row.
    M03 = "M03",
    /// A lease lives one millisecond too long: `now > expires_at`.
    M04 = "M04",
    /// A take-over keeps the epoch.
    M06 = "M06",
    /// The retry limit is ignored.
    M07 = "M07",
    /// A retry counts twice.
    M07b = "M07b",
    /// The reclaim limit is ignored.
    M07c = "M07c",
    /// A repeated `complete` tells a second completion event.
    M09 = "M09",
    /// A repeat of a call that succeeded is refused.
    M09b = "M09b",
    /// A duplicate create says `Created`.
    M10 = "M10",
    /// The idempotency key is ignored.
    M10b = "M10b",
    /// The claim order ignores the priority.
    M11 = "M11",
    /// The claim order breaks ties by the greatest id.
    M11b = "M11b",
    /// The page of executions continues behind an instant of creation instead of an id.
    M13 = "M13",
    /// Of the leases that lapsed at once only 50 ever become claimable.
    L1 = "L1",
    /// A claim hands out work past its deadline.
    D1 = "D1",
    /// A claim hands out work that the worker may not take.
    Cap = "CAP",
    /// A progress call clears what it does not tell.
    P1 = "P1",
    /// No result is stored as an empty one.
    R1 = "R1",
    /// An empty result is stored as none.
    R1b = "R1b",
    /// A row that the worker may not take hides the rows behind it.
    Hol = "HOL",
    /// A stale handle is refused as contention, which a caller may retry.
    E1 = "E1",
    /// Every class of failure is retried.
    F1 = "F1",
    /// A cancel tells no completion event.
    V1 = "V1",
    /// The attempt of an ended execution stays open.
    A1 = "A1",
    /// A delay that has come at the create is never due.
    W1 = "W1",
    /// A refused call of a holder leaves a mark.
    X1 = "X1",
    /// An execution of another priority stays where it stood in its lane.
    O1 = "O1",
    /// A replay keeps the retries of the run before.
    O2 = "O2",
    /// A revoked lease still works.
    O3 = "O3",
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
