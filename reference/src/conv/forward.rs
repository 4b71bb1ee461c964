//! Convolution, as the networks mean it: cross-correlation.

use super::check;
use crate::{Array4, Real, Window, indices};

/// `sum over (ky, kx, ci) of patch[ky, kx, ci] * w[ky, kx, ci], plus b`: one output value.
///
/// `patch` and `w` are the input under the window and one output channel's filter, both `[kernel_h, kernel_w, c_in]`
/// flattened in row-major order.
pub fn conv_single_step<T: Real>(patch: &[T], w: &[T], b: T) -> T {
    assert_eq!(patch.len(), w.len(), "patch against filter");
    let mut sum = T::ZERO;
    for (&p, &w) in patch.iter().zip(w) {
        sum += p * w;
    }
    sum + b
}

/// `z[n, oy, ox, co] = sum over (ky, kx, ci) of xpad[n, oy * stride + ky * dilation, ox * stride + kx * dilation, ci] *
/// w[ky, kx, ci, co], plus bias[co]`, where `xpad` is `x` in zero padding.
///
/// `x` is `[n, h, w, c_in]`, `w` is `[kernel_h, kernel_w, c_in / groups, c_out]`, `bias` is `[c_out]`, and the result
/// is `[n, out_h, out_w, c_out]` with [`Window::conv_out_size`]. Group `g` joins the `g`-th block of input channels to
/// the `g`-th block of output channels. Every output value is one [`conv_single_step`].
pub fn conv_forward<T: Real>(
    x: &Array4<T>,
    w: &Array4<T>,
    bias: Option<&[T]>,
    window: &Window,
    groups: usize,
) -> Array4<T> {
    check(x, w, window, groups);
    assert!(bias.is_none_or(|bias| bias.len() == w.shape[3]), "one bias per output channel");
    let [batch, in_h, in_w, _] = x.shape;
    let [_, _, group_in, c_out] = w.shape;
    let group_out = c_out / groups;
    let [out_h, out_w] = [window.conv_out_size(in_h, 0), window.conv_out_size(in_w, 1)];
    let filters: Vec<Vec<T>> = (0..c_out).map(|co| filter(w, co)).collect();

    let mut z = Array4::zeros([batch, out_h, out_w, c_out]);
    for [n, oy, ox, group] in indices([batch, out_h, out_w, groups]) {
        let patch = gather_patch(x, window, [n, oy, ox], group * group_in, group_in);
        for j in 0..group_out {
            let co = group * group_out + j;
            let b = bias.map_or(T::ZERO, |bias| bias[co]);
            z[[n, oy, ox, co]] = conv_single_step(&patch, &filters[co], b);
        }
    }
    z
}

/// `w[.., .., .., co]`, flattened: `[kernel_h, kernel_w, c_in / groups]`.
fn filter<T: Real>(w: &Array4<T>, co: usize) -> Vec<T> {
    let [kh, kw, group_in, _] = w.shape;
    indices([kh, kw, group_in, 1]).map(|[ky, kx, ci, _]| w[[ky, kx, ci, co]]).collect()
}

/// The input under window `[oy, ox]` of image `n`, zero where a tap falls outside: `[kernel_h, kernel_w, channels]` of
/// the channels from `first` on.
fn gather_patch<T: Real>(
    x: &Array4<T>,
    window: &Window,
    [n, oy, ox]: [usize; 3],
    first: usize,
    channels: usize,
) -> Vec<T> {
    let [_, in_h, in_w, _] = x.shape;
    let [kh, kw] = window.kernel;
    indices([kh, kw, channels, 1])
        .map(|[ky, kx, ci, _]| match window.source([oy, ox], [ky, kx], [in_h, in_w]) {
            Some([iy, ix]) => x[[n, iy, ix, first + ci]],
            None => T::ZERO,
        })
        .collect()
}
