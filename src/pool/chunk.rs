//! Channels in vectors: a few vectors at a time, then one, then part of one.

use super::tiling::Source;
use crate::element::Element;
use crate::simd::{Lattice, Simd};
use crate::window::Taps;

/// Vectors that a kernel keeps in registers at a time.
const VECTORS: usize = 4;
/// Lanes of so many vectors, at any level.
pub(super) const CHUNK: usize = VECTORS * 16;

/// Something to do for each channel.
pub(super) trait Chunked<T: Element> {
    /// Does it for the channels `c..c + width`, which fill `N` vectors, or, where `N` is 1, perhaps less than one.
    /// Must be `#[inline(always)]`, which also makes a constant of `width` wherever it fills the vectors.
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize);
}

/// Does it for all channels.
#[inline(always)]
pub(super) fn by_chunks<T: Element, S: Simd<T>>(s: S, channels: usize, mut kernel: impl Chunked<T>) {
    let mut c = 0;
    while channels - c >= VECTORS * S::LANES {
        kernel.chunk::<S, VECTORS>(s, c, VECTORS * S::LANES);
        c += VECTORS * S::LANES;
    }
    while channels - c >= S::LANES {
        kernel.chunk::<S, 1>(s, c, S::LANES);
        c += S::LANES;
    }
    if c < channels {
        kernel.chunk::<S, 1>(s, c, channels - c);
    }
}

/// `N` vectors, or part of one.
#[inline(always)]
pub(super) fn load<T: Element, S: Simd<T>, const N: usize>(s: S, x: &[T]) -> [S::V; N] {
    if x.len() != N * S::LANES {
        return [s.load_partial(x); N];
    }
    let mut vectors = [s.splat(T::ZERO); N];
    for i in 0..N {
        vectors[i] = s.load(&x[i * S::LANES..]);
    }
    vectors
}

/// `N` vectors, or part of one.
#[inline(always)]
pub(super) fn store<T: Element, S: Simd<T>, const N: usize>(s: S, v: [S::V; N], y: &mut [T]) {
    if y.len() == N * S::LANES {
        for i in 0..N {
            s.store(v[i], &mut y[i * S::LANES..]);
        }
    } else {
        s.store_partial(v[0], y);
    }
}

/// The taps of a window that lie in the input.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub rows: Taps,
    pub cols: Taps,
}

impl Window {
    pub fn is_empty(&self) -> bool {
        self.rows.count == 0 || self.cols.count == 0
    }

    /// How many taps lie in the input.
    pub fn valid(&self) -> usize {
        self.rows.count * self.cols.count
    }

    /// How many taps lie in the input or its padding.
    pub fn padded(&self) -> usize {
        self.rows.padded * self.cols.padded
    }
}

/// What a window is reduced to: each of its rows from left to right, then what the rows gave from top to bottom. Taps that
/// are not there may stand as `START` in it.
pub(super) trait Reduce<T: Element>: Copy + Sync {
    const START: T;
    /// Whether tap after tap in row-major order gives the same bits.
    const IS_ASSOCIATIVE: bool;
    fn take<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V;
    /// The same where [`Reduce::refuses`] none of the taps; faster.
    #[inline(always)]
    fn quick<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V {
        Self::take(s, acc, x)
    }
    /// True in the lanes of taps that [`Reduce::quick`] does not take, else `m`.
    #[inline(always)]
    fn refuses<S: Simd<T>, const N: usize>(s: S, x: [S::V; N], m: S::M) -> S::M {
        let _ = (s, x);
        m
    }
    /// `START`, then the first row.
    #[inline(always)]
    fn first<S: Simd<T>>(s: S, x: S::V) -> S::V {
        Self::take(s, s.splat(Self::START), x)
    }
}

/// Of equal values the first in row-major order counts, of several NaNs the last.
#[derive(Clone, Copy)]
pub struct Max;

