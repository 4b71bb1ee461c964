//! Zero padding, as wide as the layers have it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gemmule::{Run, Serial, Tensor};
use gemmule_bench::{Comparison, random};
use gemmule_reference::Array4;
use std::hint::black_box;

fn zero_pad(c: &mut Criterion) {
    let mut comparison = Comparison::new(c, "zero_pad");
    for name in ["resnet50/conv1_7x7_s2", "resnet50/conv3_3x3"] {
        let layer = comparison.layer(name);
        let (x, [kh, kw]) = (layer.input(1), layer.kernel.0);
        let pad = [[kh / 2; 2], [kw / 2; 2]];
        let x = random::<f32>(x, 1, 1.0).expect("memory");
        let [n, h, w, c] = x.shape();
        let mut y = Tensor::zeros([n, h + 2 * (kh / 2), w + 2 * (kw / 2), c]).expect("memory");
        let array = Array4::new(x.shape(), x.as_slice().to_vec());
        comparison.kernel(
            name,
            Throughput::Elements(x.as_slice().len() as u64),
            Some(|| drop(black_box(gemmule_reference::zero_pad(&array, pad)))),
            |level| {
                let run = Run::new().executor(&Serial).level(level);
                gemmule::zero_pad(x.view(), pad, y.view_mut(), run).expect("a run");
            },
        );
    }
}

criterion_group!(benches, zero_pad);
criterion_main!(benches);
