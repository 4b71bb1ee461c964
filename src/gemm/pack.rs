//! Packing of B into panels.

use crate::element::Element;

/// Elements of a packed B of `k` rows and `n` columns, in panels of `nr` columns.
pub(crate) fn packed_len(k: usize, n: usize, nr: usize) -> Option<usize> {
    n.div_ceil(nr).checked_mul(nr)?.checked_mul(k)
}

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

/// Packs B into `panels` as `[panel][k][nr]`; columns beyond the last are zero. `b(k, n, row)` fills `row` with the elements
/// of row `k` from column `n` on.
pub(crate) fn pack<T: Element>(k: usize, n: usize, nr: usize, panels: &mut [T], b: impl Fn(usize, usize, &mut [T])) {
    assert_eq!(Some(panels.len()), packed_len(k, n, nr), "packed weights");
    if k == 0 {
        return;
    }
    for (p, panel) in panels.chunks_exact_mut(k * nr).enumerate() {
        for (i, row) in panel.chunks_exact_mut(nr).enumerate() {
            let (inside, beyond) = row.split_at_mut(nr.min(n - p * nr));
            b(i, p * nr, inside);
            beyond.fill(T::ZERO);
        }
    }
}
