//! Depthwise convolution: one input channel a group, so there is nothing to multiply matrices for.
//!
//! ```text
//! y[oy, ox, o] = bias[o] + sum over taps of x[sy, sx, o / outputs_per_group] * w[tap, o]
//! ```
//!
//! Vectorized over the output channels of all groups. Taps in the padding are left out: a tile falls into regions whose
//! outputs share their taps, nearly all of it into one. A region is walked along its longer axis, a block of pixels at a
//! time. Each sum is its bias and then its taps in row-major order, whatever the block that it is computed in.

mod kernel;
mod tiling;

pub(super) use tiling::{Tiling, most_scratch};

use super::epilogue::Epilogue;
use super::operator::TileJob;
use crate::activation::Activation;
use crate::element::Element;
use crate::simd::{Lattice, Op, Simd};
use crate::tiles::{Box4, Tile};
use crate::window::Sampling;
use core::ops::Range;
use kernel::{MOST_COLUMNS, PIXELS, Weights, columns as columns_of, sum, sum_two_rows};
use tiling::Source;

pub struct Depthwise<'a, 'b, T>(pub(super) TileJob<'a, 'b, T>);

impl<T: Element> Op<T> for Depthwise<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, epilogue, place, tile, scratch } = self.0;
        let p = &operator.plan.problem;
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let [_, height, width, n] = tile.shape();
        let channel = place[3].start;
        let (sums, strip) = scratch.split_at_mut((2 * MOST_COLUMNS + 1) * n);
        let outputs = [[first[0], height], [first[1], width]];
        let source = Source::new(x, place, p, &sampling, outputs, strip);
        let panel = operator.plan.packing(operator.plan.algorithm()).panel;
        let packed = operator.packed(0, &class);
        let bias = operator.bias().map(|bias| &bias[channel..][..n]);
        let mut target = Target { tile, place, epilogue, sums };
        for rows in Stretches::new(&sampling[0], outputs[0]) {
            for columns in Stretches::new(&sampling[1], outputs[1]) {
                let region = [&rows, &columns];
                let valid = region.map(|stretch| stretch.valid.clone());
                let taps = valid.clone().map(|valid| valid.len());
                let first_tap = (valid[0].start * class.count[1] + valid[1].start) * panel + channel;
                let steps = [(class.count[1] * panel) as isize, panel as isize, 0];
                let taps = Lattice::new(packed, first_tap, [taps[0], taps[1], 1], steps, n);
                let weights = Weights { taps, bias };
                let slides = [0, 1].map(|i| valid[i].len() == 1 || sampling[i].stride as isize == sampling[i].step.abs());
                if n >= S::LANES && slides == [true; 2] && rows.count > 1 && columns.count > 1 && !valid[0].is_empty() && !valid[1].is_empty() {
                    target.region(s, &weights, &source, &sampling, first, region);
                    continue;
                }
                // Along a column where rows are short: the left and the right edge of an image.
                let along = usize::from(columns.count >= rows.count.min(PIXELS));
                for line in 0..region[1 - along].count {
                    let mut place = region.map(|stretch| stretch.start);
                    place[1 - along] += line;
                    let outputs = [0, 1].map(|i| first[i] + place[i]);
                    let x = source.line(&sampling, outputs, [along, region[along].count], &valid, n);
                    target.line(s, &weights, x, place, along);
                }
            }
        }
    }
}

/// Neighbouring outputs of a tile, along one axis, that have the same taps in the image.
struct Stretch {
    start: usize,
    count: usize,
    valid: Range<usize>,
}

/// All of a tile's, from the first output on.
struct Stretches<'a> {
    sampling: &'a Sampling,
    first: usize,
    count: usize,
    next: usize,
}

impl<'a> Stretches<'a> {
    fn new(sampling: &'a Sampling, [first, count]: [usize; 2]) -> Self {
        Stretches { sampling, first, count, next: 0 }
    }
}

impl Iterator for Stretches<'_> {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        if self.next == self.count {
            return None;
        }
        let start = self.next;
        let valid = self.sampling.valid(self.first + start);
        // Both ends of the range move in one direction from output to output, so equal ones are neighbours.
        let (mut same, mut other) = (start, self.count);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.sampling.valid(self.first + middle) == valid { same = middle } else { other = middle }
        }
        self.next = other;
        Some(Stretch { start, count: other - start, valid })
    }
}

/// Where sums go.
struct Target<'a, 'b, T> {
    tile: &'a mut Tile<'b, T>,
    place: &'a Box4,
    epilogue: &'a Epilogue<'a, T>,
    /// Room for the sums of a block, and for one pixel.
    sums: &'a mut [T],
}

