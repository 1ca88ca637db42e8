//! Looks for an order of the calls of a history that a sequential model explains.
//!
//! The search is that of Wing and Gong with the memory of Lowe: call by call, only those next that nothing unplaced
//! precedes, and no set of placed calls twice with the same state. Two more rules keep it short: to have placed more lost
//! calls counts for no more than to have placed fewer, and a call that leaves no trace goes first, without a choice.

mod bits;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bits::Bits;

/// What a single thread would see.
pub(crate) trait Model {
    /// What the calls share.
    type State: Clone + PartialEq;
    /// A call with its answer, or with none if that was lost.
    type Call;

    /// The states that `call` may leave behind as one step from `state`; none if it cannot have answered so there.
    ///
    /// For a call whose answer was lost these are the states in which it took effect; that it never does need not be
    /// said here.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Vec<Self::State>;

    /// Whether a call that answered so leaves every state as it is.
    fn is_silent(&self, call: &Self::Call) -> bool;

    /// A number that equal states share.
    fn digest(&self, state: &Self::State) -> u64;
}

/// A call in its place between the begins and ends of others, which a counter puts in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span<C> {
    /// When it began.
    pub(crate) invoked: u64,
    /// When its answer came; one whose answer was lost takes effect at any time after its begin, or never.
    pub(crate) returned: Option<u64>,
    /// What it was.
    pub(crate) call: C,
}

/// What the search came to; calls are told by their place in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The calls, those whose answer was lost included where they took effect, explained in this order.
    Order(Vec<usize>),
    /// No order explains them all.
    Violated {
        /// The longest order that explains its calls and that leaves out none that had ended before one of them began.
        prefix: Vec<usize>,
        /// The calls that could come next, none of which can have answered as it did.
        stuck: Vec<usize>,
    },
    /// The time was over first.
    Unknown,
}

/// Looks for an order of `history` that `model` explains from `initial` on, until `is_over`.
pub(crate) fn search<M: Model>(
    model: &M,
    initial: M::State,
    history: &[Span<M::Call>],
    mut is_over: impl FnMut() -> bool,
) -> Found {
    let mut search = Search::new(model, history);
    let none = Bits::none(history.len());
    search.is_new(&none, &initial);
    let mut stack = vec![Node::new(none, initial)];
    let mut order = Vec::new();
    let mut best = (Vec::new(), Bits::none(history.len()));
    while let Some(node) = stack.last_mut() {
        if search.is_complete(&node.placed) {
            return Found::Order(order);
        }
        if order.len() > best.0.len() {
            best = (order.clone(), node.placed.clone());
        }
        if let Some(state) = node.open.pop() {
            let placed = node.placed.with(node.call);
            if search.is_new(&placed, &state) {
                order.push(node.call);
                stack.push(Node::new(placed, state));
            }
        } else if let Some(turn) = search.next(node) {
            if is_over() {
                return Found::Unknown;
            }
            node.call = search.by_turn[turn];
            node.open = model.step(&node.state, &history[node.call].call);
            let is_silent = search.silent.has(node.call);
            debug_assert!(!is_silent || node.open.iter().all(|state| *state == node.state), "it leaves a trace");
            let goes_first = is_silent && !node.open.is_empty();
            node.tried = if goes_first { history.len() } else { turn + 1 };
        } else {
            stack.pop();
            order.pop();
        }
    }
    let stuck = search.candidates(&best.1).map(|turn| search.by_turn[turn]).collect();
    Found::Violated { prefix: best.0, stuck }
}

/// A place in the search: which calls are placed, and what they left.
struct Node<S> {
    placed: Bits,
    state: S,
    /// How many calls, by turn, were tried next.
    tried: usize,
    /// The last of them.
    call: usize,
    /// What it may leave.
    open: Vec<S>,
}

impl<S> Node<S> {
    const fn new(placed: Bits, state: S) -> Self {
        Self { placed, state, tried: 0, call: 0, open: Vec::new() }
    }
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Span<M::Call>],
    /// The calls by their ends, those without an answer last.
    by_end: Vec<usize>,
    /// The calls as they are tried: those that leave no trace, then the others, each by their ends.
    by_turn: Vec<usize>,
    /// Those that have an answer.
    answered: Bits,
    /// Those of them that leave no trace.
    silent: Bits,
    seen: Seen<M::State>,
}

/// What was reached: by the answered calls that were placed and the digest of the state, the states, each with all calls
/// that were placed.
type Seen<S> = HashMap<(Bits, u64), Vec<(S, Bits)>>;

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a [Span<M::Call>]) -> Self {
        let mut by_end: Vec<_> = (0..history.len()).collect();
        by_end.sort_by_key(|&call| history[call].returned.unwrap_or(u64::MAX));
        let is_answered = |call: &usize| history[*call].returned.is_some();
        let answered = Bits::of(history.len(), by_end.iter().copied().filter(is_answered));
        let is_silent = |call: &usize| is_answered(call) && model.is_silent(&history[*call].call);
        let silent = Bits::of(history.len(), by_end.iter().copied().filter(is_silent));
        let mut by_turn = by_end.clone();
        by_turn.sort_by_key(|&call| !silent.has(call));
        Self { model, history, by_end, by_turn, answered, silent, seen: HashMap::new() }
    }

    /// When the first of the calls that are not placed ended, if one of them did.
    fn first_end(&self, placed: &Bits) -> Option<u64> {
        let first = self.by_end.iter().find(|&&call| !placed.has(call));
        first.and_then(|&call| self.history[call].returned)
    }

    fn is_complete(&self, placed: &Bits) -> bool {
        self.first_end(placed).is_none()
    }

    /// The turns of the calls that nothing unplaced precedes.
    fn candidates(&self, placed: &Bits) -> impl Iterator<Item = usize> {
        let end = self.first_end(placed).unwrap_or(u64::MAX);
        let is_open = move |call: usize| !placed.has(call) && self.history[call].invoked < end;
        (0..self.by_turn.len()).filter(move |&turn| is_open(self.by_turn[turn]))
    }

    fn next(&self, node: &Node<M::State>) -> Option<usize> {
        self.candidates(&node.placed).find(|&turn| turn >= node.tried)
    }

    /// Notes that these calls left this state; false if nothing comes of it that would not come of what is known.
    ///
    /// A lost call that is not placed may still be, or never: whoever came to the same state with fewer of them can go
    /// on in every way that is left with more.
    fn is_new(&mut self, placed: &Bits, state: &M::State) -> bool {
        let known = self.seen.entry((placed.and(&self.answered), self.model.digest(state))).or_default();
        let is_new = !known.iter().any(|(other, fewer)| fewer.is_in(placed) && other == state);
        if is_new {
            known.push((state.clone(), placed.clone()));
        }
        is_new
    }
}
