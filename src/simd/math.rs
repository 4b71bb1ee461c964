//! Exponential functions of vectors, which core lacks: written once over [`Simd`], for `f32` and `f64`.
//!
//! `e^x = 2^n * e^r` with `n = round(x / ln 2)` and `r = x - n * ln 2`, `|r| <= ln(2) / 2`, where `ln 2` is held in two
//! parts, the first so short that its product with `n` is exact (W. J. Cody and W. Waite, "Software Manual for the
//! Elementary Functions", 1980). `e^r = 1 + q` by a polynomial, and what needs `1 + e^x` or `e^x - 1` is made from `n` and
//! `q`, before the rounding of `e^x`. No level needs FMA for the bounds, all of which the tests check:
//!
//! | function | largest error, of either type at any level | where the result is denormal |
//! | --- | --- | --- |
//! | [`exp`] | 1.2 ulp | gradual, within 1.5 ulp |
//! | [`sigmoid`] | 2 ulp | flushed to 0 below -88 and -709 |
//! | [`tanh`] | 1.5 ulp | exact |
//! | [`Normal::cdf`] | 5 ulp, and 5 times epsilon of the value in its lower half | gradual, not accurate |
//!
//! A NaN gives NaN. The polynomials are minimax fits by Remez's algorithm in 60 digits (mpmath), for the weighted
//! errors that are given with them, their coefficients rounded afterwards.

use super::Simd;
use crate::element::Element;

/// The constants of a type. It is sealed: nobody outside can name it.
pub trait Constants: Copy + 'static {
    /// 1.5 * 2^(bits of the mantissa): added, it leaves a number's nearest integer in the low bits of the mantissa.
    const ROUND: Self;
    /// [`Constants::ROUND`], scaled so that the square of what it rounds is exact, up to [`Constants::CDF_MAX`].
    const ROUND_HALF: Self;
    /// What is added to an exponent.
    const BIAS: Self;
    const LOG2_E: Self;
    /// `ln 2`: first the leading bits, few enough for exact products with any exponent, then the rest.
    const LN_2: [Self; 2];
    /// Beyond these, the exponential is 0 or infinity.
    const EXP_RANGE: [Self; 2];
    /// `(e^r - 1 - r) / r^2` for `|r| <= ln(2) / 2`, relative to `e^r`; the highest power first.
    const EXP: &'static [Self];
    /// Beyond it, `1 + e^x` counts as infinite. Up to it, `2^n` is finite, and `2^-n` normal or 0.
    const LOGISTIC_MAX: Self;
    /// From here on, the hyperbolic tangent rounds to 1.
    const TANH_MAX: Self;
    /// `(tanh(x) - x) / x^3` in powers of `x^2` for `|x| <= 5/8`, relative to `tanh x`; the highest power first.
    const TANH: &'static [Self];
    /// From here on, the tail of the normal distribution underflows to 0.
    const CDF_MAX: Self;
    /// `K` in [`Constants::CDF`].
    const CDF_CENTER: Self;
    /// `(1 - cdf(a)) * e^(a^2 / 2) * (a + K)` in powers of `w = (a - K) / (a + K)`, relative; the highest power first.
    /// The variable is that of M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x",
    /// Math. Comp. 36 (1981).
    const CDF: &'static [Self];
}

impl Constants for f32 {
    const ROUND: f32 = 12582912.0;
    const ROUND_HALF: f32 = 49152.0; // to multiples of 2^-8: 12 bits
    const BIAS: f32 = 127.0;
    const LOG2_E: f32 = core::f32::consts::LOG2_E;
    const LN_2: [f32; 2] = [0.693_145_75, 1.428_606_8e-6]; // 15 bits
    const EXP_RANGE: [f32; 2] = [-104.0, 89.0];
    // 2^-27.7
    const EXP: &'static [f32] = &[0.0014035479, 0.008372254, 0.041665554, 0.16666488, 0.5];
    const LOGISTIC_MAX: f32 = 88.0;
    const TANH_MAX: f32 = 10.0;
    // 2^-32.4
    const TANH: &'static [f32] = &[0.002152684, -0.008190013, 0.021706894, -0.05394818, 0.13333221, -0.3333333];
    const CDF_MAX: f32 = 14.5;
    const CDF_CENTER: f32 = 4.0;
    // 2^-25.6
    #[rustfmt::skip]
    const CDF: &'static [f32] = &[
        -0.00012569132, 0.0001931561, 0.0015754609, -0.0035184738, -0.0075291256, 0.060404506, -0.18652284, 0.38713688,
        -0.6078966, 0.75528514,
    ];
}

