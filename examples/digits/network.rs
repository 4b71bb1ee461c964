//! The network: which layers, and the way through them, forth and back.

use crate::data::{CLASSES, SIDE};
use crate::layers::{AvgPool, Conv, Layer, MaxPool};
use crate::optimizer::Adam;
use crate::runner::Runner;
use anyhow::Result;
use fastrand::Rng;
use gemmule::{AvgPool2d, Conv2d, MaxPool2d};

/// Filters of the first layer, and their height and width.
pub const FILTERS: usize = 24;
pub const FILTER_SIDE: usize = 5;
/// Channels of the second layer.
const CHANNELS: usize = 64;

/// ```text
/// image              [n, 8, 8, 1]
/// conv1 5x5, ReLU    [n, 8, 8, 24]
/// max pool 2x2       [n, 4, 4, 24]
/// conv2 3x3, ReLU    [n, 4, 4, 64]
/// avg pool 2x2       [n, 2, 2, 64]
/// dense              [n, 1, 1, 10]    a 1x1 convolution of [n, 1, 1, 256]
/// ```
pub struct Network {
    layers: Vec<Box<dyn Layer>>,
}

impl Network {
    /// For batches of up to so many images.
    pub fn new(batch: usize, rng: &mut Rng, runner: &mut Runner) -> Result<Network> {
        let same = |kernel: usize| (kernel / 2) as isize;
        let conv1 = Conv2d::new(1, FILTERS, [FILTER_SIDE; 2]).padding(same(FILTER_SIDE));
        let conv1 = Conv::new("conv1", conv1, [batch, SIDE, SIDE, 1], rng, runner)?.relu().without_dx();
        let max_pool = MaxPool::new("max pool", MaxPool2d::new([2, 2], [2, 2]), conv1.y_shape())?;
        let conv2 = Conv2d::new(FILTERS, CHANNELS, [3, 3]).padding(same(3));
        let conv2 = Conv::new("conv2", conv2, max_pool.y_shape(), rng, runner)?.relu();
        let avg_pool = AvgPool::new("avg pool", AvgPool2d::new([2, 2], [2, 2]), conv2.y_shape())?;
        let [_, h, w, c] = avg_pool.y_shape();
        let dense = Conv2d::new(h * w * c, CLASSES, [1, 1]);
        let dense = Conv::new("dense", dense, [batch, 1, 1, h * w * c], rng, runner)?;
        let layers: Vec<Box<dyn Layer>> =
            vec![Box::new(conv1), Box::new(max_pool), Box::new(conv2), Box::new(avg_pool), Box::new(dense)];
        Ok(Network { layers })
    }

    /// The logits, ten of each image.
    pub fn forward(&mut self, batch: usize, images: &[f32], runner: &mut Runner) -> Result<&[f32]> {
        for i in 0..self.layers.len() {
            let (before, rest) = self.layers.split_at_mut(i);
            let x = before.last().map_or(images, |layer| layer.y());
            rest[0].forward(batch, x, runner)?;
        }
        Ok(self.layers.last().map_or(&[], |layer| layer.y()))
    }

    /// All gradients, from that of the logits; after `forward` with the same images.
    pub fn backward(&mut self, batch: usize, images: &[f32], dlogits: &[f32], runner: &mut Runner) -> Result<()> {
        for i in (0..self.layers.len()).rev() {
            let (before, rest) = self.layers.split_at_mut(i);
            let x = before.last().map_or(images, |layer| layer.y());
            let (layer, after) = rest.split_at_mut(1);
            let dy = after.first().map_or(dlogits, |layer| layer.dx());
            layer[0].backward(batch, x, dy, runner)?;
        }
        Ok(())
    }

    /// Moves all parameters against their gradients.
    pub fn update(&mut self, adam: &mut Adam, runner: &mut Runner) -> Result<()> {
        adam.advance();
        for layer in &mut self.layers {
            layer.parameters().iter_mut().for_each(|p| adam.update(p));
            layer.repack(runner)?;
        }
        Ok(())
    }

    /// How many numbers are learned.
    pub fn parameter_count(&mut self) -> usize {
        self.layers.iter_mut().flat_map(|layer| layer.parameters()).map(|p| p.values.len()).sum()
    }

    /// The first layer's weights, `[FILTER_SIDE, FILTER_SIDE, 1, FILTERS]`.
    pub fn filters(&mut self) -> Vec<f32> {
        self.layers[0].parameters()[0].values.clone()
    }
}