impl<T: Element> Reduce<T> for Max {
    const START: T = T::NEG_INFINITY;
    const IS_ASSOCIATIVE: bool = true;

    #[inline(always)]
    fn take<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V {
        s.max(acc, x)
    }

    #[inline(always)]
    fn quick<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V {
        s.max_of_numbers(acc, x)
    }

    #[inline(always)]
    fn refuses<S: Simd<T>, const N: usize>(s: S, x: [S::V; N], m: S::M) -> S::M {
        s.nan_among(x, m)
    }

    #[inline(always)]
    fn first<S: Simd<T>>(_: S, x: S::V) -> S::V {
        x
    }
}

#[derive(Clone, Copy)]
pub(super) struct Sum;

impl<T: Element> Reduce<T> for Sum {
    const START: T = T::ZERO;
    const IS_ASSOCIATIVE: bool = false;

    #[inline(always)]
    fn take<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V {
        s.add(acc, x)
    }
}

/// Columns of a large window, at least.
pub(super) const LARGE_WINDOW: usize = 4;

/// Reduces channels `c..c + width` of a window, which may be `LARGE`.
#[inline(always)]
pub(super) fn reduce<T: Element, R: Reduce<T>, S: Simd<T>, const N: usize, const LARGE: bool>(
    s: S,
    source: &Source<'_, T>,
    window: &Window,
    c: usize,
    width: usize,
) -> [S::V; N] {
    let mut acc = [s.splat(R::START); N];
    if window.is_empty() {
        return acc;
    }
    // Several rows of large windows at once: an addition does not wait for the one before it.
    if LARGE && window.cols.count >= LARGE_WINDOW {
        let x = source.lattice(window.rows, window.cols, c + width);
        let (rows, mut i) = (window.rows.count, 0);
        while N == 1 && rows - i >= 4 {
            reduce_rows::<T, R, S, N, 4>(s, x, i, c, &mut acc);
            i += 4;
        }
        while rows - i >= 2 {
            reduce_rows::<T, R, S, N, 2>(s, x, i, c, &mut acc);
            i += 2;
        }
        if i < rows {
            reduce_rows::<T, R, S, N, 1>(s, x, i, c, &mut acc);
        }
        return acc;
    }
    for i in 0..window.rows.count {
        let row = source.row(window, i, 0..window.cols.count, c, width);
        if R::IS_ASSOCIATIVE {
            for j in 0..window.cols.count {
                let x = load::<T, S, N>(s, row.tap(j));
                for v in 0..N {
                    acc[v] = R::take(s, acc[v], x[v]);
                }
            }
            continue;
        }
        let mut sum = load::<T, S, N>(s, row.tap(0));
        for j in 1..window.cols.count {
            let x = load::<T, S, N>(s, row.tap(j));
            for v in 0..N {
                sum[v] = R::take(s, sum[v], x[v]);
            }
        }
        for v in 0..N {
            acc[v] = R::take(s, acc[v], sum[v]);
        }
    }
    acc
}

/// The same of `H` rows of a window, which come to `acc`.
#[inline(always)]
fn reduce_rows<T: Element, R: Reduce<T>, S: Simd<T>, const N: usize, const H: usize>(
    s: S,
    x: Lattice<'_, T>,
    row: usize,
    c: usize,
    acc: &mut [S::V; N],
) {
    let mut sums = [[s.splat(R::START); N]; H];
    for i in 0..H {
        sums[i] = load::<T, S, N>(s, &x.get([0, row + i, 0])[c..]);
    }
    for j in 1..x.counts()[0] {
        for i in 0..H {
            let x = load::<T, S, N>(s, &x.get([j, row + i, 0])[c..]);
            for v in 0..N {
                sums[i][v] = R::take(s, sums[i][v], x[v]);
            }
        }
    }
    for i in 0..H {
        for v in 0..N {
            acc[v] = R::take(s, acc[v], sums[i][v]);
        }
    }
}
