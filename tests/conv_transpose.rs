//! Transposed convolution against the oracle: to the bit on small integers, within the bound on random numbers.

mod common;

use common::conv::{HeldWeights, Layer, Numbers, Sums, cases, in_f64, layers, ways};
use common::*;
use gemmule::{Accuracy, ConvTranspose2d, Epilogue, Error, Options, Padding, Run, Serial, Weights, Write};
use gemmule_reference::{self as reference, Array4};
use proptest::prelude::*;

/// A layer as a transposed convolution, with rows and columns more at the end of the output.
struct Case {
    layer: Layer,
    more: [usize; 2],
}

impl Case {
    fn new(layer: &Layer) -> Option<Case> {
        let random = &mut Random(!layer.seed);
        let more = layer.stride.map(|stride| random.below(stride + 1));
        let case = Case { layer: layer.clone(), more };
        let fits = case.y_shape()[1] > 0 && case.y_shape()[2] > 0;
        assert_eq!(case.conv().output_shape(layer.x_shape()).ok(), fits.then(|| case.y_shape()));
        fits.then_some(case)
    }

    fn conv(&self) -> ConvTranspose2d {
        self.layer.transpose().output_padding(self.more)
    }

    fn y_shape(&self) -> [usize; 4] {
        let (layer, window) = (&self.layer, self.layer.window());
        let [h, w] = [0, 1].map(|i| window.transpose_out_size(layer.size[i], i, self.more[i]));
        [layer.batch, h, w, layer.outputs * layer.groups]
    }

    /// `[kh, kw, in, out / groups]`.
    fn w_shape(&self) -> [usize; 4] {
        [self.layer.kernel[0], self.layer.kernel[1], self.layer.inputs * self.layer.groups, self.layer.outputs]
    }

    fn sums<T: Number>(&self, x: &Array4<T>, w: &Array4<T>, bias: Option<&[T]>) -> Sums {
        let layer = &self.layer;
        Sums::new(layer.terms() + usize::from(bias.is_some()), |f| {
            let bias: Option<Vec<f64>> = bias.map(|b| b.iter().map(|&b| f(reference::Real::to_f64(b))).collect());
            let (x, w) = (in_f64(x, f), in_f64(w, f));
            reference::conv_transpose(&x, &w, bias.as_deref(), &layer.window(), self.more, layer.groups)
        })
    }
}

fn check<T: Number>(layer: &Layer, numbers: Numbers) {
    let Some(case) = Case::new(layer) else { return };
    let random = &mut Random(layer.seed);
    let (x, w) = (numbers.array::<T>(layer.x_shape(), random), numbers.array::<T>(case.w_shape(), random));
    let y_shape = case.y_shape();
    let bias = (random.below(3) > 0).then(|| numbers.row::<T>(y_shape[3], random));
    for way in ways(random) {
        let weights = HeldWeights::new(&w, way.order);
        let packed = match case.conv().prepare(weights.weights(), bias.as_deref(), &way.options()) {
            Ok(packed) => packed,
            Err(Error::Algorithm { asked, .. }) if asked == way.algorithm => continue,
            Err(error) => panic!("{error}: {layer:?} {way:?}"),
        };
        assert_eq!(packed.plan().level(), way.level);
        let mut expected = case.sums(&x, &w, bias.as_deref());
        let (mut y, mut epilogue) = (output::<T>(y_shape, way.y), Epilogue::new());
        if random.below(2) == 0 {
            let old = numbers.array::<T>(y_shape, random);
            y = Held::new(&old, way.y, T::NAN);
            expected = expected.plus(&old);
            epilogue = epilogue.write(Write::Accumulate);
        }
        let x = Held::new(&x, way.x, T::NAN);
        let mut scratch = vec![T::NAN; packed.plan().workspace_len(1)];
        let run = Run::new().executor(&Serial).scratch(&mut scratch);
        packed.forward(x.view(), y.view_mut(), &epilogue, run).unwrap();
        let what = (layer, case.more, way, bias.is_some());
        let slack = expected.slack::<T>(packed.plan().algorithm());
        expected.assert_within(&y.array(), numbers == Numbers::Integers, slack, &what);
        assert!(y.gaps_are_untouched(|a, b| a.bits() == b.bits()), "written beside the output: {what:?}");
    }
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn small_integers_agree_to_the_bit(layer in layers(4)) {
        check::<f32>(&layer, Numbers::Integers);
    }

    #[test]
    fn f32_within_the_bound(layer in layers(4)) {
        check::<f32>(&layer, Numbers::Reals);
    }

    #[test]
    fn f64_within_the_bound(layer in layers(4)) {
        check::<f64>(&layer, Numbers::Reals);
    }
}

#[test]
fn outputs_that_no_input_reaches_are_the_bias() {
    let layer = Layer { stride: [5, 4], padding: [[-2, 0], [0, -1]], ..Layer::new([3, 18], [2, 1], [2, 3]) };
    check::<f32>(&layer, Numbers::Integers);
    let (w, bias) = ([1.0f32; 2 * 3 * 18], [7.0; 18]);
    let packed = layer.transpose().prepare(Weights::hwio(&w), Some(&bias), &Options::new()).unwrap();
    let x = Held::filled(layer.x_shape(), Layout::Nchw, 1.0, f32::NAN);
    let mut y = output(layer.transpose().output_shape(layer.x_shape()).unwrap(), Layout::Nhwc);
    packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new()).unwrap();
    let counts = y.array().data.iter().fold([0; 2], |[bias, more], &v| match v {
        7.0 => [bias + 1, more],
        10.0 => [bias, more + 1],
        other => panic!("{other}"),
    });
    assert_eq!(counts, [(9 * 10 - 2 * 2 * 3) * 18, 2 * 2 * 3 * 18]);
}

