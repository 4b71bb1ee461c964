//! Windows that slide, line by line: what they have in common is reduced once.
//!
//! ```text
//!   x x x x x x    a row of the input is reduced along itself: `h` for each column of windows,
//!   |___|
//!     |___|
//!     h h h h      which serves all windows above and below that have the row:
//!     h h h h      as many rows as a window has are kept, in scratch memory that stays in the first-level cache,
//!     h h h h
//!     y y y y      and reduced to a row of outputs.
//! ```
//!
//! A window is reduced in the order of [`Reduce`], so the bits are those of [`reduce`](super::chunk::reduce). Memory is walked
//! in the order in which it lies, which the hardware prefetches.

use super::chunk::{Chunked, Reduce, Window, by_chunks, load, store};
use super::forward::{Finish, Forward};
use crate::element::Element;
use crate::simd::{Divisor, Lattice, Op, Simd};
use crate::window::{PoolAxis, Taps};
use core::marker::PhantomData;
use core::ops::Range;

/// Elements of the rows that are kept, at most: a third of a first-level cache, or a half.
pub(super) const ROOM: usize = 1 << 12;
/// Channels that are reduced together, at most.
const CHANNELS: usize = 512;

/// Rows of windows that share rows of the input; none where windows share none.
pub(super) fn rows(axes: &[PoolAxis; 2]) -> Option<usize> {
    match axes[0] {
        PoolAxis::Sliding { axis, .. }
            if axis.dilation == 1 && axis.stride < axis.kernel && axis.kernel <= ROOM / 16 =>
        {
            Some(axis.kernel)
        }
        _ => None,
    }
}

/// A tile of windows that share rows. A function of its own: in one with them, single windows are slower.
pub(super) struct Sliding<'f, 'a, 'b, T, F> {
    pub tile: &'f mut Forward<'a, 'b, T, F>,
    /// Rows of a window.
    pub rows: usize,
}

impl<T: Element, F: Finish<T>> Op<T> for Sliding<'_, '_, '_, T, F> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Sliding { tile, rows } = self;
        let [_, height, width, channels] = *tile.part;
        // Whole pixels, if a few of them fit: they lie side by side.
        let room = (tile.kept.len() / rows).max(16);
        let parts = channels.count.div_ceil(CHANNELS.min(room / 16 * 16));
        let most = channels.count.div_ceil(parts).next_multiple_of(64).min(room / 16 * 16).min(channels.count);
        let columns = (room / most).clamp(1, width.count);
        for c in (0..channels.count).step_by(most) {
            for x in (0..width.count).step_by(columns) {
                let columns = x..(x + columns).min(width.count);
                let channels = c..(c + most).min(channels.count);
                if !(Strip { tile: &mut *tile, rows, columns: columns.clone(), channels }).run(s) {
                    tile.windows::<S, false>(s, 0..height.count, columns);
                }
            }
        }
    }
}

/// Some columns and channels of a tile.
struct Strip<'f, 'a, 'b, T, F> {
    tile: &'f mut Forward<'a, 'b, T, F>,
    rows: usize,
    columns: Range<usize>,
    channels: Range<usize>,
}

