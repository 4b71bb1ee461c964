//! How the work is cut into tiles, and how a tile's pixels are reached.
//!
//! Kernels want the channels of a pixel side by side. Where a view holds them so, or a tile has one channel only, its
//! pixels are used in place. Else a *strip*, the pixels that a tile touches, in NHWC order, lies in scratch memory. A
//! strip has at most [`STRIP`] elements, so it stays in the second-level cache. Windows that are too large for a strip
//! of a few channels are taken one channel at a time, in place.
//!
//! Everything here follows from shapes and strides alone, never from the number of threads.

use super::chunk::Window;
use super::{rows, sliding};
use crate::element::Element;
use crate::run::Write;
use crate::simd::Lattice;
use crate::tensor::View;
use crate::tiles::{Grid, Part, Parts, Tile};
use crate::window::{PoolAxis, Taps};
use core::ops::Range;

/// Elements of a strip, at most.
const STRIP: usize = 1 << 15;
/// Channels of a strip, at least: fewer do not repay the copy.
const FEW: usize = 4;
/// Tiles that one image gives, if it can.
const TILES: usize = 16;

/// Channels of a tile that are cut for more tiles, at least: of a window over the whole plane, or a gradient; and where
/// neighbouring pixels lie in a tile, whose memory is best walked in long stretches (2x2, stride 2, 512 channels at 14x14:
/// 12.5 us with 64 of them, 6.8 us with 512).
const FEW_CHANNELS: usize = 64;
const MANY_CHANNELS: usize = 512;
/// Rows of a tile of windows that share work, at least.
const SHARING: usize = 7;

/// How large the tiles are, and how much scratch memory one needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    pub grid: Grid,
    /// Elements of the input's strip and of the output's, and of rows that are kept; 0 where there is none.
    pub strips: [usize; 3],
    /// Channels of a tile, at most.
    pub channels: usize,
}

/// Whether tiles of more than one channel need a strip.
fn is_scattered(shape: [usize; 4], strides: [usize; 4]) -> bool {
    strides[3] != 1 && shape[3] > 1
}

impl Tiling {
    /// Tiles of the pooled output.
    pub fn forward<T>(axes: &[PoolAxis; 2], x: &View<'_, T>) -> Tiling {
        let [n, _, _, c] = x.shape();
        let [out_h, out_w] = [axes[0].outputs(), axes[1].outputs()];
        // Rows of windows that share work: each tile but the first reduces a row or two of the input again.
        let kept = sliding::rows(axes).map_or(0, |_| sliding::ROOM);
        let least = if kept > 0 { SHARING.min(out_h.max(1)) } else { 1 };
        let unit = rows::together(axes);
        let rows = match unit {
            1 => out_h.div_ceil(2 * TILES).max(least),
            _ => (out_h / TILES / unit).max(1) * unit,
        };
        let scattered = is_scattered(x.shape(), x.strides());
        let cols = if scattered { out_w.min(64) } else { out_w };
        let pixels = axes[0].reach(rows).saturating_mul(axes[1].reach(cols));
        let strip = if scattered { pixels } else { 0 };
        Self::new(
            [n, out_h, out_w, c],
            [rows, cols],
            unit,
            [strip, 0],
            kept,
            if out_h * out_w > 1 { MANY_CHANNELS } else { FEW_CHANNELS },
        )
    }

    /// Tiles of the gradient of the input. `x` is there if the windows are looked at again.
    pub fn backward<T>(axes: &[PoolAxis; 2], x: Option<&View<'_, T>>, shape: [usize; 4], strides: [usize; 4]) -> Self {
        // Several windows high and wide: those on a tile's edge are reduced once for each tile that they meet.
        let size = |i: usize, least: usize| (2 * axes[i].reach(1)).max(least).min(shape[i + 1]);
        let [rows, cols] = [size(0, 8), size(1, 64)];
        let around = |i: usize, len: usize| {
            let beside = 2 * axes[i].reach(1).saturating_sub(1);
            len.saturating_add(beside).min(shape[i + 1])
        };
        let x_scattered = x.is_some_and(|x| is_scattered(x.shape(), x.strides()));
        let x_pixels = if x_scattered { around(0, rows).saturating_mul(around(1, cols)) } else { 0 };
        let dx_pixels = if is_scattered(shape, strides) { rows.saturating_mul(cols) } else { 0 };
        Self::new(shape, [rows, cols], 1, [x_pixels, dx_pixels], 0, FEW_CHANNELS)
    }

