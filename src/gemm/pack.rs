//! Packing of B into panels.

use crate::element::Element;

/// Elements of a packed B of `k` rows and `n` columns, in panels of `nr` columns.
pub(crate) fn packed_len(k: usize, n: usize, nr: usize) -> Option<usize> {
    n.div_ceil(nr).checked_mul(nr)?.checked_mul(k)
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
