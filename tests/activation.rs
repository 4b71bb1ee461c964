//! Activations against the reference: every function, level and layout, both types, forward and backward.

mod common;

use common::levels;
use gemmule::{Activation, Element, Level, Run, Serial, View, ViewMut, Write, prelu_backward_slope};
use gemmule_reference as reference;
use gemmule_reference::{Array4, Real};

trait Number: Element + Real {}
impl Number for f32 {}
impl Number for f64 {}

fn number<T: Element>(x: f64) -> T {
    <T as Element>::from_f64(x)
}

fn wide<T: Element>(x: T) -> f64 {
    Element::to_f64(x)
}

/// Numbers between -8 and 8, always the same ones.
fn random<T: Element>(len: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        number((state >> 40) as f64 / (1 << 20) as f64 - 8.0)
    };
    (0..len).map(|_| next()).collect()
}

/// Every function, beside its twin in the reference.
fn all<T: Number>(slopes: &[T]) -> Vec<(Activation<'_, T>, reference::Activation<'_, T>)> {
    use reference::Activation as Ref;
    let (min, max, slope) = (number(-0.5), number(1.5), number(0.1));
    vec![
        (Activation::Identity, Ref::Identity),
        (Activation::Relu, Ref::Relu),
        (Activation::Relu6, Ref::Relu6),
        (Activation::Clamp { min, max }, Ref::Clamp { min, max }),
        (Activation::Clamp { min: max, max: min }, Ref::Clamp { min: max, max: min }),
        (Activation::LeakyRelu { slope }, Ref::LeakyRelu { slope }),
        (Activation::PRelu(slopes), Ref::PRelu(slopes)),
        (Activation::Silu, Ref::Silu),
        (Activation::HardSwish, Ref::HardSwish),
        (Activation::Sigmoid, Ref::Sigmoid),
        (Activation::Tanh, Ref::Tanh),
        (Activation::Gelu, Ref::Gelu),
        (Activation::GeluTanh, Ref::GeluTanh),
    ]
}

/// The same function in `f64`.
fn widened<'a, T: Number>(act: &reference::Activation<'_, T>, slopes: &'a [f64]) -> reference::Activation<'a, f64> {
    use reference::Activation as Ref;
    match *act {
        Ref::Identity => Ref::Identity,
        Ref::Relu => Ref::Relu,
        Ref::Relu6 => Ref::Relu6,
        Ref::Clamp { min, max } => Ref::Clamp { min: wide(min), max: wide(max) },
        Ref::LeakyRelu { slope } => Ref::LeakyRelu { slope: wide(slope) },
        Ref::PRelu(_) => Ref::PRelu(slopes),
        Ref::Silu => Ref::Silu,
        Ref::HardSwish => Ref::HardSwish,
        Ref::Sigmoid => Ref::Sigmoid,
        Ref::Tanh => Ref::Tanh,
        Ref::Gelu => Ref::Gelu,
        Ref::GeluTanh => Ref::GeluTanh,
    }
}

/// How a shape lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Nhwc,
    Nchw,
    /// Channels 2.. of a tensor with five channels more.
    Slice,
    /// Every other column of a tensor whose rows have a gap, at an odd offset.
    Strided,
}

const LAYOUTS: [Layout; 4] = [Layout::Nhwc, Layout::Nchw, Layout::Slice, Layout::Strided];

impl Layout {
    /// Where the data starts, and the strides.
    fn place(self, [_, h, w, c]: [usize; 4]) -> (usize, [usize; 4]) {
        match self {
            Layout::Nhwc => (0, [h * w * c, w * c, c, 1]),
            Layout::Nchw => (0, [h * w * c, w, 1, h * w]),
            Layout::Slice => (2, [h * w * (c + 5), w * (c + 5), c + 5, 1]),
            Layout::Strided => (1, [h * (2 * w * c + 3), 2 * w * c + 3, 2 * c, 1]),
        }
    }

    fn room(self, shape: [usize; 4]) -> usize {
        self.place(shape).1.iter().zip(shape).map(|(s, d)| s * d).sum::<usize>() + 7
    }

    fn spread<T: Number>(self, x: &Array4<T>, rest: T) -> Vec<T> {
        let mut data = vec![rest; self.room(x.shape)];
        let (offset, strides) = self.place(x.shape);
        for i in reference::indices(x.shape) {
            data[offset + (0..4).map(|a| i[a] * strides[a]).sum::<usize>()] = x[i];
        }
        data
    }

