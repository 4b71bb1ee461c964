//! Average pooling.

use super::backward::{Shares, backward};
use super::chunk::{Sum, Window};
use super::forward::{Finish, Forward, forward};
use super::{Regions, pooled_shape, workspace_len};
use crate::element::Element;
use crate::error::Error;
use crate::run::{Run, Write};
use crate::simd::Level;
use crate::tensor::{View, ViewMut};
use crate::window::Padding;

/// An average pool: `y[n, oy, ox, c] = sum x[n, iy, ix, c] / count` over the window of `(oy, ox)`.
///
/// The windows are those of [`MaxPool2d`](crate::MaxPool2d). Padding adds nothing to the sum. `count` is the number of
/// taps in the input, or, with [`AvgPool2d::count_include_pad`], in the input and its padding; never of those beyond
/// (which `ceil_mode` can give). A window without taps gives 0. The sum is taken in the element type, each row of the
/// window from left to right and then the sums of the rows from top to bottom, and divided once; so neither threads nor
/// layouts change the bits.
///
/// It is plain data. Shapes are `[n, h, w, c]`, whatever the layout of the views.
///
/// ```
/// use gemmule::{AvgPool2d, Run, Tensor};
/// let pool = AvgPool2d::global();
/// let x = Tensor::filled([2, 7, 7, 2048], 3.0f32)?;
/// let mut y = Tensor::zeros(pool.output_shape(x.shape())?)?;
/// pool.forward(x.view(), y.view_mut(), Run::new())?;
/// assert_eq!(y.shape(), [2, 1, 1, 2048]);
/// assert!(y.as_slice().iter().all(|&y| y == 3.0));
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AvgPool2d {
    regions: Regions,
    count_include_pad: bool,
}

/// The mean of the taps that count.
#[derive(Clone, Copy)]
pub struct Mean {
    count_include_pad: bool,
}

impl<T: Element> Finish<T> for Mean {
    type Reduce = Sum;

    const DIVIDES: bool = true;

    #[inline(always)]
    fn count(self, window: &Window) -> usize {
        let count = if self.count_include_pad { window.padded() } else { window.valid() };
        // Without taps that count the sum is 0, and stays so.
        count.max(1)
    }

    fn launch(level: Level, op: Forward<'_, '_, T, Self>) {
        T::average_pool(level, op);
    }
}

impl AvgPool2d {
    /// A window of `[height, width]` taps and its steps, without padding.
    pub fn new(kernel: [usize; 2], stride: [usize; 2]) -> Self {
        AvgPool2d { regions: Regions::sliding(kernel, stride), count_include_pad: false }
    }

    /// One window over the whole plane: `[n, h, w, c]` to `[n, 1, 1, c]`. The same as `adaptive([1, 1])`.
    pub fn global() -> Self {
        Self::adaptive([1, 1])
    }

    /// `[out_h, out_w]` windows that cover the input, `floor(o * in / out) .. ceil((o + 1) * in / out)` along each axis
    /// (PyTorch's `adaptive_avg_pool2d`). Dilation, padding and `ceil_mode` are refused.
    pub fn adaptive(output: [usize; 2]) -> Self {
        AvgPool2d { regions: Regions::adaptive(output), count_include_pad: false }
    }

    /// Steps from one tap to the next.
    pub fn dilation(mut self, dilation: [usize; 2]) -> Self {
        self.regions.window.dilation = dilation;
        self
    }

    /// Padding with zeros. It may be larger than the kernel, but not negative.
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.regions.window.padding = padding.into();
        self
    }

    /// Rounds the size of the output up, less one where the last window would start behind the input and the padding
    /// before it (PyTorch; ONNX from opset 19 on).
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.regions.ceil_mode = ceil_mode;
        self
    }

    /// Whether taps in the padding count in the divisor. The default is false, as in ONNX; PyTorch's is true.
    pub fn count_include_pad(self, count_include_pad: bool) -> Self {
        AvgPool2d { count_include_pad, ..self }
    }

    /// Elements of scratch memory that any run, forward or backward, of tensors with so many channels on so many workers needs
    /// at most. It depends on neither the image nor the batch; a run with enough of it allocates nothing.
    pub fn workspace_len(&self, channels: usize, workers: usize) -> usize {
        workspace_len(channels, workers)
    }

    /// The shape of the output, `[n, out_h, out_w, c]`, for an input `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::KernelTooLarge`], [`Error::Overflow`].
    pub fn output_shape(&self, x: [usize; 4]) -> Result<[usize; 4], Error> {
        Ok(pooled_shape(x, &self.regions.axes(x)?))
    }

    fn mean(&self) -> Mean {
        Mean { count_include_pad: self.count_include_pad }
    }

    /// From `x` `[n, h, w, c]` to `y` `[n, out_h, out_w, c]`.
    ///
    /// # Errors
    /// As [`AvgPool2d::output_shape`]; [`Error::Shape`]; and as [`Run`] says.
    pub fn forward<T: Element>(&self, x: View<'_, T>, y: ViewMut<'_, T>, run: Run<'_, T>) -> Result<(), Error> {
        forward(self.regions.axes(x.shape())?, x, y, self.mean(), run)
    }

    /// From `dy` `[n, out_h, out_w, c]` to `dx` `[n, h, w, c]`: each window adds `dy / count` to its taps in the input.
    ///
    /// The additions to one element happen in the order of the windows, onto 0 or, with [`Write::Accumulate`], onto
    /// the old value; so neither threads nor layouts change the bits.
    ///
    /// ```
    /// use gemmule::{AvgPool2d, Run, View, ViewMut, Write};
    /// let dy = [8.0f32];
    /// let mut dx = [1.0; 4];
    /// let (dy, dx_view) = (View::nhwc(&dy, [1, 1, 1, 1])?, ViewMut::nhwc(&mut dx, [1, 2, 2, 1])?);
    /// AvgPool2d::global().backward(dy, dx_view, Write::Accumulate, Run::new())?;
    /// assert_eq!(dx, [3.0; 4]);
    /// # Ok::<(), gemmule::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`AvgPool2d::forward`].
    pub fn backward<T: Element>(
        &self,
        dy: View<'_, T>,
        dx: ViewMut<'_, T>,
        write: Write,
        run: Run<'_, T>,
    ) -> Result<(), Error> {
        backward(self.regions.axes(dx.shape())?, None, dy, dx, Shares(self.mean()), write, run)
    }
}
