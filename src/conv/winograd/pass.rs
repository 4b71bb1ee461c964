//! Transforms of a tile, in passes: one along each axis, all lines across it, a vector of channels at a time.
//!
//! What lies between the two passes stays in the first-level cache. (It would not stay in registers: a tile of F(4, 3) has
//! thirty-six vectors.) So there is one kernel for each form and number of outputs, instead of one for each pair of them, and an
//! axis of one tap costs nothing.

use super::forms::{Filters, Form, TileOp};
use crate::element::Element;
use crate::simd::{Crossings, CrossingsMut, Marks, Simd, each_vector, unrolled};

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

/// What lies between two passes over `n` channels: room for all points of a tile, of any size.
pub(super) struct Between<'a, T> {
    data: &'a mut [T],
    marks: [Marks; 2],
    n: usize,
}

impl<'a, T: Element> Between<'a, T> {
    pub fn new(data: &'a mut [T], forms: [Form; 2], n: usize) -> Self {
        let [rows, columns] = [forms[0].points(), forms[1].points()];
        Between { data, marks: [Marks::regular(rows, columns * n), Marks::regular(columns, n)], n }
    }

    fn write(&mut self) -> CrossingsMut<'_, T> {
        CrossingsMut::new(self.data, [&self.marks[0], &self.marks[1]], self.n)
    }

    fn read(&self) -> Crossings<'_, T> {
        Crossings::new(self.data, [&self.marks[0], &self.marks[1]], self.data, self.n)
    }
}

/// Transforms inputs: `v = Bt x B`.
#[inline(always)]
pub(super) fn input<T: Element, S: Simd<T>>(
    s: S,
    axes: &[Along; 2],
    x: &Crossings<T>,
    v: &mut CrossingsMut<T>,
    between: &mut Between<T>,
) {
    if let Some(along) = axes.iter().position(|axis| axis.form.r == 1) {
        // The other one alone.
        let lines = axes[along].points();
        return run::<T, S, false>(s, &axes[1 - along], &mut Pass { along: 1 - along, lines, from: *x, to: v });
    }
    let [rows, columns] = [axes[0].points(), axes[1].points()];
    run::<T, S, false>(s, &axes[0], &mut Pass { along: 0, lines: columns, from: *x, to: &mut between.write() });
    run::<T, S, false>(s, &axes[1], &mut Pass { along: 1, lines: rows, from: between.read(), to: v });
}

/// Transforms products: `y = At m A`, as many outputs as are wanted.
#[inline(always)]
pub(super) fn output<T: Element, S: Simd<T>>(
    s: S,
    axes: &[Along; 2],
    m: &Crossings<T>,
    y: &mut CrossingsMut<T>,
    between: &mut Between<T>,
) {
    if let Some(along) = axes.iter().position(|axis| axis.form.r == 1) {
        let lines = axes[along].wanted;
        return run::<T, S, true>(s, &axes[1 - along], &mut Pass { along: 1 - along, lines, from: *m, to: y });
    }
    let [rows, columns] = [axes[0].wanted, axes[1].points()];
    run::<T, S, true>(s, &axes[0], &mut Pass { along: 0, lines: columns, from: *m, to: &mut between.write() });
    run::<T, S, true>(s, &axes[1], &mut Pass { along: 1, lines: rows, from: between.read(), to: y });
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
        let (n, xs) = (from.len(), from.lines::<A>(along));
        if OUTPUT {
            let mut ys = to.lines::<M>(along);
            for line in 0..lines {
                let (x, mut y) = (xs.line(line), ys.line(line));
                each_vector!(n, S::LANES, |c| {
                    let sums = F::output::<T, S, M, A>(s, load(s, x.parts(c, S::LANES)));
                    let mut y = y.parts(c, S::LANES);
                    unrolled!(k in 0..M, { s.store(sums[k], y.part(k)); });
                });
            }
        } else {
            let mut vs = to.lines::<A>(along);
            for line in 0..lines {
                let (x, mut v) = (xs.line(line), vs.line(line));
                each_vector!(n, S::LANES, |c| {
                    let points = F::input::<T, S, M, A>(s, load(s, x.parts(c, S::LANES)));
                    let mut v = v.parts(c, S::LANES);
                    unrolled!(k in 0..A, { s.store(points[k], v.part(k)); });
                });
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
