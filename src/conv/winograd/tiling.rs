//! How outputs are cut into tiles, and the memory that a block of tiles takes.

use super::forms::{Form, MOST_POINTS};
use super::pass::Along;
use crate::conv::Blocking;
use crate::conv::problem::Problem;
use crate::tiles::{Grid, Parts};
use core::array::from_fn;

/// Outputs along an axis in tiles of a form, of which the last one may have fewer.
#[derive(Clone, Copy)]
pub(super) struct Cuts {
    form: Form,
    outputs: usize,
    pub tiles: usize,
    /// Outputs that the last tile computes, and its points by their number in the form.
    last: usize,
    points: [usize; MOST_POINTS],
    /// Tiles that have a point: all of them, or all but the last.
    pub tiles_at: [usize; MOST_POINTS],
}

impl Cuts {
    pub fn new(form: Form, outputs: usize) -> Self {
        let tiles = outputs.div_ceil(form.m);
        let rest = outputs - tiles.saturating_sub(1) * form.m;
        let last = form.tiles().iter().copied().find(|&m| m >= rest).unwrap_or(form.m);
        let (points, count) = form.points_in(last);
        let tiles_at = from_fn(|point| if points[..count].contains(&point) { tiles } else { tiles.saturating_sub(1) });
        Cuts { form, outputs, tiles, last, points, tiles_at }
    }

    /// What a tile computes.
    pub fn tile(&self, tile: usize) -> Along {
        let form = self.form;
        let outputs = if tile + 1 == self.tiles { self.last } else { form.m };
        Along { form, outputs, wanted: (self.outputs - tile * form.m).min(form.m) }
    }

    /// The points of a tile, by their number in the form.
    pub fn points(&self, tile: usize) -> [usize; MOST_POINTS] {
        if tile + 1 == self.tiles { self.points } else { from_fn(|k| k) }
    }

    /// Tiles that have all outputs: all of them, or all but the last.
    pub fn whole_tiles(&self) -> usize {
        self.outputs / self.form.m
    }

    /// Points of all tiles together.
    pub fn multiplications(&self) -> f64 {
        self.tiles_at[..self.form.points()].iter().map(|&tiles| tiles as f64).sum()
    }
}

/// The sizes of a block of tiles, in elements.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// From a tile to the next one of a plane of transformed inputs, and of products.
    pub row: [usize; 2],
    /// From a plane to the next.
    pub plane: [usize; 2],
    /// A row of what lies between two passes, and all of it.
    pub span: usize,
    pub between: usize,
}

/// Channels that pass through the first-level cache at a time.
pub(super) const CHANNELS: usize = 128;
/// Elements of a row that lies between two passes, at most, of tiles that are transformed together.
pub(super) const SPAN: usize = 2048;
/// Such tiles, at most.
pub(super) const MOST_SIDE_BY_SIDE: usize = 8;

/// How many tiles of a row are transformed together, at most, with `n` channels.
pub(super) fn most_side_by_side(forms: [Form; 2], n: usize) -> usize {
    (SPAN / (forms[1].points() * n)).clamp(1, MOST_SIDE_BY_SIDE)
}

/// Elements of a cache line, at most.
pub(super) const LINE: usize = 16;

impl Sizes {
    /// For `tiles` tiles of so many points, with so many channels of the input and of a part of the output.
    pub fn new(tiles: usize, points: [usize; 2], inputs: usize, outputs: usize) -> Self {
        // Rows start on a cache line. Rows and planes that are a power of two apart would all fall into a few sets of the caches.
        let row = |channels: usize| match channels.next_multiple_of(LINE) {
            whole if whole.is_multiple_of(256) => whole + LINE,
            whole => whole,
        };
        let row = [row(inputs), row(outputs)];
        let plane = row.map(|row| (tiles * row).next_multiple_of(LINE) + LINE);
        let span = SPAN.max(points[1] * CHANNELS.min(inputs.max(outputs)));
        Sizes { row, plane, span, between: points[0] * span }
    }

    /// The lengths of the transformed inputs, of the products, of what lies between passes, and of the zeros.
    pub fn lens(&self, planes: usize) -> [usize; 4] {
        [planes * self.plane[0], planes * self.plane[1], self.between, self.span]
    }
}

