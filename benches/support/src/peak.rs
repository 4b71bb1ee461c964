//! The FMA peak of one core: independent chains of FMAs at the machine's best level, and nothing else.

use std::hint::black_box;

/// Chains that run side by side: more than latency times pipes on every machine that we know.
const CHAINS: usize = 12;
/// FMAs of each chain in a sample.
const LENGTH: usize = 4096;

/// An element type whose peak can be measured.
pub trait Peak {
    /// One sample, of a few hundredths of a millisecond, to be timed. Returns how many operations it did, an FMA being
    /// two.
    fn sample() -> f64;
}

/// All chains, vector by vector.
macro_rules! chains {
    ($x:expr, $y:expr, |$acc:ident, $a:ident, $b:ident| $fma:expr) => {{
        let ($a, $b) = ($x, $y);
        let mut chains = [$a; CHAINS];
        for _ in 0..LENGTH {
            for $acc in &mut chains {
                *$acc = $fma;
            }
        }
        black_box(chains);
        (2 * CHAINS * LENGTH * size_of_val(&$a)) as f64
    }};
}

/// Lanes of plain code, which become whatever vectors the build's target has.
macro_rules! portable {
    ($t:ty) => {{
        let fma = |a: $t, b: $t, c: $t| {
            // Without the instruction, `mul_add` would be a call.
            if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
        };
        type Vector = [$t; 16 / size_of::<$t>()];
        let (x, y): (Vector, Vector) = black_box(([0.5; _], [0.7; _]));
        chains!(x, y, |acc, x, y| std::array::from_fn(|i| fma(acc[i], x[i], y[i])))
    }};
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, LENGTH, black_box};
    use std::arch::x86_64::*;

    macro_rules! level {
        ($name:ident, $features:literal, $splat:ident, $fma:ident, $x:expr, $y:expr) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name() -> f64 {
                chains!($splat(black_box($x)), $splat(black_box($y)), |acc, x, y| $fma(*acc, x, y))
            }
        };
    }

    level!(avx512_f32, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps, 0.5f32, 0.7f32);
    level!(avx512_f64, "avx512f", _mm512_set1_pd, _mm512_fmadd_pd, 0.5f64, 0.7f64);
    level!(avx2_f32, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps, 0.5f32, 0.7f32);
    level!(avx2_f64, "avx2,fma", _mm256_set1_pd, _mm256_fmadd_pd, 0.5f64, 0.7f64);
}

macro_rules! peak {
    ($t:ty, $avx512:ident, $avx2:ident) => {
        impl Peak for $t {
            fn sample() -> f64 {
                let bytes = size_of::<$t>() as f64;
                #[cfg(target_arch = "x86_64")]
                {
                    if is_x86_feature_detected!("avx512f") {
                        // SAFETY: AVX-512F has just been detected.
                        return unsafe { x86::$avx512() } / bytes;
                    }
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        // SAFETY: AVX2 and FMA have just been detected.
                        return unsafe { x86::$avx2() } / bytes;
                    }
                }
                portable!($t) / bytes
            }
        }
    };
}

peak!(f32, avx512_f32, avx2_f32);
peak!(f64, avx512_f64, avx2_f64);