    /// Tiles of an output whose kernel may write anywhere in a plane.
    pub fn planes([n, h, w, c]: [usize; 4]) -> Grid {
        let channels = c.div_ceil(TILES).next_multiple_of(16);
        Grid::new([Parts::up_to(n, 1), Parts::whole(h), Parts::whole(w), Parts::up_to(c, channels)])
    }

    /// `strips`: pixels. Few tiles are cut again, by channels.
    fn new(
        [n, h, w, c]: [usize; 4],
        [rows, cols]: [usize; 2],
        unit: usize,
        strips: [usize; 2],
        kept: usize,
        least: usize,
    ) -> Self {
        let tiles = |len: usize, most: usize| len.div_ceil(most.max(1));
        let blocks = TILES.div_ceil((tiles(h, rows) * tiles(w, cols)).max(1));
        let mut channels = c.div_ceil(blocks).next_multiple_of(least).min(c);
        let pixels = strips[0].saturating_add(strips[1]);
        if let Some(room) = STRIP.checked_div(pixels) {
            channels = channels.min(if room >= 16 { room / 16 * 16 } else { room });
        }
        let in_place = pixels == 0 || channels < FEW.min(c);
        if pixels > 0 && in_place {
            channels = 1;
        }
        let strip = if in_place { 0 } else { channels };
        Tiling {
            grid: Grid::new([
                Parts::up_to(n, 1),
                Parts::Phases { len: h, step: 1, unit, most: rows.div_ceil(unit) },
                Parts::up_to(w, cols),
                Parts::up_to(c, channels),
            ]),
            strips: [strips[0] * strip, strips[1] * strip, kept],
            channels,
        }
    }

    /// An upper bound of [`Tiling::scratch_len`] for tensors of so many channels.
    pub fn most_scratch(channels: usize) -> usize {
        channels.saturating_add(STRIP + sliding::ROOM)
    }

    /// All strips and one pixel.
    pub fn scratch_len(&self) -> usize {
        self.strips.iter().sum::<usize>() + self.channels
    }

    /// The strips and the pixel.
    pub fn cut<'s, T>(&self, scratch: &'s mut [T]) -> [&'s mut [T]; 4] {
        let (first, rest) = scratch.split_at_mut(self.strips[0]);
        let (second, rest) = rest.split_at_mut(self.strips[1]);
        let (kept, pixel) = rest.split_at_mut(self.strips[2]);
        [first, second, kept, pixel]
    }
}

/// The rows or columns of the input from the first tap of these windows to the last.
fn hull(axis: &PoolAxis, windows: Range<usize>) -> Range<usize> {
    let taps = windows.map(|o| axis.taps(o)).filter(|taps| taps.count > 0);
    let ends = taps.map(|taps| taps.first..taps.first + (taps.count - 1) * taps.step + 1);
    ends.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0)
}

/// Pixels of one image, some channels of each, side by side.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    data: &'a [T],
    origin: [usize; 2],
    strides: [usize; 2],
}

impl<'a, T: Element> Source<'a, T> {
    /// `channels` of those pixels of image `n` that the windows touch: in place, or, where there is one, in the strip.
    pub fn new(
        x: View<'a, T>,
        axes: &[PoolAxis; 2],
        windows: [Range<usize>; 2],
        [n, channels]: [&Part; 2],
        strip: &'a mut [T],
    ) -> Self {
        if x.shape().contains(&0) {
            return Source { data: &[], origin: [0; 2], strides: [0; 2] };
        }
        let [_, row, col, _] = x.strides();
        if strip.is_empty() {
            let data = &x.data()[x.at([n.start, 0, 0, channels.start])..];
            return Source { data, origin: [0; 2], strides: [row, col] };
        }
        let [rows, cols] = windows;
        let (rows, cols) = (hull(&axes[0], rows), hull(&axes[1], cols));
        let width = channels.count;
        for (y, line) in rows.clone().zip(strip.chunks_exact_mut((cols.len() * width).max(1))) {
            for c in 0..width {
                let from = &x.data()[x.at([n.start, y, cols.start, channels.start + c])..];
                for (i, pixel) in line.chunks_exact_mut(width).enumerate() {
                    pixel[c] = from[i * col];
                }
            }
        }
        Source { data: strip, origin: [rows.start, cols.start], strides: [cols.len() * width, width] }
    }

