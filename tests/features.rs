//! What a build contains is what its features say.
//!
//! A workspace member may switch features on that a command has switched off. So `GEMMULE_FEATURES` names those that a
//! test run is meant to have, separated by commas and perhaps none: `GEMMULE_FEATURES= cargo test -p gemmule
//! --no-default-features`. Where it is not set, the test that reads it has nothing to say.

mod common;

use common::*;
use gemmule::{Activation, Algorithm, Conv2d, Epilogue, Error, Level, Options, Run, Weights};

#[test]
fn the_features_are_those_that_were_meant() {
    let on = [("std", cfg!(feature = "std")), ("rayon", cfg!(feature = "rayon")), ("simd", cfg!(feature = "simd"))];
    let on: Vec<&str> = on.into_iter().filter(|&(_, on)| on).map(|(name, _)| name).collect();
    if let Ok(meant) = std::env::var("GEMMULE_FEATURES") {
        let mut meant: Vec<&str> = meant.split(',').filter(|name| !name.is_empty()).collect();
        meant.sort_unstable_by_key(|name| ["std", "rayon", "simd"].iter().position(|n| n == name));
        assert_eq!(on, meant);
    }
}

#[test]
fn levels_are_those_of_the_features() {
    let available: Vec<Level> = Level::available().collect();
    let emulated = emulated();
    assert_eq!(emulated.is_some(), cfg!(all(debug_assertions, feature = "simd")));
    let real: Vec<Level> = available.iter().copied().filter(|&level| Some(level) != emulated).collect();
    assert_eq!(&available[real.len()..], emulated.as_slice(), "the emulated one comes last");
    assert_eq!(real[0], Level::Scalar);
    assert_eq!(real.last(), Some(&Level::best()));
    if cfg!(feature = "simd") {
        assert_eq!(real[1], Level::Portable);
    } else {
        assert_eq!(real, [Level::Scalar]);
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            assert!(!level.is_available());
            let prepared = Conv2d::new(1, 1, [1, 1]).prepare_backward_weights::<f32>(&Options::new().level(level));
            assert_eq!(prepared.map(|_| ()), Err(Error::Level { asked: level, available: Level::Scalar }));
        }
    }
    #[cfg(all(feature = "simd", feature = "std", target_arch = "x86_64"))]
    {
        let avx2 = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
        assert_eq!(Level::Avx2.is_available(), avx2);
        assert_eq!(Level::Avx512.is_available(), std::arch::is_x86_feature_detected!("avx512f"));
    }
}

#[test]
fn matrixmultiply_is_there_with_simd() {
    let options = Options::new().level(Level::best()).algorithm(Algorithm::Matrixmultiply);
    let refused = Conv2d::new(2, 2, [1, 1]).prepare_backward_weights::<f32>(&options).is_err();
    assert_eq!(refused, !matches!(Level::best(), Level::Avx2 | Level::Avx512));
}

#[test]
fn the_bare_build_has_no_threads() {
    // A run that names no executor is on the calling thread, where rayon is not built in; and in a build without any
    // feature nobody else is asked at all.
    let conv = Conv2d::new(16, 16, [3, 3]).padding(1);
    let packed = conv.prepare(Weights::hwio(&[1.0f32; 9 * 256]), None, &Options::new()).unwrap();
    let x = Held::filled([1, 20, 20, 16], Layout::Nhwc, 1.0, f32::NAN);
    let mut y = output::<f32>([1, 20, 20, 16], Layout::Nhwc);
    let epilogue = Epilogue::new().activation(Activation::Relu);
    let run = packed.forward(x.view(), y.view_mut(), &epilogue, Run::new().executor(&Never));
    assert_eq!(run.is_ok(), cfg!(not(any(feature = "std", feature = "simd"))));
}
