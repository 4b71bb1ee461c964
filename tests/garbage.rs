//! No public call panics, whatever it is given: random parameters, among them the most extreme ones. What an unchecked
//! sum or product would do to them, the overflow checks of a test build turn into a panic.

mod common;

use common::conv::cases;
use common::emulated;
use gemmule::{
    Activation, Algorithm, AvgPool2d, BatchNorm, Conv2d, ConvTranspose2d, Epilogue, Level, Machine, MaxPool2d, Options,
    Padding, Run, Tensor, Ties, View, ViewMut, Weights, WeightsMut, Workspace, Write, conv_backward_bias, once,
    prelu_backward_slope, zero_pad,
};
use proptest::prelude::*;

/// Sizes, strides and lengths. Between the small ones and the huge ones nothing: an allocation of a few gigabytes would
/// succeed, and take its time.
fn number() -> impl Strategy<Value = usize> + Clone {
    let huge = [1 << 46, 1 << 60, usize::MAX / 16, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX];
    prop_oneof![8 => 0..=3usize, 2 => Just(7), 3 => proptest::sample::select(huge.to_vec())]
}

/// The same, mostly such that something can be run.
fn small() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![30 => 1..=4usize, 1 => Just(0), 2 => number()]
}

fn side() -> impl Strategy<Value = isize> + Clone {
    let huge = [isize::MIN, isize::MIN + 1, -(1 << 60), 1 << 46, isize::MAX / 8, isize::MAX - 1, isize::MAX];
    prop_oneof![16 => -2..=3isize, 1 => proptest::sample::select(huge.to_vec())]
}

fn padding() -> impl Strategy<Value = Padding> {
    prop_oneof![
        1 => Just(Padding::Valid),
        1 => Just(Padding::SameUpper),
        1 => Just(Padding::SameLower),
        4 => [[side(), side()], [side(), side()]].prop_map(Padding::Explicit),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let algorithms = vec![
        Algorithm::Auto,
        Algorithm::Auto,
        Algorithm::Pointwise,
        Algorithm::Implicit,
        Algorithm::Band,
        Algorithm::Im2col,
        Algorithm::Depthwise,
        Algorithm::Matrixmultiply,
    ];
    let mut levels = vec![Level::Scalar, Level::Portable, Level::Avx2, Level::Avx512];
    levels.extend(emulated());
    let algorithm = proptest::sample::select(algorithms);
    let level = proptest::option::of(proptest::sample::select(levels));
    (algorithm, level, [number(), number(), number()], proptest::option::weighted(0.1, number())).prop_map(
        |(algorithm, level, input, bytes)| {
            let mut options = Options::new().algorithm(algorithm).input(input);
            if let Some(level) = level {
                options = options.level(level);
            }
            bytes.map_or(options, |bytes| options.max_weight_bytes(bytes))
        },
    )
}

type Four = [usize; 4];

fn four(n: impl Strategy<Value = usize> + Clone) -> impl Strategy<Value = Four> {
    [n.clone(), n.clone(), n.clone(), n]
}

/// Channels, kernel, stride, dilation, padding, groups.
type Description = ([usize; 2], [usize; 2], [usize; 2], [usize; 2], Padding, usize);

fn description() -> impl Strategy<Value = Description> {
    let pair = || [small(), small()];
    (pair(), pair(), pair(), pair(), padding(), prop_oneof![5 => Just(1), 1 => small()])
}

fn conv(([i, o], kernel, stride, dilation, padding, groups): Description) -> Conv2d {
    Conv2d::new(i, o, kernel).stride(stride).dilation(dilation).padding(padding).groups(groups)
}

fn transpose(([i, o], kernel, stride, dilation, padding, groups): Description) -> ConvTranspose2d {
    ConvTranspose2d::new(i, o, kernel).stride(stride).dilation(dilation).padding(padding).groups(groups)
}

/// A view of any shape in `data`: dense, or with the given strides. Views that would repeat their elements for ages are
/// left out.
fn view(data: &[f32], shape: Four, strides: Option<Four>) -> Option<View<'_, f32>> {
    let view = strides.map_or_else(|| View::nhwc(data, shape), |strides| View::new(data, shape, strides)).ok()?;
    let size = shape.iter().fold(1, |size: usize, &d| size.saturating_mul(d));
    (size < 1 << 20).then_some(view)
}

