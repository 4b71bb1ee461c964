//! Depthwise convolution: one input channel a group, so there is nothing to multiply matrices for.
//!
//! ```text
//! y[oy, ox, o] = bias[o] + sum over taps of x[sy, sx, o / outputs_per_group] * w[tap, o]
//! ```
//!
//! The same loops serve a few channels a group, as many inputs as outputs, which fill a part of a vector: there, each input is
//! spread over the lanes of its group first.
//!
//! Vectorized over the output channels of all groups. With the usual kernels, outputs slide along the rows of the image
//! (`slide.rs`). Of others, taps in the padding are left out: a tile falls into regions whose outputs share their taps, nearly
//! all of it into one, which is walked along its longer axis, a block of pixels at a time. Where it would fall into many small ones,
//! it is one region of a copy with its padding. Each sum is its bias and then its taps, in row-major order or, with the usual kernels,
//! in column-major order, whatever the block that it is computed in.

mod kernel;
mod region;
mod slide;
mod tiling;

pub(super) use tiling::{grid, least_strip, scratch_len, strip_len};

use super::band::Band;
use super::operator::TileJob;
use crate::activation::{Activation, Bounds};
use crate::element::Element;
use crate::simd::{Lattice, Op, Simd};
use kernel::{ONE, SOME, VECTOR, Weights};
use region::{Lines, Region, Target, TwoRows, room};
use slide::Slide;
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
            (Source::padded(strip, &band, [x.shape()[1], n]), band.sampling(&sampling, first), [0; 2])
        } else {
            let outputs = [[first[0], height], [first[1], width]];
            (Source::new(s, x, place, p, &sampling, outputs, strip), sampling, first)
        };
        let lattice = tiling::lattice(p, &x);
        let (source, sampling, first) = match lattice {
            [1, 1] => (source, sampling, first),
            by => {
                let (source, sampling) = source.lattice(sampling, first, by);
                (source, sampling, [0; 2])
            }
        };
        let (panel, channel) = (operator.plan.packing(operator.plan.algorithm()).panel, place[3].start);
        let packed = operator.packed(0, &class);
        let bias = operator.bias().map(|bias| &bias[channel..][..n]);
        let bounds = epilogue.in_place().and_then(Activation::bounds).unwrap_or(Bounds::None);
        let mut target = Target { tile, place, epilogue, sums };
        let steps = [class.count[1] * inputs * panel, inputs * panel, panel].map(|step| step as isize);
        let by_columns = slide::take(p);
        if by_columns && lattice == p.window.dilation && n >= S::LANES && height > 1 {
            let taps = Lattice::new(packed, channel, [class.count[0], class.count[1], 1], steps, n);
            let (weights, source, sampling) = (&Weights { taps, bias, bounds }, &source, &sampling);
            let (size, target) = ([height, width], &mut target);
            macro_rules! slide {
                ($kernel:literal, $stride:literal) => {
                    s.call(Slide::<T, $kernel, $stride> { weights, source, sampling, first, size, target })
                };
            }
            return match (class.count[0], sampling[0].stride) {
                (3, 1) => slide!(3, 1),
                (3, _) => slide!(3, 2),
                (5, 1) => slide!(5, 1),
                (5, _) => slide!(5, 2),
                (_, 1) => slide!(7, 1),
                _ => slide!(7, 2),
            };
        }
        for rows in sampling[0].stretches(first[0], height) {
            for columns in sampling[1].stretches(first[1], width) {
                let first_tap = rows.taps.start * class.count[1] + columns.taps.start;
                let (mut counts, mut steps) = ([rows.taps.len(), columns.taps.len(), inputs], steps);
                if by_columns {
                    counts.swap(0, 1);
                    steps.swap(0, 1);
                }
                let taps = Lattice::new(packed, first_tap * inputs * panel + channel, counts, steps, n);
                let weights = Weights { taps, bias, bounds };
                let rows = rows.clone();
                let (source, sampling) = (&source, &sampling);
                let mut region = Region { rows, columns, weights, source, sampling, first, by_columns };
                let pairs = if n >= S::LANES && region.columns.outputs.len() > 1 && region.slides() && !by_columns {
                    region.rows.outputs.len() / 2
                } else {
                    0
                };
                if pairs > 0 {
                    let (region, target) = (&region, &mut target);
                    match (region.columns.taps.len(), inputs) {
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
