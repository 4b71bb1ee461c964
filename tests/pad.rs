//! Zero padding against the oracle, in every layout.

mod common;

use common::*;
use gemmule::{Error, Level, Run, zero_pad};
use gemmule_reference as reference;

fn every_layout<T: Number>(random: &mut Random) {
    for shape in [[1, 1, 1, 1], [2, 3, 4, 1], [2, 5, 3, 17], [1, 4, 6, 40], [0, 2, 2, 3], [2, 0, 2, 3], [1, 2, 2, 0]] {
        let pad: [[usize; 2]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| random.below(4)));
        let x = random.integers::<T>(shape, 9);
        let expected = reference::zero_pad(&x, pad);
        for (from, to) in LAYOUTS.into_iter().flat_map(|from| LAYOUTS.map(|to| (from, to))) {
            let (x, mut y) = (Held::new(&x, from, T::NAN), output(expected.shape, to));
            zero_pad(x.view(), pad, y.view_mut(), Run::new()).unwrap();
            assert_same(&y, &expected, &(shape, pad, from, to));
        }
    }
}

#[test]
fn every_layout_f32() {
    (0..4).for_each(|seed| every_layout::<f32>(&mut Random(seed)));
}

#[test]
fn every_layout_f64() {
    (0..4).for_each(|seed| every_layout::<f64>(&mut Random(seed)));
}

#[test]
fn every_executor() {
    let x = Random(1).reals::<f32>([2, 40, 40, 33]);
    let (pad, expected) = ([[1, 2], [3, 4]], reference::zero_pad(&x, [[1, 2], [3, 4]]));
    let x = Held::new(&x, Layout::Nhwc, f32::NAN);
    on_all_executors(|executor, name| {
        let mut y = output(expected.shape, Layout::Nhwc);
        zero_pad(x.view(), pad, y.view_mut(), Run::new().executor(executor)).unwrap();
        assert_same(&y, &expected, &name);
    });
    if cfg!(any(feature = "std", feature = "simd")) {
        let mut y = output(expected.shape, Layout::Nhwc);
        let error = zero_pad(x.view(), pad, y.view_mut(), Run::new().executor(&Never)).unwrap_err();
        assert!(matches!(error, Error::Executor { done: 0, .. }), "{error}");
    }
}

#[test]
fn bad_input_is_refused_and_the_output_untouched() {
    let x = Held::new(&Random(1).reals::<f32>([1, 2, 3, 4]), Layout::Nhwc, 0.0);
    let mut y = output::<f32>([1, 3, 3, 4], Layout::Nhwc);
    let refused = |pad, y: &mut Held<f32>, run| zero_pad(x.view(), pad, y.view_mut(), run).unwrap_err();
    let shape = Error::Shape { argument: "y", expected: [1, 4, 3, 4], given: [1, 3, 3, 4] };
    assert_eq!(refused([[1, 1], [0, 0]], &mut y, Run::new()), shape);
    for pad in [[[usize::MAX, 0], [0, 0]], [[0, 0], [1, usize::MAX]]] {
        assert_eq!(refused(pad, &mut y, Run::new()), Error::Overflow { argument: "pad" });
    }
    if !Level::Avx512.is_available() {
        let error = refused([[1, 0], [0, 0]], &mut y, Run::new().level(Level::Avx512));
        assert!(matches!(error, Error::Level { .. }), "{error}");
    }
    assert!(y.data.iter().all(|y| y.is_nan()));
}
