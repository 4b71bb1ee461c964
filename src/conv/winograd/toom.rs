//! One filter along an axis: F(m, r), `m` outputs of `r` taps by `m + r - 1` multiplications, and its tables, built from its
//! points when the crate is compiled.
//!
//! ```text
//! y = At ((G w) * (Bt d))        Bt d: m + r - 1 inputs, G w: r taps, At: m outputs
//! ```
//!
//! The points are 0, pairs `±p`, and infinity where `m + r - 1` is even (Toom and Cook; Winograd, "Arithmetic complexity of
//! computations", 1980; Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015). Of each pair the even and the odd
//! part are computed once. A filter of one tap has nothing to transform: its points are its inputs.
//!
//! A tile with fewer outputs takes the first of the same points, and infinity where their number is even. So it meets the
//! same transformed weights; what the scale of the points left out has put into those, its input takes out again.

use crate::element::Element;
use crate::simd::{Simd, unrolled};
use core::marker::PhantomData;

/// The most pairs of points.
pub(super) const MOST_PAIRS: usize = 4;
/// The most points of one filter.
const MOST: usize = 2 * MOST_PAIRS + 2;

/// F(m, r) with its points, known to the compiler.
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
    powers: [[f64; MOST]; MOST_PAIRS],
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
            powers: [[1.0; MOST]; MOST_PAIRS],
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
            while e < MOST {
                table.powers[i][e] = table.powers[i][e - 1] * points[i];
                e += 1;
            }
            i += 1;
        }
        table
    }
}

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

/// Where a filter's inputs and points lie among those of a form: constants, once all is inlined.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first input.
    pub input: usize,
    /// From an input to the next.
    pub step: usize,
    /// The first point.
    pub point: usize,
}

impl Place {
    #[inline(always)]
    fn x(self, k: usize) -> usize {
        self.input + k * self.step
    }

    #[inline(always)]
    fn v(self, k: usize) -> usize {
        self.point + k
    }
}

/// A tile of `M` outputs.
pub(super) struct Tile<P, const M: usize>(PhantomData<P>);

impl<P: Points, const M: usize> Tile<P, M> {
    /// Inputs, and multiplications.
    pub const COUNT: usize = M + P::R - 1;

    const TABLE: Table = {
        // Without infinity the last of the inputs counts in all points, so a shorter tile of such a form must do without as
        // well.
        assert!(Self::COUNT <= MOST);
        assert!(P::R == 1 || (P::M + P::R - 1).is_multiple_of(2) || !Self::COUNT.is_multiple_of(2));
        Table::new(&P::PAIRS, P::M, M, P::R)
    };

    /// `Bt d`.
    #[inline(always)]
    pub fn input<T: Element, S: Simd<T>, const A: usize>(s: S, d: &[S::V; A], v: &mut [S::V; A], place: Place) {
        if P::R == 1 {
            unrolled!(k in 0..M, { v[place.v(k)] = d[place.x(k)]; });
            return;
        }
        let t = const { Self::TABLE };
        let (mut zero, mut infinity) = (None, None);
        unrolled!(l in 0..5, {
            if l <= t.pairs {
                // The highest power first.
                let l = t.pairs - l;
                zero = term(s, t.zero[l], d[place.x(2 * l)], zero);
                if t.infinity {
                    infinity = term(s, t.at_infinity[l], d[place.x(2 * l + 1)], infinity);
                }
            }
        });
        unrolled!(i in 0..4, {
            if i < t.pairs {
                let (mut even, mut odd) = (None, None);
                unrolled!(l in 0..4, {
                    if l < t.pairs {
                        let l = t.pairs - 1 - l;
                        even = term(s, t.pair[i][l], d[place.x(2 * l + 2)], even);
                        odd = term(s, t.pair[i][l], d[place.x(2 * l + 1)], odd);
                    }
                });
                if let (Some(even), Some(odd)) = (even, odd) {
                    v[place.v(2 * i + 1)] = term(s, P::PAIRS[i], odd, Some(even)).unwrap_or(even);
                    v[place.v(2 * i + 2)] = term(s, -P::PAIRS[i], odd, Some(even)).unwrap_or(even);
                }
            }
        });
        v[place.v(0)] = zero.unwrap_or(d[place.x(0)]);
        if let Some(infinity) = infinity {
            v[place.v(Self::COUNT - 1)] = infinity;
        }
    }

    /// `At v`.
    #[inline(always)]
    pub fn output<T: Element, S: Simd<T>, const A: usize>(s: S, v: &[S::V; A], place: Place) -> [S::V; M] {
        let mut y = [v[place.v(0)]; M];
        if P::R == 1 {
            unrolled!(k in 0..M, { y[k] = v[place.v(k)]; });
            return y;
        }
        let t = const { Self::TABLE };
        let (mut sum, mut difference) = ([v[place.v(0)]; 4], [v[place.v(0)]; 4]);
        unrolled!(i in 0..4, {
            if i < t.pairs {
                sum[i] = s.add(v[place.v(2 * i + 1)], v[place.v(2 * i + 2)]);
                difference[i] = s.sub(v[place.v(2 * i + 1)], v[place.v(2 * i + 2)]);
            }
        });
        unrolled!(e in 0..6, {
            if e < M {
                let mut total = if e == 0 { Some(v[place.v(0)]) } else { None };
                if t.infinity && e == M - 1 {
                    total = term(s, 1.0, v[place.v(Self::COUNT - 1)], total);
                }
                unrolled!(i in 0..4, {
                    if i < t.pairs {
                        let x = if e % 2 == 0 { sum[i] } else { difference[i] };
                        total = term(s, t.powers[i][e], x, total);
                    }
                });
                y[e] = total.unwrap_or(v[place.v(0)]);
            }
        });
        y
    }
}

/// The points of a tile of so many outputs, of the `all` that there are.
pub(super) fn points(m: usize, r: usize, all: usize) -> impl Iterator<Item = usize> {
    let count = m + r - 1;
    // Infinity is the last one of an even number.
    let is_last = move |k: usize| r > 1 && k + 1 == count && count.is_multiple_of(2);
    (0..count).map(move |k| if is_last(k) { all - 1 } else { k })
}

/// The rows of `G`, and how many there are: one for each point, or the same one for all of them.
pub(super) fn weights(points: &[f64; MOST_PAIRS], m: usize, r: usize) -> ([[f64; MOST]; MOST], usize) {
    let count = if r == 1 { 1 } else { m + r - 1 };
    let mut g = [[0.0; MOST]; MOST];
    if r == 1 {
        g[0][0] = 1.0;
        return (g, count);
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
    (g, count)
}
