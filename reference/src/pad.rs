//! Zero padding.

use crate::{Array4, Real, indices};

/// `y[n, top + iy, left + ix, c] = x[n, iy, ix, c]`, zero elsewhere.
///
/// `x` is `[n, h, w, c]`, `pad` is `[[top, bottom], [left, right]]`, and the result is
/// `[n, top + h + bottom, left + w + right, c]`.
pub fn zero_pad<T: Real>(x: &Array4<T>, pad: [[usize; 2]; 2]) -> Array4<T> {
    let [batch, h, w, channels] = x.shape;
    let [[top, bottom], [left, right]] = pad;
    let mut y = Array4::zeros([batch, top + h + bottom, left + w + right, channels]);
    for [n, iy, ix, c] in indices(x.shape) {
        y[[n, top + iy, left + ix, c]] = x[[n, iy, ix, c]];
    }
    y
}
