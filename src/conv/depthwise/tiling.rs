//! How a depthwise layer is cut into tiles, and how a tile reaches its input.
//!
//! The kernel wants the channels of a pixel side by side, one for each output. Where a view holds them so, it reads them in
//! place. Else (channels apart, or more than one output a channel) a *strip*, the pixels that a tile touches, lies in
//! scratch memory, as the kernel wants it. Windows that are too large for a strip are summed up one channel at a time, in
//! place.
//!
//! Everything here follows from shapes and strides alone, never from the number of threads.

use super::super::Blocking;
use super::super::band::Band;
use super::super::problem::Problem;
use super::region::room;
use crate::element::Element;
use crate::simd::{MOST_TIMES, Simd, each_vector};
use crate::tensor::View;
use crate::tiles::{Box4, Grid, Part, Parts};
use crate::window::{Axis, Sampling};
use core::ops::Range;

/// Elements of a strip, at most: it stays in the second-level cache.
const STRIP: usize = 1 << 14;
/// The same where tiles are copied with their padding, of a vector of channels: large kernels.
const PADDED_STRIP: usize = 1 << 16;
/// Rows and columns of outputs of such a tile, if they fit.
const PADDED_SIZE: usize = 32;
/// Rows and columns of a tile with a strip, at least, where that leaves some channels.
const STRIP_SIZE: [usize; 2] = [8, 16];
/// Channels of a tile, at most.
const CHANNELS: usize = 384;
/// Channels of a tile where more of them do not stay in the cache, but these do.
const FEW_CHANNELS: usize = 128;
/// Bytes of the first-level cache.
const CACHE: usize = 32 << 10;
/// Pixels along an axis that a lattice of outputs reads, at least: each is a tile of its own.
const LATTICE: usize = 4;
/// The most lanes of all levels.
const LANES: usize = 16;
/// Tiles that one image gives, if it can.
const TILES: usize = 16;
/// The same of kernels that slide. With half as many of them, 3x3 layers took 0.7 to 0.9 of the time (Zen 3).
const TILES_OF_SLIDES: usize = 8;
/// Multiplications of a tile, at least, where that leaves fewer tiles: some microseconds.
const TILE_WORK: usize = 1 << 17;

/// Elements of the strip of a single output, of the fewest channels.
pub(in super::super) fn least_strip(p: &Problem, lanes: usize) -> usize {
    p.reach(0, 1).saturating_mul(p.reach(1, 1)).saturating_mul(lanes)
}

/// Elements of a strip, at most.
pub(in super::super) fn strip_len(p: &Problem, lanes: usize) -> usize {
    let size = |i: usize| p.reach(i, PADDED_SIZE);
    match may_pad(p) {
        true => size(0).saturating_mul(size(1)).saturating_mul(lanes).clamp(STRIP, PADDED_STRIP),
        false => STRIP,
    }
}

/// Elements of scratch memory that a tile needs: a strip, the sums of a block of pixels, and a pixel beside them.
pub(in super::super) fn scratch_len(p: &Problem, blocking: &Blocking, lanes: usize) -> usize {
    strip_len(p, lanes) + room(blocking.columns.min(CHANNELS).max(lanes).next_multiple_of(lanes))
}

