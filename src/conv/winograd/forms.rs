//! How an axis is transformed: by one filter, or at stride 2 by the two that its taps fall into.
//!
//! With stride 2 the taps of even number meet every second input, those of odd number the others. Each half is a filter of
//! stride 1 for the same outputs, F(m, ceil(r / 2)) and F(m, floor(r / 2)): a form has the inputs and points of the one and
//! then those of the other, and outputs are sums of both. Where a half has one tap, its points are inputs that all meet the
//! same weight.

use super::toom::{MOST_PAIRS, Place, Points, Tile, points, weights};
use crate::element::Element;
use crate::simd::{Op, Simd};
use core::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

/// The most multiplications of a form.
pub(crate) const MOST_POINTS: usize = 11;

/// `m` outputs of a filter with `r` taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// Outputs of a tile.
    pub m: usize,
    /// Taps of the filter.
    pub r: usize,
    /// 1 or 2.
    pub stride: usize,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F({}, {})", self.m, self.r)?;
        if self.stride > 1 { write!(f, " of stride {}", self.stride) } else { Ok(()) }
    }
}

impl Form {
    /// Taps of its filters.
    pub fn filters(self) -> impl Iterator<Item = usize> {
        (0..self.stride).map(move |first| (self.r - first).div_ceil(self.stride))
    }

    /// Inputs, and multiplications, of a tile of so many outputs.
    pub fn points_of(self, outputs: usize) -> usize {
        self.filters().map(|r| outputs + r - 1).sum()
    }

    /// Inputs, and multiplications.
    pub fn points(self) -> usize {
        self.points_of(self.m)
    }

    /// Different weights among those that the points meet.
    pub fn factors(self) -> usize {
        self.filters().map(|r| if r == 1 { 1 } else { self.m + r - 1 }).sum()
    }

    /// The most points that meet one factor.
    pub fn repeats(self) -> usize {
        if self.filters().any(|r| r == 1) { self.m } else { 1 }
    }

    /// The points that meet a factor.
    pub fn points_at(self, factor: usize) -> Range<usize> {
        let (mut factor, mut first) = (factor, 0);
        for r in self.filters() {
            let points = self.m + r - 1;
            match r {
                1 if factor == 0 => return first..first + points,
                1 => factor -= 1,
                _ if factor < points => return first + factor..first + factor + 1,
                _ => factor -= points,
            }
            first += points;
        }
        first..first
    }

    /// The factor that a point meets.
    pub fn factor_of(self, point: usize) -> usize {
        (0..self.factors()).find(|&factor| self.points_at(factor).contains(&point)).unwrap_or(0)
    }

    /// The points of a tile of so many outputs, by their number in the form, and how many there are.
    pub fn points_in(self, outputs: usize) -> ([usize; MOST_POINTS], usize) {
        let (mut list, mut count, mut first) = ([0; MOST_POINTS], 0, 0);
        for r in self.filters() {
            let all = self.m + r - 1;
            for point in points(outputs, r, all) {
                list[count] = first + point;
                count += 1;
            }
            first += all;
        }
        (list, count)
    }

    /// `G`: a row for each factor.
    pub fn weights(self) -> [[f64; MOST_POINTS]; MOST_POINTS] {
        let (mut g, mut first) = ([[0.0; MOST_POINTS]; MOST_POINTS], 0);
        for (filter, r) in self.filters().enumerate() {
            let (rows, count) = weights(pairs(self.m, r), self.m, r);
            for (to, row) in g[first..].iter_mut().zip(&rows[..count]) {
                (0..r).for_each(|tap| to[filter + tap * self.stride] = row[tap]);
            }
            first += count;
        }
        g
    }
}

/// The filters of a form, known to the compiler.
pub(super) trait Filters {
    /// `Bt d`, of a tile of `M` outputs with `A` inputs.
    fn input<T: Element, S: Simd<T>, const M: usize, const A: usize>(s: S, d: [S::V; A]) -> [S::V; A];

    /// `At v`.
    fn output<T: Element, S: Simd<T>, const M: usize, const A: usize>(s: S, v: [S::V; A]) -> [S::V; M];
}

