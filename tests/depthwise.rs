//! Depthwise layers, and groups of a few channels, across every edge of their blocks and tiles: forward, transposed and the gradient of the input, to the
//! bit on small integers.

mod common;

use common::conv::{HeldWeights, Layer, Numbers, Order, Sums, in_f64};
use common::*;
use gemmule::{Activation, Algorithm, Epilogue, Level, Options, Run, Serial, Write};
use gemmule_reference::{self as reference, Array4};

/// What a layer is run as.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pass {
    Forward,
    Transposed,
    InputGradient,
}

const PASSES: [Pass; 3] = [Pass::Forward, Pass::Transposed, Pass::InputGradient];

/// A layer, a pass, and how it is run.
#[derive(Clone, Debug)]
struct Case {
    layer: Layer,
    pass: Pass,
    level: Level,
    blocking: Option<[usize; 3]>,
    x: Layout,
    y: Layout,
}

/// Numbers of a case.
struct Data<T> {
    x: Array4<T>,
    w: Array4<T>,
    bias: Option<Vec<T>>,
}

impl Case {
    fn y_shape(&self) -> Option<[usize; 4]> {
        let layer = &self.layer;
        let shape = match self.pass {
            Pass::Forward => layer.y_shape(),
            Pass::InputGradient => layer.x_shape(),
            Pass::Transposed => {
                let [h, w] = [0, 1].map(|i| layer.window().transpose_out_size(layer.size[i], i, 0));
                [layer.batch, h, w, layer.outputs * layer.groups]
            }
        };
        // The gradient of an input with more than one output is a sum over them.
        if self.pass == Pass::InputGradient && layer.outputs > layer.inputs {
            return None;
        }
        (layer.y_shape().iter().chain(&shape).all(|&d| d > 0)).then_some(shape)
    }

    fn data<T: Number>(&self, numbers: Numbers) -> Data<T> {
        let (layer, random) = (&self.layer, &mut Random(self.layer.seed));
        let [kh, kw] = layer.kernel;
        let (x, w) = match self.pass {
            Pass::Forward => (layer.x_shape(), layer.w_shape()),
            Pass::Transposed => (layer.x_shape(), [kh, kw, layer.inputs * layer.groups, layer.outputs]),
            Pass::InputGradient => (layer.y_shape(), layer.w_shape()),
        };
        let has_bias = self.pass != Pass::InputGradient && random.below(2) == 0;
        let bias = has_bias.then(|| numbers.row(layer.outputs * layer.groups, random));
        Data { x: numbers.array(x, random), w: numbers.array(w, random), bias }
    }

    /// The true sums.
    fn sums<T: Number>(&self, data: &Data<T>) -> Sums {
        let layer = &self.layer;
        let terms = layer.kernel[0] * layer.kernel[1] * layer.outputs + 1;
        Sums::new(terms, |f| {
            let bias = data.bias.as_ref().map(|bias| bias.iter().map(|&b| f(reference::Real::to_f64(b))).collect());
            let bias: Option<Vec<f64>> = bias;
            let (x, w, window) = (in_f64(&data.x, f), in_f64(&data.w, f), layer.window());
            match self.pass {
                Pass::Forward => reference::conv_forward(&x, &w, bias.as_deref(), &window, layer.groups),
                Pass::Transposed => reference::conv_transpose(&x, &w, bias.as_deref(), &window, [0; 2], layer.groups),
                Pass::InputGradient => {
                    let zeros = Array4::from_fn(layer.x_shape(), |_| 0.0);
                    reference::conv_backward(&zeros, &w, &x, &window, layer.groups).0
                }
            }
        })
    }

