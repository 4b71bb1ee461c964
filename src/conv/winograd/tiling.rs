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
    /// What lies between two passes.
    pub between: usize,
}

/// Channels that pass through the first-level cache at a time.
pub(super) const CHANNELS: usize = 128;
/// Elements of a cache line, at most.
pub(super) const LINE: usize = 16;

impl Sizes {
    /// For `tiles` tiles of `planes` points, with so many channels of the input and of a part of the output.
    pub fn new(tiles: usize, planes: usize, inputs: usize, outputs: usize) -> Self {
        // Rows start on a cache line. Rows and planes that are a power of two apart would all fall into a few sets of the caches.
        let row = |channels: usize| match channels.next_multiple_of(LINE) {
            whole if whole.is_multiple_of(256) => whole + LINE,
            whole => whole,
        };
        let row = [row(inputs), row(outputs)];
        let plane = row.map(|row| (tiles * row).next_multiple_of(LINE) + LINE);
        Sizes { row, plane, between: planes * CHANNELS.min(inputs.max(outputs)) }
    }

    /// The lengths of the transformed inputs, of the products, of what lies between passes, and of the zeros.
    pub fn lens(&self, planes: usize) -> [usize; 4] {
        [planes * self.plane[0], planes * self.plane[1], self.between, CHANNELS]
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
/// Blocks that a problem is cut into at least, where it is large enough.
const BLOCKS: usize = 16;

/// From an output to the next one that shares its lattice of inputs, along an axis, in outputs of a phase.
pub(super) fn lattice(p: &Problem, axis: usize) -> usize {
    if p.window.kernel[axis] == 1 { 1 } else { p.tap_distance(axis).max(1) }
}

/// How the outputs `y` are cut into blocks.
pub(super) fn grid(p: &Problem, forms: [Form; 2], y: [usize; 4], [tiles, fewest]: [usize; 2], part: usize) -> Grid {
    let step = [0, 1].map(|i| p.phases(i).saturating_mul(lattice(p, i)));
    let along = [0, 1].map(|i| y[i + 1].div_ceil(step[i]).div_ceil(forms[i].m).max(1));
    let block = p.outputs_per_group();
    let parts = block.div_ceil(part);
    let pixels = along[0].saturating_mul(along[1]).saturating_mul(step[0].saturating_mul(step[1])).saturating_mul(y[0]);
    // Smaller blocks, where that makes enough of them.
    let wanted = pixels.saturating_mul(parts.saturating_mul(p.groups)) / BLOCKS;
    let tiles = tiles.min(wanted.max(fewest));
    let even = |len: usize, most: usize| len.div_ceil(len.div_ceil(most.max(1)));
    let columns = even(along[1], tiles);
    let rows = even(along[0], tiles / columns);
    let blocks = (pixels / (rows * columns)).max(1).saturating_mul(p.groups);
    let cuts = (BLOCKS / blocks).clamp(1, parts);
    let phases = |i: usize, most: usize| Parts::Phases { len: y[i + 1], step: step[i], unit: forms[i].m, most };
    let channels = Parts::Blocks { len: p.outputs, block, unit: part, most: parts.div_ceil(cuts) };
    Grid([Parts::up_to(y[0], 1), phases(0, rows), phases(1, columns), channels])
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
}
