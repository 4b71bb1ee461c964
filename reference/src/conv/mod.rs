//! Convolution, its gradients, and transposed convolution.

mod backward;
mod forward;
mod transpose;

pub use backward::conv_backward;
pub use forward::{conv_forward, conv_single_step};
pub use transpose::conv_transpose;

use crate::{Array4, Window};

/// Panics unless `x` `[n, h, w, c_in]` and `w` `[kernel_h, kernel_w, c_in / groups, c_out]` fit the window and groups.
fn check<T>(x: &Array4<T>, w: &Array4<T>, window: &Window, groups: usize) {
    assert_eq!(w.shape[..2], window.kernel, "kernel of the weights against the window");
    assert_eq!(x.shape[3], w.shape[2] * groups, "input channels against the weights times the groups");
    assert_eq!(w.shape[3] % groups, 0, "output channels divide into groups");
}