/// Tiles of a block: transformed inputs and products stay in the second-level cache.
pub(super) fn block_tiles(
    forms: [Form; 2],
    blocking: &Blocking,
    [inputs, outputs]: [usize; 2],
    fewest: usize,
) -> usize {
    let [rows, columns] = forms.map(Form::points);
    let fit = 3 * blocking.weights / 2 / (rows * columns * (inputs + outputs)).max(1);
    let [rows_of_tile, more] = forms.map(Form::repeats);
    let most = MOST_TILES.min(MOST_ROWS / (rows_of_tile * more));
    fit.max(fewest).min(most).min(blocking.rows.max(1))
}

/// Tiles of a block, at least: with fewer, vectors of so many bytes use up the weights faster than they come. (3x3, 512 channels
/// at 28x28 on Emerald Rapids, whose shared cache gives 29 GB/s: 10.2 ms with 14 tiles of F(4, 3), 8.5 with 28, 7.8 with 42,
/// although their inputs no longer stay in the second-level cache.)
pub(super) fn fewest_tiles(forms: [Form; 2], vector_bytes: usize) -> usize {
    // Points that meet the same weights use them up more slowly.
    let share = |form: Form| form.factors() as f64 / form.points() as f64;
    let tiles = vector_bytes as f64 * 5.0 / 8.0 * share(forms[0]) * share(forms[1]);
    (tiles as usize).clamp(8, MOST_TILES)
}

/// More would only take longer to come back to.
pub(super) const MOST_TILES: usize = 64;
/// Rows of a product.
pub(super) const MOST_ROWS: usize = 512;
/// From an output to the next one that shares its lattice of inputs, along an axis, in outputs of a phase.
pub(super) fn lattice(p: &Problem, axis: usize) -> usize {
    if p.window.kernel[axis] == 1 { 1 } else { p.tap_distance(axis).max(1) }
}

/// How the outputs `y` are cut into blocks for so many workers. A tile is the same, to the bit, in any block.
pub(super) fn grid(
    p: &Problem,
    forms: [Form; 2],
    y: [usize; 4],
    [tiles, fewest]: [usize; 2],
    part: usize,
    workers: usize,
) -> Grid {
    let step = [0, 1].map(|i| p.phases(i).saturating_mul(lattice(p, i)));
    let along = [0, 1].map(|i| y[i + 1].div_ceil(step[i]).div_ceil(forms[i].m).max(1));
    let block = p.outputs_per_group();
    let map = Map {
        along,
        parts: block.div_ceil(part),
        copies: y[0].saturating_mul(step[0]).saturating_mul(step[1]).saturating_mul(p.groups),
        outputs: block as f64,
        overhead: fewest as f64 / 8.0,
    };
    let ([rows, columns, channels], by_channels) = map.cuts(tiles, workers.max(1));
    let phases = |i: usize, cuts: usize| {
        let most = along[i].div_ceil(cuts);
        Parts::Phases { len: y[i + 1], step: step[i], unit: forms[i].m, most }
    };
    let channels = Parts::Blocks { len: p.outputs, block, unit: part, most: map.parts.div_ceil(channels) };
    let grid = Grid::new([Parts::up_to(y[0], 1), phases(0, rows), phases(1, columns), channels]);
    if by_channels { grid.last_axis_first() } else { grid }
}

/// The tiles of a layer.
struct Map {
    /// Rows and columns of tiles of an image: of one group, one lattice.
    along: [usize; 2],
    /// Parts of the output channels of a group.
    parts: usize,
    /// Images, lattices and groups.
    copies: usize,
    /// Output channels of a group.
    outputs: f64,
    /// What a block costs beside its tiles, as the products of so many: its weights are read.
    overhead: f64,
}

/// What transforming the inputs of a tile takes, as the products for so many output channels.
const INPUTS: f64 = 16.0;

impl Map {
    /// In how many pieces rows, columns and channels are cut, into blocks of at most `tiles` tiles: so that all workers are done
    /// soon. And whether each worker has channels of its own: then all of them transform all inputs, but each reads its part
    /// of the weights alone.
    fn cuts(&self, tiles: usize, workers: usize) -> ([usize; 3], bool) {
        let mut best = ([1; 3], false, f64::INFINITY);
        let fewest = self.along[1].div_ceil(tiles.max(1));
        for columns in [fewest, fewest + 1, 2 * fewest, 4 * fewest] {
            let width = self.along[1].div_ceil(columns);
            let fewest = self.along[0].div_ceil((tiles / width).max(1));
            for rows in [fewest, fewest + 1, fewest + 2, fewest + 3, 2 * fewest, 4 * fewest] {
                if columns > self.along[1] || rows > self.along[0] {
                    continue;
                }
                let channels = (0..).map(|i| 1 << i).take_while(|&cuts| cuts < self.parts).chain([self.parts]);
                for channels in channels {
                    let cuts = [rows, columns, channels];
                    let (by_channels, time) = self.time(cuts, workers);
                    // Rather few blocks.
                    if time < 0.99 * best.2 {
                        best = (cuts, by_channels, time);
                    }
                }
            }
        }
        (best.0, best.1)
    }

