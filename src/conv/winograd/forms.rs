//! F(m, r): `m` outputs of a filter with `r` taps by `m + r - 1` multiplications, and its tables, built from its points when
//! the crate is compiled.
//!
//! ```text
//! y = At ((G w) * (Bt d))        Bt d: m + r - 1 inputs, G w: r taps, At: m outputs
//! ```
//!
//! The points are 0, pairs `±p`, and infinity where `m + r - 1` is even (Toom and Cook; Winograd, "Arithmetic complexity of
//! computations", 1980; Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015). Of each pair the even and the odd
//! part are computed once.
//!
//! A tile with fewer outputs takes the first of the same points, and infinity where their number is even. So it meets the
//! same transformed weights; what the scale of the points left out has put into those, its input takes out again.

use crate::element::Element;
use crate::simd::{Op, Simd, unrolled};
use core::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use core::fmt;
use core::marker::PhantomData;

/// The most multiplications of a form.
pub(crate) const MOST_POINTS: usize = 10;
/// The most pairs of points.
const MOST_PAIRS: usize = (MOST_POINTS - 1) / 2;

/// F(m, r).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// Outputs of a tile.
    pub m: usize,
    /// Taps of the filter.
    pub r: usize,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F({}, {})", self.m, self.r)
    }
}

/// A form with its points, known to the compiler.
pub(super) trait Points {
    const M: usize;
    const R: usize;
    /// One of each pair.
    const PAIRS: [f64; MOST_PAIRS];
}

/// What a tile of `m` outputs needs of the points.
#[derive(Clone, Copy)]
struct Table {
    pairs: usize,
    infinity: bool,
    /// The input at zero and, if it is among the points, at infinity: coefficients of every second input.
    zero: [f64; MOST_PAIRS + 1],
    at_infinity: [f64; MOST_PAIRS + 1],
    /// The input at the points of a pair: coefficients of the even part, and of the odd one divided by the point.
    pair: [[f64; MOST_PAIRS]; MOST_PAIRS],
    /// Powers of a point.
    powers: [[f64; MOST_POINTS]; MOST_PAIRS],
}

/// The coefficients of the product of `x² - p²` over all pairs but one, from the constant on.
const fn product(points: &[f64; MOST_PAIRS], pairs: usize, but: usize) -> [f64; MOST_PAIRS + 1] {
    let mut product = [0.0; MOST_PAIRS + 1];
    product[0] = 1.0;
    let mut j = 0;
    while j < pairs {
        if j != but {
            let mut l = MOST_PAIRS;
            while l > 0 {
                product[l] = product[l - 1] - points[j] * points[j] * product[l];
                l -= 1;
            }
            product[0] *= -points[j] * points[j];
        }
        j += 1;
    }
    product
}

/// What the weights at a pair of points are divided by: the derivative of the product of all finite points. A product itself:
/// nothing cancels out.
const fn scale(points: &[f64; MOST_PAIRS], pairs: usize, i: usize) -> f64 {
    let mut value = 2.0 * (points[i] * points[i]);
    let mut j = 0;
    while j < pairs {
        if j != i {
            value *= (points[i] - points[j]) * (points[i] + points[j]);
        }
        j += 1;
    }
    value
}

/// Pairs among `points` points.
const fn pairs(points: usize) -> usize {
    (points - 1) / 2
}

impl Table {
    /// For tiles of `m` outputs that meet weights which were transformed for `full`.
    const fn new(points: &[f64; MOST_PAIRS], full: usize, m: usize, r: usize) -> Self {
        let count = m + r - 1;
        let (pairs_here, pairs_there) = (pairs(count), pairs(full + r - 1));
        let zero = product(points, pairs_here, MOST_PAIRS);
        let ratio = product(points, pairs_there, MOST_PAIRS)[0] / zero[0];
        let mut table = Table {
            pairs: pairs_here,
            infinity: count.is_multiple_of(2),
            zero,
            at_infinity: zero,
            pair: [[0.0; MOST_PAIRS]; MOST_PAIRS],
            powers: [[1.0; MOST_POINTS]; MOST_PAIRS],
        };
        let mut l = 0;
        while l <= MOST_PAIRS {
            table.zero[l] *= ratio;
            l += 1;
        }
        let mut i = 0;
        while i < pairs_here {
            let ratio = scale(points, pairs_there, i) / scale(points, pairs_here, i);
            let coefficients = product(points, pairs_here, i);
            let mut l = 0;
            while l < MOST_PAIRS {
                table.pair[i][l] = coefficients[l] * ratio;
                l += 1;
            }
            let mut e = 1;
            while e < MOST_POINTS {
                table.powers[i][e] = table.powers[i][e - 1] * points[i];
                e += 1;
            }
            i += 1;
        }
        table
    }
}