/// One filter.
struct One<P>(PhantomData<P>);

impl<P: Points> Filters for One<P> {
    #[inline(always)]
    fn input<T: Element, S: Simd<T>, const M: usize, const A: usize>(s: S, d: [S::V; A]) -> [S::V; A] {
        let mut v = d;
        Tile::<P, M>::input(s, &d, &mut v, Place { input: 0, step: 1, point: 0 });
        v
    }

    #[inline(always)]
    fn output<T: Element, S: Simd<T>, const M: usize, const A: usize>(s: S, v: [S::V; A]) -> [S::V; M] {
        Tile::<P, M>::output(s, &v, Place { input: 0, step: 1, point: 0 })
    }
}

/// Two, of every second input each.
struct Two<P, Q>(PhantomData<(P, Q)>);

impl<P: Points, Q: Points> Filters for Two<P, Q> {
    #[inline(always)]
    fn input<T: Element, S: Simd<T>, const M: usize, const A: usize>(s: S, d: [S::V; A]) -> [S::V; A] {
        let mut v = d;
        Tile::<P, M>::input(s, &d, &mut v, Place { input: 0, step: 2, point: 0 });
        Tile::<Q, M>::input(s, &d, &mut v, Place { input: 1, step: 2, point: Tile::<P, M>::COUNT });
        v
    }

    #[inline(always)]
    fn output<T: Element, S: Simd<T>, const M: usize, const A: usize>(s: S, v: [S::V; A]) -> [S::V; M] {
        let mut y = Tile::<P, M>::output(s, &v, Place { input: 0, step: 2, point: 0 });
        let more = Tile::<Q, M>::output(s, &v, Place { input: 1, step: 2, point: Tile::<P, M>::COUNT });
        for (y, more) in y.iter_mut().zip(more) {
            *y = s.add(*y, more);
        }
        y
    }
}

/// Something to compute for tiles of `M` outputs of a form, with `A` inputs.
pub(super) trait TileOp<T> {
    /// Must be `#[inline(always)]`, as [`Op::run`].
    fn run<S: Simd<T>, F: Filters, const M: usize, const A: usize>(self, s: S);
}

struct Tiles<O, F, const M: usize, const A: usize>(O, PhantomData<F>);

impl<T, O: TileOp<T>, F: Filters, const M: usize, const A: usize> Op<T> for Tiles<O, F, M, A> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        self.0.run::<S, F, M, A>(s);
    }
}

/// Declares filters, with their points.
macro_rules! filters {
    ($($name:ident: $m:literal, $r:literal, [$($pair:expr),*];)*) => {
        $(
            struct $name;
            impl Points for $name {
                const M: usize = $m;
                const R: usize = $r;
                const PAIRS: [f64; MOST_PAIRS] = {
                    let given: &[f64] = &[$($pair),*];
                    let mut pairs = [0.0; MOST_PAIRS];
                    let mut i = 0;
                    while i < given.len() {
                        pairs[i] = given[i];
                        i += 1;
                    }
                    pairs
                };
            }
        )*

        /// The points of F(m, r).
        fn pairs(m: usize, r: usize) -> &'static [f64; MOST_PAIRS] {
            match (m, r) {
                $(($m, $r) => &$name::PAIRS,)*
                _ => &[0.0; MOST_PAIRS],
            }
        }
    };
}

filters! {
    F11: 1, 1, [];
    F21: 2, 1, [];
    F41: 4, 1, [];
    F22: 2, 2, [1.4375];
    F42: 4, 2, [2.3125, 0.8125];
    F23: 2, 3, [1.0];
    F43: 4, 3, [FRAC_1_SQRT_2, SQRT_2];
    F63: 6, 3, [1.0, 0.5, 2.0];
    F44: 4, 4, [0.609375, 3.25, 1.15625];
    F35: 3, 5, [0.59375, 3.5, 1.15625];
    F45: 4, 5, [1.0, 0.5, 2.0];
    F37: 3, 7, [0.484375, 1.46875, 4.25, 0.875];
    F47: 4, 7, [0.775, 1.2625, 2.392, 0.446];
}

