//! Pooling's kernels, forward and backward.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gemmule::{MaxPool2d, Run, Serial, Tensor, Ties, Write};
use gemmule_bench::{Comparison, Pass, Setup, random};
use gemmule_reference::Array4;
use std::hint::black_box;

const MAX: [&str; 3] = ["resnet50/pool1_3x3_s2", "vgg16/pool4_2x2_s2", "googlenet/inception3a_pool_3x3"];
const AVERAGE: [&str; 4] = [
    "resnet50/pool5_global",
    "inception3/pool_3x3",
    "densenet121/transition2_2x2_s2",
    "efficientnet_b0/block1_squeeze_pool",
];

const DX: Pass = Pass::Dx;

fn max_pool(c: &mut Criterion) {
    Comparison::new(c, "max_pool").layers(&MAX, Setup::default());
}

fn max_pool_backward(c: &mut Criterion) {
    Comparison::new(c, "max_pool_backward").layers(&MAX, Setup { pass: DX, ..Setup::default() });
}

fn average_pool(c: &mut Criterion) {
    Comparison::new(c, "average_pool").layers(&AVERAGE, Setup::default());
}

fn average_pool_backward(c: &mut Criterion) {
    Comparison::new(c, "average_pool_backward").layers(&AVERAGE, Setup { pass: DX, ..Setup::default() });
}

/// A maximum pool with everything that its kernels take.
struct Max {
    pool: MaxPool2d,
    window: gemmule_reference::Window,
    x: Tensor<f32>,
    y: Tensor<f32>,
    indices: Tensor<i64>,
    dy: Tensor<f32>,
    dx: Tensor<f32>,
}

impl Max {
    fn new(comparison: &Comparison, name: &str) -> Self {
        let layer = comparison.layer(name);
        let (pool, x) = (layer.max_pool(), layer.input(1));
        let y = pool.output_shape(x).expect("a layer with an output");
        let zeros = |shape| Tensor::zeros(shape).expect("memory");
        let mut max = Max {
            pool,
            window: layer.window().0,
            x: random(x, 1, 1.0).expect("memory"),
            y: zeros(y),
            indices: Tensor::zeros(y).expect("memory"),
            dy: random(y, 2, 1.0).expect("memory"),
            dx: zeros(x),
        };
        let Max { x, y, indices, .. } = &mut max;
        pool.forward_with_indices(x.view(), y.view_mut(), indices.view_mut(), Run::new()).expect("a run");
        max
    }

    fn reference(tensor: &Tensor<f32>) -> Array4<f32> {
        Array4::new(tensor.shape(), tensor.as_slice().to_vec())
    }
}

fn max_pool_with_indices(c: &mut Criterion) {
    let mut comparison = Comparison::new(c, "max_pool_with_indices");
    for name in MAX {
        let Max { pool, window, x, mut y, mut indices, .. } = Max::new(&comparison, name);
        let array = Max::reference(&x);
        comparison.kernel(
            name,
            Throughput::Elements(x.as_slice().len() as u64),
            Some(|| drop(black_box(gemmule_reference::max_pool_with_indices(&array, &window, false)))),
            |level| {
                let run = Run::new().executor(&Serial).level(level);
                pool.forward_with_indices(x.view(), y.view_mut(), indices.view_mut(), run).expect("a run");
            },
        );
    }
}

fn max_pool_backward_from_indices(c: &mut Criterion) {
    let mut comparison = Comparison::new(c, "max_pool_backward_from_indices");
    for name in MAX {
        let Max { pool, x, indices, dy, mut dx, .. } = Max::new(&comparison, name);
        let (dy_array, index) = (Max::reference(&dy), Array4::new(indices.shape(), indices.as_slice().to_vec()));
        comparison.kernel(
            name,
            Throughput::Elements(x.as_slice().len() as u64),
            Some(|| {
                let dx = gemmule_reference::max_pool_backward_from_indices(&dy_array, &index, x.shape());
                drop(black_box(dx));
            }),
            |level| {
                let run = Run::new().executor(&Serial).level(level);
                let (dy, indices) = (dy.view(), indices.view());
                pool.backward_from_indices(dy, indices, dx.view_mut(), Write::Replace, run).expect("a run");
            },
        );
    }
}

fn max_pool_backward_all_ties(c: &mut Criterion) {
    let mut comparison = Comparison::new(c, "max_pool_backward_all_ties");
    for name in MAX {
        let Max { pool, window, x, dy, mut dx, .. } = Max::new(&comparison, name);
        let (array, dy_array) = (Max::reference(&x), Max::reference(&dy));
        let ties = gemmule_reference::Ties::All;
        comparison.kernel(
            name,
            Throughput::Elements(x.as_slice().len() as u64),
            Some(|| drop(black_box(gemmule_reference::max_pool_backward(&array, &dy_array, &window, false, ties)))),
            |level| {
                let run = Run::new().executor(&Serial).level(level);
                pool.backward(x.view(), dy.view(), dx.view_mut(), Ties::All, Write::Replace, run).expect("a run");
            },
        );
    }
}

criterion_group!(
    benches,
    max_pool,
    max_pool_with_indices,
    max_pool_backward,
    max_pool_backward_all_ties,
    max_pool_backward_from_indices,
    average_pool,
    average_pool_backward
);
criterion_main!(benches);
