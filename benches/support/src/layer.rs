//! Layers, as a file lists them: tab-separated, with the header
//! `name op c_in c_out kernel stride padding dilation groups height width`.

use crate::{Pass, Result};
use gemmule_reference::Window;
use serde::Deserialize;
use std::fmt;
use std::io::Read;
use std::str::FromStr;

/// The layers of ResNet-50, VGG-16, MobileNetV2 and EfficientNet-B0, each one once a network, and a few of other networks
/// for what those do not have: transposed, dilated, grouped and one-sided kernels, small average pools.
///
/// Fully connected layers are 1x1 convolutions of one pixel; VGG-16's are left out, for their half gigabyte.
///
/// # Errors
/// None, unless the list is broken.
pub fn layers() -> Result<Vec<Layer>> {
    Layer::read(include_str!("../../layers.tsv").as_bytes())
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// [`gemmule::Conv2d`].
    Conv,
    /// [`gemmule::ConvTranspose2d`].
    ConvTranspose,
    /// [`gemmule::MaxPool2d`].
    MaxPool,
    /// [`gemmule::AvgPool2d`], padding not counted.
    AvgPool,
}

impl Op {
    /// All of them.
    pub const ALL: [Op; 4] = [Op::Conv, Op::ConvTranspose, Op::MaxPool, Op::AvgPool];

    /// As a file names it.
    pub fn name(self) -> &'static str {
        match self {
            Op::Conv => "conv",
            Op::ConvTranspose => "conv_transpose",
            Op::MaxPool => "max_pool",
            Op::AvgPool => "avg_pool",
        }
    }

    /// The kernels that it has.
    pub fn passes(self) -> &'static [Pass] {
        match self {
            Op::Conv => &[Pass::Forward, Pass::Dx, Pass::Dw, Pass::Db],
            Op::ConvTranspose => &[Pass::Forward],
            Op::MaxPool | Op::AvgPool => &[Pass::Forward, Pass::Dx],
        }
    }

    /// Whether it has weights.
    pub fn is_conv(self) -> bool {
        matches!(self, Op::Conv | Op::ConvTranspose)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Op {
    type Err = String;
    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let found = Op::ALL.into_iter().find(|op| op.name() == name);
        found.ok_or_else(|| format!("expected one of {}, got {name:?}", Op::ALL.map(Op::name).join(" ")))
    }
}

/// A number for each axis, `[height, width]`, written `3` or, height first, `1x7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pair(pub [usize; 2]);

impl FromStr for Pair {
    type Err = String;
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        let (h, w) = s.split_once('x').unwrap_or((s, s));
        match (h.parse(), w.parse()) {
            (Ok(h), Ok(w)) => Ok(Pair([h, w])),
            _ => Err(format!("expected a number or, height first, two as in 1x7, got {s:?}")),
        }
    }
}

impl TryFrom<String> for Pair {
    type Error = String;
    fn try_from(s: String) -> std::result::Result<Self, String> {
        s.parse()
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [h, w] = self.0;
        if h == w { write!(f, "{h}") } else { write!(f, "{h}x{w}") }
    }
}

/// Padding: a [`Pair`], the same on both sides of an axis, or `same`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Pad {
    /// So many zeros on each side.
    Symmetric(Pair),
    /// `output = ceil(input / stride)`, an odd zero after the input.
    Same,
}

impl FromStr for Pad {
    type Err = String;
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "same" => Ok(Pad::Same),
            _ => s.parse().map(Pad::Symmetric).map_err(|e: String| format!("{e}; `same` is fine too")),
        }
    }
}

impl TryFrom<String> for Pad {
    type Error = String;
    fn try_from(s: String) -> std::result::Result<Self, String> {
        s.parse()
    }
}

impl fmt::Display for Pad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pad::Symmetric(pair) => pair.fmt(f),
            Pad::Same => f.write_str("same"),
        }
    }
}

impl From<Pad> for gemmule::Padding {
    fn from(pad: Pad) -> Self {
        match pad {
            Pad::Symmetric(Pair(pad)) => pad.map(|p| isize::try_from(p).unwrap_or(isize::MAX)).into(),
            Pad::Same => gemmule::Padding::SameUpper,
        }
    }
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// `network/layer`.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output; of a pool as many as `c_in`.
    pub c_out: usize,
    /// Taps.
    pub kernel: Pair,
    /// Steps of the window.
    pub stride: Pair,
    /// Zeros on each side.
    pub padding: Pad,
    /// Steps from tap to tap.
    pub dilation: Pair,
    /// Groups of channels; of a pool 1.
    pub groups: usize,
    /// Height of the input.
    pub height: usize,
    /// Width of the input.
    pub width: usize,
}

impl Layer {
    /// All layers of a file.
    ///
    /// # Errors
    /// With the line that is wrong.
    pub fn read(file: impl Read) -> Result<Vec<Layer>> {
        let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_reader(file);
        let layers = reader.deserialize().collect::<std::result::Result<Vec<Layer>, _>>()?;
        for layer in &layers {
            layer.check().map_err(|e| format!("{}: {e}", layer.name))?;
        }
        Ok(layers)
    }

    /// Refuses a pool that changes the number of channels, or has groups.
    ///
    /// # Errors
    /// That one; what else can be wrong, the library says.
    pub fn check(&self) -> Result<()> {
        if !self.op.is_conv() && (self.c_in != self.c_out || self.groups != 1) {
            let Layer { op, c_in, c_out, groups, .. } = self;
            let given = format!("{c_in}, {c_out} and {groups}");
            return Err(format!("{op}: expected as many outputs as inputs and 1 group, got {given}").into());
        }
        Ok(())
    }

