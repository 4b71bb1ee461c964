//! Convolution and pooling kernels for the CPU, forward and backward, in `f32` and `f64`.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(not(any(feature = "std", feature = "simd")), forbid(unsafe_code))]
#![deny(missing_docs)]

extern crate alloc;

mod activation;
mod batch_norm;
mod conv;
mod element;
mod error;
mod executor;
mod gemm;
mod kernels;
pub mod once;
mod pad;
mod pool;
mod run;
mod simd;
mod tensor;
mod tiles;
mod window;

pub use activation::{Activation, prelu_backward_slope};
pub use batch_norm::BatchNorm;
pub use conv::{
    Accuracy, Algorithm, Candidate, Conv2d, ConvTranspose2d, Epilogue, Options, PackedBackwardInput, PackedConv2d,
    PackedConvTranspose2d, ParseAlgorithmError, Plan, PreparedBackwardWeights, Refusal, Weights, WeightsMut,
    conv_backward_bias,
};
pub use element::Element;
pub use error::Error;
#[cfg(feature = "rayon")]
pub use executor::Rayon;
pub use executor::{Executor, Serial};
pub use pad::zero_pad;
pub use pool::{AvgPool2d, MaxPool2d, Ties};
pub use run::{Run, Workspace, Write};
pub use simd::{Level, Machine, ParseLevelError};
pub use tensor::{Tensor, View, ViewMut};
pub use window::Padding;

/// What this crate's own tests look at. Nothing in it is stable.
#[cfg(feature = "testing")]
pub mod testing {
    pub use crate::simd::dispatched;
}
