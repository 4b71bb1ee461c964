//! AVX2 and FMA: sixteen registers of 256 bits.
#![allow(unsafe_code)] // intrinsics

use super::{Op, Simd};
use crate::element::Element;
use core::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    #[inline(always)]
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(feature = "std")]
        let found = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
        #[cfg(not(feature = "std"))]
        let found = cfg!(all(target_feature = "avx2", target_feature = "fma"));
        found.then_some(Avx2(()))
    }
}

/// All ones in the first `n` lanes of `LANES`.
#[inline(always)]
fn mask<const LANES: usize>(_: Avx2, n: usize) -> __m256i {
    static ONES_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let window = &ONES_ZEROS[8 - n * (8 / LANES)..][..8];
    // SAFETY: the token says that the machine has AVX2; the window has eight elements.
    unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
}

/// The first elements of a vector, in two pieces that may overlap, each a half or a quarter of it. A masked store is one instruction,
/// but AMD's cores take some twelve cycles for each, and longer while reads are under way (Zen 3, 1x1, 64 -> 1 at 28x28: 11.4 us,
/// and 8.7 us in pieces).
#[inline(always)]
fn store_first<T: Element>(_: Avx2, v: __m256i, y: &mut [T]) {
    static LANES: [i32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3];
    let (bytes, start) = (size_of_val(y), y.as_mut_ptr().cast::<f32>());
    assert!(bytes <= 32, "more than a vector");
    let piece = if bytes >= 16 { 16 } else { 8 };
    // SAFETY: an `Avx2` is made only where detection found avx2. The slice is made of elements of four or eight bytes: of at least
    // four where one is stored, and of a whole piece where two are, the second of which ends where the slice does. The window of the
    // table has eight elements.
    unsafe {
        if bytes < piece {
            if bytes >= 4 {
                _mm_store_ss(start, _mm_castsi128_ps(_mm256_castsi256_si128(v)));
            }
            return;
        }
        let behind = (bytes - piece) / 4;
        let places = _mm256_loadu_si256(LANES[behind..][..8].as_ptr().cast());
        let first = _mm256_castsi256_si128(v);
        let last = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(v, places));
        let last_at = start.add(behind);
        if piece == 16 {
            _mm_storeu_si128(start.cast(), first);
            _mm_storeu_si128(last_at.cast(), last);
        } else {
            _mm_storel_epi64(start.cast(), first);
            _mm_storel_epi64(last_at.cast(), last);
        }
    }
}

/// Where each 32-bit lane comes from in [`Simd::spread`] of lanes of `LANES`.
#[inline(always)]
fn places<const LANES: usize>(_: Avx2, width: usize, i: usize) -> __m256i {
    static FIRST: [[i32; 8]; 4] =
        [[0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 2, 2, 4, 4, 6, 6], [0, 0, 0, 0, 4, 4, 4, 4], [0, 0, 0, 0, 0, 0, 0, 0]];
    // A lane of 64 bits is two of 32, which keep their order.
    let each = 8 / LANES;
    let first = &FIRST[(each * width).trailing_zeros() as usize];
    static WITHIN: [i32; 8] = [0, 1, 0, 1, 0, 1, 0, 1];
    // SAFETY: the token says that the machine has AVX2; the arrays have eight elements.
    unsafe {
        let first = _mm256_add_epi32(_mm256_loadu_si256(first.as_ptr().cast()), _mm256_set1_epi32((each * i) as i32));
        if each == 2 { _mm256_add_epi32(first, _mm256_loadu_si256(WITHIN.as_ptr().cast())) } else { first }
    }
}

/// Where each 32-bit lane comes from in [`Simd::repeat`] of lanes of `LANES`.
#[inline(always)]
fn quotients<const LANES: usize>(_: Avx2, times: usize, phase: usize) -> __m256i {
    static LANE: [[i32; 8]; 2] = [[0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 1, 1, 2, 2, 3, 3]];
    static WITHIN: [i32; 8] = [0, 1, 0, 1, 0, 1, 0, 1];
    // A lane of 64 bits is two of 32, which keep their order.
    let each = 8 / LANES;
    let inverse = ((1 << 16) / times + 1) as i32;
    // SAFETY: the token says that the machine has AVX2; the arrays have eight elements.
    unsafe {
        let lane = _mm256_loadu_si256(LANE[each - 1].as_ptr().cast());
        let lane = _mm256_add_epi32(lane, _mm256_set1_epi32(phase as i32));
        let from = _mm256_srli_epi32::<16>(_mm256_mullo_epi32(lane, _mm256_set1_epi32(inverse)));
        if each == 1 {
            return from;
        }
        _mm256_add_epi32(_mm256_add_epi32(from, from), _mm256_loadu_si256(WITHIN.as_ptr().cast()))
    }
}

