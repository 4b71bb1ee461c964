//! The gradients of a convolution against the oracle: dX, dW and db, replacing and accumulating.

mod common;

use common::conv::{HeldWeights, Layer, Numbers, Sums, cases, in_f64, layers, ways};
use common::*;
use gemmule::{Error, Options, Run, Serial, Weights, Write, conv_backward_bias};
use gemmule_reference::{self as reference, Array4};
use proptest::prelude::*;

/// The numbers of a layer, and its gradients in `f64`.
struct Case<T> {
    x: Array4<T>,
    w: Array4<T>,
    dy: Array4<T>,
}

impl<T: Number> Case<T> {
    fn new(layer: &Layer, numbers: Numbers, random: &mut Random) -> Self {
        let [x, w, dy] = [layer.x_shape(), layer.w_shape(), layer.y_shape()].map(|shape| numbers.array(shape, random));
        Case { x, w, dy }
    }

    /// dX, dW and db, with the sums of the magnitudes of their terms.
    fn expected(&self, layer: &Layer) -> [Sums; 3] {
        let of = |f| {
            let (x, w, dy) = (in_f64(&self.x, f), in_f64(&self.w, f), in_f64(&self.dy, f));
            let (dx, dw, db) = reference::conv_backward(&x, &w, &dy, &layer.window(), layer.groups);
            [dx, dw, Array4::new([1, 1, 1, db.len()], db)]
        };
        let pixels = self.dy.shape[..3].iter().product();
        let terms = [layer.kernel[0] * layer.kernel[1] * layer.outputs, pixels, pixels];
        let ([v0, v1, v2], [m0, m1, m2]) = (of(|x| x), of(f64::abs));
        let sums = |value, magnitude, i: usize| Sums { value, magnitude, terms: terms[i] };
        [sums(v0, m0, 0), sums(v1, m1, 1), sums(v2, m2, 2)]
    }
}

/// Old values of an output, for half of the runs.
fn old<T: Number>(shape: [usize; 4], numbers: Numbers, random: &mut Random) -> Option<Array4<T>> {
    (random.below(2) == 0).then(|| numbers.array(shape, random))
}

/// What is expected where there are old values, and how it is asked for.
fn with<T: Number>(sums: &Sums, old: Option<&Array4<T>>) -> (Sums, Write) {
    match old {
        Some(old) => (sums.clone().plus(old), Write::Accumulate),
        None => (sums.clone(), Write::Replace),
    }
}

fn refused(error: Error) {
    assert!(matches!(error, Error::Algorithm { .. }), "{error}");
}

/// dX, dW and db in every way.
fn check<T: Number>(layer: &Layer, numbers: Numbers) {
    let (random, exact) = (&mut Random(layer.seed), numbers == Numbers::Integers);
    let case = Case::<T>::new(layer, numbers, random);
    let expected = case.expected(layer);
    for way in ways(random) {
        let (x, dy) = (Held::new(&case.x, way.x, T::NAN), Held::new(&case.dy, way.y, T::NAN));
        let what = (layer, way);
        match layer.conv().prepare_backward_input(HeldWeights::new(&case.w, way.order).weights(), &way.options()) {
            Err(error) => refused(error),
            Ok(packed) => {
                let old = old::<T>(layer.x_shape(), numbers, random);
                let (expected, write) = with(&expected[0], old.as_ref());
                let start = old.unwrap_or(Array4::filled(layer.x_shape(), T::NAN));
                let mut dx = Held::new(&start, random.pick(&LAYOUTS), T::NAN);
                let mut scratch = vec![T::NAN; packed.plan().workspace_len(1)];
                let run = Run::new().executor(&Serial).scratch(&mut scratch);
                packed.backward(dy.view(), dx.view_mut(), write, run).unwrap();
                let slack = expected.slack::<T>(packed.plan().algorithm());
                expected.assert_within(&dx.array(), exact, slack, &("dx", what));
                assert!(dx.gaps_are_untouched(|a, b| a.bits() == b.bits()), "{what:?}");
            }
        }
        match layer.conv().prepare_backward_weights::<T>(&way.options()) {
            Err(error) => refused(error),
            Ok(prepared) => {
                assert_eq!(prepared.level(), way.level);
                let old = old::<T>(layer.w_shape(), numbers, random);
                let (expected, write) = with(&expected[1], old.as_ref());
                let start = old.unwrap_or(Array4::filled(layer.w_shape(), T::NAN));
                let mut dw = HeldWeights::new(&start, way.order);
                let mut scratch = vec![T::NAN; prepared.workspace_len(1)];
                let run = Run::new().executor(&Serial).scratch(&mut scratch);
                prepared.backward(x.view(), dy.view(), dw.weights_mut(), write, run).unwrap();
                expected.assert_near(&dw.array(), exact, &("dw", what));
                assert!(dw.gaps_are_untouched(), "{what:?}");
            }
        }
        let old = old::<T>([1, 1, 1, dy.view().shape()[3]], numbers, random);
        let (expected, write) = with(&expected[2], old.as_ref());
        let mut db = old.unwrap_or(Array4::filled([1, 1, 1, dy.view().shape()[3]], T::NAN));
        conv_backward_bias(dy.view(), &mut db.data, write, serial(way.level)).unwrap();
        expected.assert_near(&db, exact, &("db", what));
    }
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn small_integers_agree_to_the_bit(layer in layers(8)) {
        check::<f32>(&layer, Numbers::Integers);
    }

    #[test]
    fn f32_within_the_bound(layer in layers(8)) {
        check::<f32>(&layer, Numbers::Reals);
    }

    #[test]
    fn f64_within_the_bound(layer in layers(8)) {
        check::<f64>(&layer, Numbers::Reals);
    }
}

