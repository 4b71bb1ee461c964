//! Activations, value by value, with PyTorch's conventions where a derivative does not exist.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, PI};

use crate::{Array4, Real, erfc, indices};

/// The cubic coefficient of [`Activation::GeluTanh`].
const GELU_CUBIC: f64 = 0.044715;

/// A function that is applied to every value; `x` below. NaN gives NaN.
///
/// Where two pieces meet, the derivative follows PyTorch, and so it does at NaN: whichever piece is left when all
/// comparisons are false.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation<'a, T> {
    /// `x`.
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
    /// [`Activation::LeakyRelu`] with a slope per channel: `[c]`.
    PRelu(&'a [T]),
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `x * relu6(x + 3) / 6`; derivative 0 where `x <= -3`, 1 where `x >= 3`, and `x / 3 + 1/2` between.
    HardSwish,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `x * (1 + erf(x / sqrt(2))) / 2`: `x` times the normal distribution function.
    Gelu,
    /// `x * (1 + tanh(u)) / 2` with `u = sqrt(2 / pi) * (x + 0.044715 * x^3)`: the usual approximation of
    /// [`Activation::Gelu`].
    GeluTanh,
}

impl<T: Real> Activation<'_, T> {
    /// The function of one value `x` of channel `c`.
    pub fn value(&self, x: T, c: usize) -> T {
        let (zero, half) = (T::ZERO, T::from_f64(0.5));
        match *self {
            Self::Identity => x,
            Self::Relu => if_at_most(x, zero, zero, x),
            Self::Relu6 => clamp(x, zero, T::from_f64(6.0)),
            Self::Clamp { min, max } => clamp(x, min, max),
            Self::LeakyRelu { slope } => leaky(x, slope),
            Self::PRelu(slopes) => leaky(x, slopes[c]),
            Self::Silu => x / (T::ONE + (-x).exp()),
            Self::HardSwish => x * clamp(x + T::from_f64(3.0), zero, T::from_f64(6.0)) / T::from_f64(6.0),
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Gelu => x * normal_cdf(x),
            Self::GeluTanh => half * x * (T::ONE + gelu_inner(x).tanh()),
        }
    }

    /// The derivative with respect to `x` at one value `x` of channel `c`.
    pub fn derivative(&self, x: T, c: usize) -> T {
        let (zero, one, half) = (T::ZERO, T::ONE, T::from_f64(0.5));
        match *self {
            Self::Identity => one,
            Self::Relu => if_at_most(x, zero, zero, one),
            Self::Relu6 if x <= zero || x >= T::from_f64(6.0) => zero,
            Self::Relu6 => one,
            Self::Clamp { min, max } if x >= min && x <= max => one,
            Self::Clamp { .. } => zero,
            Self::LeakyRelu { slope } => leaky_derivative(x, slope),
            Self::PRelu(slopes) => leaky_derivative(x, slopes[c]),
            Self::Silu => sigmoid(x) + x * sigmoid(x) * sigmoid(-x),
            Self::HardSwish if x <= T::from_f64(-3.0) => zero,
            Self::HardSwish if x < T::from_f64(3.0) => x / T::from_f64(3.0) + half,
            Self::HardSwish => one,
            Self::Sigmoid => sigmoid(x) * sigmoid(-x),
            Self::Tanh => one - x.tanh() * x.tanh(),
            Self::Gelu => normal_cdf(x) + x * normal_density(x),
            Self::GeluTanh => {
                let t = gelu_inner(x).tanh();
                half * (one + t) + half * x * (one - t * t) * gelu_inner_derivative(x)
            }
        }
    }
}

/// `y[n, y, x, c] = act(x[n, y, x, c])`: `[n, h, w, c]`.
pub fn activate<T: Real>(x: &Array4<T>, act: &Activation<'_, T>) -> Array4<T> {
    check_slopes(x, act);
    Array4::from_fn(x.shape, |i| act.value(x[i], i[3]))
}

/// `dx = dy * act'(x)`, value by value: all `[n, h, w, c]`. `x` is what went into the activation.
pub fn activate_backward<T: Real>(x: &Array4<T>, dy: &Array4<T>, act: &Activation<'_, T>) -> Array4<T> {
    check_slopes(x, act);
    assert_eq!(dy.shape, x.shape, "shape of dy");
    Array4::from_fn(x.shape, |i| dy[i] * act.derivative(x[i], i[3]))
}

/// The gradient of [`Activation::PRelu`]'s slopes: `dslope[c] = sum over (n, y, x) of dy * x where x is not positive`.
///
/// `x` and `dy` are `[n, h, w, c]`, the result is `[c]`.
pub fn prelu_slope_backward<T: Real>(x: &Array4<T>, dy: &Array4<T>) -> Vec<T> {
    assert_eq!(dy.shape, x.shape, "shape of dy");
    let mut dslope = vec![T::ZERO; x.shape[3]];
    for i in indices(x.shape) {
        if x[i] > T::ZERO {
            continue;
        }
        dslope[i[3]] += dy[i] * x[i];
    }
    dslope
}

fn check_slopes<T>(x: &Array4<T>, act: &Activation<'_, T>) {
    if let Activation::PRelu(slopes) = act {
        assert_eq!(slopes.len(), x.shape[3], "one slope per channel");
    }
}

/// `then` where `x <= bound`, else `otherwise`, which is thus the answer for NaN.
fn if_at_most<T: Real>(x: T, bound: T, then: T, otherwise: T) -> T {
    if x <= bound { then } else { otherwise }
}

/// `min(max(x, min), max)`; NaN stays.
fn clamp<T: Real>(x: T, min: T, max: T) -> T {
    let raised = if x < min { min } else { x };
    if raised > max { max } else { raised }
}

/// `x` where `x > 0`, else `slope * x`.
fn leaky<T: Real>(x: T, slope: T) -> T {
    if x > T::ZERO { x } else { slope * x }
}

/// 1 where `x > 0`, else `slope`.
fn leaky_derivative<T: Real>(x: T, slope: T) -> T {
    if x > T::ZERO { T::ONE } else { slope }
}

/// `1 / (1 + e^-x)`.
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// `(1 + erf(x / sqrt(2))) / 2`, as `erfc(-x / sqrt(2)) / 2`, which does not cancel where `x` is far below 0; in `f64`,
/// because the tail magnifies the rounding of its argument.
fn normal_cdf<T: Real>(x: T) -> T {
    T::from_f64(0.5 * erfc(-x.to_f64() * FRAC_1_SQRT_2))
}

/// `e^(-x^2 / 2) / sqrt(2 * pi)`.
fn normal_density<T: Real>(x: T) -> T {
    (-x * x * T::from_f64(0.5)).exp() / T::from_f64((2.0 * PI).sqrt())
}

/// `sqrt(2 / pi) * (x + 0.044715 * x^3)`.
fn gelu_inner<T: Real>(x: T) -> T {
    T::from_f64(FRAC_2_PI.sqrt()) * (x + T::from_f64(GELU_CUBIC) * x * x * x)
}

/// `sqrt(2 / pi) * (1 + 3 * 0.044715 * x^2)`.
fn gelu_inner_derivative<T: Real>(x: T) -> T {
    T::from_f64(FRAC_2_PI.sqrt()) * (T::ONE + T::from_f64(3.0 * GELU_CUBIC) * x * x)
}
