//! im2col, a block at a time: rows of patches for some pixels, and some of their terms.
//!
//! ```text
//! a[pixel][tap - taps.start][i] = x[n, sy, sx, channel + i], zero in the padding
//! ```

use crate::element::Element;
use crate::tensor::View;
use crate::window::Sampling;
use core::ops::Range;

/// Which part of the im2col matrix.
pub(super) struct Im2col<'a, T> {
    pub x: &'a View<'a, T>,
    pub image: usize,
    /// The first channel, and how many.
    pub channels: Range<usize>,
    /// Taps in row-major order.
    pub taps: Range<usize>,
    pub sampling: &'a [Sampling; 2],
}

impl<T: Element> Im2col<'_, T> {
    /// Fills the row of the pixel `[oy, ox]`, `taps * channels` elements.
    #[inline(always)]
    pub fn row(&self, [oy, ox]: [usize; 2], row: &mut [T]) {
        let [rows, columns] = self.sampling;
        let channels = self.channels.len();
        let valid = columns.valid(ox);
        let mut rest = row;
        let mut tap = self.taps.start;
        while tap < self.taps.end {
            // The taps of one row of the kernel, as far as they are wanted.
            let (ty, tx) = (tap / columns.taps, tap % columns.taps);
            let end = columns.taps.min(tx + self.taps.end - tap);
            let segment;
            (segment, rest) = rest.split_at_mut((end - tx) * channels);
            match rows.at(oy, ty) {
                None => segment.fill(T::ZERO),
                Some(sy) => {
                    let (lo, hi) = (valid.start.clamp(tx, end), valid.end.clamp(tx, end));
                    let (before, inside) = segment.split_at_mut((lo - tx) * channels);
                    let (inside, after) = inside.split_at_mut((hi.max(lo) - lo) * channels);
                    before.fill(T::ZERO);
                    after.fill(T::ZERO);
                    self.copy([sy, ox], lo, inside);
                }
            }
            tap += end - tx;
        }
    }

    /// Copies the taps of one row that lie in the image, from tap `first` on.
    #[inline(always)]
    fn copy(&self, [sy, ox]: [usize; 2], first: usize, to: &mut [T]) {
        let (columns, channels) = (&self.sampling[1], self.channels.len());
        if to.is_empty() {
            return;
        }
        let sx = columns.at(ox, first).expect("a valid tap");
        let start = self.x.at([self.image, sy, sx, self.channels.start]);
        let strides = self.x.strides();
        // An axis of one pixel is never stepped along, so its stride may be any number.
        let step = columns.step.wrapping_mul(strides[2] as isize);
        if strides[3] == 1 && (step == channels as isize || to.len() == channels) {
            // The taps follow each other in memory: one run.
            return to.copy_from_slice(&self.x.data()[start..][..to.len()]);
        }
        for (t, to) in to.chunks_exact_mut(channels).enumerate() {
            let start = (start as isize + t as isize * step) as usize;
            if strides[3] == 1 && channels >= 16 {
                to.copy_from_slice(&self.x.data()[start..][..channels]);
            } else if strides[3] == 1 {
                // A call to copy so little would cost more than the loop.
                to.iter_mut().zip(&self.x.data()[start..][..channels]).for_each(|(to, &from)| *to = from);
            } else {
                to.iter_mut().enumerate().for_each(|(i, to)| *to = self.x.data()[start + i * strides[3]]);
            }
        }
    }
}
