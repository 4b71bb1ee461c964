//! Outputs that share their taps.

use super::Sampling;
use core::ops::Range;

/// Neighbouring outputs along an axis that have the same taps in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// From the first output that was asked for.
    pub outputs: Range<usize>,
    pub taps: Range<usize>,
}

/// The outputs of an axis in stretches. (A plain state instead of adapters: a layer of one pixel spent a fifth of its time in
/// those.)
#[derive(Clone, Debug)]
pub(crate) struct Stretches {
    sampling: Sampling,
    /// The first output that was asked for, how many, and how many are done.
    first: usize,
    count: usize,
    done: usize,
}

impl Sampling {
    /// The outputs `first..first + count` in stretches.
    #[inline]
    pub fn stretches(&self, first: usize, count: usize) -> Stretches {
        Stretches { sampling: *self, first, count, done: 0 }
    }
}

impl Stretches {
    /// The end of the outputs that have the same taps as `start`.
    fn end(&self, start: usize, taps: &Range<usize>) -> usize {
        // Both ends of the range move in one direction from output to output, so equal ones are neighbours, and all between
        // two equal ones are equal.
        let is_same = |o: usize| self.sampling.valid(self.first + o) == *taps;
        if is_same(self.count - 1) {
            return self.count;
        }
        let (mut same, mut other) = (start, self.count - 1);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if is_same(middle) { same = middle } else { other = middle }
        }
        other
    }
}

impl Iterator for Stretches {
    type Item = Stretch;

    #[inline]
    fn next(&mut self) -> Option<Stretch> {
        let start = self.done;
        if start >= self.count {
            return None;
        }
        let taps = self.sampling.valid(self.first + start);
        self.done = if self.count - start == 1 { self.count } else { self.end(start, &taps) };
        Some(Stretch { outputs: start..self.done, taps })
    }
}
