//! One-call forms: each kernel as a function that allocates its own output, for people who do not want to plan.
//!
//! They plan, pack and allocate at every call, and run on the default executor at the machine's best level. Whoever runs
//! a layer more than once is faster with [`Conv2d::prepare`] and its kind. Errors are those of the planned forms, and
//! [`Error::OutOfMemory`].
//!
//! ```
//! use gemmule::{Conv2d, MaxPool2d, Tensor, Weights, once};
//! let image = Tensor::<f32>::filled([1, 28, 28, 1], 0.5)?;
//! let w = vec![0.1; 8 * 3 * 3];
//! let features = once::conv2d(&Conv2d::new(1, 8, [3, 3]).padding(1), image.view(), Weights::oihw(&w), None)?;
//! let pooled = once::max_pool2d(&MaxPool2d::new([2, 2], [2, 2]), features.view())?;
//! assert_eq!(pooled.shape(), [1, 14, 14, 8]);
//! # Ok::<(), gemmule::Error>(())
//! ```

use crate::activation::Activation;
use crate::conv::{Conv2d, ConvTranspose2d, Epilogue, Options, Weights, WeightsMut, conv_backward_bias};
use crate::element::Element;
use crate::error::Error;
use crate::pad::padded_shape;
use crate::pool::{AvgPool2d, MaxPool2d, Ties};
use crate::run::{Run, Write};
use crate::tensor::{Tensor, View};

/// [`Conv2d`]: the output, `[n, out_h, out_w, out_channels]`.
///
/// # Errors
/// As [`Conv2d::prepare`] and [`PackedConv2d::forward`](crate::PackedConv2d::forward).
pub fn conv2d<T: Element>(
    conv: &Conv2d,
    x: View<T>,
    weights: Weights<T>,
    bias: Option<&[T]>,
) -> Result<Tensor<T>, Error> {
    let mut y = Tensor::zeros(conv.output_shape(x.shape())?)?;
    let packed = conv.prepare(weights, bias, &Options::new())?;
    packed.forward(x, y.view_mut(), &Epilogue::new(), Run::new())?;
    Ok(y)
}

/// The gradients of a convolution.
#[derive(Debug)]
pub struct Gradients<T> {
    /// Of the input, in its shape.
    pub dx: Tensor<T>,
    /// Of the weights: `[kh, kw, in_channels / groups, out_channels]`.
    pub dw: Tensor<T>,
    /// Of the bias: `[1, 1, 1, out_channels]`.
    pub db: Tensor<T>,
}

/// All gradients of [`conv2d`], from that of its output.
///
/// # Errors
/// As [`Conv2d::prepare_backward_input`], [`Conv2d::prepare_backward_weights`], and the operators that they return.
///
/// ```
/// use gemmule::{Conv2d, Tensor, Weights, once};
/// let (conv, w) = (Conv2d::new(2, 3, [1, 1]), [1.0f64; 6]);
/// let x = Tensor::filled([1, 4, 4, 2], 2.0)?;
/// let dy = Tensor::filled([1, 4, 4, 3], 1.0)?;
/// let gradients = once::conv2d_backward(&conv, x.view(), Weights::hwio(&w), dy.view())?;
/// assert!(gradients.dx.as_slice().iter().all(|&dx| dx == 3.0));
/// assert!(gradients.dw.as_slice().iter().all(|&dw| dw == 32.0));
/// assert!(gradients.db.as_slice().iter().all(|&db| db == 16.0));
/// # Ok::<(), gemmule::Error>(())
/// ```
pub fn conv2d_backward<T: Element>(
    conv: &Conv2d,
    x: View<T>,
    weights: Weights<T>,
    dy: View<T>,
) -> Result<Gradients<T>, Error> {
    let mut dx = Tensor::zeros(x.shape())?;
    let mut dw = Tensor::zeros(conv.weight_shape()?)?;
    let mut db = Tensor::zeros([1, 1, 1, conv.out_channels()])?;
    let input = conv.prepare_backward_input(weights, &Options::new())?;
    input.backward(dy, dx.view_mut(), Write::Replace, Run::new())?;
    let prepared = conv.prepare_backward_weights(&Options::new())?;
    prepared.backward(x, dy, WeightsMut::hwio(dw.as_mut_slice()), Write::Replace, Run::new())?;
    conv_backward_bias(dy, db.as_mut_slice(), Write::Replace, Run::new())?;
    Ok(Gradients { dx, dw, db })
}