fn view_mut(data: &mut [f32], shape: Four) -> Option<ViewMut<'_, f32>> {
    ViewMut::nhwc(data, shape).ok()
}

const LEN: usize = 4000;

/// A run that is lent so much memory, or none.
fn run(memory: &mut [f32], scratch: Option<usize>) -> Run<'_, f32> {
    scratch.map_or(Run::new(), |len| Run::new().scratch(&mut memory[..len]))
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn views(shape in four(number()), strides in four(number()), range in [number(), number()], len in 0..40usize) {
        let mut data = vec![0.0f32; len];
        let (start, end) = (range[0], range[1]);
        for view in [View::nhwc(&data, shape), View::nchw(&data, shape), View::new(&data, shape, strides)].into_iter().flatten() {
            let _ = (view.get(strides), view.get([0; 4]), view.shape(), view.strides());
            if let Ok(part) = view.channels(start..end) {
                let _ = (part.get([0; 4]), part.get(strides), part.channels(0..start.min(1)));
            }
            if shape.iter().all(|&d| d < 9) {
                Tensor::from_view(view).unwrap();
            }
        }
        for kind in 0..3 {
            let view = match kind {
                0 => ViewMut::nhwc(&mut data, shape),
                1 => ViewMut::nchw(&mut data, shape),
                _ => ViewMut::new(&mut data, shape, strides),
            };
            if let Ok(mut view) = view {
                let _ = view.reborrow().channels(start..end).map(|part| part.as_view().get([0; 4]).copied());
            }
        }
    }

    #[test]
    fn tensors(shape in four(number())) {
        // Of a type without a size, too: then there is nothing to allocate, but for the counts.
        let small = shape.iter().fold(1, |size: usize, &d| size.saturating_mul(d)) < 1 << 20;
        let made = [Tensor::<f32>::zeros(shape).is_ok(), Tensor::<f64>::zeros(shape).is_ok(), Tensor::filled(shape, [0u8; 100]).is_ok()];
        prop_assert!(made == [small; 3] || shape.contains(&0), "{made:?}");
        if small && !shape.contains(&0) {
            Tensor::filled(shape, ()).unwrap().try_clone().unwrap();
        }
        let _ = Workspace::<f64>::new().reserve(shape[0]);
        let _ = Workspace::<()>::new().reserve(shape[0].min(7));
    }

    #[test]
    fn descriptions(d in description(), x in four(number()), options in options(), more in [number(), number()], sizes in four(number())) {
        let (conv, transpose) = (conv(d), transpose(d).output_padding(more));
        let _ = (conv.output_shape(x), conv.output_shape([x[0], x[1], x[2], conv.in_channels()]), conv.weight_shape());
        let _ = (transpose.output_shape(x), transpose.output_shape([x[0], x[1], x[2], d.0[0]]), transpose.weight_shape());
        let machine = Machine { level: Level::Avx512, l1_bytes: sizes[0], l2_bytes: sizes[1], l3_bytes: sizes[2], l3_line_cycles: sizes[0] };
        for machine in [machine, Machine { level: Level::Scalar, ..machine }] {
            let plans = [
                conv.plan::<f32>(&options, &machine),
                conv.plan::<f64>(&options, &machine),
                conv.plan_backward_input::<f32>(&options, &machine),
                transpose.plan::<f64>(&options, &machine),
            ];
            for plan in plans.into_iter().flatten() {
                let _ = (plan.to_string(), plan.weight_bytes(), plan.workspace_len(sizes[3]), plan.workspace_bytes(sizes[3]));
                assert_ne!(plan.algorithm(), Algorithm::Auto);
            }
        }
        if let Ok(prepared) = conv.prepare_backward_weights::<f32>(&options) {
            let _ = prepared.workspace_len(sizes[3]);
        }
    }

    #[test]
    fn preparing(d in description(), options in options(), strides in four(number()), len in 0..200usize) {
        let (w, bias) = (vec![1.0f32; LEN], vec![1.0f32; len]);
        let (conv, transpose) = (conv(d), transpose(d));
        let exact = conv.weight_shape().map_or(len, |shape| shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d)));
        let w = &w[..exact.min(LEN)];
        let weights = [Weights::hwio(w), Weights::oihw(w), Weights::iohw(w), Weights::strided(w, strides), Weights::strided(w, [0; 4])];
        for weights in weights {
            for bias in [None, Some(&bias[..]), Some(&[1.0][..])] {
                if let Ok(mut packed) = conv.prepare(weights, bias, &options) {
                    packed.repack(weights, bias).unwrap();
                    let _ = packed.repack(Weights::strided(w, strides), None);
                }
                let _ = transpose.prepare(weights, bias, &options);
            }
            let _ = conv.prepare_backward_input(weights, &options);
        }
    }

    #[test]
    fn running(d in description(), x in four(small()), y in four(small()), strides in four(number()), options in options(), fit in any::<[bool; 3]>(), scratch in proptest::option::of(0..50_000usize)) {
        let (data, mut out, mut memory) = (vec![1.0f32; LEN], vec![0.0f32; LEN], vec![0.0f32; 50_000]);
        let conv = conv(d);
        let x = if fit[0] { [x[0], x[1], x[2], conv.in_channels()] } else { x };
        let shape = conv.output_shape(x).unwrap_or(y);
        let strides = (!fit[2]).then_some(strides);
        let exact = conv.weight_shape().map_or(0, |shape| shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d)));
        let w = &data[..exact.min(LEN)];
        if let (Ok(packed), Some(x)) = (conv.prepare(Weights::hwio(w), None, &options), view(&data, x, strides)) {
            let epilogue = Epilogue::new().activation(Activation::PRelu(&data[..shape[3].min(LEN)]));
            for shape in [shape, y] {
                let mut epilogue = epilogue;
                if let Some(residual) = view(&data, shape, strides) {
                    epilogue = epilogue.residual(residual);
                }
                if let Some(y) = view_mut(&mut out, shape) {
                    let _ = packed.forward(x, y, &epilogue, run(&mut memory, scratch));
                }
            }
        }
        for dy_shape in [shape, y] {
            let Some(dy) = view(&data, dy_shape, strides) else { continue };
            if let (Ok(packed), Some(dx)) = (conv.prepare_backward_input(Weights::hwio(w), &options), view_mut(&mut out, x)) {
                let _ = packed.backward(dy, dx, Write::Accumulate, run(&mut memory, scratch));
            }
            if let (Ok(prepared), Some(x)) = (conv.prepare_backward_weights(&options), view(&data, x, None)) {
                let _ = prepared.backward(x, dy, WeightsMut::hwio(&mut out[..exact.min(LEN)]), Write::Replace, run(&mut memory, scratch));
            }
            let _ = conv_backward_bias(dy, &mut out[..dy_shape[3].min(LEN)], Write::Replace, run(&mut memory, scratch));
        }
    }

    #[test]
    fn running_transposed(d in description(), x in four(small()), options in options(), more in [small(), small()], fit: bool) {
        let (data, mut out) = (vec![1.0f32; LEN], vec![0.0f32; 60_000]);
        let conv = transpose(d).output_padding(more);
        let x = if fit { [x[0], x[1], x[2], d.0[0]] } else { x };
        let (Ok(shape), Ok(w)) = (conv.output_shape(x), conv.weight_shape()) else { return Ok(()) };
        let exact = w.iter().fold(1, |n: usize, &d| n.saturating_mul(d));
        let Ok(packed) = conv.prepare(Weights::hwio(&data[..exact.min(LEN)]), None, &options) else { return Ok(()) };
        if let (Some(x), Some(y)) = (view(&data, x, None), view_mut(&mut out, shape)) {
            let _ = packed.forward(x, y, &Epilogue::new(), Run::new());
        }
    }

    #[test]
    fn pools(
        window in [[small(), small()], [small(), small()], [small(), small()]],
        padding in padding(),
        output in proptest::option::weighted(0.2, [small(), small()]),
        flags in any::<[bool; 2]>(),
        x in four(small()),
        y in four(small()),
        strides in proptest::option::weighted(0.2, four(number())),
        index in prop_oneof![Just(0i64), Just(-1), -9..200i64, Just(i64::MIN), Just(i64::MAX)],
        scratch in proptest::option::weighted(0.2, 0..9000usize),
    ) {
        let (data, mut out, mut memory, mut indices) = (vec![1.0f32; LEN], vec![0.0f32; LEN], vec![0.0f32; 9000], vec![index; LEN]);
        let [kernel, stride, dilation] = window;
        let max = output.map_or(MaxPool2d::new(kernel, stride), MaxPool2d::adaptive);
        let max = max.dilation(dilation).padding(padding).ceil_mode(flags[0]);
        let average = output.map_or(AvgPool2d::new(kernel, stride), AvgPool2d::adaptive);
        let average = average.dilation(dilation).padding(padding).ceil_mode(flags[0]).count_include_pad(flags[1]);
        prop_assert_eq!(max.output_shape(x), average.output_shape(x));
        let right = max.output_shape(x).unwrap_or(y);
        for y in [right, y] {
            let Some(from) = view(&data, x, strides) else { continue };
            let _ = once::max_pool2d_with_indices(&max, from);
            if let Some(to) = view_mut(&mut out, y) {
                let _ = max.forward(from, to, run(&mut memory, scratch));
            }
            if let Some(to) = view_mut(&mut out, y) {
                let _ = average.forward(from, to, run(&mut memory, scratch));
            }
            if let (Some(to), Ok(at)) = (view_mut(&mut out, y), ViewMut::nhwc(&mut indices, right)) {
                let _ = max.forward_with_indices(from, to, at, run(&mut memory, scratch));
            }
            let Some(dy) = view(&data, y, strides) else { continue };
            for ties in [Ties::All, Ties::First] {
                if let Some(dx) = view_mut(&mut out, x) {
                    let _ = max.backward(from, dy, dx, ties, Write::Accumulate, run(&mut memory, scratch));
                }
            }
            if let Some(dx) = view_mut(&mut out, x) {
                let _ = average.backward(dy, dx, Write::Replace, run(&mut memory, scratch));
            }
            indices.fill(index);
            if let (Some(dx), Ok(at)) = (view_mut(&mut out, x), View::nhwc(&indices, y)) {
                let _ = max.backward_from_indices(dy, at, dx, Write::Replace, run(&mut memory, scratch));
            }
        }
    }

    #[test]
    fn the_rest(x in four(small()), y in four(small()), strides in proptest::option::weighted(0.3, four(number())), pad in [[small(), small()], [small(), small()]], lengths in [small(), small()], value in prop_oneof![Just(0.0f32), Just(-1.0), Just(f32::NAN), Just(f32::INFINITY)]) {
        let (data, mut out) = (vec![value; LEN], vec![0.0f32; LEN]);
        let slopes = &data[..lengths[0].min(x[3]).min(LEN)];
        for shape in [x, y] {
            let Some(from) = view(&data, shape, strides) else { continue };
            for act in [Activation::Gelu, Activation::PRelu(slopes), Activation::Clamp { min: value, max: value }] {
                if let Some(to) = view_mut(&mut out, x) {
                    let _ = act.forward(from, to, Run::new());
                }
                if let (Some(dx), Some(dy)) = (view_mut(&mut out, x), view(&data, x, None)) {
                    let _ = act.backward(from, dy, dx, Write::Accumulate, Run::new());
                }
            }
            if let Some(dy) = view(&data, x, None) {
                let _ = prelu_backward_slope(from, dy, &mut out[..shape[3].min(LEN)], Write::Replace, Run::new());
            }
            if let Some(to) = view_mut(&mut out, y) {
                let _ = zero_pad(from, pad, to, Run::new());
            }
            let padded = shape[1..3].iter().zip(pad).all(|(n, [a, b])| n.saturating_add(a).saturating_add(b) < 1000 || a.max(b) > 1 << 45);
            if padded {
                let _ = once::zero_pad(from, pad);
            }
            let norm = BatchNorm { gamma: slopes, beta: slopes, mean: slopes, variance: slopes, epsilon: value };
            if let Some(w) = view_mut(&mut out, shape) {
                let _ = norm.fold(w, &mut vec![1.0; lengths[1].min(9)]);
            }
        }
    }
}

