//! The micro-kernel, once for both types and all levels.
//!
//! ```text
//! c[i][j] = finish(start[i][j] + sum over k of a[i][k] * b[k][j])      i in 0..ROWS, j in 0..VECTORS * LANES
//! ```
//!
//! The terms of a sum come in segments: stretches that are contiguous in every row of A, times as many rows of B. So an
//! image is read in place, and a tap that lies in the padding is a segment less.

use super::folds::{self, ALL, LAST, NONE, add_folded, add_folded_rows};
use super::row::add_row;
use super::strips::Strips;
use crate::activation::Bounds;
use crate::element::Element;
use crate::simd::{Op, Scattered, Simd, unrolled};
use core::array::from_fn;
use core::ops::Range;

/// `len` terms of a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub len: usize,
    /// From the start of a row of A, modulo the size of the address space.
    pub a: usize,
    /// The first row of B.
    pub b: usize,
}

/// What a sum starts from.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a, T> {
    Zero,
    /// A value a column, `n` of them.
    Bias(&'a [T]),
    /// What is in C.
    C,
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Rows of B from the one in use to the one that is fetched from the second-level cache. Vectors of a whole line each take more from
/// there than Intel's cores fetch by themselves (3x3 layers on Granite Rapids: 2 to 5 %); narrower ones do not, and a vector alone
/// has no time for it.
const SOON: usize = 16;

/// Strips of `ROWS` rows and `VECTORS` vectors.
pub(super) struct Tiles<'s, 'a, 'c, T, const ROWS: usize, const VECTORS: usize, const FOLDED: u8>(
    pub &'s mut Strips<'a, 'c, T>,
);

