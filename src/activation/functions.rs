//! The functions and their derivatives, vector by vector, and the loops over a row that run them.

use crate::element::Element;
use crate::simd::math::{self, Normal};
use crate::simd::{Op, Simd};

/// A function and its derivative. Where the derivative has a jump or `x` is NaN, it is what PyTorch's is.
pub(super) trait Function<T>: Copy {
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V;
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V;
}

/// Replaces `values` vector by vector: `x` by `$f`, beside which the slices `$y`, of the same length, give a vector each.
///
/// `$f` should not be a selection between `x` itself and something else: it is stored where `x` was loaded from, which
/// LLVM turns into a masked store, at three times the cost on AVX2.
macro_rules! each {
    ($s:ident: $S:ident, $values:expr, |$x:ident $(, $y:ident)*| $f:expr) => {{
        let mut chunks = $values.chunks_exact_mut($S::LANES);
        $(let mut $y = $y.chunks_exact($S::LANES);)*
        each!(@zip chunks, [$($y)*], chunk, {
            let $x = $s.load(chunk);
            $(let $y = $s.load($y);)*
            $s.store($f, chunk);
        });
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            let $x = $s.load_partial(rest);
            $(let $y = $s.load_partial($y.remainder());)*
            $s.store_partial($f, rest);
        }
    }};
    (@zip $chunks:ident, [], $chunk:ident, $body:block) => {
        for $chunk in &mut $chunks $body
    };
    (@zip $chunks:ident, [$a:ident], $chunk:ident, $body:block) => {
        for ($chunk, $a) in (&mut $chunks).zip(&mut $a) $body
    };
    (@zip $chunks:ident, [$a:ident $b:ident], $chunk:ident, $body:block) => {
        for (($chunk, $a), $b) in (&mut $chunks).zip(&mut $a).zip(&mut $b) $body
    };
}

/// `values = f(values)`.
pub(super) struct Row<'a, F, T> {
    pub f: F,
    pub values: &'a mut [T],
}

impl<T: Element, F: Function<T>> Op<T> for Row<'_, F, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        each!(s: S, self.values, |x| self.f.value(s, x));
    }
}

/// `values = dy * f'(values)`.
pub(super) struct BackwardRow<'a, F, T> {
    pub f: F,
    pub values: &'a mut [T],
    pub dy: &'a [T],
}

impl<T: Element, F: Function<T>> Op<T> for BackwardRow<'_, F, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let dy = &self.dy[..self.values.len()];
        each!(s: S, self.values, |x, dy| s.mul(dy, self.f.derivative(s, x)));
    }
}

/// `values = leaky(values)`, with a slope each.
#[inline(always)]
pub(super) fn prelu<T: Element, S: Simd<T>>(s: S, slopes: &[T], values: &mut [T]) {
    let slopes = &slopes[..values.len()];
    each!(s: S, values, |x, slopes| leaky(s, x, slopes));
}

/// `values = dy * leaky'(values)`, with a slope each.
#[inline(always)]
pub(super) fn prelu_backward<T: Element, S: Simd<T>>(s: S, slopes: &[T], values: &mut [T], dy: &[T]) {
    let (slopes, dy) = (&slopes[..values.len()], &dy[..values.len()]);
    each!(s: S, values, |x, dy, slopes| s.mul(dy, leaky_derivative(s, x, slopes)));
}

/// `sums += dy * x` where `x` is not positive: the share of one pixel in the gradient of the slopes.
#[inline(always)]
pub(super) fn prelu_slopes<T: Element, S: Simd<T>>(s: S, sums: &mut [T], x: &[T], dy: &[T]) {
    let (x, dy) = (&x[..sums.len()], &dy[..sums.len()]);
    let zero = s.splat(T::ZERO);
    each!(s: S, sums, |sum, x, dy| s.add(sum, s.select(s.lt(zero, x), zero, s.mul(dy, x))));
}

/// `values += more`.
#[inline(always)]
pub(super) fn add<T: Element, S: Simd<T>>(s: S, values: &mut [T], more: &[T]) {
    let more = &more[..values.len()];
    each!(s: S, values, |x, more| s.add(more, x));
}

/// `x` where it is positive, else `slope * x`.
#[inline(always)]
fn leaky<T: Element, S: Simd<T>>(s: S, x: S::V, slope: S::V) -> S::V {
    s.mul(x, leaky_derivative(s, x, slope)) // times 1 is exact
}

/// 1 where `x` is positive, else `slope`.
#[inline(always)]
fn leaky_derivative<T: Element, S: Simd<T>>(s: S, x: S::V, slope: S::V) -> S::V {
    s.select(s.lt(s.splat(T::ZERO), x), s.splat(T::ONE), slope)
}

/// `x <= bound`; false for NaN.
#[inline(always)]
fn at_most<T: Element, S: Simd<T>>(s: S, x: S::V, bound: S::V) -> S::M {
    s.eq(s.min(x, bound), x)
}

/// `x >= bound`; false for NaN.
#[inline(always)]
fn at_least<T: Element, S: Simd<T>>(s: S, x: S::V, bound: S::V) -> S::M {
    s.eq(s.max(x, bound), x)
}

/// `x` within bounds, the upper one of which wins; NaN stays, and bounds that are NaN bound nothing.
#[inline(always)]
fn clamp<T: Element, S: Simd<T>>(s: S, x: S::V, min: S::V, max: S::V) -> S::V {
    // `Simd::max` takes care of a NaN in its second operand only, which here is always the same.
    let min = s.select(s.eq(min, min), min, s.splat(T::NEG_INFINITY));
    let max = s.select(s.eq(max, max), max, s.splat(-T::NEG_INFINITY));
    s.min(s.max(x, min), max)
}

