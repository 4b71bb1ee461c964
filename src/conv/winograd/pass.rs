//! Transforms of tiles, in passes: one along each axis, all lines across it, a vector of channels at a time.
//!
//! Neighbouring tiles of a row pass together. Inputs that two of them share are transformed along the columns once, and what a line
//! costs beside its vectors counts once for all of them. What lies between the two passes stays in the first-level cache. (It would not
//! stay in registers: a tile of F(4, 3) has thirty-six vectors.) So there is one kernel for each form and number of outputs, instead of
//! one for each pair of them, and an axis of one tap costs nothing.

use super::forms::{Filters, Form, TileOp};
use crate::element::Element;
use crate::simd::{Crossings, CrossingsMut, Simd, each_vector, unrolled};

/// Which part of a tile's form is computed along an axis.
#[derive(Clone, Copy)]
pub(super) struct Along {
    pub form: Form,
    /// Outputs that the tile computes.
    pub outputs: usize,
    /// And how many of them are wanted.
    pub wanted: usize,
}

impl Along {
    /// Inputs and points of the tile.
    pub fn points(&self) -> usize {
        self.form.points_of(self.outputs)
    }
}

/// Transforms inputs along an axis: `Bt x`, `lines` of them.
#[inline(always)]
pub(super) fn inputs<T: Element, S: Simd<T>>(
    s: S,
    axis: &Along,
    along: usize,
    lines: usize,
    from: Crossings<T>,
    mut to: CrossingsMut<T>,
) {
    run::<T, S, false>(s, axis, &mut Pass { along, lines, from, to: &mut to });
}

/// Transforms products along an axis: `At m`, `lines` of them.
#[inline(always)]
pub(super) fn outputs<T: Element, S: Simd<T>>(
    s: S,
    axis: &Along,
    along: usize,
    lines: usize,
    from: Crossings<T>,
    mut to: CrossingsMut<T>,
) {
    run::<T, S, true>(s, axis, &mut Pass { along, lines, from, to: &mut to });
}

/// Not inlined: it has a call for each form, and there are many places that run a pass.
#[inline(never)]
fn run<T: Element, S: Simd<T>, const OUTPUT: bool>(s: S, axis: &Along, pass: &mut Pass<T>) {
    axis.form.run(s, axis.outputs, Kernel::<T, OUTPUT>(pass));
}

struct Pass<'p, 'a, 'b, T> {
    /// The axis that is transformed.
    along: usize,
    lines: usize,
    from: Crossings<'a, T>,
    to: &'p mut CrossingsMut<'b, T>,
}

/// A pass over inputs, or with `OUTPUT` over products. There is a vector of channels at least.
struct Kernel<'k, 'p, 'a, 'b, T, const OUTPUT: bool>(&'k mut Pass<'p, 'a, 'b, T>);

impl<T: Element, const OUTPUT: bool> TileOp<T> for Kernel<'_, '_, '_, '_, T, OUTPUT> {
    #[inline(always)]
    fn run<S: Simd<T>, F: Filters, const M: usize, const A: usize>(self, s: S) {
        let Pass { along, lines, from, to } = self.0;
        let (along, lines) = (*along, *lines);
        let (n, count, xs) = (from.len(), from.count(), from.lines::<A>(along));
        if OUTPUT {
            let mut ys = to.lines::<M>(along);
            for line in 0..lines {
                let (x, mut y) = (xs.line(line), ys.line(line));
                for tile in 0..count {
                    each_vector!(n, S::LANES, |c| {
                        let sums = F::output::<T, S, M, A>(s, load(s, x.parts(tile, c, S::LANES)));
                        let mut y = y.parts(tile, c, S::LANES);
                        unrolled!(k in 0..M, { s.store(sums[k], y.part(k)); });
                    });
                }
            }
        } else {
            let mut vs = to.lines::<A>(along);
            for line in 0..lines {
                let (x, mut v) = (xs.line(line), vs.line(line));
                for tile in 0..count {
                    each_vector!(n, S::LANES, |c| {
                        let points = F::input::<T, S, M, A>(s, load(s, x.parts(tile, c, S::LANES)));
                        let mut v = v.parts(tile, c, S::LANES);
                        unrolled!(k in 0..A, { s.store(points[k], v.part(k)); });
                    });
                }
            }
        }
    }
}

#[inline(always)]
fn load<T: Element, S: Simd<T>, const A: usize>(s: S, x: [&[T]; A]) -> [S::V; A] {
    let mut d = [s.splat(T::ZERO); A];
    unrolled!(k in 0..A, { d[k] = s.load(x[k]); });
    d
}
