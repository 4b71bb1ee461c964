//! What the tests of convolutions share: random layers, their numbers, weights in every order, and the bound.

use super::{LAYOUTS, Layout, Number, Random, levels};
use gemmule::{Algorithm, Conv2d, ConvTranspose2d, Level, Options, Weights, WeightsMut};
use gemmule_reference::{Array4, Real, Window, indices};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

pub const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::Auto,
    Algorithm::Pointwise,
    Algorithm::Depthwise,
    Algorithm::Winograd,
    Algorithm::Implicit,
    Algorithm::Band,
    Algorithm::Im2col,
    Algorithm::Matrixmultiply,
];

/// The same cases in every run, and no files beside the tests.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default() }
}

/// How far a sum of `terms` products (a bias, a residual, an old value count as one each) may be from the true value:
/// `(K + 2) * eps / 2 * sum|x * w|`, whatever the order of the additions, `magnitude` being that sum. The oracle adds up
/// in `f64` itself, so its own share is in it.
pub fn bound<T: Number>(terms: usize, magnitude: f64) -> f64 {
    (terms + 2) as f64 * (gemmule::Element::to_f64(T::EPSILON) + f64::EPSILON) / 2.0 * magnitude
}

/// The true sums, and the sums of the magnitudes of their terms.
#[derive(Clone)]
pub struct Sums {
    pub value: Array4<f64>,
    pub magnitude: Array4<f64>,
    /// Terms of each.
    pub terms: usize,
}

impl Sums {
    /// From what the oracle makes of the numbers, and of their magnitudes.
    pub fn new(terms: usize, of: impl Fn(fn(f64) -> f64) -> Array4<f64>) -> Self {
        Sums { value: of(|x| x), magnitude: of(f64::abs), terms }
    }

    /// With one term more.
    pub fn plus<T: Number>(mut self, x: &Array4<T>) -> Self {
        for (i, x) in x.data.iter().enumerate() {
            self.value.data[i] += Real::to_f64(*x);
            self.magnitude.data[i] += Real::to_f64(*x).abs();
        }
        self.terms += 1;
        self
    }

    /// How far all sums may be off where a transform was used: its error is that of its whole tile. (What each form's error
    /// is bounded by is another test's matter; this is to find a term that is missing.)
    pub fn slack<T: Number>(&self, algorithm: Algorithm) -> f64 {
        let largest = self.magnitude.data.iter().fold(0.0, |largest, &sum| f64::max(largest, sum));
        let epsilon = gemmule::Element::to_f64(T::EPSILON) + f64::EPSILON;
        if algorithm == Algorithm::Winograd { 100.0 * epsilon * largest } else { 0.0 }
    }

    /// Asserts that each sum is within its bound; or exact, where the numbers are small integers.
    #[track_caller]
    pub fn assert_near<T: Number>(&self, got: &Array4<T>, exact: bool, what: &dyn std::fmt::Debug) {
        self.assert_within(got, exact, 0.0, what);
    }

    /// The same, with some slack.
    #[track_caller]
    pub fn assert_within<T: Number>(&self, got: &Array4<T>, exact: bool, slack: f64, what: &dyn std::fmt::Debug) {
        assert_eq!(got.shape, self.value.shape, "{what:?}");
        for i in indices(got.shape) {
            let bound = slack + if exact { 0.0 } else { bound::<T>(self.terms, self.magnitude[i]) };
            let (got, expected) = (Real::to_f64(got[i]), self.value[i]);
            assert!((got - expected).abs() <= bound, "{i:?}: got {got}, expected {expected} +- {bound:e}; {what:?}");
        }
    }
}

/// A layer and the input that it is given.
#[derive(Clone, Debug)]
pub struct Layer {
    pub batch: usize,
    pub size: [usize; 2],
    pub groups: usize,
    /// Per group.
    pub inputs: usize,
    /// Per group.
    pub outputs: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: [[isize; 2]; 2],
    /// Makes the numbers, the layouts, the blocks.
    pub seed: u64,
}

