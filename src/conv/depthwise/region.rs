//! Walks a region: outputs of a tile that have the same taps in the image.

use super::kernel::{MOST_COLUMNS, PIXELS, Weights, columns, sum, sum_two_rows};
use super::tiling::Source;
use crate::conv::Epilogue;
use crate::element::Element;
use crate::simd::{Lattice, Op, Simd};
use crate::tiles::{Box4, Places, Tile};
use crate::window::{Sampling, Stretch};
use core::array::from_fn;
use core::ops::Range;

/// Outputs that have the same taps, and what they need.
pub(super) struct Region<'a, T> {
    pub rows: Stretch,
    pub columns: Stretch,
    pub weights: Weights<'a, T>,
    pub source: &'a Source<'a, T>,
    pub sampling: &'a [Sampling; 2],
    /// The sampling's numbers of the tile's first output.
    pub first: [usize; 2],
    /// Whether taps are added column by column, as the axes of the weights are then.
    pub by_columns: bool,
}

impl<T: Element> Region<'_, T> {
    fn starts(&self) -> [usize; 2] {
        [self.rows.outputs.start, self.columns.outputs.start]
    }

    fn valid(&self) -> [&Range<usize>; 2] {
        [&self.rows.taps, &self.columns.taps]
    }

    /// Whether a pixel's next tap is the next pixel's tap, along both axes.
    pub fn slides(&self) -> bool {
        [0, 1].into_iter().all(|i| match self.valid()[i].len() {
            0 => false,
            1 => true,
            _ => self.sampling[i].step.unsigned_abs() == self.sampling[i].stride,
        })
    }

    /// Of the rows of inputs that row `row` of outputs and the next one read, not backwards: those that are not all zeros.
    fn lines_of_two(&self, row: usize) -> Range<usize> {
        let (sampling, all) = (&self.sampling[0], self.valid()[0].len() + 1);
        match sampling.at(self.first[0] + row, self.valid()[0].start) {
            Some(first) if sampling.stride == 1 => {
                let [start, end] =
                    [self.source.rows.start, self.source.rows.end].map(|y| y.saturating_sub(first).min(all));
                start..end
            }
            _ => 0..all,
        }
    }

    /// What is read for `counts` places: of pixels along an axis, of rows and of columns of taps. The first pixel is the one at
    /// `place` in the tile.
    #[inline(always)]
    fn lattice(&self, place: [usize; 2], counts: [usize; 3], axes: [usize; 3], steps: [isize; 3]) -> Lattice<'_, T> {
        let valid = self.valid();
        let at =
            |i: usize| self.sampling[i].at(self.first[i] + place[i], valid[i].start).filter(|_| !valid[i].is_empty());
        let start = if let (Some(y), Some(x)) = (at(0), at(1)) { self.source.at(y, x) } else { 0 };
        // An axis of one pixel is never stepped along, so its stride may be any number.
        let steps = from_fn(|i| steps[i].wrapping_mul(self.source.strides[axes[i]] as isize));
        Lattice::new(self.source.data, start, counts, steps, self.weights.taps.len())
    }
}

/// Pixels of a block whose sums wait in scratch memory, at most.
pub(super) const MOST_SUMS: usize = 2 * MOST_COLUMNS;

/// Elements of scratch memory that a [`Target`] of so many channels needs.
pub(super) const fn room(channels: usize) -> usize {
    (MOST_SUMS + 1) * channels
}

/// Where sums go.
pub(super) struct Target<'a, 'b, T> {
    pub tile: &'a mut Tile<'b, T>,
    pub place: &'a Box4,
    pub epilogue: &'a Epilogue<'a, T>,
    /// Room for the sums of a block, and for one pixel: [`room`].
    pub sums: &'a mut [T],
}

impl<T: Element> Target<'_, '_, T> {
    /// Where the sums of a block go: to the tile, which is told, or, where more is to come to them, to scratch memory.
    #[inline(always)]
    pub fn block<const H: usize, const W: usize>(
        &mut self,
        first: [usize; 2],
        along: usize,
        n: usize,
    ) -> (bool, [[&mut [T]; W]; H]) {
        if self.epilogue.in_place().is_some()
            && let Some(y) = self.tile.pixels([0, first[0], first[1]], along + 1, n)
        {
            return (true, y);
        }
        let mut sums = self.sums.chunks_exact_mut(n);
        (false, from_fn(|_| from_fn(|_| sums.next().unwrap_or_default())))
    }

