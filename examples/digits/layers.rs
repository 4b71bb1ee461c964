//! The layers: each owns its description, its prepared operators, and the buffers that it writes.
//!
//! Layers hand each other dense NHWC slices. Each sees its input through a view of its own shape, so that flattening
//! `[n, 2, 2, c]` into `[n, 1, 1, 4 * c]` is no operation at all.

use crate::optimizer::Parameter;
use crate::runner::Runner;
use anyhow::Result;
use fastrand::Rng;
use gemmule::{
    Activation, AvgPool2d, Conv2d, Epilogue, MaxPool2d, PackedBackwardInput, PackedConv2d, PreparedBackwardWeights,
    Tensor, View, ViewMut, Weights, WeightsMut, Write, conv_backward_bias,
};

/// A layer. `batch` is at most what the layer was made for.
pub trait Layer {
    /// `y` from `x`.
    fn forward(&mut self, batch: usize, x: &[f32], runner: &mut Runner) -> Result<()>;
    /// What `forward` has written.
    fn y(&self) -> &[f32];
    /// The gradients of `x` and of the parameters, from that of `y`.
    fn backward(&mut self, batch: usize, x: &[f32], dy: &[f32], runner: &mut Runner) -> Result<()>;
    /// The gradient of `x` that `backward` has written.
    fn dx(&self) -> &[f32];
    /// What is to be learned.
    fn parameters(&mut self) -> &mut [Parameter] {
        &mut []
    }
    /// Takes over parameters that have changed.
    fn repack(&mut self, _: &mut Runner) -> Result<()> {
        Ok(())
    }
}

/// The shape of fewer images.
fn first(batch: usize, [_, h, w, c]: [usize; 4]) -> [usize; 4] {
    [batch, h, w, c]
}

/// A convolution with a bias, and an activation that is written while the output's tile is hot.
pub struct Conv {
    name: &'static str,
    activation: Activation<'static, f32>,
    packed: PackedConv2d<f32>,
    /// Not in the first layer: nobody needs the gradient of an image.
    backward_input: Option<PackedBackwardInput<f32>>,
    backward_weights: PreparedBackwardWeights<f32>,
    /// Weights (kernel height, kernel width, input channel, output channel) and bias.
    parameters: [Parameter; 2],
    y: Tensor<f32>,
    /// The gradient of what goes into the activation.
    dz: Tensor<f32>,
    dx: Tensor<f32>,
}

impl Conv {
    /// For batches of up to `x[0]` images of the shape `x`, `[n, h, w, c]`.
    pub fn new(name: &'static str, conv: Conv2d, x: [usize; 4], rng: &mut Rng, runner: &mut Runner) -> Result<Conv> {
        let shape = conv.weight_shape()?;
        // Uniform below 1 / sqrt(fan-in), as PyTorch.
        let limit = 1.0 / ((shape[0] * shape[1] * shape[2]) as f32).sqrt();
        let weights: Vec<f32> = (0..shape.iter().product()).map(|_| limit * (2.0 * rng.f32() - 1.0)).collect();
        let bias = vec![0.0; conv.out_channels()];

        let options = runner.options().input([x[0], x[1], x[2]]);
        let packed = conv.prepare(Weights::hwio(&weights), Some(&bias), &options)?;
        let backward_input = conv.prepare_backward_input(Weights::hwio(&weights), &options)?;
        let backward_weights = conv.prepare_backward_weights(&options)?;
        runner.reserve(|workers| packed.plan().workspace_len(workers))?;
        runner.reserve(|workers| backward_input.plan().workspace_len(workers))?;
        runner.reserve(|workers| backward_weights.workspace_len(workers))?;

        let y = conv.output_shape(x)?;
        Ok(Conv {
            name,
            activation: Activation::Identity,
            packed,
            backward_input: Some(backward_input),
            backward_weights,
            parameters: [Parameter::weights(weights), Parameter::bias(bias)],
            y: Tensor::zeros(y)?,
            dz: Tensor::zeros(y)?,
            dx: Tensor::zeros(x)?,
        })
    }

    pub fn relu(self) -> Conv {
        Conv { activation: Activation::Relu, ..self }
    }

    /// The first layer computes no gradient of its input.
    pub fn without_dx(self) -> Conv {
        Conv { backward_input: None, ..self }
    }

    pub fn y_shape(&self) -> [usize; 4] {
        self.y.shape()
    }
}

impl Layer for Conv {
    fn forward(&mut self, batch: usize, x: &[f32], runner: &mut Runner) -> Result<()> {
        let shapes = [self.dx.shape(), self.y.shape()].map(|shape| first(batch, shape));
        let epilogue = Epilogue::new().activation(self.activation);
        runner.run(self.name, "forward", |run| {
            let (x, y) = (View::nhwc(x, shapes[0])?, ViewMut::nhwc(self.y.as_mut_slice(), shapes[1])?);
            self.packed.forward(x, y, &epilogue, run)
        })
    }

    fn y(&self) -> &[f32] {
        self.y.as_slice()
    }

