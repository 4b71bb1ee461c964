//! What the tests of pools share: a pool and its input's shape, compared with the oracle at every level.

use super::{Held, LAYOUTS, Layout, Number, Random, assert_same, levels, output, serial};
use gemmule::{AvgPool2d, MaxPool2d, Ties, Write};
use gemmule_reference::{self as reference, Array4, Window};

/// One pool and its input's shape.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub shape: [usize; 4],
    pub window: Window,
    pub ceil_mode: bool,
    pub count_include_pad: bool,
}

impl Case {
    pub fn new(shape: [usize; 4], kernel: [usize; 2], stride: [usize; 2], pad: [[isize; 2]; 2]) -> Self {
        let window = Window { stride, pad, ..Window::new(kernel) };
        Case { shape, window, ceil_mode: false, count_include_pad: false }
    }

    pub fn max(&self) -> MaxPool2d {
        let Window { kernel, stride, dilation, pad } = self.window;
        MaxPool2d::new(kernel, stride).dilation(dilation).padding(pad).ceil_mode(self.ceil_mode)
    }

    pub fn average(&self) -> AvgPool2d {
        let Window { kernel, stride, dilation, pad } = self.window;
        AvgPool2d::new(kernel, stride)
            .dilation(dilation)
            .padding(pad)
            .ceil_mode(self.ceil_mode)
            .count_include_pad(self.count_include_pad)
    }

    /// The output's shape by the oracle, if there is an output.
    pub fn pooled(&self) -> Option<[usize; 4]> {
        let [n, h, w, c] = self.shape;
        let size = [(h, 0), (w, 1)].map(|(len, axis)| self.window.pool_out_size(len, axis, self.ceil_mode));
        (!size.contains(&0)).then_some([n, size[0], size[1], c])
    }

    pub fn random(random: &mut Random) -> Self {
        let mut two = |from: usize, n: usize| [from + random.below(n), from + random.below(n)];
        let (kernel, stride, dilation, [h, w]) = (two(1, 4), two(1, 5), two(1, 3), two(1, 12));
        let pad = std::array::from_fn(|_| two(0, 5).map(|p| p as isize));
        let shape = [random.pick(&[1, 1, 2, 3, 0]), h, w, 1 + random.below(70)];
        let window = Window { kernel, stride, dilation, pad };
        Case { shape, window, ceil_mode: random.below(2) == 0, count_include_pad: random.below(2) == 0 }
    }
}

/// The levels, and the oracle's answers once for all of them.
pub fn check_max<T: Number>(case: &Case, x: &Array4<T>, random: &mut Random) {
    let (pool, window) = (case.max(), &case.window);
    let (y, index) = reference::max_pool_with_indices(x, window, case.ceil_mode);
    assert_eq!(pool.output_shape(case.shape), Ok(y.shape), "{case:?}");
    let dy = random.integers::<T>(y.shape, 9);
    let old = random.integers::<T>(x.shape, 9);
    let gradient = |ties| reference::max_pool_backward(x, &dy, window, case.ceil_mode, ties);
    let (all, first) = (gradient(reference::Ties::All), gradient(reference::Ties::First));
    let add = |dx: &Array4<T>| Array4::from_fn(dx.shape, |i| old[i] + dx[i]);
    let (all, first) = ([add(&all), all], [add(&first), first]);
    for level in levels() {
        let layouts: [Layout; 4] = std::array::from_fn(|_| random.pick(&LAYOUTS));
        let what = (case, level, layouts, T::name());
        let x = Held::new(x, layouts[0], T::NAN);
        let mut got = output(y.shape, layouts[1]);
        pool.forward(x.view(), got.view_mut(), serial(level)).unwrap();
        assert_same(&got, &y, &what);

        let mut got = output(y.shape, layouts[1]);
        let mut got_index = Held::filled(y.shape, layouts[2], -7, -9);
        pool.forward_with_indices(x.view(), got.view_mut(), got_index.view_mut(), serial(level)).unwrap();
        assert_same(&got, &y, &what);
        assert!(got_index.gaps_are_untouched(|a, b| a == b), "{what:?}");
        assert_eq!(got_index.array(), index, "{what:?}");

        let dy = Held::new(&dy, layouts[2], T::NAN);
        for (i, write) in [Write::Accumulate, Write::Replace].into_iter().enumerate() {
            let start = || if i == 0 { Held::new(&old, layouts[3], T::NAN) } else { output(old.shape, layouts[3]) };
            for (ties, expected) in [(Ties::All, &all[i]), (Ties::First, &first[i])] {
                let mut dx = start();
                pool.backward(x.view(), dy.view(), dx.view_mut(), ties, write, serial(level)).unwrap();
                assert_same(&dx, expected, &(what, ties, write));
            }
            let mut dx = start();
            pool.backward_from_indices(dy.view(), got_index.view(), dx.view_mut(), write, serial(level)).unwrap();
            assert_same(&dx, &first[i], &(what, write));
        }
    }
}

pub fn check_average<T: Number>(case: &Case, random: &mut Random) {
    let Case { shape, window, ceil_mode, count_include_pad } = *case;
    // The oracle sums in the same order and type, so random data has the same bits.
    let x = random.reals::<T>(shape);
    let pool = case.average();
    let y = reference::average_pool(&x, &window, ceil_mode, count_include_pad);
    let dy = random.reals::<T>(y.shape);
    let dx = reference::average_pool_backward(&dy, shape, &window, ceil_mode, count_include_pad);
    check_average_as::<T>(&pool, [&x, &y, &dy, &dx], random, &format!("{case:?}"));
}

pub fn check_average_as<T: Number>(pool: &AvgPool2d, arrays: [&Array4<T>; 4], random: &mut Random, what: &str) {
    let [x, y, dy, dx] = arrays;
    assert_eq!(pool.output_shape(x.shape), Ok(y.shape), "{what}");
    for level in levels() {
        let layouts: [Layout; 4] = std::array::from_fn(|_| random.pick(&LAYOUTS));
        let what = (what, level, layouts, T::name());
        let (x, dy) = (Held::new(x, layouts[0], T::NAN), Held::new(dy, layouts[2], T::NAN));
        let mut got = output(y.shape, layouts[1]);
        pool.forward(x.view(), got.view_mut(), serial(level)).unwrap();
        assert_same(&got, y, &what);
        let mut got = output(dx.shape, layouts[3]);
        pool.backward(dy.view(), got.view_mut(), Write::Replace, serial(level)).unwrap();
        assert_same(&got, dx, &what);
    }
}
