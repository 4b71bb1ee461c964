//! Vectors: one small trait, one token per instruction set level.
//!
//! A token is proof that the machine has the level, because only detection makes it. So arithmetic on it is safe, and
//! a kernel is written once, as an [`Op`], and runs at any level through [`Simd::call`]. Nothing here knows matrices
//! or images. A new level is one file here, one line in [`Level`], one in [`dispatch!`], and one row in the table of
//! `gemm/blocking.rs`.

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx2;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx512;
mod crossings;
#[cfg(all(feature = "testing", feature = "simd", debug_assertions))]
mod emulated;
mod lattice;
mod level;
mod machine;
pub(crate) mod math;
#[cfg(feature = "simd")]
mod portable;
mod quotient;
mod scalar;
mod scattered;
mod tracks;

pub(crate) use crossings::{Crossings, CrossingsMut, Marks};
pub(crate) use lattice::{Lattice, prove_inside};
#[cfg(feature = "testing")]
pub use level::dispatched;
pub use level::{Level, ParseLevelError};
pub use machine::Machine;
pub(crate) use quotient::Divisor;
pub(crate) use scalar::Scalar;
pub(crate) use scattered::Scattered;
pub(crate) use tracks::Tracks;

/// The elements `0..n`, so many of them after the other, the last of which may be some of the ones before: they get the same
/// values again. There must be `$width` at least.
macro_rules! each_vector {
    ($n:expr, $width:expr, |$c:ident| $body:block) => {
        let (mut $c, last) = (0, $n - $width);
        loop {
            assert!($width <= $n && $c <= last); // no read below checks it again
            $body
            if $c == last {
                break;
            }
            $c = ($c + $width).min(last);
        }
    };
}
pub(crate) use each_vector;

/// `for i in 0..n`, written out. One accumulator whose index is not a constant sends the whole array to memory, and what
/// the compiler unrolls by itself depends on the size of the body and on the optimization level.
macro_rules! unrolled {
    ($i:ident in 0..$n:expr, $body:block) => { unrolled!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13) };
    (@ $i:ident, $n:expr, $body:block, $($c:literal)*) => { $(if $c < $n { let $i = $c; $body })* };
}
pub(crate) use unrolled;
/// The most times that [`Simd::repeat`] takes: its quotients come from 16 bits.
pub(crate) const MOST_TIMES: usize = 64;

/// Something to compute, at whatever level it is called.
pub trait Op<T> {
    type Out;
    /// Must be `#[inline(always)]`: it has to melt into [`Simd::call`], or the level's instructions are lost.
    fn run<S: Simd<T>>(self, s: S) -> Self::Out;
}

/// Vectors of `T` at one level. Every method must be `#[inline(always)]`. [`Scalar`] defines what each one means.
pub trait Simd<T>: Copy {
    type V: Copy;
    /// What a comparison gives: a truth value a lane.
    type M: Copy;
    const LANES: usize;
    /// Vector registers: what the height of a register tile is made from.
    const REGISTERS: usize = 16;
    /// Whether [`Simd::mul_add`] rounds once.
    const IS_FUSED: bool = false;