/// [`ConvTranspose2d`]: the output, `[n, out_h, out_w, out_channels]`.
///
/// # Errors
/// As [`ConvTranspose2d::prepare`] and [`PackedConvTranspose2d::forward`](crate::PackedConvTranspose2d::forward).
pub fn conv_transpose2d<T: Element>(
    conv: &ConvTranspose2d,
    x: View<T>,
    weights: Weights<T>,
    bias: Option<&[T]>,
) -> Result<Tensor<T>, Error> {
    let mut y = Tensor::zeros(conv.output_shape(x.shape())?)?;
    let packed = conv.prepare(weights, bias, &Options::new())?;
    packed.forward(x, y.view_mut(), &Epilogue::new(), Run::new())?;
    Ok(y)
}

/// [`MaxPool2d`]: the maxima, `[n, out_h, out_w, c]`.
///
/// # Errors
/// As [`MaxPool2d::forward`].
pub fn max_pool2d<T: Element>(pool: &MaxPool2d, x: View<T>) -> Result<Tensor<T>, Error> {
    let mut y = Tensor::zeros(pool.output_shape(x.shape())?)?;
    pool.forward(x, y.view_mut(), Run::new())?;
    Ok(y)
}

/// [`MaxPool2d`]: the maxima and where they are, each `[n, out_h, out_w, c]`.
///
/// # Errors
/// As [`MaxPool2d::forward_with_indices`].
pub fn max_pool2d_with_indices<T: Element>(pool: &MaxPool2d, x: View<T>) -> Result<(Tensor<T>, Tensor<i64>), Error> {
    let shape = pool.output_shape(x.shape())?;
    let (mut y, mut indices) = (Tensor::zeros(shape)?, Tensor::zeros(shape)?);
    pool.forward_with_indices(x, y.view_mut(), indices.view_mut(), Run::new())?;
    Ok((y, indices))
}

/// The gradient of [`max_pool2d`]'s input, in its shape.
///
/// # Errors
/// As [`MaxPool2d::backward`].
pub fn max_pool2d_backward<T: Element>(
    pool: &MaxPool2d,
    x: View<T>,
    dy: View<T>,
    ties: Ties,
) -> Result<Tensor<T>, Error> {
    let mut dx = Tensor::zeros(x.shape())?;
    pool.backward(x, dy, dx.view_mut(), ties, Write::Replace, Run::new())?;
    Ok(dx)
}

/// [`AvgPool2d`]: the means, `[n, out_h, out_w, c]`.
///
/// # Errors
/// As [`AvgPool2d::forward`].
pub fn avg_pool2d<T: Element>(pool: &AvgPool2d, x: View<T>) -> Result<Tensor<T>, Error> {
    let mut y = Tensor::zeros(pool.output_shape(x.shape())?)?;
    pool.forward(x, y.view_mut(), Run::new())?;
    Ok(y)
}

/// The gradient of [`avg_pool2d`]'s input, whose shape is `x`.
///
/// # Errors
/// As [`AvgPool2d::backward`].
pub fn avg_pool2d_backward<T: Element>(pool: &AvgPool2d, dy: View<T>, x: [usize; 4]) -> Result<Tensor<T>, Error> {
    let mut dx = Tensor::zeros(x)?;
    pool.backward(dy, dx.view_mut(), Write::Replace, Run::new())?;
    Ok(dx)
}

/// [`Activation`] of each element, in `x`'s shape.
///
/// # Errors
/// As [`Activation::forward`].
pub fn activation<T: Element>(activation: &Activation<T>, x: View<T>) -> Result<Tensor<T>, Error> {
    let mut y = Tensor::zeros(x.shape())?;
    activation.forward(x, y.view_mut(), Run::new())?;
    Ok(y)
}

/// The gradient of [`activation`]'s input, in its shape.
///
/// # Errors
/// As [`Activation::backward`].
pub fn activation_backward<T: Element>(
    activation: &Activation<T>,
    x: View<T>,
    dy: View<T>,
) -> Result<Tensor<T>, Error> {
    let mut dx = Tensor::zeros(x.shape())?;
    activation.backward(x, dy, dx.view_mut(), Write::Replace, Run::new())?;
    Ok(dx)
}

/// [`zero_pad`](crate::zero_pad()): `[n, top + h + bottom, left + w + right, c]`.
///
/// # Errors
/// As [`zero_pad`](crate::zero_pad()), and [`Error::Overflow`].
///
/// ```
/// use gemmule::{Tensor, once};
/// let x = Tensor::<f32>::filled([1, 2, 2, 1], 1.0)?;
/// let y = once::zero_pad(x.view(), [[1, 0], [0, 0]])?;
/// assert_eq!(y.as_slice(), [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
/// # Ok::<(), gemmule::Error>(())
/// ```
pub fn zero_pad<T: Element>(x: View<T>, pad: [[usize; 2]; 2]) -> Result<Tensor<T>, Error> {
    let mut y = Tensor::zeros(padded_shape(x.shape(), pad)?)?;
    crate::zero_pad(x, pad, y.view_mut(), Run::new())?;
    Ok(y)
}
