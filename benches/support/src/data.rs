//! What a layer's kernels read and write.

use crate::{Layer, Op, Pass, Result, Setup};
use gemmule::{Element, Tensor, View, ViewMut};

/// How activations lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Channels last.
    #[default]
    Nhwc,
    /// Plane by plane.
    Nchw,
}

/// A tensor, and how the elements in its memory are to be read.
pub(crate) struct Activation<T> {
    pub tensor: Tensor<T>,
    pub layout: Layout,
}

impl<T: Element> Activation<T> {
    pub fn view(&self) -> Result<View<'_, T>> {
        let (memory, shape) = (self.tensor.as_slice(), self.tensor.shape());
        Ok(match self.layout {
            Layout::Nhwc => View::nhwc(memory, shape)?,
            Layout::Nchw => View::nchw(memory, shape)?,
        })
    }

    pub fn view_mut(&mut self) -> Result<ViewMut<'_, T>> {
        let (shape, memory) = (self.tensor.shape(), self.tensor.as_mut_slice());
        Ok(match self.layout {
            Layout::Nhwc => ViewMut::nhwc(memory, shape)?,
            Layout::Nchw => ViewMut::nchw(memory, shape)?,
        })
    }
}

/// All operands of a layer. Those that the pass does not take are empty.
pub(crate) struct Data<T> {
    pub x: Activation<T>,
    pub dy: Activation<T>,
    /// `[kh, kw, c_in / groups, c_out]`; of a transposed convolution `[kh, kw, c_in, c_out / groups]`.
    pub weights: Tensor<T>,
    pub bias: Vec<T>,
    /// `y`, `dx`, `dw` or `db`.
    pub out: Activation<T>,
}

impl<T: Element> Data<T> {
    /// Random operands, of the variance that gives the output about the variance 1.
    pub fn new(layer: &Layer, setup: &Setup) -> Result<Self> {
        let (x, y) = (layer.input(setup.batch), layer.output(setup.batch)?);
        let weights = match layer.op {
            Op::Conv => layer.conv().weight_shape()?,
            Op::ConvTranspose => layer.conv_transpose().weight_shape()?,
            Op::MaxPool | Op::AvgPool => [0; 4],
        };
        let bias = if layer.op.is_conv() { layer.c_out } else { 0 };
        let none = [0; 4];
        let (x, dy, weights, bias, out) = match setup.pass {
            Pass::Forward => (x, none, weights, bias, y),
            Pass::Dx if layer.op == Op::MaxPool => (x, y, none, 0, x),
            Pass::Dx => (none, y, weights, 0, x),
            Pass::Dw => (x, y, none, 0, weights),
            Pass::Db => (none, y, none, 0, [1, 1, 1, layer.c_out]),
        };
        let scale = (terms(layer, setup)? as f64).sqrt().recip();
        let dy_scale = if matches!(setup.pass, Pass::Dw | Pass::Db) { scale } else { 1.0 };
        let activation = |tensor, layout| Activation { tensor, layout };
        let out_layout = if matches!(setup.pass, Pass::Dw | Pass::Db) { Layout::Nhwc } else { setup.layout };
        Ok(Data {
            x: activation(random(x, 1, 1.0)?, setup.layout),
            dy: activation(random(dy, 2, dy_scale)?, setup.layout),
            weights: random(weights, 3, scale)?,
            bias: random([1, 1, 1, bias], 4, 1.0)?.as_slice().to_vec(),
            out: activation(Tensor::zeros(out)?, out_layout),
        })
    }
}

/// Terms of a sum, at most.
pub(crate) fn terms(layer: &Layer, setup: &Setup) -> Result<usize> {
    let [n, h, w, _] = layer.output(setup.batch)?;
    Ok(match (setup.pass, layer.op) {
        (Pass::Dw | Pass::Db, _) => n * h * w,
        (_, Op::MaxPool | Op::AvgPool) => layer.taps(),
        (Pass::Dx, _) => layer.taps() * layer.c_out / layer.groups,
        (Pass::Forward, _) => layer.taps() * layer.c_in / layer.groups,
    })
}

/// Uniform numbers of mean 0 and variance `scale * scale`, the same ones each time (SplitMix64; Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", 2014).
///
/// # Errors
/// Memory that can't be had.
pub fn random<T: Element>(shape: [usize; 4], seed: u64, scale: f64) -> Result<Tensor<T>> {
    let mut state = seed << 32;
    let mut tensor = Tensor::zeros(shape)?;
    for value in tensor.as_mut_slice() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        *value = T::from_f64((2.0 * unit - 1.0) * 3f64.sqrt() * scale);
    }
    Ok(tensor)
}
