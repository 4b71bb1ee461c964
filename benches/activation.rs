//! The activations and their gradients, as passes of their own, on the output of a layer.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gemmule::{Activation, Run, Serial, Tensor, Write};
use gemmule_bench::{Comparison, random};
use gemmule_reference::{Activation as Reference, Array4, activate, activate_backward};
use std::hint::black_box;

const LAYER: &str = "resnet50/conv3_3x3";

/// Every function, beside the reference's.
fn functions(slopes: &[f32]) -> [(&'static str, Activation<'_, f32>, Reference<'_, f32>); 11] {
    use Activation as A;
    use Reference as R;
    [
        ("relu", A::Relu, R::Relu),
        ("relu6", A::Relu6, R::Relu6),
        ("clamp", A::Clamp { min: -1.0, max: 1.0 }, R::Clamp { min: -1.0, max: 1.0 }),
        ("leaky_relu", A::LeakyRelu { slope: 0.1 }, R::LeakyRelu { slope: 0.1 }),
        ("prelu", A::PRelu(slopes), R::PRelu(slopes)),
        ("silu", A::Silu, R::Silu),
        ("hard_swish", A::HardSwish, R::HardSwish),
        ("sigmoid", A::Sigmoid, R::Sigmoid),
        ("tanh", A::Tanh, R::Tanh),
        ("gelu", A::Gelu, R::Gelu),
        ("gelu_tanh", A::GeluTanh, R::GeluTanh),
    ]
}

/// What goes in, what comes out, and slopes.
struct Operands {
    x: Tensor<f32>,
    dy: Tensor<f32>,
    out: Tensor<f32>,
    slopes: Vec<f32>,
}

impl Operands {
    fn new(comparison: &Comparison) -> Self {
        let shape = comparison.layer(LAYER).output(1).expect("a layer with an output");
        let random = |seed| random::<f32>(shape, seed, 2.0).expect("memory");
        let out = Tensor::zeros(shape).expect("memory");
        Operands { x: random(1), dy: random(2), out, slopes: vec![0.1; shape[3]] }
    }
}

fn array(tensor: &Tensor<f32>) -> Array4<f32> {
    Array4::new(tensor.shape(), tensor.as_slice().to_vec())
}

fn forward(c: &mut Criterion) {
    let mut comparison = Comparison::new(c, "activation");
    let Operands { x, mut out, slopes, .. } = Operands::new(&comparison);
    let x_array = array(&x);
    for (name, act, reference) in functions(&slopes) {
        comparison.kernel(
            name,
            Throughput::Elements(x.as_slice().len() as u64),
            Some(|| drop(black_box(activate(&x_array, &reference)))),
            |level| {
                let run = Run::new().executor(&Serial).level(level);
                act.forward(x.view(), out.view_mut(), run).expect("a run");
            },
        );
    }
}

fn backward(c: &mut Criterion) {
    let mut comparison = Comparison::new(c, "activation_backward");
    let Operands { x, dy, mut out, slopes } = Operands::new(&comparison);
    let (x_array, dy_array) = (array(&x), array(&dy));
    for (name, act, reference) in functions(&slopes) {
        comparison.kernel(
            name,
            Throughput::Elements(x.as_slice().len() as u64),
            Some(|| drop(black_box(activate_backward(&x_array, &dy_array, &reference)))),
            |level| {
                let run = Run::new().executor(&Serial).level(level);
                act.backward(x.view(), dy.view(), out.view_mut(), Write::Replace, run).expect("a run");
            },
        );
    }
}

fn prelu_slope(c: &mut Criterion) {
    let mut comparison = Comparison::new(c, "prelu_backward_slope");
    let Operands { x, dy, mut slopes, .. } = Operands::new(&comparison);
    let (x_array, dy_array) = (array(&x), array(&dy));
    comparison.kernel(
        "prelu",
        Throughput::Elements(x.as_slice().len() as u64),
        Some(|| drop(black_box(gemmule_reference::prelu_slope_backward(&x_array, &dy_array)))),
        |level| {
            let run = Run::new().executor(&Serial).level(level);
            gemmule::prelu_backward_slope(x.view(), dy.view(), &mut slopes, Write::Replace, run).expect("a run");
        },
    );
}

criterion_group!(benches, forward, backward, prelu_slope);
criterion_main!(benches);
