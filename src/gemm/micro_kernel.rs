//! The micro-kernel, once for both types and all levels.
//!
//! ```text
//! c[i][j] = start[i][j] + sum over k of a[i][k] * b[k][j]      i in 0..ROWS, j in 0..2 * LANES
//! ```

use super::blocking::rows;
use crate::element::Element;
use crate::simd::{Op, Simd};
use core::array::from_fn;

/// What a sum starts from.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a, T> {
    Zero,
    /// A value a column, `n` of them.
    Bias(&'a [T]),
    /// What is in C.
    C,
}

/// A few rows of A times one panel of B.
pub(super) struct Strip<'a, T> {
    pub a: &'a [T],
    /// Where the rows start in `a`, `k` elements each.
    pub a_at: &'a [usize],
    pub k: usize,
    /// `k` rows of the panel.
    pub b: &'a [T],
    /// The first row, and from there on; the rows are `ldc` apart.
    pub c: &'a mut [T],
    pub ldc: usize,
    /// Columns that there are, at most those of the panel.
    pub n: usize,
    pub start: Start<'a, T>,
}

/// Runs one strip of at most [`rows`] rows.
#[inline(always)]
pub(super) fn strip<T: Element, S: Simd<T>>(s: S, t: &mut Strip<T>) {
    macro_rules! tiles {
        ($($rows:literal),*) => {
            match t.a_at.len() {
                // The guard is a constant, so a level is compiled for its own tiles only.
                $($rows if $rows <= rows(S::REGISTERS) => s.call(Tile::<T, $rows>(t)),)*
                rows => unreachable!("a strip of {rows} rows"),
            }
        };
    }
    tiles!(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
}

/// `for i in 0..n`, written out. One accumulator whose index is not a constant sends the whole array to memory, and what
/// the compiler unrolls by itself depends on the size of the body and on the optimization level.
macro_rules! unrolled {
    ($i:ident in 0..$n:expr, $body:block) => { unrolled!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13) };
    (@ $i:ident, $n:expr, $body:block, $($c:literal)*) => { $(if $c < $n { let $i = $c; $body })* };
}

struct Tile<'s, 'a, T, const ROWS: usize>(&'s mut Strip<'a, T>);

impl<T: Element, const ROWS: usize> Op<T> for Tile<'_, '_, T, ROWS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let t = self.0;
        let (lanes, nr) = (S::LANES, 2 * S::LANES);
        let mut acc = match t.start {
            Start::Bias(bias) => [load(s, bias, t.n); ROWS],
            _ => [[s.splat(T::ZERO); 2]; ROWS],
        };
        if let Start::C = t.start {
            unrolled!(i in 0..ROWS, { acc[i] = load(s, &t.c[i * t.ldc..], t.n); });
        }
        // Cut to length here, walked by `zip`: no bounds check is left in the loop below. An index instead of the `zip`
        // leaves one, and the compiler answers with spilled accumulators.
        let a: [&[T]; ROWS] = from_fn(|i| &t.a[t.a_at[i]..][..t.k]);
        for (k, b) in (0..t.k).zip(t.b[..t.k * nr].chunks_exact(nr)) {
            let b = [s.load(&b[..lanes]), s.load(&b[lanes..])];
            unrolled!(i in 0..ROWS, {
                let a = s.splat(a[i][k]);
                acc[i][0] = s.mul_add(a, b[0], acc[i][0]);
                acc[i][1] = s.mul_add(a, b[1], acc[i][1]);
            });
        }
        unrolled!(i in 0..ROWS, {
            store(s, acc[i], &mut t.c[i * t.ldc..], t.n);
        });
    }
}

// Functions, not closures: a closure that is used twice may stay one, and loses the level's instructions.

/// The two vectors of a row, as far as there are columns.
#[inline(always)]
fn load<T: Element, S: Simd<T>>(s: S, x: &[T], n: usize) -> [S::V; 2] {
    if n == 2 * S::LANES {
        return [s.load(x), s.load(&x[S::LANES..])];
    }
    let (first, second) = x[..n].split_at(n.min(S::LANES));
    [s.load_partial(first), s.load_partial(second)]
}

#[inline(always)]
fn store<T: Element, S: Simd<T>>(s: S, v: [S::V; 2], y: &mut [T], n: usize) {
    if n == 2 * S::LANES {
        s.store(v[0], y);
        return s.store(v[1], &mut y[S::LANES..]);
    }
    let (first, second) = y[..n].split_at_mut(n.min(S::LANES));
    s.store_partial(v[0], first);
    s.store_partial(v[1], second);
}
