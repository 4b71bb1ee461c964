//! A tile of outputs by GEMM: `pointwise` and `im2col`, with our own GEMM, and `matrixmultiply`.
//!
//! The sum is cut into blocks of taps and channels. For each one, rows of A are found in the image (`pointwise`) or
//! copied into scratch memory (im2col), and multiplied with their rows of the packed weights into the sums, `[pixel][o]`,
//! which the epilogue then finishes pixel by pixel.

use super::Algorithm;
use super::im2col::Im2col;
use super::operator::TileJob;
use super::problem::TapClass;
use crate::element::Element;
use crate::gemm::{Gemm, MAX_ROWS, RegisterTile, Start};
use crate::simd::{Op, Simd};
use crate::tensor::View;
use crate::window::Sampling;
use core::ops::Range;

pub struct GemmTile<'a, 'b, T>(pub(super) TileJob<'a, 'b, T>);

/// Some terms of a sum: either whole taps, or some channels of one tap.
struct Block {
    taps: Range<usize>,
    channels: Range<usize>,
}

/// Cuts the terms into blocks of at most `depth`. They follow each other in the packed weights.
fn blocks(taps: usize, channels: usize, depth: usize) -> impl Iterator<Item = Block> {
    let taps_each = (depth / channels).max(1);
    let channel_blocks = channels.div_ceil(depth);
    (0..taps).step_by(taps_each).flat_map(move |tap| {
        (0..channel_blocks).map(move |i| Block {
            taps: tap..(tap + taps_each).min(taps),
            channels: channels * i / channel_blocks..channels * (i + 1) / channel_blocks,
        })
    })
}

impl<T: Element> Op<T> for GemmTile<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, epilogue, place, tile, scratch } = self.0;
        let (plan, p) = (&operator.plan, &operator.plan.problem);
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let [_, height, width, n] = tile.shape();
        let m = height * width;
        let (sums, scratch) = scratch.split_at_mut(m * n);
        let (a, buffer) = scratch.split_at_mut(plan.blocking.rows * plan.blocking.depth);
        let group = place[3].start / p.outputs_per_group();
        let bias = operator.bias().map(|bias| &bias[place[3].range()]);
        let mut product = Product { operator, class: &class, group, column: place[3].start % p.outputs_per_group(), n };
        product.begin(sums, bias);
        let inputs = p.inputs_per_group();
        let mut start = bias.map_or(Start::Zero, Start::Bias);
        let in_place = plan.algorithm() == Algorithm::Pointwise && reads_well::<T, S>(&x, &sampling[1]);
        let mut a_at = [0; MAX_ROWS];
        for block in blocks(class.taps(), inputs, plan.blocking.depth) {
            let k = block.taps.len() * block.channels.len();
            let term = block.taps.start * inputs + block.channels.start;
            let channels = group * inputs + block.channels.start..group * inputs + block.channels.end;
            let lower = Im2col { x: &x, image: place[0].start, channels, taps: block.taps, sampling: &sampling };
            let pixels = (0..m).map(|i| [first[0] + i / width, first[1] + i % width]);
            if in_place {
                for (at, pixel) in a_at.iter_mut().zip(pixels) {
                    *at = place_of(&lower, pixel);
                }
                product.add(s, (x.data(), &a_at[..m]), k, term, sums, start);
            } else {
                for (i, pixel) in pixels.enumerate() {
                    a_at[i] = i * k;
                    lower.row(pixel, &mut a[i * k..][..k]);
                }
                product.add(s, (a, &a_at[..m]), k, term, sums, start);
            }
            start = Start::C;
        }
        for (i, sums) in sums.chunks_exact_mut(n).enumerate() {
            epilogue.finish(s, (place, &mut *tile), [0, i / width, i % width], 0, sums, buffer);
        }
    }
}

/// Whether a strip of pixels can be read where it lies. Channels have to be contiguous; and pixels that are a multiple of
/// 4 KB apart all fall into one set of the first-level cache, which has room for eight of them (1x1, 1024 -> 256 at 14x14 on
/// Zen 4: 0.73 of the peak in place, 0.86 from a copy).
#[inline(always)]
fn reads_well<T: Element, S: Simd<T>>(x: &View<T>, columns: &Sampling) -> bool {
    // An axis of one pixel is never stepped along, so its stride may be any number.
    let apart = x.strides()[2].wrapping_mul(columns.stride).wrapping_mul(size_of::<T>());
    let aliased = apart.is_multiple_of(4096) && S::REGISTERS > 16;
    x.strides()[3] == 1 && !aliased
}

/// Where the one tap of an unpadded 1x1 kernel lies in the image.
#[inline(always)]
fn place_of<T: Element>(lower: &Im2col<T>, pixel: [usize; 2]) -> usize {
    let at = |axis: usize, sampling: &Sampling| sampling.at(pixel[axis], 0).expect("there is no padding");
    let (sy, sx) = (at(0, &lower.sampling[0]), at(1, &lower.sampling[1]));
    lower.x.at([lower.image, sy, sx, lower.channels.start])
}

/// Rows of A times some rows of a group's weights.
struct Product<'a, T> {
    operator: &'a super::operator::Operator<T>,
    class: &'a TapClass,
    group: usize,
    /// The first column of the weights, and how many.
    column: usize,
    n: usize,
}

impl<T: Element> Product<'_, T> {
    /// What the sums have to hold before the first block.
    fn begin(&mut self, sums: &mut [T], bias: Option<&[T]>) {
        let by_rows = self.operator.plan.algorithm() == Algorithm::Matrixmultiply;
        if by_rows || self.class.taps() == 0 {
            for row in sums.chunks_exact_mut(self.n) {
                match bias {
                    Some(bias) => row.copy_from_slice(bias),
                    None => row.fill(T::ZERO),
                }
            }
        }
    }

    /// Adds the product of A's rows, `k` long, and the weights' rows from `term` on.
    #[inline(always)]
    fn add<S: Simd<T>>(
        &self,
        s: S,
        (a, a_at): (&[T], &[usize]),
        k: usize,
        term: usize,
        sums: &mut [T],
        start: Start<T>,
    ) {
        let (plan, weights) = (&self.operator.plan, self.operator.packed(self.group, self.class));
        #[cfg(feature = "simd")]
        if plan.algorithm() == Algorithm::Matrixmultiply {
            let columns = plan.problem.outputs_per_group();
            let b = &weights[term * columns + self.column..];
            let m = a_at.len();
            return crate::gemm::matrixmultiply([m, k, self.n], (a, k), (b, columns), (sums, self.n));
        }
        let nr = RegisterTile::new::<T>(plan.level()).columns;
        let panel_len = self.class.taps() * plan.problem.inputs_per_group() * nr;
        let b = &weights[self.column / nr * panel_len + term * nr..];
        s.call(Gemm { a, a_at, k, b, panel_len, c: sums, ldc: self.n, n: self.n, start });
    }
}
