//! Forward convolution against the oracle: to the bit on small integers, within the bound on random numbers.

mod common;

use common::conv::{HeldWeights, Layer, Numbers, Order, Sums, cases, in_f64, layers, ways};
use common::*;
use gemmule::{Activation, Conv2d, Epilogue, Error, Options, Padding, Run, Serial, View, Weights, Write};
use gemmule_reference::{self as reference, Array4};
use proptest::prelude::*;

/// The oracle's sums for an input, weights and perhaps a bias.
fn sums<T: Number>(layer: &Layer, x: &Array4<T>, w: &Array4<T>, bias: Option<&[T]>) -> Sums {
    let terms = layer.terms() + usize::from(bias.is_some());
    Sums::new(terms, |f| {
        let bias: Option<Vec<f64>> = bias.map(|b| b.iter().map(|&b| f(reference::Real::to_f64(b))).collect());
        reference::conv_forward(&in_f64(x, f), &in_f64(w, f), bias.as_deref(), &layer.window(), layer.groups)
    })
}

/// Computes the layer in every way and compares.
fn check<T: Number>(layer: &Layer, numbers: Numbers) {
    let random = &mut Random(layer.seed);
    let (x, w) = (numbers.array::<T>(layer.x_shape(), random), numbers.array::<T>(layer.w_shape(), random));
    let bias = (random.below(3) > 0).then(|| numbers.row::<T>(layer.outputs * layer.groups, random));
    let bias = bias.as_deref();
    let expected = sums(layer, &x, &w, bias);
    assert_eq!(layer.conv().output_shape(layer.x_shape()), Ok(layer.y_shape()));
    for way in ways(random) {
        let weights = HeldWeights::new(&w, way.order);
        let packed = match layer.conv().prepare(weights.weights(), bias, &way.options()) {
            Ok(packed) => packed,
            Err(Error::Algorithm { asked, .. }) if asked == way.algorithm => continue,
            Err(error) => panic!("{error}: {layer:?} {way:?}"),
        };
        assert_eq!(packed.plan().level(), way.level);
        let (x, mut y) = (Held::new(&x, way.x, T::NAN), output::<T>(layer.y_shape(), way.y));
        let mut scratch = vec![T::NAN; packed.plan().workspace_len(1)];
        let run = Run::new().executor(&Serial).scratch(&mut scratch);
        packed.forward(x.view(), y.view_mut(), &Epilogue::new(), run).unwrap();
        let what = (layer, way, bias.is_some());
        let slack = expected.slack::<T>(packed.plan().algorithm());
        expected.assert_within(&y.array(), numbers == Numbers::Integers, slack, &what);
        assert!(y.gaps_are_untouched(|a, b| a.bits() == b.bits()), "written beside the output: {what:?}");
    }
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn small_integers_agree_to_the_bit(layer in layers(9)) {
        check::<f32>(&layer, Numbers::Integers);
    }

    #[test]
    fn f32_within_the_bound(layer in layers(9)) {
        check::<f32>(&layer, Numbers::Reals);
    }

    #[test]
    fn f64_within_the_bound(layer in layers(9)) {
        check::<f64>(&layer, Numbers::Reals);
    }
}

#[test]
fn every_channel_tail() {
    // As many inputs as outputs, and one input or output for each number of the others, in every kind of layer.
    for c in 1..=70 {
        let small = Layer { seed: c as u64, ..Layer::new([c, c], [1, 2], [1, 3]) };
        check::<f32>(&Layer { inputs: 3, ..small.clone() }, Numbers::Integers);
        check::<f64>(&Layer { outputs: 3, kernel: [1, 1], ..small.clone() }, Numbers::Integers);
        check::<f32>(
            &Layer { inputs: 1, outputs: 1, groups: c, padding: [[0, 0], [1, 0]], ..small },
            Numbers::Integers,
        );
    }
}

#[test]
fn few_outputs_take_several_terms_at_a_time() {
    for (outputs, inputs) in (1..=4).flat_map(|outputs| [2, 4, 8, 16, 40, 80].map(|inputs| (outputs, inputs))) {
        let layer = Layer { seed: (outputs * inputs) as u64, ..Layer::new([inputs, outputs], [1, 1], [1, 1]) };
        check::<f32>(&layer, Numbers::Integers);
        check::<f64>(&Layer { groups: 2, ..layer.clone() }, Numbers::Integers);
        check::<f32>(&Layer { kernel: [3, 2], padding: [[1, 1], [1, 0]], ..layer }, Numbers::Integers);
    }
}

#[test]
fn images_of_one_pixel() {
    for kernel in [[1, 1], [3, 3], [5, 2]] {
        let layer = Layer { padding: [[2, 2], [1, 1]], ..Layer::new([6, 19], kernel, [1, 1]) };
        check::<f32>(&layer, Numbers::Integers);
        check::<f64>(&Layer { stride: [3, 7], groups: 2, ..layer }, Numbers::Integers);
    }
}

