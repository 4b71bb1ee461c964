//! Errors of every lowering and every form, against sums in `f64`.

use crate::layers::{Inputs, Layer};
use anyhow::{Context, Result};
use fastrand::Rng;
use gemmule::testing::ErrorBound;
use gemmule::{Accuracy, Algorithm, Conv2d, Element, Epilogue, Error, Level, Options, Run, Tensor, Weights};
use serde::Serialize;

/// Outputs of a tile along an axis, at most.
const MOST_OUTPUTS: usize = 6;

/// What was measured of a lowering of a layer.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub layer: String,
    pub inputs: &'static str,
    pub lowering: String,
    pub outputs: usize,
    /// Outputs have variance 1, or about so.
    pub largest: f64,
    pub root_mean_square: f64,
    /// The largest one in units of `eps * max sum|x * w|`.
    pub largest_in_units: f64,
    /// The bound in the same units, from `max|x| * sum|w|` where the transform mixes the inputs of a tile.
    pub bound_in_units: f64,
    /// What is computed on the way to an output of one weight and inputs of at most 1, at most.
    pub growth: f64,
    /// What the matrices let expect: the root of the variance, in multiples of that of direct sums.
    pub expected: f64,
    /// Whether the default accuracy allows it.
    pub is_default: bool,
}

/// True sums, or as good as true, and the sums of the magnitudes of their terms.
struct Truth {
    sums: Tensor<f64>,
    largest_magnitude: f64,
    /// `max|x| * max over outputs of sum|w|`.
    largest_product: f64,
}

/// All lowerings of a layer with some inputs.
pub fn measure(layer: &Layer, inputs: Inputs, seed: u64, level: Option<Level>) -> Result<Vec<Measured>> {
    let mut rng = Rng::with_seed(seed);
    let x = inputs.draw(layer.input(), &mut rng)?;
    let weights = layer.weights(&mut rng);
    let truth = truth(layer, &x, &weights)?;
    let mut all = Vec::new();
    for options in ways() {
        let options = options.level(level).input([x.shape()[0], x.shape()[1], x.shape()[2]]);
        let prepared = match layer.conv().prepare(Weights::hwio(&weights), None, &options) {
            Ok(prepared) => prepared,
            Err(Error::Algorithm { .. }) => continue,
            Err(e) => return Err(e.into()),
        };
        let mut y = Tensor::zeros(truth.sums.shape())?;
        prepared.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new())?;
        let units = f64::from(f32::EPSILON) * truth.largest_magnitude;
        let terms = weights.len() / y.shape()[3];
        let (mut lowering, mut is_default) = (prepared.plan().algorithm().to_string(), true);
        let (mut growth, mut expected) = (1.0, 1.0);
        let mut bound = (terms + 2) as f64 / 2.0 * units;
        if let Some(proven) = ErrorBound::new(prepared.plan()) {
            lowering = form(layer.kernel, proven.outputs());
            (growth, expected) = (proven.growth(), proven.expected().sqrt());
            bound = proven.relative::<f32>() * proven.growth() * truth.largest_product;
            is_default =
                layer.conv().plan::<f32>(&options.accuracy(Accuracy::Default), &gemmule::Machine::detect()).is_ok();
        }
        let (largest, root_mean_square) = errors(&y, &truth.sums)?;
        all.push(Measured {
            layer: layer.name(),
            inputs: inputs.name(),
            lowering,
            outputs: y.as_slice().len(),
            largest,
            root_mean_square,
            largest_in_units: largest / units,
            bound_in_units: bound / units,
            growth,
            expected,
            is_default,
        });
    }
    Ok(all)
}

/// Direct sums, and every form that there may be.
fn ways() -> Vec<Options> {
    let options = Options::new().accuracy(Accuracy::Relaxed);
    let mut ways = vec![options.algorithm(Algorithm::Implicit), options.algorithm(Algorithm::Im2col)];
    for height in 1..=MOST_OUTPUTS {
        for width in 1..=MOST_OUTPUTS {
            ways.push(options.algorithm(Algorithm::Winograd).transform([height, width]));
        }
    }
    ways
}

