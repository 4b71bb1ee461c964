//! Which tap a maximum comes from.
//!
//! A lane's winner is kept as two numbers of the element type, in registers: a segment of the window, and an offset in
//! its segment. A segment is all of the window, or, where offsets would not be exact in `f32`, a part of one row. So
//! indices are exact for planes of any size, and nothing leaves the registers before the last tap.

use super::chunk::{CHUNK, Chunked, Max, Reduce, Window, by_chunks, load, store};
use super::forward::work;
use super::pooled_shape;
use super::tiling::{Source, Tiling, zero};
use crate::element::Element;
use crate::error::Error;
use crate::run::{Run, Write};
use crate::simd::{Op, Simd};
use crate::tensor::{View, ViewMut, check_shape};
use crate::tiles::{Box4, Tile};
use crate::window::PoolAxis;
use core::ops::Range;

/// Offsets below this are exact in `f32`.
const EXACT: usize = 1 << 24;

/// How a window is cut into segments: some of its rows, or a stretch of one row.
#[derive(Clone, Copy)]
pub(super) struct Segments {
    rows_each: usize,
    cols_each: usize,
    per_row: usize,
    count: usize,
    /// The width of the plane.
    width: usize,
}

impl Segments {
    /// Of a window in a plane of this width.
    #[inline(always)]
    pub fn new(window: &Window, width: usize) -> Self {
        let Window { rows, cols } = window;
        let last = |count: usize, step: usize| count.saturating_sub(1) * step;
        if last(rows.count, rows.step) * width + last(cols.count, cols.step) < EXACT {
            return Segments { rows_each: rows.count, cols_each: cols.count, per_row: 1, count: 1, width };
        }
        let cols_each = EXACT.div_ceil(cols.step);
        let per_row = cols.count.div_ceil(cols_each);
        Segments { rows_each: 1, cols_each, per_row, count: rows.count * per_row, width }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The taps of segment `k`.
    #[inline(always)]
    pub fn taps(&self, window: &Window, k: usize) -> [Range<usize>; 2] {
        if self.count == 1 {
            return [0..window.rows.count, 0..window.cols.count];
        }
        let (i, j) = (k / self.per_row * self.rows_each, k % self.per_row * self.cols_each);
        [i..i + self.rows_each, j..window.cols.count.min(j + self.cols_each)]
    }

    /// Where tap `[i, j]` lies, counted from the first tap of its segment, `from`.
    #[inline(always)]
    pub fn offset<T: Element>(&self, window: &Window, from: [usize; 2], [i, j]: [usize; 2]) -> T {
        let offset = (i - from[0]) * window.rows.step * self.width + (j - from[1]) * window.cols.step;
        T::from_f64(f64::from(offset as i32)) // below `EXACT`
    }

    /// The index in the plane of an offset in a segment.
    fn index(&self, window: &Window, segment: usize, offset: i32) -> i64 {
        let [rows, cols] = self.taps(window, segment);
        let y = window.rows.first + rows.start * window.rows.step;
        let x = window.cols.first + cols.start * window.cols.step;
        (y * self.width + x) as i64 + i64::from(offset)
    }
}

/// The maximum of each lane and where it lies.
pub(super) struct Winner<V, const N: usize> {
    pub max: [V; N],
    pub segment: [V; N],
    pub offset: [V; N],
}

/// The winners of a window, which has taps: the first of equals, the last of NaNs.
#[inline(always)]
pub(super) fn winner<T: Element, S: Simd<T>, const N: usize>(
    s: S,
    source: &Source<'_, T>,
    window: &Window,
    segments: &Segments,
    c: usize,
    width: usize,
) -> Winner<S::V, N> {
    let none = s.splat(-T::ONE);
    // The first tap has won until another is greater: a minus infinity as well.
    let zero = [s.splat(T::ZERO); N];
    let mut best = Winner { max: [s.splat(T::NEG_INFINITY); N], segment: zero, offset: zero };
    for k in 0..segments.count() {
        let [rows, cols] = segments.taps(window, k);
        let from = [rows.start, cols.start];
        let mut here = if k == 0 { zero } else { [none; N] };
        for i in rows {
            let row = source.row(window, i, cols.clone(), c, width);
            for j in cols.clone() {
                let x = load::<T, S, N>(s, row.tap(j - cols.start));
                let offset = s.splat(segments.offset(window, from, [i, j]));
                for v in 0..N {
                    let greater = s.select(s.lt(best.max[v], x[v]), offset, here[v]);
                    here[v] = s.select(s.eq(x[v], x[v]), greater, offset);
                    best.max[v] = Max::take(s, best.max[v], x[v]);
                }
            }
        }
        if segments.count() == 1 {
            return Winner { offset: here, ..best };
        }
        let k = s.splat(T::from_f64(k as f64));
        for v in 0..N {
            let has_won = s.lt(none, here[v]);
            best.segment[v] = s.select(has_won, k, best.segment[v]);
            best.offset[v] = s.select(has_won, here[v], best.offset[v]);
        }
    }
    best
}

/// `y` as without indices, and `iy * w + ix` of each maximum, -1 for a window without taps.
pub(super) fn forward_with_indices<T: Element>(
    axes: [PoolAxis; 2],
    x: View<'_, T>,
    y: ViewMut<'_, T>,
    indices: ViewMut<'_, i64>,
    run: Run<'_, T>,
) -> Result<(), Error> {
    let [_, h, w, _] = x.shape();
    let shape = pooled_shape(x.shape(), &axes);
    check_shape("y", shape, y.shape())?;
    check_shape("indices", shape, indices.shape())?;
    i64::try_from(h.saturating_mul(w)).map_err(|_| Error::Overflow { argument: "indices" })?;
    let level = run.level_or_best()?;
    if shape.contains(&0) {
        return Ok(());
    }
    let tiling = Tiling::forward(&axes, &x);
    let work = work(&axes, shape);
    let outputs = (Tile::new(y), Tile::new(indices));
    run.for_each_tile(tiling.grid, outputs, tiling.scratch_len(), work, |part, (y, indices), scratch| {
        let [strip, _, _, pixel] = tiling.cut(scratch);
        let source = Source::new(x, &axes, [part[1].range(), part[2].range()], [&part[0], &part[3]], strip);
        T::max_pool_with_indices(level, WithIndices { axes: &axes, part, source, y, indices, pixel });
    })
}

/// One tile of `y` and of the indices.
pub struct WithIndices<'a, 'b, T> {
    axes: &'a [PoolAxis; 2],
    part: &'a Box4,
    source: Source<'a, T>,
    y: &'a mut Tile<'b, T>,
    indices: &'a mut Tile<'b, i64>,
    pixel: &'a mut [T],
}

impl<T: Element> Op<T> for WithIndices<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let [_, rows, cols, channels] = *self.part;
        for oy in 0..rows.count {
            let in_rows = self.axes[0].taps(rows.start + oy);
            for ox in 0..cols.count {
                let window = Window { rows: in_rows, cols: self.axes[1].taps(cols.start + ox) };
                let y = &mut self.pixel[..channels.count];
                let segments = Segments::new(&window, self.axes[1].input());
                let (source, indices, at) = (&self.source, &mut *self.indices, [0, oy, ox]);
                by_chunks(s, channels.count, Named { source, window: &window, segments, y, indices, at });
                self.y.put(at, 0, y);
            }
        }
    }
}

