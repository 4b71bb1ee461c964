//! A tile of outputs by GEMM. The lowerings differ in where the rows of A are:
//!
//! - `pointwise` and `implicit`: patches of the image, where they lie;
//! - `band`: patches of a copy of the image's band under the tile, and this is what the first two do where the channels
//!   of the image are not contiguous;
//! - `im2col` and `matrixmultiply`: copied patch by patch, block by block of the sum's terms.

use super::Algorithm;
use super::band::Band;
use super::im2col::Im2col;
use super::operator::{Operator, TileJob};
use super::patches::Patches;
use super::problem::TapClass;
use crate::element::Element;
use crate::gemm::{Classes, Finish, Gemm, MAX_ROWS, Plain, RegisterTile, Start, chains};
use crate::simd::{Op, Simd};
use crate::tiles::Rows;
use crate::window::Sampling;
use core::ops::Range;

pub struct GemmTile<'j, 'a, 'b, T> {
    pub(super) job: &'j mut TileJob<'a, 'b, T>,
    /// Rows of the tile that are taken at a time.
    pub(super) rows: usize,
}

impl<T: Element> Op<T> for GemmTile<'_, '_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, place, tile, .. } = &*self.job;
        let p = &operator.plan.problem;
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let [_, height, width, n] = tile.shape();
        let group = if p.groups == 1 { 0 } else { place[3].start / p.outputs_per_group() };
        let inputs = p.inputs_per_group();
        let source = operator.plan.source(x);
        let rows = self.rows.clamp(1, height);
        let (mut few, mut many);
        let starts: &mut [usize] = if rows * width <= FEW {
            few = [0; 3 * FEW];
            &mut few
        } else {
            many = [0; 3 * MAX_ROWS];
            &mut many
        };
        let mut problem = TileProblem {
            class: &class,
            sampling: &sampling,
            first,
            row: 0,
            count: [rows, width],
            channels: group * inputs..(group + 1) * inputs,
            group,
            column: place[3].start - group * p.outputs_per_group(),
            n,
        };
        while problem.row < height {
            problem.count[0] = rows.min(height - problem.row);
            match source {
                Source::Image => problem.in_place(s, self.job, starts),
                Source::Band => problem.by_band(s, self.job, starts),
                Source::Copies => problem.by_blocks(s, self.job, starts),
            }
            problem.row += rows;
        }
    }
}

/// Where the rows of A are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Image,
    Band,
    Copies,
}

/// What is multiplied for some rows of a tile.
struct TileProblem<'a> {
    class: &'a TapClass,
    sampling: &'a [Sampling; 2],
    /// The tile's first output, as the samplings count.
    first: [usize; 2],
    /// The first row in the tile, and how many rows and columns.
    row: usize,
    count: [usize; 2],
    /// The group's channels of the image.
    channels: Range<usize>,
    group: usize,
    /// The first column of the group's weights, and how many.
    column: usize,
    n: usize,
}

