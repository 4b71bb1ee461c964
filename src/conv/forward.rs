//! [`Conv2d`], the description, and [`PackedConv2d`], the operator.

use super::operator::Operator;
use super::problem::Problem;
use super::{Epilogue, Options, PackedBackwardInput, Plan, PreparedBackwardWeights, Weights};
use crate::element::Element;
use crate::error::Error;
use crate::run::Run;
use crate::simd::Machine;
use crate::tensor::{View, ViewMut, check_shape};
use crate::window::{Axis, Padding, Window};

/// A 2-D convolution (cross-correlation, as in all frameworks), described: plain data, checked when it is used.
///
/// ```text
/// y[n, oy, ox, co] = bias[co] + sum over ky, kx, ci of
///     x[n, oy * stride - pad_top + ky * dilation, ox * stride - pad_left + kx * dilation, ci] * w[ky, kx, ci, co]
/// ```
///
/// where `x` is zero outside, `ci` runs over the channels of `co`'s group, and per axis
/// `out = floor((in + pad_before + pad_after - dilation * (kernel - 1) - 1) / stride) + 1`.
///
/// ```
/// use gemmule::{Activation, Conv2d, Epilogue, Options, Run, Tensor, Weights, Workspace};
///
/// // Once per layer:
/// let conv = Conv2d::new(3, 16, [3, 3]).stride([2, 2]).padding(1);
/// let (w, bias) = (vec![0.1f32; 3 * 3 * 3 * 16], vec![0.0; 16]);
/// let packed = conv.prepare(Weights::hwio(&w), Some(&bias), &Options::new())?;
/// let mut workspace = Workspace::new();
///
/// // Every call:
/// let x = Tensor::filled([1, 32, 32, 3], 1.0)?;
/// let mut y = Tensor::zeros(conv.output_shape(x.shape())?)?;
/// let epilogue = Epilogue::new().activation(Activation::Relu);
/// packed.forward(x.view(), y.view_mut(), &epilogue, Run::new().workspace(&mut workspace))?;
/// assert_eq!(y.shape(), [1, 16, 16, 16]);
/// assert!((y.as_slice()[16 * 17] - 2.7).abs() < 1e-6); // away from the border: 27 terms
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    pub(super) problem: Problem,
}

impl Conv2d {
    /// A convolution of stride 1, without padding, dilation or groups; `kernel` is `[height, width]`.
    pub fn new(in_channels: usize, out_channels: usize, kernel: [usize; 2]) -> Self {
        let window = Window::new(kernel);
        Conv2d { problem: Problem { window, groups: 1, inputs: in_channels, outputs: out_channels, transposed: false } }
    }

    /// Pixels from a window to the next, `[height, width]`.
    pub fn stride(mut self, stride: [usize; 2]) -> Self {
        self.problem.window.stride = stride;
        self
    }

    /// Pixels from a tap to the next, `[height, width]`.
    pub fn dilation(mut self, dilation: [usize; 2]) -> Self {
        self.problem.window.dilation = dilation;
        self
    }