    /// Reads of the first `len` channels at these rows and columns of the plane. The axes are column and row.
    #[inline(always)]
    pub fn lattice(&self, rows: Taps, cols: Taps, len: usize) -> Lattice<'a, T> {
        let start = if rows.count == 0 || cols.count == 0 {
            0
        } else {
            (rows.first - self.origin[0]) * self.strides[0] + (cols.first - self.origin[1]) * self.strides[1]
        };
        // An axis of one place is never stepped along, so its stride may be any number.
        let step = |taps: Taps, i: usize| taps.step.wrapping_mul(self.strides[i]) as isize;
        Lattice::new(self.data, start, [cols.count, rows.count, 1], [step(cols, 1), step(rows, 0), 0], len)
    }

    /// Whether pixels of so many channels lie side by side.
    pub fn is_dense(&self, channels: usize) -> bool {
        self.strides[1] == channels
    }

    /// Reads of the first `len` channels in some rows of the plane, at the columns of `count` windows that all have their taps in
    /// it, or of one window. The axes are window, tap and row.
    #[inline(always)]
    pub fn windows(&self, axis: &PoolAxis, rows: Range<usize>, taps: Taps, count: usize, len: usize) -> Lattice<'a, T> {
        let start = if taps.count == 0 || rows.is_empty() {
            0
        } else {
            (rows.start - self.origin[0]) * self.strides[0] + (taps.first - self.origin[1]) * self.strides[1]
        };
        let step = |by: usize, i: usize| by.wrapping_mul(self.strides[i]) as isize;
        let steps = [step(axis.stride(), 1), step(taps.step, 1), step(1, 0)];
        Lattice::new(self.data, start, [count, taps.count, rows.len()], steps, len)
    }

    /// Channels `c..c + width` of the taps `cols` in row `i` of a window that has taps.
    #[inline(always)]
    pub fn row(&self, window: &Window, i: usize, cols: Range<usize>, c: usize, width: usize) -> Row<'a, T> {
        let y = window.rows.first + i * window.rows.step - self.origin[0];
        let x = window.cols.first + cols.start * window.cols.step - self.origin[1];
        let step = window.cols.step * self.strides[1];
        let start = y * self.strides[0] + x * self.strides[1] + c;
        Row { data: &self.data[start..][..(cols.len() - 1) * step + width], step, width }
    }
}

/// Some channels of the taps in one row of a window.
#[derive(Clone, Copy)]
pub(super) struct Row<'a, T> {
    data: &'a [T],
    step: usize,
    width: usize,
}

impl<'a, T> Row<'a, T> {
    #[inline(always)]
    pub fn tap(&self, j: usize) -> &'a [T] {
        &self.data[j * self.step..][..self.width]
    }
}

/// A tile that is added to: in place, or, where there is one, in a strip.
pub(super) struct Target<'a, 'b, T> {
    tile: &'a mut Tile<'b, T>,
    strip: &'a mut [T],
    row: usize,
    channels: usize,
}

impl<'a, 'b, T: Element> Target<'a, 'b, T> {
    /// Zeros, or what was there.
    pub fn new(tile: &'a mut Tile<'b, T>, strip: &'a mut [T], write: Write) -> Self {
        let [_, rows, cols, channels] = tile.shape();
        let target = Target { tile, strip, row: cols * channels, channels };
        if target.strip.is_empty() {
            if write == Write::Replace {
                zero(target.tile);
            }
        } else if write == Write::Replace {
            target.strip.fill(T::ZERO);
        } else {
            for (i, pixel) in target.strip.chunks_exact_mut(channels).take(rows * cols).enumerate() {
                target.tile.get([0, i / cols, i % cols], 0, pixel);
            }
        }
        target
    }