    /// Runs `op` with the level's instructions switched on, as a function of its own.
    #[inline(always)]
    fn call<O: Op<T>>(self, op: O) -> O::Out {
        #[inline(never)] // as where a level has features to switch on: one copy of a kernel, however often it is called
        fn inside<T, S: Simd<T>, O: Op<T>>(s: S, op: O) -> O::Out {
            op.run(s)
        }
        inside(self, op)
    }
    fn splat(self, x: T) -> Self::V;
    /// The first `LANES` elements of `x`. Panics if there are fewer.
    fn load(self, x: &[T]) -> Self::V;
    fn store(self, v: Self::V, y: &mut [T]);
    /// All of `x`, at most `LANES` elements, then zeros.
    fn load_partial(self, x: &[T]) -> Self::V;
    /// The first `y.len()` lanes of `v`, at most `LANES`.
    fn store_partial(self, v: Self::V, y: &mut [T]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the level has it.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `x` where `x > acc` or `x` is NaN, else `acc`: so NaN if either is, and equal values keep `acc`.
    fn max(self, acc: Self::V, x: Self::V) -> Self::V;
    /// [`Simd::max`] where neither is NaN, and anything else where one is.
    #[inline(always)]
    fn max_of_numbers(self, acc: Self::V, x: Self::V) -> Self::V {
        self.max(acc, x)
    }
    /// Whether any lane of any of them is NaN.
    #[inline(always)]
    fn any_nan<const N: usize>(self, x: [Self::V; N]) -> bool {
        self.bits(self.nan_among(x, self.nowhere())) != 0
    }
    /// True where any of them is NaN, else `m`.
    #[inline(always)]
    fn nan_among<const N: usize>(self, x: [Self::V; N], mut m: Self::M) -> Self::M {
        for i in 0..N.div_ceil(2) {
            m = self.nan_or(x[2 * i], x[(2 * i + 1).min(N - 1)], m);
        }
        m
    }
    /// True where either is NaN, else `m`.
    fn nan_or(self, a: Self::V, b: Self::V, m: Self::M) -> Self::M;
    /// True in no lane.
    fn nowhere(self) -> Self::M;
    /// `x` where `x < acc` or `x` is NaN, else `acc`.
    fn min(self, acc: Self::V, x: Self::V) -> Self::V;
    /// `a < b`; false where either is NaN.
    fn lt(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a == b`; false where either is NaN.
    fn eq(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a` where the mask is true, else `b`.
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V;
    /// Lane `i` as bit `i`.
    fn bits(self, m: Self::M) -> u32;
    /// The bit pattern of each lane moved up by the width of the mantissa: `x` whose low bits hold `n + bias` becomes
    /// `2^n`.
    fn exponent(self, x: Self::V) -> Self::V;
    /// Lane `i` of each run of `width` lanes, in all of them; `width` is a power of two that divides `LANES`, `i` below it.
    fn spread(self, v: Self::V, width: usize, i: usize) -> Self::V;
    /// `x[l % N]` in lane `l`; `N` is a power of two, `LANES` at most.
    fn cycle<const N: usize>(self, x: &[T; N]) -> Self::V;
    /// The sums of the lanes `2 * i` and `2 * i + 1` of `a`, then those of `b`.
    fn add_pairs(self, a: Self::V, b: Self::V) -> Self::V;
    /// Lane `(phase + l) / times` in lane `l`: elements from one on, `times` of each, the first of which `phase` less. `times` is at
    /// most [`MOST_TIMES`], `phase` below it.
    fn repeat(self, v: Self::V, times: usize, phase: usize) -> Self::V;
    /// A hint that the cache line at `x`, which may point anywhere, will be wanted soon.
    #[inline(always)]
    fn prefetch(self, x: *const T) {
        let _ = x;
    }
}

/// A type whose vectors every level has.
pub trait Dispatch: Copy + PartialOrd + math::Constants {
    /// The bit pattern moved up by the width of the mantissa; see [`Simd::exponent`].
    fn exponent(self) -> Self;
    /// Runs `op` at `level`, which must be one that is available; at the scalar level otherwise.
    fn at<O: Op<Self>>(level: Level, op: O) -> O::Out;
}

/// The one place that turns a level, a value, into a token, a proof.
macro_rules! dispatch {
    ($t:ty, $mantissa:literal) => {
        impl Dispatch for $t {
            #[inline(always)]
            fn exponent(self) -> Self {
                <$t>::from_bits(self.to_bits() << $mantissa)
            }

            fn at<O: Op<Self>>(level: Level, op: O) -> O::Out {
                #[cfg(feature = "testing")]
                level::count(level);
                #[cfg(all(feature = "simd", target_arch = "x86_64"))]
                match (level, avx512::Avx512::detect(), avx2::Avx2::detect()) {
                    (Level::Avx512, Some(s), _) => return s.call(op),
                    (Level::Avx2, _, Some(s)) => return s.call(op),
                    _ => {}
                }
                match level {
                    #[cfg(feature = "simd")]
                    Level::Portable => Simd::<$t>::call(portable::Portable, op),
                    #[cfg(all(feature = "testing", feature = "simd", debug_assertions))]
                    Level::Emulated => Simd::<$t>::call(emulated::Emulated, op),
                    _ => Simd::<$t>::call(Scalar, op),
                }
            }
        }
    };
}

dispatch!(f32, 23);
dispatch!(f64, 52);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;
    use alloc::vec;
    use alloc::vec::Vec;

    /// Every number of elements, with others beside them.
    struct Partial;

    impl<T: Element> Op<T> for Partial {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            let x: Vec<T> = (1..=S::LANES + 2).map(|l| T::from_f64(l as f64)).collect();
            for (start, n) in (0..3).flat_map(|start| (0..=S::LANES).map(move |n| (start, n))) {
                let mut y = vec![T::from_f64(-1.0); S::LANES + 2];
                if start + n > y.len() {
                    continue;
                }
                s.store_partial(s.load(&x), &mut y[start..start + n]);
                for (l, &y) in y.iter().enumerate() {
                    let want = if (start..start + n).contains(&l) { x[l - start] } else { T::from_f64(-1.0) };
                    assert!(y == want, "{n} of {}, from {start}: element {l}", S::LANES);
                }
                s.store(s.load_partial(&x[start..start + n]), &mut y);
                assert!((0..S::LANES).all(|l| y[l] == if l < n { x[start + l] } else { T::ZERO }), "{n}: {y:?}");
            }
        }
    }

