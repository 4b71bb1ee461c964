//! The bounds that the module documents, at every available level.

extern crate std; // for a yardstick, and to print

use super::*;
use crate::simd::{Level, Op};
use std::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Exp,
    Sigmoid,
    Tanh,
    Cdf,
}
use Function::{Cdf, Exp, Sigmoid, Tanh};

const ALL: [Function; 4] = [Exp, Sigmoid, Tanh, Cdf];

struct Map<'a, T>(Function, &'a mut [T]);

impl<T: Element> Op<T> for Map<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        for chunk in self.1.chunks_mut(S::LANES) {
            let x = s.load_partial(chunk);
            let y = match self.0 {
                Exp => exp(s, x),
                Sigmoid => sigmoid(s, x),
                Tanh => tanh(s, x),
                Cdf => Normal::at(s, x).cdf,
            };
            s.store_partial(y, chunk);
        }
    }
}

fn map<T: Element>(level: Level, f: Function, x: &[T]) -> Vec<T> {
    let mut y = x.to_vec();
    T::at(level, Map(f, &mut y));
    y
}

/// A number of twice `f64`'s precision: an unevaluated sum.
#[derive(Clone, Copy)]
struct Double(f64, f64);

impl Double {
    fn add(self, b: Double) -> Double {
        let sum = self.0 + b.0;
        let part = sum - self.0;
        let error = (self.0 - (sum - part)) + (b.0 - part) + self.1 + b.1;
        Double(sum + error, error - ((sum + error) - sum))
    }

    fn mul(self, b: Double) -> Double {
        let product = self.0 * b.0;
        let error = self.0.mul_add(b.0, -product) + self.0 * b.1 + self.1 * b.0;
        Double(product + error, error - ((product + error) - product))
    }

    fn div(self, b: Double) -> Double {
        let quotient = Double(self.0 / b.0, 0.0);
        let rest = self.add(Double(-1.0, 0.0).mul(quotient).mul(b));
        quotient.add(Double(rest.0 / b.0, 0.0))
    }

    fn times(self, x: f64) -> Double {
        Double(self.0 * x, self.1 * x) // by a power of two
    }

    /// `[e^r - 1, 2^n]` with `e^self = 2^n * e^r`: Taylor's series of `r / 2^6`, `e^2r - 1 = (e^r - 1) * (e^r - 1 + 2)`.
    fn reduced(self) -> (Double, i32) {
        let n = (self.0 / core::f64::consts::LN_2).round();
        let ln_2 = Double(core::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);
        let r = self.add(Double(-n, 0.0).mul(ln_2)).times(1.0 / 64.0);
        let mut sum = Double(0.0, 0.0);
        for i in (2..16).rev() {
            sum = sum.add(Double(1.0, 0.0)).mul(r).div(Double(f64::from(i), 0.0));
        }
        let mut e = sum.mul(r).add(r);
        for _ in 0..6 {
            e = e.mul(e.add(Double(2.0, 0.0)));
        }
        (e, n as i32)
    }

    fn exp(self) -> Double {
        let (e, n) = self.reduced();
        e.add(Double(1.0, 0.0)).times(2f64.powi(n / 2)).times(2f64.powi(n - n / 2))
    }

    fn value(f: Function, x: f64) -> Double {
        let one = Double(1.0, 0.0);
        match f {
            Exp => Double(x, 0.0).exp(),
            Sigmoid => one.div(one.add(Double(-x, 0.0).exp())),
            Tanh => {
                let (e, n) = Double(2.0 * x.abs(), 0.0).reduced();
                let e = if n == 0 { e } else { e.add(one).times(2f64.powi(n)).add(Double(-1.0, 0.0)) };
                e.div(e.add(Double(2.0, 0.0))).times(x.signum())
            }
            Cdf => unreachable!("see the table"),
        }
    }
}

fn value_f32(f: Function, x: f32) -> f64 {
    let x = f64::from(x);
    match f {
        Exp => x.exp(),
        Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Tanh => x.tanh(),
        Cdf => 0.5 * gemmule_reference::erfc(-x * core::f64::consts::FRAC_1_SQRT_2),
    }
}

/// `2^n`, denormal ones too, which `powi` makes from an overflow.
fn power_of_two(n: i32) -> f64 {
    2f64.powi(n / 2) * 2f64.powi(n - n / 2)
}

/// The distance between `x` and the next number of a type that has `digits` bits and this least exponent.
fn ulp(x: f64, digits: i32, least: i32) -> f64 {
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(least);
    power_of_two(exponent + 1 - digits)
}

/// Every `step`th number from `low` to `high` by bit pattern, of both signs where `low` is negative.
fn sweep(low: f32, high: f32, step: usize) -> Vec<f32> {
    let positive = (0..=high.to_bits()).step_by(step).map(f32::from_bits);
    let negative = (0..=low.abs().to_bits()).step_by(step).map(|x| -f32::from_bits(x));
    if low < 0.0 { positive.chain(negative).collect() } else { positive.filter(|&x| x >= low).collect() }
}