/// How the outputs `y` are cut into tiles.
pub(in super::super) fn grid<T: Element>(
    p: &Problem,
    axes: &[Axis; 2],
    x: &View<'_, T>,
    y: [usize; 4],
    blocking: &Blocking,
    lanes: usize,
) -> Grid {
    let lattice = lattice(p, x);
    let step = [0, 1].map(|i| if p.transposed { p.window.stride[i] } else { 1 } * lattice[i]);
    let [height, width] = [0, 1].map(|i| y[i + 1].div_ceil(step[i]).max(1));
    let is_padded = pads(p, axes, [x.shape()[1], x.shape()[2]]);
    let needs_strip = is_padded || needs_strip(p, x);
    let reach = |i: usize, outputs: usize| {
        let reach = p.reach(i, outputs);
        if is_padded { reach } else { reach.min(x.shape()[i + 1]) }
    };
    // What two rows of outputs read and write.
    let window = |columns: usize, channels: usize| {
        (reach(0, 2) + 2).saturating_mul(reach(1, columns)).saturating_mul(channels * size_of::<T>())
    };
    let most = blocking.columns.min(CHANNELS).max(lanes);
    let few = most.min(FEW_CHANNELS).max(lanes);
    let mut columns = even(width, blocking.rows, 1);
    let mut channels = even(p.outputs, most, lanes);
    let slides = super::slide::take(p) && !needs_strip && lattice == p.window.dilation;
    let most_tiles = if slides { TILES_OF_SLIDES } else { TILES };
    if needs_strip || (!slides && window(columns, channels) > CACHE && window(columns, few) <= 2 * CACHE) {
        channels = even(p.outputs, few, lanes);
    }
    let tiles = [p.outputs.div_ceil(channels), width.div_ceil(columns), step[0], step[1]];
    let tiles = tiles.into_iter().fold(1, usize::saturating_mul);
    let work = [p.terms(), p.outputs, y[1], y[2]].into_iter().fold(1, usize::saturating_mul);
    // Rows are best summed up in pairs, or four at a time.
    let unit = if slides { 4 } else { 2 };
    let rows = height.div_ceil((work / TILE_WORK).clamp(1, most_tiles).div_ceil(tiles));
    let mut rows = rows.next_multiple_of(unit).min(height);
    let mut most_channels = Parts::Blocks { len: p.outputs, block: p.outputs, unit: lanes, most: channels / lanes };
    if needs_strip {
        let strip = strip_len(p, lanes);
        let fits = |rows: usize, columns: usize, channels: usize| {
            reach(0, rows).saturating_mul(reach(1, columns)).saturating_mul(channels) <= strip
        };
        // Weights of a large kernel are read again for each block of pixels, and of a vector of channels they are nearest.
        while is_padded && channels > lanes && !fits(rows, columns, channels) {
            channels = even(p.outputs, channels - lanes, lanes);
        }
        // Rather narrow than flat: what tiles have in common is copied for each.
        for [least_rows, least_columns] in [STRIP_SIZE, [1, STRIP_SIZE[1]]] {
            while rows > least_rows && !fits(rows, columns, channels) {
                rows = rows.div_ceil(2).next_multiple_of(2).min(rows - 1);
            }
            while columns > least_columns && !fits(rows, columns, channels) {
                columns = columns.div_ceil(2);
            }
        }
        while channels > lanes && !fits(rows, columns, channels) {
            channels = even(p.outputs, channels - lanes, lanes);
        }
        while columns > 1 && !fits(rows, columns, channels) {
            columns = columns.div_ceil(2);
        }
        most_channels = if fits(rows, columns, channels) || p.inputs_per_group() > 1 {
            Parts::Blocks { len: p.outputs, block: p.outputs, unit: lanes, most: channels / lanes }
        } else {
            Parts::up_to(p.outputs, 1)
        };
    }
    // A strip holds no more rows than were found to fit.
    let unit = if needs_strip { 1 } else { unit };
    let [rows, columns] = [(0, unit, rows.div_ceil(unit)), (1, 1, columns)].map(|(i, unit, most)| Parts::Phases {
        len: y[i + 1],
        step: step[i],
        unit,
        most,
    });
    Grid::new([Parts::up_to(y[0], 1), rows, columns, most_channels])
}

/// The share of the outputs that have all taps in the image, below which tiles are copied with their padding, and that of those with
/// padding along both axes, above which they are.
const FEW_INSIDE: f64 = 0.2;
const MANY_CORNERS: f64 = 0.07;
/// The first of these for groups of so many channels and more.
const MOST_INSIDE: f64 = 0.9;
const WIDE_GROUP: usize = 8;

/// Whether a tile that does not slide is computed from a copy with its padding. Each set of taps in the image is a region of its own
/// else: where most outputs have taps in the padding, or many along both axes, regions of few pixels take longer than the copy and its
/// zeros (Zen 3, 96 channels, a copy against regions: 31x31 at 28x28 1.7 and 4.8 ms, 11x11 305 and 376 us, 9x9 220 and 229; at 56x56
/// 21x21 4.2 and 5.0 ms, 13x13 1.9 and 1.6 ms). Groups of many channels have more sums for each pixel that is copied (3x3, 32 groups of
/// 8 at 28x28: 442 and 618 us; 16 groups of 4 at 14x14: 24.9 and 22.9).
pub(super) fn pads(p: &Problem, axes: &[Axis; 2], input: [usize; 2]) -> bool {
    let border = |i: usize| {
        let outputs = axes[i].output(input[i]).unwrap_or(0).max(1);
        let zeros = axes[i].pad.map(|zeros| zeros.max(0) as usize);
        (zeros[0].saturating_add(zeros[1]).min(outputs)) as f64 / outputs as f64
    };
    let [height, width] = [border(0), border(1)];
    let (inside, is_wide) = ((1.0 - height) * (1.0 - width), p.inputs_per_group() >= WIDE_GROUP);
    may_pad(p)
        && least_strip(p, LANES) <= strip_len(p, LANES)
        && (inside < FEW_INSIDE || height * width > MANY_CORNERS || (is_wide && inside < MOST_INSIDE))
}

