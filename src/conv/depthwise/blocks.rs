//! Kernels of 3x3 taps at strides 1 and 2: blocks of two rows of pixels, at the borders of the image as well, where zeros stand
//! for the padding.
//!
//! What blocks have in common is found out once for two rows of outputs: with few channels, a block takes little longer.

use super::super::problem::Problem;
use super::kernel::{Weights, sum_3x3};
use super::region::Target;
use super::tiling::Source;
use crate::element::Element;
use crate::simd::{Crossings, Lattice, Marks, Op, Simd};
use crate::window::{Sampling, Window};
use core::array::from_fn;
use core::ops::Range;

/// Columns of a block. Any number from the first one on is a sum of these, or nearly so.
const WIDTHS: [usize; 3] = [3, 4, 6];

/// Columns of the next block, where so many are left.
fn width(registers: usize, left: usize) -> usize {
    match left {
        6 | 10.. if registers >= 32 => WIDTHS[2],
        4 | 7.. => WIDTHS[1],
        _ => WIDTHS[0],
    }
}

/// Whether tiles of a layer are computed so, if they are large enough.
pub(super) fn take(p: &Problem) -> bool {
    let Window { kernel, stride, dilation, .. } = p.window;
    let strides = matches!(stride, [1, 1]) || (matches!(stride, [2, 2]) && !p.transposed);
    kernel == [3, 3] && dilation == [1, 1] && strides && p.inputs_per_group() == 1
}

/// Whether a tile of so many rows and columns is large enough.
pub(super) fn fit([rows, columns]: [usize; 2]) -> bool {
    rows > 1 && columns >= WIDTHS[0]
}

/// A tile of a layer with 3x3 taps. A block reads `IR` rows of inputs, and as many columns as the last parameters say, where it
/// has as many as [`WIDTHS`] say.
pub(super) struct Blocks<
    'r,
    't,
    'a,
    'b,
    T,
    const STRIDE: usize,
    const IR: usize,
    const IC3: usize,
    const IC4: usize,
    const IC6: usize,
> {
    pub weights: &'r Weights<'a, T>,
    pub source: &'r Source<'a, T>,
    pub sampling: &'r [Sampling; 2],
    /// The sampling's numbers of the tile's first output.
    pub first: [usize; 2],
    /// Rows and columns of outputs.
    pub size: [usize; 2],
    pub zeros: &'r [T],
    pub target: &'t mut Target<'a, 'b, T>,
}

impl<T: Element, const STRIDE: usize, const IR: usize, const IC3: usize, const IC4: usize, const IC6: usize> Op<T>
    for Blocks<'_, '_, '_, '_, T, STRIDE, IR, IC3, IC4, IC6>
{
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, s: S) {
        let [rows, columns] = self.size;
        let inner = self.inner();
        for row in (0..rows).step_by(2) {
            // Rather a row or a column twice than a small block.
            let y = row.min(rows - 2);
            let axis = self.inputs(0, y, 2, IR);
            let line =
                Line { y, marks: axis.marks(self.source.first[0], self.source.strides[0]), inner: inner.clone() };
            let inner = self.lattice(&axis, inner.clone());
            let mut done = 0;
            while done < columns {
                let width = width(S::REGISTERS, columns - done);
                let x = done.min(columns - width);
                let again = [row - y, done - x];
                match width {
                    6 if const { S::REGISTERS >= 32 } => self.block::<S, 6, IC6>(s, &line, inner, x, again),
                    4 => self.block::<S, 4, IC4>(s, &line, inner, x, again),
                    _ => self.block::<S, 3, IC3>(s, &line, inner, x, again),
                }
                done = x + width;
            }
        }
    }
}

/// Two rows of outputs.
struct Line {
    y: usize,
    /// Their rows of inputs.
    marks: Marks,
    /// The columns of outputs that have all taps in the image.
    inner: Range<usize>,
}

