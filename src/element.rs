//! The element types: `f32` and `f64`, sealed.

use core::fmt::{Debug, Display};
use core::ops::{Add, AddAssign, Div, Mul, Neg, Sub};
#[cfg(feature = "simd")]
use wide::bytemuck::Pod as Plain;

/// An element type: `f32` or `f64`.
///
/// Sums are accumulated in the element type. The trait is sealed; kernels for other types will come as its
/// implementations.
pub trait Element:
    Copy
    + PartialOrd
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Debug
    + Display
    + Send
    + Sync
    + 'static
    + Plain
    + crate::kernels::Kernels
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Minus infinity: the maximum of nothing.
    const NEG_INFINITY: Self;
    /// The distance from 1 to the next larger number.
    const EPSILON: Self;
    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// The same number, exactly.
    fn to_f64(self) -> f64;
}

macro_rules! element {
    ($t:ty) => {
        impl Element for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = <$t>::NEG_INFINITY;
            const EPSILON: Self = <$t>::EPSILON;
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
        }
    };
}

element!(f32);
element!(f64);

/// Without `simd`, nothing needs to know that elements are plain bits.
#[cfg(not(feature = "simd"))]
pub trait Plain {}
#[cfg(not(feature = "simd"))]
impl<T> Plain for T {}
