//! Several rows of [`COLUMNS`] neighbouring windows at a time, which share what they have in common.
//!
//! ```text
//!   x x x x x x    a row of the input is loaded once for all windows of the block,
//!   |___|          and reduced once for each of their columns;
//!     |___|
//!     r r r r      what it gave serves the windows above and below that have the same row:
//!     r r r r      the last rows stay in registers while the block is walked downwards,
//!     r r r r      a vector of channels at a time.
//!     y y y y
//! ```
//!
//! A window is reduced in the order of [`Reduce`], with `START` in place of the taps that are not there, so the bits are those
//! of [`reduce`](super::chunk::reduce).

use super::chunk::Reduce;
use super::forward::Finish;
use super::tiling::Source;
use crate::element::Element;
use crate::simd::{Lattice, Simd, each_vector};
use crate::tiles::Rows;
use crate::window::{PoolAxis, Taps};
use core::array::from_fn;

/// Windows of a block, side by side.
pub(super) const COLUMNS: usize = 4;
/// Rows of windows, at most.
pub(super) const ROWS: usize = 8;

/// Taps and steps of windows along both axes that there are blocks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ThreeByOne,
    ThreeByTwo,
}

impl Kind {
    pub fn of(axes: &[PoolAxis; 2]) -> Option<Self> {
        let of = |axis: &PoolAxis| match *axis {
            PoolAxis::Sliding { axis, .. } if axis.dilation == 1 => match (axis.kernel, axis.stride) {
                (3, 1) => Some(Kind::ThreeByOne),
                (3, 2) => Some(Kind::ThreeByTwo),
                _ => None,
            },
            _ => None,
        };
        of(&axes[0]).filter(|kind| of(&axes[1]) == Some(*kind))
    }
}

/// The taps of neighbouring windows along an axis, from the first one's first to the last one's last.
#[derive(Clone, Copy)]
struct Hull {
    /// Taps that lie before the input, in it, and behind it.
    before: usize,
    taps: Taps,
    behind: usize,
}

impl Hull {
    /// Of `count` windows from `first` on.
    fn of(axis: &PoolAxis, first: usize, count: usize) -> Option<Self> {
        let PoolAxis::Sliding { axis, input, .. } = *axis else { return None };
        let start = (first * axis.stride) as isize - axis.pad[0];
        let (len, input) = ((count - 1) * axis.stride + axis.kernel, input as isize);
        let inside = |i: isize| i.clamp(0, input) as usize;
        let taps = inside(start)..inside(start + len as isize);
        let before = (-start).clamp(0, len as isize) as usize;
        let taps = Taps { first: taps.start, step: 1, count: taps.len(), padded: 0 };
        Some(Hull { before, taps, behind: len - before - taps.count })
    }
}

/// `x` at the columns of a block.
#[derive(Clone, Copy)]
enum Columns<'a, T> {
    /// All columns, and all rows.
    Inside(Lattice<'a, T>),
    /// From the second column to the last but one, those two, if they are there, and how many rows lie before the image.
    Edge(Lattice<'a, T>, [Option<Lattice<'a, T>>; 2], usize),
}

/// Rows of `N` columns of the input.
trait Inputs<T: Element, const N: usize> {
    /// A vector of each column of row `i`, of the channels from `c` on. Must be `#[inline(always)]`, which a closure cannot be.
    fn row<S: Simd<T>>(&self, s: S, i: usize, c: usize) -> [S::V; N];
}

struct Inside<'a, T, const N: usize>(Lattice<'a, T>);

impl<T: Element, const N: usize> Inputs<T, N> for Inside<'_, T, N> {
    #[inline(always)]
    fn row<S: Simd<T>>(&self, s: S, i: usize, c: usize) -> [S::V; N] {
        let x = self.0.part(0, N);
        let mut inputs = [s.splat(T::ZERO); N];
        for j in 0..N {
            inputs[j] = s.load(&x.get([j, i, 0])[c..]);
        }
        inputs
    }
}

