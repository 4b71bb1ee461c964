//! A convolution whose weights were folded gives what the convolution and the normalization give one after the other.

use gemmule::{BatchNorm, Error, ViewMut};
use gemmule_reference::{Array4, Window, batch_norm, conv_forward};

/// Numbers between -1 and 1, always the same ones.
fn random(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..len).map(|_| next()).collect()
}

macro_rules! folds {
    ($t:ident, $name:ident, $layout:ident) => {
        #[test]
        fn $name() {
            for (c_in, c_out, groups) in [(3, 5, 1), (4, 6, 2), (1, 130, 1), (64, 64, 64)] {
                let (kh, kw, ci) = (3, 2, c_in / groups);
                let t = |x: Vec<f64>| x.into_iter().map(|x| x as $t).collect::<Vec<$t>>();
                let x = Array4::new([2, 5, 4, c_in], t(random(40 * c_in, 1)));
                let w = Array4::new([kh, kw, ci, c_out], t(random(kh * kw * ci * c_out, 2)));
                let [bias, gamma, beta, mean] = [3, 4, 5, 6].map(|seed| t(random(c_out, seed)));
                let variance: Vec<$t> = t(random(c_out, 7).into_iter().map(|v| 0.1 + v * v).collect());
                let norm = BatchNorm { gamma: &gamma, beta: &beta, mean: &mean, variance: &variance, epsilon: 1e-3 };
                let window = Window::new([kh, kw]);

                let (folded, folded_bias) = $layout(&norm, &w, &bias);
                let z = conv_forward(&x, &w, Some(&bias), &window, groups);
                let expected = batch_norm(&z, &gamma, &beta, &mean, &variance, 1e-3);
                let given = conv_forward(&x, &folded, Some(&folded_bias), &window, groups);
                // Of sums of up to K terms below 1, times a scale of at most 1 / sqrt(0.1).
                let bound = $t::EPSILON * 4.0 * (kh * kw * ci + 4) as $t;
                for (i, (given, expected)) in given.data.iter().zip(&expected.data).enumerate() {
                    assert!((given - expected).abs() <= bound, "{i}: {given} against {expected}");
                }
            }
        }
    };
}

fn hwio<T: gemmule::Element>(norm: &BatchNorm<T>, w: &Array4<T>, bias: &[T]) -> (Array4<T>, Vec<T>) {
    let (mut w, mut bias) = (w.clone(), bias.to_vec());
    norm.fold(ViewMut::nhwc(&mut w.data, w.shape).unwrap(), &mut bias).unwrap();
    (w, bias)
}

fn oihw<T: gemmule::Element>(norm: &BatchNorm<T>, w: &Array4<T>, bias: &[T]) -> (Array4<T>, Vec<T>) {
    let [kh, kw, ci, co] = w.shape;
    let strides = [kw, 1, kh * kw, ci * kh * kw];
    let at = |i: [usize; 4]| (0..4).map(|a| i[a] * strides[a]).sum::<usize>();
    let (mut turned, mut bias) = (vec![T::ZERO; w.data.len()], bias.to_vec());
    gemmule_reference::indices(w.shape).zip(&w.data).for_each(|(i, &w)| turned[at(i)] = w);
    norm.fold(ViewMut::new(&mut turned, [kh, kw, ci, co], strides).unwrap(), &mut bias).unwrap();
    (Array4::new(w.shape, gemmule_reference::indices(w.shape).map(|i| turned[at(i)]).collect()), bias)
}

folds!(f32, hwio_weights_f32, hwio);
folds!(f64, hwio_weights_f64, hwio);
folds!(f32, oihw_weights_f32, oihw);
folds!(f64, oihw_weights_f64, oihw);

#[test]
fn bad_input_gets_an_error_and_changes_nothing() {
    let (mut w, mut bias) = ([1.0f64; 4], [2.0; 2]);
    let norm = BatchNorm { gamma: &[1.0; 2], beta: &[1.0; 2], mean: &[1.0; 2], variance: &[1.0; 2], epsilon: 0.0 };
    let mut fold = |norm: BatchNorm<f64>, bias: &mut [f64]| {
        let result = norm.fold(ViewMut::nhwc(&mut w, [1, 2, 1, 2]).unwrap(), bias);
        assert_eq!(w, [1.0; 4]);
        result
    };
    let length = |argument, given| Err(Error::Length { argument, expected: 2, given });
    assert_eq!(fold(BatchNorm { gamma: &[1.0; 3], ..norm }, &mut bias), length("gamma", 3));
    assert_eq!(fold(BatchNorm { beta: &[1.0; 1], ..norm }, &mut bias), length("beta", 1));
    assert_eq!(fold(BatchNorm { mean: &[1.0; 1], ..norm }, &mut bias), length("mean", 1));
    assert_eq!(fold(BatchNorm { variance: &[1.0; 5], ..norm }, &mut bias), length("variance", 5));
    assert_eq!(fold(norm, &mut [0.0; 3]), length("bias", 3));
    for (variance, epsilon) in [(-1.0, 0.5), (0.0, 0.0), (-0.5, 0.5), (1.0, -2.0), (f64::NAN, 1.0)] {
        let result = fold(BatchNorm { variance: &[1e9, variance], epsilon, ..norm }, &mut bias);
        let Err(Error::Value { argument: "variance", index: 1, given, .. }) = result else { panic!("{result:?}") };
        assert_eq!(given.to_bits(), variance.to_bits());
        assert!(result.unwrap_err().to_string().contains("at index 1"));
    }
    let result = fold(BatchNorm { epsilon: f64::NAN, ..norm }, &mut bias);
    assert!(matches!(result, Err(Error::Value { argument: "variance", index: 0, given: 1.0, .. })));
    assert_eq!(bias, [2.0; 2]);
}

#[test]
fn no_output_channels() {
    let norm = BatchNorm::<f32> { gamma: &[], beta: &[], mean: &[], variance: &[], epsilon: 0.0 };
    norm.fold(ViewMut::nhwc(&mut [], [3, 3, 4, 0]).unwrap(), &mut []).unwrap();
}