impl<T: Element, F: Finish<T>> Strip<'_, '_, '_, T, F> {
    /// `false` where it [refuses](Reduce::refuses) an element; then what the outputs hold is undefined.
    #[inline(always)]
    fn run<S: Simd<T>>(&mut self, s: S) -> bool {
        let (mut next, height) = (0, self.tile.part[1]);
        for oy in 0..height.count {
            let taps = self.tile.axes[0].taps(height.start + oy);
            for y in next.max(taps.first)..taps.first + taps.count {
                let done = match self.tile.axes[1].reach(1) {
                    2 => self.row::<S, 2>(s, y),
                    3 => self.row::<S, 3>(s, y),
                    _ => self.row::<S, 0>(s, y),
                };
                if !done {
                    return false;
                }
                next = y + 1;
            }
            self.outputs(s, oy, taps);
        }
        true
    }

    /// Windows from column `ox` on that have the same columns of taps: the first one's, and how many they are.
    #[inline(always)]
    fn alike(&self, ox: usize) -> (Taps, usize) {
        let first = self.tile.part[2].start;
        self.tile.axes[1].alike(first + ox, first + self.columns.end)
    }

    /// Keeps what row `y` of the input gives. `false` where it refuses an element. `K` columns of taps are
    /// unrolled; 0 stands for any number.
    #[inline(always)]
    fn row<S: Simd<T>, const K: usize>(&mut self, s: S, y: usize) -> bool {
        let (n, size) = (self.channels.len(), self.columns.len() * self.channels.len());
        let (axis, mut ox, mut refused) = (self.tile.axes[1], self.columns.start, false);
        while ox < self.columns.end {
            let (taps, count) = self.alike(ox);
            // Where windows overlap and lie side by side, all but the first one are taken as one of many channels.
            let is_flat = K > 0 && taps.count == K && axis.stride() == 1 && self.tile.source.is_dense(n);
            let flat = if is_flat { count - 1 } else { 0 };
            let at = y % self.rows * size + (ox - self.columns.start) * n;
            let (h, rest) = self.tile.kept[at..][..count * n].split_at_mut((count - flat) * n);
            let x = self.tile.source.windows(&axis, y..y + 1, taps, count, self.channels.end);
            for (i, h) in h.chunks_exact_mut(n).enumerate() {
                let (x, first) = (x.part(i, 1), self.channels.start);
                if K > 0 && taps.count == K {
                    refused |= along::<T, F::Reduce, S, K, true>(s, x, first, h);
                } else {
                    refused |= along::<T, F::Reduce, S, 0, true>(s, x, first, h);
                }
            }
            if flat > 0 {
                let taps = Taps { first: taps.first + 1, ..taps };
                let x = self.tile.source.windows(&axis, y..y + 1, taps, 1, flat * n);
                refused |= along::<T, F::Reduce, S, K, false>(s, x, 0, rest);
            }
            ox += count;
        }
        !refused
    }

    /// A row of outputs, all rows of which are kept.
    #[inline(always)]
    fn outputs<S: Simd<T>>(&mut self, s: S, oy: usize, rows: Taps) {
        let (channels, size) = (self.channels.len(), self.columns.len() * self.channels.len());
        let mut ox = self.columns.start;
        let is_flat = self.tile.y.is_dense() && channels == self.tile.part[3].count;
        while ox < self.columns.end {
            let (cols, count) = self.alike(ox);
            let divisor = F::DIVIDES.then(|| Divisor::new(self.tile.finish.count(&Window { rows, cols })));
            // Pixels side by side are one.
            let (pixels, n) = if is_flat { (1, count * channels) } else { (count, channels) };
            for i in 0..pixels {
                let pixel = [0, oy, ox + i];
                let at = (ox + i - self.columns.start) * channels;
                let h = |i: usize| &self.tile.kept[(rows.first + i) % self.rows * size + at..][..n];
                let y = if is_flat {
                    Some(self.tile.y.line(pixel, count))
                } else {
                    self.tile.y.slice(pixel, self.channels.start, n)
                };
                let is_scattered = y.is_none();
                let y = y.unwrap_or_else(|| &mut self.tile.pixel[..n]);
                if rows.count == 3 {
                    let h = [h(0), h(1), h(2)];
                    by_chunks(
                        s,
                        n,
                        Across::<T, F::Reduce, _> { h: |i| h[i], rows: 3, divisor, y, reduce: PhantomData },
                    );
                } else {
                    by_chunks(s, n, Across::<T, F::Reduce, _> { h, rows: rows.count, divisor, y, reduce: PhantomData });
                }
                if is_scattered {
                    self.tile.y.put(pixel, self.channels.start, &self.tile.pixel[..n]);
                }
            }
            ox += count;
        }
    }
}

/// One window, or several that lie side by side, in all channels. Whether it refuses an element.
#[inline(always)]
fn along<T: Element, R: Reduce<T>, S: Simd<T>, const K: usize, const ALL: bool>(
    s: S,
    x: Lattice<'_, T>,
    first: usize,
    h: &mut [T],
) -> bool {
    let (n, mut refused) = (h.len(), false);
    by_chunks(s, n, Along::<T, R, K, ALL> { x, first, h, refused: &mut refused, reduce: PhantomData });
    refused
}

/// Taps of a row, `K` of them or, where that is 0, any number; `ALL` of which are checked, or the last one only, where the
/// others are taps of another window.
struct Along<'a, T, R, const K: usize, const ALL: bool> {
    /// The axes are window and tap.
    x: Lattice<'a, T>,
    first: usize,
    h: &'a mut [T],
    refused: &'a mut bool,
    reduce: PhantomData<R>,
}

impl<T: Element, R: Reduce<T>, const K: usize, const ALL: bool> Chunked<T> for Along<'_, T, R, K, ALL> {
    #[inline(always)]
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize) {
        let (at, mut acc) = (self.first + c, [s.splat(R::START); N]);
        let (taps, mut refused) = (if K > 0 { K } else { self.x.counts()[1] }, s.nowhere());
        for j in 0..taps {
            let x = load::<T, S, N>(s, &self.x.get([0, j, 0])[at..][..width]);
            if ALL || j + 1 == taps {
                refused = R::refuses(s, x, refused);
            }
            for v in 0..N {
                acc[v] = if j == 0 { x[v] } else { R::quick(s, acc[v], x[v]) };
            }
        }
        *self.refused |= s.bits(refused) != 0;
        store::<T, S, N>(s, acc, &mut self.h[c..][..width]);
    }
}

/// Rows of a window.
struct Across<'a, T, R, H> {
    h: H,
    rows: usize,
    divisor: Option<Divisor<T>>,
    y: &'a mut [T],
    reduce: PhantomData<R>,
}

impl<'h, T: Element, R: Reduce<T>, H: Fn(usize) -> &'h [T]> Chunked<T> for Across<'_, T, R, H> {
    #[inline(always)]
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize) {
        let mut acc = [s.splat(R::START); N];
        for i in 0..self.rows {
            let h = load::<T, S, N>(s, &(self.h)(i)[c..][..width]);
            for v in 0..N {
                acc[v] = if i == 0 { R::first(s, h[v]) } else { R::quick(s, acc[v], h[v]) };
            }
        }
        if let Some(divisor) = self.divisor {
            acc = divisor.divide(s, acc);
        }
        store::<T, S, N>(s, acc, &mut self.y[c..][..width]);
    }
}
