//! Looks of one process that ask a store for the same thing: what cannot be sent at once gathers and goes together.

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

/// Calls with equal keys ask for the same thing: a few statements are on their way, further calls gather behind them.
///
/// A lone call goes at once, by itself. A statement answers only calls that had come before it was sent, first come
/// first, each as if it had asked alone: with work of its own, with none, or with the error that the statement met.
/// A call that is given up takes nobody's answer with it, and one that has waited in line for 100 ms goes by itself.
pub struct Crowd<K: Clone + Eq + Hash, T, N, E> {
    /// Statements of one key that are on their way at once.
    most: usize,
    lines: Lines<K, Looked<T, N, E>>,
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
enum Place<K: Clone + Eq + Hash, A> {
    /// It asks the store, and keeps the turn until it has the answer; without one it has waited for too long.
    Asks(Option<Turn<K, A>>),
    /// Another call has asked for it.
    Answered(A),
}

/// The right to send one statement; the next call in line gets it afterwards.
struct Turn<K: Clone + Eq + Hash, A> {
    key: K,
    lines: Lines<K, A>,
}

/// A call that somebody else asks for.
struct Follower<K: Clone + Eq + Hash, A>(oneshot::Sender<Word<K, A>>);

impl<K: Clone + Eq + Hash, T, N, E> fmt::Debug for Crowd<K, T, N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").field("most", &self.most).finish_non_exhaustive()
    }
}

impl<K, T, N, E> Crowd<K, T, N, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    N: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    /// Lets `most` statements of each key be on their way at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, lines: Arc::default() }
    }

    /// One look for what `key` stands for: `alone` while nobody waits for the same, else what `together` makes of the key,
    /// which finds at most so much work as it is told and goes on if the call is given up.
    ///
    /// # Errors
    /// What the look met.
    pub async fn look<X, M, F>(
        &self,
        key: K,
        alone: impl Future<Output = Looked<T, N, X>>,
        together: impl FnOnce(K) -> M,
    ) -> Looked<T, N, X>
    where
        X: From<E>,
        M: Fn(usize) -> F + Send + 'static,
        F: Future<Output = Result<(Vec<T>, N), E>> + Send + 'static,
    {
        let turn = match self.enter(key).await {
            Place::Answered(answer) => return Ok(answer?),
            Place::Asks(turn) => turn,
        };
        let Some(turn) = turn else { return alone.await };
        let Some((calls, answer)) = turn.gather().await else {
            let looked = alone.await;
            drop(turn);
            return looked;
        };
        let look = together(turn.key.clone());
        // In a task of its own: this call may be given up at any time, and the others not with it.
        tokio::spawn(turn.ask(calls, look));
        match answer.await {
            Ok(Word::Answer(answer)) => Ok(answer?),
            // Whoever was to ask has gone without a word.
            _ => alone.await,
        }
    }
}

