//! The inputs of a block's tiles, transformed: `v[point][tile][i]`.

use super::Block;
use super::pass::{self, Along, Between};
use super::tiling::CHANNELS;
use crate::element::Element;
use crate::simd::{Crossings, CrossingsMut, Marks, Simd};
use crate::tensor::View;
use core::ops::Range;

impl Block<'_> {
    /// `beside` has room for a copy of a tile, should channels not be contiguous.
    #[inline(always)]
    pub(super) fn transform_inputs<T: Element, S: Simd<T>>(
        &self,
        s: S,
        x: &View<T>,
        v: &mut [T],
        [between, beside]: [&mut [T]; 2],
        zeros: &[T],
    ) {
        let inputs = self.p.inputs_per_group();
        // Even parts, the last of which may overlap the one before.
        let n = inputs.div_ceil(inputs.div_ceil(CHANNELS)).next_multiple_of(S::LANES).min(inputs);
        let between = &mut Between::new(between, self.forms, n);
        let is_contiguous = x.strides()[3] == 1 || x.shape()[3] == 1;
        for row in 0..self.cuts[0].tiles {
            let rows = self.cuts[0].tile(row);
            let (ys, to_row) = (self.stretch(x, 0, row, &rows), self.point_row(row, 0));
            let from_y = ys.marks();
            for column in 0..self.cuts[1].tiles {
                let axes = [rows, self.cuts[1].tile(column)];
                let xs = self.stretch(x, 1, column, &axes[1]);
                let (from_x, (at, to_marks)) = (xs.marks(), to_row.tile(column));
                for first in (0..inputs).step_by(n) {
                    let first = first.min(inputs - n);
                    let data = &x.data()[x.at([self.place[0].start, 0, 0, self.group * inputs + first])..];
                    let mut to = CrossingsMut::new(&mut v[at + first..], to_marks, n);
                    if is_contiguous {
                        let from = Crossings::new(data, [&from_y, &from_x], zeros, n);
                        pass::input(s, &axes, &from, &mut to, between);
                    } else {
                        gather(data, x.strides()[3], [&ys, &xs], &mut *beside, n);
                        let marks = [&Marks::regular(ys.count, xs.count * n), &Marks::regular(xs.count, n)];
                        let from = Crossings::new(&*beside, marks, zeros, n);
                        pass::input(s, &axes, &from, &mut to, between);
                    }
                }
            }
        }
    }

    /// The inputs of a tile along an axis.
    fn stretch<T>(&self, x: &View<T>, axis: usize, tile: usize, along: &Along) -> Stretch {
        let s = &self.sampling[axis];
        let apart = self.place[axis + 1].step / self.p.phases(axis);
        let output = self.first[axis] + tile * self.forms[axis].m * apart;
        // The lowest tap.
        let first = (output * s.stride) as isize + s.first + (s.taps.max(1) - 1) as isize * s.step.min(0);
        let steps = |pixels: usize| if apart == 1 { pixels } else { pixels.div_ceil(apart) };
        let count = along.points();
        let low = steps((-first).max(0) as usize).min(count);
        let high = steps((s.input as isize - first).max(0) as usize).clamp(low, count);
        // An axis of one pixel is never stepped along, so its stride may be any number.
        let stride = if x.shape()[axis + 1] > 1 { x.strides()[axis + 1] } else { 0 };
        Stretch {
            first: first.wrapping_mul(stride as isize),
            step: apart.wrapping_mul(stride),
            count,
            inside: low..high,
        }
    }
}

/// The inputs of a tile along an axis.
struct Stretch {
    /// Where the first one lies, which may be in the padding.
    first: isize,
    /// From one to the next.
    step: usize,
    count: usize,
    inside: Range<usize>,
}

impl Stretch {
    #[inline(always)]
    fn marks(&self) -> Marks {
        Marks::image(self.first, self.step, self.inside.clone())
    }

    fn at(&self, k: usize) -> usize {
        (self.first as usize).wrapping_add(k.wrapping_mul(self.step))
    }
}

/// Copies `n` channels of a tile that lie `apart`, and zeros around them.
#[inline(always)]
fn gather<T: Element>(data: &[T], apart: usize, [ys, xs]: [&Stretch; 2], to: &mut [T], n: usize) {
    to[..ys.count * xs.count * n].fill(T::ZERO);
    for y in ys.inside.clone() {
        for c in 0..n {
            for x in xs.inside.clone() {
                to[(y * xs.count + x) * n + c] = data[ys.at(y) + xs.at(x) + c * apart];
            }
        }
    }
}