/// A tile of `M` outputs of a form, by `A` multiplications.
pub(super) struct Transform<P, const M: usize, const A: usize>(PhantomData<P>);

/// `coefficient * x + sum`, where the compiler knows the coefficient; a sum of nothing is `None`.
#[inline(always)]
fn term<T: Element, S: Simd<T>>(s: S, coefficient: f64, x: S::V, sum: Option<S::V>) -> Option<S::V> {
    Some(match sum {
        _ if coefficient == 0.0 => return sum,
        None if coefficient == 1.0 => x,
        None => s.mul(s.splat(T::from_f64(coefficient)), x),
        Some(sum) if coefficient == 1.0 => s.add(sum, x),
        Some(sum) if coefficient == -1.0 => s.sub(sum, x),
        Some(sum) => s.mul_add(s.splat(T::from_f64(coefficient)), x, sum),
    })
}

impl<P: Points, const M: usize, const A: usize> Transform<P, M, A> {
    const TABLE: Table = {
        // Without infinity the last of the inputs counts in all points, so a shorter tile of such a form must do without as
        // well.
        assert!(A == M + P::R - 1 && A <= MOST_POINTS);
        assert!((P::M + P::R - 1).is_multiple_of(2) || !A.is_multiple_of(2));
        Table::new(&P::PAIRS, P::M, M, P::R)
    };

    /// `Bt d`.
    #[inline(always)]
    pub fn input<T: Element, S: Simd<T>>(s: S, d: [S::V; A]) -> [S::V; A] {
        let mut v = d;
        if A == 1 {
            return v;
        }
        let t = const { Self::TABLE };
        let (mut zero, mut infinity) = (None, None);
        unrolled!(l in 0..5, {
            if l <= t.pairs {
                // The highest power first.
                let l = t.pairs - l;
                zero = term(s, t.zero[l], d[2 * l], zero);
                if t.infinity {
                    infinity = term(s, t.at_infinity[l], d[(2 * l + 1).min(A - 1)], infinity);
                }
            }
        });
        unrolled!(i in 0..4, {
            if i < t.pairs {
                let (mut even, mut odd) = (None, None);
                unrolled!(l in 0..4, {
                    if l < t.pairs {
                        let l = t.pairs - 1 - l;
                        even = term(s, t.pair[i][l], d[2 * l + 2], even);
                        odd = term(s, t.pair[i][l], d[2 * l + 1], odd);
                    }
                });
                if let (Some(even), Some(odd)) = (even, odd) {
                    v[2 * i + 1] = term(s, P::PAIRS[i], odd, Some(even)).unwrap_or(even);
                    v[2 * i + 2] = term(s, -P::PAIRS[i], odd, Some(even)).unwrap_or(even);
                }
            }
        });
        v[0] = zero.unwrap_or(d[0]);
        if let Some(infinity) = infinity {
            v[A - 1] = infinity;
        }
        v
    }

    /// `At v`.
    #[inline(always)]
    pub fn output<T: Element, S: Simd<T>>(s: S, v: [S::V; A]) -> [S::V; M] {
        let mut y = [v[0]; M];
        if A == 1 {
            return y;
        }
        let t = const { Self::TABLE };
        let (mut sum, mut difference) = ([v[0]; 4], [v[0]; 4]);
        unrolled!(i in 0..4, {
            if i < t.pairs {
                sum[i] = s.add(v[2 * i + 1], v[2 * i + 2]);
                difference[i] = s.sub(v[2 * i + 1], v[2 * i + 2]);
            }
        });
        unrolled!(e in 0..6, {
            if e < M {
                let mut total = if e == 0 { Some(v[0]) } else { None };
                if t.infinity && e == M - 1 {
                    total = term(s, 1.0, v[A - 1], total);
                }
                unrolled!(i in 0..4, {
                    if i < t.pairs {
                        let x = if e % 2 == 0 { sum[i] } else { difference[i] };
                        total = term(s, t.powers[i][e], x, total);
                    }
                });
                y[e] = total.unwrap_or(v[0]);
            }
        });
        y
    }
}

