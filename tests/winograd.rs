//! Winograd's algorithm: every transform, every remainder of a tile, every tail of channels, against the oracle. (Random
//! layers are in `conv.rs`, `conv_transpose.rs` and `conv_backward.rs`, errors in `winograd_numerics.rs`.)

mod common;

use common::conv::{Layer, Numbers, Sums, in_f64};
use common::*;
use gemmule::{
    Accuracy, Algorithm, Conv2d, ConvTranspose2d, Epilogue, Error, Level, Machine, Options, PackedConv2d,
    PackedConvTranspose2d, Plan, Refusal, Run, Serial, View, ViewMut, Weights, Write,
};
use gemmule_reference::{self as reference, Array4};

/// A vector of any level at least, and a part of one.
const INPUTS: usize = 19;

/// A transform, at a level.
#[derive(Clone, Copy, Debug)]
struct Way {
    transform: Option<[usize; 2]>,
    level: Level,
    layout: Layout,
}

impl Way {
    fn options(self) -> Options {
        let options = Options::new().algorithm(Algorithm::Winograd).level(self.level).accuracy(Accuracy::Relaxed);
        self.transform.map_or(options, |transform| options.transform(transform))
    }

    /// Compares what `forward` writes, given a plan of this way, with what the oracle makes of inputs, weights and a bias.
    fn check<T: Number, P>(
        self,
        (layer, x_shape, y_shape, w_shape): (&Layer, [usize; 4], [usize; 4], [usize; 4]),
        oracle: impl Fn(&Array4<f64>, &Array4<f64>, &[f64]) -> Array4<f64>,
        prepare: impl Fn(&[T], &[T]) -> P,
        plan: impl Fn(&P) -> Plan,
        forward: impl Fn(&P, View<T>, ViewMut<T>, Run<T>) -> Result<(), Error>,
    ) {
        let (random, numbers) = (&mut Random(layer.seed), Numbers::Integers);
        let (x, w) = (numbers.array::<T>(x_shape, random), numbers.array::<T>(w_shape, random));
        let bias = numbers.row::<T>(layer.outputs * layer.groups, random);
        let sums = Sums::new(layer.terms() + 1, |f| {
            let bias: Vec<f64> = bias.iter().map(|&b| f(reference::Real::to_f64(b))).collect();
            oracle(&in_f64(&x, f), &in_f64(&w, f), &bias)
        });
        let packed = prepare(&w.data, &bias);
        let (x, mut y) = (Held::new(&x, self.layout, T::NAN), output::<T>(y_shape, self.layout));
        let mut scratch = vec![T::NAN; plan(&packed).workspace_len(1)];
        let run = Run::new().executor(&Serial).scratch(&mut scratch);
        forward(&packed, x.view(), y.view_mut(), run).unwrap();
        let what = (layer, self, plan(&packed).to_string());
        sums.assert_within(&y.array(), true, sums.slack::<T>(Algorithm::Winograd), &what);
    }

    fn check_conv<T: Number>(self, layer: &Layer) {
        self.check::<T, PackedConv2d<T>>(
            (layer, layer.x_shape(), layer.y_shape(), layer.w_shape()),
            |x, w, bias| reference::conv_forward(x, w, Some(bias), &layer.window(), layer.groups),
            |w, bias| layer.conv().prepare(Weights::hwio(w), Some(bias), &self.options()).unwrap(),
            |packed| *packed.plan(),
            |packed, x, y, run| packed.forward(x, y, &Epilogue::new(), run),
        );
    }

    /// The same of a transposed convolution, with rows and columns `more` at the end.
    fn check_transpose<T: Number>(self, layer: &Layer, more: [usize; 2]) {
        let size = [0, 1].map(|i| layer.window().transpose_out_size(layer.size[i], i, more[i]));
        let y_shape = [layer.batch, size[0], size[1], layer.outputs * layer.groups];
        let w_shape = [layer.kernel[0], layer.kernel[1], layer.inputs * layer.groups, layer.outputs];
        let conv = layer.transpose().output_padding(more);
        self.check::<T, PackedConvTranspose2d<T>>(
            (layer, layer.x_shape(), y_shape, w_shape),
            |x, w, bias| reference::conv_transpose(x, w, Some(bias), &layer.window(), more, layer.groups),
            |w, bias| conv.prepare(Weights::hwio(w), Some(bias), &self.options()).unwrap(),
            |packed| *packed.plan(),
            |packed, x, y, run| packed.forward(x, y, &Epilogue::new(), run),
        );
    }
}

/// Compares one transform, at one level, with the oracle.
fn check<T: Number>(layer: &Layer, transform: Option<[usize; 2]>, level: Level, layout: Layout) {
    Way { transform, level, layout }.check_conv::<T>(layer);
}

