//! Calls of one process that ask a store for the same thing: what cannot be sent at once gathers and goes together.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, task::yield_now, time::timeout};

/// How long a call stays behind others before it goes alone: a statement that hangs holds up nobody else.
const PATIENCE: Duration = Duration::from_millis(100);

/// Calls that go together at most.
const TOGETHER: usize = 64;

/// Calls with equal keys ask for the same thing: a few statements are on their way, further calls gather behind them.
///
/// A lone call goes at once, by itself.
pub struct Crowd<K: Clone + Eq + Hash, A> {
    /// Statements of one key that are on their way at once.
    most: usize,
    lines: Lines<K, A>,
}

type Lines<K, A> = Arc<Mutex<HashMap<K, Line<K, A>>>>;

/// The calls of one key.
struct Line<K: Clone + Eq + Hash, A> {
    /// Turns that are given out.
    turns: usize,
    /// The number of the next call that waits.
    next: u64,
    waiting: VecDeque<(u64, oneshot::Sender<Word<K, A>>)>,
}

/// What a call that waits is told.
enum Word<K: Clone + Eq + Hash, A> {
    YourTurn(Turn<K, A>),
    Answer(A),
}

/// How a call comes to its answer.
pub enum Place<K: Clone + Eq + Hash, A> {
    /// It asks the store, and keeps the turn until it has the answer; without one it has waited for too long.
    Asks(Option<Turn<K, A>>),
    /// Another call has asked for it.
    Answered(A),
}

/// The right to send one statement; the next call in line gets it afterwards.
pub struct Turn<K: Clone + Eq + Hash, A> {
    key: K,
    lines: Lines<K, A>,
}

/// What one look for work came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T, N> {
    /// Work.
    Taken(T),
    /// None, and what is known of when to look again.
    None(N),
}

/// A look that may have failed.
type Looked<T, N, E> = Result<Look<T, N>, E>;

/// A call that somebody else asks for.
pub struct Follower<K: Clone + Eq + Hash, A>(oneshot::Sender<Word<K, A>>);

/// The answer to a call that somebody else asks for.
pub struct Answer<K: Clone + Eq + Hash, A>(oneshot::Receiver<Word<K, A>>);

impl<K: Clone + Eq + Hash, A> fmt::Debug for Crowd<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").field("most", &self.most).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, A> Crowd<K, A> {
    /// Lets `most` statements of each key be on their way at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, lines: Arc::default() }
    }

    /// Takes a turn, or waits in line for one or for the answer.
    pub async fn enter(&self, key: K) -> Place<K, A> {
        let (number, mut told) = {
            let mut lines = lock(&self.lines);
            let line = lines.entry(key.clone()).or_default();
            if line.turns < self.most {
                line.turns += 1;
                drop(lines);
                return Place::Asks(Some(Turn { key, lines: Arc::clone(&self.lines) }));
            }
            let (tell, told) = oneshot::channel();
            line.next += 1;
            line.waiting.push_back((line.next, tell));
            (line.next, told)
        };
        let word = match timeout(PATIENCE, &mut told).await {
            Ok(word) => word,
            Err(_) if self.leave(&key, number) => return Place::Asks(None),
            // Somebody has taken it along.
            Err(_) => told.await,
        };
        match word {
            Ok(Word::Answer(answer)) => Place::Answered(answer),
            Ok(Word::YourTurn(turn)) => Place::Asks(Some(turn)),
            // Whoever took it along has gone without a word.
            Err(_) => Place::Asks(None),
        }
    }

    /// True if the call still waited.
    fn leave(&self, key: &K, number: u64) -> bool {
        let mut lines = lock(&self.lines);
        let Some(line) = lines.get_mut(key) else { return false };
        let before = line.waiting.len();
        line.waiting.retain(|(other, _)| *other != number);
        line.waiting.len() < before
    }
}

