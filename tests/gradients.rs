//! Gradients against central differences, `(f(x + h) - f(x - h)) / 2h`, in `f64`.

mod common;

use common::conv::Layer;
use common::*;
use gemmule::{Epilogue, Level, Options, Run, Weights, WeightsMut, Write, conv_backward_bias};
use gemmule_reference::Array4;

/// The gradient of `f` at `x`, number by number.
fn differences(x: &[f64], h: f64, mut f: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let middle = x[i];
            let [above, below] = [middle + h, middle - h].map(|moved| {
                x[i] = moved;
                f(&x)
            });
            x[i] = middle;
            (above - below) / (2.0 * h)
        })
        .collect()
}

#[track_caller]
fn assert_all_near(got: &[f64], expected: &[f64], tolerance: f64, what: &dyn std::fmt::Debug) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance, "{i}: got {got}, expected {expected}; {what:?}");
    }
}

/// `sum of a * b`: what a loss with the gradient `b` looks like near `a`.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Layers of each kind, all small.
fn layers() -> Vec<Layer> {
    let plain = || Layer::new([3, 4], [3, 2], [5, 4]);
    vec![
        plain(),
        Layer { batch: 2, padding: [[1, 0], [2, 1]], ..plain() },
        Layer { stride: [2, 3], padding: [[1, 1], [1, 1]], ..plain() },
        Layer { dilation: [2, 1], padding: [[2, 1], [0, 1]], ..plain() },
        Layer { groups: 2, stride: [1, 2], padding: [[0, 1], [1, 0]], ..plain() },
        Layer { padding: [[-1, 0], [0, -1]], ..plain() },
        Layer { inputs: 1, outputs: 1, groups: 6, padding: [[1; 2]; 2], ..plain() },
        Layer { inputs: 1, outputs: 2, groups: 3, stride: [2, 2], ..plain() },
        Layer { kernel: [1, 1], stride: [2, 1], ..plain() },
        Layer { kernel: [2, 2], stride: [3, 4], ..plain() },
    ]
}

#[test]
fn convolution() {
    for layer in layers() {
        let (random, conv) = (&mut Random(4), layer.conv());
        let [x, w, dy] = [layer.x_shape(), layer.w_shape(), layer.y_shape()].map(|shape| random.reals::<f64>(shape));
        let bias = random.reals::<f64>([1, 1, 1, w.shape[3]]).data;
        let loss = |x: &[f64], w: &[f64], bias: &[f64]| {
            let packed = conv.prepare(Weights::hwio(w), Some(bias), &Options::new()).unwrap();
            let x = Held::new(&Array4::new(layer.x_shape(), x.to_vec()), Layout::Nhwc, f64::NAN);
            let mut y = output::<f64>(layer.y_shape(), Layout::Nhwc);
            packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new()).unwrap();
            dot(&y.array().data, &dy.data)
        };
        // The loss is linear in each of them, so the step makes no error, and rounding little: the loss is below 1,000.
        let h = 1.0 / 16.0;
        let dx = differences(&x.data, h, |x| loss(x, &w.data, &bias));
        let dw = differences(&w.data, h, |w| loss(&x.data, w, &bias));
        let db = differences(&bias, h, |bias| loss(&x.data, &w.data, bias));
        let tolerance = 1e-11;
        for (level, layout) in Level::available().flat_map(|level| LAYOUTS.map(|layout| (level, layout))) {
            let (options, what) = (Options::new().level(level), (&layer, level, layout));
            let (x, dy) = (Held::new(&x, layout, f64::NAN), Held::new(&dy, layout, f64::NAN));
            let mut got = output::<f64>(layer.x_shape(), layout);
            let packed = conv.prepare_backward_input(Weights::hwio(&w.data), &options).unwrap();
            packed.backward(dy.view(), got.view_mut(), Write::Replace, Run::new()).unwrap();
            assert_all_near(&got.array().data, &dx, tolerance, &("dx", what));
            let mut got = vec![f64::NAN; dw.len()];
            let prepared = conv.prepare_backward_weights(&options).unwrap();
            prepared.backward(x.view(), dy.view(), WeightsMut::hwio(&mut got), Write::Replace, Run::new()).unwrap();
            assert_all_near(&got, &dw, tolerance, &("dw", what));
            let mut got = vec![f64::NAN; db.len()];
            conv_backward_bias(dy.view(), &mut got, Write::Replace, serial(level)).unwrap();
            assert_all_near(&got, &db, tolerance, &("db", what));
        }
    }
}