    fn view<T>(self, data: &[T], shape: [usize; 4]) -> View<'_, T> {
        let (offset, strides) = self.place(shape);
        View::new(&data[offset..], shape, strides).unwrap()
    }

    fn view_mut<T>(self, data: &mut [T], shape: [usize; 4]) -> ViewMut<'_, T> {
        let (offset, strides) = self.place(shape);
        ViewMut::new(&mut data[offset..], shape, strides).unwrap()
    }
}

/// Within `4 * epsilon * scale`, or the same bits but for the kind of NaN.
fn assert_close<T: Number>(given: T, expected: f64, scale: f64, what: &dyn std::fmt::Debug) {
    let (given, bound) = (wide(given), 4.0 * wide(T::EPSILON) * scale);
    let same = given == expected || (given.is_nan() && expected.is_nan());
    assert!(same || (given - expected).abs() <= bound, "{what:?}: {given:e} against {expected:e}, bound {bound:e}");
}

/// A case: a shape, the layouts of all tensors in turn, and data.
struct Case<T> {
    x: Array4<T>,
    dy: Array4<T>,
    old: Array4<T>,
    slopes: Vec<T>,
}

impl<T: Number> Case<T> {
    fn new(shape: [usize; 4]) -> Self {
        let len = shape.iter().product();
        let array = |seed| Array4::new(shape, random(len, seed));
        Case { x: array(1), dy: array(2), old: array(3), slopes: random(shape[3], 4) }
    }

    fn forward(&self, layouts: [Layout; 2], level: Level) {
        let shape = self.x.shape;
        let slopes: Vec<f64> = self.slopes.iter().map(|&x| wide(x)).collect();
        let nan = number(f64::NAN);
        for (act, expected) in all(&self.slopes) {
            let x = layouts[0].spread(&self.x, nan);
            let mut y = vec![nan; layouts[1].room(shape)];
            let run = Run::new().executor(&Serial).level(level);
            act.forward(layouts[0].view(&x, shape), layouts[1].view_mut(&mut y, shape), run).unwrap();
            let expected = reference::activate(&self.x.map(|&x| wide(x)), &widened(&expected, &slopes));
            let view = layouts[1].view(&y, shape);
            for i in reference::indices(shape) {
                let scale = wide(self.x[i]).abs().max(expected[i].abs());
                assert_close(*view.get(i).unwrap(), expected[i], scale, &(act, layouts, level, i, self.x[i]));
            }
            // What lies between the output's elements is as it was.
            let written = y.iter().filter(|y| !y.is_nan()).count();
            assert_eq!(written, self.x.data.len(), "{act:?} {layouts:?} {level}");
        }
    }

    fn backward(&self, layouts: [Layout; 3], level: Level, write: Write) {
        let shape = self.x.shape;
        let slopes: Vec<f64> = self.slopes.iter().map(|&x| wide(x)).collect();
        for (act, expected) in all(&self.slopes) {
            let (x, dy) = (layouts[0].spread(&self.x, number(0.0)), layouts[1].spread(&self.dy, number(0.0)));
            let mut dx = match write {
                Write::Replace => vec![number(f64::NAN); layouts[2].room(shape)],
                Write::Accumulate => layouts[2].spread(&self.old, number(0.0)),
            };
            let run = Run::new().executor(&Serial).level(level);
            let (x, dy) = (layouts[0].view(&x, shape), layouts[1].view(&dy, shape));
            act.backward(x, dy, layouts[2].view_mut(&mut dx, shape), write, run).unwrap();
            let expected = widened(&expected, &slopes);
            let view = layouts[2].view(&dx, shape);
            for i in reference::indices(shape) {
                let (x, dy, old) = (wide(self.x[i]), wide(self.dy[i]), wide(self.old[i]));
                let sum = if write == Write::Accumulate { old } else { 0.0 };
                // f' loses a little where it is a sum of terms of both signs, and so does the reference, most where it
                // takes 1 - tanh^2 from rounded numbers and multiplies by x^3.
                let terms = if act == Activation::GeluTanh { 10.0 } else { 2.0 + slopes[i[3]].abs() };
                let scale = dy.abs() * terms + sum.abs();
                let expected = dy * expected.derivative(x, i[3]) + sum;
                assert_close(*view.get(i).unwrap(), expected, scale, &(act, layouts, level, write, i, x));
            }
        }
    }
}

fn every_channel_count<T: Number>() {
    for level in levels() {
        for c in 1..=70 {
            let case = Case::<T>::new([1, 1, 3, c]);
            let layout = LAYOUTS[c % 4];
            case.forward([layout, layout], level);
            case.backward([layout; 3], level, if c % 2 == 0 { Write::Replace } else { Write::Accumulate });
        }
    }
}

