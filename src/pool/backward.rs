//! Gradients: what each window hands back to its taps.
//!
//! A task owns a box of `dx`. It walks the windows that touch the box in row-major order and adds to its own pixels
//! only. So the additions to an element happen in the order of the windows, whatever the tiles: nothing races, and
//! the bits do not depend on who did what. [`Write::Accumulate`] starts from the old values instead of zeros; the
//! additions are the same.

use super::average::Mean;
use super::chunk::{Chunked, Max, Window, by_chunks, load, reduce, store};
use super::forward::Finish;
use super::forward::work;
use super::indices::{Segments, winner};
use super::pooled_shape;
use super::tiling::{Source, Target, Tiling};
use crate::element::Element;
use crate::error::Error;
use crate::run::{Run, Write};
use crate::simd::{Level, Op, Simd};
use crate::tensor::{View, ViewMut};
use crate::tiles::{Box4, Part, Tile};
use crate::window::{PoolAxis, Taps};
use core::ops::Range;

/// What one window adds to the pixels of a box.
pub(super) trait Spread<T: Element>: Copy + Sync {
    /// Adds the gradients `dy` of channels `c..c + dy.len()`, to the window's own taps.
    /// Must be `#[inline(always)]`.
    fn spread<S: Simd<T>, const N: usize>(
        self,
        s: S,
        meeting: &Meeting,
        memory: &mut Held<'_, '_, T>,
        c: usize,
        dy: &[T],
    );
    /// Runs the kernel of this gradient.
    fn launch(level: Level, op: Backward<'_, '_, T, Self>);
}

/// A window, and which of its taps a box owns.
pub(super) struct Meeting {
    window: Window,
    own: [Range<usize>; 2],
    /// The first own tap's place in the box.
    place: [usize; 2],
    /// The width of the plane.
    width: usize,
}

/// The pixels of a box: read from `x`, where a gradient depends on it, and added to in `dx`.
pub(super) struct Held<'a, 'b, T> {
    x: Option<Source<'a, T>>,
    dx: Target<'a, 'b, T>,
}

impl<T: Element> Held<'_, '_, T> {
    /// Channels of `dx` under own tap `[i, j]`.
    #[inline(always)]
    fn dx(&mut self, meeting: &Meeting, [i, j]: [usize; 2], c: usize, width: usize) -> &mut [T] {
        let y = meeting.place[0] + (i - meeting.own[0].start) * meeting.window.rows.step;
        let x = meeting.place[1] + (j - meeting.own[1].start) * meeting.window.cols.step;
        self.dx.pixel(y, x, c, width)
    }
}

/// Which taps lie in a part of their axis, and where in the part the first one does.
#[inline(always)]
fn own(taps: &Taps, part: &Part) -> (Range<usize>, usize) {
    let Range { start, end } = part.range();
    if taps.count == 0 {
        return (0..0, 0);
    }
    if taps.first >= start && taps.first + (taps.count - 1) * taps.step < end {
        return (0..taps.count, taps.first - start);
    }
    let below = |edge: usize| edge.saturating_sub(taps.first).div_ceil(taps.step).min(taps.count);
    let own = below(start)..below(end);
    (own.clone(), (taps.first + own.start * taps.step).saturating_sub(start))
}

/// Runs a gradient over all windows. `x` is there if the gradient depends on it.
pub(super) fn backward<T: Element, P: Spread<T>>(
    axes: [PoolAxis; 2],
    x: Option<View<'_, T>>,
    dy: View<'_, T>,
    dx: ViewMut<'_, T>,
    spread: P,
    write: Write,
    run: Run<'_, T>,
) -> Result<(), Error> {
    let shape = pooled_shape(dx.shape(), &axes);
    dy.check("dy", shape)?;
    let level = run.level_or_best()?;
    if dx.shape().contains(&0) {
        return Ok(());
    }
    let tiling = Tiling::backward(&axes, x.as_ref(), dx.shape(), dx.strides());
    let work = work(&axes, shape).max(dx.shape().iter().fold(1, |work, &d| work.saturating_mul(d)));
    run.for_each_tile(tiling.grid, Tile::new(dx), tiling.scratch_len(), work, |part, dx, scratch| {
        let [x_strip, dx_strip, _, pixel] = tiling.cut(scratch);
        let windows = [axes[0].touching(part[1].range()), axes[1].touching(part[2].range())];
        let x = x.map(|x| Source::new(x, &axes, windows.clone(), [&part[0], &part[3]], x_strip));
        let memory = Held { x, dx: Target::new(dx, dx_strip, write) };
        P::launch(level, Backward { axes: &axes, part, windows, dy, memory, pixel, spread });
    })
}

/// One box of `dx`.
pub struct Backward<'a, 'b, T, P> {
    axes: &'a [PoolAxis; 2],
    part: &'a Box4,
    windows: [Range<usize>; 2],
    dy: View<'a, T>,
    memory: Held<'a, 'b, T>,
    /// Room for the channels of one pixel of `dy`, where they are scattered.
    pixel: &'a mut [T],
    spread: P,
}

impl<T: Element, P: Spread<T>> Op<T> for Backward<'_, '_, T, P> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, s: S) {
        let [n, rows, cols, channels] = *self.part;
        for oy in self.windows[0].clone() {
            let in_rows = self.axes[0].taps(oy);
            let (own_rows, y) = own(&in_rows, &rows);
            for ox in self.windows[1].clone() {
                let window = Window { rows: in_rows, cols: self.axes[1].taps(ox) };
                let (own_cols, x) = own(&window.cols, &cols);
                let own = [own_rows.clone(), own_cols];
                if own.iter().any(Range::is_empty) {
                    continue;
                }
                let meeting = Meeting { window, own, place: [y, x], width: self.axes[1].input() };
                let dy = self.dy.pixel([n.start, oy, ox], channels.start, channels.count, self.pixel);
                let memory = &mut self.memory;
                by_chunks(s, channels.count, OneWindow { meeting: &meeting, dy, memory, spread: self.spread });
            }
        }
        self.memory.dx.finish();
    }
}

