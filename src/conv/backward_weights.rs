//! The gradient of the weights:
//!
//! ```text
//! dw[ky, kx, ci, co] = sum over n, oy, ox of x[n, sy, sx, ci] * dy[n, oy, ox, co]
//! ```
//!
//! A GEMM with the pixels as the sum's terms: A is the transposed im2col matrix, `[tap, ci][pixel]`, B is dy, packed in
//! panels. A task owns a tile of dw and walks batch and pixels in order, so every element is one sum in that order,
//! whatever the tiles. With one channel a group it is a sum over the pixels, vectorized over all channels.

use super::plan::Plan;
use super::problem::{TILES, channel_parts};
use super::{Blocking, Conv2d, Options, WeightsMut};
use crate::element::Element;
use crate::error::Error;
use crate::gemm::{Finish, Gemm, Plain, RegisterTile, Start};
use crate::run::{Run, Write};
use crate::simd::{Level, Machine, Op, Simd};
use crate::tensor::View;
use crate::tiles::{Box4, Grid, Parts, Rows, Tile};
use crate::window::Sampling;
use core::marker::PhantomData;

/// Rows of A of a task, at most: taps times input channels.
const ROWS: usize = 128;
/// Elements between the rows of A, so that a column does not fall into one set of the cache.
const GAP: usize = 16;
/// Vectors of sums that are kept in registers, and the most lanes of all levels.
const VECTORS: usize = 4;
const LANES: usize = 16;

/// The gradient of a convolution's weights, planned. It holds no weights.
///
/// ```
/// use gemmule::{Conv2d, Options, Run, Tensor, WeightsMut, Write};
/// let conv = Conv2d::new(1, 1, [2, 2]);
/// let prepared = conv.prepare_backward_weights::<f32>(&Options::new())?;
/// let x = Tensor::filled([1, 3, 3, 1], 2.0)?;
/// let dy = Tensor::filled([1, 2, 2, 1], 1.0)?;
/// let mut dw = [0.0; 4];
/// prepared.backward(x.view(), dy.view(), WeightsMut::hwio(&mut dw), Write::Replace, Run::new())?;
/// assert_eq!(dw, [8.0; 4]);
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PreparedBackwardWeights<T> {
    conv: Conv2d,
    plan: Plan,
    element: PhantomData<T>,
}

impl<T: Element> PreparedBackwardWeights<T> {
    pub(super) fn new(conv: Conv2d, options: &Options) -> Result<Self, Error> {
        let plan = conv.plan::<T>(options, &Machine::detect())?;
        if !plan.level().is_available() {
            return Err(Error::Level { asked: plan.level(), available: Level::best() });
        }
        Ok(PreparedBackwardWeights { conv, plan, element: PhantomData })
    }

    fn by_channel(&self) -> bool {
        let p = &self.conv.problem;
        p.inputs_per_group() == 1 && p.outputs_per_group() == 1
    }

    /// Elements of scratch memory that a run with so many workers needs at most.
    pub fn workspace_len(&self, workers: usize) -> usize {
        let Blocking { depth, columns, .. } = self.plan.blocking;
        let columns = columns.max(RegisterTile::new::<T>(self.plan.level()).columns);
        let each = if self.by_channel() { 0 } else { ROWS * (columns + depth + GAP) + depth * columns };
        each.saturating_mul(workers)
    }

    /// `dw`, of the shape `[kh, kw, in_channels / groups, out_channels]`, from the input and the output's gradient.
    ///
    /// # Errors
    /// As [`Conv2d::output_shape`]; [`Error::Shape`] for a `dy` that has not the output's shape, [`Error::Length`] and
    /// [`Error::Overlap`] for `dw`; [`Error::Level`], [`Error::Workspace`], [`Error::OutOfMemory`], [`Error::Executor`].
    pub fn backward(&self, x: View<T>, dy: View<T>, dw: WeightsMut<T>, write: Write, run: Run<T>) -> Result<(), Error> {
        let (axes, expected) = self.conv.axes(x.shape())?;
        dy.check("dy", expected)?;
        let shape = self.conv.weight_shape()?;
        let dw = dw.view(shape)?;
        run.prepared_for(self.plan.level())?;
        let sampling = [axes[0].sampling(x.shape()[1]), axes[1].sampling(x.shape()[2])];
        let work = expected.into_iter().fold(self.conv.problem.terms(), usize::saturating_mul);
        run.for_each_tile(self.grid(shape), Tile::new(dw), self.workspace_len(1), work, |place, tile, scratch| {
            let job = Job { plan: &self.plan, sampling: &sampling, x: &x, dy: &dy, place, tile, scratch, write };
            match self.by_channel() {
                true => T::conv_weights_by_channel(self.plan.level(), WeightsByChannel(job)),
                false => T::conv_weights_by_gemm(self.plan.level(), WeightsByGemm(job)),
            }
        })
    }