    #[test]
    fn a_part_of_a_vector_is_read_and_written() {
        for level in Level::available() {
            f32::at(level, Partial);
            f64::at(level, Partial);
        }
    }

    /// Every number of times and every phase.
    struct Repeat;

    impl<T: Element> Op<T> for Repeat {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            let x: Vec<T> = (0..S::LANES).map(|l| T::from_f64(l as f64)).collect();
            let mut y = vec![T::ZERO; S::LANES];
            for (times, phase) in (1..=MOST_TIMES).flat_map(|times| (0..times).map(move |phase| (times, phase))) {
                // With one of each, and no phase, all lanes are needed, and else less.
                s.store(s.repeat(s.load(&x), times, phase), &mut y);
                for l in 0..S::LANES {
                    assert!(y[l] == x[(phase + l) / times], "{times} times, from {phase}: lane {l} of {}", S::LANES);
                }
            }
        }
    }

    #[test]
    fn lanes_are_repeated() {
        for level in Level::available() {
            f32::at(level, Repeat);
            f64::at(level, Repeat);
        }
    }

    /// Some elements, over and over.
    struct Cycle;

    impl Cycle {
        fn of<T: Element, S: Simd<T>, const N: usize>(s: S) {
            if N <= S::LANES {
                let x: [T; N] = core::array::from_fn(|i| T::from_f64(i as f64));
                let mut y = vec![T::ZERO; S::LANES];
                s.store(s.cycle(&x), &mut y);
                assert!((0..S::LANES).all(|l| y[l] == x[l % N]), "{N}: {y:?}");
            }
        }
    }

    impl<T: Element> Op<T> for Cycle {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            Cycle::of::<T, S, 1>(s);
            Cycle::of::<T, S, 2>(s);
            Cycle::of::<T, S, 4>(s);
            Cycle::of::<T, S, 8>(s);
            Cycle::of::<T, S, 16>(s);
        }
    }

    #[test]
    fn elements_are_cycled() {
        for level in Level::available() {
            f32::at(level, Cycle);
            f64::at(level, Cycle);
        }
    }

    /// Sums of neighbours.
    struct Pairs;

    impl<T: Element> Op<T> for Pairs {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            let x: Vec<T> = (0..2 * S::LANES).map(|l| T::from_f64((l * l) as f64)).collect();
            let mut y = vec![T::ZERO; S::LANES];
            if S::LANES > 1 {
                s.store(s.add_pairs(s.load(&x), s.load(&x[S::LANES..])), &mut y);
                assert!((0..S::LANES).all(|l| y[l] == x[2 * l] + x[2 * l + 1]), "{y:?}");
            }
        }
    }

    #[test]
    fn neighbouring_lanes_are_paired() {
        for level in Level::available() {
            f32::at(level, Pairs);
            f64::at(level, Pairs);
        }
    }

    /// Every lane of every run, of every width.
    struct Spread;

    impl<T: Element> Op<T> for Spread {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            let x: Vec<T> = (0..S::LANES).map(|l| T::from_f64(l as f64)).collect();
            let mut y = vec![T::ZERO; S::LANES];
            for width in (0..).map(|e| 1 << e).take_while(|&width| width <= S::LANES) {
                for i in 0..width {
                    s.store(s.spread(s.load(&x), width, i), &mut y);
                    for l in 0..S::LANES {
                        assert!(y[l] == x[l / width * width + i], "{i} of {width} in lane {l} of {}", S::LANES);
                    }
                }
            }
        }
    }

    #[test]
    fn lanes_are_spread_over_their_run() {
        for level in Level::available() {
            f32::at(level, Spread);
            f64::at(level, Spread);
        }
    }
}