/// One pixel of `dy`.
struct OneWindow<'a, 'm, 'b, T, P> {
    meeting: &'a Meeting,
    dy: &'a [T],
    memory: &'a mut Held<'m, 'b, T>,
    spread: P,
}

impl<T: Element, P: Spread<T>> Chunked<T> for OneWindow<'_, '_, '_, T, P> {
    #[inline(always)]
    fn chunk<S: Simd<T>, const N: usize>(&mut self, s: S, c: usize, width: usize) {
        self.spread.spread::<S, N>(s, self.meeting, self.memory, c, &self.dy[c..][..width]);
    }
}

/// What a tap without a gradient gets: added to anything, even to -0, it changes nothing. (To select between the old
/// and the new `dx` would make masked stores on AVX2, which take AMD's processors some twenty cycles each.)
fn nothing<T: Element>() -> T {
    -T::ZERO
}

/// Every tap that equals the maximum gets the gradient.
#[derive(Clone, Copy)]
pub struct AllMaxima;

impl<T: Element> Spread<T> for AllMaxima {
    fn launch(level: Level, op: Backward<'_, '_, T, Self>) {
        T::max_pool_backward_all(level, op);
    }

    #[inline(always)]
    fn spread<S: Simd<T>, const N: usize>(
        self,
        s: S,
        meeting: &Meeting,
        memory: &mut Held<'_, '_, T>,
        c: usize,
        dy: &[T],
    ) {
        let Some(source) = memory.x else { return };
        let (window, width) = (&meeting.window, dy.len());
        let nothing = s.splat(nothing());
        let max = reduce::<T, Max, S, N, false>(s, &source, window, c, width);
        let dy = load::<T, S, N>(s, dy);
        for i in meeting.own[0].clone() {
            let row = source.row(window, i, 0..window.cols.count, c, width);
            for j in meeting.own[1].clone() {
                let x = load::<T, S, N>(s, row.tap(j));
                let to = memory.dx(meeting, [i, j], c, width);
                let mut dx = load::<T, S, N>(s, to);
                for v in 0..N {
                    dx[v] = s.add(dx[v], s.select(s.eq(x[v], max[v]), dy[v], nothing));
                }
                store::<T, S, N>(s, dx, to);
            }
        }
    }
}

/// The tap that the index names gets the gradient.
#[derive(Clone, Copy)]
pub struct FirstMaximum;

impl<T: Element> Spread<T> for FirstMaximum {
    fn launch(level: Level, op: Backward<'_, '_, T, Self>) {
        T::max_pool_backward_first(level, op);
    }

    #[inline(always)]
    fn spread<S: Simd<T>, const N: usize>(
        self,
        s: S,
        meeting: &Meeting,
        memory: &mut Held<'_, '_, T>,
        c: usize,
        dy: &[T],
    ) {
        let Some(source) = memory.x else { return };
        let (window, width) = (&meeting.window, dy.len());
        let nothing = s.splat(nothing());
        let segments = Segments::new(window, meeting.width);
        let winner = winner::<T, S, N>(s, &source, window, &segments, c, width);
        let dy = load::<T, S, N>(s, dy);
        let meet = |a: &Range<usize>, b: &Range<usize>| a.start.max(b.start)..a.end.min(b.end);
        for k in 0..segments.count() {
            let [rows, cols] = segments.taps(window, k);
            let from = [rows.start, cols.start];
            let mut offset = winner.offset;
            if segments.count() > 1 {
                let (k, none) = (s.splat(T::from_f64(k as f64)), s.splat(-T::ONE));
                for v in 0..N {
                    offset[v] = s.select(s.eq(winner.segment[v], k), offset[v], none);
                }
            }
            for i in meet(&rows, &meeting.own[0]) {
                for j in meet(&cols, &meeting.own[1]) {
                    let here = s.splat(segments.offset(window, from, [i, j]));
                    let to = memory.dx(meeting, [i, j], c, width);
                    let mut dx = load::<T, S, N>(s, to);
                    for v in 0..N {
                        dx[v] = s.add(dx[v], s.select(s.eq(offset[v], here), dy[v], nothing));
                    }
                    store::<T, S, N>(s, dx, to);
                }
            }
        }
    }
}

/// Every tap gets an equal share.
#[derive(Clone, Copy)]
pub struct Shares(pub(super) Mean);

impl<T: Element> Spread<T> for Shares {
    fn launch(level: Level, op: Backward<'_, '_, T, Self>) {
        T::average_pool_backward(level, op);
    }

    #[inline(always)]
    fn spread<S: Simd<T>, const N: usize>(
        self,
        s: S,
        meeting: &Meeting,
        memory: &mut Held<'_, '_, T>,
        c: usize,
        dy: &[T],
    ) {
        let width = dy.len();
        let divisor = s.splat(T::from_f64(Finish::<T>::count(self.0, &meeting.window) as f64));
        let mut share = load::<T, S, N>(s, dy);
        for v in 0..N {
            share[v] = s.div(share[v], divisor);
        }
        for i in meeting.own[0].clone() {
            for j in meeting.own[1].clone() {
                let to = memory.dx(meeting, [i, j], c, width);
                let mut dx = load::<T, S, N>(s, to);
                for v in 0..N {
                    dx[v] = s.add(dx[v], share[v]);
                }
                store::<T, S, N>(s, dx, to);
            }
        }
    }
}
