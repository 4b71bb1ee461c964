//! The gradients of a convolution.

use super::check;
use crate::{Array4, Real, Window, indices};

/// From `dz` to `(dx, dw, db)`: for every output value, `dx[patch] += w * dz`, `dw += patch * dz`, `db += dz`.
///
/// `x` is `[n, h, w, c_in]`, `w` is `[kernel_h, kernel_w, c_in / groups, c_out]`, `dz` is `[n, out_h, out_w, c_out]` as
/// [`conv_forward`](crate::conv_forward) gives; `dx` has the shape of `x`, `dw` of `w`, and `db` is `[c_out]`. `dw` and
/// `db` are summed over batch and positions. Taps in the padding hold zeros that nobody can change: they are left out.
pub fn conv_backward<T: Real>(
    x: &Array4<T>,
    w: &Array4<T>,
    dz: &Array4<T>,
    window: &Window,
    groups: usize,
) -> (Array4<T>, Array4<T>, Vec<T>) {
    check(x, w, window, groups);
    let [batch, in_h, in_w, _] = x.shape;
    let [kh, kw, group_in, c_out] = w.shape;
    let group_out = c_out / groups;
    let out_size = [window.conv_out_size(in_h, 0), window.conv_out_size(in_w, 1)];
    assert_eq!(dz.shape, [batch, out_size[0], out_size[1], c_out], "shape of dz");

    let mut dx = Array4::zeros(x.shape);
    let mut dw = Array4::zeros(w.shape);
    let mut db = vec![T::ZERO; c_out];
    for [n, oy, ox, co] in indices(dz.shape) {
        let g = dz[[n, oy, ox, co]];
        let first = co / group_out * group_in;
        for [ky, kx, ci, _] in indices([kh, kw, group_in, 1]) {
            if let Some([iy, ix]) = window.source([oy, ox], [ky, kx], [in_h, in_w]) {
                dx[[n, iy, ix, first + ci]] += w[[ky, kx, ci, co]] * g;
                dw[[ky, kx, ci, co]] += x[[n, iy, ix, first + ci]] * g;
            }
        }
        db[co] += g;
    }
    (dx, dw, db)
}
