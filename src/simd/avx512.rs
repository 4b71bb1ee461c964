//! AVX-512F: thirty-two registers of 512 bits, and a mask for every tail.
#![allow(unsafe_code)] // intrinsics

use super::{Op, Simd};
use crate::element::Element;
use core::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    #[inline(always)]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(feature = "std")]
        let found = std::is_x86_feature_detected!("avx512f");
        #[cfg(not(feature = "std"))]
        let found = cfg!(target_feature = "avx512f");
        found.then_some(Avx512(()))
    }
}

/// Where each 32-bit lane comes from in [`Simd::spread`] of lanes of `LANES`.
#[inline(always)]
fn places<const LANES: usize>(_: Avx512, width: usize, i: usize) -> __m512i {
    static FIRST: [[i32; 16]; 5] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14],
        [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12],
        [0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8],
        [0; 16],
    ];
    static WITHIN: [i32; 16] = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1];
    // A lane of 64 bits is two of 32, which keep their order.
    let each = 16 / LANES;
    let first = &FIRST[(each * width).trailing_zeros() as usize];
    // SAFETY: the token says that the machine has AVX-512F; the arrays have sixteen elements.
    unsafe {
        let first = _mm512_loadu_si512(first.as_ptr().cast());
        let first = _mm512_add_epi32(first, _mm512_set1_epi32((each * i) as i32));
        if each == 2 { _mm512_add_epi32(first, _mm512_loadu_si512(WITHIN.as_ptr().cast())) } else { first }
    }
}

/// Where each 32-bit lane comes from in [`Simd::repeat`] of lanes of `LANES`.
#[inline(always)]
fn quotients<const LANES: usize>(_: Avx512, times: usize, phase: usize) -> __m512i {
    static LANE: [[i32; 16]; 2] =
        [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]];
    static WITHIN: [i32; 16] = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1];
    // A lane of 64 bits is two of 32, which keep their order.
    let each = 16 / LANES;
    let inverse = ((1 << 16) / times + 1) as i32;
    // SAFETY: the token says that the machine has AVX-512F; the arrays have sixteen elements.
    unsafe {
        let lane = _mm512_loadu_si512(LANE[each - 1].as_ptr().cast());
        let lane = _mm512_add_epi32(lane, _mm512_set1_epi32(phase as i32));
        let from = _mm512_srli_epi32::<16>(_mm512_mullo_epi32(lane, _mm512_set1_epi32(inverse)));
        if each == 1 {
            return from;
        }
        _mm512_add_epi32(_mm512_add_epi32(from, from), _mm512_loadu_si512(WITHIN.as_ptr().cast()))
    }
}

/// Every second lane of two vectors, from `first` on.
#[inline(always)]
fn every_second<const LANES: usize>(_: Avx512, first: i32) -> __m512i {
    static OF_16: [i32; 16] = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30];
    static OF_8: [i64; 8] = [0, 2, 4, 6, 8, 10, 12, 14];
    // SAFETY: 64 bytes each, and an `Avx512` is made only where detection found avx512f.
    unsafe {
        if LANES == 16 {
            _mm512_add_epi32(_mm512_loadu_si512(OF_16.as_ptr().cast()), _mm512_set1_epi32(first))
        } else {
            _mm512_add_epi64(_mm512_loadu_si512(OF_8.as_ptr().cast()), _mm512_set1_epi64(first.into()))
        }
    }
}

/// Elements that are a power of two of bytes together, 4 at least and 64 at most, over and over.
#[inline(always)]
fn over_and_over<T: Element, const N: usize>(_: Avx512, x: &[T; N]) -> __m512i {
    let x = x.as_ptr();
    // SAFETY: an `Avx512` is made only where detection found avx512f; as many bytes are read as the array has.
    unsafe {
        let singles = match size_of::<[T; N]>() {
            4 => _mm512_set1_ps(x.cast::<f32>().read_unaligned()),
            8 => _mm512_castpd_ps(_mm512_set1_pd(x.cast::<f64>().read_unaligned())),
            16 => _mm512_broadcast_f32x4(_mm_loadu_ps(x.cast())),
            32 => _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_loadu_pd(x.cast()))),
            64 => _mm512_loadu_ps(x.cast()),
            bytes => unreachable!("{bytes} bytes in a vector"),
        };
        _mm512_castps_si512(singles)
    }
}

