//! Calls of one process that ask a store for the same thing: what cannot be sent at once gathers and goes together.

mod convoy;
mod line;

use std::{collections::VecDeque, fmt, hash::Hash};

use tokio::task::yield_now;

pub use convoy::Convoy;

use line::{Bounds, Caller, Lines, Place, Turn, Word};

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

/// Calls with equal keys ask for the same thing: one statement is on its way, further calls gather behind it. Two at once
/// would reach for the same rows, and each hold up those whom the other one serves.
///
/// A lone call goes at once, by itself. A statement answers only calls that had come before it was sent, first come
/// first, each as if it had asked alone: with work of its own, with none, or with the error that the statement met.
/// A call that is given up takes nobody's answer with it, and where a line has stood still for 100 ms a call goes ahead
/// of what it waits for, with those behind it.
pub struct Crowd<K: Clone + Eq + Hash, T, N, E>(Lines<K, (), Looked<T, N, E>>);

impl<K: Clone + Eq + Hash, T, N, E> Default for Crowd<K, T, N, E> {
    fn default() -> Self {
        Self(Lines::new(Bounds::of_calls()))
    }
}

impl<K: Clone + Eq + Hash, T, N, E> fmt::Debug for Crowd<K, T, N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").finish_non_exhaustive()
    }
}

impl<K, T, N, E> Crowd<K, T, N, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Send + 'static,
    N: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
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
        let turn = match self.0.enter(key, ()).await {
            Place::Answered(answer) => return Ok(answer?),
            Place::AsksAlone => return alone.await,
            Place::Asks(turn) => turn,
        };
        let Some((calls, answer)) = turn.gather(()) else {
            let looked = alone.await;
            drop(turn);
            return looked;
        };
        let look = together(turn.key.clone());
        // In a task of its own: this call may be given up at any time, and the others not with it.
        tokio::spawn(ask(turn, calls, look));
        match answer.await {
            Ok(Word::Answer(answer)) => Ok(answer?),
            // Whoever was to ask has gone without a word.
            _ => alone.await,
        }
    }
}

/// A call for work.
type Looker<K, T, N, E> = Caller<K, (), Looked<T, N, E>>;

