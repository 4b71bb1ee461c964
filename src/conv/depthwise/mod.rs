//! Depthwise convolution: one input channel a group, so there is nothing to multiply matrices for.
//!
//! ```text
//! y[oy, ox, o] = bias[o] + sum over taps of x[sy, sx, o / outputs_per_group] * w[tap, o]
//! ```
//!
//! The same loops serve a few channels a group, as many inputs as outputs, which fill a part of a vector: there, each input is
//! spread over the lanes of its group first.
//!
//! Vectorized over the output channels of all groups. Kernels of 3x3 taps are written out, padding included (`blocks.rs`). Of
//! others, taps in the padding are left out: a tile falls into regions whose outputs share their taps, nearly all of it into
//! one, which is walked along its longer axis, a block of pixels at a time. Each sum is its bias and then its taps in row-major
//! order, whatever the block that it is computed in.

mod blocks;
mod kernel;
mod region;
mod tiling;

pub(super) use tiling::{STRIP, grid, least_strip, scratch_len};

use super::band::Band;
use super::operator::TileJob;
use crate::activation::{Activation, Bounds};
use crate::element::Element;
use crate::simd::{Lattice, Op, Simd};
use blocks::Blocks;
use kernel::{ONE, SOME, VECTOR, Weights};
use region::{Lines, Region, Target, TwoRows, room};
use tiling::Source;

pub struct Depthwise<'a, 'b, T>(pub(super) TileJob<'a, 'b, T>);

impl<T: Element> Op<T> for Depthwise<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, epilogue, place, tile, scratch, .. } = self.0;
        let p = &operator.plan.problem;
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let ([_, height, width, n], inputs) = (tile.shape(), p.inputs_per_group());
        let (sums, strip) = scratch.split_at_mut(room(n));
        let (source, sampling, first) = if tiling::pads(p, axes, [x.shape()[1], x.shape()[2]]) {
            let band = Band::new(&sampling, first, [height, width]);
            band.copy(&x, place[0].start, place[3].range(), strip);
            (Source::padded(strip, band.width(), n), band.sampling(&sampling, first), [0; 2])
        } else {
            let outputs = [[first[0], height], [first[1], width]];
            (Source::new(s, x, place, p, &sampling, outputs, strip), sampling, first)
        };
        let (panel, channel) = (operator.plan.packing(operator.plan.algorithm()).panel, place[3].start);
        let packed = operator.packed(0, &class);
        let bias = operator.bias().map(|bias| &bias[channel..][..n]);
        let bounds = epilogue.in_place().and_then(Activation::bounds).unwrap_or(Bounds::None);
        let (sums, zeros) = sums.split_at_mut(sums.len() - n);
        let mut target = Target { tile, place, epilogue, sums };
        let steps = [class.count[1] * inputs * panel, inputs * panel, panel].map(|step| step as isize);
        if S::WRITES_OUT && n >= S::LANES && blocks::take(p) && blocks::fit([height, width]) {
            zeros.fill(T::ZERO);
            let taps = Lattice::new(packed, channel, [3, 3, 1], steps, n);
            let (weights, source, sampling) = (&Weights { taps, bias, bounds }, &source, &sampling);
            let (size, zeros, target) = ([height, width], &*zeros, &mut target);
            return match sampling[0].stride {
                1 => s.call(Blocks::<T, 1, 4, 5, 6, 8> { weights, source, sampling, first, size, zeros, target }),
                _ => s.call(Blocks::<T, 2, 5, 7, 9, 13> { weights, source, sampling, first, size, zeros, target }),
            };
        }
        for rows in sampling[0].stretches(first[0], height) {
            for columns in sampling[1].stretches(first[1], width) {
                let first_tap = rows.taps.start * class.count[1] + columns.taps.start;
                let counts = [rows.taps.len(), columns.taps.len(), inputs];
                let taps = Lattice::new(packed, first_tap * inputs * panel + channel, counts, steps, n);
                let weights = Weights { taps, bias, bounds };
                let rows = rows.clone();
                let mut region = Region { rows, columns, weights, source: &source, sampling: &sampling, first };
                let pairs = if n >= S::LANES && region.columns.outputs.len() > 1 && region.slides() {
                    region.rows.outputs.len() / 2
                } else {
                    0
                };
                if pairs > 0 {
                    let (region, target) = (&region, &mut target);
                    // Three columns of taps are unrolled, where they are not written out anyway.
                    match (region.columns.taps.len(), inputs) {
                        (3, 1) if const { !S::WRITES_OUT } => s.call(TwoRows::<T, 3, ONE> { region, target }),
                        (_, 1) => s.call(TwoRows::<T, 0, ONE> { region, target }),
                        (3, width) if width == S::LANES => s.call(TwoRows::<T, 3, VECTOR> { region, target }),
                        (3, _) => s.call(TwoRows::<T, 3, SOME> { region, target }),
                        _ => s.call(TwoRows::<T, 0, SOME> { region, target }),
                    }
                }
                // The last one of an odd number of rows is left.
                region.rows.outputs.start += 2 * pairs;
                if !region.rows.outputs.is_empty() {
                    let (region, target) = (&region, &mut target);
                    match inputs {
                        1 => s.call(Lines::<T, ONE> { region, target }),
                        _ => s.call(Lines::<T, SOME> { region, target }),
                    }
                }
            }
        }
    }
}
