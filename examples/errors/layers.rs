//! The layers whose errors are measured, and their inputs and weights.

use anyhow::Result;
use fastrand::Rng;
use gemmule::{Activation, Algorithm, Conv2d, Epilogue, Options, Run, Tensor, Weights};

/// A layer without padding.
#[derive(Clone, Debug)]
pub struct Layer {
    pub kernel: [usize; 2],
    pub stride: usize,
    pub dilation: usize,
    pub channels: usize,
}

/// Outputs channels: those of the input only make sums longer.
const OUTPUTS: usize = 64;
/// Height and width of the output: tiles of every size are among its last ones.
const SIDE: usize = 58;
/// Images, for more than a million outputs.
const IMAGES: usize = 5;

impl Layer {
    pub fn all() -> Vec<Layer> {
        let layer = |kernel, stride, dilation, channels| Layer { kernel, stride, dilation, channels };
        vec![
            layer([3, 3], 1, 1, 64),
            layer([3, 3], 1, 1, 256),
            layer([3, 3], 1, 1, 512),
            layer([3, 3], 1, 2, 128),
            layer([5, 5], 1, 1, 48),
            layer([5, 5], 1, 1, 128),
            layer([1, 3], 1, 1, 128),
            layer([1, 7], 1, 1, 160),
            layer([7, 1], 1, 1, 160),
            layer([2, 2], 1, 1, 128),
            layer([4, 4], 1, 1, 128),
            layer([3, 3], 2, 1, 128),
            layer([3, 3], 2, 1, 512),
            layer([5, 5], 2, 1, 128),
        ]
    }

    pub fn name(&self) -> String {
        let Layer { kernel: [h, w], stride, dilation, channels } = self;
        let stride = if *stride == 1 { String::new() } else { format!(" s{stride}") };
        let dilation = if *dilation == 1 { String::new() } else { format!(" d{dilation}") };
        format!("{h}x{w}{stride}{dilation}, {channels}")
    }

    pub fn conv(&self) -> Conv2d {
        Conv2d::new(self.channels, OUTPUTS, self.kernel).stride([self.stride; 2]).dilation([self.dilation; 2])
    }

    pub fn input(&self) -> [usize; 4] {
        let [h, w] = self.kernel.map(|taps| (SIDE - 1) * self.stride + 1 + self.dilation * (taps - 1));
        [IMAGES, h, w, self.channels]
    }

    /// Normal weights, for outputs of variance 1 where inputs have mean square 1.
    pub fn weights(&self, rng: &mut Rng) -> Vec<f32> {
        let terms = self.kernel[0] * self.kernel[1] * self.channels;
        let scale = (terms as f64).sqrt().recip();
        (0..terms * OUTPUTS).map(|_| (scale * normal(rng)) as f32).collect()
    }
}

/// What goes into a layer. All have mean square 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    Normal,
    /// What three random layers with ReLU make of normal inputs.
    Relu,
    /// A hundred, and normal numbers.
    Offset,
    /// Ones whose sign changes from pixel to pixel, and a tenth of normal numbers.
    Alternating,
}

impl Inputs {
    pub const ALL: [Inputs; 4] = [Inputs::Normal, Inputs::Relu, Inputs::Offset, Inputs::Alternating];

    pub fn name(self) -> &'static str {
        match self {
            Inputs::Normal => "normal",
            Inputs::Relu => "after ReLU",
            Inputs::Offset => "offset",
            Inputs::Alternating => "alternating",
        }
    }

    pub fn draw(self, shape: [usize; 4], rng: &mut Rng) -> Result<Tensor<f32>> {
        let [_, h, w, c] = shape;
        let mut x = match self {
            Inputs::Relu => activations(shape, rng)?,
            _ => Tensor::zeros(shape)?,
        };
        for (i, value) in x.as_mut_slice().iter_mut().enumerate() {
            let (ox, oy) = (i / c % w, i / c / w % h);
            let sign = if (oy + ox) % 2 == 0 { 1.0 } else { -1.0 };
            match self {
                Inputs::Normal => *value = normal(rng) as f32,
                Inputs::Relu => {}
                Inputs::Offset => *value = (100.0 + normal(rng)) as f32,
                Inputs::Alternating => *value = (sign * (1.0 + 0.1 * normal(rng))) as f32,
            }
        }
        let squares: f64 = x.as_slice().iter().map(|&value| f64::from(value).powi(2)).sum();
        let scale = (x.as_slice().len() as f64 / squares).sqrt();
        x.as_mut_slice().iter_mut().for_each(|value| *value = (scale * f64::from(*value)) as f32);
        Ok(x)
    }
}

/// The activations of the last of three random 3x3 layers with ReLU.
fn activations(shape: [usize; 4], rng: &mut Rng) -> Result<Tensor<f32>> {
    const CHANNELS: usize = 32;
    let mut x = Tensor::<f32>::zeros([shape[0], shape[1], shape[2], CHANNELS])?;
    x.as_mut_slice().iter_mut().for_each(|value| *value = normal(rng) as f32);
    for outputs in [CHANNELS, CHANNELS, shape[3]] {
        let conv = Conv2d::new(CHANNELS, outputs, [3, 3]).padding(1);
        let scale = (2.0 / (9 * CHANNELS) as f64).sqrt();
        let weights: Vec<f32> = (0..9 * CHANNELS * outputs).map(|_| (scale * normal(rng)) as f32).collect();
        let options = Options::new().algorithm(Algorithm::Implicit);
        let mut y = Tensor::zeros([shape[0], shape[1], shape[2], outputs])?;
        let epilogue = Epilogue::new().activation(Activation::Relu);
        let layer = conv.prepare(Weights::hwio(&weights), None, &options)?;
        layer.forward(x.view(), y.view_mut(), &epilogue, Run::new())?;
        x = y;
    }
    Ok(x)
}

/// Normal numbers (Box and Muller, 1958).
fn normal(rng: &mut Rng) -> f64 {
    let (radius, angle) = ((-2.0 * (1.0 - rng.f64()).ln()).sqrt(), std::f64::consts::TAU * rng.f64());
    radius * angle.cos()
}
