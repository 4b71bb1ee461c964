//! Activations: functions of one value, as a pass of their own or in the epilogue of a convolution.

mod functions;
mod walk;

/// What runs at a level.
pub(crate) mod kernels {
    pub use super::{Backward, Forward, Slopes};
}

use crate::element::Element;
use crate::error::Error;
use crate::run::{Run, Write};
use crate::simd::{Op, Simd};
use crate::tensor::{View, ViewMut, check_shape};
use crate::tiles::{Grid, Parts, Tile};
use functions::{BackwardRow, Clamp, Gelu, GeluTanh, HardSwish, LeakyRelu, Relu, Relu6, Row, Sigmoid, Silu, Tanh};
use walk::Walk;

/// A function that is applied to every value; `x` below.
///
/// A NaN gives NaN. Where two pieces meet, and at NaN, the derivative is PyTorch's. The exponential functions are the
/// crate's own, the same at every level but for the last bits: `Sigmoid` and `Tanh` are within 2 ulp where the result is
/// a normal number, `Silu`, `HardSwish`, `Gelu` and `GeluTanh` within `2 * epsilon * |x|`. At minus infinity those four are
/// NaN, as their formulas and PyTorch's are.
///
/// ```
/// use gemmule::{Activation, Run, View, ViewMut, Write};
/// let x = [-1.0f32, 0.0, 1.0, 2.0];
/// let (mut y, mut dx) = ([0.0; 4], [0.0; 4]);
/// let shape = [1, 2, 2, 1];
/// let act = Activation::LeakyRelu { slope: 0.5 };
/// act.forward(View::nhwc(&x, shape)?, ViewMut::nhwc(&mut y, shape)?, Run::new())?;
/// assert_eq!(y, [-0.5, 0.0, 1.0, 2.0]);
///
/// let dy = View::nhwc(&[10.0; 4], shape)?;
/// act.backward(View::nhwc(&x, shape)?, dy, ViewMut::nhwc(&mut dx, shape)?, Write::Replace, Run::new())?;
/// assert_eq!(dx, [5.0, 5.0, 10.0, 10.0]);
/// # Ok::<(), gemmule::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation<'a, T> {
    /// `x`.
    #[default]
    Identity,
    /// `max(x, 0)`; derivative 0 at 0.
    Relu,
    /// `min(max(x, 0), 6)`; derivative 1 where `0 < x < 6`.
    Relu6,
    /// `min(max(x, min), max)`; derivative 1 where `min <= x <= max`, as `torch.clamp`.
    Clamp {
        /// The lower bound.
        min: T,
        /// The upper bound, which wins over the lower.
        max: T,
    },
    /// `x` where `x > 0`, else `slope * x`; derivative `slope` at 0.
    LeakyRelu {
        /// The derivative of the negative side.
        slope: T,
    },
    /// [`Activation::LeakyRelu`] with a slope for each channel: `[c]`.
    PRelu(&'a [T]),
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `x * relu6(x + 3) / 6` (Howard et al., "Searching for MobileNetV3", 2019); derivative 0 where `x <= -3`, 1 where
    /// `x >= 3`, and `x / 3 + 1/2` between.
    HardSwish,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `x * (1 + erf(x / sqrt(2))) / 2`: `x` times the normal distribution function (Hendrycks and Gimpel, "Gaussian error
    /// linear units", 2016).
    Gelu,
    /// `x * (1 + tanh(u)) / 2` with `u = sqrt(2 / pi) * (x + 0.044715 * x^3)`: the usual approximation of
    /// [`Activation::Gelu`].
    GeluTanh,
}

impl<T: Element> Activation<'_, T> {
    /// Refuses slopes that are not one for each channel.
    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        match self {
            Activation::PRelu(slopes) if slopes.len() != channels => {
                Err(Error::Length { argument: "activation", expected: channels, given: slopes.len() })
            }
            _ => Ok(()),
        }
    }

    /// Applies it to `values`, channels `c..c + values.len()` of one pixel, at the caller's level.
    #[inline(always)]
    pub(crate) fn row<S: Simd<T>>(&self, s: S, c: usize, values: &mut [T]) {
        match *self {
            Activation::Identity => {}
            Activation::Relu => Row { f: Relu, values }.run(s),
            Activation::Relu6 => Row { f: Relu6, values }.run(s),
            Activation::Clamp { min, max } => Row { f: Clamp { min, max }, values }.run(s),
            Activation::LeakyRelu { slope } => Row { f: LeakyRelu(slope), values }.run(s),
            Activation::PRelu(slopes) => functions::prelu(s, &slopes[c..], values),
            Activation::HardSwish => Row { f: HardSwish, values }.run(s),
            // Each is compiled once a level, not into every kernel that has an epilogue.
            Activation::Silu => s.call(Row { f: Silu, values }),
            Activation::Sigmoid => s.call(Row { f: Sigmoid, values }),
            Activation::Tanh => s.call(Row { f: Tanh, values }),
            Activation::Gelu => s.call(Row { f: Gelu, values }),
            Activation::GeluTanh => s.call(Row { f: GeluTanh, values }),
        }
    }

    /// The same as bounds, if it is nothing else.
    pub(crate) fn bounds(&self) -> Option<Bounds<T>> {
        // A bound that is NaN bounds nothing.
        let number = |x: T, or: T| if x.partial_cmp(&x).is_some() { x } else { or };
        match *self {
            Activation::Identity => Some(Bounds::None),
            Activation::Relu => Some(Bounds::Relu),
            Activation::Relu6 => Some(Bounds::Clamp([T::ZERO, T::from_f64(6.0)])),
            Activation::Clamp { min, max } => {
                Some(Bounds::Clamp([number(min, T::NEG_INFINITY), number(max, -T::NEG_INFINITY)]))
            }
            _ => None,
        }
    }

    /// `values = dy * f'(values)`; see [`Activation::row`].
    #[inline(always)]
    fn backward_row<S: Simd<T>>(&self, s: S, c: usize, values: &mut [T], dy: &[T]) {
        match *self {
            Activation::Identity => values.copy_from_slice(dy),
            Activation::Relu => BackwardRow { f: Relu, values, dy }.run(s),
            Activation::Relu6 => BackwardRow { f: Relu6, values, dy }.run(s),
            Activation::Clamp { min, max } => BackwardRow { f: Clamp { min, max }, values, dy }.run(s),
            Activation::LeakyRelu { slope } => BackwardRow { f: LeakyRelu(slope), values, dy }.run(s),
            Activation::PRelu(slopes) => functions::prelu_backward(s, &slopes[c..], values, dy),
            Activation::HardSwish => BackwardRow { f: HardSwish, values, dy }.run(s),
            Activation::Silu => s.call(BackwardRow { f: Silu, values, dy }),
            Activation::Sigmoid => s.call(BackwardRow { f: Sigmoid, values, dy }),
            Activation::Tanh => s.call(BackwardRow { f: Tanh, values, dy }),
            Activation::Gelu => s.call(BackwardRow { f: Gelu, values, dy }),
            Activation::GeluTanh => s.call(BackwardRow { f: GeluTanh, values, dy }),
        }
    }

    /// The same function, of one channel only.
    fn of_channel(&self, c: usize) -> Self {
        match *self {
            Activation::PRelu(slopes) => Activation::LeakyRelu { slope: slopes[c] },
            other => other,
        }
    }

    fn is_by_channel(&self) -> bool {
        matches!(self, Activation::PRelu(_))
    }

    /// About how many operations one value takes.
    fn work(&self) -> usize {
        match self {
            Activation::Silu | Activation::Sigmoid | Activation::Tanh | Activation::Gelu | Activation::GeluTanh => 16,
            _ => 1,
        }
    }

    /// `y = f(x)`, value by value: both `[n, h, w, c]`, in any layouts. No workspace is needed.
    ///
    /// # Errors
    /// [`Error::Shape`] where `y` has another shape than `x`, [`Error::Length`] where [`Activation::PRelu`] has not one
    /// slope for each channel, [`Error::Level`], [`Error::Executor`].
    pub fn forward(&self, x: View<'_, T>, y: ViewMut<'_, T>, run: Run<'_, T>) -> Result<(), Error> {
        self.check(x.shape()[3])?;
        check_shape("y", x.shape(), y.shape())?;
        let level = run.level_or_best()?;
        let Some(walk) = Walk::new(x.shape(), [x.strides(), y.strides()], self.is_by_channel()) else { return Ok(()) };
        let x = walk.view(x, 0)?;
        let (grid, y) = (walk.grid(), Tile::new(walk.view_mut(y, 1)?));
        run.for_each_tile(grid, y, 0, walk.size().saturating_mul(self.work()), |place, y, _| {
            let start = place.map(|part| part.start);
            T::activation_forward(level, Forward { act: self, walk: &walk, x: &x, y, start });
        })
    }

    /// `dx = dy * f'(x)`, value by value: all `[n, h, w, c]`, in any layouts. `x` is what went into the activation.
    /// No workspace is needed.
    ///
    /// # Errors
    /// [`Error::Shape`] where `dy` or `dx` has another shape than `x`, else as [`Activation::forward`].
    pub fn backward(
        &self,
        x: View<'_, T>,
        dy: View<'_, T>,
        dx: ViewMut<'_, T>,
        write: Write,
        run: Run<'_, T>,
    ) -> Result<(), Error> {
        self.check(x.shape()[3])?;
        dy.check("dy", x.shape())?;
        check_shape("dx", x.shape(), dx.shape())?;
        let level = run.level_or_best()?;
        let strides = [x.strides(), dy.strides(), dx.strides()];
        let Some(walk) = Walk::new(x.shape(), strides, self.is_by_channel()) else { return Ok(()) };
        let (x, dy) = (walk.view(x, 0)?, walk.view(dy, 1)?);
        let (grid, dx) = (walk.grid(), Tile::new(walk.view_mut(dx, 2)?));
        run.for_each_tile(grid, dx, 0, walk.size().saturating_mul(self.work()), |place, dx, _| {
            let start = place.map(|part| part.start);
            T::activation_backward(level, Backward { act: self, walk: &walk, x: &x, dy: &dy, dx, start, write });
        })
    }
}