/// A function of its own, of numbers: a form that is shown would be copied to memory first, and what has just been written piece by
/// piece is not read at once (a twelfth of the time of layers with few inputs and many outputs).
#[cold]
#[inline(never)]
fn no_tile(m: usize, r: usize, stride: usize, outputs: usize) -> ! {
    unreachable!("a tile of {outputs} outputs of {}", Form { m, r, stride })
}

/// Declares forms: outputs, taps and stride, their filters, and the outputs that their tiles may have, each with its inputs.
macro_rules! forms {
    ($($m:literal, $r:literal, $stride:literal: $line:ty, $($outputs:literal $inputs:literal),*;)*) => {
        impl Form {
            /// All of them, those with fewer outputs first.
            pub const ALL: &[Form] = &[$(Form { m: $m, r: $r, stride: $stride }),*];

            /// The outputs that a tile of this form can have, in ascending order.
            pub fn tiles(self) -> &'static [usize] {
                match (self.m, self.r, self.stride) {
                    $(($m, $r, $stride) => &[$($outputs),*],)*
                    _ => &[],
                }
            }

            /// Runs `op` for tiles of so many outputs, one of [`Form::tiles`].
            #[inline(always)]
            pub(super) fn run<T: Element, S: Simd<T>>(self, s: S, outputs: usize, op: impl TileOp<T>) {
                match (self.m, self.r, self.stride, outputs) {
                    $($(($m, $r, $stride, $outputs) =>
                        s.call(Tiles::<_, $line, $outputs, $inputs>(op, PhantomData)),)*)*
                    (m, r, stride, outputs) => no_tile(m, r, stride, outputs),
                }
            }
        }
    };
}

forms! {
    1, 1, 1: One<F11>, 1 1;
    2, 1, 1: One<F21>, 1 1, 2 2;
    4, 1, 1: One<F41>, 1 1, 2 2, 3 3, 4 4;
    2, 2, 1: One<F22>, 2 3;
    4, 2, 1: One<F42>, 2 3, 4 5;
    2, 3, 1: One<F23>, 1 3, 2 4;
    4, 3, 1: One<F43>, 1 3, 2 4, 3 5, 4 6;
    6, 3, 1: One<F63>, 2 4, 4 6, 6 8;
    4, 4, 1: One<F44>, 2 5, 4 7;
    3, 5, 1: One<F35>, 1 5, 3 7;
    4, 5, 1: One<F45>, 1 5, 2 6, 3 7, 4 8;
    3, 7, 1: One<F37>, 1 7, 3 9;
    4, 7, 1: One<F47>, 1 7, 2 8, 3 9, 4 10;
    2, 3, 2: Two<F22, F21>, 2 5;
    4, 3, 2: Two<F42, F41>, 2 5, 4 9;
    2, 4, 2: Two<F22, F22>, 2 6;
    4, 4, 2: Two<F42, F42>, 2 6, 4 10;
    2, 5, 2: Two<F23, F22>, 2 7;
    4, 5, 2: Two<F43, F42>, 2 7, 4 11;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_the_points_of_its_filters() {
        for &form in Form::ALL {
            let at: [usize; MOST_POINTS] = core::array::from_fn(|k| k);
            assert_eq!(form.points_in(form.m).0[..form.points()], at[..form.points()], "{form}");
            // Factors meet all points, in their order.
            let met = (0..form.factors()).fold(0, |end, factor| {
                let points = form.points_at(factor);
                assert!(points.start == end && !points.is_empty(), "{form}");
                points.end
            });
            assert_eq!(met, form.points(), "{form}");
            let repeats = (0..form.factors()).map(|factor| form.points_at(factor).len()).max();
            assert_eq!(repeats, Some(form.repeats()), "{form}");
        }
        let form = Form { m: 4, r: 3, stride: 2 };
        assert_eq!((form.points(), form.factors(), form.points_at(5)), (9, 6, 5..9));
        assert_eq!(form.points_in(2), ([0, 1, 2, 5, 6, 0, 0, 0, 0, 0, 0], 5));
        assert_eq!(Form { m: 4, r: 5, stride: 2 }.points_in(2).0[..7], [0, 1, 2, 5, 6, 7, 8]);
    }
}
