//! `wide`: SSE2, NEON, wasm, or whatever the user compiles for. One register of that target per vector.

use super::Simd;
use wide::bytemuck::cast;

#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[rustfmt::skip] // a table: one operation a line
macro_rules! portable {
    ($t:ty, $v:ty, $bits:ty, $mantissa:literal) => {
        impl Simd<$t> for Portable {
            type V = $v;
            type M = $v;
            const LANES: usize = size_of::<$v>() / size_of::<$t>();
            const REGISTERS: usize = if cfg!(any(target_feature = "avx512f", target_arch = "aarch64")) { 32 } else { 16 };

            #[inline(always)] fn splat(self, x: $t) -> $v { <$v>::splat(x) }
            #[inline(always)] fn load(self, x: &[$t]) -> $v { <$v>::new(core::array::from_fn(|i| x[..<Self as Simd<$t>>::LANES][i])) }
            #[inline(always)] fn store(self, v: $v, y: &mut [$t]) { y[..<Self as Simd<$t>>::LANES].copy_from_slice(&v.to_array()) }
            #[inline(always)]
            fn load_partial(self, x: &[$t]) -> $v {
                let mut v = [0.0; size_of::<$v>() / size_of::<$t>()];
                v[..x.len()].copy_from_slice(x);
                <$v>::new(v)
            }
            #[inline(always)] fn store_partial(self, v: $v, y: &mut [$t]) { y.copy_from_slice(&v.to_array()[..y.len()]); }
            #[inline(always)] fn add(self, a: $v, b: $v) -> $v { a + b }
            #[inline(always)] fn sub(self, a: $v, b: $v) -> $v { a - b }
            #[inline(always)] fn mul(self, a: $v, b: $v) -> $v { a * b }
            #[inline(always)] fn div(self, a: $v, b: $v) -> $v { a / b }
            #[inline(always)] fn mul_add(self, a: $v, b: $v, c: $v) -> $v { a.mul_add(b, c) }
            #[inline(always)] fn max(self, acc: $v, x: $v) -> $v { (acc.simd_lt(x) | x.is_nan()).select(x, acc) }
            #[inline(always)] fn min(self, acc: $v, x: $v) -> $v { (x.simd_lt(acc) | x.is_nan()).select(x, acc) }
            #[inline(always)] fn lt(self, a: $v, b: $v) -> $v { a.simd_lt(b) }
            #[inline(always)] fn eq(self, a: $v, b: $v) -> $v { a.simd_eq(b) }
            #[inline(always)] fn nan_or(self, a: $v, b: $v, m: $v) -> $v { a.is_nan() | b.is_nan() | m }
            #[inline(always)] fn nowhere(self) -> $v { <$v>::ZERO }
            #[inline(always)] fn select(self, m: $v, a: $v, b: $v) -> $v { m.select(a, b) }
            #[inline(always)] fn bits(self, m: $v) -> u32 { m.to_bitmask() as u32 }
            #[inline(always)] fn spread(self, v: $v, width: usize, i: usize) -> $v { let v = v.to_array(); <$v>::new(core::array::from_fn(|l| v[l / width * width + i])) }
            #[inline(always)] fn cycle<const N: usize>(self, x: &[$t; N]) -> $v { <$v>::new(core::array::from_fn(|l| x[l % N])) }
            #[inline(always)] fn add_pairs(self, a: $v, b: $v) -> $v { let v = [a.to_array(), b.to_array()]; let v = v.as_flattened(); <$v>::new(core::array::from_fn(|l| v[2 * l] + v[2 * l + 1])) }
            #[inline(always)] fn repeat(self, v: $v, times: usize, phase: usize) -> $v { let v = v.to_array(); <$v>::new(core::array::from_fn(|l| v[(phase + l) / times])) }
            #[inline(always)] fn exponent(self, x: $v) -> $v { cast(cast::<$v, $bits>(x) << $mantissa) }
        }
    };
}

#[cfg(not(target_feature = "avx"))]
use wide::{f32x4 as VF32, f64x2 as VF64, u32x4 as VU32, u64x2 as VU64};
#[cfg(all(target_feature = "avx", not(target_feature = "avx512f")))]
use wide::{f32x8 as VF32, f64x4 as VF64, u32x8 as VU32, u64x4 as VU64};
#[cfg(target_feature = "avx512f")]
use wide::{f32x16 as VF32, f64x8 as VF64, u32x16 as VU32, u64x8 as VU64};

portable!(f32, VF32, VU32, 23_u32);
portable!(f64, VF64, VU64, 52_u32);