/// What is done to a sum last, in both crates' words, and whether it is exact on integers. The others are within
/// `4 * epsilon * max(1, |x|)`.
fn activations<'a, T: Number>(
    slopes: &'a [T],
    same: &'a [f64],
) -> Vec<(Activation<'a, T>, reference::Activation<'a, f64>, bool)> {
    use reference::Activation as Ref;
    let number = |x: f64| <T as gemmule::Element>::from_f64(x);
    vec![
        (Activation::Identity, Ref::Identity, true),
        (Activation::Relu, Ref::Relu, true),
        (Activation::Relu6, Ref::Relu6, true),
        (Activation::Clamp { min: number(-3.0), max: number(8.0) }, Ref::Clamp { min: -3.0, max: 8.0 }, true),
        (Activation::LeakyRelu { slope: number(0.25) }, Ref::LeakyRelu { slope: 0.25 }, true),
        (Activation::PRelu(slopes), Ref::PRelu(same), true),
        (Activation::Silu, Ref::Silu, false),
        (Activation::HardSwish, Ref::HardSwish, false),
        (Activation::Sigmoid, Ref::Sigmoid, false),
        (Activation::Tanh, Ref::Tanh, false),
        (Activation::Gelu, Ref::Gelu, false),
        (Activation::GeluTanh, Ref::GeluTanh, false),
    ]
}