    /// How dw is cut: by its shape alone.
    fn grid(&self, [kh, kw, i, o]: [usize; 4]) -> Grid {
        if self.by_channel() {
            let channels = Parts::up_to(o, VECTORS * LANES);
            return Grid::new([Parts::up_to(kh, 1), Parts::up_to(kw, 1), Parts::whole(1), channels]);
        }
        let nr = RegisterTile::new::<T>(self.plan.level()).columns;
        let block = self.conv.problem.outputs_per_group();
        let rows = Parts::up_to(i, ROWS);
        let columns = Parts::up_to(kw, ROWS / i.min(ROWS));
        let height = Parts::up_to(kh, ROWS / (i.min(ROWS) * kw.min(ROWS / i.min(ROWS))));
        let tiles = height.count() * columns.count() * rows.count() * self.conv.problem.groups;
        Grid::new([height, columns, rows, channel_parts(o, block, TILES / tiles.max(1), &self.plan.blocking, nr)])
    }

    /// The level that it runs at.
    pub fn level(&self) -> Level {
        self.plan.level()
    }
}

/// A tile of dw, and what it is made from.
struct Job<'a, 'b, T> {
    plan: &'a Plan,
    sampling: &'a [Sampling; 2],
    x: &'a View<'a, T>,
    dy: &'a View<'a, T>,
    place: &'a Box4,
    tile: &'a mut Tile<'b, T>,
    scratch: &'a mut [T],
    write: Write,
}

impl<T: Element> Job<'_, '_, T> {
    /// Writes, or adds, sums of a row of the tile.
    fn write(tile: &mut Tile<T>, write: Write, at: [usize; 3], c: usize, sums: &[T]) {
        for (i, &sum) in sums.iter().enumerate() {
            let dw = tile.element(at, c + i);
            *dw = if write == Write::Accumulate { *dw + sum } else { sum };
        }
    }
}

pub struct WeightsByGemm<'a, 'b, T>(Job<'a, 'b, T>);

impl<T: Element> Op<T> for WeightsByGemm<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Job { plan, sampling, x, dy, place, tile, scratch, write } = self.0;
        let [rows, columns, inputs, n] = tile.shape();
        let (m, nr, depth) = (rows * columns * inputs, 2 * S::LANES, plan.blocking.depth);
        let padded = n.div_ceil(nr) * nr;
        let group = place[3].start / plan.problem.outputs_per_group();
        let channel = group * plan.problem.inputs_per_group() + place[2].start;
        let (sums, scratch) = scratch.split_at_mut(m * n);
        let (a, b) = scratch.split_at_mut(m * (depth + GAP));
        sums.fill(T::ZERO);
        let mut c_at = [0; ROWS];
        c_at[..m].iter_mut().enumerate().for_each(|(i, at)| *at = i * n);
        let [batch, height, width, _] = dy.shape();
        let pixels = height * width;
        for image in 0..batch {
            for first in (0..pixels).step_by(depth) {
                let k = depth.min(pixels - first);
                let pitch = k + GAP;
                let block = Pixels { image, first, k, pitch, width };
                for row in 0..rows * columns {
                    let taps = [place[0].start + row / columns, place[1].start + row % columns];
                    let a = &mut a[row * inputs * pitch..][..inputs * pitch];
                    block.transpose(x, sampling, taps, channel, a);
                }
                block.pack(dy, place[3].start, n, nr, &mut b[..padded * k]);
                let mut a_at = [0; ROWS];
                a_at[..m].iter_mut().enumerate().for_each(|(i, at)| *at = i * pitch);
                s.call(Gemm {
                    a,
                    a_at: &a_at[..m],
                    classes: &Plain { rows: m, terms: 0..k },
                    most_rows: ROWS,
                    b,
                    panel_len: k * nr,
                    group: 1,
                    c: &mut Rows::new(sums, &c_at[..m], n),
                    n,
                    by: 1,
                    start: Start::C,
                    finish: &Finish::NOTHING,
                });
            }
        }
        for (i, sums) in sums.chunks_exact(n).enumerate() {
            let at = [i / inputs / columns, i / inputs % columns, i % inputs];
            Job::write(tile, write, at, 0, sums);
        }
    }
}

