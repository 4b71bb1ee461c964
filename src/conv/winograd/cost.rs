//! What a transform costs, in the units of the plan: vector operations for one output of one group.
//!
//! - *multiply*: the products of all points, fewer than direct sums take. A single vector of outputs has each input broadcast
//!   for it alone, which takes longer.
//! - *stream*: a block of tiles reads all weights; each vector of them takes the time of so many operations to come from a shared
//!   cache, and after the first block less, where they stay in the second-level cache. With few tiles this is what counts.
//! - *strips*: a strip of the micro-kernel, and a product, cost the same whatever their size.
//! - *passes*: reading, transforming and writing the vectors of each point, once for each axis, in and out.
//! - *tiles*: what a tile, a line of a pass and a pixel cost beside their vectors, where tiles are transformed one by one; tiles that
//!   are transformed together take less.
//!
//! The constants were fitted to what [`crate::Algorithm::Winograd`] took in 39 random layers of the example `choose` (seeds 1
//! and 2, one thread, hot) on Emerald Rapids. Strips, passes and tiles were fitted again, there, when they had come to cost less, in
//! 140 random layers of 16 to 320 channels, maps of 7 to 112 pixels, 3x3 (also with stride 2 and dilation 2), 5x5 and 1x7: nine of ten
//! costs are 0.69 to 1.24 of the time, half of them 0.85 to 1.02.
//!
//! That of the stream is what AMD's shared caches take (8 operations for a vector of AVX-512), and for others, where little is known,
//! 14: between what Intel's servers take, 20 on Granite Rapids, and less; weights from memory, as they come in a network, take 48
//! there. With 8, 512 channels at 7x7 took twice as long there as direct sums with cold weights; on Zen 5 they take 0.62 of direct
//! sums' time, and 0.69 with cold weights.

use super::forms::Form;
use super::tiling::{CHANNELS, Cuts, lattice};
use super::{Winograd, factors};
use crate::conv::problem::Problem;
use crate::gemm::RegisterTile;

/// A vector of weights, each time it is read, for each cycle that it takes from the shared cache.
const WEIGHTS: f64 = 2.0;
/// Cycles that a line of them takes from the second-level cache.
const NEAR: f64 = 1.0;
/// A strip of rows of a panel.
const STRIP: f64 = 150.0;
/// A product.
const PRODUCT: f64 = 300.0;
/// A vector of a point in one pass, inputs and products.
const POINT: [f64; 2] = [7.0, 6.0];
/// A tile, and a line of a pass over it.
const TILE: f64 = 160.0;
const LINE: f64 = 8.0;
/// A pixel that is finished.
const PIXEL: f64 = 8.0;
/// How much longer passes and tiles take where each pixel of a group is less than a cache line (AVX2 on Zen 3, 7x1, 32 groups of 8 at
/// 56x56: 2.3 times as long as direct sums).
const PIECES: f64 = 1.5;
/// How much longer a multiplication takes where there is a single vector of outputs.
const NARROW: f64 = 1.4;

/// How weights come.
pub(crate) struct Weights {
    pub element_bytes: usize,
    /// Lines of a vector.
    pub lines: f64,
    /// Cycles that a vector takes from the shared cache, or from memory.
    pub vector_cycles: f64,
    /// Elements that stay in the second-level cache.
    pub near: usize,
}

impl Winograd {
    /// Outputs along an axis that one lattice has, for an input of this size.
    fn outputs(&self, p: &Problem, axis: usize, input: [usize; 3]) -> usize {
        let size = [input[1], input[2]];
        let outputs = match p.window.axes(size) {
            // A phase has about as many as there are inputs.
            Ok(axes) if !p.transposed => axes[axis].output(size[axis]).unwrap_or(size[axis]),
            _ => size[axis],
        };
        outputs.div_ceil(lattice(p, axis)).max(1)
    }

    /// The cost of an output of one group, which may be of any phase. Of an input whose size is not known, many tiles are assumed.
    pub fn cost(&self, p: &Problem, input: Option<[usize; 3]>, tile: RegisterTile, weights: &Weights) -> f64 {
        let (sum, count) = p.classes().fold((0.0, 0.0), |(sum, count), class| {
            (sum + self.class_cost(p, self.forms(&class), input, tile, weights), count + 1.0)
        });
        sum / count
    }

    fn class_cost(
        &self,
        p: &Problem,
        forms: [Form; 2],
        input: Option<[usize; 3]>,
        tile: RegisterTile,
        weights: &Weights,
    ) -> f64 {
        let vectors = |channels: usize| channels.div_ceil(tile.columns / 2) as f64;
        let (inputs, outputs) = (p.inputs_per_group(), p.outputs_per_group());
        // For each output: points of all tiles, and tiles.
        let (mut points, mut share, mut tiles) = (1.0, 1.0, self.tiles);
        let mut of_image: usize = 1;
        for (axis, form) in forms.into_iter().enumerate() {
            let count = input.map_or(form.m, |input| self.outputs(p, axis, input));
            let cuts = Cuts::new(form, count);
            points *= cuts.multiplications() / count as f64;
            share *= cuts.tiles as f64 / count as f64;
            of_image = of_image.saturating_mul(cuts.tiles);
        }
        if input.is_some() {
            tiles = tiles.min(of_image);
        }
        let [rows, columns] = forms.map(Form::points);
        let (planes, factors, of_tile) = ((rows * columns) as f64, factors(forms) as f64, share / tiles as f64);
        let passes = forms.iter().filter(|form| form.r > 1).count().max(1);
        let lines = |first: usize| if passes == 2 { (columns + first) as f64 } else { 1.0 };

        let narrow = if vectors(outputs) > 1.0 { 1.0 } else { NARROW };
        let multiply = points * inputs as f64 * vectors(outputs) * narrow;
        let streamed = factors * inputs as f64 * vectors(outputs);
        let stays = streamed * (tile.columns / 2) as f64 <= weights.near as f64;
        let again = if stays { weights.vector_cycles.min(NEAR * weights.lines) } else { weights.vector_cycles };
        let blocks = of_image.div_ceil(tiles.max(1)).max(1) as f64;
        let cycles = (weights.vector_cycles + again * (blocks - 1.0)) / blocks;
        let stream = WEIGHTS * cycles * streamed * of_tile;
        let panels = outputs.div_ceil(tile.columns) as f64;
        // Rows of a product, on average.
        let rows_of_product = (tiles as f64 * planes / factors) as usize;
        let high = rows_of_product.div_ceil(tile.rows) as f64;
        let strips = factors * (STRIP * high * panels + PRODUCT) * of_tile;
        let moved = POINT[0] * vectors(inputs) + POINT[1] * vectors(outputs);
        let passing = planes * passes as f64 * moved * share;
        let pixels = (forms[0].m * forms[1].m) as f64;
        let beside = inputs.div_ceil(CHANNELS) as f64 * (TILE + LINE * lines(rows))
            + outputs.div_ceil(self.part) as f64 * (TILE + LINE * lines(forms[0].m) + PIXEL * pixels);
        let pieces = if p.groups > 1 && inputs * weights.element_bytes < 64 { PIECES } else { 1.0 };
        multiply + stream + strips + pieces * (passing + share * beside)
    }
}