impl Constants for f64 {
    const ROUND: f64 = 6755399441055744.0;
    const ROUND_HALF: f64 = 6442450944.0; // to multiples of 2^-20: 26 bits
    const BIAS: f64 = 1023.0;
    const LOG2_E: f64 = core::f64::consts::LOG2_E;
    const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10]; // 33 bits
    const EXP_RANGE: [f64; 2] = [-746.0, 710.0];
    // 2^-60.3
    #[rustfmt::skip]
    const EXP: &'static [f64] = &[
        2.1014264050442726e-09, 2.511528751897424e-08, 2.7556978881992244e-07, 2.7557225282891674e-06,
        2.4801587629817343e-05, 0.0001984126990621653, 0.001388888888875715, 0.008333333333312973, 0.041666666666666845,
        0.16666666666666688, 0.5,
    ];
    const LOGISTIC_MAX: f64 = 709.0;
    const TANH_MAX: f64 = 20.0;
    // 2^-56.4
    #[rustfmt::skip]
    const TANH: &'static [f64] = &[
        -1.606921319908796e-05, 7.713751203027386e-05, -0.0002285581863246952, 0.0005863135596598815,
        -0.0014549579667551727, 0.003591988995966875, -0.008863220980524248, 0.02186948757440242, -0.05396825393119366,
        0.13333333333261932, -0.33333333333332854,
    ];
    const CDF_MAX: f64 = 38.7;
    const CDF_CENTER: f64 = 5.0;
    // 2^-52.6
    #[rustfmt::skip]
    const CDF: &'static [f64] = &[
        -2.9438029728142714e-10, 1.4540743581980905e-09, 7.933880666533507e-09, -8.357322980822308e-09,
        -6.602912991284182e-08, 4.095547024538337e-08, 4.32923296871483e-07, -3.3558693139482274e-07,
        -2.768985470537541e-06, 3.980404675900938e-06, 1.668105649445036e-05, -4.976265991558473e-05,
        -5.937567900631532e-05, 0.00054489903417105, -0.00079786940731495, -0.002993376766779152, 0.020795066800772605,
        -0.06911863870656608, 0.1650203661703405, -0.3135331566712963, 0.49530561596997724, -0.6653825028900567,
        0.769193049750063,
    ];
}

/// The polynomial with these coefficients, the highest power first.
#[inline(always)]
fn polynomial<T: Element, S: Simd<T>>(s: S, x: S::V, coefficients: &'static [T]) -> S::V {
    let (first, rest) = coefficients.split_first().expect("no polynomial is empty");
    rest.iter().fold(s.splat(*first), |sum, &c| s.mul_add(sum, x, s.splat(c)))
}

/// `-x`.
#[inline(always)]
fn neg<T: Element, S: Simd<T>>(s: S, x: S::V) -> S::V {
    s.mul(x, s.splat(-T::ONE))
}

/// `|x|`.
#[inline(always)]
pub(crate) fn abs<T: Element, S: Simd<T>>(s: S, x: S::V) -> S::V {
    s.select(s.lt(x, s.splat(T::ZERO)), neg(s, x), x)
}

/// The smaller of `x` and a bound; NaN stays.
#[inline(always)]
fn at_most<T: Element, S: Simd<T>>(s: S, x: S::V, bound: T) -> S::V {
    // `Simd::min` takes care of a NaN in its second operand only. A constant there leaves one instruction.
    s.min(x, s.splat(bound))
}

/// The larger of `x` and a bound; NaN stays.
#[inline(always)]
fn at_least<T: Element, S: Simd<T>>(s: S, x: S::V, bound: T) -> S::V {
    s.max(x, s.splat(bound))
}

/// `[n, q]` with `e^(x + low) = 2^n * (1 + q)`, for finite `x`; `low` is small.
#[inline(always)]
fn reduce<T: Element, S: Simd<T>>(s: S, x: S::V, low: Option<S::V>) -> [S::V; 2] {
    let round = s.splat(T::ROUND);
    let n = s.sub(s.mul_add(x, s.splat(T::LOG2_E), round), round);
    // No rounding in the first step, and little in the second, whose product is small.
    let r = s.mul_add(n, s.splat(-T::LN_2[0]), x);
    let r = s.mul_add(n, s.splat(-T::LN_2[1]), r);
    let r = if let Some(low) = low { s.add(r, low) } else { r };
    [n, s.mul_add(s.mul(r, r), polynomial(s, r, T::EXP), r)]
}

/// `2^n`, for an integer `n` such that it is normal; 0 for the next smaller one.
#[inline(always)]
fn power<T: Element, S: Simd<T>>(s: S, n: S::V) -> S::V {
    s.exponent(s.add(n, s.splat(T::ROUND + T::BIAS)))
}

/// `2^n * (1 + q)`, by two powers: each is normal where the product isn't.
#[inline(always)]
fn scale<T: Element, S: Simd<T>>(s: S, [n, q]: [S::V; 2]) -> S::V {
    let round = s.splat(T::ROUND);
    let half = s.sub(s.mul_add(n, s.splat(T::from_f64(0.5)), round), round);
    s.mul(s.mul(s.add(q, s.splat(T::ONE)), power(s, half)), power(s, s.sub(n, half)))
}

/// `e^x`. Where the result is denormal, it has an ulp of its own and is rounded twice.
#[inline(always)]
pub(crate) fn exp<T: Element, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let x = at_most(s, at_least(s, x, T::EXP_RANGE[0]), T::EXP_RANGE[1]);
    scale(s, reduce(s, x, None))
}