    /// Runs the kernel; outputs start as `old`, or as NaN.
    fn run<T: Number>(&self, data: &Data<T>, old: Option<&Array4<T>>, epilogue: &Epilogue<T>, run: Run<T>) -> Held<T> {
        let mut options = Options::new().level(self.level).algorithm(Algorithm::Depthwise);
        if let Some([rows, depth, columns]) = self.blocking {
            options = options.blocking(rows, depth, columns);
        }
        let (layer, shape) = (&self.layer, self.y_shape().unwrap());
        let weights = HeldWeights::new(&data.w, Order::Hwio);
        let (weights, bias) = (weights.weights(), data.bias.as_deref());
        let x = Held::new(&data.x, self.x, T::NAN);
        let mut y = old.map_or_else(|| output(shape, self.y), |old| Held::new(old, self.y, T::NAN));
        match self.pass {
            Pass::Forward => {
                let packed = layer.conv().prepare(weights, bias, &options).unwrap();
                packed.forward(x.view(), y.view_mut(), epilogue, run).unwrap();
            }
            Pass::Transposed => {
                let packed = layer.transpose().prepare(weights, bias, &options).unwrap();
                packed.forward(x.view(), y.view_mut(), epilogue, run).unwrap();
            }
            Pass::InputGradient => {
                let packed = layer.conv().prepare_backward_input(weights, &options).unwrap();
                let write = if old.is_some() { Write::Accumulate } else { Write::Replace };
                packed.backward(x.view(), y.view_mut(), write, run).unwrap();
            }
        }
        assert!(y.gaps_are_untouched(|a, b| a.bits() == b.bits()), "written beside the output: {self:?}");
        y
    }

    fn check<T: Number>(&self) {
        if self.y_shape().is_some() {
            let data = self.data::<T>(Numbers::Integers);
            let y = self.run(&data, None, &Epilogue::new(), Run::new().executor(&Serial));
            self.sums(&data).assert_near(&y.array(), true, self);
        }
    }

    /// Both types.
    fn check_both(&self) {
        self.check::<f32>();
        self.check::<f64>();
    }
}

/// Elements of a vector of `f64`, at least.
fn lanes(level: Level) -> usize {
    match level {
        Level::Scalar => 1,
        Level::Portable => 2,
        Level::Avx512 => 8,
        _ => 4,
    }
}

/// A layer of any geometry with images of this size, in any way.
fn any_case(random: &mut Random, size: [usize; 2], channels: usize) -> Case {
    let kernel = |random: &mut Random| random.pick(&[1, 2, 3, 3, 3, 5, 7]);
    let pads: [isize; 7] = [-1, 0, 1, 1, 2, 3, 8];
    let square = random.below(2) == 0;
    let mut pairs = || [kernel(random), random.pick(&[1, 1, 1, 2, 3]), random.pick(&[1, 1, 1, 2])];
    let [rows, columns] = [pairs(), pairs()];
    let columns = if square { rows } else { columns };
    let level = random.pick(&levels());
    // Several channels a group, which must fit into a vector of either type.
    let most = lanes(level).ilog2() as usize;
    let several = 1 << random.below(most + 1);
    let (inputs, outputs) =
        if random.below(3) == 0 { (several, several) } else { (1, random.pick(&[1, 1, 1, 2, 3, 5])) };
    let layer = Layer {
        groups: channels.div_ceil(inputs),
        batch: 1 + random.below(2),
        kernel: [rows[0], columns[0]],
        stride: [rows[1], columns[1]],
        dilation: [rows[2], columns[2]],
        padding: [[random.pick(&pads), random.pick(&pads)], [random.pick(&pads), random.pick(&pads)]],
        seed: random.bits(),
        ..Layer::new([inputs, outputs], [1, 1], size)
    };
    Case {
        layer,
        pass: random.pick(&PASSES),
        level,
        blocking: (random.below(2) == 0).then(|| [9, 9, 40].map(|most| 1 + random.below(most))),
        x: random.pick(&[Layout::Nhwc, Layout::Nhwc, Layout::Nchw, Layout::Slice, Layout::Strange]),
        y: random.pick(&[Layout::Nhwc, Layout::Nhwc, Layout::Nchw, Layout::Slice, Layout::Strange]),
    }
}

/// A plain layer: stride 1, dense.
fn plain(level: Level, channels: usize, kernel: usize, size: [usize; 2]) -> Case {
    let pad = (kernel / 2) as isize;
    let layer = Layer {
        groups: channels,
        padding: [[pad; 2]; 2],
        seed: channels as u64,
        ..Layer::new([1, 1], [kernel; 2], size)
    };
    Case { layer, pass: Pass::Forward, level, blocking: None, x: Layout::Nhwc, y: Layout::Nhwc }
}