/// An activation that is a bound or two, and costs least while values are in registers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bounds<T> {
    None,
    Relu,
    /// The upper one wins. Neither is NaN.
    Clamp([T; 2]),
}

impl<T: Element> Bounds<T> {
    /// The same bits as the activation gives.
    #[inline(always)]
    pub fn apply<S: Simd<T>, const N: usize>(self, s: S, values: &mut [S::V; N]) {
        match self {
            Bounds::None => {}
            Bounds::Relu => {
                for i in 0..N {
                    values[i] = s.max(values[i], s.splat(T::ZERO));
                }
            }
            Bounds::Clamp([min, max]) => {
                let (min, max) = (s.splat(min), s.splat(max));
                for i in 0..N {
                    values[i] = s.min(s.max(values[i], min), max);
                }
            }
        }
    }
}

/// Values that are worked on at a time. They stay in the first-level cache while they are gathered, changed and put.
const BLOCK: usize = 256;

/// One tile of [`Activation::forward`].
pub struct Forward<'a, 't, T> {
    act: &'a Activation<'a, T>,
    walk: &'a Walk<2>,
    x: &'a View<'a, T>,
    y: &'a mut Tile<'t, T>,
    start: [usize; 4],
}

impl<T: Element> Op<T> for Forward<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Forward { act, walk, x, y, start } = self;
        let mut buffer = [T::ZERO; BLOCK];
        for (at, len) in walk::blocks(y.shape(), BLOCK) {
            let (pixel, from) = ([at[0], at[1], at[2]], core::array::from_fn(|i| start[i] + at[i]));
            let (act, c) = walk.at_channel(act, from);
            if let Some(values) = y.slice(pixel, at[3], len) {
                walk::gather(x, from, values);
                act.row(s, c, values);
            } else {
                let values = &mut buffer[..len];
                walk::gather(x, from, values);
                act.row(s, c, values);
                y.put(pixel, at[3], values);
            }
        }
    }
}

