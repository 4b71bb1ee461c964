//! Average pooling: every output is the mean over a rectangle of counted taps, rows by columns.

use super::pooled_shape;
use crate::{Array4, Real, Window, indices};

/// `y[n, oy, ox, c] = sum over (ky, kx) of xpad[n, oy * stride + ky * dilation, ox * stride + kx * dilation, c] /
/// count`, where `xpad` is `x` in zero padding.
///
/// `x` is `[n, h, w, c]` and the result `[n, out_h, out_w, c]` with [`Window::pool_out_size`]. `count` is the number of
/// taps inside the input, or with `count_include_pad` inside the padded input, never of those beyond its end (which
/// `ceil_mode` can give). A window without taps that count gives 0.
pub fn average_pool<T: Real>(x: &Array4<T>, window: &Window, ceil_mode: bool, count_include_pad: bool) -> Array4<T> {
    let [_, in_h, in_w, _] = x.shape;
    Array4::from_fn(pooled_shape(x.shape, window, ceil_mode), |[n, oy, ox, c]| {
        let rows = counted_taps(window, oy, in_h, 0, count_include_pad);
        let cols = counted_taps(window, ox, in_w, 1, count_include_pad);
        mean(x, [n, c], &rows, &cols)
    })
}

/// From `dy` to `dx`: `dx[window] += dy / count`, with the count of [`average_pool`].
///
/// `dy` is `[n, out_h, out_w, c]`; `dx` has `x_shape`, `[n, h, w, c]`. What falls into the padding is dropped.
pub fn average_pool_backward<T: Real>(
    dy: &Array4<T>,
    x_shape: [usize; 4],
    window: &Window,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array4<T> {
    assert_eq!(dy.shape, pooled_shape(x_shape, window, ceil_mode), "shape of dy");
    let [_, in_h, in_w, _] = x_shape;
    let mut dx = Array4::zeros(x_shape);
    for [n, oy, ox, c] in indices(dy.shape) {
        let rows = counted_taps(window, oy, in_h, 0, count_include_pad);
        let cols = counted_taps(window, ox, in_w, 1, count_include_pad);
        add_distributed(&mut dx, [n, c], &rows, &cols, dy[[n, oy, ox, c]]);
    }
    dx
}

/// `y[n, oy, ox, c] =` the mean of `x[n, iy, ix, c]` over `floor(oy * h / out_h) <= iy < ceil((oy + 1) * h / out_h)`,
/// and `ix` likewise.
///
/// `x` is `[n, h, w, c]`, the result `[n, out_h, out_w, c]`. The windows cover the input and may overlap (PyTorch).
pub fn adaptive_average_pool<T: Real>(x: &Array4<T>, [out_h, out_w]: [usize; 2]) -> Array4<T> {
    let [batch, in_h, in_w, channels] = x.shape;
    Array4::from_fn([batch, out_h, out_w, channels], |[n, oy, ox, c]| {
        mean(x, [n, c], &adaptive_taps(oy, in_h, out_h), &adaptive_taps(ox, in_w, out_w))
    })
}

/// From `dy` to `dx`: `dx[window] += dy / count`, with the windows of [`adaptive_average_pool`].
///
/// `dy` is `[n, out_h, out_w, c]`; `dx` has `x_shape`, `[n, h, w, c]`.
pub fn adaptive_average_pool_backward<T: Real>(dy: &Array4<T>, x_shape: [usize; 4]) -> Array4<T> {
    let [batch, in_h, in_w, channels] = x_shape;
    let [_, out_h, out_w, _] = dy.shape;
    assert_eq!(dy.shape, [batch, out_h, out_w, channels], "shape of dy");
    let mut dx = Array4::zeros(x_shape);
    for [n, oy, ox, c] in indices(dy.shape) {
        let (rows, cols) = (adaptive_taps(oy, in_h, out_h), adaptive_taps(ox, in_w, out_w));
        add_distributed(&mut dx, [n, c], &rows, &cols, dy[[n, oy, ox, c]]);
    }
    dx
}

/// An `h` x `w` window filled with `dz / (h * w)`, flattened.
pub fn distribute_value<T: Real>(dz: T, h: usize, w: usize) -> Vec<T> {
    vec![dz / T::from_f64((h * w) as f64); h * w]
}

/// The positions along one axis under window `o` that count in the divisor.
fn counted_taps(window: &Window, o: usize, len: usize, axis: usize, count_include_pad: bool) -> Vec<isize> {
    let counts = |i: &isize| match count_include_pad {
        true => window.is_inside_padded(*i, len, axis),
        false => window.is_inside(*i, len, axis),
    };
    (0..window.kernel[axis]).map(|k| window.tap(o, k, axis)).filter(counts).collect()
}

/// The positions `floor(o * len / out) .. ceil((o + 1) * len / out)`.
fn adaptive_taps(o: usize, len: usize, out: usize) -> Vec<isize> {
    let start = o * len / out;
    let end = ((o + 1) * len).div_ceil(out);
    (start as isize..end as isize).collect()
}

/// The mean of `x[n, iy, ix, c]` over `rows` x `cols`, counting zeros where these lie outside; 0 if there are none. Each row
/// is summed from left to right, then the sums of the rows from top to bottom.
fn mean<T: Real>(x: &Array4<T>, [n, c]: [usize; 2], rows: &[isize], cols: &[isize]) -> T {
    let count = rows.len() * cols.len();
    if count == 0 {
        return T::ZERO;
    }
    let mut sum = T::ZERO;
    for &iy in rows {
        let mut row = T::ZERO;
        for &ix in cols {
            if let Some([iy, ix]) = pixel(x.shape, iy, ix) {
                row += x[[n, iy, ix, c]];
            }
        }
        sum += row;
    }
    sum / T::from_f64(count as f64)
}

/// `dx[n, iy, ix, c] += dz / count` over `rows` x `cols`, where these lie inside.
fn add_distributed<T: Real>(dx: &mut Array4<T>, [n, c]: [usize; 2], rows: &[isize], cols: &[isize], dz: T) {
    let share = distribute_value(dz, rows.len(), cols.len());
    for (j, &iy) in rows.iter().enumerate() {
        for (i, &ix) in cols.iter().enumerate() {
            if let Some([iy, ix]) = pixel(dx.shape, iy, ix) {
                dx[[n, iy, ix, c]] += share[j * cols.len() + i];
            }
        }
    }
}

/// `[iy, ix]` if it lies inside an input `[n, h, w, c]`.
fn pixel([_, h, w, _]: [usize; 4], iy: isize, ix: isize) -> Option<[usize; 2]> {
    let inside = (0..h as isize).contains(&iy) && (0..w as isize).contains(&ix);
    inside.then_some([iy as usize, ix as usize])
}
