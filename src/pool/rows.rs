//! Windows of 2x2 and 3x3 taps, several rows of them at a time.
//!
//! ```text
//!   x x x x      each row of the input is reduced along itself, in registers, and serves all windows that have it:
//!   x x x x      of four rows of windows at stride 1, six rows of the input are read.
//!   x x x x
//!   x x x x  ->  y y
//!   x x x x      y y
//!   x x x x
//! ```
//!
//! Where windows overlap along a row as well and pixels lie side by side, all whole windows of a row are one window of many
//! channels, whose taps are the same memory, one pixel on.

use super::chunk::{Chunked, Reduce, Window, by_chunks, load, store};
use super::forward::{Finish, Forward};
use crate::element::Element;
use crate::simd::{Divisor, Lattice, Op, Simd, unrolled};
use crate::tiles::Places;
use crate::window::{PoolAxis, Taps};
use core::array::from_fn;
use core::marker::PhantomData;
use core::ops::Range;

/// Any number of taps along an axis.
const ANY: usize = 0;
/// Rows of windows at a time, at most.
const MOST: usize = 4;

/// Taps and stride of square windows.
pub(super) fn square(axes: &[PoolAxis; 2]) -> Option<[usize; 2]> {
    let window = |axis: &PoolAxis| match axis {
        PoolAxis::Sliding { axis, .. } if axis.dilation == 1 => Some([axis.kernel, axis.stride]),
        _ => None,
    };
    window(&axes[0]).filter(|&rows| window(&axes[1]) == Some(rows))
}

/// Rows of windows that are best taken together.
pub(super) fn together(axes: &[PoolAxis; 2]) -> usize {
    match square(axes) {
        Some([3, 1]) => MOST,
        Some([3 | 2, 2]) => 2,
        _ => 1,
    }
}

/// Rows of windows at a time, with so many registers.
const fn rows_at_a_time(stride: usize, registers: usize) -> usize {
    if stride == 1 && registers >= 32 { MOST } else { 2 }
}

/// A tile of windows of `K` times `K` taps, with two rows of them at least, whose channels are contiguous.
pub(super) struct Several<'f, 'a, 'b, T, F, const K: usize, const STRIDE: usize>(pub &'f mut Forward<'a, 'b, T, F>);

impl<T: Element, F: Finish<T>, const K: usize, const STRIDE: usize> Op<T> for Several<'_, '_, '_, T, F, K, STRIDE> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, s: S) {
        let (rows, mut row, mut refused) = (self.0.part[1].count, 0, false);
        while row < rows && !refused {
            let (most, few) = (const { rows_at_a_time(STRIDE, S::REGISTERS) }, 2);
            let high = if rows - row > few && rows >= most { most } else { few };
            // Rather a row twice than one alone.
            let first = row.min(rows - high);
            macro_rules! line {
                ($($high:literal)*) => {
                    $(if const { $high <= rows_at_a_time(STRIDE, S::REGISTERS) } && high == $high {
                        refused = self.line::<S, $high>(s, first);
                    })*
                };
            }
            line!(2 4);
            row = first + high;
        }
        if refused {
            self.0.windows::<S, false>(s, 0..rows, 0..self.0.part[2].count);
        }
    }
}

