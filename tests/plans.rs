//! Plans as values: which lowering, why, with which blocks, and why the others refuse.
//!
//! `plans.txt` holds what was decided for some layers on three machines. Where a plan changes on purpose,
//! `GEMMULE_WRITE_PLANS=1 cargo test --test plans` writes the file anew, and the change is read in the diff.

mod common;

use gemmule::{Accuracy, Algorithm, Conv2d, ConvTranspose2d, Error, Level, Machine, Options, Padding, Plan, Refusal};

const KIB: usize = 1 << 10;
const SCALAR: Machine =
    Machine { level: Level::Scalar, l1_bytes: 32 * KIB, l2_bytes: 256 * KIB, l3_bytes: 4096 * KIB, l3_line_cycles: 7 };
const AVX2: Machine =
    Machine { level: Level::Avx2, l1_bytes: 32 * KIB, l2_bytes: 512 * KIB, l3_bytes: 32 << 20, l3_line_cycles: 7 };
const AVX512: Machine =
    Machine { level: Level::Avx512, l1_bytes: 48 * KIB, l2_bytes: 2 << 20, l3_bytes: 32 << 20, l3_line_cycles: 7 };
const MACHINES: [Machine; 3] = [SCALAR, AVX2, AVX512];

fn plan(conv: Conv2d, options: Options, machine: &Machine) -> Plan {
    conv.plan::<f32>(&options, machine).unwrap()
}

/// A layer's name, and its plan on a machine.
type Planned = (&'static str, fn(&Machine) -> Plan);

/// Layers of the networks that people run, and options that change a plan.
fn planned() -> Vec<Planned> {
    vec![
        ("resnet stem 7x7 s2 3->64", |m| plan(Conv2d::new(3, 64, [7, 7]).stride([2, 2]).padding(3), Options::new(), m)),
        ("resnet 3x3 64->64", |m| plan(Conv2d::new(64, 64, [3, 3]).padding(1), Options::new(), m)),
        ("resnet 3x3 s2 128->128", |m| {
            plan(Conv2d::new(128, 128, [3, 3]).stride([2, 2]).padding(1), Options::new(), m)
        }),
        ("resnet 1x1 256->64", |m| plan(Conv2d::new(256, 64, [1, 1]), Options::new(), m)),
        ("resnet 1x1 s2 512->1024", |m| plan(Conv2d::new(512, 1024, [1, 1]).stride([2, 2]), Options::new(), m)),
        ("mobilenet 3x3 144 depthwise", |m| {
            plan(Conv2d::new(144, 144, [3, 3]).padding(1).groups(144), Options::new(), m)
        }),
        ("two outputs a channel", |m| plan(Conv2d::new(32, 64, [3, 3]).padding(1).groups(32), Options::new(), m)),
        ("resnext 3x3 128->128 in 32 groups", |m| {
            plan(Conv2d::new(128, 128, [3, 3]).padding(1).groups(32), Options::new(), m)
        }),
        ("inception 1x7 160->192", |m| plan(Conv2d::new(160, 192, [1, 7]).padding([0, 3]), Options::new(), m)),
        ("3x3 dilated 256->256", |m| {
            plan(Conv2d::new(256, 256, [3, 3]).dilation([2, 2]).padding(Padding::SameUpper), Options::new(), m)
        }),
        ("1x1 padded", |m| plan(Conv2d::new(8, 8, [1, 1]).padding(1), Options::new(), m)),
        ("one channel to one", |m| plan(Conv2d::new(1, 1, [5, 5]), Options::new(), m)),
        ("exact", |m| plan(Conv2d::new(64, 64, [3, 3]).padding(1), Options::new().accuracy(Accuracy::Exact), m)),
        ("forced im2col", |m| plan(Conv2d::new(64, 64, [1, 1]), Options::new().algorithm(Algorithm::Im2col), m)),
        ("3x3 at a forced level", |m| plan(Conv2d::new(64, 64, [3, 3]), Options::new().level(Level::Scalar), m)),
        ("f64 3x3 64->64", |m| Conv2d::new(64, 64, [3, 3]).padding(1).plan::<f64>(&Options::new(), m).unwrap()),
        ("dx of 3x3 s2 64->128", |m| {
            let conv = Conv2d::new(64, 128, [3, 3]).stride([2, 2]).padding(1);
            conv.plan_backward_input::<f32>(&Options::new(), m).unwrap()
        }),
        ("dx of a depthwise layer", |m| {
            let conv = Conv2d::new(96, 96, [3, 3]).padding(1).groups(96);
            conv.plan_backward_input::<f32>(&Options::new(), m).unwrap()
        }),
        ("transposed 4x4 s2 256->128", |m| {
            let conv = ConvTranspose2d::new(256, 128, [4, 4]).stride([2, 2]).padding(1);
            conv.plan::<f32>(&Options::new(), m).unwrap()
        }),
        ("transposed 1x1", |m| ConvTranspose2d::new(16, 24, [1, 1]).plan::<f32>(&Options::new(), m).unwrap()),
    ]
}

/// What each plan says, and what it needs.
#[cfg(feature = "simd")]
fn snapshot() -> String {
    let mut lines = String::new();
    for (name, plan) in planned() {
        for machine in MACHINES {
            let plan = plan(&machine);
            let (weights, scratch) = (plan.weight_bytes(), plan.workspace_bytes(1));
            lines +=
                &format!("{name} on {}: {plan}; {weights} bytes of weights, {scratch} of scratch\n", machine.level);
        }
    }
    lines
}

/// Without the feature `simd` there is no `matrixmultiply` to be considered; the rest is the same.
#[test]
#[cfg(feature = "simd")]
fn plans_are_those_of_the_snapshot() {
    let got = snapshot();
    if std::env::var_os("GEMMULE_WRITE_PLANS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans.txt"), &got).unwrap();
        return;
    }
    let expected = include_str!("plans.txt").replace('\r', "");
    for (got, expected) in got.lines().zip(expected.lines()) {
        assert_eq!(got, expected);
    }
    assert_eq!(got.lines().count(), expected.lines().count());
}

