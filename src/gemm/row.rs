//! A row of A that is alone in its strip: its additions would wait for each other in one sum, so there are several.

use super::micro_kernel::Segment;
use super::pairs::{NONE, add_pairs};
use crate::element::Element;
use crate::simd::{Simd, unrolled};
use core::array::from_fn;
use core::ops::Range;

/// Chains of a sum.
const CHAINS: usize = 4;

/// Terms that are not worth more than one chain.
const SHORT: usize = 64;

/// The terms of each chain of a segment of so many, an even number but for the last one's. They are summed each on its own, and then
/// one after the other.
#[inline(always)]
pub(crate) fn chains(len: usize) -> [Range<usize>; CHAINS] {
    let quarter = if len < SHORT { 0 } else { len / CHAINS / 2 * 2 };
    from_fn(|i| i * quarter..if i + 1 < CHAINS { (i + 1) * quarter } else { len })
}

/// Adds the terms of a row that is alone in its strip to the sums of a panel: in chains, which follow each other in memory.
#[inline(always)]
pub(super) fn add_row<T: Element, S: Simd<T>, const VECTORS: usize, const PAIRS: u8>(
    s: S,
    mut acc: [S::V; VECTORS],
    segments: &[Segment],
    a: &[T],
    start: usize,
    panel: &[T],
) -> [S::V; VECTORS] {
    let (lanes, nr) = (S::LANES, 2 * S::LANES);
    let mut sums = [[s.splat(T::ZERO); VECTORS]; CHAINS];
    let at_a_time = if PAIRS == NONE { 1 } else { 2 };
    for segment in segments {
        let (of, len) = (chains(segment.len), segment.len);
        let (a, b) = (&a[start.wrapping_add(segment.a)..][..len], &panel[segment.b * nr..][..len * nr]);
        let a: [&[T]; CHAINS] = from_fn(|i| &a[of[i].clone()]);
        let pairs: [&[[T; 2]]; CHAINS] = from_fn(|i| a[i].as_chunks().0);
        let mut b: [_; CHAINS] = from_fn(|i| b[of[i].start * nr..].chunks_exact(at_a_time * nr));
        // A vector of pairs has no others beside it in its panel.
        macro_rules! add {
            ($i:expr, $k:expr) => {
                let b = b[$i].next().expect("as many rows of B as terms");
                let a = if PAIRS == NONE { s.splat(a[$i][$k]) } else { s.splat_pair(&pairs[$i][$k]) };
                unrolled!(v in 0..VECTORS, { sums[$i][v] = s.mul_add(a, s.load(&b[v * lanes..]), sums[$i][v]); });
            };
        }
        let shared = of[0].len() / at_a_time;
        for k in 0..shared {
            unrolled!(i in 0..CHAINS, {
                add!(i, k);
            });
        }
        // The last one may be longer.
        for k in shared..of[CHAINS - 1].len() / at_a_time {
            add!(CHAINS - 1, k);
        }
    }
    unrolled!(i in 0..CHAINS, {
        if PAIRS == NONE {
            unrolled!(v in 0..VECTORS, { acc[v] = s.add(acc[v], sums[i][v]); });
        } else {
            acc = add_pairs::<T, S, VECTORS, PAIRS>(s, acc, sums[i]);
        }
    });
    acc
}