/// Elements that are a power of two of bytes together, 4 at least and 32 at most, over and over.
#[inline(always)]
fn over_and_over<T: Element, const N: usize>(_: Avx2, x: &[T; N]) -> __m256i {
    let x = x.as_ptr();
    // SAFETY: an `Avx2` is made only where detection found avx2; as many bytes are read as the array has.
    unsafe {
        let singles = match size_of::<[T; N]>() {
            4 => _mm256_set1_ps(x.cast::<f32>().read_unaligned()),
            8 => _mm256_castpd_ps(_mm256_set1_pd(x.cast::<f64>().read_unaligned())),
            16 => _mm256_castsi256_ps(_mm256_broadcastsi128_si256(_mm_loadu_si128(x.cast()))),
            32 => _mm256_loadu_ps(x.cast()),
            bytes => unreachable!("{bytes} bytes in a vector"),
        };
        _mm256_castps_si256(singles)
    }
}

#[rustfmt::skip] // a table: one operation a line
macro_rules! avx2 {
    ($t:ty, $v:ty, $lanes:literal, splat: $splat:ident, load: $load:ident, store: $store:ident, maskload: $maskload:ident,
     add: $add:ident, sub: $sub:ident, mul: $mul:ident, div: $div:ident, mul_add: $mul_add:ident,
     max: $max:ident, min: $min:ident, cmp: $cmp:ident, or: $or:ident, blend: $blend:ident, movemask: $movemask:ident,
     hadd: $hadd:ident, to_int: $to_int:ident, shift: $shift:ident, $mantissa:literal, from_int: $from_int:ident) => {
        // SAFETY, of every block here: an `Avx2` is made only where detection found avx2 and fma; a load or store stays in
        // the slice that the line before has cut or masked for it.
        #[allow(clippy::undocumented_unsafe_blocks)]
        impl Simd<$t> for Avx2 {
            type V = $v;
            type M = $v;
            const LANES: usize = $lanes;
            const IS_FUSED: bool = true;

            #[inline(always)]
            fn call<O: Op<$t>>(self, op: O) -> O::Out {
                #[target_feature(enable = "avx2,fma")]
                fn inside<O: Op<$t>>(s: Avx2, op: O) -> O::Out {
                    op.run(s)
                }
                unsafe { inside(self, op) }
            }
            #[inline(always)] fn splat(self, x: $t) -> $v { unsafe { $splat(x) } }
            #[inline(always)] fn load(self, x: &[$t]) -> $v { let x = &x[..$lanes]; unsafe { $load(x.as_ptr()) } }
            #[inline(always)] fn store(self, v: $v, y: &mut [$t]) { let y = &mut y[..$lanes]; unsafe { $store(y.as_mut_ptr(), v) } }
            #[inline(always)]
            fn load_partial(self, x: &[$t]) -> $v {
                if x.is_empty() { return self.splat(0 as $t) } // its address may be in no page, and masked reads of such are slow
                let m = mask::<$lanes>(self, x.len());
                unsafe { $maskload(x.as_ptr(), m) }
            }
            #[inline(always)]
            fn store_partial(self, v: $v, y: &mut [$t]) {
                store_first(self, unsafe { $to_int(v) }, y);
            }
            #[inline(always)] fn add(self, a: $v, b: $v) -> $v { unsafe { $add(a, b) } }
            #[inline(always)] fn sub(self, a: $v, b: $v) -> $v { unsafe { $sub(a, b) } }
            #[inline(always)] fn mul(self, a: $v, b: $v) -> $v { unsafe { $mul(a, b) } }
            #[inline(always)] fn div(self, a: $v, b: $v) -> $v { unsafe { $div(a, b) } }
            #[inline(always)] fn mul_add(self, a: $v, b: $v, c: $v) -> $v { unsafe { $mul_add(a, b, c) } }
            #[inline(always)]
            fn max(self, acc: $v, x: $v) -> $v {
                // The instruction gives its second operand at equality and at NaN; that leaves only a NaN in `x`.
                unsafe { $blend($max(x, acc), x, $cmp::<_CMP_UNORD_Q>(x, x)) }
            }
            #[inline(always)] fn max_of_numbers(self, acc: $v, x: $v) -> $v { unsafe { $max(x, acc) } }
            #[inline(always)] fn min(self, acc: $v, x: $v) -> $v { unsafe { $blend($min(x, acc), x, $cmp::<_CMP_UNORD_Q>(x, x)) } }
            #[inline(always)] fn lt(self, a: $v, b: $v) -> $v { unsafe { $cmp::<_CMP_LT_OQ>(a, b) } }
            #[inline(always)] fn eq(self, a: $v, b: $v) -> $v { unsafe { $cmp::<_CMP_EQ_OQ>(a, b) } }
            #[inline(always)] fn nan_or(self, a: $v, b: $v, m: $v) -> $v { unsafe { $or($cmp::<_CMP_UNORD_Q>(a, b), m) } }
            #[inline(always)] fn nowhere(self) -> $v { unsafe { $splat(0.0) } }
            #[inline(always)] fn select(self, m: $v, a: $v, b: $v) -> $v { unsafe { $blend(b, a, m) } }
            #[inline(always)] fn bits(self, m: $v) -> u32 { unsafe { $movemask(m) as u32 } }
            #[inline(always)] fn exponent(self, x: $v) -> $v { unsafe { $from_int($shift::<$mantissa>($to_int(x))) } }
            #[inline(always)]
            fn spread(self, v: $v, width: usize, i: usize) -> $v {
                let places = places::<$lanes>(self, width, i);
                // Runs within half a vector need no lane of the other half. The instruction for those looks at the lower two bits
                // of a place (3x3 of four channels a group on Zen 3: 0.75 of the time).
                if width * size_of::<$t>() <= 16 {
                    return unsafe { $from_int(_mm256_castps_si256(_mm256_permutevar_ps(_mm256_castsi256_ps($to_int(v)), places))) };
                }
                unsafe { $from_int(_mm256_permutevar8x32_epi32($to_int(v), places)) }
            }
            #[inline(always)] fn cycle<const N: usize>(self, x: &[$t; N]) -> $v { unsafe { $from_int(over_and_over(self, x)) } }
            #[inline(always)]
            fn add_pairs(self, a: $v, b: $v) -> $v {
                // The instruction gives the sums of both lower halves, then those of both upper ones.
                unsafe { $from_int(_mm256_permute4x64_epi64::<0b1101_1000>($to_int($hadd(a, b)))) }
            }
            #[inline(always)]
            fn repeat(self, v: $v, times: usize, phase: usize) -> $v {
                let from = quotients::<$lanes>(self, times, phase);
                unsafe { $from_int(_mm256_permutevar8x32_epi32($to_int(v), from)) }
            }
            #[inline(always)] fn prefetch(self, x: *const $t) { unsafe { _mm_prefetch::<_MM_HINT_T0>(x.cast()) } }
        }
    };
}

