//! Convolution: what is asked ([`Conv2d`], [`ConvTranspose2d`]), the [`Plan`], and the operators that run it.
//!
//! A new lowering is one file here and one line in `Plan`'s list of candidates and in `Operator::run`.

mod algorithm;
mod backward_bias;
mod backward_input;
mod backward_weights;
mod band;
mod depthwise;
mod epilogue;
mod forward;
mod gemm_tile;
mod im2col;
mod operator;
mod patches;
mod plan;
mod problem;
mod transpose;
mod weights;
mod winograd;

use crate::gemm::Blocking;

/// What runs at a level.
pub(crate) mod kernels {
    pub use super::backward_bias::SumPixels;
    pub use super::backward_weights::{WeightsByChannel, WeightsByGemm};
    pub use super::depthwise::Depthwise;
    pub use super::gemm_tile::GemmTile;
    pub use super::winograd::{TransformWeights, WinogradTile};
}

pub use algorithm::{Accuracy, Algorithm, ParseAlgorithmError, Refusal};
pub use backward_bias::conv_backward_bias;
pub use backward_input::PackedBackwardInput;
pub use backward_weights::PreparedBackwardWeights;
pub use epilogue::Epilogue;
pub use forward::{Conv2d, PackedConv2d};
pub use plan::{Candidate, Options, Plan};
pub use transpose::{ConvTranspose2d, PackedConvTranspose2d};
pub use weights::{Weights, WeightsMut};
#[cfg(feature = "testing")]
pub use winograd::ErrorBound;
