//! Training, epoch by epoch, and what comes out of it.

use crate::data::{self, CLASSES, Digit, PIXELS};
use crate::loss::{cross_entropy, softmax};
use crate::network::Network;
use crate::optimizer::Adam;
use crate::runner::Runner;
use anyhow::Result;
use fastrand::Rng;

/// What a training depends on; together with the level, for the threads change no bit.
pub struct Settings {
    pub seed: u64,
    pub epochs: usize,
    pub batch: usize,
}

/// How far the training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// From 1.
    pub number: usize,
    /// Mean over the images that were trained with, while they were.
    pub loss: f64,
    /// Mean over the held-out images, afterwards.
    pub held_out_loss: f64,
    /// Share of the held-out images that are read rightly.
    pub accuracy: f64,
}

/// What the network makes of an image.
pub struct Reading {
    pub label: usize,
    pub probabilities: [f32; CLASSES],
}

impl Reading {
    /// The most probable digit.
    pub fn digit(&self) -> usize {
        let best = self.probabilities.iter().copied().fold(0.0, f32::max);
        self.probabilities.iter().position(|&p| p == best).unwrap_or(0)
    }

    pub fn is_right(&self) -> bool {
        self.digit() == self.label
    }
}

/// A network in training.
pub struct Training {
    settings: Settings,
    rng: Rng,
    train: Vec<Digit>,
    held_out: Vec<Digit>,
    network: Network,
    adam: Adam,
    epochs: Vec<Epoch>,
    images: Vec<f32>,
    labels: Vec<usize>,
    dlogits: Vec<f32>,
}

impl Training {
    pub fn new(mut settings: Settings, runner: &mut Runner) -> Result<Training> {
        let mut rng = Rng::with_seed(settings.seed);
        let (train, held_out) = data::split(data::load()?, &mut rng);
        settings.batch = settings.batch.min(train.len());
        let network = Network::new(settings.batch, &mut rng, runner)?;
        Ok(Training {
            adam: Adam::new(settings.epochs.saturating_mul(train.len().div_ceil(settings.batch))),
            images: vec![0.0; settings.batch * PIXELS],
            labels: Vec::with_capacity(settings.batch),
            dlogits: vec![0.0; settings.batch * CLASSES],
            epochs: Vec::new(),
            settings,
            rng,
            train,
            held_out,
            network,
        })
    }

    /// One pass over all images to train with, in a new order, and a look at those held out.
    pub fn epoch(&mut self, runner: &mut Runner) -> Result<Epoch> {
        self.rng.shuffle(&mut self.train);
        let mut loss = 0.0;
        for digits in self.train.chunks(self.settings.batch) {
            self.labels.clear();
            for (digit, image) in digits.iter().zip(self.images.chunks_mut(PIXELS)) {
                image.copy_from_slice(&data::augmented(digit, &mut self.rng));
                self.labels.push(digit.label);
            }
            let logits = self.network.forward(digits.len(), &self.images, runner)?;
            loss += f64::from(cross_entropy(logits, &self.labels, &mut self.dlogits)) * digits.len() as f64;
            self.network.backward(digits.len(), &self.images, &self.dlogits, runner)?;
            self.network.update(&mut self.adam, runner)?;
        }
        let readings = self.read_held_out(runner)?;
        let right = readings.iter().filter(|reading| reading.is_right()).count();
        let surprise = |r: &Reading| -f64::from(r.probabilities[r.label].max(f32::MIN_POSITIVE)).ln();
        let epoch = Epoch {
            number: self.epochs.len() + 1,
            loss: loss / self.train.len() as f64,
            held_out_loss: readings.iter().map(surprise).sum::<f64>() / readings.len() as f64,
            accuracy: right as f64 / readings.len() as f64,
        };
        self.epochs.push(epoch);
        Ok(epoch)
    }

    /// What the network makes of the held-out images, in their order.
    pub fn read_held_out(&mut self, runner: &mut Runner) -> Result<Vec<Reading>> {
        let mut readings = Vec::with_capacity(self.held_out.len());
        for digits in self.held_out.chunks(self.settings.batch) {
            for (digit, image) in digits.iter().zip(self.images.chunks_mut(PIXELS)) {
                image.copy_from_slice(&digit.pixels);
            }
            let logits = self.network.forward(digits.len(), &self.images, runner)?;
            let each = digits.iter().zip(logits.chunks(CLASSES));
            readings.extend(each.map(|(d, z)| Reading { label: d.label, probabilities: softmax(z) }));
        }
        Ok(readings)
    }

    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    pub fn train_len(&self) -> usize {
        self.train.len()
    }

    pub fn held_out(&self) -> &[Digit] {
        &self.held_out
    }

    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }
}
