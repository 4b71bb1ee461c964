//! Square kernels at strides 1 and 2: vector after vector of channels slides along two rows of outputs.
//!
//! A column of inputs is added to all sums that it has a part in, and the oldest sums are then complete. So an input is read once
//! for two rows, weights are at hand, an output costs what its multiplications do, however few channels there are, and no
//! border is a case of its own: columns in the padding are left out, and zeros stand for its rows, or those are left out as well.

use super::super::problem::Problem;
use super::kernel::{MOST_ROWS, Weights, rows_at_a_time, slide};
use super::region::{MOST_SUMS, Target};
use super::tiling::Source;
use crate::element::Element;
use crate::simd::{Op, Simd, Tracks, each_vector};
use crate::window::{Sampling, Window};
use core::array::from_fn;
use core::ops::Range;

/// Elements that a block reads and writes, at most, unless it has the least number of columns. A small block reads stretches of
/// memory from one end to the other, which brings them from far away in time (Granite Rapids, 32 channels at 112x112: 130 us in
/// blocks of 56 columns, 114 us in blocks of 19).
const BLOCK: usize = 4 << 10;
/// Columns of inputs of a block, at least, for each that it shares with the block before it.
const COLUMNS: usize = 7;

/// Whether a layer is computed so, where its tiles have two rows and a vector of channels. Of dilated ones, every so many-th row and
/// column is a layer of its own.
pub(super) fn take(p: &Problem) -> bool {
    let Window { kernel, stride, dilation, .. } = p.window;
    let is_square = matches!(kernel, [3, 3] | [5, 5] | [7, 7]);
    let strides = stride == [1, 1] || (stride == [2, 2] && !p.transposed);
    is_square && strides && (dilation == [1, 1] || stride == [1, 1]) && p.inputs_per_group() == 1
}

/// A tile of a layer with `K * K` taps.
pub(super) struct Slide<'r, 't, 'a, 'b, T, const K: usize, const STRIDE: usize> {
    pub weights: &'r Weights<'a, T>,
    pub source: &'r Source<'a, T>,
    pub sampling: &'r [Sampling; 2],
    /// The sampling's numbers of the tile's first output.
    pub first: [usize; 2],
    /// Rows of outputs, two at least, and columns.
    pub size: [usize; 2],
    pub target: &'t mut Target<'a, 'b, T>,
}

impl<T: Element, const K: usize, const STRIDE: usize> Op<T> for Slide<'_, '_, '_, '_, T, K, STRIDE> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, s: S) {
        let ([rows, columns], in_place) = (self.size, self.target.in_place());
        let across = Inputs::new::<K, STRIDE>(&self.sampling[1], self.first[1], columns);
        let most = const { rows_at_a_time(K, STRIDE, S::REGISTERS) };
        let few = most.min(2);
        let mut row = 0;
        while row < rows {
            let high = if rows - row > few && rows >= most && in_place { most } else { few };
            // Rather a row twice than one alone.
            let y = row.min(rows - high);
            macro_rules! line {
                ($($high:literal)*) => {
                    $(if const { $high <= rows_at_a_time(K, STRIDE, S::REGISTERS) } && high == $high {
                        self.line::<S, $high>(s, &across, y, row - y);
                    })*
                };
            }
            line!(1 2 4);
            row = y + high;
        }
    }
}

impl<'r, T: Element, const K: usize, const STRIDE: usize> Slide<'r, '_, '_, '_, T, K, STRIDE> {
    /// `H` rows of outputs from `y` on, of which the first `again` are finished.
    #[inline(always)]
    fn line<S: Simd<T>, const H: usize>(&mut self, s: S, across: &Inputs, y: usize, again: usize) {
        let (columns, n) = (self.size[1], self.weights.taps.len());
        let most = if self.target.in_place() {
            (BLOCK / ((K + (H - 1) * STRIDE + H) * n)).max(COLUMNS * (K - 1) / STRIDE)
        } else {
            MOST_SUMS / H
        };
        let turned = [0, 1].map(|i| self.sampling[i].step < 0);
        let blocks = columns.div_ceil(most);
        let (x, all) = self.rows(y, H, across);
        for block in 0..blocks {
            // Of the columns in the order of their inputs.
            let outputs = columns * block / blocks..columns * (block + 1) / blocks;
            let first = if turned[1] { columns - outputs.end } else { outputs.start };
            let (inside, skipped) = across.part::<K, STRIDE>(&outputs);
            let x = x.part(skipped, inside.len());
            let (pixel, counts) = ([y, first], [H, outputs.len()]);
            let (in_place, mut sums) = self.target.places(pixel, counts, turned);
            each_vector!(n, S::LANES, |c| {
                let w = self.weights;
                if all {
                    slide::<T, S, K, STRIDE, H, true>(s, w, &x, inside.start, &mut sums, c);
                } else {
                    slide::<T, S, K, STRIDE, H, false>(s, w, &x, inside.start, &mut sums, c);
                }
            });
            self.target.finish(s, in_place, pixel, counts, 1, [again, 0]);
        }
    }

    /// The rows of inputs of some rows of outputs, those columns that lie in the image, and whether all rows do.
    #[inline(always)]
    fn rows(&self, y: usize, high: usize, across: &Inputs) -> (Tracks<'r, T, MOST_ROWS>, bool) {
        let down = Inputs::new::<K, STRIDE>(&self.sampling[0], self.first[0] + y, high);
        let starts: [_; MOST_ROWS] = from_fn(|row| {
            let is_inside = !across.inside.is_empty() && down.inside.contains(&row);
            is_inside.then(|| self.source.at(down.at(row), across.at(across.inside.start)))
        });
        let step = across.step.wrapping_mul(self.source.strides[1] as isize);
        let x = Tracks::new(self.source.data, starts, step, across.inside.len(), self.weights.taps.len());
        (x, starts[..(high - 1) * STRIDE + K].iter().all(Option::is_some))
    }
}

/// The inputs that some outputs read along an axis, from the first tap of the first output on; of outputs whose taps go backwards
/// from the last output on.
struct Inputs {
    first: isize,
    step: isize,
    /// Those that lie in the image.
    inside: Range<usize>,
}

impl Inputs {
    #[inline(always)]
    fn new<const K: usize, const STRIDE: usize>(sampling: &Sampling, output: usize, outputs: usize) -> Self {
        let turned = if sampling.step < 0 { outputs - 1 } else { 0 };
        let first = ((output + turned) * STRIDE) as isize + sampling.first;
        let (input, count) = (sampling.input as isize, (outputs - 1) * STRIDE + K);
        let inside = match sampling.step {
            1 => [-first, input - first],
            _ => [first - input + 1, first + 1],
        };
        let [low, high] = inside.map(|k| k.clamp(0, count as isize) as usize);
        Inputs { first, step: sampling.step, inside: low..high.max(low) }
    }

    /// The index in the image of an input that lies inside.
    #[inline(always)]
    fn at(&self, k: usize) -> usize {
        (self.first + self.step * k as isize) as usize
    }

    /// For some of the outputs: which of their inputs lie inside, and how many of those inside come before.
    #[inline(always)]
    fn part<const K: usize, const STRIDE: usize>(&self, outputs: &Range<usize>) -> (Range<usize>, usize) {
        let from = outputs.start * STRIDE;
        let clamp = |k: usize| k.clamp(self.inside.start, self.inside.end);
        let [low, high] = [clamp(from), clamp((outputs.end - 1) * STRIDE + K)];
        (low.max(from) - from..high.max(from) - from, low - self.inside.start)
    }
}