    fn backward(&mut self, batch: usize, x: &[f32], dy: &[f32], runner: &mut Runner) -> Result<()> {
        let [x_shape, y_shape] = [self.dx.shape(), self.y.shape()].map(|shape| first(batch, shape));
        let (x, mut dz) = (View::nhwc(x, x_shape)?, View::nhwc(dy, y_shape)?);
        if self.activation != Activation::Identity {
            // A ReLU's output is positive where its input is, so the output serves as well.
            let y = View::nhwc(self.y.as_slice(), y_shape)?;
            runner.run(self.name, "ReLU dX", |run| {
                let dz_mut = ViewMut::nhwc(self.dz.as_mut_slice(), y_shape)?;
                self.activation.backward(y, dz, dz_mut, Write::Replace, run)
            })?;
            dz = View::nhwc(self.dz.as_slice(), y_shape)?;
        }
        let [weights, bias] = &mut self.parameters;
        runner.run(self.name, "db", |run| conv_backward_bias(dz, &mut bias.gradient, Write::Replace, run))?;
        runner.run(self.name, "dW", |run| {
            let dw = WeightsMut::hwio(&mut weights.gradient);
            self.backward_weights.backward(x, dz, dw, Write::Replace, run)
        })?;
        if let Some(backward_input) = &self.backward_input {
            runner.run(self.name, "dX", |run| {
                let dx = ViewMut::nhwc(self.dx.as_mut_slice(), x_shape)?;
                backward_input.backward(dz, dx, Write::Replace, run)
            })?;
        }
        Ok(())
    }

    fn dx(&self) -> &[f32] {
        self.dx.as_slice()
    }

    fn parameters(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }

    fn repack(&mut self, runner: &mut Runner) -> Result<()> {
        let [weights, bias] = &self.parameters;
        runner.run(self.name, "repack", |_| {
            self.packed.repack(Weights::hwio(&weights.values), Some(&bias.values))?;
            match &mut self.backward_input {
                Some(backward_input) => backward_input.repack(Weights::hwio(&weights.values)),
                None => Ok(()),
            }
        })
    }
}

/// Maximum pooling that remembers where each maximum came from.
pub struct MaxPool {
    name: &'static str,
    pool: MaxPool2d,
    y: Tensor<f32>,
    indices: Tensor<i64>,
    dx: Tensor<f32>,
}

impl MaxPool {
    pub fn new(name: &'static str, pool: MaxPool2d, x: [usize; 4]) -> Result<MaxPool> {
        let y = pool.output_shape(x)?;
        Ok(MaxPool { name, pool, y: Tensor::zeros(y)?, indices: Tensor::zeros(y)?, dx: Tensor::zeros(x)? })
    }

    pub fn y_shape(&self) -> [usize; 4] {
        self.y.shape()
    }
}

impl Layer for MaxPool {
    fn forward(&mut self, batch: usize, x: &[f32], runner: &mut Runner) -> Result<()> {
        let [x_shape, y_shape] = [self.dx.shape(), self.y.shape()].map(|shape| first(batch, shape));
        runner.run(self.name, "forward", |run| {
            let y = ViewMut::nhwc(self.y.as_mut_slice(), y_shape)?;
            let indices = ViewMut::nhwc(self.indices.as_mut_slice(), y_shape)?;
            self.pool.forward_with_indices(View::nhwc(x, x_shape)?, y, indices, run)
        })
    }

    fn y(&self) -> &[f32] {
        self.y.as_slice()
    }

    fn backward(&mut self, batch: usize, _: &[f32], dy: &[f32], runner: &mut Runner) -> Result<()> {
        let [x_shape, y_shape] = [self.dx.shape(), self.y.shape()].map(|shape| first(batch, shape));
        runner.run(self.name, "dX", |run| {
            let (dy, indices) = (View::nhwc(dy, y_shape)?, View::nhwc(self.indices.as_slice(), y_shape)?);
            let dx = ViewMut::nhwc(self.dx.as_mut_slice(), x_shape)?;
            self.pool.backward_from_indices(dy, indices, dx, Write::Replace, run)
        })
    }

    fn dx(&self) -> &[f32] {
        self.dx.as_slice()
    }
}

/// Average pooling.
pub struct AvgPool {
    name: &'static str,
    pool: AvgPool2d,
    y: Tensor<f32>,
    dx: Tensor<f32>,
}

impl AvgPool {
    pub fn new(name: &'static str, pool: AvgPool2d, x: [usize; 4]) -> Result<AvgPool> {
        Ok(AvgPool { name, pool, y: Tensor::zeros(pool.output_shape(x)?)?, dx: Tensor::zeros(x)? })
    }

    pub fn y_shape(&self) -> [usize; 4] {
        self.y.shape()
    }
}

impl Layer for AvgPool {
    fn forward(&mut self, batch: usize, x: &[f32], runner: &mut Runner) -> Result<()> {
        let [x_shape, y_shape] = [self.dx.shape(), self.y.shape()].map(|shape| first(batch, shape));
        runner.run(self.name, "forward", |run| {
            let y = ViewMut::nhwc(self.y.as_mut_slice(), y_shape)?;
            self.pool.forward(View::nhwc(x, x_shape)?, y, run)
        })
    }

    fn y(&self) -> &[f32] {
        self.y.as_slice()
    }

    fn backward(&mut self, batch: usize, _: &[f32], dy: &[f32], runner: &mut Runner) -> Result<()> {
        let [x_shape, y_shape] = [self.dx.shape(), self.y.shape()].map(|shape| first(batch, shape));
        runner.run(self.name, "dX", |run| {
            let dx = ViewMut::nhwc(self.dx.as_mut_slice(), x_shape)?;
            self.pool.backward(View::nhwc(dy, y_shape)?, dx, Write::Replace, run)
        })
    }

    fn dx(&self) -> &[f32] {
        self.dx.as_slice()
    }
}
