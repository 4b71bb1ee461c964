//! Convolution's kernels: the lowerings of the forward pass, the transposed convolution, and the three gradients.

use criterion::{Criterion, criterion_group, criterion_main};
use gemmule::Algorithm;
use gemmule_bench::{Comparison, Pass, Setup};

fn forward(algorithm: Algorithm) -> Setup {
    Setup { algorithm, ..Setup::default() }
}

fn backward(pass: Pass) -> Setup {
    Setup { pass, ..Setup::default() }
}

fn im2col(c: &mut Criterion) {
    let names = [
        "resnet50/conv1_7x7_s2",
        "resnet50/conv3_3x3",
        "resnet50/conv5_3x3",
        "resnext50/conv3_3x3_g32",
        "inception3/conv6_1x7",
        "mobilenetv2/stem_3x3_s2",
    ];
    Comparison::new(c, "im2col").layers(&names, forward(Algorithm::Im2col));
}

fn pointwise(c: &mut Criterion) {
    let names = [
        "resnet50/conv2_first_1x1",
        "resnet50/conv5_expand_1x1",
        "mobilenetv2/block2_project_1x1",
        "efficientnet_b0/block3_squeeze_1x1",
    ];
    Comparison::new(c, "pointwise").layers(&names, forward(Algorithm::Pointwise));
}

fn depthwise(c: &mut Criterion) {
    let names = [
        "mobilenetv2/block1_depthwise_3x3",
        "mobilenetv2/block3_first_depthwise_3x3_s2",
        "efficientnet_b0/block5_depthwise_5x5",
        "mobilenetv2/block6_depthwise_3x3",
    ];
    Comparison::new(c, "depthwise").layers(&names, forward(Algorithm::Depthwise));
}

fn conv_transpose(c: &mut Criterion) {
    let names = ["unet/up4_2x2_s2", "dcgan/conv3_4x4_s2"];
    Comparison::new(c, "conv_transpose").layers(&names, forward(Algorithm::Auto));
}

/// The gradients, on the same layers: dense, strided, pointwise, grouped and depthwise ones.
const BACKWARD: [&str; 6] = [
    "resnet50/conv3_3x3",
    "resnet50/conv4_first_3x3_s2",
    "resnet50/conv2_first_1x1",
    "resnext50/conv3_3x3_g32",
    "mobilenetv2/block3_depthwise_3x3",
    "efficientnet_b0/block3_first_depthwise_5x5_s2",
];

fn backward_input(c: &mut Criterion) {
    Comparison::new(c, "conv_backward_input").layers(&BACKWARD, backward(Pass::Dx));
}

fn backward_weights(c: &mut Criterion) {
    Comparison::new(c, "conv_backward_weights").layers(&BACKWARD, backward(Pass::Dw));
}

fn backward_bias(c: &mut Criterion) {
    let names = ["resnet50/conv2_3x3", "mobilenetv2/block2_project_1x1"];
    Comparison::new(c, "conv_backward_bias").layers(&names, backward(Pass::Db));
}

criterion_group!(
    benches,
    im2col,
    pointwise,
    depthwise,
    conv_transpose,
    backward_input,
    backward_weights,
    backward_bias
);
criterion_main!(benches);