impl Layer {
    /// A layer of stride 1, without padding, dilation and groups, for one image.
    pub fn new([inputs, outputs]: [usize; 2], kernel: [usize; 2], size: [usize; 2]) -> Self {
        let (stride, dilation, padding) = ([1; 2], [1; 2], [[0; 2]; 2]);
        Layer { batch: 1, size, groups: 1, inputs, outputs, kernel, stride, dilation, padding, seed: 1 }
    }

    pub fn window(&self) -> Window {
        Window { kernel: self.kernel, stride: self.stride, dilation: self.dilation, pad: self.padding }
    }

    pub fn conv(&self) -> Conv2d {
        let conv = Conv2d::new(self.inputs * self.groups, self.outputs * self.groups, self.kernel);
        conv.stride(self.stride).dilation(self.dilation).padding(self.padding).groups(self.groups)
    }

    pub fn transpose(&self) -> ConvTranspose2d {
        let conv = ConvTranspose2d::new(self.inputs * self.groups, self.outputs * self.groups, self.kernel);
        conv.stride(self.stride).dilation(self.dilation).padding(self.padding).groups(self.groups)
    }

    pub fn x_shape(&self) -> [usize; 4] {
        [self.batch, self.size[0], self.size[1], self.inputs * self.groups]
    }

    pub fn y_shape(&self) -> [usize; 4] {
        let [h, w] = [0, 1].map(|i| self.window().conv_out_size(self.size[i], i));
        [self.batch, h, w, self.outputs * self.groups]
    }

    /// `[kh, kw, i, o]`.
    pub fn w_shape(&self) -> [usize; 4] {
        [self.kernel[0], self.kernel[1], self.inputs, self.outputs * self.groups]
    }

    /// Terms of an output, without the bias.
    pub fn terms(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.inputs
    }
}

type AxisParts = (usize, usize, usize, isize, isize, usize);

/// Kernel, stride, dilation, padding, size.
fn axis(most: usize) -> impl Strategy<Value = AxisParts> {
    (1..=4usize, 1..=5usize, 1..=3usize, -2..=3isize, -2..=3isize, 1..=most)
}

/// Groups, inputs and outputs of each.
fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        (Just(1), 1..=70usize, 1..=5usize),
        (Just(1), 1..=5usize, 1..=70usize),
        (Just(1), 1..=24usize, 1..=40usize),
        (2..=5usize, 1..=7usize, 1..=20usize),
        (1..=70usize, Just(1), Just(1)),
        (1..=20usize, Just(1), 2..=3usize),
    ]
}

/// Layers of any geometry that have an output, with images of at most `most * most` pixels and batches from 0 to 2.
pub fn layers(most: usize) -> impl Strategy<Value = Layer> {
    let pointwise = (Just(1), 1..=3usize, 1..=3usize, Just(0), Just(0), 1..=most);
    let axes =
        prop_oneof![4 => [axis(most).boxed(), axis(most).boxed()], 1 => [pointwise.clone().boxed(), pointwise.boxed()]];
    let batch = prop_oneof![6 => Just(1usize), 2 => Just(2), 1 => Just(0)];
    (channels(), axes, batch, any::<u64>())
        .prop_map(|((groups, inputs, outputs), [y, x], batch, seed)| Layer {
            batch,
            size: [y.5, x.5],
            groups,
            inputs,
            outputs,
            kernel: [y.0, x.0],
            stride: [y.1, x.1],
            dilation: [y.2, x.2],
            padding: [[y.3, y.4], [x.3, x.4]],
            seed,
        })
        .prop_filter("the kernel does not fit", |layer| layer.y_shape()[1] > 0 && layer.y_shape()[2] > 0)
}

/// One way to compute a layer.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub level: Level,
    pub algorithm: Algorithm,
    blocking: Option<[usize; 3]>,
    pub x: Layout,
    pub y: Layout,
    pub order: Order,
}

impl Way {
    pub fn options(&self) -> Options {
        let options = Options::new().level(self.level).algorithm(self.algorithm);
        self.blocking.map_or(options, |[rows, depth, columns]| options.blocking(rows, depth, columns))
    }
}

