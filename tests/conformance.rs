//! The collections of cases in this folder, at every level, in both layouts, by every algorithm, on threads.

#[path = "../examples/conformance/runner/mod.rs"]
mod runner;

use gemmule::{Accuracy, Algorithm, Conv2d, Level, Machine, Options};
use runner::{Folder, Layout, Outcome, Settings, Tally, Threads};
use std::path::Path;

const COLLECTIONS: [&str; 3] = ["tests/conformance", "tests/golden/numpy", "tests/golden/torch"];
const LAYOUTS: [Layout; 2] = [Layout::Nhwc, Layout::Nchw];

fn collections() -> Vec<Folder> {
    let read = |path| Folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    COLLECTIONS.map(|path| read(path).unwrap_or_else(|error| panic!("{error:#}"))).into()
}

/// Runs all collections; no case may fail.
fn check(folders: &[Folder], settings: &Settings) -> Tally {
    let mut tally = Tally::default();
    let mut failures = String::new();
    for folder in folders {
        for (name, outcome) in runner::outcomes(folder, settings) {
            tally.count(&outcome);
            if let Outcome::Failed(what) = outcome {
                failures += &format!("\n{name}: {what}");
            }
        }
    }
    assert_eq!(tally.failed, 0, "{settings:?}: {tally}{failures}");
    tally
}

/// Nor may one be unsupported.
fn check_all(folders: &[Folder], settings: &Settings) {
    let tally = check(folders, settings);
    assert_eq!(tally.unsupported, 0, "{settings:?}: {tally}");
    assert_eq!(tally.passed, 84 + 109 + 124);
}

#[test]
fn every_level_in_both_layouts() {
    let folders = collections();
    for level in Level::available() {
        for layout in LAYOUTS {
            check_all(&folders, &Settings { level: Some(level), layout, ..Settings::default() });
        }
    }
}

#[test]
fn every_accuracy() {
    let folders = collections();
    for accuracy in [Accuracy::Exact, Accuracy::Default, Accuracy::Relaxed] {
        check_all(&folders, &Settings { accuracy, ..Settings::default() });
    }
}

#[test]
fn any_number_of_threads() {
    let folders = collections();
    for threads in [1, 2, 8] {
        for layout in LAYOUTS {
            check_all(&folders, &Settings { threads: Some(Threads(threads)), layout, ..Settings::default() });
        }
    }
}

/// All lowerings that a plan considers.
fn algorithms() -> Vec<Algorithm> {
    let plan = Conv2d::new(1, 1, [1, 1]).plan::<f32>(&Options::new(), &Machine::detect()).unwrap();
    plan.candidates().iter().map(|candidate| candidate.algorithm).collect()
}

#[test]
fn every_algorithm_at_the_best_level() {
    let folders = collections();
    for algorithm in algorithms() {
        for layout in LAYOUTS {
            let tally = check(&folders, &Settings { algorithm, layout, ..Settings::default() });
            assert!(tally.passed > 0, "{algorithm}: {tally}");
        }
    }
    check_all(&folders, &Settings { algorithm: Algorithm::Im2col, ..Settings::default() });
    let pointwise = check(&folders, &Settings { algorithm: Algorithm::Pointwise, ..Settings::default() });
    assert!(pointwise.unsupported > 0, "a lowering for 1x1 kernels accepted them all");
}