struct Edge<'a, T, const N: usize> {
    inner: Lattice<'a, T>,
    outer: [Option<Lattice<'a, T>>; 2],
    before: usize,
    /// What stands for an element that is not there.
    none: T,
}

impl<T: Element, const N: usize> Inputs<T, N> for Edge<'_, T, N> {
    #[inline(always)]
    fn row<S: Simd<T>>(&self, s: S, i: usize, c: usize) -> [S::V; N] {
        let (x, i) = (self.inner.part(0, N - 2), i.wrapping_sub(self.before));
        let mut inputs = [s.splat(self.none); N];
        if i < x.counts()[1] {
            for j in 1..N - 1 {
                inputs[j] = s.load(&x.get([j - 1, i, 0])[c..]);
            }
            if let Some(x) = &self.outer[0] {
                inputs[0] = s.load(&x.get([0, i, 0])[c..]);
            }
            if let Some(x) = &self.outer[1] {
                inputs[N - 1] = s.load(&x.get([0, i, 0])[c..]);
            }
        }
        inputs
    }
}

/// Windows side by side, some rows of them.
pub(super) struct Block<'a, T> {
    x: Columns<'a, T>,
    rows: usize,
    channels: usize,
    divisors: [[T; COLUMNS]; ROWS],
    /// The divisors are powers of two, and these their inverses: products have the same bits as quotients.
    is_inverse: bool,
}

impl<'a, T: Element> Block<'a, T> {
    /// `rows` of windows from `first` on, if no more than their first and last column lie outside of the input.
    pub fn new<F: Finish<T>>(
        axes: &[PoolAxis; 2],
        source: &Source<'a, T>,
        [oy, ox]: [usize; 2],
        rows: usize,
        channels: usize,
        finish: F,
    ) -> Option<Self> {
        let (height, width) = (Hull::of(&axes[0], oy, rows)?, Hull::of(&axes[1], ox, COLUMNS)?);
        if width.before > 1 || width.behind > 1 || rows > ROWS {
            return None;
        }
        let columns = |first: usize, count: usize| {
            let taps = Taps { first: width.taps.first + first, count, ..width.taps };
            source.lattice(height.taps, taps, channels)
        };
        let taps = [height, width].map(|hull| hull.before + hull.taps.count + hull.behind);
        let x = if [height.taps.count, width.taps.count] == taps {
            Columns::Inside(columns(0, taps[1]))
        } else {
            let first = (width.before == 0).then(|| columns(0, 1));
            let last = (width.behind == 0).then(|| columns(width.taps.count - 1, 1));
            Columns::Edge(columns(1 - width.before, taps[1] - 2), [first, last], height.before)
        };
        let mut block = Block { x, rows, channels, divisors: [[T::ONE; COLUMNS]; ROWS], is_inverse: false };
        if F::DIVIDES {
            block.divide(axes, [oy, ox], finish);
        }
        Some(block)
    }

    fn divide<F: Finish<T>>(&mut self, axes: &[PoolAxis; 2], [oy, ox]: [usize; 2], finish: F) {
        let columns: [Taps; COLUMNS] = from_fn(|k| axes[1].taps(ox + k));
        let mut is_inverse = true;
        for (row, divisors) in self.divisors[..self.rows].iter_mut().enumerate() {
            let rows = axes[0].taps(oy + row);
            for k in 0..COLUMNS {
                let count = finish.count(&super::chunk::Window { rows, cols: columns[k] });
                is_inverse &= count.is_power_of_two();
                divisors[k] = T::from_f64(count as f64);
            }
        }
        if is_inverse {
            self.divisors.as_flattened_mut().iter_mut().for_each(|d| *d = T::ONE / *d);
        }
        self.is_inverse = is_inverse;
    }

