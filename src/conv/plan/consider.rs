//! What each lowering costs, or why it refuses.

use super::super::algorithm::{Algorithm, Refusal};
use super::super::depthwise::{least_strip, strip_len};
use super::super::gemm_tile::Source;
use super::super::patches::MAX_SEGMENTS;
use super::super::winograd::{Weights, Winograd, is_accurate};
use super::{Options, Plan};
use crate::simd::Level;
use crate::window::{Border, Padding};

/// How much longer a line takes where all of the last-level cache would be weights, in multiples of what it takes from there. Weights
/// of half of the cache still stay there (Zen 5, 512 channels at 7x7: 500 us with 17 of 32 MB, 620 us with 25 MB and fewer
/// multiplications).
const FROM_MEMORY: f64 = 1.0;

/// How much longer direct sums take than their multiplications at levels with narrow vectors, and those of a single vector of outputs,
/// which have each input broadcast for it alone (AVX2 on Zen 3: 120 random layers of the example `choose`, seeds 7 and 31).
const NARROW: f64 = 1.25;
const NARROW_VECTOR: f64 = 1.4;

impl Plan {
    /// The cost of a lowering, or its refusal.
    ///
    /// Costs count vector operations for one pixel of one group. The constants are what was measured on Zen 4, in layers of 4 to 512
    /// channels: a depthwise sum over the taps runs at 0.6 of the micro-kernel's speed, `matrixmultiply` at three quarters of it.
    /// Those of copies, edges and apart windows were measured on Zen 5, in random layers of the example `choose` (seeds 7 to 23).
    pub(super) fn consider(&mut self, algorithm: Algorithm, options: &Options) -> Result<f64, Refusal> {
        if algorithm == Algorithm::Winograd {
            let (winograd, cost) = self.transform(options)?;
            self.winograd = Some(winograd);
            return Ok(cost);
        }
        let p = &self.problem;
        let bytes = self.packed_len(algorithm).saturating_mul(self.element_bytes);
        if let Some(wanted) = options.max_weight_bytes.filter(|&wanted| bytes > wanted) {
            return Err(Refusal::WeightBytes { given: bytes, wanted });
        }
        let lanes = self.lanes() as f64;
        // Each phase of a transposed convolution meets its share of the taps.
        let phases = p.phases(0) as f64 * p.phases(1) as f64;
        let (terms, outputs) = (p.terms() as f64 / phases, p.outputs_per_group());
        // The last vector may take several terms at a time.
        let saved = 1.0 - 1.0 / self.terms_at_a_time(algorithm) as f64;
        let is_narrow = self.register_tile.rows < 14;
        let direct = match outputs.div_ceil(self.lanes()) {
            _ if !is_narrow => 1.0,
            1 => NARROW * NARROW_VECTOR,
            _ => NARROW,
        };
        let multiply = terms * (outputs.div_ceil(self.lanes()) as f64 - saved) * direct;
        let copy = 20.0 * terms / lanes + 30.0 * p.taps() as f64;
        // A strip costs as much as two hundred operations and thirty for each segment, whatever its height; narrow levels do two
        // operations in that time, and their segments cost less.
        let [each, segment] = if is_narrow { [2.0, 15.0] } else { [1.0, 30.0] };
        let each = each / self.register_tile.rows as f64;
        let strip = |segments: usize| 200.0 + segment * segments as f64;
        let strips = |segments: usize| strip(segments) * each;
        // Taps of a row of the kernel that are one segment.
        let beside = |together: bool| if together && p.window.dilation[1] == 1 { p.window.kernel[1] } else { 1 };
        let segments = |together: bool| p.taps() / beside(together);
        match algorithm {
            Algorithm::Pointwise if p.transposed => Err(Refusal::Transposed),
            Algorithm::Pointwise if p.window.kernel != [1, 1] => {
                Err(Refusal::Kernel { given: p.window.kernel, wanted: [1, 1] })
            }
            Algorithm::Pointwise if !unpadded(p.window.padding) => Err(Refusal::Padding),
            Algorithm::Pointwise => Ok(multiply + strips(1)),
            Algorithm::Depthwise if self.most_inputs() < p.inputs_per_group() => {
                Err(Refusal::ChannelsPerGroup { given: p.inputs_per_group(), wanted: self.most_inputs() })
            }
            Algorithm::Depthwise
                if p.inputs_per_group() > 1 && least_strip(p, self.lanes()) > strip_len(p, self.lanes()) =>
            {
                Err(Refusal::Scratch { given: least_strip(p, self.lanes()), wanted: strip_len(p, self.lanes()) })
            }
            Algorithm::Depthwise if p.inputs_per_group() > 1 => {
                // Lanes are spread by an instruction, where there is one.
                let each = match self.level {
                    Level::Avx512 => 1.4,
                    Level::Avx2 => 2.0,
                    _ => 4.0,
                };
                // Outputs beside each other share inputs, but for those of windows that are apart.
                let apart = match (p.window.stride, p.window.dilation) {
                    ([1, 1], [1, 1]) if p.window.kernel[1] > 1 => 1.0,
                    ([1, 1], _) => 1.7,
                    _ => 2.2,
                };
                let vectors = p.outputs.div_ceil(self.lanes()) as f64 / p.groups as f64;
                Ok(terms * vectors * each * apart)
            }
            Algorithm::Depthwise => {
                // With more than one output a group, inputs are repeated lane by lane in a strip first.
                let strip = if outputs > 1 { 6.0 } else { 0.0 };
                // Less than a vector takes longer than one (one channel to 6, 5x5, on Zen 5).
                let partial = if p.outputs < self.lanes() { 2.5 } else { 1.0 };
                let vectors = p.outputs.div_ceil(self.lanes()) as f64 / p.groups as f64;
                Ok((terms * 1.7 + strip) * vectors * partial)
            }
            Algorithm::Implicit | Algorithm::Band if p.taps() > MAX_SEGMENTS => {
                Err(Refusal::Taps { given: p.taps(), wanted: MAX_SEGMENTS })
            }
            Algorithm::Implicit => {
                let segments = segments(p.groups == 1);
                let panels = outputs.div_ceil(self.register_tile.columns) as f64;
                let (taps, strips_more) = self.edges(options.input);
                // A low strip takes as long as its weights take to come.
                let low = 1.6 * strip(segments) + 2.5 * terms;
                Ok(multiply * taps + strips(segments) + strips_more * low * panels)
            }
            Algorithm::Band if self.band_len() > self.copy_len() => {
                Err(Refusal::Scratch { given: self.band_len(), wanted: self.copy_len() })
            }
            Algorithm::Band => {
                // Pixels of the image for each output, and what each takes beside its channels: more, where every one is a call.
                let (tile, pixels) = self.band_tile(options.input);
                let channels = p.inputs_per_group() as f64 / lanes;
                let pixel = if p.groups > 1 && (channels > 1.0 || is_narrow) { 40.0 } else { 4.0 };
                // A tile reads all weights.
                let weights = 4.0 * multiply / tile;
                Ok(multiply + strips(segments(true)) + pixels * (pixel + 10.0 * channels) + weights)
            }
            Algorithm::Matrixmultiply if !has_matrixmultiply(self.level) => Err(Refusal::Level { given: self.level }),
            Algorithm::Matrixmultiply => Ok(multiply / 0.75 + strips(1) + copy),
            Algorithm::Im2col | Algorithm::Auto | Algorithm::Winograd => Ok(1.3 * multiply + strips(1) + copy),
        }
    }