fn lock<T>(lines: &Mutex<T>) -> MutexGuard<'_, T> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Clone + Eq + Hash, A> Default for Line<K, A> {
    fn default() -> Self {
        Self { turns: 0, next: 0, waiting: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, A> Turn<K, A> {
    /// What the call asks for.
    #[must_use]
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// The calls that wait behind this one, first come first, with this one ahead of them; its answer comes the same way
    /// as theirs. None if nobody waits.
    ///
    /// Whoever asks for others does so in a task of its own: a call may be given up at any time.
    pub async fn gather(&self) -> Option<(Vec<Follower<K, A>>, Answer<K, A>)> {
        if lock(&self.lines).get(&self.key).is_some_and(|line| line.turns > 1) {
            // Others are at it: let those come who are about to.
            yield_now().await;
        }
        let mut lines = lock(&self.lines);
        let waiting = &mut lines.get_mut(&self.key)?.waiting;
        let many = waiting.len().min(TOGETHER - 1);
        let mut others: Vec<_> =
            waiting.drain(..many).map(|(_, tell)| Follower(tell)).filter(Follower::waits).collect();
        if others.is_empty() {
            return None;
        }
        let (tell, told) = oneshot::channel();
        others.insert(0, Follower(tell));
        Some((others, Answer(told)))
    }
}

impl<K: Clone + Eq + Hash, T, N: Clone, E: Clone> Turn<K, Looked<T, N, E>> {
    /// Answers `calls`, first come first: `look` finds at most so much work as it is told, and is asked until each call has
    /// some or there is none.
    pub async fn ask<F>(self, mut calls: Vec<Follower<K, Looked<T, N, E>>>, look: impl Fn(usize) -> F)
    where
        F: Future<Output = Result<(Vec<T>, N), E>>,
    {
        loop {
            calls.retain(Follower::waits);
            if calls.is_empty() {
                break;
            }
            match look(calls.len()).await {
                Ok((taken, _)) if !taken.is_empty() => hand_out(taken, &mut calls),
                Ok((_, none)) => tell_all(&mut calls, || Ok(Look::None(none.clone()))),
                Err(error) => tell_all(&mut calls, || Err(error.clone())),
            }
        }
        // Those who were answered come again at once, and are to be in line when the turn goes on.
        yield_now().await;
    }
}

/// Gives work that a call does not want any more to the next one; what is left over then is nobody's.
fn hand_out<K: Clone + Eq + Hash, T, N, E>(taken: Vec<T>, calls: &mut Vec<Follower<K, Looked<T, N, E>>>) {
    let mut taken = taken.into_iter();
    let mut next = taken.next();
    while let Some(work) = next.take() {
        if calls.is_empty() {
            return;
        }
        next = match calls.remove(0).answer(Ok(Look::Taken(work))) {
            Err(Ok(Look::Taken(work))) => Some(work),
            _ => taken.next(),
        };
    }
}

fn tell_all<K: Clone + Eq + Hash, A>(calls: &mut Vec<Follower<K, A>>, answer: impl Fn() -> A) {
    for call in calls.drain(..) {
        // It may have been given up.
        let _ = call.answer(answer());
    }
}

impl<K: Clone + Eq + Hash, A> Drop for Turn<K, A> {
    fn drop(&mut self) {
        let mut lines = lock(&self.lines);
        let Some(line) = lines.get_mut(&self.key) else { return };
        while let Some((_, tell)) = line.waiting.pop_front() {
            if tell.is_closed() {
                continue;
            }
            let turn = Self { key: self.key.clone(), lines: Arc::clone(&self.lines) };
            drop(lines);
            // One that has just gone gives the turn back, which hands it on.
            drop(tell.send(Word::YourTurn(turn)));
            return;
        }
        line.turns -= 1;
        if line.turns == 0 {
            lines.remove(&self.key);
        }
    }
}

impl<K: Clone + Eq + Hash, A> Follower<K, A> {
    /// Whether the call was not given up.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.0.is_closed()
    }

    /// Answers the call.
    ///
    /// # Errors
    /// The answer, if the call was given up.
    pub fn answer(self, answer: A) -> Result<(), A> {
        match self.0.send(Word::Answer(answer)) {
            Err(Word::Answer(answer)) => Err(answer),
            _ => Ok(()),
        }
    }
}

impl<K: Clone + Eq + Hash, A> Answer<K, A> {
    /// The answer; none if whoever was to ask has gone.
    pub async fn wait(self) -> Option<A> {
        match self.0.await {
            Ok(Word::Answer(answer)) => Some(answer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Calls = Arc<Crowd<&'static str, u32>>;

    async fn turn(calls: &Calls) -> Turn<&'static str, u32> {
        match calls.enter("lane").await {
            Place::Asks(Some(turn)) => turn,
            _ => panic!("no turn"),
        }
    }

    /// A call that stands in line.
    async fn behind(calls: &Calls) -> tokio::task::JoinHandle<Place<&'static str, u32>> {
        let (own, before) = (Arc::clone(calls), waiting(calls));
        let call = tokio::spawn(async move { own.enter("lane").await });
        while waiting(calls) == before {
            tokio::task::yield_now().await;
        }
        call
    }

    fn waiting(calls: &Calls) -> usize {
        lock(&calls.lines).get("lane").map_or(0, |line| line.waiting.len())
    }

    #[tokio::test]
    async fn a_call_goes_at_once_and_the_next_one_after_it() {
        let calls: Calls = Arc::new(Crowd::new(1));
        let first = turn(&calls).await;
        assert!(first.gather().await.is_none());
        assert!(matches!(calls.enter("other").await, Place::Asks(Some(_))));
        let second = behind(&calls).await;
        drop(first);
        assert!(matches!(second.await.unwrap(), Place::Asks(Some(_))));
        assert!(lock(&calls.lines).is_empty());
    }

    #[tokio::test]
    async fn whoever_has_the_turn_asks_for_all_who_wait() {
        let calls: Calls = Arc::new(Crowd::new(1));
        let first = turn(&calls).await;
        let (second, third) = (behind(&calls).await, behind(&calls).await);
        let (asked, own) = first.gather().await.unwrap();
        for (follower, answer) in asked.into_iter().zip(1..) {
            follower.answer(answer).unwrap();
        }
        assert_eq!(own.wait().await, Some(1));
        assert!(matches!(second.await.unwrap(), Place::Answered(2)));
        assert!(matches!(third.await.unwrap(), Place::Answered(3)));
    }

    #[tokio::test]
    async fn work_that_nobody_wants_any_more_goes_to_the_next_call() {
        let calls: Arc<Crowd<&'static str, Result<Look<u32, ()>, ()>>> = Arc::new(Crowd::new(1));
        let Place::Asks(Some(first)) = calls.enter("lane").await else { panic!("no turn") };
        let line = |number: usize| {
            let own = Arc::clone(&calls);
            let lines = Arc::clone(&calls.lines);
            async move {
                let call = tokio::spawn(async move { own.enter("lane").await });
                while lock(&lines).get("lane").map_or(0, |line| line.waiting.len()) < number {
                    yield_now().await;
                }
                call
            }
        };
        let (second, third, fourth) = (line(1).await, line(2).await, line(3).await);
        let (asked, own) = first.gather().await.unwrap();
        second.abort();
        assert!(second.await.is_err());
        let rounds = Mutex::new(vec![vec![], vec![1, 2]]);
        first
            .ask(asked, |most| {
                assert_eq!(most, lock(&rounds).len() + 1);
                let taken = lock(&rounds).pop().unwrap();
                async move { Ok((taken, ())) }
            })
            .await;
        assert_eq!(own.wait().await, Some(Ok(Look::Taken(1))));
        assert!(matches!(third.await.unwrap(), Place::Answered(Ok(Look::Taken(2)))));
        assert!(matches!(fourth.await.unwrap(), Place::Answered(Ok(Look::None(())))));
    }

    #[tokio::test]
    async fn a_turn_passes_by_calls_that_were_given_up() {
        let calls: Calls = Arc::new(Crowd::new(1));
        let first = turn(&calls).await;
        let (second, third) = (behind(&calls).await, behind(&calls).await);
        second.abort();
        assert!(second.await.is_err());
        drop(first);
        assert!(matches!(third.await.unwrap(), Place::Asks(Some(_))));
    }

    #[tokio::test]
    async fn an_answer_to_a_call_that_was_given_up_comes_back() {
        let calls: Calls = Arc::new(Crowd::new(1));
        let first = turn(&calls).await;
        let second = behind(&calls).await;
        let (mut asked, _own) = first.gather().await.unwrap();
        second.abort();
        assert!(second.await.is_err());
        let follower = asked.pop().unwrap();
        assert!(!follower.waits());
        assert_eq!(follower.answer(7), Err(7));
    }

    #[tokio::test]
    async fn a_call_does_not_wait_for_one_that_hangs() {
        let calls: Calls = Arc::new(Crowd::new(1));
        let _first = turn(&calls).await;
        assert!(matches!(calls.enter("lane").await, Place::Asks(None)));
        assert_eq!(waiting(&calls), 0);
    }
}