/// `1 + e^x`; infinity beyond [`Constants::LOGISTIC_MAX`], so that quotients by it are 0 there.
#[inline(always)]
pub(crate) fn one_plus_exp<T: Element, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let [n, q] = reduce(s, at_most(s, at_least(s, x, -T::LOGISTIC_MAX), T::LOGISTIC_MAX), None);
    let power = power(s, n);
    // 1 + 2^n * (1 + q). The first sum is exact, but where 2^n is large: what it has lost then comes back.
    let sum = s.add(power, s.splat(T::ONE));
    let lost = s.add(s.sub(power, sum), s.splat(T::ONE));
    let sum = s.add(sum, s.mul_add(power, q, lost));
    s.select(s.lt(s.splat(T::LOGISTIC_MAX), x), s.splat(-T::NEG_INFINITY), sum)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<T: Element, S: Simd<T>>(s: S, x: S::V) -> S::V {
    s.div(s.splat(T::ONE), one_plus_exp(s, neg(s, x)))
}

/// The hyperbolic tangent: a polynomial near 0, where `1 - 2 / (1 + e^(2x))` cancels, else that.
#[inline(always)]
pub(crate) fn tanh<T: Element, S: Simd<T>>(s: S, x: S::V) -> S::V {
    let (zero, one, two) = (s.splat(T::ZERO), s.splat(T::ONE), s.splat(T::from_f64(2.0)));
    let size = at_most(s, abs(s, x), T::TANH_MAX);
    let large = s.sub(one, s.div(two, one_plus_exp(s, s.add(size, size))));
    let square = s.mul(size, size);
    // Adding 0 turns -0 into 0, which keeps the sign of x where that is a zero.
    let slope = s.add(s.mul(square, polynomial(s, square, T::TANH)), zero);
    let small = s.mul_add(x, slope, x);
    let large = s.select(s.lt(x, zero), neg(s, large), large);
    s.select(s.lt(size, s.splat(T::from_f64(0.625))), small, large)
}

/// The normal distribution at `x`.
pub(crate) struct Normal<V> {
    /// Its distribution function `(1 + erf(x / sqrt(2))) / 2`.
    pub cdf: V,
    /// `e^(-x^2 / 2)`: its density but for the factor `1 / sqrt(2 * pi)`.
    pub bell: V,
}

impl<V: Copy> Normal<V> {
    /// With `a = |x|`, the tail beyond `a` is `e^(-a^2 / 2)` times a smooth function.
    #[inline(always)]
    pub(crate) fn at<T: Element, S: Simd<T, V = V>>(s: S, x: V) -> Self {
        let (zero, one, half) = (s.splat(T::ZERO), s.splat(T::ONE), s.splat(T::from_f64(0.5)));
        let a = at_most(s, abs(s, x), T::CDF_MAX);
        // The rounding of the square would be magnified: a^2 = near^2 + (a - near) * (a + near), the first exact.
        let round = s.splat(T::ROUND_HALF);
        let near = s.sub(s.add(a, round), round);
        let rest = s.mul(s.sub(a, near), s.add(a, near));
        let square = at_least(s, neg(s, s.mul(s.mul(near, near), half)), T::EXP_RANGE[0]);
        let bell = scale(s, reduce(s, square, Some(neg(s, s.mul(rest, half)))));
        let center = s.splat(T::CDF_CENTER);
        let inverse = s.div(one, s.add(a, center));
        let smooth = s.mul(polynomial(s, s.mul(s.sub(a, center), inverse), T::CDF), inverse);
        let tail = s.mul(smooth, bell);
        Normal { cdf: s.select(s.lt(zero, x), s.sub(one, tail), tail), bell }
    }
}

/// The square root, correctly rounded; NaN of what is negative.
#[cfg(feature = "std")]
pub(crate) fn sqrt(x: f64) -> f64 {
    x.sqrt()
}

/// The square root, correctly rounded; NaN of what is negative.
#[cfg(not(feature = "std"))]
pub(crate) fn sqrt(x: f64) -> f64 {
    integer_sqrt(x)
}

/// By the root of the mantissa as an integer, with one bit more than a mantissa holds. That bit decides the rounding: the
/// root of a number of 53 bits is never halfway between two of them.
#[cfg(any(not(feature = "std"), test))]
fn integer_sqrt(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY {
        return x;
    }
    let (field, fraction) = ((x.to_bits() >> 52) as i32, x.to_bits() & ((1 << 52) - 1));
    let (mantissa, exponent) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
    // 107 or 108 bits, whichever leaves an even exponent: a root of 54.
    let mut shift = mantissa.leading_zeros() as i32 + 44;
    shift -= (exponent - shift).rem_euclid(2);
    let root = (u128::from(mantissa) << shift).isqrt() as u64;
    let power = f64::from_bits((((exponent - shift) / 2 + 1 + 1023) as u64) << 52);
    root.div_ceil(2) as f64 * power
}

#[cfg(test)]
mod tests;