#[test]
fn every_channel_tail() {
    for c in 1..=70 {
        let small = Layer { seed: c as u64, ..Layer::new([c, c], [2, 1], [3, 2]) };
        check::<f32>(&Layer { inputs: 3, ..small.clone() }, Numbers::Integers);
        check::<f64>(&Layer { outputs: 3, ..small.clone() }, Numbers::Integers);
        check::<f32>(&Layer { inputs: 1, outputs: 1, groups: c, ..small }, Numbers::Integers);
    }
}

#[test]
fn pixels_that_no_window_reads_have_no_gradient() {
    // A stride larger than the kernel, rows that are cropped, and a last window that ends before the image does.
    let layer = Layer { stride: [3, 4], padding: [[-1, 0], [0, -2]], batch: 2, ..Layer::new([3, 5], [2, 1], [9, 11]) };
    let random = &mut Random(2);
    let case = Case::<f32>::new(&layer, Numbers::Integers, random);
    let expected = case.expected(&layer);
    let unread = reference::indices(layer.x_shape()).filter(|&i| expected[0].magnitude[i] == 0.0).count();
    assert!(unread > layer.x_shape().iter().product::<usize>() / 2);
    check::<f32>(&layer, Numbers::Integers);
}

#[test]
fn an_empty_batch_has_no_gradient() {
    let layer = Layer { batch: 0, ..Layer::new([3, 5], [2, 2], [4, 4]) };
    check::<f32>(&layer, Numbers::Integers);
    // Replaced by nothing, dW and db are zero.
    let mut dw = [f32::NAN; 60];
    let (x, dy) = (output(layer.x_shape(), Layout::Nhwc), output(layer.y_shape(), Layout::Nhwc));
    let prepared = layer.conv().prepare_backward_weights(&Options::new()).unwrap();
    let weights = gemmule::WeightsMut::hwio(&mut dw);
    prepared.backward(x.view(), dy.view(), weights, Write::Replace, Run::new()).unwrap();
    let mut db = [f32::NAN; 5];
    conv_backward_bias(dy.view(), &mut db, Write::Replace, Run::new()).unwrap();
    assert_eq!((dw, db), ([0.0; 60], [0.0; 5]));
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn repacked_is_prepared(layer in layers(5)) {
        let random = &mut Random(layer.seed);
        let dy = Held::new(&random.reals::<f64>(layer.y_shape()), Layout::Nhwc, f64::NAN);
        let [first, second] = [0; 2].map(|_| random.reals::<f64>(layer.w_shape()));
        for way in ways(random) {
            let backward = |packed: &gemmule::PackedBackwardInput<f64>| {
                let mut dx = output::<f64>(layer.x_shape(), way.x);
                packed.backward(dy.view(), dx.view_mut(), Write::Replace, Run::new()).unwrap();
                dx
            };
            let held = HeldWeights::new(&first, way.order);
            let Ok(mut packed) = layer.conv().prepare_backward_input(held.weights(), &way.options()) else { continue };
            packed.repack(Weights::hwio(&second.data)).unwrap();
            let fresh = layer.conv().prepare_backward_input(Weights::hwio(&second.data), &way.options()).unwrap();
            assert_eq!(packed.plan(), fresh.plan());
            assert_same(&backward(&packed), &backward(&fresh).array(), &(&layer, way));
        }
    }
}

#[test]
fn the_plan_of_dx_says_which_level_runs() {
    for level in levels() {
        let conv = Layer::new([3, 4], [2, 2], [4, 4]).conv();
        let packed = conv.prepare_backward_input(Weights::hwio(&[1.0f32; 48]), &Options::new().level(level)).unwrap();
        assert_eq!(packed.plan().level(), level);
    }
}
