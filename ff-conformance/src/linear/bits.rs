//! A set of calls.

/// A set of numbers below a bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(super) fn none(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
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
}
