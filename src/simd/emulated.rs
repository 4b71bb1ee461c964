//! Arrays of sixteen lanes: what a wider machine will run, tails and blocking included, tested on every machine. Narrower
//! levels are run by the machines that have them.
//!
//! Nothing is inlined here, unlike at the other levels: these are for tests, where the minutes that the compiler would
//! spend on unrolled arrays cost more than the calls.

use super::{Dispatch, Op, Scalar, Simd};
use crate::element::Element;
use core::array::from_fn;

#[derive(Clone, Copy)]
pub(crate) struct Emulated;

const L: usize = 16;

#[rustfmt::skip] // a table: one operation a line
impl<T: Element> Simd<T> for Emulated {
    type V = [T; L];
    type M = [bool; L];
    const LANES: usize = L;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn call<O: Op<T>>(self, op: O) -> O::Out {
        #[cold] // compiled for size, which takes a fraction of the time
        #[inline(never)]
        fn inside<T: Element, O: Op<T>>(s: Emulated, op: O) -> O::Out {
            op.run(s)
        }
        inside(self, op)
    }

    #[inline(never)] fn splat(self, x: T) -> [T; L] { [x; L] }
    #[inline(never)] fn load(self, x: &[T]) -> [T; L] { from_fn(|i| x[..L][i]) }
    #[inline(never)] fn store(self, v: [T; L], y: &mut [T]) { y[..L].copy_from_slice(&v) }
    #[inline(never)] fn load_partial(self, x: &[T]) -> [T; L] { assert!(x.len() <= L); from_fn(|i| x.get(i).copied().unwrap_or(T::ZERO)) }
    #[inline(never)] fn store_partial(self, v: [T; L], y: &mut [T]) { y.copy_from_slice(&v[..y.len()]); }
    #[inline(never)] fn add(self, a: [T; L], b: [T; L]) -> [T; L] { from_fn(|i| a[i] + b[i]) }
    #[inline(never)] fn sub(self, a: [T; L], b: [T; L]) -> [T; L] { from_fn(|i| a[i] - b[i]) }
    #[inline(never)] fn mul(self, a: [T; L], b: [T; L]) -> [T; L] { from_fn(|i| a[i] * b[i]) }
    #[inline(never)] fn div(self, a: [T; L], b: [T; L]) -> [T; L] { from_fn(|i| a[i] / b[i]) }
    #[inline(never)] fn mul_add(self, a: [T; L], b: [T; L], c: [T; L]) -> [T; L] { from_fn(|i| a[i] * b[i] + c[i]) }
    #[inline(never)] fn max(self, acc: [T; L], x: [T; L]) -> [T; L] { from_fn(|i| Scalar.max(acc[i], x[i])) }
    #[inline(never)] fn min(self, acc: [T; L], x: [T; L]) -> [T; L] { from_fn(|i| Scalar.min(acc[i], x[i])) }
    #[inline(never)] fn lt(self, a: [T; L], b: [T; L]) -> [bool; L] { from_fn(|i| a[i] < b[i]) }
    #[inline(never)] fn eq(self, a: [T; L], b: [T; L]) -> [bool; L] { from_fn(|i| a[i] == b[i]) }
    #[inline(never)] fn nan_or(self, a: [T; L], b: [T; L], m: [bool; L]) -> [bool; L] { from_fn(|i| Scalar.nan_or(a[i], b[i], m[i])) }
    #[inline(never)] fn nowhere(self) -> [bool; L] { [false; L] }
    #[inline(never)] fn select(self, m: [bool; L], a: [T; L], b: [T; L]) -> [T; L] { from_fn(|i| if m[i] { a[i] } else { b[i] }) }
    #[inline(never)] fn bits(self, m: [bool; L]) -> u32 { (0..L).map(|i| u32::from(m[i]) << i).sum() }
    #[inline(never)] fn spread(self, v: [T; L], width: usize, i: usize) -> [T; L] { from_fn(|l| v[l / width * width + i]) }
    #[inline(never)] fn cycle<const N: usize>(self, x: &[T; N]) -> [T; L] { from_fn(|l| x[l % N]) }
    #[inline(never)] fn add_pairs(self, a: [T; L], b: [T; L]) -> [T; L] { let v = [a, b]; let v = v.as_flattened(); from_fn(|l| v[2 * l] + v[2 * l + 1]) }
    #[inline(never)] fn repeat(self, v: [T; L], times: usize, phase: usize) -> [T; L] { from_fn(|l| v[(phase + l) / times]) }
    #[inline(never)] fn exponent(self, x: [T; L]) -> [T; L] { from_fn(|i| Dispatch::exponent(x[i])) }
}
