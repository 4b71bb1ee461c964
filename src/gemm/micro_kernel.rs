//! The micro-kernel, once for both types and all levels.
//!
//! ```text
//! c[i][j] = finish(start[i][j] + sum over k of a[i][k] * b[k][j])      i in 0..ROWS, j in 0..VECTORS * LANES
//! ```
//!
//! The terms of a sum come in segments: stretches that are contiguous in every row of A, times as many rows of B. So an
//! image is read in place, and a tap that lies in the padding is a segment less.

use super::blocking::{rows, wide_rows};
use super::finish::Finish;
use crate::activation::Bounds;
use crate::element::Element;
use crate::simd::{Op, Simd, unrolled};
use crate::tiles::Rows;
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

/// What will be wanted next, most often of B: a line is fetched for each term of a sum.
pub(super) struct Ahead<'a, T> {
    pub b: &'a [T],
    /// How far it was fetched.
    pub at: usize,
    /// Elements from a fetch to the next.
    pub step: usize,
}

/// Rows of A, in strips of the same height, times some panels of B.
pub(super) struct Strips<'a, 'c, T> {
    /// Rows of a strip.
    pub height: usize,
    pub a: &'a [T],
    /// Where the rows start in `a`, modulo the size of the address space: whole strips.
    pub a_at: &'a [usize],
    pub segments: &'a [Segment],
    /// From the first panel on, `panel_len` elements each.
    pub b: &'a [T],
    pub panel_len: usize,
    pub ahead: Ahead<'a, T>,
    pub c: &'a mut Rows<'c, T>,
    /// The first row and column in C, and how many columns.
    pub row: usize,
    pub column: usize,
    pub n: usize,
    pub start: Start<'a, T>,
    pub finish: &'a Finish<'a, T>,
}

/// Two or three rows do not keep the units busy: they take several panels at a time. (One row has its sums in chains instead, and
/// reads one stream of weights: it waits for nothing but memory.)
#[inline(always)]
pub(super) fn panels_at_a_time(rows: usize) -> usize {
    [1, 1, 3, 2].get(rows).copied().unwrap_or(1)
}

/// Chains of the sum of a row that is alone in its strip: its additions would wait for each other in one.
const CHAINS: usize = 4;

/// Terms that are not worth more than one chain.
const SHORT: usize = 64;

/// The terms of each chain of a segment of so many, which are summed each on its own, and then one after the other.
#[inline(always)]
pub(crate) fn chains(len: usize) -> [Range<usize>; CHAINS] {
    let quarter = if len < SHORT { 0 } else { len / CHAINS };
    from_fn(|i| i * quarter..if i + 1 < CHAINS { (i + 1) * quarter } else { len })
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Rows of B from the one in use to the one that is fetched from the second-level cache. Vectors of a whole line each take more from
/// there than Intel's cores fetch by themselves (3x3, 128 -> 128 at 28x28 on Granite Rapids: 7 %); narrower ones do not.
const SOON: usize = 16;

/// Rows of A that lie this many times their length apart are not fetched: most of it would not be used.
const NEAR: usize = 4;

/// Runs strips of at most [`rows`] rows.
#[inline(always)]
pub(super) fn strips<T: Element, S: Simd<T>>(s: S, t: &mut Strips<T>) {
    macro_rules! tiles {
        ($vectors:literal: $($rows:literal),*) => {
            match t.height {
                // The guard is a constant block, so a level is compiled for its own tiles only.
                $($rows if const { $rows * $vectors <= 2 * rows(S::REGISTERS) } => s.call(Tiles::<T, $rows, $vectors>(t)),)*
                rows => unreachable!("a strip of {rows} rows and {} vectors", $vectors),
            }
        };
    }
    let nr = 2 * S::LANES;
    let panels = panels_at_a_time(t.height);
    let all = t.n;
    if panels > 1 && all >= panels * nr {
        t.n = all / (panels * nr) * (panels * nr);
        match panels {
            3 => tiles!(6: 2),
            _ => tiles!(4: 3),
        }
        t.advance(nr, all - t.n);
    }
    // A last panel of one vector does not compute the second. Where there is room it joins the panel before it.
    let rest = t.n;
    let narrow = if rest % nr <= S::LANES { rest % nr } else { 0 };
    let joins = narrow > 0 && rest > nr && (4..=wide_rows(rows(S::REGISTERS))).contains(&t.height);
    let last = if joins { nr + narrow } else { narrow };
    if rest > last {
        t.n = rest - last;
        tiles!(2: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
        t.advance(nr, last);
    }
    if joins {
        tiles!(3: 4, 5, 6, 7, 8, 9);
    } else if t.n > 0 {
        tiles!(1: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
    }
}

impl<'a, T> Strips<'a, '_, T> {
    /// What is fetched during a strip where nothing of B will be wanted: the rows of A behind its own, if it reads pixels as they
    /// lie (1x1).
    #[inline(always)]
    fn rows_ahead(&self, a_at: &[usize], panels: usize) -> Option<Ahead<'a, T>> {
        let ([segment], [.., before, last]) = (self.segments, a_at) else { return None };
        let pitch = last.wrapping_sub(*before);
        if self.ahead.step > 0 || pitch > NEAR * segment.len {
            return None;
        }
        let b = self.a.get(last.wrapping_add(segment.a).wrapping_add(pitch)..)?;
        Some(Ahead { b, at: 0, step: (a_at.len() * pitch).div_ceil((panels * segment.len).max(1)) })
    }

    /// Goes on behind the columns that are done, whole panels, of which `n` are left.
    #[inline(always)]
    fn advance(&mut self, nr: usize, n: usize) {
        self.b = &self.b[(self.n / nr * self.panel_len).min(self.b.len())..];
        self.column += self.n;
        self.n = n;
    }
}

struct Tiles<'s, 'a, 'c, T, const ROWS: usize, const VECTORS: usize>(&'s mut Strips<'a, 'c, T>);