/// Answers `calls`, first come first: looks until each has work or there is none; then those that have come meanwhile.
async fn ask<K, T, N, E, F>(
    turn: Turn<K, (), Looked<T, N, E>>,
    calls: VecDeque<Looker<K, T, N, E>>,
    look: impl Fn(usize) -> F,
) where
    K: Clone + Eq + Hash,
    N: Clone,
    E: Clone,
    F: Future<Output = Result<(Vec<T>, N), E>>,
{
    let mut next = Some(calls);
    while let Some(mut calls) = next {
        loop {
            calls.retain(Caller::waits);
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
        next = turn.gather_next();
    }
}

/// Gives work that a call does not want any more to the next one; what is left over then is nobody's.
fn hand_out<K: Clone + Eq + Hash, T, N, E>(taken: Vec<T>, calls: &mut VecDeque<Looker<K, T, N, E>>) {
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

fn tell_all<K: Clone + Eq + Hash, T, N, E>(
    calls: &mut VecDeque<Looker<K, T, N, E>>,
    answer: impl Fn() -> Looked<T, N, E>,
) {
    for call in calls.drain(..) {
        // It may have been given up.
        let _ = call.answer(answer());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use tokio::{
        sync::oneshot,
        task::JoinHandle,
        time::{advance, timeout},
    };

    use super::*;
    use crate::crowd::line::lock;

    type Answer = Result<Look<u32, ()>, &'static str>;
    type Calls = Arc<Crowd<&'static str, u32, (), &'static str>>;
    type Held = Turn<&'static str, (), Answer>;

    fn calls() -> Calls {
        Arc::new(Crowd::default())
    }

    async fn turn(calls: &Calls) -> Held {
        match calls.0.enter("lane", ()).await {
            Place::Asks(turn) => turn,
            _ => panic!("no turn"),
        }
    }

    fn waiting(calls: &Calls) -> usize {
        calls.0.waiting(&"lane")
    }

    async fn in_line(calls: &Calls, number: usize) {
        while waiting(calls) < number {
            yield_now().await;
        }
    }

    /// A call that stands in line.
    async fn behind(calls: &Calls) -> JoinHandle<Place<&'static str, (), Answer>> {
        let (own, number) = (Arc::clone(calls), waiting(calls) + 1);
        let call = tokio::spawn(async move { own.0.enter("lane", ()).await });
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
        assert!(first.gather(()).is_none());
        assert!(matches!(calls.0.enter("other", ()).await, Place::Asks(_)));
        let second = behind(&calls).await;
        drop(first);
        assert!(matches!(second.await.unwrap(), Place::Asks(_)));
        assert!(calls.0.is_empty());
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
        let (asked, own) = first.gather(()).unwrap();
        let third = behind(&calls).await;
        let rounds = AtomicUsize::new(0);
        let none = |most| {
            assert_eq!((most, rounds.fetch_add(1, Ordering::Relaxed)), (2, 0));
            async { Ok((Vec::new(), ())) }
        };
        ask(first, asked, none).await;
        assert!(matches!(own.await, Ok(Word::Answer(Ok(Look::None(()))))));
        assert!(matches!(second.await.unwrap(), Place::Answered(Ok(Look::None(())))));
        assert!(matches!(third.await.unwrap(), Place::Asks(_)));
    }

    #[tokio::test]
    async fn work_that_nobody_wants_any_more_goes_to_the_next_call() {
        let calls = calls();
        let first = turn(&calls).await;
        let (second, third, fourth) = (behind(&calls).await, behind(&calls).await, behind(&calls).await);
        let (asked, own) = first.gather(()).unwrap();
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
        ask(first, asked, look).await;
        assert!(matches!(own.await, Ok(Word::Answer(Ok(Look::Taken(1))))));
        assert!(matches!(third.await.unwrap(), Place::Answered(Ok(Look::Taken(2)))));
        assert!(matches!(fourth.await.unwrap(), Place::Answered(Ok(Look::None(())))));
    }

    #[tokio::test]
    async fn an_error_answers_every_call_and_the_turn_goes_on() {
        let calls = calls();
        let first = turn(&calls).await;
        let second = behind(&calls).await;
        let (asked, own) = first.gather(()).unwrap();
        ask(first, asked, |_| async { Err("away") }).await;
        assert!(matches!(own.await, Ok(Word::Answer(Err("away")))));
        assert!(matches!(second.await.unwrap(), Place::Answered(Err("away"))));
        assert!(calls.0.is_empty());
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
        assert!(calls.0.is_empty());
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
        assert!(matches!(third.await.unwrap(), Place::Asks(_)));
    }

    #[tokio::test]
    async fn a_call_does_not_wait_for_one_that_hangs() {
        let calls = calls();
        let hangs = turn(&calls).await;
        // It takes over the turn, which does not come back then.
        let second = turn(&calls).await;
        let third = behind(&calls).await;
        drop(hangs);
        assert_eq!(waiting(&calls), 1);
        drop(second);
        assert!(matches!(third.await.unwrap(), Place::Asks(_)));
        assert!(calls.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_as_long_as_its_line_moves() {
        let calls = calls();
        let first = turn(&calls).await;
        let (second, mut third) = (behind(&calls).await, behind(&calls).await);
        advance(Duration::from_millis(80)).await;
        drop(first);
        let second = second.await.unwrap();
        assert!(matches!(second, Place::Asks(_)));
        assert!(timeout(Duration::from_millis(100), &mut third).await.is_err());
        assert!(matches!(third.await.unwrap(), Place::Asks(_)));
        drop(second);
        assert!(calls.0.is_empty());
    }
}
