//! Every kernel by name, compiled here: once for each type and level, with this crate's optimization level, instead of
//! again in every crate that calls it.

use crate::activation::kernels::{Backward, Forward, Slopes};
use crate::conv::kernels::{Depthwise, GemmTile, SumPixels, WeightsByChannel, WeightsByGemm};
use crate::pool::kernels::{AllMaxima, Backward, FirstMaximum, Forward, Max, Mean, Shares, WithIndices};
use crate::simd::{Dispatch, Level};

/// Declares the kernels, and instantiates each one for both types.
macro_rules! kernels {
    ($($name:ident: $op:ty,)*) => {
        /// The kernels of an element type. Each runs at an available level.
        pub trait Kernels: Dispatch {
            $(fn $name(level: Level, op: $op);)*
        }
        impl Kernels for f32 {
            $(fn $name(level: Level, op: $op) { Self::at(level, op) })*
        }
        impl Kernels for f64 {
            $(fn $name(level: Level, op: $op) { Self::at(level, op) })*
        }
    };
}

kernels! {
    activation_forward: Forward<'_, '_, Self>,
    activation_backward: Backward<'_, '_, Self>,
    prelu_backward_slope: Slopes<'_, '_, Self>,
    conv_gemm_tile: GemmTile<'_, '_, Self>,
    conv_depthwise: Depthwise<'_, '_, Self>,
    conv_weights_by_gemm: WeightsByGemm<'_, '_, Self>,
    conv_weights_by_channel: WeightsByChannel<'_, '_, Self>,
    conv_sum_pixels: SumPixels<'_, '_, Self>,
    max_pool: Forward<'_, '_, Self, Max>,
    max_pool_with_indices: WithIndices<'_, '_, Self>,
    max_pool_backward_all: Backward<'_, '_, Self, AllMaxima>,
    max_pool_backward_first: Backward<'_, '_, Self, FirstMaximum>,
    average_pool: Forward<'_, '_, Self, Mean>,
    average_pool_backward: Backward<'_, '_, Self, Shares>,
}
