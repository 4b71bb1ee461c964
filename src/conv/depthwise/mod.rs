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
mod region;
mod tiling;

pub(super) use tiling::{grid, scratch_len};

use super::operator::TileJob;
use crate::element::Element;
use crate::simd::{Lattice, Op, Simd};
use kernel::{Bounds, Weights};
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
        let [_, height, width, n] = tile.shape();
        let outputs = [[first[0], height], [first[1], width]];
        let (sums, strip) = scratch.split_at_mut(room(n));
        let source = Source::new(x, place, p, &sampling, outputs, strip);
        let (panel, channel) = (operator.plan.packing(operator.plan.algorithm()).panel, place[3].start);
        let packed = operator.packed(0, &class);
        let bias = operator.bias().map(|bias| &bias[channel..][..n]);
        let bounds = epilogue.in_place().and_then(Bounds::of).unwrap_or(Bounds::None);
        let mut target = Target { tile, place, epilogue, sums };
        for rows in Stretches::new(&sampling[0], outputs[0]) {
            for columns in Stretches::new(&sampling[1], outputs[1]) {
                let first_tap = rows.valid.start * class.count[1] + columns.valid.start;
                let (counts, steps) = ([rows.valid.len(), columns.valid.len(), 1], [class.count[1] * panel, panel]);
                let steps = [steps[0] as isize, steps[1] as isize, 0];
                let taps = Lattice::new(packed, first_tap * panel + channel, counts, steps, n);
                let weights = Weights { taps, bias, bounds };
                let rows = rows.clone();
                let mut region = Region { rows, columns, weights, source: &source, sampling: &sampling, first };
                if n >= S::LANES && region.rows.count > 1 && region.columns.count > 1 && region.slides() {
                    if region.columns.valid.len() == 3 {
                        s.call(TwoRows::<T, 3> { region: &region, target: &mut target });
                    } else {
                        s.call(TwoRows::<T, 0> { region: &region, target: &mut target });
                    }
                    // The last one of an odd number of rows is left.
                    let Stretch { start, count, .. } = &mut region.rows;
                    (*start, *count) = (*start + *count / 2 * 2, *count % 2);
                }
                if region.rows.count > 0 {
                    s.call(Lines { region: &region, target: &mut target });
                }
            }
        }
    }
}