impl<T: Element, const ROWS: usize, const VECTORS: usize, const FOLDED: u8> Op<T>
    for Tiles<'_, '_, '_, T, ROWS, VECTORS, FOLDED>
{
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let t = self.0;
        let (lanes, nr) = (S::LANES, 2 * S::LANES);
        let width = VECTORS.max(2) * lanes;
        let (mut ahead, mut step) = (t.ahead.b.as_ptr(), t.ahead.step);
        let mut ahead_at = t.ahead.at;
        let rows = Scattered::new(t.a, t.a_at);
        let near = t.rows_ahead::<ROWS>(t.n.div_ceil(width));
        for (i, first) in (0..t.a_at.len() / ROWS).flat_map(|i| (0..t.n).step_by(width).map(move |first| (i, first))) {
            let row = t.row + i * ROWS;
            if first == 0
                && let Some((behind, each)) = near
            {
                (ahead, ahead_at, step) = (t.a.as_ptr().wrapping_add(t.a_at[i * ROWS].wrapping_add(behind)), 0, each);
            }
            let (column, n) = (t.column + first, (VECTORS * lanes).min(t.n - first));
            let mut c = t.c.block::<ROWS>(row, column, n);
            let whole = n == VECTORS * lanes;
            let mut acc = match t.start {
                Start::Bias(bias) => [load::<T, S, VECTORS>(s, &bias[column..][..n], whole); ROWS],
                _ => [[s.splat(T::ZERO); VECTORS]; ROWS],
            };
            if let Start::C = t.start {
                unrolled!(i in 0..ROWS, { acc[i] = load(s, c.row(i), whole); });
            }
            let panels = &t.b[first / nr * t.panel_len..];
            // Folded sums are added to each other, and to what they start from, when all terms are there.
            let starts = acc;
            if FOLDED != NONE && ROWS > 1 {
                unrolled!(i in 0..ROWS, {
                    unrolled!(v in 0..VECTORS, {
                        if FOLDED == ALL || v + 1 == VECTORS {
                            acc[i][v] = s.splat(T::ZERO);
                        }
                    });
                });
            }
            let segments = if ROWS == 1 {
                acc[0] = add_row::<T, S, VECTORS, FOLDED>(s, acc[0], t.segments, (t.a, t.a_at[i]), panels, t.by);
                &[]
            } else {
                t.segments
            };
            for segment in segments {
                // Cut to length here, walked by `zip`: no bounds check is left in the loop below. An index instead of
                // the `zip` leaves one, and the compiler answers with spilled accumulators.
                let len = segment.len;
                let a: [&[T]; ROWS] = rows.read(i * ROWS, segment.a, len);
                let from = segment.b * nr;
                // A single vector, so many terms at a time.
                macro_rules! folded {
                    ($($by:literal),*) => {
                        match t.by {
                            $($by if const { $by <= S::LANES } => {
                                let b = &panels[segment.b / $by * lanes..][..len / $by * lanes];
                                let a: [&[[T; $by]]; ROWS] = from_fn(|i| &a[i].as_chunks().0[..len / $by]);
                                for (k, b) in (0..len / $by).zip(b.chunks_exact(lanes)) {
                                    s.prefetch(ahead.wrapping_add(ahead_at));
                                    ahead_at += $by * step;
                                    let b = s.load(b);
                                    unrolled!(i in 0..ROWS, { acc[i][0] = s.mul_add(s.cycle(&a[i][k]), b, acc[i][0]); });
                                }
                            })*
                            by => unreachable!("{by} terms at a time"),
                        }
                    };
                }
                if FOLDED == LAST && VECTORS == 1 {
                    assert!(len.is_multiple_of(t.by), "terms of which some are left");
                    folded!(2, 4, 8, 16);
                } else if FOLDED != NONE {
                    assert!(len.is_multiple_of(2), "pairs of terms");
                    let b = &panels[from..][..len * nr];
                    let last = match FOLDED {
                        LAST => &panels[t.panel_len + segment.b / 2 * lanes..][..len / 2 * lanes],
                        _ => b,
                    };
                    let a: [&[[T; 2]]; ROWS] = from_fn(|i| &a[i].as_chunks().0[..len / 2]);
                    let last = last.chunks_exact(folds::step(FOLDED, lanes));
                    for ((k, b), last) in (0..len / 2).zip(b.chunks_exact(2 * nr)).zip(last) {
                        // Terms by themselves: all vectors but the last one.
                        unrolled!(@ half, 2, {
                            s.prefetch(ahead.wrapping_add(ahead_at));
                            ahead_at += step;
                            if FOLDED == LAST {
                                let b: [S::V; VECTORS] = from_fn(|v| s.load(&b[half * nr + v.min(1) * lanes..]));
                                unrolled!(i in 0..ROWS, {
                                    let a = s.splat(a[i][k][half]);
                                    unrolled!(v in 0..VECTORS - 1, { acc[i][v] = s.mul_add(a, b[v], acc[i][v]); });
                                });
                            }
                        }, 0 1);
                        let first = if FOLDED == ALL { 0 } else { VECTORS - 1 };
                        let b: [S::V; VECTORS] = from_fn(|v| s.load(&last[v.saturating_sub(first) * lanes..]));
                        unrolled!(i in 0..ROWS, {
                            let a = s.cycle(&a[i][k]);
                            unrolled!(v in 0..VECTORS, {
                                if v >= first {
                                    acc[i][v] = s.mul_add(a, b[v], acc[i][v]);
                                }
                            });
                        });
                    }
                } else if VECTORS <= 3 {
                    // Tall: the vectors of B stay in registers, A comes one by one. A third vector is the next panel's.
                    let next = if VECTORS == 3 { t.panel_len } else { 0 };
                    let (b, last) = (&panels[from..][..len * nr], &panels[next + from..][..len * nr]);
                    for ((k, b), last) in (0..len).zip(b.chunks_exact(nr)).zip(last.chunks_exact(nr)) {
                        s.prefetch(ahead.wrapping_add(ahead_at));
                        ahead_at += step;
                        if VECTORS > 1 && lanes * size_of::<T>() == LINE {
                            unrolled!(v in 0..VECTORS, {
                                let b = if v < 2 { &b[v * lanes..] } else { last };
                                s.prefetch(b.as_ptr().wrapping_add(SOON * nr));
                            });
                        }
                        let b: [S::V; VECTORS] = from_fn(|v| s.load(if v < 2 { &b[v * lanes..] } else { last }));
                        unrolled!(i in 0..ROWS, {
                            let a = s.splat(a[i][k]);
                            unrolled!(v in 0..VECTORS, { acc[i][v] = s.mul_add(a, b[v], acc[i][v]); });
                        });
                    }
                } else {
                    // Wide: all of A stays in registers, B comes one by one. The order above would need a register too
                    // many.
                    let [first, second, third] = from_fn(|p| {
                        let p = p.min(VECTORS / 2 - 1);
                        panels[p * t.panel_len + from..][..len * nr].chunks_exact(nr)
                    });
                    for (((k, first), second), third) in (0..len).zip(first).zip(second).zip(third) {
                        s.prefetch(ahead.wrapping_add(ahead_at));
                        ahead_at += step;
                        let a: [S::V; ROWS] = from_fn(|i| s.splat(a[i][k]));
                        unrolled!(@ p, VECTORS / 2, {
                            unrolled!(@ v, 2, {
                                let b = s.load(&[first, second, third][p][v * lanes..]);
                                unrolled!(i in 0..ROWS, {
                                    acc[i][2 * p + v] = s.mul_add(a[i], b, acc[i][2 * p + v]);
                                });
                            }, 0 1);
                        }, 0 1 2);
                    }
                }
            }
            if FOLDED != NONE && ROWS > 1 {
                macro_rules! add_folded {
                    ($($by:literal),*) => {
                        match t.by {
                            $($by if const { VECTORS == 1 && $by <= S::LANES } => {
                                acc = add_folded_rows::<T, S, ROWS, VECTORS, $by>(s, n, &starts, acc);
                            })*
                            _ => {
                                unrolled!(i in 0..ROWS, {
                                    acc[i] = add_folded::<T, S, VECTORS, FOLDED>(s, 2, starts[i], acc[i]);
                                });
                            }
                        }
                    };
                }
                add_folded!(4, 8, 16);
            }
            if let Some((data, starts)) = t.finish.addend {
                unrolled!(i in 0..ROWS, {
                    let more = load::<T, S, VECTORS>(s, &data[starts[row + i] + column..][..n], whole);
                    unrolled!(v in 0..VECTORS, { acc[i][v] = s.add(acc[i][v], more[v]); });
                });
            }
            if t.finish.accumulates {
                unrolled!(i in 0..ROWS, {
                    let more = load::<T, S, VECTORS>(s, c.row(i), whole);
                    unrolled!(v in 0..VECTORS, { acc[i][v] = s.add(acc[i][v], more[v]); });
                });
            }
            match t.finish.bounds {
                Bounds::None => {}
                Bounds::Relu => {
                    unrolled!(i in 0..ROWS, {
                        unrolled!(v in 0..VECTORS, { acc[i][v] = s.max(acc[i][v], s.splat(T::ZERO)); });
                    });
                }
                Bounds::Clamp([min, max]) => {
                    let (min, max) = (s.splat(min), s.splat(max));
                    unrolled!(i in 0..ROWS, {
                        unrolled!(v in 0..VECTORS, { acc[i][v] = s.min(s.max(acc[i][v], min), max); });
                    });
                }
            }
            if whole {
                unrolled!(i in 0..ROWS, {
                    let c = c.row(i);
                    unrolled!(v in 0..VECTORS, { s.store(acc[i][v], &mut c[v * lanes..]); });
                });
            } else {
                unrolled!(i in 0..ROWS, {
                    let c = c.row(i);
                    unrolled!(v in 0..VECTORS, { s.store_partial(acc[i][v], &mut c[part::<T, S>(v, n)]); });
                });
            }
        }
        if t.ahead.step > 0 {
            t.ahead.at = ahead_at;
        }
    }
}

// Functions, not closures: a closure that is used twice may stay one, and loses the level's instructions.

/// The elements of vector `v` of `n`.
#[inline(always)]
fn part<T, S: Simd<T>>(v: usize, n: usize) -> Range<usize> {
    (v * S::LANES).min(n)..((v + 1) * S::LANES).min(n)
}

/// The vectors of a row, as far as there are columns.
#[inline(always)]
fn load<T: Element, S: Simd<T>, const VECTORS: usize>(s: S, x: &[T], whole: bool) -> [S::V; VECTORS] {
    let mut vectors = [s.splat(T::ZERO); VECTORS];
    unrolled!(@ v, VECTORS, {
        vectors[v] = if whole { s.load(&x[v * S::LANES..]) } else { s.load_partial(&x[part::<T, S>(v, x.len())]) };
    }, 0 1 2 3 4 5);
    vectors
}