    /// Channels `c..c + width` of a pixel of the tile.
    #[inline(always)]
    pub fn pixel(&mut self, y: usize, x: usize, c: usize, width: usize) -> &mut [T] {
        if self.strip.is_empty() {
            // A tile without a strip has contiguous channels.
            return self.tile.slice([0, y, x], c, width).unwrap_or_default();
        }
        &mut self.strip[y * self.row + x * self.channels + c..][..width]
    }

    /// Brings a strip to its place.
    pub fn finish(self) {
        if self.strip.is_empty() {
            return;
        }
        let [_, rows, cols, channels] = self.tile.shape();
        for (i, pixel) in self.strip.chunks_exact(channels).take(rows * cols).enumerate() {
            self.tile.put([0, i / cols, i % cols], 0, pixel);
        }
    }
}

/// Zeros in a whole tile.
pub(super) fn zero<T: Element>(tile: &mut Tile<'_, T>) {
    let [_, rows, cols, channels] = tile.shape();
    for (y, x) in (0..rows).flat_map(|y| (0..cols).map(move |x| (y, x))) {
        match tile.slice([0, y, x], 0, channels) {
            Some(pixel) => pixel.fill(T::ZERO),
            None => (0..channels).for_each(|c| *tile.element([0, y, x], c) = T::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Axis;
    use alloc::{vec, vec::Vec};

    fn slide(kernel: usize, stride: usize, dilation: usize, pad: isize, input: usize) -> Option<PoolAxis> {
        let axis = Axis { name: "height", kernel, stride, dilation, pad: [pad, pad / 2] };
        axis.pool_output(input, true).ok().map(|outputs| PoolAxis::Sliding { axis, input, outputs })
    }

    #[test]
    fn a_strip_has_room_for_all_that_a_tile_touches() {
        let mut axes: Vec<PoolAxis> = Vec::new();
        for (kernel, stride, dilation) in [(1, 1, 1), (3, 2, 1), (2, 5, 1), (3, 1, 4), (7, 3, 2)] {
            for (pad, input) in [(0, 20), (2, 33), (9, 7), (1, 1)] {
                axes.extend(slide(kernel, stride, dilation, pad, input));
            }
        }
        for (input, outputs) in [(20, 1), (20, 3), (7, 9), (33, 8), (5, 5), (1, 4)] {
            axes.push(PoolAxis::Adaptive { input, outputs });
        }
        for axis in axes {
            for len in 1..=axis.outputs() {
                for o in 0..=axis.outputs() - len {
                    assert!(hull(&axis, o..o + len).len() <= axis.reach(len), "{len} windows of {axis:?}");
                }
            }
            for len in 1..=axis.input() {
                for i in 0..=axis.input() - len {
                    let read = hull(&axis, axis.touching(i..i + len)).len();
                    assert!(read <= len + 2 * axis.reach(1).saturating_sub(1), "{len} elements of {axis:?}");
                }
            }
        }
    }

    #[test]
    fn one_image_is_enough_for_many_threads() {
        let count = |shape: [usize; 4], axes: [PoolAxis; 2], nchw: bool| {
            let data = vec![0.0f32; shape.iter().product()];
            let x = if nchw { View::nchw(&data, shape) } else { View::nhwc(&data, shape) }.unwrap();
            let forward = Tiling::forward(&axes, &x);
            let backward = Tiling::backward(&axes, Some(&x), shape, x.strides());
            for tiling in [forward, backward] {
                assert!(tiling.strips[..2].iter().sum::<usize>() <= STRIP, "{tiling:?}");
                assert_eq!(tiling.strips[0] > 0, nchw, "{tiling:?}");
            }
            [forward.grid.count(), backward.grid.count()]
        };
        let global = [PoolAxis::Adaptive { input: 7, outputs: 1 }; 2];
        let stem = [slide(3, 2, 1, 1, 112).unwrap(); 2];
        for nchw in [false, true] {
            for counts in [count([1, 7, 7, 2048], global, nchw), count([1, 112, 112, 64], stem, nchw)] {
                assert!(counts.iter().all(|count| (8..=512).contains(count)), "{counts:?}");
            }
        }
    }
}
