//! Activations and batch normalization: values, derivatives against differences, edges.

use gemmule_reference::*;

type Act<'a> = Activation<'a, f64>;

const SLOPES: [f64; 2] = [0.25, -2.0];

fn all() -> Vec<Act<'static>> {
    vec![
        Act::Identity,
        Act::Relu,
        Act::Relu6,
        Act::Clamp { min: -0.5, max: 1.5 },
        Act::LeakyRelu { slope: 0.1 },
        Act::PRelu(&SLOPES),
        Act::Silu,
        Act::HardSwish,
        Act::Sigmoid,
        Act::Tanh,
        Act::Gelu,
        Act::GeluTanh,
    ]
}

#[test]
fn known_values() {
    for (act, x, y) in [
        (Act::Identity, -3.0, -3.0),
        (Act::Relu, -3.0, 0.0),
        (Act::Relu, 3.0, 3.0),
        (Act::Relu6, 7.0, 6.0),
        (Act::Clamp { min: -0.5, max: 1.5 }, -3.0, -0.5),
        (Act::Clamp { min: 2.0, max: 1.0 }, 0.0, 1.0),
        (Act::LeakyRelu { slope: 0.1 }, -3.0, -0.3),
        (Act::PRelu(&SLOPES), -3.0, -0.75),
        (Act::Silu, 1.0, 0.731_058_578_630_004_9),
        (Act::Silu, -1000.0, 0.0),
        (Act::HardSwish, 1.0, 4.0 / 6.0),
        (Act::HardSwish, -4.0, 0.0),
        (Act::HardSwish, 4.0, 4.0),
        (Act::Sigmoid, 0.0, 0.5),
        (Act::Sigmoid, 2.0, 0.880_797_077_977_882_4),
        (Act::Tanh, 0.5, 0.462_117_157_260_009_76),
        (Act::Gelu, 1.0, 0.841_344_746_068_542_9),
        (Act::Gelu, -6.0, -5.919_525_870_226_189e-9),
        (Act::GeluTanh, 1.0, 0.841_191_990_608_276_7),
    ] {
        let value = act.value(x, 0);
        assert!((value - y).abs() <= 1e-14 * y.abs(), "{act:?} of {x}: {value} against {y}");
    }
}

#[test]
fn derivatives_match_differences() {
    let h = 1e-5;
    for act in all() {
        for x in (-80..80).map(|i| 0.1 * f64::from(i) + 0.05123) {
            for c in 0..2 {
                let difference = (act.value(x + h, c) - act.value(x - h, c)) / (2.0 * h);
                let derivative = act.derivative(x, c);
                assert!((derivative - difference).abs() < 1e-8, "{act:?} at {x}: {derivative} against {difference}");
            }
        }
    }
}

#[test]
fn derivatives_where_pieces_meet() {
    let clamp = Act::Clamp { min: -0.5, max: 1.5 };
    for (act, x, expected) in [
        (Act::Relu, 0.0, 0.0),
        (Act::Relu, -0.0, 0.0),
        (Act::Relu6, 0.0, 0.0),
        (Act::Relu6, 6.0, 0.0),
        (clamp, -0.5, 1.0),
        (clamp, 1.5, 1.0),
        (clamp, 1.6, 0.0),
        (Act::LeakyRelu { slope: 0.1 }, 0.0, 0.1),
        (Act::PRelu(&SLOPES), 0.0, 0.25),
        (Act::HardSwish, -3.0, 0.0),
        (Act::HardSwish, 3.0, 1.0),
        (Act::HardSwish, 0.0, 0.5),
    ] {
        assert_eq!(act.derivative(x, 0), expected, "{act:?} at {x}");
    }
}

#[test]
fn nan_propagates() {
    for act in all() {
        assert!(act.value(f64::NAN, 0).is_nan(), "{act:?}");
    }
}

#[test]
fn f32_agrees_with_f64() {
    for act in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Tanh, Activation::Sigmoid] {
        for x in (-60..60).map(|i| 0.125 * i as f32) {
            let narrow = Activation::<f32>::value(&act, x, 0);
            let wide = match act {
                Activation::Silu => Act::Silu,
                Activation::Gelu => Act::Gelu,
                Activation::GeluTanh => Act::GeluTanh,
                Activation::Tanh => Act::Tanh,
                _ => Act::Sigmoid,
            }
            .value(f64::from(x), 0);
            assert!((f64::from(narrow) - wide).abs() < 1e-6, "{act:?} of {x}: {narrow} against {wide}");
        }
    }
}

#[test]
fn prelu_goes_by_channel() {
    let x = Array4::new([1, 1, 3, 2], vec![-1., -1., 2., 3., -4., 0.]);
    let dy = Array4::new([1, 1, 3, 2], vec![1., 10., 100., 1000., 10000., 100000.]);
    let act = Act::PRelu(&SLOPES);
    assert_eq!(activate(&x, &act).data, [-0.25, 2., 2., 3., -1., 0.]);
    assert_eq!(activate_backward(&x, &dy, &act).data, [0.25, -20., 100., 1000., 2500., -200000.]);
    assert_eq!(prelu_slope_backward(&x, &dy), [-40001., -10.]);
}

#[test]
fn batch_norm_by_hand() {
    let x = Array4::new([1, 1, 2, 2], vec![1.0f32, 10., 3., 20.]);
    let y = batch_norm(&x, &[2., 1.], &[0.5, 0.], &[2., 10.], &[3., 24.], 1.0);
    assert_eq!(y.data, [-0.5, 0., 1.5, 2.]);
}
