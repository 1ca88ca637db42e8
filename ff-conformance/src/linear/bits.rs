//! A set of calls.

/// A set of numbers below a bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(super) fn none(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    /// Some of the numbers below `bound`.
    pub(super) fn of(bound: usize, numbers: impl Iterator<Item = usize>) -> Self {
        numbers.fold(Self::none(bound), |bits, number| bits.with(number))
    }

    /// True if it holds `number`.
    pub(super) fn has(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    /// The same with `number`.
    pub(super) fn with(&self, number: usize) -> Self {
        let mut words = self.0.clone();
        words[number / 64] |= 1 << (number % 64);
        Self(words)
    }

    /// The numbers that both hold.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(word, other)| word & other).collect())
    }

    /// True if `other` holds all of its numbers.
    pub(super) fn is_in(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(word, other)| word & !other == 0)
    }
}
