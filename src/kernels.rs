//! Every kernel by name, compiled here: once for each type and level, with this crate's optimization level, instead of
//! again in every crate that calls it.

use crate::activation::kernels::{Backward, Forward, Slopes};
use crate::conv::kernels::{Depthwise, GemmTile, SumPixels, WeightsByChannel, WeightsByGemm};
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
}
