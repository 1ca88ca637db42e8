//! A tape from a seed: each call is drawn from the state that the calls before it lead to.

use ff_backend_memory::{Answer, Op, Outcome, SeededMint, State, apply};
use ff_core::{
    ClaimForWorkerOutcome, ContentionKind, EngineError, Handle, Limits, Operation, StateKind, Stem, Supports,
    TimestampMs, ValidationKind,
};

use super::{
    BEGIN,
    call::Call,
    dice::Dice,
    draw::{Draw, Intent},
    refs::Book,
    tape::{Act, Step, Tape},
};

/// What tapes are made of.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// Steps of a tape.
    pub(crate) steps: u32,
    /// Clients of a tape.
    pub(crate) clients: u8,
    /// What the backend offers.
    pub(crate) supports: Supports,
}

impl Recipe {
    /// Fifty steps of two clients on a backend that offers everything.
    pub(crate) fn new() -> Self {
        Self { steps: 50, clients: 2, supports: Supports::all() }
    }
}

/// The label in the handles of a tape that is being made.
const LABEL: &str = "tape";

/// How often out of 100 a caller never learns the answer.
const LOST: usize = 5;

/// How often out of 100 a refusal that most operations know is drawn anew.
const COMMON: usize = 60;

/// Draws of a call that fits its intent, for one operation and in all.
const TRIES: (usize, usize) = (5, 4);

/// The tape that follows from `dice`.
pub(crate) fn generate(mut dice: Dice, recipe: &Recipe) -> Tape {
    let mut world = World {
        state: State::of_backend(LABEL, Limits::of_partitions(1)),
        mint: SeededMint::new(dice.draw()),
        book: Book::new(LABEL),
        now: BEGIN,
        // In small worlds things happen again and again to one execution.
        most: dice.weighted(&[(25, 1), (15, 2), (60, 7)]).unwrap_or(7),
        focus: dice.weighted(&[(40, Focus::Lives), (40, Focus::Waitpoints), (20, Focus::All)]).unwrap_or(Focus::All),
    };
    let mut steps: Vec<Step> = Vec::new();
    for n in 0..recipe.steps {
        let repeats = steps.last().filter(|last| last.lost && dice.chance(60));
        let act = if let Some(last) = repeats {
            last.act.clone()
        } else if n == 0 && world.focus != Focus::Lives && dice.chance(75) {
            Act::Call(Call::seed())
        } else if world.state.executions().next().is_some() && dice.chance(18) {
            Act::WaitMs(world.wait(&mut dice))
        } else {
            let earlier: Vec<_> = steps.iter().filter(|step| matches!(step.act, Act::Call(_))).collect();
            match dice.one(&earlier).filter(|_| dice.chance(7)) {
                Some(again) => again.act.clone(),
                None => match world.call(&mut dice, recipe) {
                    Some(call) => Act::Call(call),
                    None => Act::WaitMs(1),
                },
            }
        };
        let client = u8::try_from(dice.below(usize::from(recipe.clients))).unwrap_or_default();
        let lost = world.take(n, &act, &mut dice);
        steps.push(Step { n, act, client, lost });
    }
    Tape::new(steps)
}

/// The store as the tape has brought it so far.
struct World {
    state: State,
    mint: SeededMint,
    book: Book,
    now: TimestampMs,
    /// Executions beyond which no further one is created.
    most: usize,
    focus: Focus,
}

/// What a tape is mostly about: a stem that is left out leaves steps for others, which meet the more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Focus {
    /// Executions from their creation to their end, without suspended work.
    Lives,
    /// Suspended work, without grants.
    Waitpoints,
    /// Everything.
    All,
}

impl Focus {
    /// How much more often an operation is drawn.
    const fn factor(self, op: Operation) -> usize {
        let of_grants = matches!(
            op,
            Operation::ClaimForWorker
                | Operation::ClaimExecution
                | Operation::ClaimFromReclaim
                | Operation::ClaimResumedExecution
        );
        match (self, op.stem()) {
            (Self::Lives, Stem::Waitpoints) => 0,
            (Self::Waitpoints, _) if of_grants => 0,
            (Self::Waitpoints, Stem::Waitpoints) => 2,
            _ => 1,
        }
    }
}

