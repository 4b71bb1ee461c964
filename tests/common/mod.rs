//! What tests share: numbers, tensors in every layout, executors, comparison with the oracle.
#![allow(dead_code)] // each test file uses its part

pub mod bad;
pub mod conv;
pub mod kernels;
pub mod pool;

use gemmule::{Element, Executor, Level, Run, Serial, View, ViewMut};
use gemmule_reference::{Array4, Real, indices};
use std::fmt::Debug;

/// An element type of both crates.
pub trait Number: Element + Real {
    /// Not a number.
    const NAN: Self;
    /// The bits, but the same ones for every NaN.
    fn bits(self) -> u64;
    /// Where a float of this type lies, for distances in units of the last place.
    fn name() -> &'static str;
}

macro_rules! number {
    ($t:ident) => {
        impl Number for $t {
            const NAN: Self = $t::NAN;
            fn bits(self) -> u64 {
                if self != self { u64::MAX } else { u64::from(self.to_bits()) }
            }
            fn name() -> &'static str {
                stringify!($t)
            }
        }
    };
}
number!(f32);
number!(f64);

/// Numbers that look random, the same ones in every run (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// One of `-n..=n`.
    pub fn integer(&mut self, n: usize) -> f64 {
        self.below(2 * n + 1) as f64 - n as f64
    }

    /// Between -1 and 1.
    pub fn real(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn pick<X: Copy>(&mut self, of: &[X]) -> X {
        of[self.below(of.len())]
    }

    /// Small integers: their sums and products are exact.
    pub fn integers<T: Number>(&mut self, shape: [usize; 4], n: usize) -> Array4<T> {
        Array4::from_fn(shape, |_| Real::from_f64(self.integer(n)))
    }

    /// Between -1 and 1.
    pub fn reals<T: Number>(&mut self, shape: [usize; 4]) -> Array4<T> {
        Array4::from_fn(shape, |_| Real::from_f64(self.real()))
    }

    /// Few different values, so that many are equal, and among them NaN, both infinities and both zeros.
    pub fn awkward<T: Number>(&mut self, shape: [usize; 4]) -> Array4<T> {
        let inf = f64::INFINITY;
        let values = [0.0, -0.0, 1.0, 1.0, 2.0, -1.0, -inf, -inf, -inf, inf, f64::NAN];
        let most = if self.below(2) == 0 { values.len() } else { values.len() - 1 };
        Array4::from_fn(shape, |_| Real::from_f64(values[self.below(most)]))
    }
}

/// How a tensor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    Nhwc,
    Nchw,
    /// Channels 1.. of an NHWC tensor with three channels more.
    Slice,
    /// Columns outermost, rows innermost, with gaps everywhere.
    Strange,
}

pub const LAYOUTS: [Layout; 4] = [Layout::Nhwc, Layout::Nchw, Layout::Slice, Layout::Strange];

/// A tensor in some layout, at an odd offset, between elements that are nobody's business.
#[derive(Clone, Debug)]
pub struct Held<X> {
    pub data: Vec<X>,
    layout: Layout,
    shape: [usize; 4],
    around: X,
}

const OFFSET: usize = 3;

impl<X: Copy + PartialEq + Debug> Held<X> {
    /// Full of `value`, with `around` in the gaps.
    pub fn filled(shape: [usize; 4], layout: Layout, value: X, around: X) -> Self {
        let [n, h, w, c] = shape;
        let len = match layout {
            Layout::Nhwc | Layout::Nchw => n * h * w * c,
            Layout::Slice => n * h * w * (c + 3),
            Layout::Strange => n * c * w * (2 * h + 1) + 1,
        };
        let mut held = Held { data: vec![around; len + 2 * OFFSET], layout, shape, around };
        for at in indices(shape) {
            let at = held.at(at);
            held.data[at] = value;
        }
        held
    }

    pub fn new(a: &Array4<X>, layout: Layout, around: X) -> Self {
        let mut held = Self::filled(a.shape, layout, around, around);
        for index in indices(a.shape) {
            let at = held.at(index);
            held.data[at] = a[index];
        }
        held
    }

    fn strides(&self) -> [usize; 4] {
        let [_, h, w, c] = self.shape;
        match self.layout {
            Layout::Nhwc => [h * w * c, w * c, c, 1],
            Layout::Nchw => [h * w * c, w, 1, h * w],
            Layout::Slice => [h * w * (c + 3), w * (c + 3), c + 3, 1],
            Layout::Strange => [c * w * (2 * h + 1), 2, 2 * h + 1, w * (2 * h + 1)],
        }
    }

    fn at(&self, index: [usize; 4]) -> usize {
        let first = OFFSET + usize::from(self.layout == Layout::Slice);
        first + (0..4).map(|i| index[i] * self.strides()[i]).sum::<usize>()
    }