impl<K: Clone + Eq + Hash, T, N, E> Crowd<K, T, N, E> {
    /// Takes a turn, or waits in line for one or for the answer.
    async fn enter(&self, key: K) -> Place<K, Looked<T, N, E>> {
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
    /// The calls that wait behind this one, first come first, with this one ahead of them; its answer comes the same way
    /// as theirs. None if nobody waits.
    async fn gather(&self) -> Option<(VecDeque<Follower<K, A>>, oneshot::Receiver<Word<K, A>>)> {
        if lock(&self.lines).get(&self.key).is_some_and(|line| line.turns > 1) {
            // Others are at it: let those come who are about to.
            yield_now().await;
        }
        let mut lines = lock(&self.lines);
        let waiting = &mut lines.get_mut(&self.key)?.waiting;
        let many = waiting.len().min(TOGETHER - 1);
        let mut calls: VecDeque<_> =
            waiting.drain(..many).map(|(_, tell)| Follower(tell)).filter(Follower::waits).collect();
        if calls.is_empty() {
            return None;
        }
        let (tell, told) = oneshot::channel();
        calls.push_front(Follower(tell));
        Some((calls, told))
    }
}

impl<K: Clone + Eq + Hash, T, N: Clone, E: Clone> Turn<K, Looked<T, N, E>> {
    /// Answers `calls`, first come first: looks until each has work or there is none.
    async fn ask<F>(self, mut calls: VecDeque<Follower<K, Looked<T, N, E>>>, look: impl Fn(usize) -> F)
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
fn hand_out<K: Clone + Eq + Hash, T, N, E>(taken: Vec<T>, calls: &mut VecDeque<Follower<K, Looked<T, N, E>>>) {
    let mut taken = taken.into_iter();
    let mut next = taken.next();
    while let Some(work) = next.take() {
        let Some(call) = calls.pop_front() else { return };
        next = match call.answer(Ok(Look::Taken(work))) {
            Err(Ok(Look::Taken(work))) => Some(work),
            _ => taken.next(),
        };
    }
}

fn tell_all<K: Clone + Eq + Hash, A>(calls: &mut VecDeque<Follower<K, A>>, answer: impl Fn() -> A) {
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
    fn waits(&self) -> bool {
        !self.0.is_closed()
    }

    /// Answers the call; what it does not want any more comes back.
    fn answer(self, answer: A) -> Result<(), A> {
        match self.0.send(Word::Answer(answer)) {
            Err(Word::Answer(answer)) => Err(answer),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinHandle;

    use super::*;

    type Answer = Result<Look<u32, ()>, &'static str>;
    type Calls = Arc<Crowd<&'static str, u32, (), &'static str>>;
    type Held = Turn<&'static str, Answer>;

    fn calls() -> Calls {
        Arc::new(Crowd::new(1))
    }

    async fn turn(calls: &Calls) -> Held {
        match calls.enter("lane").await {
            Place::Asks(Some(turn)) => turn,
            _ => panic!("no turn"),
        }
    }

    fn waiting(calls: &Calls) -> usize {
        lock(&calls.lines).get("lane").map_or(0, |line| line.waiting.len())
    }

    async fn in_line(calls: &Calls, number: usize) {
        while waiting(calls) < number {
            yield_now().await;
        }
    }

    /// A call that stands in line.
    async fn behind(calls: &Calls) -> JoinHandle<Place<&'static str, Answer>> {
        let (own, number) = (Arc::clone(calls), waiting(calls) + 1);
        let call = tokio::spawn(async move { own.enter("lane").await });
        in_line(calls, number).await;
        call
    }

    /// A look that stands in line; alone it finds 100 and its number.
    async fn looks(calls: &Calls, number: u32, work: &'static [u32]) -> JoinHandle<Answer> {
        let (own, place) = (Arc::clone(calls), waiting(calls) + 1);
        let call =
            tokio::spawn(async move {
                let alone = async move { Ok(Look::Taken(100 + number)) };
                own.look("lane", alone, |_| {
                    move |most: usize| async move { Ok((work[..most.min(work.len())].to_vec(), ())) }
                })
                .await
            });
        in_line(calls, place).await;
        call
    }

    async fn given_up<T>(call: JoinHandle<T>) {
        call.abort();
        assert!(call.await.is_err_and(|error| error.is_cancelled()));
    }

    fn taken(work: u32) -> Answer {
        Ok(Look::Taken(work))
    }

    #[tokio::test]
    async fn a_call_goes_at_once_and_the_next_one_after_it() {
        let calls = calls();
        let first = turn(&calls).await;
        assert!(first.gather().await.is_none());
        assert!(matches!(calls.enter("other").await, Place::Asks(Some(_))));
        let second = behind(&calls).await;
        drop(first);
        assert!(matches!(second.await.unwrap(), Place::Asks(Some(_))));
        assert!(lock(&calls.lines).is_empty());
    }

    #[tokio::test]
    async fn calls_that_wait_go_together_in_the_order_of_their_coming() {
        let calls = calls();
        let first = turn(&calls).await;
        let line = [looks(&calls, 1, &[7, 8, 9]).await, looks(&calls, 2, &[]).await, looks(&calls, 3, &[]).await];
        drop(first);
        for (call, work) in line.into_iter().zip([7, 8, 9]) {
            assert_eq!(call.await.unwrap(), taken(work));
        }
    }

    #[tokio::test]
    async fn a_call_that_comes_while_a_statement_is_on_its_way_is_not_answered_by_it() {
        let calls = calls();
        let first = turn(&calls).await;
        let second = behind(&calls).await;
        let (asked, own) = first.gather().await.unwrap();
        let third = behind(&calls).await;
        let rounds = AtomicUsize::new(0);
        let none = |most| {
            assert_eq!((most, rounds.fetch_add(1, Ordering::Relaxed)), (2, 0));
            async { Ok((Vec::new(), ())) }
        };
        first.ask(asked, none).await;
        assert!(matches!(own.await, Ok(Word::Answer(Ok(Look::None(()))))));
        assert!(matches!(second.await.unwrap(), Place::Answered(Ok(Look::None(())))));
        assert!(matches!(third.await.unwrap(), Place::Asks(Some(_))));
    }

    #[tokio::test]
    async fn work_that_nobody_wants_any_more_goes_to_the_next_call() {
        let calls = calls();
        let first = turn(&calls).await;
        let (second, third, fourth) = (behind(&calls).await, behind(&calls).await, behind(&calls).await);
        let (asked, own) = first.gather().await.unwrap();
        let (gone, rounds) = (Mutex::new(Some(second)), Mutex::new(vec![(1, vec![]), (4, vec![1, 2])]));
        let look = |most| {
            let (expected, taken) = lock(&rounds).pop().unwrap();
            assert_eq!(most, expected);
            let gone = lock(&gone).take();
            async move {
                if let Some(call) = gone {
                    given_up(call).await;
                }
                Ok((taken, ()))
            }
        };
        first.ask(asked, look).await;
        assert!(matches!(own.await, Ok(Word::Answer(Ok(Look::Taken(1))))));
        assert!(matches!(third.await.unwrap(), Place::Answered(Ok(Look::Taken(2)))));
        assert!(matches!(fourth.await.unwrap(), Place::Answered(Ok(Look::None(())))));
    }

    #[tokio::test]
    async fn an_error_answers_every_call_and_the_turn_goes_on() {
        let calls = calls();
        let first = turn(&calls).await;
        let second = behind(&calls).await;
        let (asked, own) = first.gather().await.unwrap();
        first.ask(asked, |_| async { Err("away") }).await;
        assert!(matches!(own.await, Ok(Word::Answer(Err("away")))));
        assert!(matches!(second.await.unwrap(), Place::Answered(Err("away"))));
        assert!(lock(&calls.lines).is_empty());
    }

    #[tokio::test]
    async fn whoever_is_not_answered_because_the_asker_panics_asks_alone() {
        let calls = calls();
        let first = turn(&calls).await;
        let leader = {
            let (own, place) = (Arc::clone(&calls), waiting(&calls) + 1);
            let call = tokio::spawn(async move {
                let alone = async { taken(100) };
                let broken = |_: usize| async { panic!("broken") };
                own.look("lane", alone, |_| broken).await
            });
            in_line(&calls, place).await;
            call
        };
        let second = looks(&calls, 1, &[]).await;
        drop(first);
        assert_eq!(leader.await.unwrap(), taken(100));
        assert_eq!(second.await.unwrap(), taken(101));
        assert!(lock(&calls.lines).is_empty());
    }

    #[tokio::test]
    async fn a_call_that_asks_for_others_and_is_given_up_lets_them_have_their_answers() {
        let calls = calls();
        let first = turn(&calls).await;
        let (go, gate) = oneshot::channel::<()>();
        let (started, begun) = oneshot::channel::<()>();
        let leader = {
            let own = Arc::clone(&calls);
            let once = Mutex::new(Some((gate, started)));
            tokio::spawn(async move {
                let together = move |_: usize| {
                    let once = lock(&once).take();
                    async move {
                        if let Some((gate, started)) = once {
                            started.send(()).unwrap();
                            gate.await.unwrap();
                        }
                        Ok((vec![1, 2], ()))
                    }
                };
                own.look("lane", async { taken(100) }, |_| together).await
            })
        };
        in_line(&calls, 1).await;
        let second = looks(&calls, 1, &[]).await;
        drop(first);
        begun.await.unwrap();
        given_up(leader).await;
        go.send(()).unwrap();
        assert_eq!(second.await.unwrap(), taken(1));
    }

    #[tokio::test]
    async fn a_turn_passes_by_calls_that_were_given_up() {
        let calls = calls();
        let first = turn(&calls).await;
        let (second, third) = (behind(&calls).await, behind(&calls).await);
        given_up(second).await;
        drop(first);
        assert!(matches!(third.await.unwrap(), Place::Asks(Some(_))));
    }

    #[tokio::test]
    async fn a_call_does_not_wait_for_one_that_hangs() {
        let calls = calls();
        let _first = turn(&calls).await;
        assert!(matches!(calls.enter("lane").await, Place::Asks(None)));
        assert_eq!(waiting(&calls), 0);
    }
}
