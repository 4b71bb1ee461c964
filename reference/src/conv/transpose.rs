//! Transposed convolution.

use crate::{Array4, Real, Window, indices};

/// `y[n, iy * stride + ky * dilation - top, ix * stride + kx * dilation - left, co] += x[n, iy, ix, ci] * w[ky, kx, ci,
/// co]` for every input value and tap, plus `bias[co]`; what falls outside of `y` is dropped.
///
/// `x` is `[n, h, w, c_in]`, `w` is `[kernel_h, kernel_w, c_in, c_out / groups]`, `bias` is `[c_out]`, and the result
/// is `[n, out_h, out_w, c_out]` with [`Window::transpose_out_size`]. Group `g` joins the `g`-th block of input
/// channels to the `g`-th block of output channels.
pub fn conv_transpose<T: Real>(
    x: &Array4<T>,
    w: &Array4<T>,
    bias: Option<&[T]>,
    window: &Window,
    output_padding: [usize; 2],
    groups: usize,
) -> Array4<T> {
    let [batch, in_h, in_w, c_in] = x.shape;
    let [kh, kw, _, group_out] = w.shape;
    assert_eq!([kh, kw], window.kernel, "kernel of the weights against the window");
    assert_eq!(c_in, w.shape[2], "input channels against the weights");
    assert_eq!(c_in % groups, 0, "input channels divide into groups");
    assert!(bias.is_none_or(|bias| bias.len() == group_out * groups), "one bias per output channel");
    let group_in = c_in / groups;
    let out_h = window.transpose_out_size(in_h, 0, output_padding[0]);
    let out_w = window.transpose_out_size(in_w, 1, output_padding[1]);

    let shape = [batch, out_h, out_w, group_out * groups];
    let mut y = Array4::from_fn(shape, |[_, _, _, co]| bias.map_or(T::ZERO, |bias| bias[co]));
    for [n, iy, ix, ci] in indices(x.shape) {
        let first = ci / group_in * group_out;
        for [ky, kx, co, _] in indices([kh, kw, group_out, 1]) {
            let (oy, ox) = (window.tap(iy, ky, 0), window.tap(ix, kx, 1));
            if (0..out_h as isize).contains(&oy) && (0..out_w as isize).contains(&ox) {
                y[[n, oy as usize, ox as usize, first + co]] += x[[n, iy, ix, ci]] * w[[ky, kx, ci, co]];
            }
        }
    }
    y
}