/// Residuals of every kind, accumulation and activations, all at once.
fn check_epilogue<T: Number>(layer: &Layer) {
    let random = &mut Random(layer.seed);
    let numbers = Numbers::Integers;
    let (x, w) = (numbers.array::<T>(layer.x_shape(), random), numbers.array::<T>(layer.w_shape(), random));
    let y_shape = layer.y_shape();
    let bias = numbers.row::<T>(y_shape[3], random);
    let slopes = numbers.row::<T>(y_shape[3], random);
    let same: Vec<f64> = slopes.iter().map(|&slope| reference::Real::to_f64(slope)).collect();
    let old = numbers.array::<T>(y_shape, random);
    for (i, way) in ways(random).into_iter().enumerate() {
        let weights = HeldWeights::new(&w, way.order);
        let Ok(packed) = layer.conv().prepare(weights.weights(), Some(&bias), &way.options()) else { continue };
        let mut expected = sums(layer, &x, &w, Some(&bias));
        let mut epilogue = Epilogue::new();

        // No residual, one of the output's shape, or one that repeats along some axes.
        let residual = match random.below(3) {
            0 => None,
            1 => Some(numbers.array::<T>(y_shape, random)),
            _ => {
                let row = numbers.row::<T>(y_shape[3], random);
                Some(Array4::from_fn(y_shape, |[.., c]| row[c]))
            }
        };
        let held = residual.as_ref().map(|residual| Held::new(residual, random.pick(&LAYOUTS), T::NAN));
        if let (Some(residual), Some(held)) = (&residual, &held) {
            epilogue = epilogue.residual(held.view());
            expected = expected.plus(residual);
        }
        let mut y = output::<T>(y_shape, way.y);
        if random.below(2) == 0 {
            y = Held::new(&old, way.y, T::NAN);
            epilogue = epilogue.write(Write::Accumulate);
            expected = expected.plus(&old);
        }
        let activations = activations(&slopes, &same);
        let (ours, theirs, exact) = activations[(i + random.below(12)) % activations.len()];
        let x = Held::new(&x, way.x, T::NAN);
        packed.forward(x.view(), y.view_mut(), &epilogue.activation(ours), Run::new().executor(&Serial)).unwrap();
        // No activation is steeper than this.
        let slack = 20.0 * expected.slack::<T>(packed.plan().algorithm());
        let (got, finished) = (y.array(), reference::activate(&expected.value, &theirs));
        for i in reference::indices(y_shape) {
            let epsilon = if exact { 0.0 } else { 4.0 * gemmule::Element::to_f64(T::EPSILON) };
            let (got, sum, expected) = (reference::Real::to_f64(got[i]), expected.value[i], finished[i]);
            let near = (got - expected).abs() <= epsilon * sum.abs().max(1.0) + slack;
            assert!(near, "{i:?}: got {got}, expected {expected}; {layer:?} {way:?} {ours:?}");
        }
        assert!(y.gaps_are_untouched(|a, b| a.bits() == b.bits()));
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn epilogues(layer in layers(7)) {
        check_epilogue::<f32>(&layer);
        check_epilogue::<f64>(&layer);
    }
}

#[test]
fn a_residual_may_repeat_one_row_or_one_element() {
    let layer = Layer { padding: [[1; 2]; 2], ..Layer::new([3, 21], [3, 3], [5, 4]) };
    let random = &mut Random(3);
    let (x, w) = (random.integers::<f32>(layer.x_shape(), 4), random.integers::<f32>(layer.w_shape(), 4));
    let row = random.integers::<f32>([1, 1, 1, 21], 9).data;
    for strides in [[0, 0, 0, 1], [0, 0, 0, 0], [0, 4, 1, 0], [0, 4, 1, 1]] {
        let view = View::new(&row, layer.y_shape(), strides);
        let Ok(residual) = view else { continue };
        let array = Array4::from_fn(layer.y_shape(), |i| *residual.get(i).unwrap());
        let expected = sums(&layer, &x, &w, None).plus(&array);
        for way in ways(random) {
            let weights = HeldWeights::new(&w, way.order);
            let Ok(packed) = layer.conv().prepare(weights.weights(), None, &way.options()) else { continue };
            let (x, mut y) = (Held::new(&x, way.x, f32::NAN), output::<f32>(layer.y_shape(), way.y));
            packed.forward(x.view(), y.view_mut(), &Epilogue::new().residual(residual), Run::new()).unwrap();
            let slack = expected.slack::<f32>(packed.plan().algorithm());
            expected.assert_within(&y.array(), true, slack, &(way, strides));
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn repacked_is_prepared(layer in layers(5)) {
        let random = &mut Random(layer.seed);
        let x = random.reals::<f32>(layer.x_shape());
        let [first, second] = [0; 2].map(|_| (random.reals::<f32>(layer.w_shape()), random.reals::<f32>([1, 1, 1, layer.w_shape()[3]]).data));
        for way in ways(random) {
            let forward = |packed: &gemmule::PackedConv2d<f32>| {
                let (x, mut y) = (Held::new(&x, way.x, f32::NAN), output::<f32>(layer.y_shape(), way.y));
                packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new()).unwrap();
                y.array()
            };
            let held = HeldWeights::new(&first.0, way.order);
            let Ok(mut packed) = layer.conv().prepare(held.weights(), Some(&first.1), &way.options()) else { continue };
            forward(&packed);
            packed.repack(Weights::hwio(&second.0.data), Some(&second.1)).unwrap();
            let fresh = layer.conv().prepare(Weights::hwio(&second.0.data), Some(&second.1), &way.options()).unwrap();
            assert_eq!(packed.plan(), fresh.plan());
            let expected = forward(&fresh);
            assert_same(&Held::new(&forward(&packed), Layout::Nhwc, f32::NAN), &expected, &(&layer, way));
        }
    }
}

/// ONNX's `auto_pad`: `total = max((ceil(in / stride) - 1) * stride + (k - 1) * dilation + 1 - in, 0)`.
fn onnx_same(size: usize, kernel: usize, stride: usize, dilation: usize, upper: bool) -> [isize; 2] {
    let out = size.div_ceil(stride);
    let total = ((out - 1) * stride + (kernel - 1) * dilation + 1).saturating_sub(size) as isize;
    if upper { [total / 2, total - total / 2] } else { [total - total / 2, total / 2] }
}

#[test]
fn same_padding_is_that_of_onnx() {
    let random = &mut Random(5);
    for case in 0..300 {
        let size = [1 + random.below(9), 1 + random.below(9)];
        let [kernel, stride, dilation] = [5, 4, 3].map(|most| [1 + random.below(most), 1 + random.below(most)]);
        let upper = case % 2 == 0;
        let same = if upper { Padding::SameUpper } else { Padding::SameLower };
        let explicit = [0, 1].map(|i| onnx_same(size[i], kernel[i], stride[i], dilation[i], upper));
        let conv = Conv2d::new(2, 3, kernel).stride(stride).dilation(dilation);
        let x = random.integers::<f32>([1, size[0], size[1], 2], 4);
        let w = random.integers::<f32>([kernel[0], kernel[1], 2, 3], 4);
        let shape = [1, size[0].div_ceil(stride[0]), size[1].div_ceil(stride[1]), 3];
        let [a, b] = [conv.padding(same), conv.padding(explicit)].map(|conv| {
            assert_eq!(conv.output_shape(x.shape), Ok(shape), "{conv:?}");
            let packed = conv.prepare(Weights::hwio(&w.data), None, &Options::new()).unwrap();
            let (x, mut y) = (Held::new(&x, Layout::Nhwc, f32::NAN), output::<f32>(shape, Layout::Nhwc));
            packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new()).unwrap();
            y.array()
        });
        assert_eq!(a, b, "{conv:?} {same:?}");
    }
}

#[test]
fn valid_padding_is_none() {
    let conv = Conv2d::new(1, 1, [3, 2]).padding(Padding::Valid);
    assert_eq!(conv.output_shape([7, 9, 8, 1]), Ok([7, 7, 7, 1]));
    assert_eq!(conv, Conv2d::new(1, 1, [3, 2]));
}

#[test]
fn orders_of_weights_are_the_same_numbers() {
    let random = &mut Random(1);
    let w = random.reals::<f32>([3, 2, 4, 5]);
    let x = random.reals::<f32>([1, 5, 5, 4]);
    let conv = Conv2d::new(4, 5, [3, 2]);
    let outputs = [Order::Hwio, Order::Oihw, Order::Iohw, Order::Strided].map(|order| {
        let held = HeldWeights::new(&w, order);
        let packed = conv.prepare(held.weights(), None, &Options::new()).unwrap();
        let (x, mut y) = (Held::new(&x, Layout::Nhwc, f32::NAN), output::<f32>([1, 3, 4, 5], Layout::Nhwc));
        packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new()).unwrap();
        y.array()
    });
    assert!(outputs.iter().all(|y| y == &outputs[0]));
}
