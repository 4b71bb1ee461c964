//! Terms in pairs, where a vector of columns would be half empty or more.
//!
//! ```text
//! b[k][0]     b[k + 1][0]   b[k][1]   b[k + 1][1]   ...     a vector of B: half as many columns, two terms of each
//! a[k]        a[k + 1]      a[k]      a[k + 1]      ...     two neighbouring elements of A, over and over: one load
//! ```
//!
//! Neighbouring lanes of a sum are added when all terms are there. So 24 columns take three vectors for two terms, not four, and 40
//! take five, not six.

use crate::element::Element;
use crate::simd::Simd;

/// Which vectors of a strip's B have pairs of terms: none, the last one, or all (three, whose sums make two).
pub(super) const NONE: u8 = 0;
pub(super) const LAST: u8 = 1;
pub(super) const ALL: u8 = 2;

/// Whether the columns of the last panel take the terms two by two, in half as many lanes: the last vector of a row is at most half
/// full, and vectors are long enough to make it worth the trouble. There must be an even number of terms in every segment.
pub(crate) fn has_pairs(n: usize, nr: usize) -> bool {
    let lanes = nr / 2;
    lanes >= LEAST_LANES && (1..=lanes / 2).contains(&(n % lanes))
}

/// Lanes of a vector that holds pairs of terms, at least, and at most.
pub(super) const LEAST_LANES: usize = 8;
const MOST_LANES: usize = 16;

/// Brings each two rows of the last panel together: the two elements of a column side by side.
pub(crate) fn pair<T: Element>(k: usize, n: usize, nr: usize, panels: &mut [T]) {
    assert!(has_pairs(n, nr) && k.is_multiple_of(2) && panels.len() >= k * nr, "pairs of terms");
    let last = panels.len() - k * nr;
    for rows in panels[last..].chunks_exact_mut(2 * nr) {
        let mut pairs = [T::ZERO; 4 * MOST_LANES];
        for (column, pair) in pairs.as_chunks_mut().0[..n % nr].iter_mut().enumerate() {
            *pair = [rows[column], rows[nr + column]];
        }
        rows.copy_from_slice(&pairs[..2 * nr]);
    }
}

/// Adds the sums of a row, some of which are those of pairs, to what it starts from. Others have started from that.
#[inline(always)]
pub(super) fn add_pairs<T: Element, S: Simd<T>, const VECTORS: usize, const PAIRS: u8>(
    s: S,
    start: [S::V; VECTORS],
    mut sums: [S::V; VECTORS],
) -> [S::V; VECTORS] {
    let last = VECTORS - 1;
    if PAIRS == ALL {
        sums[0] = s.add(start[0], s.add_pairs(sums[0], sums[1]));
        sums[1] = s.add(start[1], s.add_pairs(sums[last], sums[last]));
    } else {
        sums[last] = s.add(start[last], s.add_pairs(sums[last], sums[last]));
    }
    sums
}
