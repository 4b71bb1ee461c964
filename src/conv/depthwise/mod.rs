//! Depthwise convolution: one input channel a group, so there is nothing to multiply matrices for.
//!
//! ```text
//! y[oy, ox, o] = bias[o] + sum over taps of x[sy, sx, o / outputs_per_group] * w[tap, o]
//! ```
//!
//! The same loops serve a few channels a group, as many inputs as outputs, which fill a part of a vector: there, each input is
//! spread over the lanes of its group first.
//!
//! Vectorized over the output channels of all groups. Taps in the padding are left out: a tile falls into regions whose
//! outputs share their taps, nearly all of it into one. A region is walked along its longer axis, a block of pixels at a
//! time. Each sum is its bias and then its taps in row-major order, whatever the block that it is computed in.

mod kernel;
mod region;
mod tiling;

pub(super) use tiling::{STRIP, grid, least_strip, scratch_len};

use super::band::Band;
use super::operator::TileJob;
use crate::activation::{Activation, Bounds};
use crate::element::Element;
use crate::simd::{Lattice, Op, Simd};
use kernel::Weights;
use region::{Lines, Region, Stretch, Stretches, Target, TwoRows, room};
use tiling::Source;

pub struct Depthwise<'a, 'b, T>(pub(super) TileJob<'a, 'b, T>);

impl<T: Element> Op<T> for Depthwise<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, epilogue, place, tile, scratch } = self.0;
        let p = &operator.plan.problem;
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let ([_, height, width, n], inputs) = (tile.shape(), p.inputs_per_group());
        let outputs = [[first[0], height], [first[1], width]];
        let (sums, strip) = scratch.split_at_mut(room(n));
        let (source, sampling, first) = if tiling::pads(p, axes, [x.shape()[1], x.shape()[2]]) {
            let band = Band::new(&sampling, first, [height, width]);
            band.copy(&x, place[0].start, place[3].range(), strip);
            (Source::padded(strip, band.width(), n), band.sampling(&sampling, first), [0; 2])
        } else {
            (Source::new(x, place, p, &sampling, outputs, strip), sampling, first)
        };
        let outputs = [[first[0], height], [first[1], width]];
        let (panel, channel) = (operator.plan.packing(operator.plan.algorithm()).panel, place[3].start);
        let packed = operator.packed(0, &class);
        let bias = operator.bias().map(|bias| &bias[channel..][..n]);
        let bounds = epilogue.in_place().and_then(Activation::bounds).unwrap_or(Bounds::None);
        let mut target = Target { tile, place, epilogue, sums };
        for rows in Stretches::new(&sampling[0], outputs[0]) {
            for columns in Stretches::new(&sampling[1], outputs[1]) {
                let first_tap = rows.valid.start * class.count[1] + columns.valid.start;
                let counts = [rows.valid.len(), columns.valid.len(), inputs];
                let steps = [class.count[1] * inputs * panel, inputs * panel, panel].map(|step| step as isize);
                let taps = Lattice::new(packed, first_tap * inputs * panel + channel, counts, steps, n);
                let weights = Weights { taps, bias, bounds };
                let rows = rows.clone();
                let mut region = Region { rows, columns, weights, source: &source, sampling: &sampling, first };
                // Two rows at a time, of 3 columns of taps, which are unrolled, or of any number.
                let three = region.columns.valid.len() == 3;
                if n >= S::LANES && region.rows.count > 1 && region.columns.count > 1 && region.slides() {
                    let (region, target) = (&region, &mut target);
                    match (three, inputs) {
                        (true, 1) => s.call(TwoRows::<T, 3, false> { region, target }),
                        (false, 1) => s.call(TwoRows::<T, 0, false> { region, target }),
                        (true, _) => s.call(TwoRows::<T, 3, true> { region, target }),
                        (false, _) => s.call(TwoRows::<T, 0, true> { region, target }),
                    }
                }
                if n >= S::LANES && region.rows.count > 1 && region.columns.count > 1 && region.slides() {
                    // The last one of an odd number of rows is left.
                    let Stretch { start, count, .. } = &mut region.rows;
                    (*start, *count) = (*start + *count / 2 * 2, *count % 2);
                }
                if region.rows.count > 0 {
                    let (region, target) = (&region, &mut target);
                    match inputs {
                        1 => s.call(Lines::<T, false> { region, target }),
                        _ => s.call(Lines::<T, true> { region, target }),
                    }
                }
            }
        }
    }
}