    /// Zeros around the input: a number for all sides, `[height, width]`, `[[top, bottom], [left, right]]`, or `Same`.
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.problem.window.padding = padding.into();
        self
    }

    /// Groups of channels that do not see each other; divides both channel counts.
    pub fn groups(mut self, groups: usize) -> Self {
        self.problem.groups = groups;
        self
    }

    /// Channels of the input.
    pub fn in_channels(&self) -> usize {
        self.problem.inputs
    }

    /// Channels of the output.
    pub fn out_channels(&self) -> usize {
        self.problem.outputs
    }

    /// The shape of the weights, `[kh, kw, in_channels / groups, out_channels]`.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Overflow`] where the description makes no sense.
    pub fn weight_shape(&self) -> Result<[usize; 4], Error> {
        self.problem.check()?;
        let [kh, kw] = self.problem.window.kernel;
        Ok([kh, kw, self.problem.inputs_per_group(), self.problem.outputs])
    }

    /// The output's shape for an input's, both `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::KernelTooLarge`]; [`Error::Shape`] where the channels are not those of the description; and as
    /// [`Conv2d::weight_shape`].
    pub fn output_shape(&self, x: [usize; 4]) -> Result<[usize; 4], Error> {
        self.axes(x).map(|(_, y)| y)
    }

    /// The axes for an input, and the output's shape.
    pub(super) fn axes(&self, x: [usize; 4]) -> Result<([Axis; 2], [usize; 4]), Error> {
        self.problem.check()?;
        self.checked_axes(x)
    }

    /// As [`Conv2d::axes`], of a description that was checked when it was prepared.
    pub(super) fn checked_axes(&self, x: [usize; 4]) -> Result<([Axis; 2], [usize; 4]), Error> {
        check_shape("x", [x[0], x[1], x[2], self.problem.inputs], x)?;
        let axes = self.problem.window.checked_axes([x[1], x[2]])?;
        Ok((axes, [x[0], axes[0].output(x[1])?, axes[1].output(x[2])?, self.problem.outputs]))
    }

    /// The problem whose `x` is this one's output, and whose `y` is its input.
    pub(super) fn adjoint(&self) -> Problem {
        Problem { inputs: self.problem.outputs, outputs: self.problem.inputs, transposed: true, ..self.problem }
    }

    /// How this would be run on a machine: a pure function of its arguments.
    ///
    /// # Errors
    /// As [`Conv2d::weight_shape`], and [`Error::Algorithm`] where the algorithm that was asked for refuses.
    pub fn plan<T: Element>(&self, options: &Options, machine: &Machine) -> Result<Plan, Error> {
        Plan::new::<T>(self.problem, options, machine)
    }

    /// As [`Conv2d::plan`], for the gradient of the input.
    ///
    /// # Errors
    /// As [`Conv2d::plan`].
    pub fn plan_backward_input<T: Element>(&self, options: &Options, machine: &Machine) -> Result<Plan, Error> {
        Plan::new::<T>(self.adjoint(), options, machine)
    }

    /// Packs the weights (`[kh, kw, in_channels / groups, out_channels]`) for this machine; they are not kept.
    ///
    /// # Errors
    /// As [`Conv2d::plan`]; [`Error::Length`] for weights or a bias of another length, [`Error::Level`] where a level is
    /// forced that is not available, [`Error::OutOfMemory`].
    pub fn prepare<T: Element>(
        &self,
        weights: Weights<T>,
        bias: Option<&[T]>,
        options: &Options,
    ) -> Result<PackedConv2d<T>, Error> {
        let weights = weights.view(self.weight_shape()?)?;
        Ok(PackedConv2d { conv: *self, operator: Operator::prepare(self.problem, weights, bias, options)? })
    }

    /// Packs the same weights for the gradient of the input.
    ///
    /// # Errors
    /// As [`Conv2d::prepare`].
    pub fn prepare_backward_input<T: Element>(
        &self,
        weights: Weights<T>,
        options: &Options,
    ) -> Result<PackedBackwardInput<T>, Error> {
        PackedBackwardInput::new(*self, weights, options)
    }

    /// Plans the gradient of the weights, which needs no weights.
    ///
    /// # Errors
    /// As [`Conv2d::prepare`].
    pub fn prepare_backward_weights<T: Element>(&self, options: &Options) -> Result<PreparedBackwardWeights<T>, Error> {
        PreparedBackwardWeights::new(*self, options)
    }
}

/// A convolution with its weights packed: prepared once, run any number of times, from any thread.
#[derive(Debug)]
pub struct PackedConv2d<T> {
    conv: Conv2d,
    operator: Operator<T>,
}

impl<T: Element> PackedConv2d<T> {
    /// `y = epilogue(conv(x) + bias)`.
    ///
    /// # Errors
    /// As [`Conv2d::output_shape`]; [`Error::Shape`] for an output or a residual of another shape, [`Error::Length`] for
    /// an activation's parameters; [`Error::Level`], [`Error::Workspace`], [`Error::OutOfMemory`], [`Error::Executor`].
    pub fn forward(&self, x: View<T>, y: ViewMut<T>, epilogue: &Epilogue<T>, run: Run<T>) -> Result<(), Error> {
        let (axes, expected) = self.conv.checked_axes(x.shape())?;
        check_shape("y", expected, y.shape())?;
        self.operator.run(&axes, x, y, epilogue, run)
    }

    /// Takes new weights of the same shape (and a new bias, where there was one) without allocating.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn repack(&mut self, weights: Weights<T>, bias: Option<&[T]>) -> Result<(), Error> {
        let weights = weights.view(self.conv.weight_shape()?)?;
        self.operator.repack(weights, bias)
    }

    /// How it runs, and why.
    pub fn plan(&self) -> &Plan {
        &self.operator.plan
    }
}
