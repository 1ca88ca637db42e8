//! The lines that calls of one process stand in, one for each thing that they ask for.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

/// A call whose line has not moved for so long takes over the turn: a statement that hangs holds up nobody else.
const PATIENCE: Duration = Duration::from_millis(100);

/// Calls that go together at most.
const TOGETHER: usize = 64;

/// All lines, by key; a call brings an `I` and is told an `A`.
pub(super) struct Lines<K: Clone + Eq + Hash, I, A> {
    /// The number of the next call.
    next: AtomicU64,
    shared: Arc<Shared<K, I, A>>,
}

/// What the turns know of the lines.
struct Shared<K: Clone + Eq + Hash, I, A> {
    lines: Mutex<HashMap<K, Line<K, I, A>>>,
    bounds: Bounds<I>,
}

/// How much goes together.
pub(super) struct Bounds<I> {
    /// What the loads of all items come to at most.
    pub(super) most: usize,
    pub(super) load: fn(&I) -> usize,
}

/// The calls of one key, as long as there is a turn.
struct Line<K: Clone + Eq + Hash, I, A> {
    /// The number of the turn that is given out and was not taken over.
    turn: u64,
    /// How often calls went on.
    moves: u64,
    waiting: VecDeque<(u64, Caller<K, I, A>)>,
}

/// What a call that waits is told.
pub(super) enum Word<K: Clone + Eq + Hash, I, A> {
    YourTurn(Turn<K, I, A>),
    Answer(A),
}

/// How a call comes to its answer.
pub(super) enum Place<K: Clone + Eq + Hash, I, A> {
    /// It asks the store, and keeps the turn until it has the answer.
    Asks(Turn<K, I, A>),
    /// It asks the store by itself: whoever took it along has gone without a word.
    AsksAlone,
    /// Another call has asked for it.
    Answered(A),
}

/// What becomes of a call that has waited for a while.
enum Next {
    /// It has the turn.
    Turn,
    /// It waits on: its line has moved, so often by now.
    Patience(u64),
    /// Somebody has taken it along.
    Answer,
}

/// The right to send one statement; the next call in line gets it afterwards.
pub(super) struct Turn<K: Clone + Eq + Hash, I, A> {
    pub(super) key: K,
    number: u64,
    shared: Arc<Shared<K, I, A>>,
}

/// A call that waits, and what it brings.
pub(super) struct Caller<K: Clone + Eq + Hash, I, A> {
    pub(super) item: I,
    tell: oneshot::Sender<Word<K, I, A>>,
}

/// Calls that go together, first come first, and where the first of them hears its answer.
type Gathered<K, I, A> = (VecDeque<Caller<K, I, A>>, oneshot::Receiver<Word<K, I, A>>);

impl<I> Bounds<I> {
    /// However much each item is.
    pub(super) fn of_calls() -> Self {
        Self { most: usize::MAX, load: |_| 0 }
    }
}

impl<K: Clone + Eq + Hash, I, A> Lines<K, I, A> {
    pub(super) fn new(bounds: Bounds<I>) -> Self {
        Self { next: AtomicU64::new(0), shared: Arc::new(Shared { lines: Mutex::default(), bounds }) }
    }

    /// Takes a turn, or waits in line for one or for the answer.
    pub(super) async fn enter(&self, key: K, item: I) -> Place<K, I, A> {
        let (number, mut seen, mut told) = {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let mut lines = lock(&self.shared.lines);
            let Some(line) = lines.get_mut(&key) else {
                lines.insert(key.clone(), Line { turn: number, moves: 0, waiting: VecDeque::new() });
                drop(lines);
                return Place::Asks(self.turn(key, number));
            };
            let (tell, told) = oneshot::channel();
            line.waiting.push_back((number, Caller { item, tell }));
            (number, line.moves, told)
        };
        let word = loop {
            if let Ok(word) = timeout(PATIENCE, &mut told).await {
                break word;
            }
            match self.take_over(&key, number, seen) {
                Next::Turn => return Place::Asks(self.turn(key, number)),
                Next::Patience(moves) => seen = moves,
                Next::Answer => break told.await,
            }
        };
        match word {
            Ok(Word::Answer(answer)) => Place::Answered(answer),
            Ok(Word::YourTurn(turn)) => Place::Asks(turn),
            Err(_) => Place::AsksAlone,
        }
    }