impl World {
    /// Takes a step; tells whether its answer is lost.
    fn take(&mut self, n: u32, act: &Act, dice: &mut Dice) -> bool {
        match act {
            Act::WaitMs(ms) => {
                self.now = TimestampMs::from_ms(self.now.as_ms() + ms);
                false
            }
            Act::Call(call) => {
                let Ok(op) = call.resolve(&self.book, self.now) else { return false };
                let lost = dice.chance(LOST) && self.can_be_lost(&op);
                if let Ok(answer) = apply(&mut self.state, &op, self.now, &mut self.mint)
                    && !lost
                {
                    self.book.note(n, &op, &answer);
                }
                lost
            }
        }
    }

    /// False for reads, for a draw that no read shows, and for an id that decides the order of a listing.
    fn can_be_lost(&self, op: &Op) -> bool {
        let draws = |handle: &Handle| {
            let row = self.book.read(handle).and_then(|held| self.state.execution(&held.execution_id));
            row.and_then(|row| row.retry_rule.as_ref()).is_some_and(|rule| rule.jitter)
        };
        match op {
            Op::CreateWaitpoint { .. } => false,
            Op::Fail { handle, .. } => !draws(handle),
            op => !op.is_read(),
        }
    }

    /// How far the clock moves: often to where something falls due.
    fn wait(&self, dice: &mut Dice) -> i64 {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        let due = self.state.executions().filter_map(|row| row.place.due_at).filter(|due| *due > self.now).min();
        let to_due = due.map(|due| due.as_ms() - self.now.as_ms() + dice.number(0, &[0, 0, -1, 1]));
        match (dice.below(100), to_due) {
            (0..40, Some(ms)) if ms > 0 => ms,
            (0..60, _) => dice.number(1, &[2, 10, 50]),
            (60..82, _) => dice.number(100, &[500, 1000, 3000]),
            (82..90, _) => dice.number(30_000, &[60_000]),
            (90..94, _) => dice.number(DAY, &[DAY + 1, DAY - 1]),
            _ if self.now.as_ms() > BEGIN.as_ms() + 2000 => -dice.number(1, &[100, 2000]),
            _ => 1,
        }
    }

    /// A call that ends as it is meant to, or else another one.
    fn call(&self, dice: &mut Dice, recipe: &Recipe) -> Option<Call> {
        let intent = dice.weighted(&[(70, Intent::Enabled), (20, Intent::Refused), (10, Intent::Junk)])?;
        let lacks = Lacks {
            executions: self.state.executions().count() < self.most.min(3),
            key: self.state.keyring().current.is_none(),
        };
        let ops: Vec<_> = Operation::ALL
            .iter()
            .filter(|op| recipe.supports.offers(**op))
            .map(|op| match weight(*op, &lacks) * self.focus.factor(*op) {
                weight if weight == 0 || intent == Intent::Enabled => (weight, *op),
                _ => (refusals(*op) * self.focus.factor(*op), *op),
            })
            .collect();
        let mut last = None;
        for _ in 0..TRIES.1 {
            let op = dice.weighted(&ops)?;
            for _ in 0..TRIES.0 {
                let (state, book, most) = (&self.state, &self.book, self.most);
                let mut draw = Draw { dice, state, book, now: self.now, intent, most };
                let Some(call) = Call::draw(op, &mut draw) else { break };
                let Ok(op) = call.resolve(&self.book, self.now) else { break };
                let (end, is_common) = self.would_end(&op);
                if end == intent && !(is_common && dice.chance(COMMON)) {
                    return Some(call);
                }
                last = Some(call);
            }
        }
        last
    }