impl<T: Element, F: Finish<T>, const K: usize, const STRIDE: usize> Several<'_, '_, '_, T, F, K, STRIDE> {
    /// `H` rows of windows from `oy` on. Whether it [refuses](Reduce::refuses) an element; then what the outputs hold is undefined.
    #[inline(always)]
    fn line<S: Simd<T>, const H: usize>(&mut self, s: S, oy: usize) -> bool {
        let Forward { axes, part, source, y, finish, .. } = &mut *self.0;
        let (width, channels, first) = (part[2].count, part[3].count, part[1].start + oy);
        let rows: [Taps; H] = from_fn(|h| axes[0].taps(first + h));
        let (inside, top) = axes[0].inside(first, H);
        let (mut ox, mut refused) = (0, false);
        while ox < width {
            let (cols, alike) = axes[1].alike(part[2].start + ox, part[2].start + width);
            let count = |h: usize| finish.count(&Window { rows: rows[h], cols });
            let divisors: [_; H] = from_fn(|h| F::DIVIDES.then(|| Divisor::new(count(h))));
            // The taps of a window that the one before it has are checked with that one.
            let (is_next, inside) = (ox > 0 && cols.count == K, if cols.count > 0 { inside.clone() } else { 0..0 });
            let count = if ox == 0 { 1 } else { alike };
            let is_flat = is_next && STRIDE == 1 && source.is_dense(channels) && y.is_dense();
            let (pixels, n) = if is_flat { (1, count * channels) } else { (count, channels) };
            let x = source.windows(&axes[1], top..top + inside.len(), cols, pixels, n);
            let y = if is_flat { y.lines([oy, ox], H, count) } else { y.places([oy, ox], [H, pixels], [false; 2]) };
            let Some(mut y) = y else { return true };
            for pixel in 0..pixels {
                let (x, inside, y, refused) = (x.part(pixel, 1), inside.clone(), &mut y, &mut refused);
                macro_rules! rows {
                    ($taps:ident, $all:literal) => {
                        by_chunks(
                            s,
                            n,
                            Rows::<T, F::Reduce, K, STRIDE, H, $taps, $all> {
                                x,
                                inside,
                                y,
                                pixel,
                                divisors,
                                refused,
                                reduce: PhantomData,
                            },
                        )
                    };
                }
                match (is_next, inside.len() == (H - 1) * STRIDE + K) {
                    (true, true) => rows!(K, true),
                    (true, false) => rows!(K, false),
                    (false, _) => rows!(ANY, false),
                }
            }
            ox += count;
        }
        refused
    }
}

/// Windows above each other, with `TAPS` columns of taps, the last `STRIDE` of which are checked, or `ANY`, all of which are.
/// `ALL` of their rows lie in the input, or some.
struct Rows<'r, 'a, 'y, T, R, const K: usize, const STRIDE: usize, const H: usize, const TAPS: usize, const ALL: bool> {
    /// The axes are window, tap and row.
    x: Lattice<'a, T>,
    /// Which rows of the windows lie in the input.
    inside: Range<usize>,
    y: &'r mut Places<'y, T>,
    pixel: usize,
    divisors: [Option<Divisor<T>>; H],
    refused: &'r mut bool,
    reduce: PhantomData<R>,
}

impl<T: Element, R: Reduce<T>, const K: usize, const STRIDE: usize, const H: usize, const TAPS: usize, const ALL: bool>
    Chunked<T> for Rows<'_, '_, '_, T, R, K, STRIDE, H, TAPS, ALL>
{
    #[inline(always)]
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize) {
        let [_, taps, rows] = self.x.counts();
        assert!(rows == self.inside.len() && (TAPS == ANY || taps == TAPS) && (!ALL || rows == (H - 1) * STRIDE + K));
        let taps = if TAPS == ANY { taps } else { TAPS };
        let (mut acc, mut refused) = ([[s.splat(R::START); N]; H], s.nowhere());
        unrolled!(@ row, (H - 1) * STRIDE + K, {
            if ALL || self.inside.contains(&row) {
                let at = if ALL { row } else { row - self.inside.start };
                // Along itself.
                let mut h = [s.splat(R::START); N];
                for j in 0..taps {
                    let x = load::<T, S, N>(s, &self.x.get([0, j, at])[c..][..width]);
                    if TAPS == ANY || j + STRIDE >= TAPS {
                        refused = R::refuses(s, x, refused);
                    }
                    for v in 0..N {
                        h[v] = if j == 0 { x[v] } else { R::quick(s, h[v], x[v]) };
                    }
                }
                unrolled!(@ y, H, {
                    if row >= y * STRIDE && row < y * STRIDE + K {
                        for v in 0..N {
                            acc[y][v] = if row == y * STRIDE { R::first(s, h[v]) } else { R::quick(s, acc[y][v], h[v]) };
                        }
                    }
                }, 0 1 2 3);
            }
        }, 0 1 2 3 4 5);
        *self.refused |= s.bits(refused) != 0;
        unrolled!(@ h, H, {
            if let Some(divisor) = self.divisors[h] {
                acc[h] = divisor.divide(s, acc[h]);
            }
            store::<T, S, N>(s, acc[h], self.y.part([h, self.pixel], c, width));
        }, 0 1 2 3);
    }
}