#[test]
fn names() {
    for name in ["", "auto", "Scalar", "scalar ", "avx2\0", "emulated", "\u{1f980}"] {
        let (level, algorithm) = (name.parse::<Level>(), name.parse::<Algorithm>());
        let _ =
            (level.map(|l| format!("{l:>9}")), level.map_err(|e| e.to_string()), algorithm.map_err(|e| e.to_string()));
    }
}

#[test]
fn huge_shapes_that_hold_nothing_are_done_at_once() {
    for n in [1 << 46, isize::MAX as usize / 8, usize::MAX] {
        for shape in [[n, 1, 0, 4], [n, 0, 1, 4], [1, n, 0, 4], [0, n, 1, 4], [n, 1, 1, 0]] {
            let dy = View::<f32>::new(&[], shape, [0; 4]).unwrap();
            let mut db = vec![f32::NAN; shape[3]];
            conv_backward_bias(dy, &mut db, Write::Replace, Run::new()).unwrap();
            assert!(db.iter().all(|&db| db == 0.0));
            let mut dslope = vec![f32::NAN; shape[3]];
            prelu_backward_slope(dy, dy, &mut dslope, Write::Replace, Run::new()).unwrap();
            assert!(dslope.iter().all(|&d| d == 0.0));
            let y = ViewMut::new(&mut [], shape, [0; 4]).unwrap();
            Activation::Silu.forward(dy, y, Run::new()).unwrap();
            let y = ViewMut::new(&mut [], shape, [0; 4]).unwrap();
            zero_pad(dy, [[0; 2]; 2], y, Run::new()).unwrap();
            let [one, mut bias] = [1.0, 2.0].map(|x| vec![x; shape[3]]);
            let norm = BatchNorm { gamma: &one, beta: &one, mean: &one, variance: &one, epsilon: 0.0 };
            norm.fold(ViewMut::new(&mut [], shape, [0; 4]).unwrap(), &mut bias).unwrap();
            assert!(bias.iter().all(|&bias| bias == 2.0));
        }
        let pool = MaxPool2d::new([1, 1], [1, 1]);
        let (dy, indices) =
            (View::<f32>::new(&[], [n, 1, 1, 0], [0; 4]).unwrap(), View::new(&[], [n, 1, 1, 0], [0; 4]).unwrap());
        let dx = ViewMut::new(&mut [], [n, 1, 1, 0], [0; 4]).unwrap();
        pool.backward_from_indices(dy, indices, dx, Write::Replace, Run::new()).unwrap();
        // Images without a row, in a batch that no output could hold.
        let conv = Conv2d::new(4, 4, [1, 1]).padding(1);
        let packed = conv.prepare(Weights::hwio(&[1.0f32; 16]), None, &Options::new()).unwrap();
        let x = View::new(&[], [n, 0, 0, 4], [0; 4]).unwrap();
        let y = ViewMut::new(&mut [], [0, 2, 2, 4], [0; 4]).unwrap();
        packed.forward(x, y, &Epilogue::new(), Run::new()).unwrap_err();
    }
}
