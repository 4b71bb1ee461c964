//! Patches of an image, read where they lie: the rows of the im2col matrix as segments.
//!
//! ```text
//! a[pixel][tap, i] = data[pixel's start + tap's offset + i]
//! ```
//!
//! Pixels that have the same taps inside the image form a class; what lies in the padding is left out of their sums.

use crate::gemm::{Classes, Segment};
use crate::tiles::evenly;
use crate::window::{Sampling, Stretches};
use core::ops::Range;

/// The most segments of a class: they lie on the stack.
pub(super) const MAX_SEGMENTS: usize = 128;

/// The patches of a tile of outputs.
pub(super) struct Patches<'a> {
    pub sampling: &'a [Sampling; 2],
    /// The tile's first output, as the samplings count.
    pub first: [usize; 2],
    /// The first row of the tile that there are patches of, and how many rows and columns.
    pub row: usize,
    pub count: [usize; 2],
    /// Where the pixel `[0, 0]` lies, and elements from a row or column of the image to the next.
    pub origin: usize,
    pub strides: [usize; 2],
    /// Channels, side by side.
    pub channels: usize,
    /// A kernel of one tap without padding: all pixels are in one class.
    pub is_plain: bool,
}

impl Patches<'_> {
    /// The pixels in the order of the classes: a row of the tile, and some columns of it.
    pub fn lines(&self) -> Lines<'_> {
        if self.is_plain {
            let [none, done] = [0; 2].map(|axis| self.sampling[axis].stretches(0, 0));
            return Lines {
                patches: self,
                rows: none,
                columns: done,
                row: 0..0,
                column: 0..self.count[1],
                oys: 0..self.count[0],
            };
        }
        let (rows, columns) = (self.stretches(0), self.sampling[1].stretches(0, 0));
        Lines { patches: self, rows, columns, row: 0..0, column: 0..0, oys: 0..0 }
    }

    /// The outputs along an axis.
    fn stretches(&self, axis: usize) -> Stretches {
        let row = if axis == 0 { self.row } else { 0 };
        self.sampling[axis].stretches(self.first[axis] + row, self.count[axis])
    }

    /// Where the first tap of each pixel lies, in the order of [`Patches::lines`]; in the padding that is before the image,
    /// modulo the size of the address space.
    #[inline(always)]
    pub fn starts(&self, starts: &mut [usize]) {
        let mut rest = starts;
        let from = |i: usize, o: usize| {
            let s = &self.sampling[i];
            let at = ((self.first[i] + o) * s.stride) as isize + s.first;
            (at as usize).wrapping_mul(self.strides[i])
        };
        let step = self.sampling[1].stride.wrapping_mul(self.strides[1]);
        for (oy, oxs) in self.lines() {
            let (line, others) = rest.split_at_mut(oxs.len());
            evenly(line, self.origin.wrapping_add(from(0, oy)).wrapping_add(from(1, oxs.start)), step);
            rest = others;
        }
    }

    /// The segments of the pixels that have these taps.
    fn segments(&self, tys: Range<usize>, txs: Range<usize>, segments: &mut [Segment]) -> usize {
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

    fn each_with(&self, segments: &mut [Segment], f: &mut dyn FnMut(usize, &[Segment])) {
        for row in self.stretches(0) {
            for column in self.stretches(1) {
                let n = self.segments(row.taps.clone(), column.taps, segments);
                f(row.outputs.len() * column.outputs.len(), &segments[..n]);
            }
        }
    }
}

/// See [`Patches::lines`].
#[derive(Clone)]
pub(super) struct Lines<'a> {
    patches: &'a Patches<'a>,
    rows: Stretches,
    columns: Stretches,
    /// The stretches in hand, and the rows of the first one that are left in the second.
    row: Range<usize>,
    column: Range<usize>,
    oys: Range<usize>,
}

impl Iterator for Lines<'_> {
    type Item = (usize, Range<usize>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(oy) = self.oys.next() {
                return Some((self.patches.row + oy, self.column.clone()));
            }
            match self.columns.next() {
                Some(column) => (self.column, self.oys) = (column.outputs, self.row.clone()),
                None => {
                    self.row = self.rows.next()?.outputs;
                    self.columns = self.patches.stretches(1);
                }
            }
        }
    }
}

impl Classes for Patches<'_> {
    fn each(&self, f: &mut dyn FnMut(usize, &[Segment])) {
        match self.sampling[0].taps * self.sampling[1].taps {
            // The usual ones, without three kilobytes on the stack.
            0..=9 => self.each_with(&mut [Segment::default(); 9], f),
            _ => self.each_with(&mut [Segment::default(); MAX_SEGMENTS], f),
        }
    }
}