#[test]
fn it_is_the_adjoint_of_the_convolution() {
    // <conv(x), y> = <x, transpose(y)>, in integers.
    let random = &mut Random(9);
    let layer = Layer { stride: [2, 1], padding: [[1, 0], [2, 1]], groups: 2, ..Layer::new([3, 4], [3, 2], [7, 5]) };
    let (x, y) = (random.integers::<f64>(layer.x_shape(), 4), random.integers::<f64>(layer.y_shape(), 4));
    let w = random.integers::<f64>(layer.w_shape(), 4);
    let transpose = ConvTranspose2d::new(8, 6, [3, 2]).stride([2, 1]).padding([[1, 0], [2, 1]]).groups(2);
    // The convolution's `[kh, kw, i, o]` as `[kh, kw, o, i]`, which is what the transposed one sums over and writes.
    let turned = Array4::from_fn([3, 2, 8, 3], |[ky, kx, o, i]| w[[ky, kx, i, o]]);
    let run = |x: &Array4<f64>, shape, forward: &dyn Fn(gemmule::View<f64>, gemmule::ViewMut<f64>)| {
        let (x, mut y) = (Held::new(x, Layout::Nhwc, f64::NAN), output::<f64>(shape, Layout::Nhwc));
        forward(x.view(), y.view_mut());
        y.array()
    };
    // Fast transforms round.
    let options = Options::new().accuracy(Accuracy::Exact);
    let conv = layer.conv().prepare(Weights::hwio(&w.data), None, &options).unwrap();
    let transpose = transpose.output_padding([1, 0]).prepare(Weights::hwio(&turned.data), None, &options).unwrap();
    let forward = run(&x, layer.y_shape(), &|x, y| conv.forward(x, y, &Epilogue::new(), Run::new()).unwrap());
    let back = run(&y, layer.x_shape(), &|x, y| transpose.forward(x, y, &Epilogue::new(), Run::new()).unwrap());
    let dot = |a: &Array4<f64>, b: &Array4<f64>| a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum::<f64>();
    assert_eq!(dot(&forward, &y), dot(&x, &back));
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn repacked_is_prepared(layer in layers(4)) {
        let Some(case) = Case::new(&layer) else { return Ok(()) };
        let random = &mut Random(layer.seed);
        let x = Held::new(&random.reals::<f32>(layer.x_shape()), Layout::Nhwc, f32::NAN);
        let [first, second] = [0; 2].map(|_| (random.reals::<f32>(case.w_shape()), random.reals::<f32>([1, 1, 1, case.y_shape()[3]]).data));
        for way in ways(random) {
            let forward = |packed: &gemmule::PackedConvTranspose2d<f32>| {
                let mut y = output::<f32>(case.y_shape(), way.y);
                packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new()).unwrap();
                y
            };
            let held = HeldWeights::new(&first.0, way.order);
            let Ok(mut packed) = case.conv().prepare(held.weights(), Some(&first.1), &way.options()) else { continue };
            packed.repack(Weights::hwio(&second.0.data), Some(&second.1)).unwrap();
            let fresh = case.conv().prepare(Weights::hwio(&second.0.data), Some(&second.1), &way.options()).unwrap();
            assert_same(&forward(&packed), &forward(&fresh).array(), &(&layer, way));
        }
    }
}

/// ONNX: `total = stride * (in - 1) + output_padding + (k - 1) * dilation + 1 - in * stride`, the larger half after the
/// output with `SAME_UPPER`, before it with `SAME_LOWER`.
#[test]
fn same_padding_is_that_of_onnx() {
    let random = &mut Random(6);
    let mut compared = 0;
    for case in 0..300 {
        let size = [1 + random.below(5), 1 + random.below(5)];
        let [kernel, stride, dilation] = [5, 4, 3].map(|most| [1 + random.below(most), 1 + random.below(most)]);
        let more = stride.map(|stride| random.below(stride));
        let upper = case % 2 == 0;
        let total = [0, 1].map(|i| {
            let full = stride[i] * (size[i] - 1) + more[i] + (kernel[i] - 1) * dilation[i] + 1;
            full as isize - (size[i] * stride[i]) as isize
        });
        if total.iter().any(|&t| t < 0) {
            continue;
        }
        compared += 1;
        let explicit = total.map(|t| if upper { [t / 2, t - t / 2] } else { [t - t / 2, t / 2] });
        let same = if upper { Padding::SameUpper } else { Padding::SameLower };
        let conv = ConvTranspose2d::new(2, 3, kernel).stride(stride).dilation(dilation).output_padding(more);
        let x = random.integers::<f32>([1, size[0], size[1], 2], 4);
        let w = random.integers::<f32>([kernel[0], kernel[1], 2, 3], 4);
        let shape = [1, size[0] * stride[0], size[1] * stride[1], 3];
        let [a, b] = [conv.padding(same), conv.padding(explicit)].map(|conv| {
            assert_eq!(conv.output_shape(x.shape), Ok(shape), "{conv:?}");
            let packed = conv.prepare(Weights::hwio(&w.data), None, &Options::new()).unwrap();
            let (x, mut y) = (Held::new(&x, Layout::Nhwc, f32::NAN), output::<f32>(shape, Layout::Nhwc));
            packed.forward(x.view(), y.view_mut(), &Epilogue::new(), Run::new()).unwrap();
            y.array()
        });
        assert_eq!(a, b, "{conv:?} {same:?}");
    }
    assert!(compared > 100);
}