    /// Outputs whose band fits into the memory for it, and pixels of the band for each of them.
    fn band_tile(&self, input: Option<[usize; 3]>) -> (f64, f64) {
        let p = &self.problem;
        let side = (self.copy_len() / p.inputs_per_group()).isqrt();
        let size = input.map_or([side; 2], |[_, height, width]| [height, width]);
        let outputs = [0, 1].map(|axis| {
            let stride = if p.transposed { 1 } else { p.window.stride[axis] };
            (side.saturating_sub(p.reach(axis, 1)) / stride + 1).min(size[axis].div_ceil(stride).max(1))
        });
        let pixels = p.reach(0, outputs[0]) as f64 * p.reach(1, outputs[1]) as f64;
        let outputs = outputs[0] as f64 * outputs[1] as f64;
        (outputs.min(self.blocking.rows as f64), pixels / outputs)
    }

    /// What padding changes where it is not copied: the share of the taps that lie in the image, and the strips for each output that
    /// there are beside the whole ones, since pixels with fewer taps are in strips of their own.
    fn edges(&self, input: Option<[usize; 3]>) -> (f64, f64) {
        let p = &self.problem;
        let none = (1.0, 0.0);
        let Some([_, height, width]) = input.filter(|_| !p.transposed) else { return none };
        let Ok(axes) = p.window.axes([height, width]) else { return none };
        let [Ok(rows), Ok(columns)] = [axes[0].output(height), axes[1].output(width)] else { return none };
        let borders = [(axes[0], height, rows), (axes[1], width, columns)].map(|(axis, input, outputs)| {
            let [before, after] = [axis.pad[0], axis.overhang(input, outputs)].map(|zeros| axis.border(zeros));
            let lost = (before.lost + after.lost) / (axis.kernel as f64 * outputs as f64);
            Border { classes: before.classes + after.classes, lost: lost.min(1.0) }
        });
        let pixels = self.block_pixels(Source::Image);
        let columns = columns.min(pixels);
        let tile = (pixels / columns).clamp(1, rows);
        let classes = (1.0 + borders[1].classes) * (1.0 + borders[0].classes * tile as f64 / rows as f64);
        ((1.0 - borders[0].lost) * (1.0 - borders[1].lost), (classes - 1.0) / (tile * columns) as f64)
    }