/// One pixel of `y` and of the indices.
struct Named<'a, 't, T> {
    source: &'a Source<'a, T>,
    window: &'a Window,
    segments: Segments,
    y: &'a mut [T],
    indices: &'a mut Tile<'t, i64>,
    at: [usize; 3],
}

impl<T: Element> Chunked<T> for Named<'_, '_, T> {
    #[inline(always)]
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize) {
        let mut indices = [-1; CHUNK];
        let y = &mut self.y[c..][..width];
        if self.window.is_empty() {
            y.fill(T::NEG_INFINITY);
            return self.indices.put(self.at, c, &indices[..width]);
        }
        let winner = winner::<T, S, N>(s, self.source, self.window, &self.segments, c, width);
        let (mut segment, mut offset) = ([T::ZERO; CHUNK], [T::ZERO; CHUNK]);
        store::<T, S, N>(s, winner.max, y);
        store::<T, S, N>(s, winner.offset, &mut offset[..width]);
        if self.segments.count() == 1 {
            // Added to 2^52, a whole number stands in the low bits of the sum: unlike a cast, this is vectorized.
            const TOP: f64 = (1u64 << 52) as f64;
            let first = self.segments.index(self.window, 0, 0).wrapping_sub(TOP.to_bits() as i64);
            for (index, offset) in indices[..width].iter_mut().zip(&offset) {
                *index = first.wrapping_add((offset.to_f64() + TOP).to_bits() as i64);
            }
        } else {
            store::<T, S, N>(s, winner.segment, &mut segment[..width]);
            for i in 0..width {
                let (segment, offset) = (segment[i].to_f64() as usize, offset[i].to_f64() as i32);
                indices[i] = self.segments.index(self.window, segment, offset);
            }
        }
        self.indices.put(self.at, c, &indices[..width]);
    }
}

