//! Maximum pooling. Padding is never a candidate.

use super::backward::{AllMaxima, FirstMaximum, backward};
use super::chunk::{Max, Window};
use super::forward::{Finish, Forward, forward};
use super::{Regions, Ties, indices, pooled_shape, workspace_len};
use crate::element::Element;
use crate::error::Error;
use crate::run::{Run, Write};
use crate::simd::Level;
use crate::tensor::{View, ViewMut, check_shape};
use crate::window::Padding;

/// A maximum pool: `y[n, oy, ox, c] = max x[n, iy, ix, c]` over the window of `(oy, ox)`.
///
/// The window of an output has the taps `o * stride + t * dilation - pad_before` for `t` in `0..kernel`, along each
/// axis; those in the padding do not count. A maximum is NaN if any tap is. Where all taps lie in the padding it is
/// minus infinity.
///
/// It is plain data. Shapes are `[n, h, w, c]`, whatever the layout of the views.
///
/// ```
/// use gemmule::{MaxPool2d, Run, Tensor};
/// let pool = MaxPool2d::new([3, 3], [2, 2]).padding(1);
/// let x = Tensor::filled([1, 112, 112, 64], 1.0f32)?;
/// let mut y = Tensor::zeros(pool.output_shape(x.shape())?)?;
/// pool.forward(x.view(), y.view_mut(), Run::new())?;
/// assert_eq!(y.shape(), [1, 56, 56, 64]);
/// assert!(y.as_slice().iter().all(|&y| y == 1.0));
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaxPool2d {
    regions: Regions,
}

impl<T: Element> Finish<T> for Max {
    type Reduce = Max;

    const DIVIDES: bool = false;

    #[inline(always)]
    fn count(self, _: &Window) -> usize {
        1
    }

    fn launch(level: Level, op: Forward<'_, '_, T, Self>) {
        T::max_pool(level, op);
    }
}

impl MaxPool2d {
    /// A window of `[height, width]` taps and its steps, without padding.
    pub fn new(kernel: [usize; 2], stride: [usize; 2]) -> Self {
        MaxPool2d { regions: Regions::sliding(kernel, stride) }
    }

    /// One window over the whole plane: `[n, h, w, c]` to `[n, 1, 1, c]`. The same as `adaptive([1, 1])`.
    pub fn global() -> Self {
        Self::adaptive([1, 1])
    }

    /// `[out_h, out_w]` windows that cover the input, `floor(o * in / out) .. ceil((o + 1) * in / out)` along each axis
    /// (PyTorch's `adaptive_max_pool2d`). Dilation, padding and `ceil_mode` are refused.
    pub fn adaptive(output: [usize; 2]) -> Self {
        MaxPool2d { regions: Regions::adaptive(output) }
    }

    /// Steps from one tap to the next.
    pub fn dilation(mut self, dilation: [usize; 2]) -> Self {
        self.regions.window.dilation = dilation;
        self
    }

    /// Padding, which never is the maximum. It may be larger than the kernel, but not negative.
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

    /// From `x` `[n, h, w, c]` to `y` `[n, out_h, out_w, c]`.
    ///
    /// # Errors
    /// As [`MaxPool2d::output_shape`]; [`Error::Shape`]; and as [`Run`] says.
    pub fn forward<T: Element>(&self, x: View<'_, T>, y: ViewMut<'_, T>, run: Run<'_, T>) -> Result<(), Error> {
        forward(self.regions.axes(x.shape())?, x, y, Max, run)
    }

    /// The same, and where each maximum comes from: `iy * w + ix` in the plane of `x` without padding, as PyTorch.
    ///
    /// Of equal maxima the first in row-major order counts, of several NaNs the last. A window whose taps all lie in
    /// the padding gives -1. `indices` has the shape of `y`.
    ///
    /// ```
    /// use gemmule::{MaxPool2d, Run, View, ViewMut};
    /// let x = [1.0f32, 3.0, 2.0, 2.0]; // two by two pixels, one channel
    /// let (mut y, mut index) = ([0.0], [0]);
    /// MaxPool2d::global().forward_with_indices(
    ///     View::nhwc(&x, [1, 2, 2, 1])?,
    ///     ViewMut::nhwc(&mut y, [1, 1, 1, 1])?,
    ///     ViewMut::nhwc(&mut index, [1, 1, 1, 1])?,
    ///     Run::new(),
    /// )?;
    /// assert_eq!((y, index), ([3.0], [1]));
    /// # Ok::<(), gemmule::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`].
    pub fn forward_with_indices<T: Element>(
        &self,
        x: View<'_, T>,
        y: ViewMut<'_, T>,
        indices: ViewMut<'_, i64>,
        run: Run<'_, T>,
    ) -> Result<(), Error> {
        indices::forward_with_indices(self.regions.axes(x.shape())?, x, y, indices, run)
    }