/// One tile of [`Activation::backward`].
pub struct Backward<'a, 't, T> {
    act: &'a Activation<'a, T>,
    walk: &'a Walk<3>,
    x: &'a View<'a, T>,
    dy: &'a View<'a, T>,
    dx: &'a mut Tile<'t, T>,
    start: [usize; 4],
    write: Write,
}

impl<T: Element> Op<T> for Backward<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Backward { act, walk, x, dy, dx, start, write } = self;
        let [mut buffer, mut dy_buffer, mut old] = [[T::ZERO; BLOCK]; 3];
        for (at, len) in walk::blocks(dx.shape(), BLOCK) {
            let (pixel, from) = ([at[0], at[1], at[2]], core::array::from_fn(|i| start[i] + at[i]));
            let (act, c) = walk.at_channel(act, from);
            let dy = dy.pixel([from[0], from[1], from[2]], from[3], len, &mut dy_buffer);
            let values = &mut buffer[..len];
            walk::gather(x, from, values);
            act.backward_row(s, c, values, dy);
            if write == Write::Accumulate {
                dx.get(pixel, at[3], &mut old[..len]);
                functions::add(s, values, &old);
            }
            dx.put(pixel, at[3], values);
        }
    }
}

/// The gradient of [`Activation::PRelu`]'s slopes: `dslope[c] = sum of dy * x over the values x of channel c that are not
/// positive`.
///
/// `x` (what went into the activation) and `dy` are `[n, h, w, c]`, in any layouts, `dslope` is `[c]`. Each sum is taken
/// in the order of batch, height and width, whatever the number of threads. No workspace is needed.
///
/// ```
/// use gemmule::{Run, View, Write, prelu_backward_slope};
/// let (x, dy) = ([-1.0f32, 2.0, -3.0, -4.0], [1.0; 4]); // two pixels of two channels
/// let mut dslope = [0.0; 2];
/// let (x, dy) = (View::nhwc(&x, [1, 1, 2, 2])?, View::nhwc(&dy, [1, 1, 2, 2])?);
/// prelu_backward_slope(x, dy, &mut dslope, Write::Replace, Run::new())?;
/// assert_eq!(dslope, [-4.0, -4.0]);
/// # Ok::<(), gemmule::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where `dy` has another shape than `x`, [`Error::Length`] where `dslope` has not one element for each
/// channel, [`Error::Level`], [`Error::Executor`].
pub fn prelu_backward_slope<T: Element>(
    x: View<'_, T>,
    dy: View<'_, T>,
    dslope: &mut [T],
    write: Write,
    run: Run<'_, T>,
) -> Result<(), Error> {
    dy.check("dy", x.shape())?;
    let c = x.shape()[3];
    if dslope.len() != c {
        return Err(Error::Length { argument: "dslope", expected: c, given: dslope.len() });
    }
    let level = run.level_or_best()?;
    let dslope = Tile::new(ViewMut::nhwc(dslope, [1, 1, 1, c])?);
    let grid = Grid::new([Parts::whole(1), Parts::whole(1), Parts::whole(1), Parts::up_to(c, CHANNELS)]);
    let work = x.shape().iter().fold(1, |work: usize, &d| work.saturating_mul(d));
    run.for_each_tile(grid, dslope, 0, work, |place, dslope, _| {
        T::prelu_backward_slope(level, Slopes { x: &x, dy: &dy, dslope, first: place[3].start, write });
    })
}

/// Channels whose slopes one task sums up.
const CHANNELS: usize = 32;

/// One tile of [`prelu_backward_slope`].
pub struct Slopes<'a, 't, T> {
    x: &'a View<'a, T>,
    dy: &'a View<'a, T>,
    dslope: &'a mut Tile<'t, T>,
    first: usize,
    write: Write,
}

impl<T: Element> Op<T> for Slopes<'_, '_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Slopes { x, dy, dslope, first, write } = self;
        let len = dslope.shape()[3];
        let [n, h, w, _] = x.shape();
        let [mut sums, mut x_buffer, mut dy_buffer] = [[T::ZERO; CHANNELS]; 3];
        let sums = &mut sums[..len];
        for (at, _) in walk::blocks([n, h, w, 1], 1) {
            let pixel = [at[0], at[1], at[2]];
            let x = x.pixel(pixel, first, len, &mut x_buffer);
            functions::prelu_slopes(s, sums, x, dy.pixel(pixel, first, len, &mut dy_buffer));
        }
        if write == Write::Accumulate {
            let mut old = [T::ZERO; CHANNELS];
            dslope.get([0; 3], 0, &mut old[..len]);
            functions::add(s, sums, &old);
        }
        dslope.put([0; 3], 0, sums);
    }
}
