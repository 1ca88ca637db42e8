//! Planted faults that the conformance suite must find.

mod planted;
mod races;
mod routing;
#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use planted::{
    decide_due, duplicate, ended, handed_over, list_executions, most_claims, moves, next_epoch, pick, progress,
    promotable, refused, remove, repeated, replayed_retries, result, retry, retry_scheduled, revoked, row, scan_place,
    split_claim, spoils, verdict, written_down,
};
pub(crate) use races::{half_ended, skipped};
pub(crate) use routing::{
    asks_for_interrupted, attempt_limit, checked, created, explained, given_back, grant_life, kind, lapse_written,
    offered, redeemed_life, redeeming, reserved,
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
    /// An interrupted attempt is not resumed: another one starts.
    Rs = "RS",
    /// Work that its holder gave back waits a millisecond longer.
    Dl = "DL",
    /// The time of an attempt is not limited.
    Tl = "TL",
    /// A lease that lapsed before its attempt's time is written down as a time-out once that time has come.
    Ta = "TA",
    /// A deadline that counts from the creation is forgotten.
    Xd = "XD",
    /// A policy outside its ranges is accepted.
    Xp = "XP",
    /// Reserved work can be claimed.
    Gv = "GV",
    /// Work whose grant lapsed never comes back.
    Gl = "GL",
    /// Any worker redeems a grant.
    Gw = "GW",
    /// A grant that was redeemed is not recognised while its lease is live.
    Gr = "GR",
    /// The grant of work that has ended is refused as invalid.
    Ge = "GE",
    /// What was asked for as an interrupted attempt may be anything.
    Gi = "GI",
    /// A reservation ignores what its worker offers.
    Gc = "GC",
    /// A grant may live for any time.
    Gt = "GT",
    /// A reservation writes a lapse down as if it were old.
    Gx = "GX",
    /// Reserved work is explained as claimable.
    Gu = "GU",
    /// A lease that came from a grant lives a millisecond longer than was asked for.
    Gk = "GK",
    /// A refused item of a batch ends the batch: what stands behind it is not done.
    B1 = "B1",
    /// A refused complete hands over to the next piece of work all the same.
    B2 = "B2",
    /// A batch of claims takes one more than it may.
    B3 = "B3",
    /// A scan always takes the first rows, whatever its cursor says.
    M12 = "M12",
    /// A lapse that a scan wrote down is told again by the take-over.
    S1 = "S1",
    /// The retention forgets an execution and keeps its idempotency key.
    S2 = "S2",
    /// An execution of another priority stays where it stood in its lane.
    O1 = "O1",
    /// A replay keeps the retries of the run before.
    O2 = "O2",
    /// A revoked lease still works.
    O3 = "O3",
    /// The completion of a success is another step, and now and then it is never taken.
    M08 = "M08",
    /// A subscriber goes on behind what was written while it read.
    M19 = "M19",
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