    fn turn(&self, key: K, number: u64) -> Turn<K, I, A> {
        Turn { key, number, shared: Arc::clone(&self.shared) }
    }

    /// Gives the call the turn that another has, unless its line has moved since it had done so `seen` times.
    fn take_over(&self, key: &K, number: u64, seen: u64) -> Next {
        let mut lines = lock(&self.shared.lines);
        let Some(line) = lines.get_mut(key) else { return Next::Answer };
        let Some(place) = line.waiting.iter().position(|(other, _)| *other == number) else { return Next::Answer };
        if line.moves != seen {
            return Next::Patience(line.moves);
        }
        line.waiting.remove(place);
        line.turn = number;
        line.moves += 1;
        Next::Turn
    }

    #[cfg(test)]
    pub(super) fn waiting(&self, key: &K) -> usize {
        lock(&self.shared.lines).get(key).map_or(0, |line| line.waiting.len())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.shared.lines).is_empty()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Clone + Eq + Hash, I, A> Turn<K, I, A> {
    /// The calls that wait behind this one, with this one, which brings `item`, ahead of them; its answer comes the same
    /// way as theirs. None if nobody waits who could come along.
    pub(super) fn gather(&self, item: I) -> Option<Gathered<K, I, A>> {
        let Bounds { most, load } = self.shared.bounds;
        let mut calls = self.waiting(TOGETHER - 1, 1, most.saturating_sub(load(&item)))?;
        let (tell, told) = oneshot::channel();
        calls.push_front(Caller { item, tell });
        Some((calls, told))
    }

    /// The calls that wait behind the ones that were answered by this turn. None if they are fewer than two: one goes by
    /// itself.
    pub(super) fn gather_next(&self) -> Option<VecDeque<Caller<K, I, A>>> {
        self.waiting(TOGETHER, 2, self.shared.bounds.most)
    }

    /// The first calls that wait, as many as there is room for, if they are so many.
    fn waiting(&self, most: usize, least: usize, mut room: usize) -> Option<VecDeque<Caller<K, I, A>>> {
        let load = self.shared.bounds.load;
        let mut lines = lock(&self.shared.lines);
        let line = lines.get_mut(&self.key)?;
        line.waiting.retain(|(_, call)| call.waits());
        let mut fits = |call: &Caller<K, I, A>| match room.checked_sub(load(&call.item)) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        };
        let many = line.waiting.iter().take(most).take_while(|(_, call)| fits(call)).count();
        if many < least || line.turn != self.number {
            return None;
        }
        line.moves += 1;
        Some(line.waiting.drain(..many).map(|(_, call)| call).collect())
    }
}

impl<K: Clone + Eq + Hash, I, A> Drop for Turn<K, I, A> {
    fn drop(&mut self) {
        let mut lines = lock(&self.shared.lines);
        let Some(line) = lines.get_mut(&self.key) else { return };
        if line.turn != self.number {
            return;
        }
        line.moves += 1;
        while let Some((_, call)) = line.waiting.pop_front() {
            if !call.waits() {
                continue;
            }
            drop(lines);
            let turn = Self { key: self.key.clone(), number: self.number, shared: Arc::clone(&self.shared) };
            // One that has just gone gives the turn back, which hands it on.
            drop(call.tell.send(Word::YourTurn(turn)));
            return;
        }
        lines.remove(&self.key);
    }
}

impl<K: Clone + Eq + Hash, I, A> Caller<K, I, A> {
    /// Whether the call was not given up.
    pub(super) fn waits(&self) -> bool {
        !self.tell.is_closed()
    }

    /// Answers the call; what it does not want any more comes back.
    pub(super) fn answer(self, answer: A) -> Result<(), A> {
        match self.tell.send(Word::Answer(answer)) {
            Err(Word::Answer(answer)) => Err(answer),
            _ => Ok(()),
        }
    }
}