#[test]
fn dilated_kernels_slide_too() {
    for (kernel, dilation) in [3, 5, 7].into_iter().flat_map(|k| [[2, 2], [1, 3], [3, 2]].map(|dilation| (k, dilation)))
    {
        for (level, pass) in levels().into_iter().flat_map(|level| PASSES.map(|pass| (level, pass))) {
            for (channels, size) in [(5, [12, 13]), (33, [14, 12]), (16, [12, 9])] {
                let mut case = plain(level, channels, kernel, size);
                let pad = (kernel / 2) as isize;
                case.layer.dilation = dilation;
                case.layer.padding = [[pad * dilation[0] as isize, pad], [1, pad * dilation[1] as isize]];
                (case.pass, case.y) = (pass, if channels == 33 { Layout::Slice } else { Layout::Nhwc });
                case.check_both();
            }
        }
    }
}

#[test]
fn every_width_and_height() {
    let random = &mut Random(1);
    for (height, width) in (1..=6).flat_map(|h| (1..=10).map(move |w| (h, w))) {
        for _ in 0..12 {
            let channels = 1 + random.below(40);
            any_case(random, [height, width], channels).check_both();
        }
    }
}

#[test]
fn every_block_of_pixels() {
    // Each width of a block of two rows, each block of a line, and the blocks of lines that overlap.
    for level in levels() {
        for pass in PASSES {
            for (height, width) in [4, 5, 9].into_iter().flat_map(|h| (1..=26).map(move |w| (h, w))) {
                for kernel in [3, 5, 7] {
                    Case { pass, ..plain(level, 17, kernel, [height, width]) }.check::<f32>();
                    let mut strided = plain(level, 9, kernel, [height, width]);
                    strided.layer.stride = [2, 2];
                    Case { pass, ..strided }.check::<f64>();
                }
            }
        }
    }
}

#[test]
fn every_channel_tail() {
    for level in levels() {
        for channels in 1..=33 {
            for kernel in [1, 3] {
                plain(level, channels, kernel, [5, 7]).check_both();
                let mut multiplied = plain(level, channels, kernel, [4, 5]);
                multiplied.layer.outputs = 1 + channels % 5;
                multiplied.check_both();
            }
        }
        // Several vectors of one pixel, and more channels than a tile has.
        for channels in [64, 65, 79, 130, 400] {
            plain(level, channels, 3, [3, 4]).check_both();
        }
    }
}

#[test]
fn every_number_of_channels_a_group() {
    for level in levels() {
        // Of `f32`, the levels of this architecture have twice as many.
        let most = if matches!(level, Level::Portable | Level::Avx2 | Level::Avx512) { 2 } else { 1 } * lanes(level);
        for each in [2, 4, 8, 16].into_iter().filter(|&each| each <= most) {
            for groups in 1..=17 {
                for (kernel, pass) in [1, 3, 5].into_iter().flat_map(|kernel| PASSES.map(|pass| (kernel, pass))) {
                    let mut case = Case { pass, ..plain(level, groups, kernel, [5, 7]) };
                    (case.layer.inputs, case.layer.outputs) = (each, each);
                    case.check::<f32>();
                    if each <= lanes(level) {
                        case.check::<f64>();
                    }
                }
            }
        }
    }
}

#[test]
fn large_kernels() {
    // Larger than the image, or nearly so: tiles are copied with their padding, whose rows are left out.
    for (level, pass) in levels().into_iter().flat_map(|level| PASSES.map(|pass| (level, pass))) {
        for (i, kernel) in [[9, 9], [1, 11], [11, 1], [13, 4], [4, 6], [31, 31]].into_iter().enumerate() {
            for (size, channels) in [([7, 8], 17), ([14, 13], 9), ([3, 20], 40), ([1, 5], 8), ([2, 2], 16)] {
                let mut case = Case { pass, ..plain(level, channels, 1, size) };
                let [rows, columns] = kernel.map(|k| (k / 2) as isize);
                (case.layer.kernel, case.layer.padding) = (kernel, [[rows, rows + 2], [columns; 2]]);
                if i % 2 == 0 && lanes(level) > 1 {
                    (case.layer.inputs, case.layer.outputs, case.layer.groups) = (2, 2, channels.div_ceil(2));
                }
                case.check::<f32>();
                // Whole rows of outputs in the padding, and rows that are cropped.
                case.layer.padding[0] = [rows + 9, -1];
                case.check::<f64>();
            }
        }
    }
}

