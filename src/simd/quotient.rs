//! Quotients by whole numbers, to the bit, without the many cycles of a division (16 for a vector of AVX-512, more than the sum
//! of nine taps takes).
//!
//! With `r = 1 / d`, rounded, `q = x * r` is off by an ulp or so. The rest `x - q * d` is exact in fused arithmetic, and adding
//! `rest * r` to `q` is off by less than 2^-23 ulp before it is rounded (P. Markstein, "Computation of elementary functions on
//! the IBM RISC System/6000 processor", 1990). That rounds as `x / d` does: no `x / d` lies so near to the middle between two
//! numbers, where `d` is at most [`LARGEST`], for `x` and the middle times `d` are multiples of half an ulp of the quotient.
//! They are equal for none but denormal quotients, by even divisors: there the squares of the dividends are looked at first.

use super::Simd;
use crate::element::Element;

/// The largest divisor that the proof holds for in `f32`, and some bits of room.
const LARGEST: usize = 1 << 20;

/// A whole number to divide vectors by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Divisor<T> {
    value: T,
    inverse: T,
    way: Way,
}

/// How vectors are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The inverse is exact: products have the same bits.
    ByInverse,
    /// A product is corrected, where the level has fused arithmetic.
    Corrected {
        is_even: bool,
    },
    Plain,
}

impl<T: Element> Divisor<T> {
    /// `divisor` is at least 1.
    pub fn new(divisor: usize) -> Self {
        let value = T::from_f64(divisor as f64);
        let way = match divisor {
            d if d.is_power_of_two() => Way::ByInverse,
            ..=LARGEST => Way::Corrected { is_even: divisor.is_multiple_of(2) },
            _ => Way::Plain,
        };
        Divisor { value, inverse: T::ONE / value, way }
    }

    /// `x / d`, where no `x` is -0.
    #[inline(always)]
    pub fn divide<S: Simd<T>, const N: usize>(self, s: S, x: [S::V; N]) -> [S::V; N] {
        let (d, inverse, mut y) = (s.splat(self.value), s.splat(self.inverse), x);
        if self.way == Way::ByInverse {
            for i in 0..N {
                y[i] = s.mul(x[i], inverse);
            }
            return y;
        }
        if let (true, Way::Corrected { is_even }) = (S::IS_FUSED, self.way) {
            let (minus_d, zero) = (s.splat(-self.value), s.splat(T::ZERO));
            let least = s.splat(T::from_f64(1.0 / (1u128 << 120) as f64));
            let mut denormal = 0;
            for i in 0..N {
                let q = s.mul(x[i], inverse);
                y[i] = s.mul_add(s.mul_add(q, minus_d, x[i]), inverse, q);
            }
            if is_even {
                for i in 0..N {
                    // Zero is small, and divided rightly.
                    denormal |= s.bits(s.lt(s.mul(x[i], x[i]), least)) ^ s.bits(s.eq(x[i], zero));
                }
            }
            // The rest of an infinite quotient is NaN.
            if denormal == 0 && !s.any_nan(y) {
                return y;
            }
        }
        for i in 0..N {
            y[i] = s.div(x[i], d);
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dispatch, Level, Op};
    use super::*;
    use alloc::vec;

    /// Divides numbers around every edge of rounding by many divisors.
    struct Quotients<T>(fn(u64) -> T);

    impl<T: Element> Op<T> for Quotients<T> {
        type Out = ();

        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            let mut random = 1u64;
            let mut next = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                random ^ (random >> 29)
            };
            let (mut x, mut y) = (vec![T::ZERO; 2 * S::LANES], vec![T::ZERO; S::LANES]);
            for count in (1..400).chain((9..21).flat_map(|e| [(1 << e) - 1, (1 << e) + 1])) {
                let d = T::from_f64(count as f64);
                for round in 0..200 {
                    for x in &mut x {
                        // Any bits; a quotient's neighbours; tiny, huge and special numbers.
                        let quotient = self.0(next());
                        *x = match (round % 8, next() % 8) {
                            (0, _) => quotient,
                            (1, 0) => T::ZERO,
                            (2, 0) => T::ONE / T::ZERO,
                            (3, 0) => T::ONE / T::ZERO * T::ZERO,
                            (4, 0) => T::from_f64(1e-45),
                            (5, _) => quotient * d,
                            (6, _) => self.0(next() % (1 << 12)),
                            _ => T::from_f64((next() % (1 << 24)) as f64) * T::from_f64(1.0 / 1024.0),
                        };
                        if *x == T::ZERO {
                            *x = T::ZERO;
                        }
                    }
                    let vectors = [s.load(&x), s.load(&x[S::LANES..])];
                    for (v, quotients) in Divisor::new(count).divide(s, vectors).into_iter().enumerate() {
                        s.store(quotients, &mut y);
                        for (y, &x) in y.iter().zip(&x[v * S::LANES..]) {
                            let expected = x / d;
                            let (y, expected) = (y.to_f64(), expected.to_f64());
                            assert!(
                                y.to_bits() == expected.to_bits() || y.is_nan() && expected.is_nan(),
                                "{x} / {d}: {y}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_quotient_is_that_of_the_division() {
        for level in Level::available() {
            f32::at(level, Quotients(|bits| f32::from_bits(bits as u32)));
            f64::at(level, Quotients(f64::from_bits));
        }
    }
}