    pub fn view(&self) -> View<'_, X> {
        let [n, h, w, c] = self.shape;
        match self.layout {
            Layout::Nhwc => View::nhwc(&self.data[OFFSET..], self.shape),
            Layout::Nchw => View::nchw(&self.data[OFFSET..], self.shape),
            Layout::Slice => View::nhwc(&self.data[OFFSET..], [n, h, w, c + 3]).and_then(|v| v.channels(1..c + 1)),
            Layout::Strange => View::new(&self.data[OFFSET..], self.shape, self.strides()),
        }
        .unwrap()
    }

    pub fn view_mut(&mut self) -> ViewMut<'_, X> {
        let (shape, strides) = (self.shape, self.strides());
        let [n, h, w, c] = shape;
        let data = &mut self.data[OFFSET..];
        match self.layout {
            Layout::Nhwc => ViewMut::nhwc(data, shape),
            Layout::Nchw => ViewMut::nchw(data, shape),
            Layout::Slice => ViewMut::nhwc(data, [n, h, w, c + 3]).and_then(|v| v.channels(1..c + 1)),
            Layout::Strange => ViewMut::new(data, shape, strides),
        }
        .unwrap()
    }

    pub fn array(&self) -> Array4<X> {
        Array4::from_fn(self.shape, |index| self.data[self.at(index)])
    }

    /// Whether all elements outside of the view are as they were. `same` compares, for NaNs.
    pub fn gaps_are_untouched(&self, same: impl Fn(X, X) -> bool) -> bool {
        let mut mine = vec![false; self.data.len()];
        indices(self.shape).for_each(|index| mine[self.at(index)] = true);
        self.data.iter().zip(mine).all(|(&x, mine)| mine || same(x, self.around))
    }
}

/// An output full of NaN.
pub fn output<T: Number>(shape: [usize; 4], layout: Layout) -> Held<T> {
    Held::filled(shape, layout, T::NAN, T::NAN)
}

/// The same bits everywhere (any NaN is as good as any other), and nothing beside the output touched.
#[track_caller]
pub fn assert_same<T: Number>(got: &Held<T>, expected: &Array4<T>, what: &dyn Debug) {
    assert!(got.gaps_are_untouched(|a, b| a.bits() == b.bits()), "written beside the output: {what:?}");
    let got = got.array();
    assert_eq!(got.shape, expected.shape, "{what:?}");
    for index in indices(got.shape) {
        let (got, expected) = (got[index], expected[index]);
        assert!(got.bits() == expected.bits(), "{index:?}: got {got}, expected {expected}; {what:?}");
    }
}

/// Within `bound` everywhere.
#[track_caller]
pub fn assert_near<T: Number>(got: &Array4<T>, expected: &Array4<f64>, bound: f64, what: &dyn Debug) {
    assert_eq!(got.shape, expected.shape, "{what:?}");
    for index in indices(got.shape) {
        let (got, expected) = (Real::to_f64(got[index]), expected[index]);
        assert!((got - expected).abs() <= bound, "{index:?}: got {got}, expected {expected} +- {bound:e}; {what:?}");
    }
}

/// The emulated level: only debug builds with `simd` have it.
pub fn emulated() -> Option<Level> {
    "emulated".parse().ok()
}

/// The levels to test: all available ones, or those that `GEMMULE_TEST_LEVELS` names, separated by commas. The latter have
/// to be available. It is for processors where time is short, such as emulated ones; the crate itself reads no environment.
pub fn levels() -> Vec<Level> {
    let Ok(names) = std::env::var("GEMMULE_TEST_LEVELS") else { return Level::available().collect() };
    let levels: Vec<Level> = names.split(',').map(|name| name.parse().unwrap()).collect();
    levels.iter().for_each(|level| assert!(level.is_available(), "GEMMULE_TEST_LEVELS: {level} is not available"));
    levels
}

/// A run on the calling thread.
pub fn serial<'a, T: Number>(level: Level) -> Run<'a, T> {
    Run::new().executor(&Serial).level(level)
}

/// As many threads as told, started for each call.
pub struct Threads(pub usize);

impl Executor for Threads {
    fn workers(&self) -> usize {
        self.0
    }
    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| (0..n).for_each(|i| drop(scope.spawn(move || task(i)))));
    }
}

/// An executor that calls each task too often, at once.
pub struct TooOften;

impl Executor for TooOften {
    fn workers(&self) -> usize {
        3
    }
    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        Threads(2 * n + 1).for_each(2 * n + 1, task);
    }
}

/// An executor that calls no task.
pub struct Never;

impl Executor for Never {
    fn workers(&self) -> usize {
        3
    }
    fn for_each(&self, _: usize, _: &(dyn Fn(usize) + Sync)) {}
}

/// Runs `f` on rayon pools of 1, 2, 3 and 8 threads, and with executors of our own.
pub fn on_all_executors(mut f: impl FnMut(&dyn Executor, &str) + Send) {
    #[cfg(feature = "rayon")]
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| f(&gemmule::Rayon, &format!("rayon, {threads} threads")));
    }
    for threads in [1, 2, 3, 8] {
        f(&Threads(threads), &format!("{threads} threads"));
    }
    f(&TooOften, "an executor that calls tasks too often");
}