impl<T: Element, const ROWS: usize, const VECTORS: usize> Op<T> for Tiles<'_, '_, '_, T, ROWS, VECTORS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let t = self.0;
        let (lanes, nr) = (S::LANES, 2 * S::LANES);
        let width = VECTORS.max(2) * lanes;
        let (mut ahead, mut step) = (t.ahead.b.as_ptr(), t.ahead.step);
        let mut ahead_at = t.ahead.at;
        let places = t.a_at.as_chunks::<ROWS>().0.iter().zip((t.row..).step_by(ROWS));
        for ((a_at, row), first) in places.flat_map(|place| (0..t.n).step_by(width).map(move |first| (place, first))) {
            if first == 0
                && let Some(rows) = t.rows_ahead(a_at, t.n.div_ceil(width))
            {
                (ahead, ahead_at, step) = (rows.b.as_ptr(), rows.at, rows.step);
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
            let mut sums = [[s.splat(T::ZERO); VECTORS]; CHAINS];
            let panels = &t.b[first / nr * t.panel_len..];
            for segment in t.segments {
                // Cut to length here, walked by `zip`: no bounds check is left in the loop below. An index instead of
                // the `zip` leaves one, and the compiler answers with spilled accumulators.
                let len = segment.len;
                let a: [&[T]; ROWS] = from_fn(|i| &t.a[a_at[i].wrapping_add(segment.a)..][..len]);
                let from = segment.b * nr;
                if ROWS == 1 {
                    // In chains, which follow each other in memory. The last one may be longer.
                    let (of, b) = (chains(len), &panels[from..][..len * nr]);
                    let shared = of[0].len();
                    let a: [&[T]; CHAINS] = from_fn(|i| &a[0][of[i].clone()]);
                    let mut b: [_; CHAINS] = from_fn(|i| b[of[i].start * nr..].chunks_exact(nr));
                    for k in 0..shared {
                        unrolled!(i in 0..CHAINS, {
                            let (a, b) = (s.splat(a[i][k]), b[i].next().expect("as many rows of B as terms"));
                            unrolled!(v in 0..VECTORS, {
                                sums[i][v] = s.mul_add(a, s.load(&b[v * lanes..]), sums[i][v]);
                            });
                        });
                    }
                    for (&a, b) in a[CHAINS - 1][shared..].iter().zip(&mut b[CHAINS - 1]) {
                        unrolled!(v in 0..VECTORS, {
                            sums[CHAINS - 1][v] = s.mul_add(s.splat(a), s.load(&b[v * lanes..]), sums[CHAINS - 1][v]);
                        });
                    }
                } else if VECTORS <= 3 {
                    // Tall: the vectors of B stay in registers, A comes one by one. A third vector is the next panel's.
                    let next = if VECTORS == 3 { t.panel_len } else { 0 };
                    let (b, last) = (&panels[from..][..len * nr], &panels[next + from..][..len * nr]);
                    for ((k, b), last) in (0..len).zip(b.chunks_exact(nr)).zip(last.chunks_exact(nr)) {
                        s.prefetch(ahead.wrapping_add(ahead_at));
                        ahead_at += step;
                        if lanes * size_of::<T>() == LINE {
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
                    let mut b: [_; 3] = from_fn(|p| {
                        let p = p.min(VECTORS / 2 - 1);
                        panels[p * t.panel_len + from..][..len * nr].chunks_exact(nr)
                    });
                    for k in 0..len {
                        s.prefetch(ahead.wrapping_add(ahead_at));
                        ahead_at += step;
                        let a: [S::V; ROWS] = from_fn(|i| s.splat(a[i][k]));
                        unrolled!(@ p, VECTORS / 2, {
                            let b = b[p].next().expect("as many rows of B as terms");
                            unrolled!(@ v, 2, {
                                let b = s.load(&b[v * lanes..]);
                                unrolled!(i in 0..ROWS, {
                                    acc[i][2 * p + v] = s.mul_add(a[i], b, acc[i][2 * p + v]);
                                });
                            }, 0 1);
                        }, 0 1 2);
                    }
                }
            }
            if ROWS == 1 {
                unrolled!(v in 0..VECTORS, {
                    unrolled!(i in 0..CHAINS, { acc[0][v] = s.add(acc[0][v], sums[i][v]); });
                });
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
        t.ahead.at = ahead_at;
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
    if whole {
        from_fn(|v| s.load(&x[v * S::LANES..]))
    } else {
        from_fn(|v| s.load_partial(&x[part::<T, S>(v, x.len())]))
    }
}
