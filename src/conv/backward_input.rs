//! The gradient of a convolution's input, dX: the adjoint, with the forward weights turned when they are packed.
//!
//! It is a gather, not a scatter: each element of dX is one sum over the taps that meet it, so tiles of dX are
//! independent, and nothing is added twice to the same place by different threads.

use super::operator::Operator;
use super::{Conv2d, Epilogue, Options, Plan, Weights};
use crate::element::Element;
use crate::error::Error;
use crate::run::{Run, Write};
use crate::tensor::{View, ViewMut};

/// The gradient of a convolution's input, with the weights packed.
///
/// ```
/// use gemmule::{Conv2d, Options, Run, Tensor, Weights, Write};
/// let conv = Conv2d::new(2, 3, [3, 3]).padding(1);
/// let w = vec![1.0f64; 3 * 3 * 2 * 3];
/// let packed = conv.prepare_backward_input(Weights::hwio(&w), &Options::new())?;
/// let dy = Tensor::filled([1, 5, 5, 3], 1.0)?;
/// let mut dx = Tensor::zeros([1, 5, 5, 2])?;
/// packed.backward(dy.view(), dx.view_mut(), Write::Replace, Run::new())?;
/// assert_eq!(dx.view().get([0, 2, 2, 0]), Some(&27.0));
/// assert_eq!(dx.view().get([0, 0, 0, 0]), Some(&12.0)); // in the corner, four windows
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Debug)]
pub struct PackedBackwardInput<T> {
    conv: Conv2d,
    operator: Operator<T>,
}

impl<T: Element> PackedBackwardInput<T> {
    pub(super) fn new(conv: Conv2d, weights: Weights<T>, options: &Options) -> Result<Self, Error> {
        let weights = weights.view(conv.weight_shape()?)?;
        Ok(PackedBackwardInput { conv, operator: Operator::prepare(conv.adjoint(), weights, None, options)? })
    }

    /// `dx = conv's adjoint (dy)`, of the input's shape; `dy` has the output's.
    ///
    /// # Errors
    /// [`Error::Shape`] where `dy`'s shape is not that of the output for an input of `dx`'s shape;
    /// [`Error::KernelTooLarge`], [`Error::Level`], [`Error::Workspace`], [`Error::OutOfMemory`], [`Error::Executor`].
    pub fn backward(&self, dy: View<T>, dx: ViewMut<T>, write: Write, run: Run<T>) -> Result<(), Error> {
        let (axes, expected) = self.conv.checked_axes(dx.shape())?;
        dy.check("dy", expected)?;
        self.operator.run(&axes, dy, dx, &Epilogue::new().write(write), run)
    }

    /// Takes new weights of the same shape without allocating.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn repack(&mut self, weights: Weights<T>) -> Result<(), Error> {
        let weights = weights.view(self.conv.weight_shape()?)?;
        self.operator.repack(weights, None)
    }

    /// How it runs, and why.
    pub fn plan(&self) -> &Plan {
        &self.operator.plan
    }
}
