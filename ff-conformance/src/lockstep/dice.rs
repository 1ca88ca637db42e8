//! The draws of a tape: all of them follow from its seed.

use crate::draw::Draw;

/// What tapes draw, from the numbers of a seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(Draw);

impl Dice {
    /// The dice of the tape with a number in a run with a seed.
    pub(super) const fn of_tape(seed: u64, number: u64) -> Self {
        Self(Draw::new(Draw::new(seed).any() ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(super) const fn draw(&mut self) -> u64 {
        self.0.any()
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.below(end.max(1))
    }

    /// True in `percent` of 100 draws.
    pub(super) const fn chance(&mut self, percent: usize) -> bool {
        self.0.percent(percent)
    }

    /// One of `items`.
    pub(super) fn one<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len())).cloned()
    }

    /// One of the numbers, of which there is at least one.
    pub(super) fn number(&mut self, first: i64, others: &[i64]) -> i64 {
        match self.below(others.len() + 1) {
            0 => first,
            place => others.get(place - 1).copied().unwrap_or(first),
        }
    }

    /// `Some` of what `draw` draws, in `percent` of 100 draws.
    pub(super) fn maybe<T>(&mut self, percent: usize, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(percent).then(|| draw(self))
    }

    /// One of the weighted items.
    pub(super) fn weighted<T: Copy>(&mut self, items: &[(usize, T)]) -> Option<T> {
        let mut place = self.below(items.iter().map(|(weight, _)| weight).sum());
        items.iter().find_map(|(weight, item)| {
            let hit = place < *weight;
            place = place.saturating_sub(*weight);
            hit.then_some(*item)
        })
    }
}
