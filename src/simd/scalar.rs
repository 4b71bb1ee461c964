//! One lane: the definition of every operation, and the whole crate where no feature is on.

use super::{Dispatch, Simd};
use crate::element::Element;

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[rustfmt::skip] // a table: one operation a line
#[allow(clippy::eq_op)] // x != x: NaN
impl<T: Element> Simd<T> for Scalar {
    type V = T;
    type M = bool;
    const LANES: usize = 1;

    #[inline(always)] fn splat(self, x: T) -> T { x }
    #[inline(always)] fn load(self, x: &[T]) -> T { x[0] }
    #[inline(always)] fn store(self, v: T, y: &mut [T]) { y[0] = v; }
    #[inline(always)] fn load_partial(self, x: &[T]) -> T { x.first().copied().unwrap_or(T::ZERO) }
    #[inline(always)] fn store_partial(self, v: T, y: &mut [T]) { y.fill(v) }
    #[inline(always)] fn add(self, a: T, b: T) -> T { a + b }
    #[inline(always)] fn sub(self, a: T, b: T) -> T { a - b }
    #[inline(always)] fn mul(self, a: T, b: T) -> T { a * b }
    #[inline(always)] fn div(self, a: T, b: T) -> T { a / b }
    #[inline(always)] fn mul_add(self, a: T, b: T, c: T) -> T { a * b + c }
    #[inline(always)] fn max(self, acc: T, x: T) -> T { if x > acc || x != x { x } else { acc } }
    #[inline(always)] fn min(self, acc: T, x: T) -> T { if x < acc || x != x { x } else { acc } }
    #[inline(always)] fn lt(self, a: T, b: T) -> bool { a < b }
    #[inline(always)] fn eq(self, a: T, b: T) -> bool { a == b }
    #[inline(always)] fn nan_or(self, a: T, b: T, m: bool) -> bool { a != a || b != b || m }
    #[inline(always)] fn nowhere(self) -> bool { false }
    #[inline(always)] fn select(self, m: bool, a: T, b: T) -> T { if m { a } else { b } }
    #[inline(always)] fn bits(self, m: bool) -> u32 { u32::from(m) }
    #[inline(always)] fn spread(self, v: T, _: usize, _: usize) -> T { v }
    #[inline(always)] fn cycle<const N: usize>(self, x: &[T; N]) -> T { x[0] }
    #[inline(always)] fn add_pairs(self, a: T, _: T) -> T { a }
    #[inline(always)] fn repeat(self, v: T, _: usize, _: usize) -> T { v }
    #[inline(always)] fn exponent(self, x: T) -> T { Dispatch::exponent(x) }
}
