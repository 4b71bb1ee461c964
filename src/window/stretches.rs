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

impl Sampling {
    /// The outputs `first..first + count` in stretches.
    pub fn stretches(&self, first: usize, count: usize) -> impl Iterator<Item = Stretch> + Clone {
        let this = *self;
        let from = move |start: usize| {
            (start < count).then(|| {
                let taps = this.valid(first + start);
                // Both ends of the range move in one direction from output to output, so equal ones are neighbours, and
                // all between two equal ones are equal.
                let is_same = |o: usize| this.valid(first + o) == taps;
                let (mut same, mut other) = (start, count);
                if is_same(count - 1) {
                    same = count - 1;
                }
                while other - same > 1 {
                    let middle = same + (other - same) / 2;
                    if is_same(middle) { same = middle } else { other = middle }
                }
                Stretch { outputs: start..other, taps }
            })
        };
        core::iter::successors(from(0), move |stretch| from(stretch.outputs.end))
    }
}
