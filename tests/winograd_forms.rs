//! Which transforms there are, how one is forced, and which ones the default accuracy may pick.

use gemmule::testing::ErrorBound;
use gemmule::{Accuracy, Algorithm, Conv2d, Error, Machine, Options, Refusal};

#[test]
fn a_transform_is_forced_or_refused_with_its_reason() {
    let conv = Conv2d::new(64, 64, [3, 3]);
    let options = Options::new().algorithm(Algorithm::Winograd).accuracy(Accuracy::Relaxed);
    let plan = |options: Options| conv.plan::<f32>(&options, &Machine::detect());
    for outputs in [[2, 2], [4, 2], [2, 4], [4, 4], [6, 6]] {
        assert_eq!(ErrorBound::new(&plan(options.transform(outputs)).unwrap()).unwrap().outputs(), outputs);
    }
    let refusal = Refusal::Transform { outputs: Some([5, 4]), taps: [3, 3] };
    let error = plan(options.transform([5, 4])).unwrap_err();
    assert_eq!(error, Error::Algorithm { asked: Algorithm::Winograd, refusal });
    assert_eq!(refusal.to_string(), "there is no transform of 3x3 taps with tiles of 5x4 outputs");
    let large = Conv2d::new(64, 64, [9, 9]).plan::<f32>(&options, &Machine::detect()).unwrap_err();
    let refusal = Refusal::Transform { outputs: None, taps: [9, 9] };
    assert_eq!(large, Error::Algorithm { asked: Algorithm::Winograd, refusal });
    assert_eq!(refusal.to_string(), "there is no transform of 9x9 taps");
    // A form that there is, but which is not as exact as is wanted.
    let refusal = Refusal::Accuracy { given: Accuracy::Default };
    let error = plan(options.accuracy(Accuracy::Default).transform([6, 6])).unwrap_err();
    assert_eq!(error, Error::Algorithm { asked: Algorithm::Winograd, refusal });
    assert!(plan(options.accuracy(Accuracy::Exact).transform([4, 4])).is_err());
}

/// What the default accuracy may pick.
#[test]
fn the_default_accuracy_has_its_forms() {
    let accepts = |kernel: [usize; 2], outputs: [usize; 2]| {
        let options = Options::new().algorithm(Algorithm::Winograd).transform(outputs);
        Conv2d::new(64, 64, kernel).plan::<f32>(&options, &Machine::detect()).is_ok()
    };
    for (kernel, outputs) in [
        ([3, 3], [2, 2]),
        ([3, 3], [4, 4]),
        ([1, 3], [1, 4]),
        ([5, 5], [4, 4]),
        ([5, 5], [3, 3]),
        ([1, 7], [1, 4]),
        ([7, 1], [3, 1]),
        ([4, 4], [4, 4]),
        ([2, 2], [4, 4]),
        ([2, 2], [2, 2]),
    ] {
        assert!(accepts(kernel, outputs), "{kernel:?} {outputs:?}");
    }
    for (kernel, outputs) in [([3, 3], [6, 6]), ([7, 7], [4, 4]), ([7, 7], [3, 3])] {
        assert!(!accepts(kernel, outputs), "{kernel:?} {outputs:?}");
    }
}
