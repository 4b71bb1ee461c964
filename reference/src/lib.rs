//! The definition of right for `gemmule`: plain loops over indices, one function per kernel.
//!
//! Every equivalence test compares a kernel with the function of the same name here, so this crate is written to be
//! read beside the formula and not to be fast. All of it is generic over `f32` and `f64`; sums are taken in the element
//! type, so a test that wants a sharper yardstick converts its input with [`Array4::map`] and calls the `f64` instance.
//!
//! - Activations are NHWC: `[n, h, w, c]`, row-major.
//! - Weights are HWIO: `[kernel_h, kernel_w, c_in / groups, c_out]`, row-major.
//! - Padding is `[[top, bottom], [left, right]]`; a negative amount crops.
//!
//! Arguments that disagree (shapes, groups, channel counts) panic: this is an oracle, not a library.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod activation;
mod array;
mod batch_norm;
mod conv;
mod erf;
mod pad;
mod pool;
mod window;

pub use activation::{Activation, activate, activate_backward, prelu_slope_backward};
pub use array::{Array4, Real, indices};
pub use batch_norm::batch_norm;
pub use conv::{conv_backward, conv_forward, conv_single_step, conv_transpose};
pub use erf::{erf, erfc};
pub use pad::zero_pad;
pub use pool::{
    PoolMode, Ties, adaptive_average_pool, adaptive_average_pool_backward, average_pool, average_pool_backward,
    create_mask_from_window, distribute_value, global_average_pool, global_average_pool_backward, global_max_pool,
    global_max_pool_backward, max_pool, max_pool_backward, max_pool_backward_from_indices, max_pool_with_indices,
    pool_backward, pool_forward,
};
pub use window::Window;