/// Some pixels of an output, in row-major order.
struct Pixels {
    image: usize,
    first: usize,
    k: usize,
    /// From a row of A to the next.
    pitch: usize,
    width: usize,
}

impl Pixels {
    /// The rows of the transposed im2col matrix for one tap: `a[ci][pixel]`.
    #[inline(always)]
    fn transpose<T: Element>(
        &self,
        x: &View<T>,
        sampling: &[Sampling; 2],
        taps: [usize; 2],
        channel: usize,
        a: &mut [T],
    ) {
        let stride = x.strides()[3];
        for i in 0..self.k {
            let o = [(self.first + i) / self.width, (self.first + i) % self.width];
            let column = a[i..].iter_mut().step_by(self.pitch);
            match (sampling[0].at(o[0], taps[0]), sampling[1].at(o[1], taps[1])) {
                (Some(sy), Some(sx)) => {
                    let start = x.at([self.image, sy, sx, channel]);
                    column.enumerate().for_each(|(ci, to)| *to = x.data()[start + ci * stride]);
                }
                _ => column.for_each(|to| *to = T::ZERO),
            }
        }
    }

    /// Channels of dy in panels: `b[panel][pixel][nr]`, with zeros in the last one's rest.
    #[inline(always)]
    fn pack<T: Element>(&self, dy: &View<T>, channel: usize, n: usize, nr: usize, b: &mut [T]) {
        let mut buffer = [T::ZERO; 2 * LANES];
        for (p, panel) in b.chunks_exact_mut(self.k * nr).enumerate() {
            let len = nr.min(n - p * nr);
            for (i, row) in panel.chunks_exact_mut(nr).enumerate() {
                let at = [self.image, (self.first + i) / self.width, (self.first + i) % self.width];
                row[..len].copy_from_slice(dy.pixel(at, channel + p * nr, len, &mut buffer));
                row[len..].fill(T::ZERO);
            }
        }
    }
}

pub struct WeightsByChannel<'a, 'b, T>(Job<'a, 'b, T>);

impl<T: Element> Op<T> for WeightsByChannel<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Job { sampling, x, dy, place, tile, write, .. } = self.0;
        let (taps, channel, n) = ([place[0].start, place[1].start], place[3].start, tile.shape()[3]);
        let [batch, height, width, _] = dy.shape();
        for c in (0..n).step_by(S::LANES) {
            let len = S::LANES.min(n - c);
            let (mut xs, mut dys) = ([T::ZERO; LANES], [T::ZERO; LANES]);
            let mut sum = s.splat(T::ZERO);
            for (image, oy) in (0..batch).flat_map(|image| (0..height).map(move |oy| (image, oy))) {
                let Some(sy) = sampling[0].at(oy, taps[0]) else { continue };
                for ox in 0..width {
                    let Some(sx) = sampling[1].at(ox, taps[1]) else { continue };
                    let x = x.pixel([image, sy, sx], channel + c, len, &mut xs);
                    let dy = dy.pixel([image, oy, ox], channel + c, len, &mut dys);
                    sum = s.mul_add(s.load_partial(x), s.load_partial(dy), sum);
                }
            }
            let mut sums = [T::ZERO; LANES];
            s.store_partial(sum, &mut sums[..len]);
            Job::write(tile, write, [0, 0, 0], c, &sums[..len]);
        }
    }
}
