//! Winograd's algorithm: every transform, every remainder of a tile, every tail of channels, against the oracle. (Random
//! layers are in `conv.rs`, `conv_transpose.rs` and `conv_backward.rs`, errors in `winograd_numerics.rs`.)

mod common;

use common::conv::{Layer, Numbers, Sums, in_f64};
use common::*;
use gemmule::{
    Accuracy, Algorithm, Conv2d, Epilogue, Error, Level, Machine, Options, PackedConv2d, Refusal, Run, Serial, Weights,
};
use gemmule_reference::{self as reference, Array4};

/// A vector of any level at least, and a part of one.
const INPUTS: usize = 19;

fn packed<T: Number>(layer: &Layer, w: &Array4<T>, bias: &[T], options: &Options) -> PackedConv2d<T> {
    layer.conv().prepare(Weights::hwio(&w.data), Some(bias), &options.algorithm(Algorithm::Winograd)).unwrap()
}

fn run<T: Number>(packed: &PackedConv2d<T>, layer: &Layer, x: &Array4<T>, layout: Layout) -> Array4<T> {
    let (x, mut y) = (Held::new(x, layout, T::NAN), output::<T>(layer.y_shape(), layout));
    let mut scratch = vec![T::NAN; packed.plan().workspace_len(1)];
    let run = Run::new().executor(&Serial).scratch(&mut scratch);
    packed.forward(x.view(), y.view_mut(), &Epilogue::new(), run).unwrap();
    y.array()
}

/// Compares one transform, at one level, with the oracle.
fn check<T: Number>(layer: &Layer, transform: Option<[usize; 2]>, level: Level, layout: Layout) {
    let random = &mut Random(layer.seed);
    let numbers = Numbers::Integers;
    let (x, w) = (numbers.array::<T>(layer.x_shape(), random), numbers.array::<T>(layer.w_shape(), random));
    let bias = numbers.row::<T>(layer.outputs * layer.groups, random);
    let sums = Sums::new(layer.terms() + 1, |f| {
        let bias: Vec<f64> = bias.iter().map(|&b| f(reference::Real::to_f64(b))).collect();
        reference::conv_forward(&in_f64(&x, f), &in_f64(&w, f), Some(&bias), &layer.window(), layer.groups)
    });
    let mut options = Options::new().level(level).accuracy(Accuracy::Relaxed);
    if let Some(transform) = transform {
        options = options.transform(transform);
    }
    let packed = packed(layer, &w, &bias, &options);
    let what = (layer, transform, level, layout, packed.plan().to_string());
    sums.assert_within(&run(&packed, layer, &x, layout), true, sums.slack::<T>(Algorithm::Winograd), &what);
}

/// Kernels, and the outputs of the tiles that they may have along each axis.
const TRANSFORMS: [([usize; 2], &[[usize; 2]]); 10] = [
    ([3, 3], &[[2, 2], [4, 4], [6, 6], [2, 4], [6, 2]]),
    ([2, 2], &[[2, 2], [4, 4]]),
    ([4, 4], &[[4, 4]]),
    ([5, 5], &[[3, 3], [4, 4]]),
    ([1, 7], &[[1, 3], [1, 4]]),
    ([7, 1], &[[3, 1], [4, 1]]),
    ([1, 3], &[[1, 2], [1, 4], [1, 6]]),
    ([3, 1], &[[2, 1], [4, 1], [6, 1]]),
    ([3, 5], &[[4, 4]]),
    ([7, 2], &[[4, 2]]),
];

#[test]
fn every_transform_and_remainder() {
    for (kernel, transforms) in TRANSFORMS {
        for &transform in transforms {
            for rest in 1..=2 * transform[0].max(transform[1]) + 1 {
                // Outputs that leave each rest along one axis, and another one along the other.
                let outputs = [rest, rest % 5 + 1];
                for (i, level) in levels().into_iter().enumerate() {
                    let size = [0, 1].map(|axis| outputs[(axis + i) % 2] + kernel[axis] - 1);
                    let layer = Layer { seed: rest as u64, ..Layer::new([INPUTS, 5], kernel, size) };
                    check::<f32>(&layer, Some(transform), level, Layout::Nhwc);
                    check::<f64>(&layer, Some(transform), level, LAYOUTS[rest % LAYOUTS.len()]);
                }
            }
        }
    }
}