#[test]
fn every_channel_count_at_every_level() {
    every_channel_count::<f32>();
    every_channel_count::<f64>();
}

fn every_layout<T: Number>() {
    for shape in [[2, 3, 5, 7], [1, 2, 9, 33], [3, 1, 1, 16], [2, 4, 1, 1], [1, 1, 300, 2], [1, 20, 20, 3]] {
        let case = Case::<T>::new(shape);
        for level in levels().into_iter().filter(|&level| level == Level::Scalar || level == Level::best()) {
            for x in LAYOUTS {
                for y in LAYOUTS {
                    case.forward([x, y], level);
                    case.backward([x, y, y], level, Write::Replace);
                    case.backward([x, x, y], level, Write::Accumulate);
                }
            }
        }
    }
}

#[test]
fn every_mix_of_layouts() {
    every_layout::<f32>();
    every_layout::<f64>();
}

/// Edges: NaN where the reference has it, infinities, zeros, both ends of each piece, and numbers of all sizes.
fn edges<T: Number>(huge: f64, tiny: f64) {
    let mut x =
        vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, tiny, -tiny, -huge, 1e4, -1e4, 120.0, -120.0];
    x.extend([-3.0, 3.0, 6.0, -0.5, 1.5, 0.1, -0.1, 2.99, -2.99, 3.01, -3.01, 5.99, 6.01, 20.0, -20.0, 40.0, -40.0]);
    let x = Array4::new([1, 1, 1, x.len()], x.into_iter().map(number::<T>).collect());
    let slopes = vec![number(0.25); x.data.len()];
    let dy = vec![number(1.0); x.data.len()];
    let mut y = vec![number(0.0); x.data.len()];
    for level in levels() {
        for (act, expected) in all(&slopes) {
            let view = View::nhwc(&x.data, x.shape).unwrap();
            act.forward(view, ViewMut::nhwc(&mut y, x.shape).unwrap(), Run::new().level(level)).unwrap();
            for (i, &x) in x.data.iter().enumerate() {
                let expected = wide(expected.value(x, i));
                let scale = wide(x).abs().clamp(1.0, 1e30);
                assert_close(y[i], expected, scale, &(act, level, x));
            }
            let dy = View::nhwc(&dy, x.shape).unwrap();
            let dx = ViewMut::nhwc(&mut y, x.shape).unwrap();
            act.backward(view, dy, dx, Write::Replace, Run::new().level(level)).unwrap();
            for (i, &x) in x.data.iter().enumerate() {
                let expected = wide(expected.derivative(x, i));
                // Where the reference's own intermediate value is infinite, its NaN is no yardstick.
                if expected.is_nan() && wide(x).is_finite() {
                    assert!(y[i] == number(0.0) || y[i] == number(1.0), "{act:?} {level} {x}: {}", y[i]);
                    continue;
                }
                assert_close(y[i], expected, 2.0, &(act, level, x));
            }
        }
    }
}

#[test]
fn edges_are_the_references() {
    edges::<f32>(3e38, 1e-40);
    edges::<f64>(1e308, 1e-310);
}

/// The documented bound, densely.
#[test]
fn within_two_epsilon_of_x() {
    let x: Vec<f32> = (0..0x42c8_0000).step_by(10_007).flat_map(|x| [f32::from_bits(x), -f32::from_bits(x)]).collect();
    let shape = [1, 1, 1, x.len()];
    let mut y = x.clone();
    for (act, expected) in all::<f32>(&[]).into_iter().filter(|(act, _)| {
        matches!(act, Activation::Silu | Activation::Gelu | Activation::GeluTanh | Activation::HardSwish)
    }) {
        let expected = widened(&expected, &[]);
        let expected: Vec<f64> = x.iter().map(|&x| expected.value(f64::from(x), 0)).collect();
        for level in levels() {
            let run = Run::new().level(level);
            act.forward(View::nhwc(&x, shape).unwrap(), ViewMut::nhwc(&mut y, shape).unwrap(), run).unwrap();
            let errors = x.iter().zip(&y).zip(&expected).map(|((x, y), e)| ((f64::from(*y) - e).abs(), *x));
            let worst = errors.map(|(error, x)| error / (f64::from(f32::EPSILON) * f64::from(x.abs()) + 1e-45));
            let worst = worst.fold(0.0, |a, b| if a > b { a } else { b });
            println!("{act:?} at {level}: {worst:.2} epsilon * |x|");
            assert!(worst <= 2.0, "{act:?} at {level}: {worst}");
        }
    }
}

