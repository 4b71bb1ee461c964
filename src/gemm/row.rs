//! A row of A that is alone in its strip: its additions would wait for each other in one sum, so there are several.

use super::folds::{NONE, add_folded, step};
use super::micro_kernel::Segment;
use crate::element::Element;
use crate::simd::{Simd, unrolled};
use core::array::from_fn;
use core::ops::Range;

/// Chains of a sum.
const CHAINS: usize = 4;

/// Terms that are not worth more than one chain.
const SHORT: usize = 64;

/// The terms of each chain of a segment of so many, a multiple of `unit`, but for the last one's. They are summed each on its own,
/// and then one after the other.
#[inline(always)]
pub(crate) fn chains(len: usize, unit: usize) -> [Range<usize>; CHAINS] {
    let quarter = if len < SHORT { 0 } else { len / CHAINS / unit * unit };
    from_fn(|i| i * quarter..if i + 1 < CHAINS { (i + 1) * quarter } else { len })
}

/// Adds the terms of a row that is alone in its strip to the sums of a panel: in chains, which follow each other in memory. Those of
/// folded vectors, `by` terms at a time.
#[inline(always)]
pub(super) fn add_row<T: Element, S: Simd<T>, const VECTORS: usize, const FOLDED: u8>(
    s: S,
    acc: [S::V; VECTORS],
    segments: &[Segment],
    a: (&[T], usize),
    panel: &[T],
    by: usize,
) -> [S::V; VECTORS] {
    match by {
        _ if FOLDED == NONE => add_terms::<T, S, VECTORS, FOLDED, 1>(s, acc, segments, a, panel),
        4 if const { VECTORS == 1 } => add_terms::<T, S, VECTORS, FOLDED, 4>(s, acc, segments, a, panel),
        8 if const { VECTORS == 1 && S::LANES >= 8 } => {
            add_terms::<T, S, VECTORS, FOLDED, 8>(s, acc, segments, a, panel)
        }
        16 if const { VECTORS == 1 && S::LANES >= 16 } => {
            add_terms::<T, S, VECTORS, FOLDED, 16>(s, acc, segments, a, panel)
        }
        _ => add_terms::<T, S, VECTORS, FOLDED, 2>(s, acc, segments, a, panel),
    }
}

#[inline(always)]
fn add_terms<T: Element, S: Simd<T>, const VECTORS: usize, const FOLDED: u8, const BY: usize>(
    s: S,
    mut acc: [S::V; VECTORS],
    segments: &[Segment],
    (a, start): (&[T], usize),
    panel: &[T],
) -> [S::V; VECTORS] {
    let lanes = S::LANES;
    let mut sums = [[s.splat(T::ZERO); VECTORS]; CHAINS];
    let step = if FOLDED == NONE { 2 * lanes } else { step(FOLDED, lanes) };
    for segment in segments {
        let (of, len) = (chains(segment.len, BY), segment.len);
        let (a, b) = (&a[start.wrapping_add(segment.a)..][..len], &panel[segment.b / BY * step..][..len / BY * step]);
        let a: [&[[T; BY]]; CHAINS] = from_fn(|i| a[of[i].clone()].as_chunks().0);
        let mut b: [_; CHAINS] = from_fn(|i| b[of[i].start / BY * step..].chunks_exact(step));
        // A folded vector has no others beside it in its panel.
        macro_rules! add {
            ($i:expr, $k:expr) => {
                let b = b[$i].next().expect("as many rows of B as terms");
                let a = s.cycle(&a[$i][$k]);
                unrolled!(v in 0..VECTORS, { sums[$i][v] = s.mul_add(a, s.load(&b[v * lanes..]), sums[$i][v]); });
            };
        }
        let shared = of[0].len() / BY;
        for k in 0..shared {
            unrolled!(i in 0..CHAINS, {
                add!(i, k);
            });
        }
        // The last one may be longer.
        for k in shared..of[CHAINS - 1].len() / BY {
            add!(CHAINS - 1, k);
        }
    }
    unrolled!(i in 0..CHAINS, {
        if FOLDED == NONE {
            unrolled!(v in 0..VECTORS, { acc[v] = s.add(acc[v], sums[i][v]); });
        } else {
            acc = add_folded::<T, S, VECTORS, FOLDED>(s, BY, acc, sums[i]);
        }
    });
    acc
}
