//! Four-dimensional row-major arrays and the two element types.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Index, IndexMut, Mul, Neg, Sub};

/// An element type: `f32` or `f64`.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The identity of the maximum.
    const NEG_INFINITY: Self;

    /// The nearest value of this type.
    fn from_f64(v: f64) -> Self;
    /// The same value in `f64`, exact.
    fn to_f64(self) -> f64;
    /// Whether this is not a number.
    fn is_nan(self) -> bool;

    /// `e^x`, computed in `f64` and rounded.
    fn exp(self) -> Self {
        Self::from_f64(self.to_f64().exp())
    }
    /// Hyperbolic tangent, computed in `f64` and rounded.
    fn tanh(self) -> Self {
        Self::from_f64(self.to_f64().tanh())
    }
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self {
        Self::from_f64(self.to_f64().sqrt())
    }
    /// Error function [`erf`](crate::erf()), computed in `f64` and rounded.
    fn erf(self) -> Self {
        Self::from_f64(crate::erf(self.to_f64()))
    }
    /// Complementary error function [`erfc`](crate::erfc), computed in `f64` and rounded.
    fn erfc(self) -> Self {
        Self::from_f64(crate::erfc(self.to_f64()))
    }
}

macro_rules! impl_real {
    ($($t:ident)*) => {$(
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;

            fn from_f64(v: f64) -> Self {
                v as $t
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
        }
    )*};
}
impl_real!(f32 f64);

/// A dense row-major array of four dimensions: `[n, h, w, c]` for activations, `[kernel_h, kernel_w, c_in / groups,
/// c_out]` for weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Array4<T> {
    /// The length of each dimension, outermost first.
    pub shape: [usize; 4],
    /// The elements; the last index varies fastest.
    pub data: Vec<T>,
}

impl<T> Array4<T> {
    /// An array over `data`, whose length must be the product of `shape`.
    pub fn new(shape: [usize; 4], data: Vec<T>) -> Self {
        assert_eq!(data.len(), shape.iter().product::<usize>(), "data length against shape {shape:?}");
        Self { shape, data }
    }

    /// `a[i] = f(i)` for every index, in row-major order.
    pub fn from_fn(shape: [usize; 4], f: impl FnMut([usize; 4]) -> T) -> Self {
        Self::new(shape, indices(shape).map(f).collect())
    }

    /// `b[i] = f(a[i])`.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Array4<U> {
        Array4::new(self.shape, self.data.iter().map(f).collect())
    }

    fn offset(&self, [i, j, k, l]: [usize; 4]) -> usize {
        let [ni, nj, nk, nl] = self.shape;
        assert!(i < ni && j < nj && k < nk && l < nl, "index {:?} in shape {:?}", [i, j, k, l], self.shape);
        ((i * nj + j) * nk + k) * nl + l
    }
}

impl<T: Clone> Array4<T> {
    /// `a[i] = v` for every index.
    pub fn filled(shape: [usize; 4], v: T) -> Self {
        Self::new(shape, vec![v; shape.iter().product()])
    }
}

impl<T: Real> Array4<T> {
    /// `a[i] = 0` for every index.
    pub fn zeros(shape: [usize; 4]) -> Self {
        Self::filled(shape, T::ZERO)
    }
}

impl<T> Index<[usize; 4]> for Array4<T> {
    type Output = T;

    fn index(&self, index: [usize; 4]) -> &T {
        &self.data[self.offset(index)]
    }
}

impl<T> IndexMut<[usize; 4]> for Array4<T> {
    fn index_mut(&mut self, index: [usize; 4]) -> &mut T {
        let offset = self.offset(index);
        &mut self.data[offset]
    }
}

/// Every index of `shape` in row-major order: four nested loops in one.
pub fn indices([ni, nj, nk, nl]: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    (0..ni).flat_map(move |i| (0..nj).flat_map(move |j| (0..nk).flat_map(move |k| (0..nl).map(move |l| [i, j, k, l]))))
}