#[test]
fn every_channel_tail() {
    for level in levels() {
        for c in 16..=35 {
            let layer = Layer { padding: [[1; 2]; 2], seed: c as u64, ..Layer::new([c, 3], [3, 3], [4, 6]) };
            check::<f32>(&layer, None, level, Layout::Nhwc);
            check::<f64>(&layer, None, level, Layout::Nchw);
        }
        for c in (1..=34).chain(62..=67).chain([130]) {
            let layer = Layer { padding: [[1; 2]; 2], seed: c as u64, ..Layer::new([INPUTS, c], [3, 3], [4, 6]) };
            check::<f32>(&layer, None, level, Layout::Nhwc);
            check::<f64>(&Layer { groups: 2, ..layer }, None, level, Layout::Nchw);
        }
    }
}

#[test]
fn images_of_one_pixel_and_padding_beyond_them() {
    for level in levels() {
        for (kernel, pad) in [([3, 3], 1), ([5, 5], 2), ([3, 3], 5), ([7, 1], 0)] {
            let padding = [[pad.max(3); 2], [pad; 2]];
            let layer = Layer { padding, ..Layer::new([INPUTS, 7], kernel, [1, 1]) };
            check::<f32>(&layer, None, level, Layout::Nhwc);
            check::<f64>(&Layer { dilation: [2, 3], padding: [[12; 2], [6; 2]], ..layer }, None, level, Layout::Nchw);
        }
    }
}

/// The transforms, and their memory, are in the plan; less memory may be had with another transform, or none.
#[test]
fn the_memory_of_transformed_weights_is_bounded() {
    let machine = Machine { level: Level::Avx2, l1_bytes: 32 << 10, l2_bytes: 512 << 10, l3_bytes: 16 << 20 };
    let conv = Conv2d::new(64, 64, [3, 3]).padding(1);
    let options = Options::new().algorithm(Algorithm::Winograd);
    let bytes = |points: usize| points * 64 * 64 * 4;
    let plan = conv.plan::<f32>(&options, &machine).unwrap();
    assert_eq!(plan.weight_bytes(), bytes(36));
    assert!(plan.to_string().starts_with("winograd by F(4, 3) x F(4, 3)"), "{plan}");
    let plan = conv.plan::<f32>(&options.max_weight_bytes(bytes(35)), &machine).unwrap();
    assert_eq!(plan.weight_bytes(), bytes(32)); // F(6, 3) and F(2, 3)
    let plan = conv.plan::<f32>(&options.max_weight_bytes(bytes(31)), &machine).unwrap();
    assert_eq!(plan.weight_bytes(), bytes(24));
    let plan = conv.plan::<f32>(&options.max_weight_bytes(bytes(23)), &machine).unwrap();
    assert_eq!(plan.weight_bytes(), bytes(16));
    let Err(Error::Algorithm { refusal, .. }) = conv.plan::<f32>(&options.max_weight_bytes(bytes(15)), &machine) else {
        panic!("there is no smaller transform")
    };
    assert_eq!(refusal, Refusal::WeightBytes { given: bytes(16), wanted: bytes(15) });
}

#[test]
fn what_is_refused_and_why() {
    let machine = Machine { level: Level::Avx512, l1_bytes: 32 << 10, l2_bytes: 1 << 20, l3_bytes: 32 << 20 };
    let options = Options::new().algorithm(Algorithm::Winograd);
    let refusal = |conv: Conv2d, options: &Options| match conv.plan::<f32>(options, &machine) {
        Err(Error::Algorithm { asked: Algorithm::Winograd, refusal }) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let conv = Conv2d::new(64, 64, [3, 3]);
    assert!(refusal(conv.stride([2, 1]), &options).starts_with("stride 2x1"));
    assert_eq!(refusal(conv.groups(8), &options), "8 input channels per group are fewer than 16");
    assert_eq!(refusal(Conv2d::new(64, 64, [1, 1]), &options), "kernel 1x1 is not 3x3");
    assert_eq!(refusal(Conv2d::new(64, 64, [3, 9]), &options), "there is no transform of 3x9 taps");
    assert!(refusal(conv, &options.accuracy(Accuracy::Exact)).ends_with("accuracy Exact"));
    for accuracy in [Accuracy::Default, Accuracy::Relaxed] {
        let auto = Options::new().accuracy(accuracy).input([1, 56, 56]);
        assert_eq!(conv.plan::<f32>(&auto, &machine).unwrap().algorithm(), Algorithm::Winograd);
    }
    let exact = Options::new().accuracy(Accuracy::Exact).input([1, 56, 56]);
    assert_eq!(conv.plan::<f32>(&exact, &machine).unwrap().algorithm(), Algorithm::Implicit);
}