#[rustfmt::skip] // a table: one operation a line
macro_rules! avx512 {
    ($t:ty, $v:ty, $lanes:literal, $mask:ty, splat: $splat:ident, load: $load:ident, store: $store:ident, maskload: $maskload:ident,
     maskstore: $maskstore:ident, add: $add:ident, sub: $sub:ident, mul: $mul:ident, div: $div:ident, mul_add: $mul_add:ident,
     max: $max:ident, min: $min:ident, cmp: $cmp:ident, blend: $blend:ident,
     permute: $permute:ident, to_int: $to_int:ident, shift: $shift:ident, $mantissa:literal, from_int: $from_int:ident) => {
        // SAFETY, of every block here: an `Avx512` is made only where detection found avx512f; a load or store stays in the
        // slice that the line before has cut or masked for it.
        #[allow(clippy::undocumented_unsafe_blocks)]
        impl Simd<$t> for Avx512 {
            type V = $v;
            type M = $mask;
            const LANES: usize = $lanes;
            const REGISTERS: usize = 32;
            const IS_FUSED: bool = true;

            #[inline(always)]
            fn call<O: Op<$t>>(self, op: O) -> O::Out {
                #[target_feature(enable = "avx512f")] // implies avx2 and fma
                fn inside<O: Op<$t>>(s: Avx512, op: O) -> O::Out {
                    op.run(s)
                }
                unsafe { inside(self, op) }
            }
            #[inline(always)] fn splat(self, x: $t) -> $v { unsafe { $splat(x) } }
            #[inline(always)] fn load(self, x: &[$t]) -> $v { let x = &x[..$lanes]; unsafe { $load(x.as_ptr()) } }
            #[inline(always)] fn store(self, v: $v, y: &mut [$t]) { let y = &mut y[..$lanes]; unsafe { $store(y.as_mut_ptr(), v) } }
            #[inline(always)]
            fn load_partial(self, x: &[$t]) -> $v {
                if x.is_empty() { return self.splat(0 as $t) } // its address may be in no page: slow on AVX2, see there
                assert!(x.len() <= $lanes);
                unsafe { $maskload(((1u32 << x.len()) - 1) as $mask, x.as_ptr()) }
            }
            #[inline(always)]
            fn store_partial(self, v: $v, y: &mut [$t]) {
                if y.is_empty() { return }
                assert!(y.len() <= $lanes);
                unsafe { $maskstore(y.as_mut_ptr(), ((1u32 << y.len()) - 1) as $mask, v) }
            }
            #[inline(always)] fn add(self, a: $v, b: $v) -> $v { unsafe { $add(a, b) } }
            #[inline(always)] fn sub(self, a: $v, b: $v) -> $v { unsafe { $sub(a, b) } }
            #[inline(always)] fn mul(self, a: $v, b: $v) -> $v { unsafe { $mul(a, b) } }
            #[inline(always)] fn div(self, a: $v, b: $v) -> $v { unsafe { $div(a, b) } }
            #[inline(always)] fn mul_add(self, a: $v, b: $v, c: $v) -> $v { unsafe { $mul_add(a, b, c) } }
            #[inline(always)]
            fn max(self, acc: $v, x: $v) -> $v {
                // The instruction gives its second operand at equality and at NaN; that leaves only a NaN in `x`.
                unsafe { $blend($max(x, acc), $cmp::<_CMP_UNORD_Q>(x, x), x) }
            }
            #[inline(always)] fn max_of_numbers(self, acc: $v, x: $v) -> $v { unsafe { $max(x, acc) } }
            #[inline(always)] fn min(self, acc: $v, x: $v) -> $v { unsafe { $blend($min(x, acc), $cmp::<_CMP_UNORD_Q>(x, x), x) } }
            #[inline(always)] fn lt(self, a: $v, b: $v) -> $mask { unsafe { $cmp::<_CMP_LT_OQ>(a, b) } }
            #[inline(always)] fn eq(self, a: $v, b: $v) -> $mask { unsafe { $cmp::<_CMP_EQ_OQ>(a, b) } }
            #[inline(always)] fn nan_or(self, a: $v, b: $v, m: $mask) -> $mask { unsafe { $cmp::<_CMP_UNORD_Q>(a, b) | m } }
            #[inline(always)] fn nowhere(self) -> $mask { 0 }
            #[inline(always)] fn select(self, m: $mask, a: $v, b: $v) -> $v { unsafe { $blend(b, m, a) } }
            #[inline(always)] fn bits(self, m: $mask) -> u32 { u32::from(m) }
            #[inline(always)] fn exponent(self, x: $v) -> $v { unsafe { $from_int($shift::<$mantissa>($to_int(x))) } }
            #[inline(always)]
            fn spread(self, v: $v, width: usize, i: usize) -> $v {
                let places = places::<$lanes>(self, width, i);
                unsafe { $from_int(_mm512_permutexvar_epi32(places, $to_int(v))) }
            }
            #[inline(always)] fn cycle<const N: usize>(self, x: &[$t; N]) -> $v { unsafe { $from_int(over_and_over(self, x)) } }
            #[inline(always)]
            fn add_pairs(self, a: $v, b: $v) -> $v {
                let lanes = [0, 1].map(|first| every_second::<$lanes>(self, first));
                unsafe { $add($permute(a, lanes[0], b), $permute(a, lanes[1], b)) }
            }
            #[inline(always)]
            fn repeat(self, v: $v, times: usize, phase: usize) -> $v {
                let from = quotients::<$lanes>(self, times, phase);
                unsafe { $from_int(_mm512_permutexvar_epi32(from, $to_int(v))) }
            }
            #[inline(always)] fn prefetch(self, x: *const $t) { unsafe { _mm_prefetch::<_MM_HINT_T0>(x.cast()) } }
        }
    };
}