/// Whether, on some images, tiles are copied so.
fn may_pad(p: &Problem) -> bool {
    !p.transposed && p.window.stride == [1, 1] && repeat(p) == 1 && !super::slide::take(p)
}

/// From an output to the next one that shares inputs with it, where outputs are taken so: those of dilated kernels that slide. Inputs
/// that are a multiple of 4 KB apart would all fall into one set of the first-level cache (512 channels, dilation 2: 0.9 of the speed).
pub(super) fn lattice<T>(p: &Problem, x: &View<'_, T>) -> [usize; 2] {
    let dilation = p.window.dilation;
    let is_large = (0..2).all(|i| x.shape()[i + 1] >= dilation[i].saturating_mul(LATTICE));
    let apart = x.strides()[2].wrapping_mul(dilation[1]).wrapping_mul(size_of::<T>());
    let pays = is_large && !apart.is_multiple_of(4096);
    if super::slide::take(p) && pays && !needs_strip(p, x) { dilation } else { [1; 2] }
}

/// Whether the channels of a pixel do not lie side by side, one for each output.
fn needs_strip<T>(p: &Problem, x: &View<'_, T>) -> bool {
    (x.strides()[3] != 1 && p.inputs > 1) || repeat(p) > 1
}

/// Outputs of one input.
fn repeat(p: &Problem) -> usize {
    p.outputs_per_group() / p.inputs_per_group()
}

/// `len` in even stretches of whole units, of at most `most`: the longest of them.
fn even(len: usize, most: usize, unit: usize) -> usize {
    let units = len.div_ceil(unit).max(1);
    units.div_ceil(units.div_ceil((most / unit).max(1))) * unit
}

/// The inputs from the first one that some outputs read to the last.
fn hull(sampling: &Sampling, first: usize, count: usize) -> Range<usize> {
    let (mut low, mut high) = (usize::MAX, 0);
    for o in first..first + count {
        let valid = sampling.valid(o);
        for t in [valid.start, valid.end.saturating_sub(1)] {
            if let (false, Some(i)) = (valid.is_empty(), sampling.at(o, t)) {
                (low, high) = (low.min(i), high.max(i + 1));
            }
        }
    }
    low.min(high)..high
}

/// The pixels of one image that a tile touches, a channel for each of its outputs.
pub(super) struct Source<'a, T> {
    pub data: &'a [T],
    /// Where the first pixel lies, and which one it is.
    pub start: usize,
    pub first: [usize; 2],
    /// From a row, and a column, to the next.
    pub strides: [usize; 2],
    /// The other rows are zeros.
    pub rows: Range<usize>,
}

impl<'a, T: Element> Source<'a, T> {
    /// In place where channels are as the kernel wants them, else in the strip. `outputs` is `first, count`, by axis.
    #[inline(always)]
    pub fn new<S: Simd<T>>(
        s: S,
        x: View<'a, T>,
        [image, .., channels]: &Box4,
        p: &Problem,
        sampling: &[Sampling; 2],
        outputs: [[usize; 2]; 2],
        strip: &'a mut [T],
    ) -> Self {
        let (image, repeat, n) = (image.start, repeat(p), channels.count);
        let [_, row, column, _] = x.strides();
        if n == 1 || !needs_strip(p, &x) {
            let start = x.at([image, 0, 0, channels.start / repeat]);
            return Source { data: x.data(), start, first: [0; 2], strides: [row, column], rows: 0..usize::MAX };
        }
        let [rows, columns] = [0, 1].map(|i| hull(&sampling[i], outputs[i][0], outputs[i][1]));
        let line = (columns.len() * n).max(1);
        for (y, line) in rows.clone().zip(strip.chunks_exact_mut(line)) {
            let at = [image, y, columns.start];
            if x.strides()[3] != 1 && x.shape()[3] > 1 {
                gather(&x, at, channels, repeat, line);
            } else if n >= S::LANES && repeat <= MOST_TIMES {
                spread(s, &x, at, channels, repeat, line);
            } else {
                fill(&x, at, channels, repeat, line);
            }
        }
        Source { data: strip, start: 0, first: [rows.start, columns.start], strides: [line, n], rows: 0..usize::MAX }
    }