#[test]
fn equal_questions_get_equal_plans() {
    for (name, plan) in planned() {
        for machine in MACHINES {
            assert_eq!(plan(&machine), plan(&machine), "{name}");
            assert_eq!(plan(&machine).candidates(), plan(&machine).candidates(), "{name}");
        }
        assert_ne!(plan(&AVX2), plan(&AVX512), "{name}");
    }
}

#[test]
fn a_plan_does_not_depend_on_the_threads() {
    let conv = Conv2d::new(64, 96, [3, 3]).padding(1);
    let weights = vec![0.5f32; 9 * 64 * 96];
    let here = |_: usize| {
        let packed = conv.prepare(gemmule::Weights::hwio(&weights), None, &Options::new()).unwrap();
        assert_eq!(*packed.plan(), plan(conv, Options::new(), &Machine::detect()));
        *packed.plan()
    };
    let expected = here(0);
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| here(threads)), expected);
    }
}

#[test]
fn a_plan_does_not_depend_on_the_batch() {
    for machine in MACHINES {
        let conv = Conv2d::new(64, 96, [3, 3]).padding(1);
        let of = |n| plan(conv, Options::new().input([n, 56, 56]), &machine);
        assert_eq!((of(1).algorithm(), of(1).workspace_len(3)), (of(32).algorithm(), of(32).workspace_len(3)));
    }
}

/// Each algorithm that is forced and refuses, with its rule.
#[test]
fn refusals_give_their_reasons() {
    let forced = |algorithm| Options::new().algorithm(algorithm);
    let refuse = |conv: Conv2d, options: Options, machine: &Machine, asked, refusal, says: &str| {
        let error = conv.plan::<f32>(&options, machine).unwrap_err();
        assert_eq!(error, Error::Algorithm { asked, refusal });
        let message = format!("algorithm: expected one that accepts, got {asked}, which refuses: {says}");
        assert_eq!(error.to_string(), message);
        // Where nothing is forced, the candidate still says so.
        if options != Options::new().max_weight_bytes(10) {
            let plan = conv.plan::<f32>(&Options::new(), machine).unwrap();
            let candidate = plan.candidates().iter().find(|candidate| candidate.algorithm == asked).unwrap();
            assert_eq!(candidate.verdict, Err(refusal));
            assert!(plan.to_string().contains(&format!("{asked}: refused, {says}")), "{plan}");
        }
    };
    let pointwise = forced(Algorithm::Pointwise);
    let kernel = Refusal::Kernel { given: [3, 1], wanted: [1, 1] };
    refuse(Conv2d::new(8, 8, [3, 1]), pointwise, &AVX2, Algorithm::Pointwise, kernel, "kernel 3x1 is not 1x1");
    let padded = Conv2d::new(8, 8, [1, 1]).padding([[0, 1], [0, 0]]);
    refuse(padded, pointwise, &AVX512, Algorithm::Pointwise, Refusal::Padding, "padding is not zero");
    let (depthwise, given) = (forced(Algorithm::Depthwise), Refusal::ChannelsPerGroup { given: 4, wanted: 1 });
    let grouped = Conv2d::new(8, 16, [3, 3]).groups(2);
    refuse(grouped, depthwise, &AVX2, Algorithm::Depthwise, given, &given.to_string());
    let level = Refusal::Level { given: Level::Scalar };
    let matrixmultiply = forced(Algorithm::Matrixmultiply);
    let says = "level scalar is neither avx2 nor avx512";
    refuse(Conv2d::new(8, 8, [3, 3]), matrixmultiply, &SCALAR, Algorithm::Matrixmultiply, level, says);

    let transposed = ConvTranspose2d::new(8, 8, [1, 1]).plan::<f32>(&pointwise, &AVX2).unwrap_err();
    assert_eq!(transposed, Error::Algorithm { asked: Algorithm::Pointwise, refusal: Refusal::Transposed });
    assert_eq!(Refusal::Transposed.to_string(), "the transposed pass is not the forward pass");

    // A bound on the packed weights, 3 * 3 * 8 * 16 of them at least.
    let error = plan_error(Conv2d::new(8, 16, [3, 3]), forced(Algorithm::Im2col).max_weight_bytes(4607), &AVX2);
    let refusal = Refusal::WeightBytes { given: 4608, wanted: 4607 };
    assert_eq!(error, Error::Algorithm { asked: Algorithm::Im2col, refusal });
    assert_eq!(refusal.to_string(), "4608 bytes of weights are more than 4607");
    assert!(Conv2d::new(8, 16, [3, 3]).plan::<f32>(&Options::new().max_weight_bytes(4608), &AVX2).is_ok());
}

fn plan_error(conv: Conv2d, options: Options, machine: &Machine) -> Error {
    conv.plan::<f32>(&options, machine).unwrap_err()
}

#[test]
fn the_count_of_channels_in_a_refusal_is_that_of_the_inputs() {
    // Four inputs a group and eight outputs: it is the inputs that keep a sum over channels from being left out.
    let refusal = Refusal::ChannelsPerGroup { given: 4, wanted: 1 };
    let error = plan_error(Conv2d::new(8, 16, [3, 3]).groups(2), Options::new().algorithm(Algorithm::Depthwise), &AVX2);
    assert_eq!(error, Error::Algorithm { asked: Algorithm::Depthwise, refusal });
    assert!(error.to_string().contains("input channels"), "{error}");
}