/// The largest error in ulp where the result is normal, and where.
fn worst<'a>(pairs: impl Iterator<Item = (f64, f64, f64)> + 'a, normal: f64) -> (f64, f64) {
    let errors = pairs.filter(|&(_, y, _)| y.abs() >= normal).map(|(x, _, error)| (error, x));
    errors.fold((0.0, 0.0), |a, b| if b.0 > a.0 || b.0.is_nan() { b } else { a })
}

fn print_worst(what: &str, level: Level, f: Function, worst: (f64, f64)) {
    std::println!("{what} {f:?} at {level}: {:.3} ulp at {:e}", worst.0, worst.1);
}

/// In ulp; of the distribution function's lower half in epsilons of the value.
fn bound(f: Function) -> f64 {
    match f {
        Exp => 1.2,
        Sigmoid => 2.0,
        Tanh => 1.5,
        Cdf => 5.0,
    }
}

fn check_f32(step: usize) {
    for (f, low, high) in [(Exp, -88.0, 89.0), (Sigmoid, -89.0, 20.0), (Tanh, -11.0, 11.0), (Cdf, -13.5, 8.0)] {
        let x = sweep(low, high, if f == Cdf { step * 16 } else { step });
        let expected: Vec<f64> = x.iter().map(|&x| value_f32(f, x)).collect();
        for level in Level::available() {
            let y = map(level, f, &x);
            let errors = (0..x.len()).filter(|&i| expected[i] < f64::from(f32::MAX)).map(|i| {
                let error = (f64::from(y[i]) - expected[i]).abs();
                let relative = f == Cdf && x[i] < 0.0;
                let unit = if relative { f64::from(f32::EPSILON) * expected[i] } else { ulp(expected[i], 24, -126) };
                (f64::from(x[i]), expected[i], error / unit)
            });
            let worst = worst(errors, f64::from(f32::MIN_POSITIVE));
            print_worst("f32", level, f, worst);
            assert!(worst.0 <= bound(f), "{f:?} at {level}: {worst:?}");
        }
    }
}

#[test]
fn f32_within_the_bounds() {
    check_f32(5003);
}

#[test]
#[ignore = "a minute: cargo test --release --lib -- --ignored every_f32"]
fn every_f32_within_the_bounds() {
    check_f32(7);
}

#[test]
fn f64_within_the_bounds() {
    for (f, low, high) in [(Exp, -708.3, 709.7), (Sigmoid, -708.3, 40.0), (Tanh, -20.0, 20.0)] {
        // Even steps, and steps by bit pattern; the odd offsets fill the low bits.
        let mut x: Vec<f64> = (0..40_000).map(|i| low + (high - low) * f64::from(i) / 39_999.0).collect();
        x.extend((0..20_000).map(|i| -3.0 + 6.0 * (f64::from(i) + 0.123_456_789) / 20_000.0));
        x.extend(sweep(-10.0, 10.0, 500_009).iter().map(|&x| f64::from(x) * 1.000_000_012_345));
        let expected: Vec<Double> = x.iter().map(|&x| Double::value(f, x)).collect();
        for level in Level::available() {
            let y = map(level, f, &x);
            let errors = (0..x.len()).map(|i| {
                let error = ((y[i] - expected[i].0) - expected[i].1).abs();
                (x[i], expected[i].0, error / ulp(expected[i].0, 53, -1022))
            });
            let worst = worst(errors, f64::MIN_POSITIVE);
            print_worst("f64", level, f, worst);
            assert!(worst.0 <= bound(f), "{f:?} at {level}: {worst:?}");
        }
    }
}

/// `(x, cdf(x))` by mpmath, rounded from 60 digits.
#[rustfmt::skip]
const NORMAL: &[(f64, f64)] = &[
    (-38.4, 6.4e-323), (-37.9375, 3.101168464e-315), (-36.015625, 2.3818642499807077e-284),
    (-33.3, 1.93050550592784e-243), (-30.1, 2.4226672179857586e-199), (-27.7, 3.4910784528195237e-169),
    (-25.2, 2.0028315195580093e-140), (-22.9, 2.3230882552249376e-116), (-20.01, 2.2532429684193177e-89),
    (-18.6, 1.6065389343256939e-77), (-16.05, 2.8582027913306043e-58), (-14.3, 1.0940477870189047e-46),
    (-13.1, 1.646288306950874e-39), (-12.0, 1.776482112077679e-33), (-11.1, 6.27219439321705e-29),
    (-9.97, 1.0311441838944251e-23), (-9.0625, 6.37471459412256e-20), (-8.3, 5.205569744890254e-17),
    (-7.6, 1.4806537490048088e-14), (-6.9, 2.600126965638166e-12), (-6.2, 2.8231580370432713e-10),
    (-5.5, 1.8989562465887718e-08), (-5.0, 2.866515718791939e-07), (-4.6, 2.1124547025028533e-06),
    (-4.1, 2.065750691254677e-05), (-3.7, 0.00010779973347738826), (-3.2, 0.0006871379379158481),
    (-2.9, 0.0018658133003840384), (-2.5, 0.006209665325776135), (-2.2, 0.013903447513498604),
    (-1.9, 0.028716559816001807), (-1.7, 0.04456546275854304), (-1.5, 0.06680720126885807),
    (-1.3, 0.09680048458561033), (-1.1, 0.13566606094638264), (-0.95, 0.17105612630848183),
    (-0.8, 0.21185539858339666), (-0.65, 0.2578461108058647), (-0.5, 0.3085375387259869),
    (-0.35, 0.36316934882438096), (-0.2, 0.42074029056089696), (-0.1, 0.460172162722971),
    (-0.01, 0.4960106436853684), (-1e-05, 0.49999601057719606), (0.0, 0.5), (1e-07, 0.500000039894228),
    (0.003, 0.5011968250459664), (0.05, 0.5199388058383725), (0.15, 0.5596176923702425), (0.3, 0.6179114221889527),
    (0.5, 0.6914624612740131), (0.7, 0.758036347776927), (0.9, 0.8159398746532405), (1.2, 0.8849303297782917),
    (1.6, 0.945200708300442), (2.1, 0.9821355794371834), (2.7, 0.9965330261969594), (3.3, 0.9995165758576162),
    (4.2, 0.9999866542509841), (5.1, 0.9999998301732593), (6.3, 0.9999999998511772), (7.4, 0.9999999999999319),
    (8.2, 0.9999999999999999),
];

