//! Convolution and pooling kernels for the CPU, forward and backward, in `f32` and `f64`.
//!
//! A layer is *described* ([`Conv2d`], [`ConvTranspose2d`], [`MaxPool2d`], [`AvgPool2d`]: plain data), *prepared* once
//! where it has weights ([`Conv2d::prepare`] plans it, [`Plan`], and packs the weights), and *run* any number of times on
//! borrowed [`View`]s, with the caller's threads ([`Executor`]) and scratch memory ([`Workspace`]), both named by
//! [`Run`]. What is done to an output while it is hot is its [`Epilogue`]. [`once`] has one-call forms of all that.
//!
//! Shapes are `[n, h, w, c]` in every memory layout, weights `[kh, kw, i, o]`. A result's bits depend on the [`Level`], not
//! on threads, tiles, or the batch. Bad input is an [`Error`], never a panic, and leaves outputs as they were.
//!
//! Without the features `std`, `rayon` and `simd` this is the scalar fallback: `no_std`, no dependencies, no `unsafe`.
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
#[doc = include_str!("docs/numerics.md")]
#[doc = "\n"]
#[doc = include_str!("docs/errors.svg")]
pub mod numerics {}
pub mod once;
mod pad;
mod pages;
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
    pub use crate::conv::ErrorBound;
    pub use crate::gemm::MicroKernel;
    pub use crate::simd::dispatched;
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