/// The gradient of `sum(dy * f(x))` by central differences of the kernels themselves.
#[test]
fn derivatives_match_differences() {
    let shape = [1, 1, 1, 61];
    let x: Vec<f64> = (0..61).map(|i| 0.2 * f64::from(i) - 6.0513).collect();
    let slopes: Vec<f64> = random(61, 5);
    let (h, dy) = (1e-5, vec![1.0; 61]);
    for (act, _) in all(&slopes) {
        let run = |x: &[f64]| {
            let mut y = vec![0.0; 61];
            act.forward(View::nhwc(x, shape).unwrap(), ViewMut::nhwc(&mut y, shape).unwrap(), Run::new()).unwrap();
            y
        };
        let above = run(&x.iter().map(|x| x + h).collect::<Vec<_>>());
        let below = run(&x.iter().map(|x| x - h).collect::<Vec<_>>());
        let mut dx = vec![0.0; 61];
        let (view, dy) = (View::nhwc(&x, shape).unwrap(), View::nhwc(&dy, shape).unwrap());
        act.backward(view, dy, ViewMut::nhwc(&mut dx, shape).unwrap(), Write::Replace, Run::new()).unwrap();
        for i in 0..61 {
            let difference = (above[i] - below[i]) / (2.0 * h);
            assert!((dx[i] - difference).abs() < 1e-8, "{act:?} at {}: {} against {difference}", x[i], dx[i]);
        }
    }
}

fn slopes_of<T: Number>() {
    for shape in [[2, 3, 5, 7], [1, 2, 9, 33], [3, 1, 1, 70], [1, 4, 4, 1], [1, 0, 4, 3]] {
        let case = Case::<T>::new(shape);
        let reference: Vec<T> = reference::prelu_slope_backward(&case.x, &case.dy);
        for level in levels() {
            for (x_layout, dy_layout) in LAYOUTS.into_iter().flat_map(|x| LAYOUTS.map(|dy| (x, dy))) {
                for write in [Write::Replace, Write::Accumulate] {
                    let old = if write == Write::Replace { f64::NAN } else { 1.0 };
                    let mut dslope: Vec<T> = vec![number(old); shape[3]];
                    let (x, dy) = (x_layout.spread(&case.x, number(0.0)), dy_layout.spread(&case.dy, number(0.0)));
                    let (x, dy) = (x_layout.view(&x, shape), dy_layout.view(&dy, shape));
                    prelu_backward_slope(x, dy, &mut dslope, write, Run::new().level(level)).unwrap();
                    for (&given, &expected) in dslope.iter().zip(&reference) {
                        let sum = if write == Write::Accumulate { 1.0 } else { 0.0 };
                        assert_close(given, wide(expected) + sum, 2000.0, &(shape, level, x_layout, dy_layout, write));
                    }
                }
            }
        }
    }
}

#[test]
fn slopes_get_their_gradient() {
    slopes_of::<f32>();
    slopes_of::<f64>();
}

/// `n` threads that take the tasks in reverse order, whatever the machine.
struct Threads(usize);

impl gemmule::Executor for Threads {
    fn workers(&self) -> usize {
        self.0
    }
    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| (0..n).rev().for_each(|i| drop(scope.spawn(move || task(i)))));
    }
}

#[test]
fn threads_change_no_bit() {
    let shape = [3, 40, 41, 70];
    let case = Case::<f32>::new(shape);
    let (x, dy) = (View::nhwc(&case.x.data, shape).unwrap(), View::nhwc(&case.dy.data, shape).unwrap());
    for act in [Activation::PRelu(&case.slopes), Activation::Gelu] {
        let all = [1, 2, 3, 8].map(|n| {
            let (mut y, mut dx, mut dslope) = (vec![0.0; x.data().len()], vec![0.0; x.data().len()], vec![0.0; 70]);
            let threads = Threads(n);
            let run = || Run::new().executor(&threads);
            act.forward(x, ViewMut::nchw(&mut y, shape).unwrap(), run()).unwrap();
            act.backward(x, dy, ViewMut::nhwc(&mut dx, shape).unwrap(), Write::Replace, run()).unwrap();
            prelu_backward_slope(x, dy, &mut dslope, Write::Replace, run()).unwrap();
            [y, dx, dslope].map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        });
        assert!(all.iter().all(|bits| *bits == all[0]), "{act:?}");
    }
}
