//! Transposed convolution: the adjoint of a convolution, with a bias and an epilogue.

use super::operator::Operator;
use super::problem::Problem;
use super::{Epilogue, Options, Plan, Weights};
use crate::element::Element;
use crate::error::Error;
use crate::run::Run;
use crate::simd::Machine;
use crate::tensor::{View, ViewMut, check_shape};
use crate::window::{Axis, Padding, Window};

/// A 2-D transposed convolution, described: plain data, checked when it is used.
///
/// Each input pixel adds its multiple of the kernel to the output:
///
/// ```text
/// y[n, iy * stride - pad_top + ky * dilation, ix * stride - pad_left + kx * dilation, co] += x[n, iy, ix, ci] * w[ky, kx, ci, co]
/// ```
///
/// and per axis `out = stride * (in - 1) + dilation * (kernel - 1) + 1 + output_padding - pad_before - pad_after`; with
/// `Same` padding `out = in * stride`. Weights have the shape `[kh, kw, in_channels, out_channels / groups]`; the order
/// of ONNX and PyTorch is [`Weights::iohw`].
///
/// ```
/// use gemmule::{ConvTranspose2d, Epilogue, Options, Run, Tensor, Weights};
/// let conv = ConvTranspose2d::new(8, 4, [2, 2]).stride([2, 2]);
/// let w = vec![0.5f32; 8 * 4 * 2 * 2];
/// let packed = conv.prepare(Weights::iohw(&w), None, &Options::new())?;
/// let x = Tensor::filled([1, 5, 5, 8], 1.0)?;
/// let mut y = Tensor::zeros(conv.output_shape(x.shape())?)?;
/// packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new())?;
/// assert_eq!(y.shape(), [1, 10, 10, 4]);
/// assert!(y.as_slice().iter().all(|&y| y == 4.0));
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvTranspose2d {
    problem: Problem,
    output_padding: [usize; 2],
}

impl ConvTranspose2d {
    /// A transposed convolution of stride 1, without padding, dilation or groups; `kernel` is `[height, width]`.
    pub fn new(in_channels: usize, out_channels: usize, kernel: [usize; 2]) -> Self {
        let window = Window::new(kernel);
        let problem = Problem { window, groups: 1, inputs: in_channels, outputs: out_channels, transposed: true };
        ConvTranspose2d { problem, output_padding: [0; 2] }
    }

    /// Output pixels from an input pixel to the next, `[height, width]`.
    pub fn stride(mut self, stride: [usize; 2]) -> Self {
        self.problem.window.stride = stride;
        self
    }

    /// Output pixels from a tap to the next, `[height, width]`.
    pub fn dilation(mut self, dilation: [usize; 2]) -> Self {
        self.problem.window.dilation = dilation;
        self
    }

    /// What is cut off the output: a number for all sides, `[height, width]`, `[[top, bottom], [left, right]]`, or
    /// `Same`. Negative numbers make it larger.
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.problem.window.padding = padding.into();
        self
    }

    /// Rows and columns more at the output's end, `[height, width]`.
    pub fn output_padding(mut self, output_padding: [usize; 2]) -> Self {
        self.output_padding = output_padding;
        self
    }

    /// Groups of channels that do not see each other; divides both channel counts.
    pub fn groups(mut self, groups: usize) -> Self {
        self.problem.groups = groups;
        self
    }

    /// The shape of the weights, `[kh, kw, in_channels, out_channels / groups]`.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Overflow`] where the description makes no sense.
    pub fn weight_shape(&self) -> Result<[usize; 4], Error> {
        self.problem.check()?;
        let [kh, kw] = self.problem.window.kernel;
        Ok([kh, kw, self.problem.inputs, self.problem.outputs_per_group()])
    }

    /// The output's shape for an input's, both `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the channels are not those of the description; [`Error::Parameter`] where the padding
    /// leaves nothing, or the input has no pixel; and as [`ConvTranspose2d::weight_shape`].
    pub fn output_shape(&self, x: [usize; 4]) -> Result<[usize; 4], Error> {
        self.axes(x).map(|(_, y)| y)
    }

    fn axes(&self, x: [usize; 4]) -> Result<([Axis; 2], [usize; 4]), Error> {
        self.problem.check()?;
        check_shape("x", [x[0], x[1], x[2], self.problem.inputs], x)?;
        let (axes, [h, w]) = self.problem.window.transposed([x[1], x[2]], self.output_padding)?;
        Ok((axes, [x[0], h, w, self.problem.outputs]))
    }

    /// The weights as those of the convolution that this is the adjoint of: `[kh, kw, out / groups, in]`.
    fn turn<'a, T>(&self, weights: Weights<'a, T>) -> Result<View<'a, T>, Error> {
        let w = weights.view(self.weight_shape()?)?;
        let ([kh, kw, i, o], [sh, sw, si, so]) = (w.shape(), w.strides());
        View::new(w.data(), [kh, kw, o, i], [sh, sw, so, si])
    }

    /// How this would be run on a machine: a pure function of its arguments.
    ///
    /// # Errors
    /// As [`ConvTranspose2d::weight_shape`], and [`Error::Algorithm`] where the algorithm that was asked for refuses.
    pub fn plan<T: Element>(&self, options: &Options, machine: &Machine) -> Result<Plan, Error> {
        Plan::new::<T>(self.problem, options, machine)
    }

    /// Packs the weights for this machine; they are not kept.
    ///
    /// # Errors
    /// As [`Conv2d::prepare`](crate::Conv2d::prepare).
    pub fn prepare<T: Element>(
        &self,
        weights: Weights<T>,
        bias: Option<&[T]>,
        options: &Options,
    ) -> Result<PackedConvTranspose2d<T>, Error> {
        let operator = Operator::prepare(self.problem, self.turn(weights)?, bias, options)?;
        Ok(PackedConvTranspose2d { conv: *self, operator })
    }
}

/// A transposed convolution with its weights packed.
#[derive(Debug)]
pub struct PackedConvTranspose2d<T> {
    conv: ConvTranspose2d,
    operator: Operator<T>,
}

impl<T: Element> PackedConvTranspose2d<T> {
    /// `y = epilogue(conv_transpose(x) + bias)`.
    ///
    /// # Errors
    /// As [`ConvTranspose2d::output_shape`] and [`PackedConv2d::forward`](crate::PackedConv2d::forward).
    pub fn forward(&self, x: View<T>, y: ViewMut<T>, epilogue: &Epilogue<T>, run: Run<T>) -> Result<(), Error> {
        let (axes, expected) = self.conv.axes(x.shape())?;
        check_shape("y", expected, y.shape())?;
        self.operator.run(&axes, x, y, epilogue, run)
    }

    /// Takes new weights of the same shape (and a new bias, where there was one) without allocating.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn repack(&mut self, weights: Weights<T>, bias: Option<&[T]>) -> Result<(), Error> {
        let weights = self.conv.turn(weights)?;
        self.operator.repack(weights, bias)
    }

    /// How it runs, and why.
    pub fn plan(&self) -> &Plan {
        &self.operator.plan
    }
}
