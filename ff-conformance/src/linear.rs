//! Looks for an order of the calls of a history that a sequential model explains.
//!
//! The search is that of Wing and Gong with the memory of Lowe: call by call, only those next that nothing unplaced
//! precedes, and no set of placed calls twice with the same state.

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
    /// For a call whose answer was lost these are the states in which it took effect; that it never does is not said
    /// here.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Vec<Self::State>;

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
    let mut stack = vec![Node::new(Bits::none(history.len()), initial)];
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
            let call = search.by_end[node.tried - 1];
            let placed = node.placed.with(call);
            if search.is_new(&placed, &state) {
                order.push(call);
                stack.push(Node::new(placed, state));
            }
        } else if let Some(place) = search.next(node) {
            if is_over() {
                return Found::Unknown;
            }
            node.tried = place + 1;
            node.open = model.step(&node.state, &history[search.by_end[place]].call);
        } else {
            stack.pop();
            order.pop();
        }
    }
    let stuck = search.candidates(&best.1).map(|place| search.by_end[place]).collect();
    Found::Violated { prefix: best.0, stuck }
}

/// A place in the search: which calls are placed, and what they left.
struct Node<S> {
    placed: Bits,
    state: S,
    /// How many calls, in the order of their ends, were tried next.
    tried: usize,
    /// What the call that was tried last may leave.
    open: Vec<S>,
}

impl<S> Node<S> {
    const fn new(placed: Bits, state: S) -> Self {
        Self { placed, state, tried: 0, open: Vec::new() }
    }
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Span<M::Call>],
    /// The calls by their ends, those without an answer last.
    by_end: Vec<usize>,
    seen: HashMap<(Bits, u64), Vec<M::State>>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a [Span<M::Call>]) -> Self {
        let mut by_end: Vec<_> = (0..history.len()).collect();
        by_end.sort_by_key(|&call| history[call].returned.unwrap_or(u64::MAX));
        Self { model, history, by_end, seen: HashMap::new() }
    }

    /// When the first of the calls that are not placed ended, if one of them did.
    fn first_end(&self, placed: &Bits) -> Option<u64> {
        let first = self.by_end.iter().find(|&&call| !placed.has(call));
        first.and_then(|&call| self.history[call].returned)
    }

    fn is_complete(&self, placed: &Bits) -> bool {
        self.first_end(placed).is_none()
    }

    /// The places in `by_end` of the calls that nothing unplaced precedes.
    fn candidates(&self, placed: &Bits) -> impl Iterator<Item = usize> {
        let end = self.first_end(placed).unwrap_or(u64::MAX);
        let is_open = move |call: usize| !placed.has(call) && self.history[call].invoked < end;
        (0..self.by_end.len()).filter(move |&place| is_open(self.by_end[place]))
    }

    fn next(&self, node: &Node<M::State>) -> Option<usize> {
        self.candidates(&node.placed).find(|&place| place >= node.tried)
    }

    /// Notes that these calls left this state; false if that was known.
    fn is_new(&mut self, placed: &Bits, state: &M::State) -> bool {
        let known = self.seen.entry((placed.clone(), self.model.digest(state))).or_default();
        let is_new = !known.contains(state);
        if is_new {
            known.push(state.clone());
        }
        is_new
    }
}