    /// Cycles for each line of weights of so many bytes, again and again: more, where they do not stay in the last-level cache.
    fn line_cycles(&self, bytes: usize) -> f64 {
        let [room, cycles] = self.l3.map(|x| x as f64);
        cycles * (1.0 + FROM_MEMORY * (2.0 * bytes as f64 / room.max(1.0) - 1.0).clamp(0.0, 1.0))
    }

    /// The cheapest transform, and its cost.
    fn transform(&self, options: &Options) -> Result<(Winograd, f64), Refusal> {
        let p = &self.problem;
        let filters = Winograd::filters(p, self.lanes())?;
        let mut best: Option<(Winograd, f64)> = None;
        let (nr, vector_bytes) = (self.register_tile.columns, self.lanes() * self.element_bytes);
        let taps = filters.map(|filter| filter.most);
        let mut refusal = Refusal::Transform { outputs: options.transform, taps };
        for forms in Winograd::choices(filters, options.transform) {
            if !is_accurate(forms, p.inputs_per_group(), options.accuracy) {
                if let Refusal::Transform { .. } = refusal {
                    refusal = Refusal::Accuracy { given: options.accuracy };
                }
                continue;
            }
            let winograd = Winograd::new(p, forms, &self.blocking, nr, vector_bytes);
            let bytes = winograd.weight_len(p, nr).saturating_mul(self.element_bytes);
            if let Some(wanted) = options.max_weight_bytes.filter(|&wanted| bytes > wanted) {
                // The fewest are what would have to be allowed.
                let fewest = if let Refusal::WeightBytes { given, .. } = refusal { given.min(bytes) } else { bytes };
                refusal = Refusal::WeightBytes { given: fewest, wanted };
                continue;
            }
            let lines = vector_bytes as f64 / 64.0;
            let (element_bytes, vector_cycles) = (self.element_bytes, self.line_cycles(bytes) * lines);
            let weights = Weights { element_bytes, lines, vector_cycles, near: self.blocking.weights };
            let cost = winograd.cost(p, options.input, self.register_tile, &weights);
            if best.is_none_or(|(_, least)| cost < least) {
                best = Some((winograd, cost));
            }
        }
        best.ok_or(refusal)
    }
}

fn unpadded(padding: Padding) -> bool {
    // With `Same`, a 1x1 kernel never gets a zero: a window of one pixel, and there are `ceil(input / stride)` of them.
    !matches!(padding, Padding::Explicit(pad) if pad != [[0; 2]; 2])
}

fn has_matrixmultiply(level: Level) -> bool {
    cfg!(feature = "simd") && matches!(level, Level::Avx2 | Level::Avx512)
}
