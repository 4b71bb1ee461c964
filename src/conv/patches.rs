//! Patches of an image, read where they lie: the rows of the im2col matrix as segments.
//!
//! ```text
//! a[pixel][tap, i] = data[pixel's start + tap's offset + i]
//! ```
//!
//! Pixels that have the same taps inside the image form a class; what lies in the padding is left out of their sums.

use crate::gemm::{Classes, Segment};
use crate::window::Sampling;
use core::ops::Range;

/// The most segments of a class: they lie on the stack.
pub(super) const MAX_SEGMENTS: usize = 128;

/// The patches of a tile of outputs.
pub(super) struct Patches<'a> {
    pub sampling: &'a [Sampling; 2],
    /// The tile's first output, as the samplings count, and how many there are.
    pub first: [usize; 2],
    pub count: [usize; 2],
    /// Where the pixel `[0, 0]` lies, and elements from a row or column of the image to the next.
    pub origin: usize,
    pub strides: [usize; 2],
    /// Channels, side by side.
    pub channels: usize,
}

/// Outputs along an axis that share their valid taps.
fn stretches(sampling: &Sampling, first: usize, count: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut next = 0;
    core::iter::from_fn(move || {
        let start = next;
        (start < count).then(|| {
            let taps = sampling.valid(first + start);
            next = (start + 1..count).find(|&i| sampling.valid(first + i) != taps).unwrap_or(count);
            (start..next, taps)
        })
    })
}

impl Patches<'_> {
    /// Writes the tile's pixels, class by class, and returns how many there are.
    pub fn order(&self, pixels: &mut [[usize; 2]]) -> usize {
        let mut pixels = pixels.iter_mut();
        let [rows, columns] = self.sampling;
        for (oys, _) in stretches(rows, self.first[0], self.count[0]) {
            for (oxs, _) in stretches(columns, self.first[1], self.count[1]) {
                for oy in oys.clone() {
                    oxs.clone().zip(&mut pixels).for_each(|(ox, pixel)| *pixel = [oy, ox]);
                }
            }
        }
        self.count[0] * self.count[1]
    }

    /// Where the first tap of a pixel of the tile lies; in the padding that is before the image, modulo the size of the
    /// address space.
    #[inline(always)]
    pub fn start(&self, pixel: [usize; 2]) -> usize {
        let axis = |i: usize| {
            let s = &self.sampling[i];
            let at = ((self.first[i] + pixel[i]) * s.stride) as isize + s.first;
            (at as usize).wrapping_mul(self.strides[i])
        };
        self.origin.wrapping_add(axis(0)).wrapping_add(axis(1))
    }

    /// The segments of the pixels that have these taps.
    fn segments(&self, tys: Range<usize>, txs: Range<usize>, segments: &mut [Segment; MAX_SEGMENTS]) -> usize {
        let step = |i: usize| (self.sampling[i].step as usize).wrapping_mul(self.strides[i]);
        let taps = self.sampling[1].taps;
        // The taps of a row that follow each other in memory are one segment.
        let each = if step(1) == self.channels { txs.len() } else { 1 };
        let mut n = 0;
        for ty in tys {
            for tx in txs.clone().step_by(each.max(1)) {
                segments[n] = Segment {
                    len: each * self.channels,
                    a: ty.wrapping_mul(step(0)).wrapping_add(tx.wrapping_mul(step(1))),
                    b: (ty * taps + tx) * self.channels,
                };
                n += 1;
            }
        }
        n
    }
}

impl Classes for Patches<'_> {
    fn each(&self, f: &mut dyn FnMut(usize, &[Segment])) {
        let mut segments = [Segment::default(); MAX_SEGMENTS];
        let [rows, columns] = self.sampling;
        for (oys, tys) in stretches(rows, self.first[0], self.count[0]) {
            for (oxs, txs) in stretches(columns, self.first[1], self.count[1]) {
                let n = self.segments(tys.clone(), txs, &mut segments);
                f(oys.len() * oxs.len(), &segments[..n]);
            }
        }
    }
}