avx2!(f32, __m256, 8, splat: _mm256_set1_ps, load: _mm256_loadu_ps, store: _mm256_storeu_ps, maskload: _mm256_maskload_ps,
      add: _mm256_add_ps, sub: _mm256_sub_ps, mul: _mm256_mul_ps, div: _mm256_div_ps,
      mul_add: _mm256_fmadd_ps, max: _mm256_max_ps, min: _mm256_min_ps, cmp: _mm256_cmp_ps, or: _mm256_or_ps, blend: _mm256_blendv_ps,
      movemask: _mm256_movemask_ps, hadd: _mm256_hadd_ps, to_int: _mm256_castps_si256, shift: _mm256_slli_epi32, 23,
      from_int: _mm256_castsi256_ps);
avx2!(f64, __m256d, 4, splat: _mm256_set1_pd, load: _mm256_loadu_pd, store: _mm256_storeu_pd, maskload: _mm256_maskload_pd,
      add: _mm256_add_pd, sub: _mm256_sub_pd, mul: _mm256_mul_pd, div: _mm256_div_pd,
      mul_add: _mm256_fmadd_pd, max: _mm256_max_pd, min: _mm256_min_pd, cmp: _mm256_cmp_pd, or: _mm256_or_pd, blend: _mm256_blendv_pd,
      movemask: _mm256_movemask_pd, hadd: _mm256_hadd_pd, to_int: _mm256_castpd_si256, shift: _mm256_slli_epi64, 52,
      from_int: _mm256_castsi256_pd);
