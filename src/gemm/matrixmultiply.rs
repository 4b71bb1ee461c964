//! The GEMM of the crate `matrixmultiply`, behind checks of its operands' sizes.
#![allow(unsafe_code)] // its functions take pointers

use crate::element::Element;
use core::any::TypeId;

/// `c[m][n] += a[m][k] * b[k][n]`, all row-major, with `lda`, `ldb` and `ldc` elements from a row to the next.
///
/// It detects the machine's level by itself, and allocates the memory that it packs its operands into.
pub(crate) fn gemm<T: Element>(
    [m, k, n]: [usize; 3],
    (a, lda): (&[T], usize),
    (b, ldb): (&[T], usize),
    (c, ldc): (&mut [T], usize),
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    // The last row, and the last element in it.
    assert!((m - 1) * lda + k <= a.len() && (k - 1) * ldb + n <= b.len(), "an operand is too short");
    assert!((m - 1) * ldc + n <= c.len() && n <= ldc, "the product is too short, or its rows overlap");
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let [lda, ldb, ldc] = [lda, ldb, ldc].map(|stride| stride as isize);
    if TypeId::of::<T>() == TypeId::of::<f32>() {
        let (a, b, c) = (a.cast::<f32>(), b.cast::<f32>(), c.cast::<f32>());
        // SAFETY: T is f32; every index of the three matrices lies in its slice, and C's rows do not overlap (asserted
        // above); C is borrowed mutably, so it overlaps neither A nor B.
        unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, lda, 1, b, ldb, 1, 1.0, c, ldc, 1) }
    } else {
        assert!(TypeId::of::<T>() == TypeId::of::<f64>(), "no other element type");
        let (a, b, c) = (a.cast::<f64>(), b.cast::<f64>(), c.cast::<f64>());
        // SAFETY: as above, with f64.
        unsafe { matrixmultiply::dgemm(m, k, n, 1.0, a, lda, 1, b, ldb, 1, 1.0, c, ldc, 1) }
    }
}
