//! `y[n, oy, ox, c] = reduce(x[n, iy, ix, c] over the window of (oy, ox))`, for the maximum and the mean.

use super::chunk::{Chunked, LARGE_WINDOW, Reduce, Window, by_chunks, reduce, store};
use super::pooled_shape;
use super::rows::{self, Several};
use super::sliding::{self, Sliding};
use super::tiling::{Source, Tiling};
use crate::element::Element;
use crate::error::Error;
use crate::run::Run;
use crate::simd::{Divisor, Level, Op, Simd};
use crate::tensor::{View, ViewMut, check_shape};
use crate::tiles::{Box4, Tile};
use crate::window::PoolAxis;
use core::marker::PhantomData;
use core::ops::Range;

/// What becomes of a window's reduction.
pub(super) trait Finish<T: Element>: Copy + Sync {
    type Reduce: Reduce<T>;
    /// Whether it is divided by the taps that count.
    const DIVIDES: bool;
    /// Taps that count, at least 1.
    fn count(self, window: &Window) -> usize;
    /// Runs the kernel of this reduction.
    fn launch(level: Level, op: Forward<'_, '_, T, Self>);
}

/// Runs a reduction over all windows.
pub(super) fn forward<T: Element, F: Finish<T>>(
    axes: [PoolAxis; 2],
    x: View<'_, T>,
    y: ViewMut<'_, T>,
    finish: F,
    run: Run<'_, T>,
) -> Result<(), Error> {
    check_shape("y", pooled_shape(x.shape(), &axes), y.shape())?;
    let level = run.level_or_best()?;
    if y.shape().contains(&0) {
        return Ok(());
    }
    let tiling = Tiling::forward(&axes, &x);
    let work = work(&axes, y.shape());
    run.for_each_tile(tiling.grid, Tile::new(y), tiling.scratch_len(), work, |part, y, scratch| {
        let [strip, _, kept, pixel] = tiling.cut(scratch);
        let source = Source::new(x, &axes, [part[1].range(), part[2].range()], [&part[0], &part[3]], strip);
        F::launch(level, Forward { axes: &axes, part, source, y, kept, pixel, finish });
    })
}

/// Taps of all windows, more or less.
pub(super) fn work(axes: &[PoolAxis; 2], shape: [usize; 4]) -> usize {
    let outputs: usize = if shape.contains(&0) { 0 } else { shape.iter().product() };
    axes.iter().fold(outputs, |work, axis| work.saturating_mul(axis.reach(1).max(1)))
}

/// One tile of `y`.
pub struct Forward<'a, 'b, T, F> {
    pub(super) axes: &'a [PoolAxis; 2],
    pub(super) part: &'a Box4,
    pub(super) source: Source<'a, T>,
    pub(super) y: &'a mut Tile<'b, T>,
    /// Room for reduced rows, where windows share them: [`sliding::ROOM`].
    pub(super) kept: &'a mut [T],
    /// Room for the channels of one pixel, where `y` has them scattered.
    pub(super) pixel: &'a mut [T],
    pub(super) finish: F,
}

impl<T: Element, F: Finish<T>> Op<T> for Forward<'_, '_, T, F> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, s: S) {
        let [_, height, width, _] = *self.part;
        match rows::square(self.axes).filter(|_| height.count > 1 && self.y.has_slices()) {
            Some([3, 1]) => return s.call(Several::<T, F, 3, 1>(&mut self)),
            Some([3, 2]) => return s.call(Several::<T, F, 3, 2>(&mut self)),
            Some([2, 2]) => return s.call(Several::<T, F, 2, 2>(&mut self)),
            _ => {}
        }
        match sliding::rows(self.axes) {
            Some(rows) => s.call(Sliding { tile: &mut self, rows }),
            None if self.axes[1].reach(1) >= LARGE_WINDOW => s.call(LargeWindows(&mut self)),
            None => self.windows::<S, false>(s, 0..height.count, 0..width.count),
        }
    }
}

/// A tile of windows that may be large. A function of its own, for the same reason as [`Sliding`].
struct LargeWindows<'f, 'a, 'b, T, F>(&'f mut Forward<'a, 'b, T, F>);

impl<T: Element, F: Finish<T>> Op<T> for LargeWindows<'_, '_, '_, T, F> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let [_, rows, cols, _] = *self.0.part;
        self.0.windows::<S, true>(s, 0..rows.count, 0..cols.count);
    }
}

#[allow(private_bounds)] // the kernel's own steps
impl<T: Element, F: Finish<T>> Forward<'_, '_, T, F> {
    /// Windows one by one: any of them.
    #[inline(always)]
    pub(super) fn windows<S: Simd<T>, const LARGE: bool>(&mut self, s: S, rows: Range<usize>, cols: Range<usize>) {
        let channels = self.part[3].count;
        for oy in rows {
            let in_rows = self.axes[0].taps(self.part[1].start + oy);
            for ox in cols.clone() {
                let window = Window { rows: in_rows, cols: self.axes[1].taps(self.part[2].start + ox) };
                let divisor = F::DIVIDES.then(|| Divisor::new(self.finish.count(&window)));
                let out = self.y.slice([0, oy, ox], 0, channels);
                let is_scattered = out.is_none();
                let y = out.unwrap_or(&mut self.pixel[..channels]);
                let kernel =
                    OneWindow::<T, F, LARGE> { source: &self.source, window: &window, divisor, y, finish: PhantomData };
                by_chunks(s, channels, kernel);
                if is_scattered {
                    self.y.put([0, oy, ox], 0, &self.pixel[..channels]);
                }
            }
        }
    }
}

/// One pixel of `y`.
struct OneWindow<'a, T, F, const LARGE: bool> {
    source: &'a Source<'a, T>,
    window: &'a Window,
    divisor: Option<Divisor<T>>,
    y: &'a mut [T],
    finish: PhantomData<F>,
}

impl<T: Element, F: Finish<T>, const LARGE: bool> Chunked<T> for OneWindow<'_, T, F, LARGE> {
    #[inline(always)]
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize) {
        let mut acc = reduce::<T, F::Reduce, S, N, LARGE>(s, self.source, self.window, c, width);
        if let Some(divisor) = self.divisor {
            acc = divisor.divide(s, acc);
        }
        store::<T, S, N>(s, acc, &mut self.y[c..][..width]);
    }
}
