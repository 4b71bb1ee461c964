//! Borrowed weights, in the layouts that frameworks use.

use crate::error::Error;
use crate::tensor::{View, ViewMut};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Hwio,
    Oihw,
    Iohw,
    Strided([usize; 4]),
}

impl Layout {
    /// The strides of `[kh, kw, i, o]`, and for the dense layouts how many elements there have to be.
    fn strides(self, shape: [usize; 4]) -> Result<([usize; 4], Option<usize>), Error> {
        let overflow = Error::Overflow { argument: "weights" };
        let len = shape.iter().try_fold(1usize, |len, &d| len.checked_mul(d)).ok_or(overflow)?;
        let [kh, kw, i, o] = shape;
        Ok(match self {
            Layout::Hwio => ([kw * i * o, i * o, o, 1], Some(len)),
            Layout::Oihw => ([kw, 1, kh * kw, kh * kw * i], Some(len)),
            Layout::Iohw => ([kw, 1, kh * kw * o, kh * kw], Some(len)),
            Layout::Strided(strides) => (strides, None),
        })
    }
}

fn exactly(given: usize, expected: Option<usize>) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != given => Err(Error::Length { argument: "weights", expected, given }),
        _ => Ok(()),
    }
}

/// The argument of a view's error is "data"; here it is known better.
fn named(error: Error) -> Error {
    match error {
        Error::Length { expected, given, .. } => Error::Length { argument: "weights", expected, given },
        Error::Overlap { shape, strides, .. } => Error::Overlap { argument: "weights", shape, strides },
        Error::Overflow { .. } => Error::Overflow { argument: "weights" },
        other => other,
    }
}

/// Weights of a convolution, to be read. Their sizes are those of the convolution: kernel height, kernel width, input
/// channels *i* and output channels *o*, one of which is per group ([`Conv2d`](crate::Conv2d): *i*,
/// [`ConvTranspose2d`](crate::ConvTranspose2d): *o*).
///
/// ```
/// use gemmule::{Conv2d, Options, Weights};
/// let conv = Conv2d::new(2, 4, [3, 3]);
/// let oihw = vec![0.5f32; 4 * 2 * 3 * 3];
/// let packed = conv.prepare(Weights::oihw(&oihw), None, &Options::new())?;
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights<'a, T> {
    data: &'a [T],
    layout: Layout,
}

impl<'a, T> Weights<'a, T> {
    /// `[kh, kw, i, o]`, dense: TensorFlow's order, and the fastest to pack.
    pub fn hwio(data: &'a [T]) -> Self {
        Weights { data, layout: Layout::Hwio }
    }

    /// `[o, i, kh, kw]`, dense: the order of ONNX and PyTorch.
    pub fn oihw(data: &'a [T]) -> Self {
        Weights { data, layout: Layout::Oihw }
    }

    /// `[i, o, kh, kw]`, dense: the order of ONNX and PyTorch for transposed convolutions.
    pub fn iohw(data: &'a [T]) -> Self {
        Weights { data, layout: Layout::Iohw }
    }

    /// Any strides, in the order kernel height, kernel width, *i*, *o*.
    pub fn strided(data: &'a [T], strides: [usize; 4]) -> Self {
        Weights { data, layout: Layout::Strided(strides) }
    }

    /// A view of the shape `[kh, kw, i, o]`.
    pub(crate) fn view(self, shape: [usize; 4]) -> Result<View<'a, T>, Error> {
        let (strides, len) = self.layout.strides(shape)?;
        exactly(self.data.len(), len)?;
        View::new(self.data, shape, strides).map_err(named)
    }
}

/// Weights of a convolution, to be written: a gradient. As [`Weights`].
#[derive(Debug, PartialEq)]
pub struct WeightsMut<'a, T> {
    data: &'a mut [T],
    layout: Layout,
}

impl<'a, T> WeightsMut<'a, T> {
    /// `[kh, kw, i, o]`, dense.
    pub fn hwio(data: &'a mut [T]) -> Self {
        WeightsMut { data, layout: Layout::Hwio }
    }

    /// `[o, i, kh, kw]`, dense.
    pub fn oihw(data: &'a mut [T]) -> Self {
        WeightsMut { data, layout: Layout::Oihw }
    }

    /// `[i, o, kh, kw]`, dense.
    pub fn iohw(data: &'a mut [T]) -> Self {
        WeightsMut { data, layout: Layout::Iohw }
    }

    /// Any strides that give each element one index, in the order kernel height, kernel width, *i*, *o*.
    pub fn strided(data: &'a mut [T], strides: [usize; 4]) -> Self {
        WeightsMut { data, layout: Layout::Strided(strides) }
    }

    /// A view of the shape `[kh, kw, i, o]`.
    pub(crate) fn view(self, shape: [usize; 4]) -> Result<ViewMut<'a, T>, Error> {
        let (strides, len) = self.layout.strides(shape)?;
        exactly(self.data.len(), len)?;
        ViewMut::new(self.data, shape, strides).map_err(named)
    }
}
