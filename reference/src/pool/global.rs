//! Pooling over a whole plane.

use super::{Ties, adaptive_average_pool, adaptive_average_pool_backward, max_pool, max_pool_backward};
use crate::{Array4, Real, Window};

/// `y[n, 0, 0, c] =` the mean of `x[n, .., .., c]`: `[n, h, w, c]` to `[n, 1, 1, c]`; 0 for an empty plane.
pub fn global_average_pool<T: Real>(x: &Array4<T>) -> Array4<T> {
    adaptive_average_pool(x, [1, 1])
}

/// `dx[n, iy, ix, c] = dy[n, 0, 0, c] / (h * w)`, from `dy` `[n, 1, 1, c]` to `x_shape`, `[n, h, w, c]`.
pub fn global_average_pool_backward<T: Real>(dy: &Array4<T>, x_shape: [usize; 4]) -> Array4<T> {
    assert_eq!(dy.shape[1..3], [1, 1], "a global pool has one output per channel");
    adaptive_average_pool_backward(dy, x_shape)
}

/// `y[n, 0, 0, c] =` the maximum of `x[n, .., .., c]`: `[n, h, w, c]` to `[n, 1, 1, c]`; -inf for an empty plane.
pub fn global_max_pool<T: Real>(x: &Array4<T>) -> Array4<T> {
    max_pool(x, &plane(x), false)
}

/// [`max_pool_backward`] with the one window of [`global_max_pool`]; `dy` is `[n, 1, 1, c]`.
pub fn global_max_pool_backward<T: Real>(x: &Array4<T>, dy: &Array4<T>, ties: Ties) -> Array4<T> {
    max_pool_backward(x, dy, &plane(x), false, ties)
}

/// The window that covers the plane of `x`.
fn plane<T>(x: &Array4<T>) -> Window {
    Window::new([x.shape[1], x.shape[2]])
}