    /// Whether sums go to the tile, as far as the epilogue is concerned.
    pub fn in_place(&self) -> bool {
        self.epilogue.in_place().is_some() && self.tile.has_slices()
    }

    /// The same for all channels of `counts` pixels, from the last row or column to the first one where that axis is turned: at
    /// most [`MOST_SUMS`], unless they go to the tile.
    #[inline(always)]
    pub fn places(&mut self, first: [usize; 2], counts: [usize; 2], turned: [bool; 2]) -> (bool, Places<'_, T>) {
        let n = self.tile.shape()[3];
        if self.in_place()
            && let Some(y) = self.tile.places(first, counts, turned)
        {
            return (true, y);
        }
        (false, Places::new(&mut self.sums[..counts[0] * counts[1] * n], counts, turned, n))
    }

    /// The epilogue of a block of `rows` lines of `pixels` along an axis. Sums of the first `again` lines and pixels, which are
    /// finished, are left where they are, or, in place, finished again.
    #[inline(always)]
    pub fn finish<S: Simd<T>>(
        &mut self,
        s: S,
        in_place: bool,
        first: [usize; 2],
        [rows, pixels]: [usize; 2],
        along: usize,
        again: [usize; 2],
    ) {
        // Bounds were applied in registers.
        if !(in_place && self.epilogue.in_place().is_some_and(|activation| activation.bounds().is_some())) {
            s.call(Finish { target: self, in_place, first, counts: [rows, pixels], along, again });
        }
    }
}

/// The epilogue of a block. One copy for all kinds of blocks.
struct Finish<'t, 'a, 'b, T> {
    target: &'t mut Target<'a, 'b, T>,
    in_place: bool,
    first: [usize; 2],
    counts: [usize; 2],
    along: usize,
    again: [usize; 2],
}

impl<T: Element> Op<T> for Finish<'_, '_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Target { tile, place, epilogue, sums } = self.target;
        let [_, _, _, n] = tile.shape();
        let (sums, buffer) = sums.split_at_mut(MOST_SUMS * n);
        let mut sums = sums.chunks_exact_mut(n);
        for row in 0..self.counts[0] {
            for i in 0..self.counts[1] {
                let mut pixel = [0, self.first[0], self.first[1]];
                pixel[2 - self.along] += row;
                pixel[1 + self.along] += i;
                let sums = sums.next().unwrap_or_default();
                if let (true, Some(activation)) = (self.in_place, epilogue.in_place()) {
                    activation.row(s, place[3].start, tile.slice(pixel, 0, n).unwrap_or_default());
                } else if row >= self.again[0] && i >= self.again[1] {
                    epilogue.finish(s, (place, tile), pixel, 0, sums, buffer);
                }
            }
        }
    }
}

/// A region line by line: any taps, any channels.
pub(super) struct Lines<'r, 't, 'a, 'b, T, const GROUPS: u8> {
    pub region: &'r Region<'a, T>,
    pub target: &'t mut Target<'a, 'b, T>,
}

impl<T: Element, const GROUPS: u8> Op<T> for Lines<'_, '_, '_, '_, T, GROUPS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Lines { region, target } = self;
        let ([height, width], valid) = ([region.rows.outputs.len(), region.columns.outputs.len()], region.valid());
        // Along a column where rows are short: the left and the right edge of an image.
        let along = usize::from(width >= height.min(PIXELS));
        let (sampling, taps) = (region.sampling, if region.by_columns { [1, 0] } else { [0, 1] });
        let counts = [[height, width][along], valid[taps[0]].len(), valid[taps[1]].len()];
        let steps = [sampling[along].stride as isize, sampling[taps[0]].step, sampling[taps[1]].step];
        for line in 0..[height, width][1 - along] {
            let mut first = region.starts();
            first[1 - along] += line;
            let x = region.lattice(first, counts, [along, taps[0], taps[1]], steps);
            let (count, mut done) = (counts[0], 0);
            while done < count {
                // Rather some pixels twice than a small block.
                let left = (count - done).min(PIXELS).next_power_of_two();
                let pixels = if left > count { left / 2 } else { left };
                let start = done.min(count - pixels);
                let mut pixel = first;
                pixel[along] += start;
                let (w, x, again) = (&region.weights, x.part(start, pixels), done - start);
                match pixels {
                    1 => line_block::<T, S, 1, 4, GROUPS>(s, target, w, x, pixel, along, again),
                    2 => line_block::<T, S, 2, 4, GROUPS>(s, target, w, x, pixel, along, again),
                    4 => line_block::<T, S, 4, 2, GROUPS>(s, target, w, x, pixel, along, again),
                    _ => line_block::<T, S, PIXELS, 1, GROUPS>(s, target, w, x, pixel, along, again),
                }
                done = start + pixels;
            }
        }
    }
}

