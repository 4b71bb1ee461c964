//! What a transform costs, in the units of the plan: vector operations for one output of one group.
//!
//! - *multiply*: the products of all points, fewer than direct sums take. A single vector of outputs has each input broadcast
//!   for it alone, which takes longer.
//! - *stream*: a block of tiles reads all weights; each vector of them takes the time of so many operations to come from a shared
//!   cache. With few tiles this is what counts.
//! - *strips*: a strip of the micro-kernel, and a product, cost the same whatever their size.
//! - *passes*: reading, transforming and writing the vectors of each point, once for each axis, in and out.
//! - *tiles*: what a tile, a line of a pass and a pixel cost beside their vectors. With few channels this is most of it.
//!
//! The constants were fitted to what [`crate::Algorithm::Winograd`] took in 39 random layers of the example `choose` (seeds 1
//! and 2, one thread, hot) on Emerald Rapids; the fixed ones were lowered after seed 3, where small layers were not picked, and
//! a fifth more, for Zen 5 (seeds 7 to 23). That of the stream is what AMD's shared caches take (8 operations for a vector of
//! AVX-512), and for others, where little is known, 14: between what Intel's servers take, 20 on Granite Rapids, and less; weights
//! from memory, as they come in a network, take 48 there. With 8, 512 channels at 7x7 took twice as long there as direct sums with
//! cold weights; on Zen 5 they take 0.62 of direct sums' time, and 0.69 with cold weights.

use super::forms::Form;
use super::tiling::{CHANNELS, Cuts, lattice};
use super::{Winograd, factors};
use crate::conv::problem::Problem;
use crate::gemm::RegisterTile;

/// A vector of weights, each time it is read, for each cycle that it takes from the shared cache.
const WEIGHTS: f64 = 2.0;
/// A strip of rows of a panel.
const STRIP: f64 = 300.0;
/// A product.
const PRODUCT: f64 = 200.0;
/// A vector of a point in one pass, inputs and products.
const POINT: [f64; 2] = [5.0, 4.5];
/// A tile, and a line of a pass over it.
const TILE: f64 = 160.0;
const LINE: f64 = 32.0;
/// A pixel that is finished.
const PIXEL: f64 = 32.0;
/// How much longer a multiplication takes where there is a single vector of outputs.
const NARROW: f64 = 1.4;

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
    pub fn cost(&self, p: &Problem, input: Option<[usize; 3]>, tile: RegisterTile, vector_cycles: f64) -> f64 {
        let (sum, count) = p.classes().fold((0.0, 0.0), |(sum, count), class| {
            (sum + self.class_cost(p, self.forms(&class), input, tile, vector_cycles), count + 1.0)
        });
        sum / count
    }

    fn class_cost(
        &self,
        p: &Problem,
        forms: [Form; 2],
        input: Option<[usize; 3]>,
        tile: RegisterTile,
        vector_cycles: f64,
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
        let stream = WEIGHTS * vector_cycles * factors * inputs as f64 * vectors(outputs) * of_tile;
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
        multiply + stream + strips + passing + share * beside
    }
}
