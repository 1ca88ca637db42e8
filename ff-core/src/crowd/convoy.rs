//! Calls of one process that each bring something to a store, which takes several of them in one statement.

use std::{fmt, hash::Hash};

use tokio::task::yield_now;

use super::line::{Bounds, Lines, Place, Word};

/// Calls with equal keys go together with what each brings: one statement is on its way, further calls gather behind it.
///
/// A lone call goes at once, by itself, and at most 64 go together. A statement carries only what had come before it was
/// sent, first come first, and each call gets its own answer; one that the statement has none for goes by itself. A call
/// that is given up before the statement is sent is left behind, and where a line has stood still for 100 ms a call goes
/// ahead of what it waits for, with those behind it.
pub struct Convoy<K: Clone + Eq + Hash, I, A>(Lines<K, I, A>);

impl<K: Clone + Eq + Hash, I, A> Default for Convoy<K, I, A> {
    fn default() -> Self {
        Self(Lines::new(Bounds::of_calls()))
    }
}

impl<K: Clone + Eq + Hash, I, A> Convoy<K, I, A> {
    /// Calls that go together as long as the loads of what they bring come to `most`; one with more goes by itself.
    #[must_use]
    pub fn bounded(most: usize, load: fn(&I) -> usize) -> Self {
        Self(Lines::new(Bounds { most, load }))
    }
}

impl<K: Clone + Eq + Hash, I, A> fmt::Debug for Convoy<K, I, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Convoy").finish_non_exhaustive()
    }
}

impl<K, I, A> Convoy<K, I, A>
where
    K: Clone + Eq + Hash + Send + 'static,
    I: Send + 'static,
    A: Send + 'static,
{
    /// The answer to a call that brings `item`: `alone` while nobody waits with the same key, else what `together` makes of
    /// the key, which is handed all items, answers in their order, and goes on if the call is given up.
    pub async fn bring<M, F>(&self, key: K, item: I, alone: impl Future<Output = A>, together: impl FnOnce(K) -> M) -> A
    where
        I: Clone,
        M: Fn(Vec<I>) -> F + Send + 'static,
        F: Future<Output = Vec<Option<A>>> + Send + 'static,
    {
        let turn = match self.0.enter(key, item.clone()).await {
            Place::Answered(answer) => return answer,
            Place::AsksAlone => return alone.await,
            Place::Asks(turn) => turn,
        };
        let Some((calls, answer)) = turn.gather(item) else {
            let answer = alone.await;
            drop(turn);
            return answer;
        };
        let carry = together(turn.key.clone());
        let carried = async move {
            let mut next = Some(calls);
            while let Some(calls) = next {
                let items = calls.iter().map(|call| call.item.clone()).collect();
                for (call, answer) in calls.into_iter().zip(carry(items).await) {
                    if let Some(answer) = answer {
                        // It may have been given up.
                        let _ = call.answer(answer);
                    }
                }
                // Those who were answered come again at once, and are to be in line when the turn goes on.
                yield_now().await;
                next = turn.gather_next();
            }
        };
        // In a task of its own: this call may be given up at any time, and the others not with it.
        tokio::spawn(carried);
        match answer.await {
            Ok(Word::Answer(answer)) => answer,
            _ => alone.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::{sync::oneshot, task::JoinHandle};

    use super::*;
    use crate::crowd::line::{Turn, lock};

    type Calls = Arc<Convoy<&'static str, u32, u32>>;

    fn calls() -> Calls {
        Arc::new(Convoy::default())
    }

    async fn turn(calls: &Calls) -> Turn<&'static str, u32, u32> {
        match calls.0.enter("lane", 0).await {
            Place::Asks(turn) => turn,
            _ => panic!("no turn"),
        }
    }

    /// A call that stands in line; alone its item counts a hundredfold, with others tenfold, and 9 has no answer there.
    async fn brings(calls: &Calls, item: u32) -> JoinHandle<u32> {
        let (own, place) = (Arc::clone(calls), calls.0.waiting(&"lane") + 1);
        let together =
            |_| |items: Vec<u32>| async { items.into_iter().map(|item| (item != 9).then_some(10 * item)).collect() };
        let call = tokio::spawn(async move { own.bring("lane", item, async move { 100 * item }, together).await });
        while calls.0.waiting(&"lane") < place {
            yield_now().await;
        }
        call
    }

    #[tokio::test]
    async fn a_lone_call_goes_by_itself() {
        let calls = calls();
        assert_eq!(calls.bring("lane", 1, async { 100 }, |_| |_| async { Vec::new() }).await, 100);
        assert!(calls.0.is_empty());
    }

    #[tokio::test]
    async fn calls_that_wait_go_together_and_each_has_its_own_answer() {
        let calls = calls();
        let first = turn(&calls).await;
        let line = [brings(&calls, 1).await, brings(&calls, 9).await, brings(&calls, 3).await];
        drop(first);
        for (call, answer) in line.into_iter().zip([10, 900, 30]) {
            assert_eq!(call.await.unwrap(), answer);
        }
        // The turn comes back a little after the answers.
        while !calls.0.is_empty() {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn no_more_goes_together_than_there_is_room_for() {
        let calls = Arc::new(Convoy::bounded(5, |item| *item as usize));
        let first = turn(&calls).await;
        let line = [brings(&calls, 2).await, brings(&calls, 3).await, brings(&calls, 6).await, brings(&calls, 1).await];
        drop(first);
        for (call, answer) in line.into_iter().zip([20, 30, 600, 100]) {
            assert_eq!(call.await.unwrap(), answer);
        }
    }

    #[tokio::test]
    async fn what_a_call_brings_that_was_given_up_is_left_behind() {
        let calls = calls();
        let first = turn(&calls).await;
        let carried = Arc::new(Mutex::new(Vec::new()));
        let leader = {
            let (own, carried) = (Arc::clone(&calls), Arc::clone(&carried));
            let together = move |_| {
                move |items: Vec<u32>| {
                    lock(&carried).clone_from(&items);
                    async { items.into_iter().map(Some).collect() }
                }
            };
            tokio::spawn(async move { own.bring("lane", 1, async { 100 }, together).await })
        };
        while calls.0.waiting(&"lane") < 1 {
            yield_now().await;
        }
        let (second, third) = (brings(&calls, 2).await, brings(&calls, 3).await);
        second.abort();
        assert!(second.await.is_err_and(|error| error.is_cancelled()));
        drop(first);
        assert_eq!((leader.await.unwrap(), third.await.unwrap()), (1, 3));
        assert_eq!(*lock(&carried), [1, 3]);
    }

    #[tokio::test]
    async fn others_do_not_wait_for_a_statement_that_hangs() {
        let calls = calls();
        let (go, gate) = oneshot::channel::<()>();
        let hangs = {
            let own = Arc::clone(&calls);
            let alone = async {
                gate.await.unwrap();
                100
            };
            tokio::spawn(async move { own.bring("lane", 1, alone, |_| |_| async { Vec::new() }).await })
        };
        // The first of these waits for as long as it has patience, and then takes over the turn.
        for item in [2, 3] {
            let answer = calls.bring("lane", item, async move { item }, |_| |_| async { Vec::new() }).await;
            assert_eq!(answer, item);
        }
        assert!(calls.0.is_empty());
        go.send(()).unwrap();
        assert_eq!(hangs.await.unwrap(), 100);
    }
}
