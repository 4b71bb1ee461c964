//! The error function and its complement in `f64`.
//!
//! Formulas by number from M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", chapter 7.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// Below this the series is used, from here on the continued fraction.
const SWITCH: f64 = 1.0;
/// Enough levels of the continued fraction for full precision at [`SWITCH`].
const LEVELS: u32 = 200;

/// `erf(x) = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x`, within 1e-15.
pub fn erf(x: f64) -> f64 {
    if x.abs() < SWITCH {
        erf_series(x)
    } else if x > 0.0 {
        1.0 - erfc_fraction(x)
    } else {
        erfc_fraction(-x) - 1.0
    }
}

/// `erfc(x) = 1 - erf(x)`, within 2e-15 relative until it underflows: no cancellation in the upper tail.
pub fn erfc(x: f64) -> f64 {
    if x < SWITCH { 1.0 - erf(x) } else { erfc_fraction(x) }
}

/// 7.1.6: `erf(x) = 2 / sqrt(pi) * e^(-x^2) * sum over n of 2^n / (1 * 3 * .. * (2n + 1)) * x^(2n + 1)`.
fn erf_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..40 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * exp_minus_square(x) * sum
}

/// 7.1.14: `erfc(x) = e^(-x^2) / sqrt(pi) * 1 / (x + (1/2) / (x + (2/2) / (x + (3/2) / (x + ..))))`, for `x > 0`.
fn erfc_fraction(x: f64) -> f64 {
    let mut tail = x;
    for level in (1..=LEVELS).rev() {
        tail = x + 0.5 * f64::from(level) / tail;
    }
    exp_minus_square(x) / (PI.sqrt() * tail)
}

/// `e^(-x^2)`; the rounding error of the square, which `exp` would magnify, is put back.
fn exp_minus_square(x: f64) -> f64 {
    let square = x * x;
    let result = (-square).exp();
    if result == 0.0 {
        return 0.0;
    }
    result - result * x.mul_add(x, -square)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        for (x, expected) in [
            (0.0, 0.0),
            (1e-10, 1.128_379_167_095_512_6e-10),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (6.0, 1.0),
            (f64::INFINITY, 1.0),
        ] {
            assert!((erf(x) - expected).abs() <= 1e-15 * expected, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!(erf(f64::NAN).is_nan() && erfc(f64::NAN).is_nan());
    }

    #[test]
    fn tails_keep_their_relative_precision() {
        for (x, expected) in [
            (-1.0, 1.842_700_792_949_715),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (3.0, 2.209_049_699_858_544e-5),
            (5.0, 1.537_459_794_428_035e-12),
            (10.0, 2.088_487_583_762_545e-45),
            (f64::INFINITY, 0.0),
            (f64::NEG_INFINITY, 2.0),
        ] {
            assert!((erfc(x) - expected).abs() <= 2e-15 * expected, "erfc({x}) = {}", erfc(x));
        }
    }

    #[test]
    fn series_and_fraction_meet() {
        for i in 0..100 {
            let x = 1.0 + 0.01 * f64::from(i);
            assert!((erf_series(x) - (1.0 - erfc_fraction(x))).abs() < 1e-15, "{x}");
        }
    }
}