impl TileProblem<'_> {
    /// Patches of the image.
    #[inline(always)]
    fn in_place<T: Element, S: Simd<T>>(&self, s: S, job: &mut TileJob<T>, starts: &mut [usize]) {
        let x = job.x;
        // An axis of one pixel is never stepped along, so its stride may be any number: here it is none.
        let strides = [1, 2].map(|i| if x.shape()[i] > 1 { x.strides()[i] } else { 0 });
        let patches = Patches {
            sampling: self.sampling,
            first: self.first,
            row: self.row,
            count: self.count,
            origin: x.at([job.place[0].start, 0, 0, self.channels.start]),
            strides,
            channels: self.channels.len(),
            is_plain: is_plain(job.operator),
        };
        self.multiply(s, &patches, x.data(), job, starts);
    }

    /// Patches of a copy.
    #[inline(always)]
    fn by_band<T: Element, S: Simd<T>>(&self, s: S, job: &mut TileJob<T>, starts: &mut [usize]) {
        let band = Band::new(self.sampling, [self.first[0] + self.row, self.first[1]], self.count);
        let channels = self.channels.len();
        let (copy, scratch) = job.scratch.split_at_mut(job.operator.plan.copy_len());
        band.copy(&job.x, job.place[0].start, self.channels.clone(), copy);
        let sampling = &band.sampling(self.sampling, self.first);
        let strides = [band.width() * channels, channels];
        let (first, row, count) = ([0; 2], self.row, self.count);
        let is_plain = is_plain(job.operator);
        let patches = Patches { sampling, first, row, count, origin: 0, strides, channels, is_plain };
        self.multiply(s, &patches, copy, &mut TileJob { scratch, tile: &mut *job.tile, ..*job }, starts);
    }

    /// All terms at once, into the output where its channels are contiguous.
    #[inline(always)]
    fn multiply<T: Element, S: Simd<T>>(
        &self,
        s: S,
        patches: &Patches,
        data: &[T],
        job: &mut TileJob<T>,
        starts: &mut [usize],
    ) {
        let TileJob { operator, epilogue, place, tile, scratch, is_joined, .. } = job;
        let m = self.count[0] * self.count[1];
        let (a_at, starts) = starts.split_at_mut(m);
        let (c_at, more) = starts.split_at_mut(m);
        patches.starts(a_at);
        let plain = Plain { rows: m, terms: 0..patches.channels };
        let classes: &dyn Classes = if patches.is_plain { &plain } else { patches };
        let a = A { data, starts: a_at, classes, most_rows: strip_rows::<T>(patches) };
        let bias = operator.bias().map(|bias| &bias[place[3].range()]);
        let start = bias.map_or(Start::Zero, Start::Bias);
        let joined = *is_joined && m > 1;
        if !joined
            && let Some(finish) = epilogue.in_registers(place, patches.lines(), &mut more[..m])
            && let Some(mut rows) = tile.rows(c_at, patches.lines())
        {
            return self.product(s, operator, a, C { rows: &mut rows, start, finish: &finish });
        }
        let (sums, buffer) = scratch.split_at_mut(m * self.n);
        (0..m).for_each(|i| c_at[i] = i * self.n);
        if joined {
            self.product_in_chains(s, operator, a, (sums, c_at), (bias.unwrap_or_default(), &more[..m]));
        } else {
            let rows = &mut Rows::new(sums, c_at, self.n);
            self.product(s, operator, a, C { rows, start, finish: &Finish::NOTHING });
        }
        let pixels = patches.lines().flat_map(|(oy, oxs)| oxs.map(move |ox| [0, oy, ox]));
        for (pixel, sums) in pixels.zip(sums.chunks_exact_mut(self.n)) {
            epilogue.finish(s, (place, &mut **tile), pixel, 0, sums, buffer);
        }
    }

    /// Block by block of terms: patches are copied, multiplied and added to sums in scratch memory, which the epilogue then
    /// finishes pixel by pixel.
    #[inline(always)]
    fn by_blocks<T: Element, S: Simd<T>>(&self, s: S, job: &mut TileJob<T>, starts: &mut [usize]) {
        let TileJob { operator, x, epilogue, place, tile, scratch, .. } = job;
        let (plan, inputs) = (&operator.plan, self.channels.len());
        let [height, width] = self.count;
        let (m, n) = (height * width, self.n);
        let (a, scratch) = scratch.split_at_mut(plan.copy_len());
        let (sums, buffer) = scratch.split_at_mut(m * n);
        let (a_at, c_at) = starts.split_at_mut(m);
        (0..m).for_each(|i| c_at[i] = i * n);
        let bias = operator.bias().map(|bias| &bias[place[3].range()]);
        for row in sums.chunks_exact_mut(n) {
            match bias {
                Some(bias) => row.copy_from_slice(bias),
                None => row.fill(T::ZERO),
            }
        }
        // Terms that are taken together stay together.
        for block in blocks(self.class.taps(), inputs, plan.blocking.depth, plan.terms_at_a_time) {
            let k = block.taps.len() * block.channels.len();
            let term = block.taps.start * inputs + block.channels.start;
            let channels = self.channels.start + block.channels.start..self.channels.start + block.channels.end;
            let patches = Im2col { x, image: place[0].start, channels, taps: block.taps, sampling: self.sampling };
            for i in 0..m {
                a_at[i] = (i * k).wrapping_sub(term);
                patches.row([self.first[0] + self.row + i / width, self.first[1] + i % width], &mut a[i * k..][..k]);
            }
            #[cfg(feature = "simd")]
            if plan.algorithm() == Algorithm::Matrixmultiply {
                let columns = plan.problem.outputs_per_group();
                let b = &operator.packed(self.group, self.class)[term * columns + self.column..];
                crate::gemm::matrixmultiply([m, k, n], (a, k), (b, columns), (sums, n));
                continue;
            }
            let classes = &Plain { rows: m, terms: term..term + k };
            let a = A { data: a, starts: a_at, classes, most_rows: MAX_ROWS };
            let rows = &mut Rows::new(sums, &c_at[..m], n);
            self.product(s, operator, a, C { rows, start: Start::C, finish: &Finish::NOTHING });
        }
        for (i, sums) in sums.chunks_exact_mut(n).enumerate() {
            let pixel = [0, self.row + i / width, i % width];
            epilogue.finish(s, (place, &mut **tile), pixel, 0, sums, buffer);
        }
    }

    /// The product of A and the weights plus bias, as that of each row alone would be, to the bit: chain by chain of terms, panel by
    /// panel, which is the order of the weights.
    fn product_in_chains<T: Element, S: Simd<T>>(
        &self,
        s: S,
        operator: &Operator<T>,
        a: A<T>,
        (sums, c_at): (&mut [T], &[usize]),
        bias: (&[T], &[usize]),
    ) {
        let (m, columns) = (a.starts.len(), RegisterTile::new::<T>(operator.plan.level()).columns);
        let chains = chains(self.channels.len(), operator.plan.terms_at_a_time);
        let columns = if chains[0].is_empty() { self.n } else { columns };
        for first in (0..self.n).step_by(columns) {
            let (column, n) = (self.column + first, columns.min(self.n - first));
            let some = TileProblem { column, n, channels: self.channels.clone(), ..*self };
            let chains = chains.iter().filter(|terms| !terms.is_empty()).cloned();
            for (i, terms) in chains.enumerate() {
                let addend = (i == 0 && !bias.0.is_empty()).then_some((&bias.0[first..], bias.1));
                let finish = &Finish { addend, accumulates: i > 0, ..Finish::NOTHING };
                let rows = &mut Rows::new(&mut sums[first..], c_at, some.n);
                let a = A { classes: &Plain { rows: m, terms }, ..a };
                some.product(s, operator, a, C { rows, start: Start::Zero, finish });
            }
        }
    }

    /// The product of A and the weights.
    #[inline(always)]
    fn product<T: Element, S: Simd<T>>(&self, s: S, operator: &Operator<T>, a: A<T>, c: C<T>) {
        let plan = &operator.plan;
        let nr = RegisterTile::new::<T>(plan.level()).columns;
        let k = self.class.taps() * self.channels.len();
        s.call(Gemm {
            a: a.data,
            a_at: a.starts,
            classes: a.classes,
            most_rows: a.most_rows,
            b: &operator.packed(self.group, self.class)[self.column / nr * k * nr..],
            panel_len: k * nr,
            group: plan.blocking.panels(k, nr),
            c: c.rows,
            n: self.n,
            by: plan.terms_at_a_time,
            start: c.start,
            finish: c.finish,
        });
    }
}

