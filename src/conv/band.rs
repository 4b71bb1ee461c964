//! A band of the image: the pixels that the patches of a tile cover, copied with their padding into scratch memory, side
//! by side. For images whose channels are not contiguous, and for few channels.

use crate::element::Element;
use crate::tensor::View;
use crate::window::{Sampling, reach};
use core::ops::Range;

/// Which pixels of the image: along each axis the first one, which may lie in the padding, and how many.
pub(super) struct Band {
    first: [isize; 2],
    size: [usize; 2],
}

impl Band {
    /// The band of the outputs `first..first + count` along each axis.
    pub fn new(sampling: &[Sampling; 2], first: [usize; 2], count: [usize; 2]) -> Self {
        let axis = |i: usize| {
            let s = &sampling[i];
            let back = (s.taps.max(1) - 1) as isize * s.step.min(0);
            ((first[i] * s.stride) as isize + s.first + back, reach(s.stride, s.step.unsigned_abs(), s.taps, count[i]))
        };
        let (rows, columns) = (axis(0), axis(1));
        Band { first: [rows.0, columns.0], size: [rows.1, columns.1] }
    }

    /// Pixels.
    pub fn len(&self) -> usize {
        self.size[0].saturating_mul(self.size[1])
    }

    /// From a row to the next, in pixels.
    pub fn width(&self) -> usize {
        self.size[1]
    }

    /// Its rows that lie in an image of some height; the others are zeros.
    pub fn rows_inside(&self, height: usize) -> Range<usize> {
        let clamp = |y: isize| (y - self.first[0]).clamp(0, self.size[0] as isize) as usize;
        clamp(0)..clamp(height as isize)
    }

    /// The samplings of the copy, whose output 0 is the tile's first one: every tap is inside.
    pub fn sampling(&self, sampling: &[Sampling; 2], first: [usize; 2]) -> [Sampling; 2] {
        core::array::from_fn(|i| {
            let s = sampling[i];
            Sampling { first: (first[i] * s.stride) as isize + s.first - self.first[i], input: self.size[i], ..s }
        })
    }

    /// Copies `channels` of the band's pixels.
    #[inline(always)]
    pub fn copy<T: Element>(&self, x: &View<T>, image: usize, channels: Range<usize>, to: &mut [T]) {
        let [_, height, width, _] = x.shape();
        let n = channels.len();
        // The part of a row that lies in the image.
        let end = self.first[1] + self.size[1] as isize;
        let (lo, hi) = (self.first[1].clamp(0, width as isize), end.clamp(0, width as isize));
        let before = (lo - self.first[1]).min(self.size[1] as isize) as usize;
        let inside = (hi - lo) as usize;
        for (y, row) in to[..self.len() * n].chunks_exact_mut(self.size[1] * n).enumerate() {
            let sy = self.first[0] + y as isize;
            if sy < 0 || sy >= height as isize || inside == 0 {
                row.fill(T::ZERO);
                continue;
            }
            let (left, rest) = row.split_at_mut(before * n);
            let (pixels, right) = rest.split_at_mut(inside * n);
            left.fill(T::ZERO);
            right.fill(T::ZERO);
            copy_row(x, [image, sy as usize, lo as usize, channels.start], n, pixels);
        }
    }
}

/// Copies `n` channels of neighbouring pixels of a row, from one on.
#[inline(always)]
fn copy_row<T: Element>(x: &View<T>, at: [usize; 4], n: usize, to: &mut [T]) {
    let [_, _, step, stride] = x.strides();
    let data = &x.data()[x.at(at)..];
    let pixels = to.len() / n;
    if stride == 1 && (step == n || pixels == 1) {
        to.copy_from_slice(&data[..to.len()]);
    } else if stride == 1 {
        for (i, to) in to.chunks_exact_mut(n).enumerate() {
            to.copy_from_slice(&data[i * step..][..n]);
        }
    } else {
        for c in 0..n {
            let to = to[c..].iter_mut().step_by(n);
            if step == 1 {
                to.zip(&data[c * stride..][..pixels]).for_each(|(to, &from)| *to = from);
            } else {
                to.enumerate().for_each(|(i, to)| *to = data[c * stride + i * step]);
            }
        }
    }
}
