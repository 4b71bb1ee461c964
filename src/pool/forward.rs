//! `y[n, oy, ox, c] = reduce(x[n, iy, ix, c] over the window of (oy, ox))`, for the maximum and the mean.

use super::chunk::{Chunked, Reduce, Window, by_chunks, reduce, store};
use super::pooled_shape;
use super::tiling::{Source, Tiling};
use crate::element::Element;
use crate::error::Error;
use crate::run::Run;
use crate::simd::{Level, Op, Simd};
use crate::tensor::{View, ViewMut, check_shape};
use crate::tiles::{Box4, Tile};
use crate::window::PoolAxis;
use core::marker::PhantomData;

/// What becomes of a window's reduction.
pub(super) trait Finish<T: Element>: Copy + Sync {
    type Reduce: Reduce<T>;
    /// What the reduction is divided by, if by anything.
    fn divisor(self, window: &Window) -> Option<T>;
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
        let [strip, _, pixel] = tiling.cut(scratch);
        let source = Source::new(x, &axes, [part[1].range(), part[2].range()], [&part[0], &part[3]], strip);
        F::launch(level, Forward { axes: &axes, part, source, y, pixel, finish });
    })
}

/// Taps of all windows, more or less.
pub(super) fn work(axes: &[PoolAxis; 2], shape: [usize; 4]) -> usize {
    let outputs: usize = if shape.contains(&0) { 0 } else { shape.iter().product() };
    axes.iter().fold(outputs, |work, axis| work.saturating_mul(axis.reach(1).max(1)))
}

/// One tile of `y`.
pub struct Forward<'a, 'b, T, F> {
    axes: &'a [PoolAxis; 2],
    part: &'a Box4,
    source: Source<'a, T>,
    y: &'a mut Tile<'b, T>,
    /// Room for the channels of one pixel, where `y` has them scattered.
    pixel: &'a mut [T],
    finish: F,
}

impl<T: Element, F: Finish<T>> Op<T> for Forward<'_, '_, T, F> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let [_, rows, cols, channels] = *self.part;
        for oy in 0..rows.count {
            let in_rows = self.axes[0].taps(rows.start + oy);
            for ox in 0..cols.count {
                let window = Window { rows: in_rows, cols: self.axes[1].taps(cols.start + ox) };
                let divisor = self.finish.divisor(&window);
                let out = self.y.slice([0, oy, ox], 0, channels.count);
                let is_scattered = out.is_none();
                let y = out.unwrap_or(&mut self.pixel[..channels.count]);
                let kernel = OneWindow { source: &self.source, window: &window, divisor, y, finish: PhantomData::<F> };
                by_chunks(s, channels.count, kernel);
                if is_scattered {
                    self.y.put([0, oy, ox], 0, &self.pixel[..channels.count]);
                }
            }
        }
    }
}

/// One pixel of `y`.
struct OneWindow<'a, T, F> {
    source: &'a Source<'a, T>,
    window: &'a Window,
    divisor: Option<T>,
    y: &'a mut [T],
    finish: PhantomData<F>,
}

impl<T: Element, F: Finish<T>> Chunked<T> for OneWindow<'_, T, F> {
    #[inline(always)]
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize) {
        let mut acc = reduce::<T, F::Reduce, S, N>(s, self.source, self.window, c, width);
        if let Some(divisor) = self.divisor {
            let divisor = s.splat(divisor);
            for v in 0..N {
                acc[v] = s.div(acc[v], divisor);
            }
        }
        store::<T, S, N>(s, acc, &mut self.y[c..][..width]);
    }
}
