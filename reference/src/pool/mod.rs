//! Pooling and its gradients.

mod average;
mod global;
mod max;

pub use average::{
    adaptive_average_pool, adaptive_average_pool_backward, average_pool, average_pool_backward, distribute_value,
};
pub use global::{global_average_pool, global_average_pool_backward, global_max_pool, global_max_pool_backward};
pub use max::{
    Ties, create_mask_from_window, max_pool, max_pool_backward, max_pool_backward_from_indices, max_pool_with_indices,
};

use crate::{Array4, Real, Window};

/// What a pooling window is reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// The maximum: [`max_pool`].
    Max,
    /// The mean: [`average_pool`].
    Average {
        /// Whether taps in the padding count in the divisor.
        count_include_pad: bool,
    },
}

/// The reduction over each window, channel by channel: [`max_pool`] or [`average_pool`].
pub fn pool_forward<T: Real>(x: &Array4<T>, window: &Window, ceil_mode: bool, mode: PoolMode) -> Array4<T> {
    match mode {
        PoolMode::Max => max_pool(x, window, ceil_mode),
        PoolMode::Average { count_include_pad } => average_pool(x, window, ceil_mode, count_include_pad),
    }
}

/// From `dy` to `dx`: [`max_pool_backward`], which alone looks at `ties`, or [`average_pool_backward`].
pub fn pool_backward<T: Real>(
    x: &Array4<T>,
    dy: &Array4<T>,
    window: &Window,
    ceil_mode: bool,
    mode: PoolMode,
    ties: Ties,
) -> Array4<T> {
    match mode {
        PoolMode::Max => max_pool_backward(x, dy, window, ceil_mode, ties),
        PoolMode::Average { count_include_pad } => {
            average_pool_backward(dy, x.shape, window, ceil_mode, count_include_pad)
        }
    }
}

/// `[n, out_h, out_w, c]` of pooling an input of shape `[n, h, w, c]`.
fn pooled_shape([batch, h, w, channels]: [usize; 4], window: &Window, ceil_mode: bool) -> [usize; 4] {
    let [out_h, out_w] = [window.pool_out_size(h, 0, ceil_mode), window.pool_out_size(w, 1, ceil_mode)];
    [batch, out_h, out_w, channels]
}
