//! Packing of B into panels.

use crate::element::Element;

/// Elements of a packed B of `k` rows and `n` columns, in panels of `nr` columns.
pub(crate) fn packed_len(k: usize, n: usize, nr: usize) -> Option<usize> {
    n.div_ceil(nr).checked_mul(nr)?.checked_mul(k)
}

/// Packs B, whose elements are `b(k, n)`, into `panels` as `[panel][k][nr]`; columns beyond the last are zero.
pub(crate) fn pack<T: Element>(k: usize, n: usize, nr: usize, panels: &mut [T], b: impl Fn(usize, usize) -> T) {
    assert_eq!(Some(panels.len()), packed_len(k, n, nr), "packed weights");
    if k == 0 {
        return;
    }
    for (p, panel) in panels.chunks_exact_mut(k * nr).enumerate() {
        for (i, row) in panel.chunks_exact_mut(nr).enumerate() {
            for (j, to) in row.iter_mut().enumerate() {
                let j = p * nr + j;
                *to = if j < n { b(i, j) } else { T::ZERO };
            }
        }
    }
}
