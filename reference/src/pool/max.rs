//! Maximum pooling. Padding is never a candidate.

use super::pooled_shape;
use crate::{Array4, Real, Window, indices};

/// Who gets the gradient of a window in which the maximum occurs more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Every maximum gets all of it: [`create_mask_from_window`].
    All,
    /// Only the one that [`max_pool_with_indices`] names.
    First,
}

/// `y[n, oy, ox, c] = max over (ky, kx) of x[n, oy * stride + ky * dilation - top, ox * stride + kx * dilation - left,
/// c]`.
///
/// `x` is `[n, h, w, c]` and the result `[n, out_h, out_w, c]` with [`Window::pool_out_size`]. The maximum is NaN if
/// any tap is, and -inf where all taps lie in the padding.
pub fn max_pool<T: Real>(x: &Array4<T>, window: &Window, ceil_mode: bool) -> Array4<T> {
    max_pool_with_indices(x, window, ceil_mode).0
}

/// [`max_pool`] and the pixel each maximum comes from, as `iy * w + ix` in the unpadded plane: both `[n, out_h, out_w,
/// c]`.
///
/// Equal values keep the earlier tap in row-major order, of several NaNs the last one counts (PyTorch), and a window
/// whose taps all lie in the padding gives index -1.
pub fn max_pool_with_indices<T: Real>(x: &Array4<T>, window: &Window, ceil_mode: bool) -> (Array4<T>, Array4<i64>) {
    let in_w = x.shape[2];
    let shape = pooled_shape(x.shape, window, ceil_mode);
    let mut y = Array4::filled(shape, T::NEG_INFINITY);
    let mut index = Array4::filled(shape, -1);
    for [n, oy, ox, c] in indices(shape) {
        let o = [n, oy, ox, c];
        for [iy, ix] in valid_taps(x.shape, window, [oy, ox]) {
            let v = x[[n, iy, ix, c]];
            if index[o] < 0 || v > y[o] || v.is_nan() {
                y[o] = v;
                index[o] = (iy * in_w + ix) as i64;
            }
        }
    }
    (y, index)
}

/// 1 where the window equals its maximum, else 0; all 0 where the maximum is NaN, which equals nothing.
pub fn create_mask_from_window<T: Real>(window: &[T]) -> Vec<T> {
    let mut max = T::NEG_INFINITY;
    for &v in window {
        if v > max || v.is_nan() {
            max = v;
        }
    }
    window.iter().map(|&v| if v == max { T::ONE } else { T::ZERO }).collect()
}

/// From `dy` to `dx`. [`Ties::All`]: `dx[window] += mask * dy` with the mask of [`create_mask_from_window`] over the
/// taps inside the input. [`Ties::First`]: `dx[index] += dy` with the index of [`max_pool_with_indices`].
///
/// `x` and `dx` are `[n, h, w, c]`, `dy` is `[n, out_h, out_w, c]`. Windows that lie in the padding give nothing. A
/// window with a NaN gives its gradient to the last NaN under `First`, and to nobody under `All`.
pub fn max_pool_backward<T: Real>(
    x: &Array4<T>,
    dy: &Array4<T>,
    window: &Window,
    ceil_mode: bool,
    ties: Ties,
) -> Array4<T> {
    assert_eq!(dy.shape, pooled_shape(x.shape, window, ceil_mode), "shape of dy");
    if ties == Ties::First {
        let (_, index) = max_pool_with_indices(x, window, ceil_mode);
        return max_pool_backward_from_indices(dy, &index, x.shape);
    }
    let mut dx = Array4::zeros(x.shape);
    for [n, oy, ox, c] in indices(dy.shape) {
        let taps = valid_taps(x.shape, window, [oy, ox]);
        let values: Vec<T> = taps.iter().map(|&[iy, ix]| x[[n, iy, ix, c]]).collect();
        for ([iy, ix], mask) in taps.into_iter().zip(create_mask_from_window(&values)) {
            if mask == T::ONE {
                dx[[n, iy, ix, c]] += dy[[n, oy, ox, c]];
            }
        }
    }
    dx
}

/// `dx[n, iy, ix, c] += dy[n, oy, ox, c]` where `iy * w + ix = index[n, oy, ox, c]`; a negative index gives nothing.
///
/// `dy` and `index` are `[n, out_h, out_w, c]`; `dx` has `x_shape`, `[n, h, w, c]`. Where no two windows name the same
/// pixel this is also max unpooling.
pub fn max_pool_backward_from_indices<T: Real>(dy: &Array4<T>, index: &Array4<i64>, x_shape: [usize; 4]) -> Array4<T> {
    assert_eq!(dy.shape, index.shape, "shape of dy against the indices");
    let in_w = x_shape[2];
    let mut dx = Array4::zeros(x_shape);
    for [n, oy, ox, c] in indices(dy.shape) {
        if let Ok(i) = usize::try_from(index[[n, oy, ox, c]]) {
            dx[[n, i / in_w, i % in_w, c]] += dy[[n, oy, ox, c]];
        }
    }
    dx
}

/// The pixels `[iy, ix]` under window `[oy, ox]` that lie inside an input `[n, h, w, c]`, in row-major order.
fn valid_taps([_, h, w, _]: [usize; 4], window: &Window, o: [usize; 2]) -> Vec<[usize; 2]> {
    let [kh, kw] = window.kernel;
    indices([1, 1, kh, kw]).filter_map(|[_, _, ky, kx]| window.source(o, [ky, kx], [h, w])).collect()
}