#[inline(always)]
fn number<T: Element, S: Simd<T>>(s: S, x: f64) -> S::V {
    s.splat(T::from_f64(x))
}

/// The logistic function and its derivative, of one exponential: with `e = e^-|x|`, `1 / (1 + e)` or one minus that, and
/// `e / (1 + e)^2`, none of which cancels.
#[inline(always)]
fn logistic<T: Element, S: Simd<T>>(s: S, x: S::V) -> [S::V; 2] {
    let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
    let e = math::exp(s, s.sub(zero, math::abs(s, x)));
    let p = s.div(one, s.add(one, e));
    let small = s.mul(e, p);
    [s.select(s.lt(x, zero), small, p), s.mul(p, small)]
}

#[derive(Clone, Copy)]
pub(super) struct Relu;

impl<T: Element> Function<T> for Relu {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        s.max(x, s.splat(T::ZERO)) // in this order a single instruction: 0 is no NaN, see `clamp`
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let zero = s.splat(T::ZERO);
        s.select(at_most(s, x, zero), zero, s.splat(T::ONE))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Relu6;

impl<T: Element> Function<T> for Relu6 {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        clamp(s, x, s.splat(T::ZERO), number(s, 6.0))
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let zero = s.splat(T::ZERO);
        let below = s.select(at_least(s, x, number(s, 6.0)), zero, s.splat(T::ONE));
        s.select(at_most(s, x, zero), zero, below)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Clamp<T> {
    pub min: T,
    pub max: T,
}

impl<T: Element> Function<T> for Clamp<T> {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        clamp(s, x, s.splat(self.min), s.splat(self.max))
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let zero = s.splat(T::ZERO);
        let below = s.select(at_most(s, x, s.splat(self.max)), s.splat(T::ONE), zero);
        s.select(at_least(s, x, s.splat(self.min)), below, zero)
    }
}

#[derive(Clone, Copy)]
pub(super) struct LeakyRelu<T>(pub T);

impl<T: Element> Function<T> for LeakyRelu<T> {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        leaky(s, x, s.splat(self.0))
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        leaky_derivative(s, x, s.splat(self.0))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Silu;

impl<T: Element> Function<T> for Silu {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        s.div(x, math::one_plus_exp(s, s.sub(s.splat(T::ZERO), x)))
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let [p, dp] = logistic(s, x);
        s.mul_add(x, dp, p)
    }
}

#[derive(Clone, Copy)]
pub(super) struct HardSwish;

impl<T: Element> Function<T> for HardSwish {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let gate = clamp(s, s.add(x, number(s, 3.0)), s.splat(T::ZERO), number(s, 6.0));
        s.mul(x, s.mul(gate, number(s, 1.0 / 6.0))) // 6 * (1 / 6) rounds to 1 in both types
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let between = s.mul_add(x, number(s, 1.0 / 3.0), number(s, 0.5));
        let above = s.select(s.lt(x, number(s, 3.0)), between, s.splat(T::ONE));
        s.select(at_most(s, x, number(s, -3.0)), s.splat(T::ZERO), above)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Sigmoid;

impl<T: Element> Function<T> for Sigmoid {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        math::sigmoid(s, x)
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        logistic(s, x)[1]
    }
}

#[derive(Clone, Copy)]
pub(super) struct Tanh;

impl<T: Element> Function<T> for Tanh {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        math::tanh(s, x)
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        // tanh(x) = 2 * sigmoid(2x) - 1
        s.mul(number(s, 4.0), logistic(s, s.add(x, x))[1])
    }
}

#[derive(Clone, Copy)]
pub(super) struct Gelu;

impl<T: Element> Function<T> for Gelu {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        s.mul(x, Normal::at(s, x).cdf)
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let normal = Normal::at(s, x);
        let density = s.mul(normal.bell, number(s, INVERSE_SQRT_2_PI));
        s.mul_add(x, density, normal.cdf)
    }
}

/// `1 / sqrt(2 * pi)`.
const INVERSE_SQRT_2_PI: f64 = 0.398_942_280_401_432_7;

/// `(1 + tanh(u)) / 2 = sigmoid(2u)`: the same function, with one exponential and no cancellation.
#[derive(Clone, Copy)]
pub(super) struct GeluTanh;

/// `2 * sqrt(2 / pi)`.
const GELU_SCALE: f64 = 1.595_769_121_605_730_8;
/// The coefficient of the cube.
const GELU_CUBE: f64 = 0.044715;

impl<T: Element> Function<T> for GeluTanh {
    #[inline(always)]
    fn value<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        let factor = s.mul_add(s.mul(x, x), number(s, -GELU_SCALE * GELU_CUBE), number(s, -GELU_SCALE));
        s.div(x, math::one_plus_exp(s, s.mul(x, factor)))
    }
    #[inline(always)]
    fn derivative<S: Simd<T>>(self, s: S, x: S::V) -> S::V {
        // At this size the logistic function is long constant; the square must not overflow, for infinity times 0 is NaN.
        let square = s.min(s.mul(x, x), number(s, 1e4));
        let factor = s.mul_add(square, number(s, GELU_SCALE * GELU_CUBE), number(s, GELU_SCALE));
        let [p, dp] = logistic(s, s.mul(x, factor));
        let du = s.mul_add(square, number(s, 3.0 * GELU_SCALE * GELU_CUBE), number(s, GELU_SCALE));
        s.mul_add(s.mul(x, dp), du, p)
    }
}