    /// What it is, in short: a name for a layer that has none.
    pub fn summary(&self) -> String {
        let Layer { op, c_in, c_out, stride, padding, dilation, groups, height, width, .. } = self;
        let [kh, kw] = self.kernel.0;
        let mut name = format!("{op}_{kh}x{kw}");
        for (letter, pair) in [("s", stride), ("d", dilation)] {
            if *pair != Pair([1, 1]) {
                name += &format!("_{letter}{pair}");
            }
        }
        if *padding != Pad::Symmetric(Pair([0, 0])) {
            name += &format!("_p{padding}");
        }
        if *groups != 1 {
            name += &format!("_g{groups}");
        }
        name + &format!("/{c_in}->{c_out}@{height}x{width}")
    }

    /// The input's shape, `[n, h, w, c]`.
    pub fn input(&self, batch: usize) -> [usize; 4] {
        [batch, self.height, self.width, self.c_in]
    }

    /// Its convolution.
    pub fn conv(&self) -> gemmule::Conv2d {
        let conv = gemmule::Conv2d::new(self.c_in, self.c_out, self.kernel.0).stride(self.stride.0);
        conv.dilation(self.dilation.0).padding(self.padding).groups(self.groups)
    }

    /// Its transposed convolution.
    pub fn conv_transpose(&self) -> gemmule::ConvTranspose2d {
        let conv = gemmule::ConvTranspose2d::new(self.c_in, self.c_out, self.kernel.0).stride(self.stride.0);
        conv.dilation(self.dilation.0).padding(self.padding).groups(self.groups)
    }

    /// Its maximum pool.
    pub fn max_pool(&self) -> gemmule::MaxPool2d {
        gemmule::MaxPool2d::new(self.kernel.0, self.stride.0).dilation(self.dilation.0).padding(self.padding)
    }

    /// Its average pool.
    pub fn avg_pool(&self) -> gemmule::AvgPool2d {
        gemmule::AvgPool2d::new(self.kernel.0, self.stride.0).dilation(self.dilation.0).padding(self.padding)
    }

    /// The output's shape, `[n, h, w, c]`.
    ///
    /// # Errors
    /// As the library says.
    pub fn output(&self, batch: usize) -> Result<[usize; 4]> {
        let x = self.input(batch);
        Ok(match self.op {
            Op::Conv => self.conv().output_shape(x)?,
            Op::ConvTranspose => self.conv_transpose().output_shape(x)?,
            Op::MaxPool => self.max_pool().output_shape(x)?,
            Op::AvgPool => self.avg_pool().output_shape(x)?,
        })
    }

    /// The reference's window, and the output padding of a transposed convolution, with `same` carried out for its input.
    pub fn window(&self) -> (Window, [usize; 2]) {
        let (kernel, stride, dilation) = (self.kernel.0, self.stride.0, self.dilation.0);
        let axis = |i: usize| {
            let (input, extent) = ([self.height, self.width][i], dilation[i] * (kernel[i] - 1) + 1);
            match self.padding {
                Pad::Symmetric(Pair(pad)) => ([pad[i] as isize; 2], 0),
                Pad::Same => {
                    // The small side's pixels, and where their windows end.
                    let small = if self.op == Op::ConvTranspose { input } else { input.div_ceil(stride[i]) };
                    let (reach, large) = (stride[i] * (small - 1) + extent, small * stride[i]);
                    let large = if self.op == Op::ConvTranspose { large } else { input };
                    let pad = reach.saturating_sub(large);
                    ([(pad / 2) as isize, pad.div_ceil(2) as isize], large.saturating_sub(reach))
                }
            }
        };
        let ((pad_y, more_y), (pad_x, more_x)) = (axis(0), axis(1));
        (Window { kernel, stride, dilation, pad: [pad_y, pad_x] }, [more_y, more_x])
    }

    /// Taps of a window.
    pub fn taps(&self) -> usize {
        self.kernel.0.iter().product()
    }

    /// A layer like this one of at most so much [`Layer::work`], if need be on a smaller image.
    ///
    /// # Errors
    /// As [`Layer::output`]; and where even the smallest image is too much.
    pub fn cropped(&self, batch: usize, work: f64) -> Result<Layer> {
        let mut layer = self.clone();
        while layer.work(batch)? > work {
            let side = if layer.height >= layer.width { &mut layer.height } else { &mut layer.width };
            *side = side.div_ceil(2);
            if (layer.height, layer.width) == (1, 1) || layer.output(batch).is_err() {
                return Err("expected a layer that the reference can work through, got a larger one".into());
            }
        }
        Ok(layer)
    }

    /// Multiplications of a convolution counted directly, padding included; or taps that a pool reads.
    ///
    /// # Errors
    /// As [`Layer::output`].
    pub fn work(&self, batch: usize) -> Result<f64> {
        let y = self.output(batch)?;
        let (pixels, each) = match self.op {
            Op::Conv => (y, self.c_in / self.groups),
            Op::ConvTranspose => (self.input(batch), self.c_out / self.groups),
            Op::MaxPool | Op::AvgPool => (y, 1),
        };
        let [kh, kw] = self.kernel.0;
        Ok(pixels.into_iter().chain([kh, kw, each]).map(|d| d as f64).product())
    }
}
