//! Gradients against central differences, `(f(x + h) - f(x - h)) / 2h`, in `f64`.

mod common;

use common::conv::Layer;
use common::*;
use gemmule::{
    Activation, AvgPool2d, Epilogue, MaxPool2d, Options, Run, Ties, View, ViewMut, Weights, WeightsMut, Write,
    conv_backward_bias, once, prelu_backward_slope,
};
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
        for (level, layout) in levels().into_iter().flat_map(|level| LAYOUTS.map(|layout| (level, layout))) {
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

/// Numbers of which no two are nearer to each other than 1/64, in some order: a small step moves no maximum.
fn distinct(shape: [usize; 4]) -> Array4<f64> {
    let n: usize = shape.iter().product();
    let step = (1..).find(|step| gcd(7919 + step, n) == 1).unwrap() + 7919;
    let mut i = 0;
    Array4::from_fn(shape, |_| {
        i += step;
        (i % n) as f64 / 64.0 - n as f64 / 128.0
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The gradient of a pool: its forward pass and its backward pass, at every level, in every layout.
type Forward<'a> = &'a dyn Fn(View<'_, f64>, ViewMut<'_, f64>);
type Backward<'a> = &'a dyn Fn(View<'_, f64>, View<'_, f64>, ViewMut<'_, f64>, Run<'_, f64>);

fn check_pool(shape: [usize; 4], out: [usize; 4], forward: Forward, backward: Backward, what: &dyn std::fmt::Debug) {
    let (x, dy) = (distinct(shape), Random(6).reals::<f64>(out));
    // Linear, as long as the maxima stay where they are.
    let expected = differences(&x.data, 1.0 / 512.0, |x| {
        let x = Held::new(&Array4::new(shape, x.to_vec()), Layout::Nhwc, f64::NAN);
        let mut y = output::<f64>(out, Layout::Nhwc);
        forward(x.view(), y.view_mut());
        dot(&y.array().data, &dy.data)
    });
    for (level, layout) in levels().into_iter().flat_map(|level| LAYOUTS.map(|layout| (level, layout))) {
        let (x, dy) = (Held::new(&x, layout, f64::NAN), Held::new(&dy, layout, f64::NAN));
        let mut dx = output::<f64>(shape, layout);
        backward(x.view(), dy.view(), dx.view_mut(), serial(level));
        assert_all_near(&dx.array().data, &expected, 1e-10, &(what, level, layout));
    }
}

#[test]
fn pools() {
    let shape = [2, 6, 5, 3];
    let geometries = [
        ([2, 2], [2, 2], [1, 1], [[0; 2]; 2], false),
        ([3, 2], [1, 2], [1, 1], [[1, 0], [0, 1]], false),
        ([3, 3], [2, 2], [1, 1], [[1; 2]; 2], true),
        ([2, 2], [1, 3], [3, 2], [[1, 1], [0, 0]], true),
        ([1, 1], [2, 3], [1, 1], [[0; 2]; 2], false),
    ];
    for (kernel, stride, dilation, padding, ceil) in geometries {
        let max = MaxPool2d::new(kernel, stride).dilation(dilation).padding(padding).ceil_mode(ceil);
        let average = AvgPool2d::new(kernel, stride).dilation(dilation).padding(padding).ceil_mode(ceil);
        check_max(shape, max);
        check_average(shape, average);
        check_average(shape, average.count_include_pad(true));
    }
    check_max(shape, MaxPool2d::global());
    check_average(shape, AvgPool2d::global());
    check_average(shape, AvgPool2d::adaptive([4, 3]));
}

fn check_max(shape: [usize; 4], pool: MaxPool2d) {
    let out = pool.output_shape(shape).unwrap();
    let forward: Forward = &|x, y| pool.forward(x, y, Run::new()).unwrap();
    for ties in [Ties::All, Ties::First] {
        let backward: Backward = &|x, dy, dx, run| pool.backward(x, dy, dx, ties, Write::Replace, run).unwrap();
        check_pool(shape, out, forward, backward, &(pool, ties));
    }
    let from_indices: Backward = &|x, dy, dx, run| {
        let (mut y, mut indices) = (output::<f64>(out, Layout::Nchw), Held::filled(out, Layout::Nhwc, -1, -1));
        pool.forward_with_indices(x, y.view_mut(), indices.view_mut(), Run::new()).unwrap();
        pool.backward_from_indices(dy, indices.view(), dx, Write::Replace, run).unwrap();
    };
    check_pool(shape, out, forward, from_indices, &(pool, "indices"));
}

fn check_average(shape: [usize; 4], pool: AvgPool2d) {
    let out = pool.output_shape(shape).unwrap();
    let forward: Forward = &|x, y| pool.forward(x, y, Run::new()).unwrap();
    let backward: Backward = &|_, dy, dx, run| pool.backward(dy, dx, Write::Replace, run).unwrap();
    check_pool(shape, out, forward, backward, &pool);
}

#[test]
fn activations() {
    let (shape, slopes) = ([1, 3, 4, 5], [0.1, 0.2, 0.0, -0.5, 2.0]);
    // Away from the places where two pieces meet: 0, 6, 3 and -3, and the bounds of the clamp.
    let x = distinct(shape).map(|x| 8.0 * x + 1.0 / 32.0);
    let dy = Random(3).reals::<f64>(shape);
    for activation in [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::Clamp { min: -1.0, max: 2.0 },
        Activation::LeakyRelu { slope: 0.1 },
        Activation::PRelu(&slopes),
        Activation::Silu,
        Activation::HardSwish,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Gelu,
        Activation::GeluTanh,
    ] {
        // The third derivative of each is below 4, so the step of 1e-4 makes an error below 1e-8.
        let expected = differences(&x.data, 1e-4, |x| {
            let y = once::activation(&activation, View::nhwc(x, shape).unwrap()).unwrap();
            dot(y.as_slice(), &dy.data)
        });
        for (level, layout) in levels().into_iter().flat_map(|level| LAYOUTS.map(|layout| (level, layout))) {
            let (x, dy) = (Held::new(&x, layout, f64::NAN), Held::new(&dy, layout, f64::NAN));
            let mut dx = output::<f64>(shape, layout);
            activation.backward(x.view(), dy.view(), dx.view_mut(), Write::Replace, serial(level)).unwrap();
            assert_all_near(&dx.array().data, &expected, 1e-7, &(activation, level, layout));
        }
    }
    let expected = differences(&slopes, 1.0 / 16.0, |slopes| {
        let y = once::activation(&Activation::PRelu(slopes), View::nhwc(&x.data, shape).unwrap()).unwrap();
        dot(y.as_slice(), &dy.data)
    });
    for level in levels() {
        let (x, dy) = (Held::new(&x, Layout::Nchw, f64::NAN), Held::new(&dy, Layout::Nhwc, f64::NAN));
        let mut dslope = [f64::NAN; 5];
        prelu_backward_slope(x.view(), dy.view(), &mut dslope, Write::Replace, serial(level)).unwrap();
        assert_all_near(&dslope, &expected, 1e-11, &level);
    }
}
