//! Transforms of a tile, in passes: one along each axis, all lines across it, a vector of channels at a time.
//!
//! What lies between the two passes stays in the first-level cache. (It would not stay in registers: a tile of F(4, 3) has
//! thirty-six vectors.) So there is one kernel for each form and number of outputs, instead of one for each pair of them, and an
//! axis of one tap costs nothing.

use super::forms::{Filters, Form, TileOp};
use crate::element::Element;
use crate::simd::{Crossings, CrossingsMut, Line, Marks, Simd, each_vector, unrolled};

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

/// Transforms inputs: `v = Bt x B`. `between` has room for all points of the tile.
#[inline(always)]
pub(super) fn input<T: Element, S: Simd<T>>(
    s: S,
    axes: &[Along; 2],
    x: &Crossings<T>,
    v: &mut CrossingsMut<T>,
    between: &mut [T],
) {
    let [rows, columns] = [axes[0].points(), axes[1].points()];
    if let Some(along) = axes.iter().position(|axis| axis.form.r == 1) {
        // The other one alone.
        let lines = axes[along].points();
        return run::<T, S, false>(s, &axes[1 - along], Pass { along: 1 - along, lines, from: x, to: v });
    }
    let n = x.len();
    let marks = [&Marks::regular(rows, columns * n), &Marks::regular(columns, n)];
    let mut half = CrossingsMut::new(&mut *between, marks, n);
    run::<T, S, false>(s, &axes[0], Pass { along: 0, lines: columns, from: x, to: &mut half });
    let half = Crossings::new(between, marks, between, n);
    run::<T, S, false>(s, &axes[1], Pass { along: 1, lines: rows, from: &half, to: v });
}

/// Transforms products: `y = At m A`, as many outputs as are wanted.
#[inline(always)]
pub(super) fn output<T: Element, S: Simd<T>>(
    s: S,
    axes: &[Along; 2],
    m: &Crossings<T>,
    y: &mut CrossingsMut<T>,
    between: &mut [T],
) {
    if let Some(along) = axes.iter().position(|axis| axis.form.r == 1) {
        let lines = axes[along].wanted;
        return run::<T, S, true>(s, &axes[1 - along], Pass { along: 1 - along, lines, from: m, to: y });
    }
    let (rows, columns, n) = (axes[0].outputs, axes[1].points(), m.len());
    let marks = [&Marks::regular(rows, columns * n), &Marks::regular(columns, n)];
    let mut half = CrossingsMut::new(&mut *between, marks, n);
    run::<T, S, true>(s, &axes[0], Pass { along: 0, lines: columns, from: m, to: &mut half });
    let half = Crossings::new(between, marks, between, n);
    run::<T, S, true>(s, &axes[1], Pass { along: 1, lines: axes[0].wanted, from: &half, to: y });
}

/// Not inlined: it has a call for each form, and there are many places that run a pass.
#[inline(never)]
fn run<T: Element, S: Simd<T>, const OUTPUT: bool>(s: S, axis: &Along, pass: Pass<T>) {
    axis.form.run(s, axis.outputs, Kernel::<T, OUTPUT>(pass));
}

struct Pass<'p, 'a, 'b, T> {
    /// The axis that is transformed.
    along: usize,
    lines: usize,
    from: &'p Crossings<'a, T>,
    to: &'p mut CrossingsMut<'b, T>,
}

/// A pass over inputs, or with `OUTPUT` over products. There is a vector of channels at least.
struct Kernel<'p, 'a, 'b, T, const OUTPUT: bool>(Pass<'p, 'a, 'b, T>);

impl<T: Element, const OUTPUT: bool> TileOp<T> for Kernel<'_, '_, '_, T, OUTPUT> {
    #[inline(always)]
    fn run<S: Simd<T>, F: Filters, const M: usize, const A: usize>(self, s: S) {
        let Pass { along, lines, from, to } = self.0;
        let n = from.len();
        for line in 0..lines {
            let x = from.line::<A>(along, line);
            if OUTPUT {
                let mut y = to.line::<M>(along, line);
                each_vector!(n, S::LANES, |c| {
                    let sums = F::output::<T, S, M, A>(s, load(s, &x, c));
                    unrolled!(k in 0..M, { s.store(sums[k], y.part(k, c, S::LANES)); });
                });
            } else {
                let mut v = to.line::<A>(along, line);
                each_vector!(n, S::LANES, |c| {
                    let points = F::input::<T, S, M, A>(s, load(s, &x, c));
                    unrolled!(k in 0..A, { s.store(points[k], v.part(k, c, S::LANES)); });
                });
            }
        }
    }
}

#[inline(always)]
fn load<T: Element, S: Simd<T>, const A: usize>(s: S, x: &Line<T, A>, c: usize) -> [S::V; A] {
    let mut d = [s.splat(T::ZERO); A];
    unrolled!(k in 0..A, { d[k] = s.load(x.part(k, c, S::LANES)); });
    d
}
