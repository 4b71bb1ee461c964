//! Strips of rows, and which instance of the micro-kernel runs them.

use super::blocking::{narrow_rows, rows, square_rows, wide_rows};
use super::finish::Finish;
use super::folds::{ALL, LAST, LEAST_LANES, NONE};
use super::micro_kernel::{Segment, Start, Tiles};
use crate::element::Element;
use crate::simd::Simd;
use crate::tiles::Rows;

/// What will be wanted next, most often of B: a line is fetched for each term of a sum.
pub(super) struct Ahead<'a, T> {
    pub b: &'a [T],
    /// How far it was fetched.
    pub at: usize,
    /// Elements from a fetch to the next.
    pub step: usize,
}

/// Terms of a sum, at most, for which two panels of B stay in the first-level cache together with the rows of A.
pub(super) const FEW_TERMS: usize = 160;

/// Whether strips take two panels at a time, with fewer rows: of short sums that takes fewer steps.
pub(super) fn is_square<S: Simd<T>, T: Element>(n: usize, k: usize) -> bool {
    square_rows(rows(S::REGISTERS)) > 0 && k <= FEW_TERMS && n.is_multiple_of(4 * S::LANES)
}

/// The most rows of a strip of `n` columns.
pub(super) fn most_rows<S: Simd<T>, T: Element>(n: usize, is_square: bool, by: usize) -> usize {
    let (nr, most) = (2 * S::LANES, rows(S::REGISTERS));
    match n {
        _ if is_square => square_rows(most),
        n if n <= S::LANES => narrow_rows(most),
        // Three vectors, folded in two.
        n if by > 1 && n % nr > S::LANES => wide_rows(most),
        // The last three vectors fit into one tile, and there are not many before them.
        n if n > nr && n < 3 * nr && (1..=S::LANES).contains(&(n % nr)) => wide_rows(most),
        _ => most,
    }
}

/// Rows of A, in strips of the same height, times some panels of B.
pub(super) struct Strips<'a, 'c, T> {
    /// Rows of a strip, and panels that it takes at a time.
    pub height: usize,
    pub panels: usize,
    /// Terms that the last panel of B takes at a time; it is folded if that is more than one.
    pub by: usize,
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
pub(super) fn panels_at_a_time(rows: usize, is_square: bool) -> usize {
    [1, 1, 3, 2].get(rows).copied().unwrap_or(if is_square { 2 } else { 1 })
}

/// Rows of A that lie this many times their length apart are not fetched: most of it would not be used.
const NEAR: usize = 4;

/// Whether a level with so many registers has a tile of this size.
const fn is_tile(tile_rows: usize, vectors: usize, registers: usize) -> bool {
    tile_rows * vectors <= 2 * rows(registers)
        && (vectors != 4 || tile_rows <= 3 || tile_rows <= square_rows(rows(registers)))
}

/// Runs strips of at most [`rows`] rows.
#[inline(always)]
pub(super) fn strips<T: Element, S: Simd<T>>(s: S, t: &mut Strips<T>) {
    macro_rules! tiles {
        ($vectors:literal: $($rows:literal),*) => {
            match t.height {
                // The guard is a constant block, so a level is compiled for its own tiles only.
                $($rows if const { is_tile($rows, $vectors, S::REGISTERS) } => {
                    s.call(Tiles::<T, $rows, $vectors, NONE>(t))
                })*
                rows => unreachable!("a strip of {rows} rows and {} vectors", $vectors),
            }
        };
    }
    macro_rules! folded_tiles {
        ($folded:ident, $vectors:literal: $($rows:literal),*) => {
            match t.height {
                $($rows if const { S::LANES >= LEAST_LANES && is_tile($rows, $vectors, S::REGISTERS) } => {
                    s.call(Tiles::<T, $rows, $vectors, $folded>(t))
                })*
                rows => unreachable!("a strip of {rows} rows and {} vectors, folded", $vectors),
            }
        };
    }
    let nr = 2 * S::LANES;
    let (panels, all) = (t.panels, t.n);
    if panels > 1 && all >= panels * nr {
        t.n = all / (panels * nr) * (panels * nr);
        match panels {
            3 => tiles!(6: 2),
            _ => tiles!(4: 3, 4, 5, 6),
        }
        t.advance(nr, all - t.n);
    }
    // A last panel of one vector does not compute the second. Where there is room it joins the panel before it.
    let rest = t.n;
    let narrow = if rest % nr <= S::LANES { rest % nr } else { 0 };
    let joins = narrow > 0 && rest > nr && (4..=wide_rows(rows(S::REGISTERS))).contains(&t.height);
    let last = match rest % nr {
        _ if joins => nr + narrow,
        tail if t.by > 1 => tail,
        _ => narrow,
    };
    if rest > last {
        t.n = rest - last;
        tiles!(2: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
        t.advance(nr, last);
    }
    match (joins, t.by > 1) {
        _ if t.n == 0 => {}
        (true, true) => folded_tiles!(LAST, 3: 4, 5, 6, 7, 8, 9),
        (true, false) => tiles!(3: 4, 5, 6, 7, 8, 9),
        (false, true) if t.n > S::LANES => folded_tiles!(ALL, 3: 1, 2, 3, 4, 5, 6, 7, 8, 9),
        (false, true) => folded_tiles!(LAST, 1: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
        (false, false) => tiles!(1: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
    }
}

impl<'a, T> Strips<'a, '_, T> {
    /// What is fetched during a strip where nothing of B will be wanted: the rows of A behind its own, if it reads pixels as they
    /// lie (1x1). How far behind its first row they start, and elements from a fetch to the next.
    #[inline(always)]
    pub fn rows_ahead<const ROWS: usize>(&self, panels: usize) -> Option<(usize, usize)> {
        let ([segment], [first, second, ..]) = (self.segments, self.a_at) else { return None };
        let pitch = second.wrapping_sub(*first);
        if self.ahead.step > 0 || pitch > NEAR * segment.len {
            return None;
        }
        let step = (ROWS * pitch).div_ceil((panels * segment.len).max(1));
        Some((segment.a.wrapping_add(ROWS * pitch), step))
    }

    /// Goes on behind the columns that are done, whole panels, of which `n` are left.
    #[inline(always)]
    fn advance(&mut self, nr: usize, n: usize) {
        self.b = &self.b[(self.n / nr * self.panel_len).min(self.b.len())..];
        self.column += self.n;
        self.n = n;
    }
}
