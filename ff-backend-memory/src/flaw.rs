//! Planted faults that the conformance suite must find.

mod attempts;
mod backend;
mod claims;
mod errors;
mod executions;
mod leases;
mod planted;
mod races;
mod routing;
mod scanners;
mod step;
mod subscriptions;
#[cfg(test)]
mod tests;
mod waitpoints;

use std::fmt;

pub(crate) use backend::{closed, declared, intervals, pinged, prepared, scanning, shut, survives};
pub(crate) use claims::{overtaken, patience, promoted_at_once, wakes};
pub(crate) use leases::{fenced, late_renewal};
pub(crate) use planted::{
    decide_due, duplicate, ended, handed_over, list_executions, most_claims, moves, next_epoch, pick, progress,
    promotable, remove, repeated, replayed_retries, result, retry, retry_scheduled, revoked, row, scan_place,
    split_claim, spoils, too_late, verdict, written_down,
};
pub(crate) use races::{half_ended, skipped, split_delivery};
pub(crate) use routing::{
    asks_for_interrupted, attempt_limit, checked, created, explained, given_back, grant_life, kind, lapse_written,
    offered, redeemed_life, redeeming, reserved,
};
pub(crate) use scanners::{is_work, lapse_counted};
pub(crate) use step::{heard, told};
pub(crate) use subscriptions::{begun, delivered, ends_silently, filtered, resolved};