/// F(m, r), of both axes where they differ.
fn form(taps: [usize; 2], outputs: [usize; 2]) -> String {
    let axis = |i: usize| format!("F({}, {})", outputs[i], taps[i]);
    match (taps, outputs) {
        ([1, _], _) => axis(1),
        ([_, 1], _) => axis(0),
        _ if axis(0) == axis(1) => axis(0),
        _ => format!("{} x {}", axis(0), axis(1)),
    }
}

fn truth(layer: &Layer, x: &Tensor<f32>, weights: &[f32]) -> Result<Truth> {
    let conv = layer.conv();
    let sums = direct(conv, x, weights, |value| value)?;
    let magnitudes = direct(conv, x, weights, f64::abs)?;
    spot_check(layer, x, weights, &sums)?;
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let columns = sums.shape()[3];
    let of_output = |o: usize| weights.iter().skip(o).step_by(columns).map(|&w| f64::from(w.abs())).sum::<f64>();
    Ok(Truth {
        largest_magnitude: most(&mut magnitudes.as_slice().iter().copied()),
        largest_product: most(&mut x.as_slice().iter().map(|&x| f64::from(x.abs())))
            * most(&mut (0..columns).map(of_output)),
        sums,
    })
}

/// Direct sums in `f64`: products of `f32` numbers are exact there, and sums nine digits better than in `f32`.
fn direct(conv: Conv2d, x: &Tensor<f32>, weights: &[f32], of: fn(f64) -> f64) -> Result<Tensor<f64>> {
    let mut wide = Tensor::<f64>::zeros(x.shape())?;
    wide.as_mut_slice().iter_mut().zip(x.as_slice()).for_each(|(to, &x)| *to = of(x.to_f64()));
    let weights: Vec<f64> = weights.iter().map(|w| of(w.to_f64())).collect();
    let options = Options::new().algorithm(Algorithm::Implicit);
    let mut y = Tensor::zeros(conv.output_shape(x.shape())?)?;
    conv.prepare(Weights::hwio(&weights), None, &options)?.forward(
        wide.view(),
        y.view_mut(),
        &Epilogue::new(),
        Run::new(),
    )?;
    Ok(y)
}

/// Compares some of the sums with loops.
fn spot_check(layer: &Layer, x: &Tensor<f32>, weights: &[f32], sums: &Tensor<f64>) -> Result<()> {
    let ([_, height, width, inputs], [_, rows, columns, outputs]) = (x.shape(), sums.shape());
    let [kh, kw] = layer.kernel;
    for at in (0..sums.as_slice().len()).step_by(sums.as_slice().len() / 97) {
        let (o, ox, oy, n) =
            (at % outputs, at / outputs % columns, at / outputs / columns % rows, at / outputs / columns / rows);
        let mut sum = 0.0;
        for (ky, kx, i) in (0..kh).flat_map(|ky| (0..kw).flat_map(move |kx| (0..inputs).map(move |i| (ky, kx, i)))) {
            let [y, x_at] = [(oy, ky), (ox, kx)].map(|(o, k)| o * layer.stride + k * layer.dilation);
            let pixel = (n * height + y) * width + x_at;
            let weight = weights[((ky * kw + kx) * inputs + i) * outputs + o];
            sum += f64::from(x.as_slice()[pixel * inputs + i]) * f64::from(weight);
        }
        let got = sums.as_slice()[at];
        anyhow::ensure!((got - sum).abs() < 1e-10, "{}: got {got}, expected {sum}", layer.name());
    }
    Ok(())
}

/// The largest error, and the root of the mean square.
fn errors(y: &Tensor<f32>, truth: &Tensor<f64>) -> Result<(f64, f64)> {
    let (mut largest, mut squares) = (0.0, 0.0);
    for (&y, &truth) in y.as_slice().iter().zip(truth.as_slice()) {
        let error = (f64::from(y) - truth).abs();
        // A maximum would swallow a NaN.
        Some(()).filter(|()| error.is_finite()).context("an output is not finite")?;
        largest = f64::max(largest, error);
        squares += error * error;
    }
    Ok((largest, (squares / y.as_slice().len() as f64).sqrt()))
}