    /// Whether workers should have channels of their own, and how long the one with the most work takes.
    fn time(&self, cuts: [usize; 3], workers: usize) -> (bool, f64) {
        let [rows, columns, channels] = cuts;
        let outputs = self.outputs * self.parts.div_ceil(channels) as f64 / self.parts as f64;
        let (blocks, all) = (self.copies.saturating_mul(rows * columns), self.copies as f64 * self.tiles());
        if workers > 1 && channels.is_multiple_of(workers) {
            let all = all + self.overhead * blocks as f64;
            return (true, all * (INPUTS + outputs) * (channels / workers) as f64);
        }
        let per_worker = blocks.saturating_mul(channels).div_ceil(workers) as f64;
        // Of the worker's channel cuts of blocks, how many tiles each.
        let tiles = if channels == 1 && self.copies.is_multiple_of(workers) {
            all / workers as f64
        } else if channels == 1 && rows.is_multiple_of(workers) {
            self.copies as f64 * (self.along[0].div_ceil(workers) * self.along[1]) as f64
        } else {
            per_worker * (self.along[0].div_ceil(rows) * self.along[1].div_ceil(columns)) as f64
        };
        // The next channels of a block find its inputs transformed.
        (false, (tiles + self.overhead * per_worker) * (INPUTS / channels as f64 + outputs))
    }

    /// Of an image.
    fn tiles(&self) -> f64 {
        self.along[0] as f64 * self.along[1] as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_last_tile_has_as_many_points_as_it_needs() {
        // 14 = 4 + 4 + 4 + 2: the last tile has zero, one pair, and infinity.
        let cuts = Cuts::new(Form { m: 4, r: 3, stride: 1 }, 14);
        assert_eq!((cuts.tiles, cuts.multiplications()), (4, 22.0));
        assert_eq!(cuts.tiles_at[..6], [4, 4, 4, 3, 3, 4]);
        assert_eq!((cuts.tile(3).outputs, cuts.tile(3).wanted, cuts.points(3)[..4].to_vec()), (2, 2, vec![0, 1, 2, 5]));
        // Without infinity only an odd number of points will do: two outputs are computed for one.
        let cuts = Cuts::new(Form { m: 4, r: 2, stride: 1 }, 5);
        assert_eq!((cuts.tile(1).outputs, cuts.tile(1).wanted, cuts.multiplications()), (2, 1, 8.0));
    }

    #[test]
    fn all_workers_have_as_much_to_do() {
        let map = |along, parts| Map { along, parts, copies: 1, outputs: 64.0 * parts as f64, overhead: 5.0 };
        // A single worker has few blocks; of few tiles and many channels, each worker has channels of its own.
        assert_eq!(map([7, 7], 2).cuts(56, 1), ([1, 1, 1], false));
        assert_eq!(map([7, 7], 2).cuts(56, 2), ([1, 1, 2], true));
        for (along, parts) in [([14, 14], 1), ([7, 7], 1), ([7, 7], 4), ([56, 56], 1), ([1, 1], 1), ([3, 100], 8)] {
            for tiles in [1, 16, 64] {
                for workers in [1, 2, 3, 8, 100, usize::MAX] {
                    let ([rows, columns, channels], _) = map(along, parts).cuts(tiles, workers);
                    assert!(rows <= along[0] && columns <= along[1] && channels <= parts);
                    let block = along[0].div_ceil(rows) * along[1].div_ceil(columns);
                    assert!(block <= tiles, "{along:?} in {rows} x {columns}: {block} of {tiles}");
                    let blocks = rows * columns * channels;
                    assert!(blocks >= workers.min(2).min(along[0] * parts), "{along:?} {parts}: {blocks} of {workers}");
                }
            }
        }
    }
}