/// The rows of `G`, one for each point.
pub(super) fn weights(points: &[f64; MOST_PAIRS], form: Form) -> [[f64; MOST_POINTS]; MOST_POINTS] {
    let Form { m, r } = form;
    let count = m + r - 1;
    let mut g = [[0.0; MOST_POINTS]; MOST_POINTS];
    if count == 1 {
        g[0][0] = 1.0;
        return g;
    }
    g[0][0] = 1.0 / product(points, pairs(count), MOST_PAIRS)[0];
    for i in 0..pairs(count) {
        let scale = scale(points, pairs(count), i);
        let mut power = 1.0;
        for tap in 0..r {
            g[2 * i + 1][tap] = power / scale;
            g[2 * i + 2][tap] = if tap % 2 == 0 { power } else { -power } / scale;
            power *= points[i];
        }
    }
    if count.is_multiple_of(2) {
        g[count - 1][r - 1] = 1.0;
    }
    g
}

/// Something to compute for tiles of `M` outputs of a form.
pub(super) trait TileOp<T> {
    /// Must be `#[inline(always)]`, as [`Op::run`].
    fn run<S: Simd<T>, P: Points, const M: usize, const A: usize>(self, s: S);
}

struct Tiles<O, P, const M: usize, const A: usize>(O, PhantomData<P>);

impl<T, O: TileOp<T>, P: Points, const M: usize, const A: usize> Op<T> for Tiles<O, P, M, A> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        self.0.run::<S, P, M, A>(s);
    }
}

/// Declares the forms, with their points and the outputs that their tiles may have.
macro_rules! forms {
    ($($name:ident: $m:literal, $r:literal, [$($pair:expr),*], $($outputs:literal)*;)*) => {
        $(
            pub(super) struct $name;
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

        impl Form {
            /// Multiplications.
            pub const fn points(self) -> usize {
                self.m + self.r - 1
            }

            /// All of them, those with fewer outputs first.
            pub const ALL: &[Form] = &[$(Form { m: $m, r: $r }),*];

            /// The outputs that a tile of this form can have, in ascending order.
            pub fn tiles(self) -> &'static [usize] {
                match (self.m, self.r) {
                    $(($m, $r) => &[$($outputs),*],)*
                    _ => &[],
                }
            }

            /// Runs `op` for tiles of so many outputs, one of [`Form::tiles`].
            #[inline(always)]
            pub(super) fn run<T: Element, S: Simd<T>>(self, s: S, outputs: usize, op: impl TileOp<T>) {
                match (self.m, self.r, outputs) {
                    $($(($m, $r, $outputs) => s.call(Tiles::<_, $name, $outputs, { $outputs + $r - 1 }>(op, PhantomData)),)*)*
                    _ => unreachable!("a tile of {outputs} outputs of F({}, {})", self.m, self.r),
                }
            }

            /// `G`.
            pub fn weights(self) -> [[f64; MOST_POINTS]; MOST_POINTS] {
                match (self.m, self.r) {
                    $(($m, $r) => weights(&$name::PAIRS, self),)*
                    _ => [[0.0; MOST_POINTS]; MOST_POINTS],
                }
            }
        }
    };
}

forms! {
    F11: 1, 1, [], 1;
    F22: 2, 2, [1.4375], 2;
    F42: 4, 2, [2.3125, 0.8125], 2 4;
    F23: 2, 3, [1.0], 1 2;
    F43: 4, 3, [FRAC_1_SQRT_2, SQRT_2], 1 2 3 4;
    F63: 6, 3, [1.0, 0.5, 2.0], 2 4 6;
    F44: 4, 4, [0.609375, 3.25, 1.15625], 2 4;
    F35: 3, 5, [0.59375, 3.5, 1.15625], 1 3;
    F45: 4, 5, [1.0, 0.5, 2.0], 1 2 3 4;
    F37: 3, 7, [0.484375, 1.46875, 4.25, 0.875], 1 3;
    F47: 4, 7, [0.775, 1.2625, 2.392, 0.446], 1 2 3 4;
}
