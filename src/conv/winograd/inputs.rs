//! The inputs of a block's tiles, transformed: `v[point][tile][i]`.

use super::Block;
use super::pass::{self, Along};
use super::tiling::{CHANNELS, most_side_by_side};
use crate::element::Element;
use crate::simd::{Crossings, CrossingsMut, Marks, Simd};
use crate::tensor::View;
use core::ops::Range;

impl Block<'_> {
    /// `between` has room for what lies between two passes, `beside` for a copy of a tile, should channels not be contiguous.
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
        let is_contiguous = x.strides()[3] == 1 || x.shape()[3] == 1;
        // Zeros are read as any pixel, but only in the first of two passes.
        let has_two_passes = self.forms.iter().all(|form| form.r > 1);
        let most = if is_contiguous && has_two_passes { most_side_by_side(self.forms, n) } else { 1 };
        // From a tile to the next one beside it, in pixels.
        let step = self.forms[1].m * self.sampling[1].stride;
        for row in 0..self.cuts[0].tiles {
            let down = self.cuts[0].tile(row);
            let (ys, to_row) = (self.stretch(x, 0, row, down.points()), self.point_row(row, 0));
            let from_y = ys.marks();
            for tiles in self.side_by_side(most) {
                let across = self.cuts[1].tile(tiles.start);
                let xs = self.stretch(x, 1, tiles.start, (tiles.len() - 1) * step + across.points());
                let (from_x, (at, to_marks)) = (xs.marks(), to_row.tile(tiles.start));
                let places = [&Marks::regular(ys.count, xs.count * n), &Marks::regular(xs.count, n)];
                for first in (0..inputs).step_by(n) {
                    let first = first.min(inputs - n);
                    let data = &x.data()[x.at([self.place[0].start, 0, 0, self.group * inputs + first])..];
                    let to = CrossingsMut::new(&mut v[at + first..], to_marks, n);
                    let from = if is_contiguous {
                        Crossings::new(data, [&from_y, &from_x], zeros, n)
                    } else {
                        gather(data, x.strides()[3], [&ys, &xs], &mut *beside, n);
                        Crossings::new(&*beside, places, zeros, n)
                    };
                    if down.form.r == 1 {
                        pass::inputs(s, &across, 1, ys.count, from, to);
                        continue;
                    }
                    if across.form.r == 1 {
                        pass::inputs(s, &down, 0, xs.count, from, to);
                        continue;
                    }
                    if is_contiguous && xs.step == n {
                        whole_rows(s, &down, [&ys, &xs], data, zeros, &mut *between);
                    } else {
                        pass::inputs(s, &down, 0, xs.count, from, CrossingsMut::new(&mut *between, places, n));
                    }
                    let from = Crossings::new(&*between, places, zeros, n).repeated(tiles.len(), step * n);
                    pass::inputs(s, &across, 1, ys.count, from, to.repeated(tiles.len(), self.sizes.row[0]));
                }
            }
        }
    }

    /// So many inputs along an axis, from the first one of a tile on.
    fn stretch<T>(&self, x: &View<T>, axis: usize, tile: usize, count: usize) -> Stretch {
        let s = &self.sampling[axis];
        let apart = self.place[axis + 1].step / self.p.phases(axis);
        let output = self.first[axis] + tile * self.forms[axis].m * apart;
        // The lowest tap.
        let first = (output * s.stride) as isize + s.first + (s.taps.max(1) - 1) as isize * s.step.min(0);
        let steps = |pixels: usize| if apart == 1 { pixels } else { pixels.div_ceil(apart) };
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

/// Inputs along an axis.
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

/// The pass along the columns, of pixels that are side by side in memory: all of a row are one pixel of many channels.
#[inline(always)]
fn whole_rows<T: Element, S: Simd<T>>(
    s: S,
    down: &Along,
    [ys, xs]: [&Stretch; 2],
    data: &[T],
    zeros: &[T],
    between: &mut [T],
) {
    let (first, inside, wide) = (xs.inside.start * xs.step, xs.inside.len() * xs.step, xs.count * xs.step);
    for line in between[..ys.count * wide].chunks_exact_mut(wide) {
        line[..first].fill(T::ZERO);
        line[first + inside..].fill(T::ZERO);
    }
    if inside > 0 {
        let (from_y, from_x) = (ys.marks(), Marks::image(xs.at(xs.inside.start) as isize, 0, 0..1));
        let from = Crossings::new(data, [&from_y, &from_x], zeros, inside);
        let to = [&Marks::regular(ys.count, wide), &Marks::regular(1, 0)];
        pass::inputs(s, down, 0, 1, from, CrossingsMut::new(&mut between[first..], to, inside));
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
