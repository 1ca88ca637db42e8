//! The search against brute force: a history of a few calls on two leases, whose orders are all tried.

use std::collections::BTreeMap;

use super::*;
use crate::draw::Draw;

/// What is done to one of two leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Take,
    Give,
}

/// A call and whether it was granted; `None` if its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Label {
    lease: usize,
    deed: Deed,
    granted: Option<bool>,
}

/// Two leases: one is taken while nobody has it, and given back by whoever has it.
struct Leases;

impl Model for Leases {
    type State = [bool; 2];
    type Call = Label;

    fn step(&self, state: &[bool; 2], call: &Label) -> Vec<[bool; 2]> {
        let (is_taken, takes) = (state[call.lease], call.deed == Deed::Take);
        let is_granted = is_taken != takes;
        if call.granted.is_some_and(|granted| granted != is_granted) {
            return Vec::new();
        }
        let mut next = *state;
        if is_granted {
            next[call.lease] = takes;
        }
        vec![next]
    }

    fn is_silent(&self, call: &Label) -> bool {
        call.granted == Some(false)
    }

    fn digest(&self, state: &[bool; 2]) -> u64 {
        u64::from(state[0]) | u64::from(state[1]) << 1
    }
}

const fn label(lease: usize, deed: Deed, granted: Option<bool>) -> Label {
    Label { lease, deed, granted }
}

/// A history as the search takes it: call `n` is the `n`th to begin, and ends once as many as `ends` says have begun.
fn history(ends: &[usize], labels: &[Label]) -> Vec<Span<Label>> {
    let spans = ends.iter().zip(labels).enumerate();
    let span = |(call, (&end, &label)): (usize, (&usize, &Label))| Span {
        invoked: 100 * call as u64,
        returned: label.granted.map(|_| 100 * end as u64 + 50 + call as u64),
        call: label,
    };
    spans.map(span).collect()
}

/// All orders of some calls that keep each call behind those that had ended when it began; those without an answer
/// may be left out. They depend on nothing but `ends` and on which answers were lost.
fn orders(ends: &[usize], lost: usize) -> Vec<Vec<usize>> {
    fn grow(ends: &[usize], lost: usize, order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        let count = ends.len();
        if (0..count).all(|call| lost >> call & 1 == 1 || order.contains(&call)) {
            all.push(order.clone());
        }
        for call in (0..count).filter(|call| !order.contains(call)).collect::<Vec<_>>() {
            let precedes = |other: &usize| lost >> other & 1 == 0 && ends[*other] < call;
            if (0..count).filter(precedes).all(|other| order.contains(&other)) {
                order.push(call);
                grow(ends, lost, order, all);
                order.pop();
            }
        }
    }
    let mut all = Vec::new();
    grow(ends, lost, &mut Vec::new(), &mut all);
    all
}

/// Tries every order from the first call to the last.
fn is_explained(orders: &[Vec<usize>], labels: &[Label]) -> bool {
    orders.iter().any(|order| {
        let mut taken = [false; 2];
        order.iter().all(|&call| {
            let Label { lease, deed, granted } = labels[call];
            let fits = taken[lease] == (deed == Deed::Give);
            if fits {
                taken[lease] = deed == Deed::Take;
            }
            granted.is_none_or(|granted| granted == fits)
        })
    })
}

/// Tries the orders call by call, and leaves one at its first contradiction.
fn is_explained_stepwise(ends: &[usize], labels: &[Label], placed: usize, taken: [bool; 2]) -> bool {
    let is_placed = |call: &usize| placed >> call & 1 == 1;
    let is_lost = |call: &usize| labels[*call].granted.is_none();
    let all = 0..labels.len();
    if all.clone().all(|call| is_placed(&call) || is_lost(&call)) {
        return true;
    }
    all.clone().filter(|call| !is_placed(call)).any(|call| {
        let precedes = |other: &usize| !is_lost(other) && ends[*other] < call;
        let Label { lease, deed, granted } = labels[call];
        let fits = taken[lease] == (deed == Deed::Give);
        if granted.is_some_and(|granted| granted != fits)
            || !all.clone().filter(precedes).all(|other| is_placed(&other))
        {
            return false;
        }
        let mut taken = taken;
        if fits {
            taken[lease] = deed == Deed::Take;
        }
        is_explained_stepwise(ends, labels, placed | 1 << call, taken)
    })
}

/// Compares the search with brute force.
///
/// Counts of the two verdicts, and the orders of each shape.
#[derive(Default)]
struct Comparison {
    orders: BTreeMap<(Vec<usize>, usize), Vec<Vec<usize>>>,
    explained: usize,
    violated: usize,
}

impl Comparison {
    fn compare(&mut self, ends: &[usize], labels: &[Label]) {
        let lost = labels.iter().enumerate().filter(|(_, label)| label.granted.is_none());
        let lost = lost.map(|(call, _)| 1 << call).sum();
        let orders = self.orders.entry((ends.to_vec(), lost)).or_insert_with(|| orders(ends, lost));
        let expected = is_explained(orders, labels);
        let spans = history(ends, labels);
        match search(&Leases, [false; 2], &spans, || false) {
            Found::Order(order) => {
                assert!(expected && orders.binary_search(&order).is_ok(), "{spans:?}: {order:?}");
                assert!(is_explained(&[order], labels), "{spans:?}");
                self.explained += 1;
            }
            Found::Violated { prefix, stuck } => {
                assert!(!expected, "{spans:?}");
                assert!(is_explained(&[prefix], labels) && !stuck.is_empty(), "{spans:?}");
                self.violated += 1;
            }
            Found::Unknown => panic!("{spans:?}: no verdict"),
        }
    }