    /// From `x` `[n, h, w, c]` and `dy` `[n, out_h, out_w, c]` to `dx` `[n, h, w, c]`: each window adds its `dy` to the
    /// tap that is the maximum, or, as `ties` has it, to all taps that are.
    ///
    /// The additions to one element happen in the order of the windows, onto 0 or, with [`Write::Accumulate`], onto
    /// the old value; so neither threads nor layouts change the bits.
    ///
    /// ```
    /// use gemmule::{MaxPool2d, Run, Ties, View, ViewMut, Write};
    /// let (x, dy) = ([0.0f32, 0.0, -1.0, 0.0], [5.0]);
    /// let (mut all, mut first) = ([0.0; 4], [0.0; 4]);
    /// for (ties, dx) in [(Ties::All, &mut all), (Ties::First, &mut first)] {
    ///     let dx = ViewMut::nhwc(dx, [1, 2, 2, 1])?;
    ///     let (x, dy) = (View::nhwc(&x, [1, 2, 2, 1])?, View::nhwc(&dy, [1, 1, 1, 1])?);
    ///     MaxPool2d::global().backward(x, dy, dx, ties, Write::Replace, Run::new())?;
    /// }
    /// assert_eq!(all, [5.0, 5.0, 0.0, 5.0]);
    /// assert_eq!(first, [5.0, 0.0, 0.0, 0.0]);
    /// # Ok::<(), gemmule::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`].
    pub fn backward<T: Element>(
        &self,
        x: View<'_, T>,
        dy: View<'_, T>,
        dx: ViewMut<'_, T>,
        ties: Ties,
        write: Write,
        run: Run<'_, T>,
    ) -> Result<(), Error> {
        let axes = self.regions.axes(x.shape())?;
        check_shape("dx", x.shape(), dx.shape())?;
        match ties {
            Ties::All => backward(axes, Some(x), dy, dx, AllMaxima, write, run),
            Ties::First => backward(axes, Some(x), dy, dx, FirstMaximum, write, run),
        }
    }

    /// From `dy` and the indices of [`MaxPool2d::forward_with_indices`], both `[n, out_h, out_w, c]`, to `dx`
    /// `[n, h, w, c]`: `dx[index] += dy`. An index of -1 gives nothing. The same bits as [`Ties::First`].
    ///
    /// An index may point anywhere in its plane, so this is max unpooling as well.
    ///
    /// ```
    /// use gemmule::{MaxPool2d, Run, View, ViewMut, Write};
    /// let (dy, indices) = ([5.0f32], [2]);
    /// let mut dx = [0.0; 4];
    /// MaxPool2d::global().backward_from_indices(
    ///     View::nhwc(&dy, [1, 1, 1, 1])?,
    ///     View::nhwc(&indices, [1, 1, 1, 1])?,
    ///     ViewMut::nhwc(&mut dx, [1, 2, 2, 1])?,
    ///     Write::Replace,
    ///     Run::new(),
    /// )?;
    /// assert_eq!(dx, [0.0, 0.0, 5.0, 0.0]);
    /// # Ok::<(), gemmule::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`MaxPool2d::forward`], and [`Error::Index`] for an index that is neither -1 nor in the plane.
    pub fn backward_from_indices<T: Element>(
        &self,
        dy: View<'_, T>,
        indices: View<'_, i64>,
        dx: ViewMut<'_, T>,
        write: Write,
        run: Run<'_, T>,
    ) -> Result<(), Error> {
        indices::backward_from_indices(self.regions.axes(dx.shape())?, dy, indices, dx, write, run)
    }
}