/// Whether a layer has but one tap, and no padding.
fn is_plain<T>(operator: &Operator<T>) -> bool {
    operator.plan.algorithm() == Algorithm::Pointwise
}

/// Pixels of a small tile: it does not pay for lists of [`MAX_ROWS`].
const FEW: usize = 16;

/// The rows of A.
#[derive(Clone, Copy)]
struct A<'a, T> {
    data: &'a [T],
    starts: &'a [usize],
    classes: &'a dyn Classes,
    most_rows: usize,
}

/// The rows of C.
struct C<'a, 'c, T> {
    rows: &'a mut Rows<'c, T>,
    start: Start<'a, T>,
    finish: &'a Finish<'a, T>,
}

/// The most rows of a strip. Pixels that are a multiple of 4 KB apart all fall into one set of the first-level cache, which has
/// room for eight lines on most machines, and B needs one (1x1, 1024 -> 256 at 14x14 on Zen 4).
fn strip_rows<T>(patches: &Patches) -> usize {
    let apart = patches.strides[1].wrapping_mul(patches.sampling[1].stride).wrapping_mul(size_of::<T>());
    if apart.is_multiple_of(4096) { 7 } else { MAX_ROWS }
}

/// Some terms of a sum: either whole taps, or some channels of one tap.
struct Block {
    taps: Range<usize>,
    channels: Range<usize>,
}

/// Cuts the terms into blocks of at most `depth`, and channels in front of whole units. They follow each other in the packed weights.
fn blocks(taps: usize, channels: usize, depth: usize, unit: usize) -> impl Iterator<Item = Block> {
    let taps_each = (depth / channels).max(1);
    let units = channels.div_ceil(unit);
    let channel_blocks = units.div_ceil((depth / unit).max(1));
    let cut = move |i: usize| (units * i / channel_blocks * unit).min(channels);
    (0..taps).step_by(taps_each).flat_map(move |tap| {
        (0..channel_blocks).map(move |i| Block { taps: tap..(tap + taps_each).min(taps), channels: cut(i)..cut(i + 1) })
    })
}