avx512!(f32, __m512, 16, __mmask16, splat: _mm512_set1_ps, load: _mm512_loadu_ps, store: _mm512_storeu_ps,
        maskload: _mm512_maskz_loadu_ps, maskstore: _mm512_mask_storeu_ps, add: _mm512_add_ps, sub: _mm512_sub_ps,
        mul: _mm512_mul_ps, div: _mm512_div_ps, mul_add: _mm512_fmadd_ps, max: _mm512_max_ps, min: _mm512_min_ps,
        cmp: _mm512_cmp_ps_mask, blend: _mm512_mask_mov_ps, permute: _mm512_permutex2var_ps, to_int: _mm512_castps_si512, shift: _mm512_slli_epi32, 23,
        from_int: _mm512_castsi512_ps);
avx512!(f64, __m512d, 8, __mmask8, splat: _mm512_set1_pd, load: _mm512_loadu_pd, store: _mm512_storeu_pd,
        maskload: _mm512_maskz_loadu_pd, maskstore: _mm512_mask_storeu_pd, add: _mm512_add_pd, sub: _mm512_sub_pd,
        mul: _mm512_mul_pd, div: _mm512_div_pd, mul_add: _mm512_fmadd_pd, max: _mm512_max_pd, min: _mm512_min_pd,
        cmp: _mm512_cmp_pd_mask, blend: _mm512_mask_mov_pd, permute: _mm512_permutex2var_pd, to_int: _mm512_castpd_si512, shift: _mm512_slli_epi64, 52,
        from_int: _mm512_castsi512_pd);