    /// All histories that begin with these calls and have `count`.
    ///
    /// Two calls that begin next to each other, with no end in between, have no order: only one of the two ways to
    /// number them is looked at. The two leases are alike: the first call is always for the first.
    fn enumerate(&mut self, count: usize, alphabet: &[Label], ends: &mut Vec<usize>, labels: &mut Vec<Label>) {
        let call = ends.len();
        if call == count {
            return self.compare(ends, labels);
        }
        for &label in alphabet.iter().filter(|label| call > 0 || label.lease == 0) {
            // The end of a call whose answer was lost means nothing.
            let first_end = if label.granted.is_some() { call } else { count - 1 };
            for end in first_end..count {
                let ended_between =
                    ends.iter().zip(&*labels).any(|(&end, label)| label.granted.is_some() && end + 1 == call);
                let before = ends.last().zip(labels.last());
                if call > 1 && !ended_between && before.is_some_and(|(&e, &l)| (l, e) > (label, end)) {
                    continue;
                }
                ends.push(end);
                labels.push(label);
                self.enumerate(count, alphabet, ends, labels);
                ends.pop();
                labels.pop();
            }
        }
    }
}

/// Labels for both leases.
fn alphabet(answers: &[(Deed, Option<bool>)]) -> Vec<Label> {
    [0, 1]
        .into_iter()
        .flat_map(|lease| answers.iter().map(move |&(deed, granted)| label(lease, deed, granted)))
        .collect()
}

const GRANTED: [(Deed, Option<bool>); 3] = [(Deed::Take, Some(true)), (Deed::Give, Some(true)), (Deed::Take, None)];
const LOST: (Deed, Option<bool>) = (Deed::Give, None);
const REFUSED: [(Deed, Option<bool>); 2] = [(Deed::Take, Some(false)), (Deed::Give, Some(false))];

/// All histories of at most six calls that are granted, or take and lose their answer; of at most four that may lose
/// it in any case, or be refused.
#[test]
fn agrees_with_brute_force_on_all_small_histories() {
    let mut comparison = Comparison::default();
    let all: Vec<_> = GRANTED.into_iter().chain([LOST]).chain(REFUSED).collect();
    for (counts, answers) in [(0..=4, &all[..]), (5..=6, &all[..3])] {
        for count in counts {
            comparison.enumerate(count, &alphabet(answers), &mut Vec::new(), &mut Vec::new());
        }
    }
    assert!(
        comparison.explained > 100_000 && comparison.violated > 100_000,
        "{} {}",
        comparison.explained,
        comparison.violated
    );
}

#[test]
fn agrees_with_brute_force_on_random_histories_of_eight() {
    let answered: Vec<_> = GRANTED.into_iter().take(2).chain(REFUSED).collect();
    let (answered, lost) = (alphabet(&answered), alphabet(&[(Deed::Take, None), LOST]));
    let mut draw = Draw::new(8);
    let mut explained = 0;
    // Those that are drawn blindly are seldom explained; half of them are played, and half of these then spoiled.
    for round in 0..10_000 {
        let ends: Vec<_> = (0..8).map(|call| (call + draw.below(4)).min(7)).collect();
        let blind = |draw: &mut Draw| {
            let labels = if draw.percent(8) { &lost } else { &answered };
            *draw.one(labels)
        };
        let mut labels: Vec<_> = (0..8).map(|_| blind(&mut draw)).collect();
        if round % 2 == 0 {
            labels = played(&ends, &mut draw);
        }
        if round % 4 == 0 {
            labels[draw.below(8)] = blind(&mut draw);
        }
        let expected = is_explained_stepwise(&ends, &labels, 0, [false; 2]);
        match search(&Leases, [false; 2], &history(&ends, &labels), || false) {
            Found::Order(order) => assert!(expected && is_explained(&[order], &labels), "{ends:?} {labels:?}"),
            found => assert!(!expected && found != Found::Unknown, "{ends:?} {labels:?}"),
        }
        explained += usize::from(expected);
    }
    assert!((2_500..7_500).contains(&explained), "{explained}");
}

/// What the calls of a history answer if they take effect in the order in which they begin.
fn played(ends: &[usize], draw: &mut Draw) -> Vec<Label> {
    let mut taken = [false; 2];
    let play = |_| {
        let lease = draw.below(2);
        let deed = if draw.percent(50) { Deed::Take } else { Deed::Give };
        let granted = taken[lease] == (deed == Deed::Give);
        if granted {
            taken[lease] = deed == Deed::Take;
        }
        label(lease, deed, (!draw.percent(8)).then_some(granted))
    };
    ends.iter().map(play).collect()
}

#[test]
fn a_search_that_is_over_knows_nothing() {
    let spans = history(&[0], &[label(0, Deed::Take, Some(true))]);
    assert_eq!(search(&Leases, [false; 2], &spans, || true), Found::Unknown);
}

#[test]
fn a_violation_tells_how_far_it_went() {
    let labels = [Deed::Take, Deed::Give, Deed::Give, Deed::Take].map(|deed| label(0, deed, Some(true)));
    let spans = history(&[0, 1, 2, 3], &labels);
    let found = search(&Leases, [false; 2], &spans, || false);
    assert_eq!(found, Found::Violated { prefix: vec![0, 1], stuck: vec![2] });
}