impl<'a, T: Element, const STRIDE: usize, const IR: usize, const IC3: usize, const IC4: usize, const IC6: usize>
    Blocks<'_, '_, 'a, '_, T, STRIDE, IR, IC3, IC4, IC6>
{
    /// The inputs of neighbouring outputs along an axis.
    #[inline(always)]
    fn inputs(&self, axis: usize, output: usize, outputs: usize, count: usize) -> Inputs {
        Inputs::new(&self.sampling[axis], self.first[axis] + output, outputs, count)
    }

    /// The columns of outputs that have all taps in the image.
    #[inline(always)]
    fn inner(&self) -> Range<usize> {
        let (s, columns) = (&self.sampling[1], self.size[1]);
        let is_inner = |x: &usize| s.valid(self.first[1] + x).len() == s.taps;
        let start = (0..columns).find(is_inner).unwrap_or(columns);
        let end = (start..columns).rev().find(is_inner).map_or(start, |last| last + 1);
        start..end
    }

    /// All inputs of the inner columns, where the rows are in the image; the axes are column and row.
    #[inline(always)]
    fn lattice(&self, rows: &Inputs, inner: Range<usize>) -> Option<Lattice<'a, T>> {
        if inner.is_empty() {
            return None;
        }
        let columns = self.inputs(1, inner.start, inner.len(), (inner.len() - 1) * STRIDE + 3);
        let start = self.source.at(rows.whole()?, columns.whole()?);
        let [dy, dx] = self.source.strides.map(|stride| stride as isize);
        let steps = [columns.step.wrapping_mul(dx), rows.step.wrapping_mul(dy), 0];
        Some(Lattice::new(self.source.data, start, [columns.count, IR, 1], steps, self.weights.taps.len()))
    }

    /// Two rows of `W` pixels, which read `IC` columns of inputs.
    #[inline(always)]
    fn block<S: Simd<T>, const W: usize, const IC: usize>(
        &mut self,
        s: S,
        line: &Line,
        inner: Option<Lattice<'a, T>>,
        x: usize,
        again: [usize; 2],
    ) {
        let (n, pixel, columns) = (self.weights.taps.len(), [line.y, x], self.inputs(1, x, W, IC));
        let (in_place, mut y) = self.target.block::<2, W>(pixel, 1, n);
        // Where taps go backwards, pixels do as well.
        let turned = [0, 1].map(|i| self.sampling[i].step < 0);
        if turned[0] {
            y.reverse();
        }
        if turned[1] {
            y.iter_mut().for_each(|row| row.reverse());
        }
        match inner {
            Some(inner) if x >= line.inner.start && x + W <= line.inner.end => {
                let before = if turned[1] { line.inner.end - x - W } else { x - line.inner.start };
                let x = inner.part(before * STRIDE, IC);
                sum_3x3::<T, S, _, W, STRIDE>(s, self.weights, &x, y);
            }
            _ => {
                let columns = columns.marks(self.source.first[1], self.source.strides[1]);
                // An image without pixels has no first one.
                let data = self.source.data.get(self.source.start..).unwrap_or_default();
                let x = Crossings::new(data, [&line.marks, &columns], self.zeros, n);
                let lines: [_; IR] = from_fn(|row| x.line::<IC>(1, row));
                sum_3x3::<T, S, _, W, STRIDE>(s, self.weights, &lines, y);
            }
        }
        self.target.finish(s, in_place, pixel, [2, W], 1, again);
    }
}

/// The inputs of a block along an axis.
struct Inputs {
    first: isize,
    step: isize,
    count: usize,
    /// Of the image.
    input: usize,
}

impl Inputs {
    #[inline(always)]
    fn new(sampling: &Sampling, output: usize, outputs: usize, count: usize) -> Self {
        let turned = if sampling.step < 0 { outputs - 1 } else { 0 };
        let first = ((output + turned) * sampling.stride) as isize + sampling.first;
        Inputs { first, step: sampling.step, count, input: sampling.input }
    }

    /// The first one, where all lie in the image.
    #[inline(always)]
    fn whole(&self) -> Option<usize> {
        let last = self.first + self.step * (self.count as isize - 1);
        let is_inside = |i: isize| i >= 0 && i < self.input as isize;
        (is_inside(self.first) && is_inside(last)).then_some(self.first as usize)
    }

    /// Where they lie in a source whose first one is `source`, `stride` apart.
    #[inline(always)]
    fn marks(&self, source: usize, stride: usize) -> Marks {
        let (input, count) = (self.input as isize, self.count as isize);
        let inside = match self.step {
            1 => [-self.first, input - self.first],
            _ => [self.first - input + 1, self.first + 1],
        };
        let [low, high] = inside.map(|k| k.clamp(0, count) as usize);
        // An axis of one pixel is never stepped along, so its stride may be any number.
        let stride = if self.input > 1 { stride as isize } else { 0 };
        let first = (self.first - source as isize).wrapping_mul(stride);
        Marks::image(first, self.step.wrapping_mul(stride), low..high.max(low))
    }
}
