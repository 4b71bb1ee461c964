//! Channels in vectors: a few vectors at a time, then one, then part of one.

use super::tiling::Source;
use crate::element::Element;
use crate::simd::Simd;
use crate::window::Taps;
use core::array::from_fn;

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
    if x.len() == N * S::LANES { from_fn(|v| s.load(&x[v * S::LANES..])) } else { [s.load_partial(x); N] }
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

/// What a window is reduced to, tap by tap.
pub(super) trait Reduce<T: Element>: Copy + Sync {
    const START: T;
    fn take<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V;
}

#[derive(Clone, Copy)]
pub struct Max;

impl<T: Element> Reduce<T> for Max {
    const START: T = T::NEG_INFINITY;

    #[inline(always)]
    fn take<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V {
        s.max(acc, x)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Sum;

impl<T: Element> Reduce<T> for Sum {
    const START: T = T::ZERO;

    #[inline(always)]
    fn take<S: Simd<T>>(s: S, acc: S::V, x: S::V) -> S::V {
        s.add(acc, x)
    }
}

/// Reduces channels `c..c + width` of a window, its taps in row-major order.
#[inline(always)]
pub(super) fn reduce<T: Element, R: Reduce<T>, S: Simd<T>, const N: usize>(
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
    for i in 0..window.rows.count {
        let row = source.row(window, i, 0..window.cols.count, c, width);
        for j in 0..window.cols.count {
            let x = load::<T, S, N>(s, row.tap(j));
            for v in 0..N {
                acc[v] = R::take(s, acc[v], x[v]);
            }
        }
    }
    acc
}