    /// What the call would be an example of, and whether most operations could be one as well.
    fn would_end(&self, op: &Op) -> (Intent, bool) {
        let outcome = apply(&mut self.state.clone(), op, self.now, &mut self.mint.clone());
        match &outcome {
            Err(EngineError::Validation { kind, .. }) if is_of_state(*kind) => (Intent::Refused, false),
            Err(EngineError::Validation { .. }) => (Intent::Junk, false),
            Err(error) => (Intent::Refused, is_of_fence(error)),
            Ok(_) if has_effect(&outcome) => (Intent::Enabled, false),
            Ok(_) => (Intent::Refused, true),
        }
    }
}

/// True for what refuses arguments that another state would take.
const fn is_of_state(kind: ValidationKind) -> bool {
    matches!(
        kind,
        ValidationKind::InvalidWaitpointForExecution
            | ValidationKind::InvalidLeaseForSuspend
            | ValidationKind::SignalLimitExceeded
    )
}

/// True for what a lease meets in every holder operation, and an id in every other.
const fn is_of_fence(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::NotFound { .. }
            | EngineError::Contention(ContentionKind::ExecutionNotActive { .. })
            | EngineError::State(StateKind::LeaseRevoked | StateKind::LeaseExpired | StateKind::StaleLease)
    )
}

/// False for an empty look.
const fn has_effect(outcome: &Outcome) -> bool {
    match outcome {
        Ok(Answer::ClaimMany(handles)) => !handles.is_empty(),
        Ok(
            Answer::Claim(None)
            | Answer::ClaimForWorker(ClaimForWorkerOutcome::NoWork)
            | Answer::DescribeExecution(None)
            | Answer::ReadExecutionState(None)
            | Answer::ReadExecutionInfo(None)
            | Answer::GetExecutionResult(None)
            | Answer::ExplainUnclaimed(None),
        )
        | Err(_) => false,
        Ok(_) => true,
    }
}

/// How often an operation is drawn to be refused: as often as others, however seldom it is wanted, unless it has many
/// refusals that only a rare state leads to.
const fn refusals(op: Operation) -> usize {
    match op {
        Operation::Suspend | Operation::SuspendByTriple => 8,
        Operation::ClaimResumedExecution => 6,
        Operation::DeliverSignal | Operation::CancelExecution => 4,
        _ => 1,
    }
}

/// What a store still lacks for most operations to have something that they could be about.
struct Lacks {
    executions: bool,
    key: bool,
}

/// How often an operation is drawn; one without a line of its own is drawn all the same.
const fn weight(op: Operation, lacks: &Lacks) -> usize {
    match op {
        Operation::CreateExecution if lacks.executions => 60,
        Operation::SeedWaitpointHmacSecret if lacks.key => 25,
        Operation::SeedWaitpointHmacSecret | Operation::RotateWaitpointHmacSecretAll => 2,
        Operation::DeliverSignal => 14,
        Operation::Suspend => 10,
        Operation::CreateWaitpoint => 9,
        Operation::ResumeExecution => 5,
        Operation::CreateExecution => 5,
        Operation::Claim => 22,
        Operation::Fail => 14,
        Operation::Complete | Operation::Progress | Operation::ClaimForWorker | Operation::Delay => 8,
        Operation::ReplayExecution => 6,
        Operation::ClaimResumedExecution => 12,
        Operation::ClaimExecution | Operation::Renew | Operation::RevokeLease | Operation::CancelExecution => 5,
        Operation::Scan => 7,
        Operation::DescribeExecution
        | Operation::ReadExecutionState
        | Operation::ReadExecutionInfo
        | Operation::GetExecutionResult
        | Operation::ListExecutions
        | Operation::ListLanes => 1,
        _ => match op.stem() {
            Stem::Backend | Stem::Subscriptions => 0,
            _ => 3,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_follows_from_its_seed_and_its_text_is_whole() {
        let tape = |number| generate(Dice::of_tape(7, number), &Recipe::new());
        for number in 0..50 {
            let made = tape(number);
            assert_eq!(made, tape(number));
            assert_eq!(Tape::read(&made.text()).unwrap(), made);
            assert_eq!(made.closed(made.steps.clone()), made, "every reference leads to a step before");
        }
        assert_ne!(tape(0), tape(1));
    }
}