    /// A copy of a band of an image of some height, padding included.
    pub fn padded(data: &'a [T], band: &Band, [height, channels]: [usize; 2]) -> Self {
        let strides = [band.width() * channels, channels];
        Source { data, start: 0, first: [0; 2], strides, rows: band.rows_inside(height) }
    }

    /// Every so many-th row and column, from an input of the first output on, as an image of its own, and how outputs that are as far
    /// apart read it; the first one is at `[0, 0]`.
    pub fn lattice(mut self, sampling: [Sampling; 2], first: [usize; 2], by: [usize; 2]) -> (Self, [Sampling; 2]) {
        let sampling = core::array::from_fn(|i| {
            let (s, by) = (sampling[i], by[i] as isize);
            let start = (first[i] * s.stride) as isize + s.first;
            let (phase, input) = (start.rem_euclid(by), s.input as isize);
            self.start = self.start.wrapping_add((phase as usize).wrapping_mul(self.strides[i]));
            self.strides[i] = self.strides[i].wrapping_mul(by as usize);
            let input = (input - phase + by - 1).div_euclid(by).max(0) as usize;
            Sampling { input, first: start.div_euclid(by), step: s.step / by, ..s }
        });
        (self, sampling)
    }

    /// Where a pixel lies in `data`.
    #[inline(always)]
    pub fn at(&self, y: usize, x: usize) -> usize {
        self.start + (y - self.first[0]) * self.strides[0] + (x - self.first[1]) * self.strides[1]
    }
}

/// Pixels of a row from `at` on, whose channels lie side by side, each as often as it has outputs: a vector of outputs of all
/// pixels at a time.
#[inline(always)]
fn spread<T: Element, S: Simd<T>>(
    s: S,
    x: &View<'_, T>,
    at: [usize; 3],
    channels: &Part,
    repeat: usize,
    line: &mut [T],
) {
    let (n, column) = (channels.count, x.strides()[2]);
    each_vector!(n, S::LANES, |c| {
        let (first, phase) = ((channels.start + c) / repeat, (channels.start + c) % repeat);
        let inputs = (phase + S::LANES - 1) / repeat + 1;
        let from = &x.data()[x.at([at[0], at[1], at[2], first])..];
        for (i, pixel) in line.chunks_exact_mut(n).enumerate() {
            let inputs = s.load_partial(&from[i * column..][..inputs]);
            s.store(s.repeat(inputs, repeat, phase), &mut pixel[c..]);
        }
    });
}

/// The same for any number of channels and outputs.
#[inline(always)]
fn fill<T: Element>(x: &View<'_, T>, at: [usize; 3], channels: &Part, repeat: usize, line: &mut [T]) {
    for (i, pixel) in line.chunks_exact_mut(channels.count).enumerate() {
        let from = &x.data()[x.at([at[0], at[1], at[2] + i, channels.start / repeat])..];
        let (mut rest, mut phase) = (pixel, channels.start % repeat);
        for &from in from {
            let (copies, others) = rest.split_at_mut(rest.len().min(repeat - phase));
            copies.fill(from);
            (rest, phase) = (others, 0);
            if rest.is_empty() {
                break;
            }
        }
    }
}

/// The same where channels are apart.
#[inline(always)]
fn gather<T: Element>(x: &View<'_, T>, at: [usize; 3], channels: &Part, repeat: usize, line: &mut [T]) {
    let n = channels.count;
    for o in 0..n {
        let from = &x.data()[x.at([at[0], at[1], at[2], (channels.start + o) / repeat])..];
        for (i, pixel) in line.chunks_exact_mut(n).enumerate() {
            pixel[o] = from[i * x.strides()[2]];
        }
    }
}