#[test]
fn f64_distribution_within_the_bounds() {
    let x: Vec<f64> = NORMAL.iter().map(|pair| pair.0).collect();
    for level in Level::available() {
        let y = map(level, Cdf, &x);
        let errors = NORMAL.iter().zip(&y).map(|(&(x, expected), y)| {
            let unit = if x < 0.0 { f64::EPSILON * expected } else { ulp(expected, 53, -1022) };
            (x, expected, (y - expected).abs() / unit)
        });
        let worst = worst(errors, f64::MIN_POSITIVE);
        print_worst("f64", level, Cdf, worst);
        assert!(worst.0 <= bound(Cdf), "at {level}: {worst:?}");
    }
}

fn edges<T: Element + Into<f64>>(denormal: T, tiny: T, huge: T) {
    let (zero, one, infinity) = (T::ZERO, T::ONE, -T::NEG_INFINITY);
    let nan = T::from_f64(f64::NAN);
    let half = T::from_f64(0.5);
    for level in Level::available() {
        let x = [zero, -zero, -infinity, infinity, -huge, huge, denormal, -denormal, tiny, nan];
        let expected = [
            (Exp, [one, one, zero, infinity, zero, infinity, one, one, one]),
            (Sigmoid, [half, half, zero, one, zero, one, half, half, half]),
            (Tanh, [zero, -zero, -one, one, -one, one, denormal, -denormal, tiny]),
        ];
        for (f, expected) in expected {
            let y = map(level, f, &x);
            for i in 0..expected.len() {
                let (y, expected): (f64, f64) = (y[i].into(), expected[i].into());
                assert_eq!(y.to_bits(), expected.to_bits(), "{f:?} of {} at {level}: {y}", x[i]);
            }
        }
        let y = map(level, Cdf, &x);
        assert!(y[2] == zero && y[3] == one && y[4] == zero && y[5] == one, "{y:?} at {level}");
        for f in ALL {
            let y: f64 = map(level, f, &x)[9].into();
            assert!(y.is_nan(), "{f:?} of NaN at {level}: {y}");
        }
    }
}

#[test]
fn edges_of_both_types() {
    edges(f32::from_bits(1), 1e-30, f32::MAX);
    edges(f64::from_bits(1), 1e-200, f64::MAX);
}

/// Denormal exponentials are gradual: within an ulp and a half of the smallest numbers. Just below overflow, none is lost.
#[test]
fn exp_at_the_ends_of_the_range() {
    let x = [-87.5f32, -90.0, -95.3, -100.0, -103.2, -104.0, 88.722_83, 88.73];
    let y64 = [-709.0f64, -720.0, -735.3, -744.4, -746.0, 709.78, 709.79];
    for level in Level::available() {
        for (x, y) in x.iter().zip(map(level, Exp, &x)) {
            let expected = f64::from(*x).exp();
            let error = (f64::from(y) - expected).abs() / ulp(expected, 24, -126);
            assert!(error < 1.5 || f64::from(y) == f64::from(expected as f32), "exp({x}) = {y:e} at {level}");
        }
        for (x, y) in y64.iter().zip(map(level, Exp, &y64)) {
            let error = (y - x.exp()).abs() / ulp(x.exp(), 53, -1022);
            assert!(error < 2.0 || y == x.exp(), "exp({x}) = {y:e} at {level}");
        }
    }
}

#[test]
fn square_roots_are_rounded_correctly() {
    let mut x = std::vec![0.0, -0.0, 1.0, 2.0, 4.0, f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), f64::INFINITY];
    x.extend((0..20_000u64).map(|i| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1)));
    for x in x.into_iter().filter(|x| !x.is_nan()) {
        assert_eq!(integer_sqrt(x).to_bits(), x.sqrt().to_bits(), "{x:e}");
    }
    assert!(integer_sqrt(f64::NAN).is_nan() && integer_sqrt(-1.0).is_nan());
}