/// `P` pixels of a line, the first of which are finished already.
#[inline(always)]
fn line_block<T: Element, S: Simd<T>, const P: usize, const V: usize, const GROUPS: u8>(
    s: S,
    target: &mut Target<'_, '_, T>,
    w: &Weights<'_, T>,
    x: Lattice<'_, T>,
    pixel: [usize; 2],
    along: usize,
    again: usize,
) {
    let (in_place, [y]) = target.block::<1, P>(pixel, along, x.len());
    sum::<T, S, P, V, GROUPS>(s, w, x, y);
    target.finish(s, in_place, pixel, [1, P], along, [0, again]);
}

/// Two rows of a region at a time. It must slide, and have a vector of channels and two pixels along both axes at least, and
/// `K` columns of taps or, where that is 0, any number.
pub(super) struct TwoRows<'r, 't, 'a, 'b, T, const K: usize, const GROUPS: u8> {
    pub region: &'r Region<'a, T>,
    pub target: &'t mut Target<'a, 'b, T>,
}

impl<T: Element, const K: usize, const GROUPS: u8> Op<T> for TwoRows<'_, '_, '_, '_, T, K, GROUPS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TwoRows { region, target } = self;
        let (width, valid, starts) = (region.columns.outputs.len(), region.valid(), region.starts());
        // Where taps go backwards, pixels do as well.
        let turned = [0, 1].map(|i| region.sampling[i].step < 0 && valid[i].len() > 1);
        let steps = [0, 1].map(|i| {
            let stride = region.sampling[i].stride as isize;
            if turned[i] { -stride } else { stride }
        });
        let blocks = width.div_ceil(columns(S::REGISTERS));
        for row in (starts[0]..starts[0] + region.rows.outputs.len() - 1).step_by(2) {
            let lines = if turned[0] { 0..valid[0].len() + 1 } else { region.lines_of_two(row) };
            let (skipped, last_column) = (lines.start, if turned[1] { width - 1 } else { 0 });
            let first = [row + skipped + usize::from(turned[0]), starts[1] + last_column];
            let counts = [width, lines.len(), valid[1].len()];
            let x = region.lattice(first, counts, [1, 0, 1], [steps[1], steps[0], steps[1]]);
            let mut i = 0;
            for block in 0..blocks {
                let count = width / blocks + usize::from(block < width % blocks);
                let column = starts[1] + if turned[1] { width - i - count } else { i };
                let (w, x, pixel) = (&region.weights, x.part(i, count), [row, column]);
                match count {
                    2 => two_rows_block::<T, S, 2, K, GROUPS>(s, target, w, x, skipped, pixel, turned),
                    3 => two_rows_block::<T, S, 3, K, GROUPS>(s, target, w, x, skipped, pixel, turned),
                    5 if columns(S::REGISTERS) > 4 => {
                        two_rows_block::<T, S, 5, K, GROUPS>(s, target, w, x, skipped, pixel, turned)
                    }
                    6 if columns(S::REGISTERS) > 4 => {
                        two_rows_block::<T, S, 6, K, GROUPS>(s, target, w, x, skipped, pixel, turned)
                    }
                    _ => two_rows_block::<T, S, 4, K, GROUPS>(s, target, w, x, skipped, pixel, turned),
                }
                i += count;
            }
        }
    }
}

#[inline(always)]
fn two_rows_block<T: Element, S: Simd<T>, const W: usize, const K: usize, const GROUPS: u8>(
    s: S,
    target: &mut Target<'_, '_, T>,
    w: &Weights<'_, T>,
    x: Lattice<'_, T>,
    skipped: usize,
    pixel: [usize; 2],
    turned: [bool; 2],
) {
    let (in_place, mut y) = target.block::<2, W>(pixel, 1, x.len());
    if turned[0] {
        y.reverse();
    }
    if turned[1] {
        y.iter_mut().for_each(|row| row.reverse());
    }
    sum_two_rows::<T, S, W, K, GROUPS>(s, w, x, skipped, y);
    target.finish(s, in_place, pixel, [2, W], 1, [0, 0]);
}