impl<T: Element> Target<'_, '_, T> {
    #[inline(always)]
    fn region<S: Simd<T>>(
        &mut self,
        s: S,
        w: &Weights<'_, T>,
        source: &Source<'_, T>,
        sampling: &[Sampling; 2],
        first: [usize; 2],
        region: [&Stretch; 2],
    ) {
        let [rows, columns] = region;
        let valid = region.map(|stretch| stretch.valid.clone());
        // Where taps go backwards, so do pixels.
        let turned = [0, 1].map(|i| sampling[i].step < 0);
        let n = w.taps.len();
        for row in (0..rows.count - 1).step_by(2) {
            let last = [rows.start + row + usize::from(turned[0]), columns.start + if turned[1] { columns.count - 1 } else { 0 }];
            let outputs = [0, 1].map(|i| first[i] + last[i]);
            let x = source.two_lines(sampling, outputs, columns.count, &valid, n);
            let blocks = columns.count.div_ceil(columns_of(S::REGISTERS));
            let mut i = 0;
            for block in 0..blocks {
                let width = columns.count / blocks + usize::from(block < columns.count % blocks);
                let x = x.part(i, width);
                let column = if turned[1] { columns.count - i - width } else { i };
                let pixel = [0, rows.start + row, columns.start + column];
                let in_place = match width {
                    1 => self.two_rows::<S, 1>(s, w, x, pixel, turned),
                    2 => self.two_rows::<S, 2>(s, w, x, pixel, turned),
                    3 => self.two_rows::<S, 3>(s, w, x, pixel, turned),
                    5 if S::REGISTERS >= 32 => self.two_rows::<S, 5>(s, w, x, pixel, turned),
                    6 if S::REGISTERS >= 32 => self.two_rows::<S, 6>(s, w, x, pixel, turned),
                    _ => self.two_rows::<S, 4>(s, w, x, pixel, turned),
                };
                for i in 0..2 {
                    self.finish(s, n, [0, pixel[1] + i, pixel[2]], [2, width], in_place, i * width);
                }
                i += width;
            }
        }
        if rows.count % 2 == 1 {
            let place = [rows.start + rows.count - 1, columns.start];
            let outputs = [0, 1].map(|i| first[i] + place[i]);
            let x = source.line(sampling, outputs, [1, columns.count], &valid, n);
            self.line(s, w, x, place, 1);
        }
    }

    #[inline(always)]
    fn two_rows<S: Simd<T>, const W: usize>(
        &mut self,
        s: S,
        w: &Weights<'_, T>,
        x: Lattice<'_, T>,
        pixel: [usize; 3],
        turned: [bool; 2],
    ) -> bool {
        let n = x.len();
        let tile = if self.epilogue.in_place().is_some() { self.tile.pixels::<2, W>(pixel, 2, n) } else { None };
        let in_place = tile.is_some();
        let mut sums = self.sums.chunks_exact_mut(n);
        let mut y = tile.unwrap_or_else(|| {
            core::array::from_fn(|_| core::array::from_fn(|_| sums.next().unwrap_or_default()))
        });
        if turned[0] {
            y.reverse();
        }
        if turned[1] {
            y.iter_mut().for_each(|row| row.reverse());
        }
        sum_two_rows::<T, S, W>(s, w, x, y);
        in_place
    }

    /// Pixels of a row (`along` is 1) or of a column, from `first` on: in even blocks.
    #[inline(always)]
    fn line<S: Simd<T>>(&mut self, s: S, w: &Weights<'_, T>, x: Lattice<'_, T>, first: [usize; 2], along: usize) {
        let [count, ..] = x.counts();
        let blocks = count.div_ceil(PIXELS);
        let mut i = 0;
        for block in 0..blocks {
            let pixels = count / blocks + usize::from(block < count % blocks);
            let mut pixel = [0, first[0], first[1]];
            pixel[along + 1] += i;
            let x = x.part(i, pixels);
            let in_place = match pixels {
                1 => self.block::<S, 1>(s, w, x, pixel, along + 1),
                2 => self.block::<S, 2>(s, w, x, pixel, along + 1),
                3 => self.block::<S, 3>(s, w, x, pixel, along + 1),
                4 => self.block::<S, 4>(s, w, x, pixel, along + 1),
                5 => self.block::<S, 5>(s, w, x, pixel, along + 1),
                6 => self.block::<S, 6>(s, w, x, pixel, along + 1),
                7 => self.block::<S, 7>(s, w, x, pixel, along + 1),
                _ => self.block::<S, PIXELS>(s, w, x, pixel, along + 1),
            };
            self.finish(s, x.len(), pixel, [along + 1, pixels], in_place, 0);
            i += pixels;
        }
    }

    /// Sums up a block of `P` pixels, and says whether the sums are in the tile.
    #[inline(always)]
    fn block<S: Simd<T>, const P: usize>(
        &mut self,
        s: S,
        w: &Weights<'_, T>,
        x: Lattice<'_, T>,
        pixel: [usize; 3],
        axis: usize,
    ) -> bool {
        let (x, n) = (x.part(0, P), x.len());
        let tile = if self.epilogue.in_place().is_some() { self.tile.pixels::<1, P>(pixel, axis, n) } else { None };
        let in_place = tile.is_some();
        let mut sums = self.sums.chunks_exact_mut(n);
        let y = tile.map_or_else(|| core::array::from_fn(|_| sums.next().unwrap_or_default()), |[y]| y);
        sum::<T, S, P>(s, w, x, y);
        in_place
    }

    /// The epilogue of a block.
    #[inline(always)]
    fn finish<S: Simd<T>>(&mut self, s: S, n: usize, first: [usize; 3], [axis, pixels]: [usize; 2], in_place: bool, from: usize) {
        let Target { tile, place, epilogue, sums } = self;
        if let (true, Some(Activation::Identity)) = (in_place, epilogue.in_place()) {
            return;
        }
        let (sums, buffer) = sums.split_at_mut(2 * MOST_COLUMNS * n);
        for (i, sums) in sums.chunks_exact_mut(n).skip(from).take(pixels).enumerate() {
            let mut pixel = first;
            pixel[axis] += i;
            match (epilogue.in_place(), tile.slice(pixel, 0, n)) {
                (Some(activation), Some(y)) if in_place => activation.row(s, place[3].start, y),
                _ => epilogue.finish(s, (place, tile), pixel, 0, sums, &mut buffer[..n]),
            }
        }
    }
}
