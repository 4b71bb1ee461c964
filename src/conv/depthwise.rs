//! Depthwise convolution: one input channel a group, so there is nothing to multiply matrices for.
//!
//! ```text
//! y[oy, ox, o] = bias[o] + sum over taps of x[sy, sx, o / outputs_per_group] * w[tap, o]
//! ```
//!
//! Vectorized over the output channels of all groups; taps in the padding are left out.

use super::operator::TileJob;
use crate::element::Element;
use crate::simd::{Op, Simd};
use crate::tensor::View;
use crate::window::Sampling;
use core::array::from_fn;

pub struct Depthwise<'a, 'b, T>(pub(super) TileJob<'a, 'b, T>);

/// Vectors of sums that are kept in registers.
const VECTORS: usize = 4;
/// The most lanes of all levels.
const LANES: usize = 16;

impl<T: Element> Op<T> for Depthwise<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, epilogue, place, tile, scratch } = self.0;
        let p = &operator.plan.problem;
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let [_, height, width, n] = tile.shape();
        let (sums, buffer) = scratch.split_at_mut(n);
        let pixels = Pixel {
            x: &x,
            image: place[0].start,
            sampling: &sampling,
            weights: operator.packed(0, &class),
            outputs: p.outputs,
            repeat: p.outputs_per_group(),
        };
        for (j, k) in (0..height).flat_map(|j| (0..width).map(move |k| (j, k))) {
            for c in (0..n).step_by(VECTORS * S::LANES) {
                let sums = &mut sums[c..n.min(c + VECTORS * S::LANES)];
                let channel = place[3].start + c;
                match operator.bias() {
                    Some(bias) => sums.copy_from_slice(&bias[channel..][..sums.len()]),
                    None => sums.fill(T::ZERO),
                }
                pixels.sum(s, [first[0] + j, first[1] + k], channel, sums);
            }
            epilogue.finish(s, (place, &mut *tile), [0, j, k], 0, sums, buffer);
        }
    }
}

/// What the sums of one pixel are made from.
struct Pixel<'a, T> {
    x: &'a View<'a, T>,
    image: usize,
    sampling: &'a [Sampling; 2],
    /// `[tap][output]`.
    weights: &'a [T],
    outputs: usize,
    /// Outputs of one input channel.
    repeat: usize,
}

impl<T: Element> Pixel<'_, T> {
    /// Adds all taps to the sums of some channels.
    #[inline(always)]
    fn sum<S: Simd<T>>(&self, s: S, o: [usize; 2], channel: usize, sums: &mut [T]) {
        let vectors = sums.len() / S::LANES;
        match sums.len() % S::LANES {
            0 if vectors == VECTORS => self.whole::<S, VECTORS>(s, o, channel, sums),
            0 if vectors == 3 => self.whole::<S, 3>(s, o, channel, sums),
            0 if vectors == 2 => self.whole::<S, 2>(s, o, channel, sums),
            0 if vectors == 1 => self.whole::<S, 1>(s, o, channel, sums),
            _ => self.partial(s, o, channel, sums),
        }
    }

    /// As many channels as `N` vectors have, in registers over all taps.
    #[inline(always)]
    fn whole<S: Simd<T>, const N: usize>(&self, s: S, o: [usize; 2], channel: usize, sums: &mut [T]) {
        let mut acc: [S::V; N] = from_fn(|v| s.load(&sums[v * S::LANES..]));
        self.taps(o, channel, N * S::LANES, |x, w| {
            for v in 0..N {
                acc[v] = s.mul_add(s.load(&x[v * S::LANES..]), s.load(&w[v * S::LANES..]), acc[v]);
            }
        });
        for v in 0..N {
            s.store(acc[v], &mut sums[v * S::LANES..]);
        }
    }

    /// Any number of channels, a vector after the other.
    #[inline(always)]
    fn partial<S: Simd<T>>(&self, s: S, o: [usize; 2], channel: usize, sums: &mut [T]) {
        for (i, sums) in sums.chunks_mut(S::LANES).enumerate() {
            let mut acc = s.load_partial(sums);
            self.taps(o, channel + i * S::LANES, sums.len(), |x, w| {
                acc = s.mul_add(s.load_partial(x), s.load_partial(w), acc);
            });
            s.store_partial(acc, sums);
        }
    }

    /// Calls `f` with the inputs and the weights of each tap that lies in the image.
    #[inline(always)]
    fn taps(&self, o: [usize; 2], channel: usize, len: usize, mut f: impl FnMut(&[T], &[T])) {
        let [rows, columns] = self.sampling;
        let valid = columns.valid(o[1]);
        let Some(sx) = columns.at(o[1], valid.start) else { return };
        // From a tap to the next one in the same row.
        // An axis of one pixel is never stepped along, so its stride may be any number.
        let step = columns.step.wrapping_mul(self.x.strides()[2] as isize);
        for ty in rows.valid(o[0]) {
            let Some(sy) = rows.at(o[0], ty) else { continue };
            let mut at = self.x.at([self.image, sy, sx, 0]);
            let weights = &self.weights[(ty * columns.taps + valid.start) * self.outputs..];
            let weights = weights[..valid.len() * self.outputs].chunks_exact(self.outputs);
            for w in weights {
                let w = &w[channel..][..len];
                if self.repeat == 1 && self.x.strides()[3] == 1 {
                    f(&self.x.data()[at + channel..][..len], w);
                } else {
                    let mut gathered = [T::ZERO; VECTORS * LANES];
                    for (i, to) in gathered[..len].iter_mut().enumerate() {
                        *to = self.x.data()[at + (channel + i) / self.repeat * self.x.strides()[3]];
                    }
                    f(&gathered[..len], w);
                }
                at = at.wrapping_add_signed(step);
            }
        }
    }
}