/// A kernel with its stride, and the outputs of the tiles that it may have along each axis.
type Transforms = ([usize; 2], [usize; 2], &'static [[usize; 2]]);

/// Of convolutions.
const TRANSFORMS: [Transforms; 15] = [
    ([3, 3], [1, 1], &[[2, 2], [4, 4], [6, 6], [2, 4], [6, 2]]),
    ([2, 2], [1, 1], &[[2, 2], [4, 4]]),
    ([4, 4], [1, 1], &[[4, 4]]),
    ([5, 5], [1, 1], &[[3, 3], [4, 4]]),
    ([1, 7], [1, 1], &[[1, 3], [1, 4]]),
    ([7, 1], [1, 1], &[[3, 1], [4, 1]]),
    ([1, 3], [1, 1], &[[1, 2], [1, 4], [1, 6]]),
    ([3, 1], [1, 1], &[[2, 1], [4, 1], [6, 1]]),
    ([3, 5], [1, 1], &[[4, 4]]),
    ([7, 2], [1, 1], &[[4, 2]]),
    ([3, 3], [2, 2], &[[2, 2], [4, 4], [2, 4]]),
    ([5, 5], [2, 2], &[[2, 2], [4, 4]]),
    ([4, 4], [2, 2], &[[2, 2], [4, 4]]),
    ([3, 5], [2, 1], &[[4, 3]]),
    ([1, 3], [5, 2], &[[1, 4]]),
];

/// Of transposed convolutions, whose phases meet filters of different lengths.
const TRANSPOSED: [Transforms; 6] = [
    ([3, 3], [2, 2], &[[2, 2], [4, 4]]),
    ([5, 5], [2, 2], &[[2, 2], [4, 4]]),
    ([7, 7], [2, 2], &[[4, 4]]),
    ([4, 3], [2, 1], &[[2, 4], [4, 6]]),
    ([1, 3], [1, 2], &[[1, 4]]),
    ([5, 4], [3, 2], &[[2, 4]]),
];

#[test]
fn every_transform_and_remainder() {
    for (kernel, stride, transforms) in TRANSFORMS {
        for &transform in transforms {
            for rest in 1..=2 * transform[0].max(transform[1]) + 1 {
                // Outputs that leave each rest along one axis, and another one along the other.
                let outputs = [rest, rest % 5 + 1];
                for (i, level) in levels().into_iter().enumerate() {
                    let size = [0, 1].map(|axis| (outputs[(axis + i) % 2] - 1) * stride[axis] + kernel[axis]);
                    let layer = Layer { stride, seed: rest as u64, ..Layer::new([INPUTS, 5], kernel, size) };
                    check::<f32>(&layer, Some(transform), level, Layout::Nhwc);
                    check::<f64>(&layer, Some(transform), level, LAYOUTS[rest % LAYOUTS.len()]);
                }
            }
        }
    }
}

#[test]
fn every_transform_and_remainder_of_transposed_convolutions() {
    for (kernel, stride, transforms) in TRANSPOSED {
        for &transform in transforms {
            for rest in 1..=transform[0].max(transform[1]) + 1 {
                let size = [rest, rest % 4 + 2];
                let layer = Layer { stride, seed: rest as u64, ..Layer::new([INPUTS, 35], kernel, size) };
                for level in levels() {
                    let more = stride.map(|stride| rest % stride);
                    let way = Way { transform: Some(transform), level, layout: Layout::Nhwc };
                    way.check_transpose::<f32>(&layer, more);
                    way.check_transpose::<f32>(&Layer { groups: 2, padding: [[0, -1], [1, 0]], ..layer.clone() }, more);
                    let layout = LAYOUTS[rest % LAYOUTS.len()];
                    Way { layout, ..way }.check_transpose::<f64>(&layer, more);
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
            check::<f64>(&Layer { groups: 2, ..layer.clone() }, None, level, Layout::Nchw);
            check::<f32>(&Layer { stride: [2, 2], size: [5, 9], ..layer }, None, level, Layout::Nhwc);
        }
    }
}

/// Tiles of a row are transformed together, so many of them, in whole rows of the image or pixel by pixel.
#[test]
fn rows_of_many_tiles() {
    for level in levels() {
        for (seed, width) in (28..=37).chain([49, 66, 103]).enumerate() {
            let padding = [[1; 2], [seed as isize % 3, (width as isize % 5) * 9]];
            let layer = Layer { padding, seed: seed as u64, ..Layer::new([INPUTS, 5], [3, 3], [7, width]) };
            let transform = Some([[2, 2], [4, 4], [6, 6]][seed % 3]);
            check::<f32>(&layer, transform, level, Layout::Nhwc);
            check::<f64>(&layer, None, level, LAYOUTS[seed % LAYOUTS.len()]);
            check::<f32>(&Layer { groups: 2, dilation: [1, 2], ..layer.clone() }, transform, level, Layout::Nhwc);
            check::<f32>(&Layer { stride: [2, 2], size: [9, 2 * width], ..layer }, None, level, Layout::Nhwc);
        }
    }
}

#[test]
fn what_is_added_to_rows_of_many_tiles() {
    let (width, outputs) = (103, 5);
    let layer = Layer { padding: [[1; 2]; 2], ..Layer::new([INPUTS, outputs], [3, 3], [13, width]) };
    let (random, numbers) = (&mut Random(1), Numbers::Integers);
    let (x, w) = (numbers.array::<f32>(layer.x_shape(), random), numbers.array::<f32>(layer.w_shape(), random));
    let more = numbers.array::<f32>(layer.y_shape(), random);
    for level in levels() {
        for m in [2, 4, 6] {
            let options = Way { transform: Some([m, m]), level, layout: Layout::Nhwc }.options();
            let packed = layer.conv().prepare(Weights::hwio(&w.data), None, &options).unwrap();
            let forward = |epilogue: &Epilogue<f32>, mut y: Vec<f32>| {
                let (x, to) = (View::nhwc(&x.data, layer.x_shape()), ViewMut::nhwc(&mut y, layer.y_shape()));
                packed.forward(x.unwrap(), to.unwrap(), epilogue, Run::new().executor(&Serial)).unwrap();
                y
            };
            let sums = forward(&Epilogue::new(), vec![f32::NAN; more.data.len()]);
            let expected: Vec<f32> = sums.iter().zip(&more.data).map(|(sum, more)| sum + more).collect();
            let residual = View::nhwc(&more.data, layer.y_shape()).unwrap();
            let added = forward(&Epilogue::new().residual(residual), vec![f32::NAN; more.data.len()]);
            assert_eq!(added, expected, "residual, {level}, {m}");
            let accumulated = forward(&Epilogue::new().write(Write::Accumulate), more.data.clone());
            assert_eq!(accumulated, expected, "accumulated, {level}, {m}");
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
            if kernel != [7, 1] {
                check::<f32>(&Layer { stride: [2, 1], ..layer.clone() }, None, level, Layout::Nhwc);
            }
            check::<f64>(&Layer { dilation: [2, 3], padding: [[12; 2], [6; 2]], ..layer }, None, level, Layout::Nchw);
        }
    }
}

/// The transforms, and their memory, are in the plan; less memory may be had with another transform, or none.
#[test]
fn the_memory_of_transformed_weights_is_bounded() {
    let machine =
        Machine { level: Level::Avx2, l1_bytes: 32 << 10, l2_bytes: 512 << 10, l3_bytes: 16 << 20, l3_line_cycles: 7 };
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
    let machine =
        Machine { level: Level::Avx512, l1_bytes: 32 << 10, l2_bytes: 1 << 20, l3_bytes: 32 << 20, l3_line_cycles: 7 };
    let options = Options::new().algorithm(Algorithm::Winograd);
    let refusal = |conv: Conv2d, options: &Options| match conv.plan::<f32>(options, &machine) {
        Err(Error::Algorithm { asked: Algorithm::Winograd, refusal }) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let conv = Conv2d::new(64, 64, [3, 3]);
    assert!(refusal(conv.stride([3, 1]), &options).starts_with("stride 3x1"));
    assert!(refusal(conv.stride([2, 2]).dilation([2, 2]), &options).starts_with("stride 2x2"));
    assert_eq!(refusal(Conv2d::new(64, 64, [2, 2]).stride([2, 2]), &options), "there is no transform of 2x2 taps");
    let transpose = ConvTranspose2d::new(64, 64, [1, 3]).stride([2, 2]);
    let Err(Error::Algorithm { refusal: stride, .. }) = transpose.plan::<f32>(&options, &machine) else { panic!() };
    assert_eq!(stride, Refusal::Stride { given: [2, 2] });
    // Four phases of a tap each.
    let transpose = ConvTranspose2d::new(128, 64, [2, 2]).stride([2, 2]);
    let Err(Error::Algorithm { refusal: taps, .. }) = transpose.plan::<f32>(&options, &machine) else { panic!() };
    assert_eq!(taps, Refusal::Transform { outputs: None, taps: [1, 1] });
    let auto = transpose.plan::<f32>(&Options::new(), &machine).unwrap();
    assert_eq!(auto.algorithm(), Algorithm::Implicit);
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