pub(crate) use waitpoints::{
    compared_index, cursor_behind, default_timeout, delay_of, dropped, known_key, leaves_of, limit_of, list_pending,
    listed_anyway, minted_again, opened, overtakes, payload_of, refusal, repeat_is_noticed, resumed_again, shows,
    still_active, tells_repeat, timeout_at, token_counts, token_fits, unguarded,
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
    /// A cancel of what has ended is refused as contention, which a caller may retry.
    E2 = "E2",
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
    /// The end of an execution writes its creation anew.
    Ex1 = "EX1",
    /// Inputs and results are kept as text.
    Ex2 = "EX2",
    /// A read is written down.
    Ex3 = "EX3",
    /// A create of a known id replaces its input.
    Ex4 = "EX4",
    /// An idempotency key counts for its lane.
    Ex5 = "EX5",
    /// A priority below the lowest is stored as it was given.
    Ex6 = "EX6",
    /// The priority of a policy wins over that of its create.
    Ex7 = "EX7",
    /// A name that is too long is cut.
    Ex8 = "EX8",
    /// Every claim begins its execution anew.
    Ex9 = "EX9",
    /// A renewal counts as a transition.
    Ex10 = "EX10",
    /// A full page names a next one, whether or not anything follows.
    Ex11 = "EX11",
    /// A deadline that comes after the end makes an expired execution of it.
    Ex12 = "EX12",
    /// What was created with a delay waits as if for a retry.
    Ex13 = "EX13",
    /// A snapshot shows a lease until somebody has written down that it lapsed.
    Ex14 = "EX14",
    /// A take-over is not counted as an attempt.
    At1 = "AT1",
    /// A complete stores no result.
    At2 = "AT2",
    /// The factor between the waits before retries is a whole number.
    At3 = "AT3",
    /// Jitter is ignored.
    At4 = "AT4",
    /// Failures of every category are retried.
    At5 = "AT5",
    /// A failure that is retried does not say why.
    At6 = "AT6",
    /// A failure that ends the work has no category.
    At7 = "AT7",
    /// A cancel by the worker names an operator.
    At8 = "AT8",
    /// A success forgets the failure before it.
    At9 = "AT9",
    /// What was claimed can be claimed again.
    Le1 = "LE1",
    /// What was taken over can be taken over again.
    Le2 = "LE2",
    /// An acquisition is told twice.
    Le3 = "LE3",
    /// The refusal after an end does not say how it ended.
    Le4 = "LE4",
    /// A renewal lasts a millisecond longer.
    Le5 = "LE5",
    /// A renewal is told.
    Le6 = "LE6",
    /// The end of a lease is told without its reason.
    Le7 = "LE7",
    /// A renewal revives a lease that ran out.
    Le8 = "LE8",
    /// A handle works only as the kind that it was handed out as.
    Le9 = "LE9",
    /// Whose a lease was counts before whether it has run out.
    Le10 = "LE10",
    /// A renewal writes the row back as it was when it looked.
    Le11 = "LE11",
    /// A claim that another one overtakes is refused.
    Cl1 = "CL1",
    /// A worker that claims under its name is handed what it holds.
    Cl2 = "CL2",
    /// A claim that finds its lane empty takes from another.
    Cl3 = "CL3",
    /// The life of a lease is moved into its range.
    Cl4 = "CL4",
    /// A claim does not wait.
    Cl5 = "CL5",
    /// A claim makes everything ready that is due.
    Cl6 = "CL6",
    /// A claim without work marks what waits.
    Cl7 = "CL7",
    /// The life of a lease is rounded up to seconds.
    Cl8 = "CL8",
    /// A claim that waits is not woken.
    Cl9 = "CL9",
    /// A create reads the clock of its process.
    Ck1 = "CK1",
    /// A lease that begins ahead of now has run out.
    Ck2 = "CK2",
    /// A write to an unknown execution says that its lease is stale.
    Er1 = "ER1",
    /// A read of an unknown execution is refused.
    Er2 = "ER2",
    /// A handle of another backend is a damaged one.
    Er3 = "ER3",
    /// The refusal of work that is not active leaves out the attempt.
    Er4 = "ER4",
    /// A lease that ran out is stale.
    Er5 = "ER5",
    /// An id of a partition that the store lacks is an unknown one.
    Er6 = "ER6",
    /// What is not found is a fault of the store.
    Er7 = "ER7",
    /// A pass over delays leaves out the grants that are over.
    Sc1 = "SC1",
    /// No pass fails work whose take-overs are used up.
    Sc2 = "SC2",
    /// A pass ignores the namespace of its filter.
    Sc3 = "SC3",
    /// A lapse that is written down counts as a take-over.
    Sc4 = "SC4",
    /// A pass with a foreign cursor begins anew.
    Sc5 = "SC5",
    /// Executions are removed a millisecond early.
    Sc6 = "SC6",
    /// Events are removed a millisecond early.
    Sc7 = "SC7",
    /// A page of events comes latest first.
    Su1 = "SU1",
    /// A cursor delivers its own event once more.
    Su2 = "SU2",
    /// A filter by namespace ignores the label.
    Su3 = "SU3",
    /// Every subscription holds one of sixteen connections.
    Su4 = "SU4",
    /// A foreign cursor begins anew.
    Su5 = "SU5",
    /// A subscription from the end begins with the event before it.
    Su6 = "SU6",
    /// A subscription from the start delivers the oldest event twice.
    Su7 = "SU7",
    /// A subscription ends with its client without a word.
    Su8 = "SU8",
    /// Every prepare says that it made the store ready.
    Ba1 = "BA1",
    /// A client that was shut down goes on.
    Ba2 = "BA2",
    /// A ping leaves a lane behind.
    Ba3 = "BA3",
    /// A second shutdown is refused.
    Ba4 = "BA4",
    /// A loop whose interval is zero runs as fast as it can.
    Ba5 = "BA5",
    /// The loops of a client survive its shutdown.
    Ba6 = "BA6",
    /// A client that was shut down declares no partition.
    Ba7 = "BA7",
    /// One partition more is declared than there is.
    Ba8 = "BA8",
    /// The capabilities name the backend with a capital.
    Ba9 = "BA9",
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
    /// What was suspended stays on the list of what is.
    Wp01 = "WP01",
    /// A suspend ignores its idempotency key.
    Wp03 = "WP03",
    /// A signal resumes what a time-out that nobody has written down has ended.
    Wp04 = "WP04",
    /// Whatever a condition counts, it counts signals.
    Wp05 = "WP05",
    /// A signal at a pending waitpoint is not kept.
    M17 = "M17",
    /// A token is checked for its waitpoint and not for its execution.
    Wp07 = "WP07",
    /// A closed waitpoint is noticed before a repeat is.
    Wp08 = "WP08",
    /// An end of a suspension closes its primary waitpoint only.
    Wp09 = "WP09",
    /// A suspension times out a millisecond late.
    Wp10 = "WP10",
    /// A delay of a resume is ignored.
    Wp11 = "WP11",
    /// A signal with the right name ends what waits for an operator.
    Wp12 = "WP12",
    /// A worker sees also the signals that did not count.
    Wp13 = "WP13",
    /// Tokens of a key are valid for ever.
    M18 = "M18",
    /// The last digits of a token are not compared.
    M18b = "M18b",
    /// A repeated suspend has tokens of the key that signs now.
    Wp16 = "WP16",
    /// An id stands for another secret as soon as it signs no more.
    Wp17 = "WP17",
    /// The refusal of a token shows it.
    Wp18 = "WP18",
    /// The limit of signals counts for each waitpoint.
    Wp19 = "WP19",
    /// Opening a waitpoint again opens another one.
    Wp20 = "WP20",
    /// A suspend ignores the attempt index of its handle.
    Wp21 = "WP21",
    /// The page of suspended executions continues behind an id instead of an instant.
    Wp22 = "WP22",
    /// A page of waitpoints is cut before closed ones are left out.
    Wp23 = "WP23",
    /// The time-out of an execution's policy is ignored.
    Wp24 = "WP24",
    /// A repeated resume is told again.
    Wp25 = "WP25",
    /// The payload of a signal is kept as text.
    Wp26 = "WP26",
    /// A repeated delivery is not told.
    Wp27 = "WP27",
    /// A signal counts for the suspension that it saw, although another one has ended it.
    Wp28 = "WP28",
    /// A delivery is known as a repeat by what was there when it looked.
    Wp29 = "WP29",
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
