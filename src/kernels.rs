//! Every kernel by name, compiled here: once for each type and level, with this crate's optimization level, instead of
//! again in every crate that calls it.

use crate::activation::kernels as activation;
use crate::conv::kernels as conv;
use crate::pool::kernels as pool;
use crate::simd::{Dispatch, Level};

/// Declares the kernels, and instantiates each one for both types.
macro_rules! kernels {
    ($($(#[$attribute:meta])* $name:ident: $op:ty,)*) => {
        /// The kernels of an element type. Each runs at an available level.
        pub trait Kernels: Dispatch {
            $($(#[$attribute])* fn $name(level: Level, op: $op);)*
        }
        impl Kernels for f32 {
            $($(#[$attribute])* fn $name(level: Level, op: $op) { Self::at(level, op) })*
        }
        impl Kernels for f64 {
            $($(#[$attribute])* fn $name(level: Level, op: $op) { Self::at(level, op) })*
        }
    };
}

kernels! {
    activation_forward: activation::Forward<'_, '_, Self>,
    activation_backward: activation::Backward<'_, '_, Self>,
    prelu_backward_slope: activation::Slopes<'_, '_, Self>,
    conv_gemm_tile: conv::GemmTile<'_, '_, '_, Self>,
    conv_winograd: conv::WinogradTile<'_, '_, Self>,
    conv_transform_weights: conv::TransformWeights<'_, '_, Self>,
    conv_depthwise: conv::Depthwise<'_, '_, Self>,
    conv_weights_by_gemm: conv::WeightsByGemm<'_, '_, Self>,
    conv_weights_by_channel: conv::WeightsByChannel<'_, '_, Self>,
    conv_sum_pixels: conv::SumPixels<'_, '_, Self>,
    #[cfg(feature = "testing")]
    gemm: crate::gemm::Gemm<'_, '_, Self>,
    max_pool: pool::Forward<'_, '_, Self, pool::Max>,
    max_pool_with_indices: pool::WithIndices<'_, '_, Self>,
    max_pool_backward_all: pool::Backward<'_, '_, Self, pool::AllMaxima>,
    max_pool_backward_first: pool::Backward<'_, '_, Self, pool::FirstMaximum>,
    average_pool: pool::Forward<'_, '_, Self, pool::Mean>,
    average_pool_backward: pool::Backward<'_, '_, Self, pool::Shares>,
}
