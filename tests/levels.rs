//! A forced level is the level that runs, and a workspace does not grow with the image.
//!
//! The counts of what was dispatched are the whole process's, so one test reads them all.

mod common;

use common::kernels::{Form, Setting};
use common::*;
use gemmule::testing::dispatched;
use gemmule::{
    Conv2d, ConvTranspose2d, Epilogue, Error, Machine, MaxPool2d, Options, Run, Serial, Ties, Weights, Workspace, Write,
};

const NAMES: [&str; 5] = ["scalar", "portable", "avx2", "avx512", "emulated"];

fn counts() -> [usize; 5] {
    NAMES.map(|name| name.parse().map_or(0, dispatched)) // a release build knows no emulated level
}

fn only_the_forced_level_runs<T: Number>() {
    for level in levels() {
        for kernel in (Setting { level, shape: [1, 4, 5, 9], x: Form::Nhwc, y: Form::Nchw }).kernels::<T>() {
            let before = counts();
            kernel.output(Run::new().executor(&Serial)).unwrap();
            for ((name, before), after) in NAMES.into_iter().zip(before).zip(counts()) {
                let ran = after > before;
                assert_eq!(
                    ran,
                    kernel.has_level && name == level.to_string(),
                    "{}: {after} - {before} at {name}",
                    kernel.name
                );
            }
        }
    }
}

/// Runs a layer on an image of `size * size` in NCHW, with a slice of exactly the workspace that the plan names, and
/// then with one element less.
fn runs_in_its_workspace(conv: &Conv2d, options: &Options, size: usize) -> usize {
    let [kh, kw, i, o] = conv.weight_shape().unwrap();
    let packed = conv.prepare(Weights::hwio(&vec![1.0f32; kh * kw * i * o]), None, options).unwrap();
    let x_shape = [1, size, size, conv.in_channels()];
    let y_shape = conv.output_shape(x_shape).unwrap();
    let x = Held::filled(x_shape, Layout::Nchw, 1.0, f32::NAN);
    for workers in [1, 3] {
        let len = packed.plan().workspace_len(workers);
        let mut y = output::<f32>(y_shape, Layout::Nchw);
        let threads = Threads(workers);
        let mut scratch = vec![f32::NAN; len];
        let run = Run::new().executor(&threads).scratch(&mut scratch);
        packed.forward(x.view(), y.view_mut(), &Epilogue::new(), run).unwrap();
        let got = y.array();
        assert_eq!(got[[0, size / 2, size / 2, 0]], (kh * kw * i) as f32);
        let mut y = output::<f32>(y_shape, Layout::Nchw);
        let run = Run::new().executor(&threads).scratch(&mut scratch[1..]);
        let refused = packed.forward(x.view(), y.view_mut(), &Epilogue::new(), run);
        // A small image may have fewer tiles than there are workers; a large one fills its workspace.
        if size > 64 && cfg!(any(feature = "std", feature = "simd")) {
            assert_eq!(refused, Err(Error::Workspace { expected: len, given: len - 1 }));
            assert!(y.data.iter().all(|y| y.is_nan()));
        }
    }
    packed.plan().workspace_len(1)
}

fn the_workspace_is_that_of_a_small_image() {
    let conv = Conv2d::new(3, 16, [3, 3]).padding(1);
    let options = Options::new();
    let len = runs_in_its_workspace(&conv, &options, 64);
    assert_eq!(runs_in_its_workspace(&conv, &options, 512), len);
    let len = runs_in_its_workspace(&Conv2d::new(8, 9, [1, 1]), &options, 64);
    assert_eq!(runs_in_its_workspace(&Conv2d::new(8, 9, [1, 1]), &options, 512), len);
    let depthwise = Conv2d::new(8, 8, [3, 3]).padding(1).groups(8);
    let len = runs_in_its_workspace(&depthwise, &options, 64);
    assert_eq!(runs_in_its_workspace(&depthwise, &options, 512), len);

    // A pool gathers a strip at a time, of as many elements as a second-level cache holds, however large the image.
    let pool = MaxPool2d::new([3, 3], [2, 2]).padding(1);
    for size in [64, 512] {
        let shape = [1, size, size, 24];
        let (x, mut y) =
            (Held::filled(shape, Layout::Nchw, 1.0f32, 0.0), output(pool.output_shape(shape).unwrap(), Layout::Nchw));
        let (mut dx, mut workspace) = (output(shape, Layout::Nchw), Workspace::new());
        pool.forward(x.view(), y.view_mut(), Run::new().executor(&Serial).workspace(&mut workspace)).unwrap();
        let run = Run::new().executor(&Serial).workspace(&mut workspace);
        pool.backward(x.view(), y.view(), dx.view_mut(), Ties::First, Write::Replace, run).unwrap();
        assert!(workspace.len() <= 1 << 16, "{} at {size}", workspace.len());
    }

    // And what a plan says before there is an image, whatever it is told of it.
    let machine = Machine::detect();
    let transpose = ConvTranspose2d::new(64, 32, [4, 4]).stride([2, 2]).padding(1);
    for workers in [1, 2, 8] {
        let of = |size| {
            let options = Options::new().input([1, size, size]);
            let plans = [
                conv.plan::<f32>(&options, &machine),
                depthwise.plan::<f32>(&options, &machine),
                conv.plan_backward_input::<f32>(&options, &machine),
                transpose.plan::<f32>(&options, &machine),
            ];
            let dw = conv.prepare_backward_weights::<f32>(&options).unwrap().workspace_len(workers);
            (plans.map(|plan| plan.unwrap().workspace_len(workers)), dw)
        };
        assert_eq!(of(64), of(4096));
        assert!(of(64).0.iter().all(|len| len % workers == 0 && len * 4 <= workers * machine.l2_bytes.max(1 << 20)));
    }
}

#[test]
fn levels_and_workspaces() {
    only_the_forced_level_runs::<f32>();
    only_the_forced_level_runs::<f64>();
    the_workspace_is_that_of_a_small_image();
}