    /// Writes them to `y`, the rows of which are pixels. `false` where an element tells [`Reduce::refuses`]; then what `y`
    /// holds is undefined. There must be a vector of channels at least.
    #[inline(always)]
    pub fn run<S: Simd<T>, F: Finish<T>>(&self, s: S, kind: Kind, y: Rows<'_, T>) -> bool {
        match kind {
            Kind::ThreeByOne => self.each_vector::<S, F, 3, 1, 6>(s, y),
            Kind::ThreeByTwo => self.each_vector::<S, F, 3, 2, 9>(s, y),
        }
    }

    /// `N` columns of the input.
    #[inline(always)]
    fn each_vector<S: Simd<T>, F: Finish<T>, const K: usize, const STEP: usize, const N: usize>(
        &self,
        s: S,
        mut y: Rows<'_, T>,
    ) -> bool {
        const { assert!(N == (COLUMNS - 1) * STEP + K) };
        let n = self.channels;
        match self.x {
            Columns::Inside(x) => {
                let [columns, rows, _] = x.counts();
                assert!(columns == N && rows == (self.rows - 1) * STEP + K);
                let x = Inside::<T, N>(x);
                each_vector!(n, S::LANES, |c| {
                    if !self.vector::<S, F, K, STEP, N>(s, &x, c, &mut y) {
                        return false;
                    }
                });
            }
            Columns::Edge(inner, outer, before) => {
                let x = Edge::<T, N> { inner, outer, before, none: <F::Reduce as Reduce<T>>::START };
                each_vector!(n, S::LANES, |c| {
                    if !self.vector::<S, F, K, STEP, N>(s, &x, c, &mut y) {
                        return false;
                    }
                });
            }
        }
        true
    }

    /// The channels from `c` on.
    #[inline(always)]
    fn vector<S: Simd<T>, F: Finish<T>, const K: usize, const STEP: usize, const N: usize>(
        &self,
        s: S,
        x: &impl Inputs<T, N>,
        c: usize,
        y: &mut Rows<'_, T>,
    ) -> bool {
        macro_rules! row {
            ($i:expr) => {
                match row::<T, F::Reduce, S, K, STEP, N>(s, x.row(s, $i, c)) {
                    Some(row) => row,
                    None => return false,
                }
            };
        }
        let quick = F::Reduce::quick;
        let (mut older, mut old) = ([s.splat(F::Reduce::START); COLUMNS], [s.splat(F::Reduce::START); COLUMNS]);
        if K > STEP + 1 {
            older = row!(0);
        }
        if K > STEP {
            old = row!(K - STEP - 1);
        }
        for i in 0..self.rows {
            if STEP == 2 {
                older = old;
                old = row!(i * STEP + K - 2);
            }
            let new = row!(i * STEP + K - 1);
            let mut acc = [s.splat(F::Reduce::START); COLUMNS];
            for k in 0..COLUMNS {
                acc[k] =
                    if K == 3 { quick(s, F::Reduce::first(s, older[k]), old[k]) } else { F::Reduce::first(s, old[k]) };
                acc[k] = quick(s, acc[k], new[k]);
            }
            older = old;
            old = new;
            let mut y = y.block::<COLUMNS>(i * COLUMNS, c, S::LANES);
            for k in 0..COLUMNS {
                let mut value = acc[k];
                if F::DIVIDES {
                    let divisor = s.splat(self.divisors[i][k]);
                    value = if self.is_inverse { s.mul(value, divisor) } else { s.div(value, divisor) };
                }
                s.store(value, y.row(k));
            }
        }
        true
    }
}

/// A row of the input, reduced for each window; nothing where it has what a reduction refuses.
#[inline(always)]
fn row<T: Element, R: Reduce<T>, S: Simd<T>, const K: usize, const STEP: usize, const N: usize>(
    s: S,
    x: [S::V; N],
) -> Option<[S::V; COLUMNS]> {
    if R::refuses(s, x) {
        return None;
    }
    let mut row = [s.splat(R::START); COLUMNS];
    for k in 0..COLUMNS {
        row[k] = R::quick(s, x[k * STEP], x[k * STEP + 1]);
        if K == 3 {
            row[k] = R::quick(s, row[k], x[k * STEP + 2]);
        }
    }
    Some(row)
}