/// Every level with every algorithm, and with layouts, blocks and orders that change from one to the next.
pub fn ways(random: &mut Random) -> Vec<Way> {
    let all = levels().into_iter().flat_map(|level| ALGORITHMS.map(|algorithm| (level, algorithm)));
    all.map(|(level, algorithm)| Way {
        level,
        algorithm,
        blocking: (random.below(3) > 0).then(|| [7, 9, 40].map(|most| 1 + random.below(most))),
        x: random.pick(&LAYOUTS),
        y: random.pick(&LAYOUTS),
        order: random.pick(&ORDERS),
    })
    .collect()
}

/// The order of weights in memory.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    Hwio,
    Oihw,
    Iohw,
    /// Rows innermost, with gaps.
    Strided,
}

pub const ORDERS: [Order; 4] = [Order::Hwio, Order::Oihw, Order::Iohw, Order::Strided];

/// Weights `[kh, kw, i, o]` in some order, with NaN in the gaps.
#[derive(Clone)]
pub struct HeldWeights<T> {
    shape: [usize; 4],
    order: Order,
    pub data: Vec<T>,
}

impl<T: Number> HeldWeights<T> {
    pub fn new(w: &Array4<T>, order: Order) -> Self {
        let [kh, kw, i, o] = w.shape;
        let len = if let Order::Strided = order { (2 * kh + 1) * kw * i * o } else { w.data.len() };
        let mut held = HeldWeights { shape: w.shape, order, data: vec![T::NAN; len] };
        for index in indices(w.shape) {
            let at = held.at(index);
            held.data[at] = w[index];
        }
        held
    }

    fn strides(&self) -> [usize; 4] {
        let [kh, kw, i, o] = self.shape;
        match self.order {
            Order::Hwio => [kw * i * o, i * o, o, 1],
            Order::Oihw => [kw, 1, kh * kw, kh * kw * i],
            Order::Iohw => [kw, 1, kh * kw * o, kh * kw],
            Order::Strided => [2, 2 * kh + 1, (2 * kh + 1) * kw * o, (2 * kh + 1) * kw],
        }
    }

    fn at(&self, index: [usize; 4]) -> usize {
        (0..4).map(|i| index[i] * self.strides()[i]).sum()
    }

    pub fn weights(&self) -> Weights<'_, T> {
        match self.order {
            Order::Hwio => Weights::hwio(&self.data),
            Order::Oihw => Weights::oihw(&self.data),
            Order::Iohw => Weights::iohw(&self.data),
            Order::Strided => Weights::strided(&self.data, self.strides()),
        }
    }

    pub fn weights_mut(&mut self) -> WeightsMut<'_, T> {
        let strides = self.strides();
        match self.order {
            Order::Hwio => WeightsMut::hwio(&mut self.data),
            Order::Oihw => WeightsMut::oihw(&mut self.data),
            Order::Iohw => WeightsMut::iohw(&mut self.data),
            Order::Strided => WeightsMut::strided(&mut self.data, strides),
        }
    }

    pub fn array(&self) -> Array4<T> {
        Array4::from_fn(self.shape, |index| self.data[self.at(index)])
    }

    /// Whether what lies between the weights is still NaN.
    pub fn gaps_are_untouched(&self) -> bool {
        let mut mine = vec![false; self.data.len()];
        indices(self.shape).for_each(|index| mine[self.at(index)] = true);
        self.data.iter().zip(mine).all(|(x, mine)| mine || x.bits() == T::NAN.bits())
    }
}

/// Small integers, whose sums are exact, or numbers between -1 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers {
    Integers,
    Reals,
}

impl Numbers {
    pub fn array<T: Number>(self, shape: [usize; 4], random: &mut Random) -> Array4<T> {
        match self {
            Numbers::Integers => random.integers(shape, 4),
            Numbers::Reals => random.reals(shape),
        }
    }

    pub fn row<T: Number>(self, len: usize, random: &mut Random) -> Vec<T> {
        self.array([1, 1, 1, len], random).data
    }
}

/// `f` of each number, in `f64`.
pub fn in_f64<T: Number>(x: &Array4<T>, f: fn(f64) -> f64) -> Array4<f64> {
    x.map(|&x| f(Real::to_f64(x)))
}
