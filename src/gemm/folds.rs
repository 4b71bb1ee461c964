//! Several terms at a time, where a vector of columns would be half empty or more.
//!
//! ```text
//! b[k][0]     b[k + 1][0]   b[k][1]   b[k + 1][1]   ...     a vector of B, folded in two: half as many columns, two terms of each
//! a[k]        a[k + 1]      a[k]      a[k + 1]      ...     two neighbouring elements of A, over and over: one load
//! ```
//!
//! Neighbouring lanes of a sum are added when all terms are there. So 24 columns take three vectors for two terms, not four, and 40
//! take five, not six. Where all columns together fill a quarter of a vector, an eighth or less, it is folded in four and more: one
//! column takes a vector of A at a time.

use crate::element::Element;
use crate::simd::{Simd, unrolled};

/// Which vectors of a strip's B are folded: none, the last one, or all (three, whose sums make two).
pub(super) const NONE: u8 = 0;
pub(super) const LAST: u8 = 1;
pub(super) const ALL: u8 = 2;

/// Lanes of a vector that is folded, at least, and at most.
pub(super) const LEAST_LANES: usize = 8;
const MOST_LANES: usize = 16;

/// How many terms the columns of the last panel take at a time, in vectors that are long enough to make it worth the trouble, if the
/// terms of every segment are a multiple of `unit`. More than two where there are no other columns.
pub(crate) fn terms_at_a_time(n: usize, nr: usize, unit: usize) -> usize {
    let lanes = nr / 2;
    let most = match n % lanes {
        tail if lanes < LEAST_LANES || tail == 0 || 2 * tail > lanes => 1,
        tail if n < lanes => lanes / tail.next_power_of_two(),
        _ => 2,
    };
    most.min(1 << unit.trailing_zeros().min(4))
}

/// Whether the last panel has a vector that is full, which is folded as well.
fn is_broad(n: usize, nr: usize) -> bool {
    n % nr > nr / 2
}

/// From some terms of a folded panel to the next: a vector, or the lines that they took before.
#[inline(always)]
pub(super) fn step(folded: u8, lanes: usize) -> usize {
    if folded == ALL { 4 * lanes } else { lanes }
}

/// Folds the last panel: brings each `by` of its rows together, the elements of a column side by side. Their vectors follow each other
/// then, if there is one for each; else they stay where those rows were.
pub(crate) fn fold<T: Element>(k: usize, n: usize, nr: usize, by: usize, panels: &mut [T]) {
    let columns = n % nr;
    assert!(by.is_power_of_two() && by * columns <= 2 * nr && 2 * by <= nr && nr <= 2 * MOST_LANES, "too many terms");
    assert!(k.is_multiple_of(by) && panels.len() >= k * nr, "terms of which some are left");
    let (first, step) = (panels.len() - k * nr, if is_broad(n, nr) { 2 * nr } else { nr / 2 });
    let last = &mut panels[first..];
    for i in 0..k / by {
        let mut folded = [T::ZERO; 4 * MOST_LANES];
        for (column, terms) in folded.chunks_exact_mut(by).take(columns).enumerate() {
            terms.iter_mut().enumerate().for_each(|(term, x)| *x = last[(i * by + term) * nr + column]);
        }
        // No row behind these is reached: they take as much at least.
        last[i * step..][..step].copy_from_slice(&folded[..step]);
    }
}

/// Adds the sums of a row, some of which are folded by so many terms, to what it starts from. Others have started from that.
#[inline(always)]
pub(super) fn add_folded<T: Element, S: Simd<T>, const VECTORS: usize, const FOLDED: u8>(
    s: S,
    by: usize,
    start: [S::V; VECTORS],
    mut sums: [S::V; VECTORS],
) -> [S::V; VECTORS] {
    let last = VECTORS - 1;
    if FOLDED == ALL {
        sums[0] = s.add(start[0], s.add_pairs(sums[0], sums[1]));
        sums[1] = s.add(start[1], s.add_pairs(sums[last], sums[last]));
    } else {
        let mut sum = s.add_pairs(sums[last], sums[last]);
        if VECTORS == 1 {
            for terms in [2, 4, 8] {
                if by > terms {
                    sum = s.add_pairs(sum, sum);
                }
            }
        }
        sums[last] = s.add(start[last], sum);
    }
    sums
}

/// The same for rows of one vector each, which is folded by `BY` terms, of `n` columns. Neighbouring lanes of two rows are added at a
/// time, so that those of all rows take little more than those of one: their sums end up side by side.
#[inline(always)]
pub(super) fn add_folded_rows<T: Element, S: Simd<T>, const ROWS: usize, const VECTORS: usize, const BY: usize>(
    s: S,
    n: usize,
    starts: &[[S::V; VECTORS]; ROWS],
    mut sums: [[S::V; VECTORS]; ROWS],
) -> [[S::V; VECTORS]; ROWS] {
    unrolled!(@ level, 4, {
        if BY > 1 << level {
            let rows = ROWS.div_ceil(1 << level);
            unrolled!(i in 0..rows.div_ceil(2), {
                sums[i][0] = s.add_pairs(sums[2 * i][0], sums[(2 * i + 1).min(rows - 1)][0]);
            });
        }
    }, 0 1 2 3);
    let mut side_by_side = [T::ZERO; 4 * MOST_LANES];
    unrolled!(i in 0..ROWS.div_ceil(BY), { s.store(sums[i][0], &mut side_by_side[i * S::LANES..]); });
    let columns = S::LANES / BY;
    unrolled!(i in 0..ROWS, {
        sums[i][0] = s.add(starts[i][0], s.load_partial(&side_by_side[i * columns..][..n.min(columns)]));
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_columns_take_the_most_terms() {
        let of = |n: usize| terms_at_a_time(n, 32, 64);
        assert_eq!([1, 2, 3, 4, 5, 8].map(of), [16, 8, 4, 4, 2, 2]);
        assert_eq!([9, 16, 17, 24, 25, 32, 33].map(of), [1, 1, 2, 2, 1, 1, 2]);
        assert_eq!([1, 2, 3, 4, 12, 48].map(|unit| terms_at_a_time(1, 32, unit)), [1, 2, 1, 4, 4, 16]);
        assert_eq!([1, 2, 4, 5].map(|n| terms_at_a_time(n, 16, 64)), [8, 4, 2, 1]);
        assert_eq!([4, 2].map(|nr| terms_at_a_time(1, nr, 64)), [1, 1]);
    }
}