/// `dx[n, i / w, i % w, c] += dy[n, oy, ox, c]` for `i = indices[n, oy, ox, c]`, window after window.
pub(super) fn backward_from_indices<T: Element>(
    axes: [PoolAxis; 2],
    dy: View<'_, T>,
    indices: View<'_, i64>,
    dx: ViewMut<'_, T>,
    write: Write,
    run: Run<'_, T>,
) -> Result<(), Error> {
    let [_, h, w, _] = dx.shape();
    let shape = pooled_shape(dx.shape(), &axes);
    dy.check("dy", shape)?;
    indices.check("indices", shape)?;
    run.level_or_best()?;
    check_indices(indices, h.saturating_mul(w))?;
    if dx.shape().contains(&0) {
        return Ok(());
    }
    let work = dx.shape().iter().product::<usize>().saturating_add(shape.iter().product());
    // Rows that follow each other without a gap are one long row: no index has to be divided.
    let [_, row, col, _] = dx.strides();
    let is_one_row = Some(row) == w.checked_mul(col);
    let (dx_shape, strides) =
        (if is_one_row { [dx.shape()[0], 1, h * w, dx.shape()[3]] } else { dx.shape() }, dx.strides());
    let dx = ViewMut::new(dx.into_data(), dx_shape, strides)?;
    // An index may point anywhere in its plane, so a task owns whole planes.
    run.for_each_tile(Tiling::planes(dx.shape()), Tile::new(dx), 0, work, |part, dx, _| {
        if write == Write::Replace {
            zero(dx);
        }
        let (mut indices_buffer, mut dy_buffer) = ([0; CHUNK], [T::ZERO; CHUNK]);
        for (oy, ox) in (0..shape[1]).flat_map(|oy| (0..shape[2]).map(move |ox| (oy, ox))) {
            for c in (0..part[3].count).step_by(CHUNK) {
                let (at, from) = ([part[0].start, oy, ox], part[3].start + c);
                let len = CHUNK.min(part[3].count - c);
                let indices = indices.pixel(at, from, len, &mut indices_buffer);
                let dy = dy.pixel(at, from, len, &mut dy_buffer);
                for (i, (&index, &dy)) in indices.iter().zip(dy).enumerate() {
                    if let Ok(index) = usize::try_from(index) {
                        let [y, x] = if is_one_row { [0, index] } else { [index / w, index % w] };
                        *dx.element([0, y, x], c + i) += dy;
                    }
                }
            }
        }
    })
}

fn check_indices(indices: View<'_, i64>, bound: usize) -> Result<(), Error> {
    let [n, h, w, c] = indices.shape();
    // A shape that holds nothing may still have an axis that takes ages to walk along.
    let n = if h == 0 || w == 0 || c == 0 { 0 } else { n };
    let mut buffer = [0; CHUNK];
    for (n, y, x) in (0..n).flat_map(|n| (0..h).flat_map(move |y| (0..w).map(move |x| (n, y, x)))) {
        for from in (0..c).step_by(CHUNK) {
            let row = indices.pixel([n, y, x], from, CHUNK.min(c - from), &mut buffer);
            let is_outside = |&&i: &&i64| i < -1 || (i >= 0 && i as u64 >= bound as u64);
            if let Some(&given) = row.iter().find(is_outside) {
                return Err(Error::Index { argument: "indices", bound, given });
            }
        }
    }
    Ok(())
}
