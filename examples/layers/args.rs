//! The command line.

use crate::common::{How, seconds};
use clap::{Parser, ValueEnum};
use gemmule::{Algorithm, Machine};
use gemmule_bench::{Layer, Layout, Op, Pad, Pair, Pass, Result, Setup, layers};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// Measures convolution and pooling layers: time, GFLOP/s, share of this machine's FMA peak, and why it runs as it does.
///
/// Without a file or a layer it measures the list of the benches: ResNet-50, VGG-16, MobileNetV2, EfficientNet-B0.
///
/// GFLOP/s are those of the fastest call. They count what a direct convolution does, two operations for each term of each
/// output, padding included, whatever the lowering saves; of a pool one for each tap of each output. The FMA peak is
/// measured turn by turn with the layer, on one core, and multiplied by the number of threads. Operands are random, and
/// outputs have about the variance 1. Weights are packed a few times, on all threads, and the least of the times is shown.
#[derive(Clone, Debug, Parser)]
#[command(name = "layers", after_long_help = EXAMPLES)]
pub struct Args {
    /// Layers to measure, tab-separated: name op c_in c_out kernel stride padding dilation groups height width
    ///
    /// The first line is that header. `op` is conv, conv_transpose, max_pool or avg_pool; kernel, stride, padding and
    /// dilation are one number, or two with the height first, as in 1x7; padding may be `same`.
    #[arg(long, value_name = "LAYERS.tsv")]
    file: Option<PathBuf>,
    /// Only layers whose name contains this
    #[arg(long, value_name = "PART", default_value = "", hide_default_value = true)]
    only: String,

    #[command(flatten)]
    pub how: How,
    /// Lowering: auto, or one that is forced, such as im2col, pointwise, depthwise, matrixmultiply
    #[arg(long, default_value = "auto")]
    algorithm: Algorithm,
    /// How activations lie in memory
    #[arg(long, value_enum, default_value = "nhwc")]
    pub layout: LayoutName,
    /// Which kernel: the output, or the gradient of the input (dx), the weights (dw) or the bias (db)
    #[arg(long, value_enum, default_value = "forward")]
    pub pass: PassName,
    /// Images
    #[arg(long, value_name = "N", default_value = "1")]
    pub batch: usize,
    /// Walk over so many copies of the packed weights that they come from memory, as inside a network
    #[arg(long)]
    cold: bool,
    /// Compare with the reference, computed in f64
    ///
    /// Shows the largest error, and the largest ratio to the bound of exact lowerings, (K + 2) * eps / 2 * sum |x * w|
    /// for sums of K terms; fast transforms have bounds of their own. A large layer is compared on a smaller image, under
    /// the plan that was made for the large one; the size is shown.
    #[arg(long)]
    pub verify: bool,
    /// Print one JSON object a line instead of a table, `peak_gflops` being that of all threads together
    #[arg(long)]
    pub json: bool,
    /// Print each plan: all lowerings, with their costs or their reasons for refusing. Always on for a single layer
    #[arg(long)]
    explain: bool,
    /// How long to measure each layer
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    pub seconds: Duration,

    // Last, because its heading would cover what follows.
    #[command(flatten)]
    one: OneLayer,
}

const EXAMPLES: &str = "Examples:
  layers --only resnet50 --threads 2
  layers --op conv --c-in 64 --c-out 64 --kernel 3 --padding 1 --height 56 --verify
  layers --file my_layers.tsv --algorithm im2col --cold --json > times.jsonl";

/// One layer, by flags.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "One layer")]
struct OneLayer {
    /// conv, conv_transpose, max_pool or avg_pool [default: conv]
    #[arg(long, conflicts_with_all = ["file", "only"], requires = "c_in")]
    op: Option<Op>,
    /// Channels of the input
    #[arg(long, value_name = "N", conflicts_with_all = ["file", "only"], requires_all = ["kernel", "height"])]
    c_in: Option<usize>,
    /// Channels of the output [default: as many as the input has]
    #[arg(long, value_name = "N", requires = "c_in")]
    c_out: Option<usize>,
    /// Taps, as 3 or, height first, 1x7
    #[arg(long, value_name = "HxW", requires = "c_in")]
    kernel: Option<Pair>,
    /// Steps of the window [default: 1]
    #[arg(long, value_name = "HxW", requires = "c_in")]
    stride: Option<Pair>,
    /// Zeros on both sides of each axis, or `same` [default: 0]
    #[arg(long, value_name = "HxW", requires = "c_in")]
    padding: Option<Pad>,
    /// Steps from tap to tap [default: 1]
    #[arg(long, value_name = "HxW", requires = "c_in")]
    dilation: Option<Pair>,
    /// Groups of channels [default: 1]
    #[arg(long, value_name = "N", requires = "c_in")]
    groups: Option<usize>,
    /// Height of the input
    #[arg(long, value_name = "N", requires = "c_in")]
    height: Option<usize>,
    /// Width of the input [default: its height]
    #[arg(long, value_name = "N", requires = "c_in")]
    width: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LayoutName {
    Nhwc,
    Nchw,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PassName {
    Forward,
    Dx,
    Dw,
    Db,
}

impl OneLayer {
    /// The layer, if there is one.
    fn layer(&self) -> Option<Layer> {
        let (c_in, kernel, height) = (self.c_in?, self.kernel?, self.height?);
        let one = Pair([1, 1]);
        let mut layer = Layer {
            name: String::new(),
            op: self.op.unwrap_or(Op::Conv),
            c_in,
            c_out: self.c_out.unwrap_or(c_in),
            kernel,
            stride: self.stride.unwrap_or(one),
            padding: self.padding.unwrap_or(Pad::Symmetric(Pair([0, 0]))),
            dilation: self.dilation.unwrap_or(one),
            groups: self.groups.unwrap_or(1),
            height,
            width: self.width.unwrap_or(height),
        };
        layer.name = layer.summary();
        Some(layer)
    }
}

impl Args {
    /// What is to be measured.
    pub fn layers(&self) -> Result<Vec<Layer>> {
        if let Some(layer) = self.one.layer() {
            return Ok(vec![layer]);
        }
        let mut all = match &self.file {
            Some(path) => {
                let in_file = |e: gemmule_bench::Error| format!("{}: {e}", path.display());
                Layer::read(File::open(path).map_err(|e| in_file(e.into()))?).map_err(in_file)?
            }
            None => layers()?,
        };
        all.retain(|layer| layer.name.contains(&self.only));
        if all.is_empty() {
            return Err(format!("there is no layer whose name contains {:?}", self.only).into());
        }
        Ok(all)
    }

    /// Whether plans are to be printed.
    pub fn explains(&self) -> bool {
        self.explain || self.one.layer().is_some()
    }

    /// How layers are to be run.
    pub fn setup(&self) -> Setup {
        Setup {
            pass: match self.pass {
                PassName::Forward => Pass::Forward,
                PassName::Dx => Pass::Dx,
                PassName::Dw => Pass::Dw,
                PassName::Db => Pass::Db,
            },
            layout: match self.layout {
                LayoutName::Nhwc => Layout::Nhwc,
                LayoutName::Nchw => Layout::Nchw,
            },
            batch: self.batch,
            algorithm: self.algorithm,
            // Twice what the last level holds.
            cold_bytes: if self.cold { 2 * Machine::detect().l3_bytes } else { 0 },
            ..self.how.setup()
        }
    }
}