#[test]
fn windows_that_no_strip_can_hold() {
    for layout in [Layout::Nhwc, Layout::Nchw] {
        let layer = Layer { groups: 3, ..Layer::new([1, 2], [130, 129], [131, 130]) };
        let case = plain(Level::best(), 3, 1, [1, 1]);
        Case { layer, x: layout, ..case }.check::<f32>();
    }
}

#[test]
fn epilogues() {
    let random = &mut Random(2);
    for i in 0..300 {
        let (size, channels) = ([1 + random.below(7), 1 + random.below(14)], 1 + random.below(40));
        let mut case = any_case(random, size, channels);
        if i % 2 == 0 {
            // Blocks of lines that overlap, in which an old value must be added once.
            case.layer.padding = [[case.layer.kernel[0] as isize / 2; 2], [case.layer.kernel[1] as isize / 2; 2]];
            (case.layer.stride, case.layer.dilation) = ([1; 2], [1; 2]);
        }
        let Some(shape) = case.y_shape() else { continue };
        let data = case.data::<f32>(Numbers::Integers);
        let (old, residual) = (random.integers::<f32>(shape, 4), random.integers::<f32>(shape, 4));
        let (accumulates, adds) = (random.below(2) == 0, case.pass != Pass::InputGradient && random.below(2) == 0);
        let mut expected = case.sums(&data);
        let (mut epilogue, held) = (Epilogue::new(), Held::new(&residual, random.pick(&LAYOUTS), f32::NAN));
        if adds {
            (epilogue, expected) = (epilogue.residual(held.view()), expected.plus(&residual));
        }
        if accumulates {
            (epilogue, expected) = (epilogue.write(Write::Accumulate), expected.plus(&old));
        }
        let function = if case.pass == Pass::InputGradient { 0 } else { random.below(5) };
        let (activation, exact): (_, fn(f64) -> f64) = match function {
            0 => (Activation::Identity, |x| x),
            1 => (Activation::Relu, |x| x.max(0.0)),
            2 => (Activation::Clamp { min: -3.0, max: 8.0 }, |x| x.clamp(-3.0, 8.0)),
            3 => (Activation::Clamp { min: f32::NAN, max: 1.0 }, |x| x.min(1.0)),
            _ => (Activation::LeakyRelu { slope: 0.25 }, |x| if x > 0.0 { x } else { 0.25 * x }),
        };
        epilogue = epilogue.activation(activation);
        expected.value = expected.value.map(|&x| exact(x));
        let y = case.run(&data, accumulates.then_some(&old), &epilogue, Run::new().executor(&Serial));
        expected.assert_near(&y.array(), true, &(&case, accumulates, adds, function));
    }
}

#[test]
fn neither_threads_nor_blocks_nor_layouts_change_the_bits() {
    let random = &mut Random(3);
    for i in 0..24 {
        let size = [14 + random.below(20), 14 + random.below(20)];
        let mut case = any_case(random, size, 40 + i);
        case.level = Level::best();
        if case.y_shape().is_none() || case.layer.inputs > lanes(case.level) {
            continue;
        }
        let data = case.data::<f32>(Numbers::Reals);
        let expected = case.run(&data, None, &Epilogue::new(), Run::new().executor(&Serial)).array();
        for threads in [1, 2, 3] {
            let y = case.run(&data, None, &Epilogue::new(), Run::new().executor(&Threads(threads)));
            assert_same(&y, &expected, &case);
        }
        for blocking in [None, Some([5, 7, 16]), Some([3, 3, 32])] {
            for layout in [Layout::Nhwc, Layout::Nchw] {
                let other = Case { blocking, x: layout, y: layout, ..case.clone() };
                let y = other.run(&data, None, &Epilogue::new(), Run::new().executor(&Serial));
                assert_same(&y, &expected, &other);
            }
        }
    }
}
