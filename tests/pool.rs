//! Pooling against the oracle: every level, both types, every layout, to the bit.

mod common;

use common::pool::{Case, check_average, check_average_as, check_max};
use common::*;
use gemmule::{AvgPool2d, Error, MaxPool2d, Padding, Run, Ties, Workspace, Write};
use gemmule_reference::{self as reference, Array4, Window, indices};

/// Shapes that cross the edges of tiles, strips and vectors, each of its own kind.
fn table() -> Vec<Case> {
    let mut cases = vec![
        Case::new([1, 1, 1, 1], [1, 1], [1, 1], [[0, 0], [0, 0]]),
        Case::new([1, 1, 1, 5], [3, 3], [2, 2], [[1, 1], [1, 1]]),
        Case::new([1, 2, 2, 3], [1, 1], [1, 1], [[3, 0], [0, 2]]), // windows in the padding
        Case::new([2, 7, 9, 33], [2, 3], [3, 5], [[0, 1], [2, 0]]), // strides beyond the kernel
        Case::new([1, 40, 70, 6], [3, 3], [1, 2], [[1, 1], [1, 1]]), // several tiles of rows and columns
        Case::new([1, 9, 140, 20], [3, 2], [1, 1], [[1, 0], [0, 1]]),
        Case::new([1, 30, 30, 70], [5, 5], [2, 2], [[2, 2], [2, 2]]),
        Case::new([1, 6, 5, 700], [3, 3], [1, 1], [[1, 1], [1, 1]]), // more channels than are reduced together
        Case::new([1, 5, 60, 48], [3, 3], [1, 1], [[1, 1], [1, 1]]), // more columns than are kept
        Case::new([1, 40, 7, 80], [33, 2], [2, 1], [[5, 9], [1, 0]]), // more rows of taps than columns are kept
        Case::new([1, 4, 90, 3], [2, 2], [1, 3], [[3, 3], [0, 4]]),
        Case::new([1, 190, 190, 2], [180, 179], [7, 9], [[0, 0], [0, 0]]), // too large for a strip
        Case::new([3, 0, 2, 4], [1, 1], [1, 1], [[1, 1], [0, 0]]),         // nothing but padding
        Case::new([0, 5, 5, 4], [2, 2], [2, 2], [[0, 0], [0, 0]]),
        Case::new([2, 5, 5, 0], [2, 2], [2, 2], [[0, 0], [0, 0]]),
    ];
    // Every number of rows at a time, of windows that share them, and padding of all widths.
    for (rows, stride) in (2..=9).flat_map(|rows| [(rows, [1, 1]), (rows, [2, 2])]) {
        cases.push(Case::new([1, rows, 7, 20], [3, 3], stride, [[1, 1], [1, 1]]));
        cases.push(Case::new([1, 2 * rows, 7, 70], [2, 2], [2, 2], [[0, 1], [1, 0]]));
        cases.push(Case::new([1, rows + 2, 9, 70], [3, 3], stride, [[0, 0], [0, 0]]));
        cases.push(Case::new([2, rows, 5, 9], [3, 3], stride, [[4, 0], [2, 5]]));
    }
    // Every tail of every level.
    cases.extend((1..=70).map(|c| Case::new([1, 5, 4, c], [3, 3], [2, 2], [[1, 0], [0, 1]])));
    cases
}

fn check_table<T: Number>() {
    let mut random = Random(5);
    for case in table() {
        check_max(&case, &random.integers::<T>(case.shape, 20), &mut random);
        check_max(&case, &random.awkward::<T>(case.shape), &mut random);
        check_average::<T>(&case, &mut random);
    }
}

#[test]
fn the_table_in_f32() {
    check_table::<f32>();
}

#[test]
fn the_table_in_f64() {
    check_table::<f64>();
}

/// Windows that have taps in common look at each of those once.
fn check_single_nans<T: Number>() {
    let mut random = Random(6);
    for (kernel, stride, pad) in [(3, 1, 0), (3, 1, 1), (3, 2, 0), (3, 2, 1), (3, 3, 2), (2, 2, 0), (2, 2, 1)] {
        let case = Case::new([1, 7, 8, 19], [kernel, kernel], [stride, stride], [[pad, pad], [pad, pad]]);
        let x = random.integers::<T>(case.shape, 20);
        for (y, column) in (0..7).flat_map(|y| (0..8).map(move |column| (y, column))) {
            let mut x = x.clone();
            x[[0, y, column, (y * 8 + column) % 19]] = T::NAN;
            let expected = reference::max_pool(&x, &case.window, false);
            for level in levels() {
                let mut got = output(expected.shape, LAYOUTS[0]);
                let held = Held::new(&x, LAYOUTS[0], T::NAN);
                case.max().forward(held.view(), got.view_mut(), serial(level)).unwrap();
                assert_same(&got, &expected, &(&case, y, column, level));
            }
        }
    }
}

#[test]
fn a_single_nan_is_found() {
    check_single_nans::<f32>();
    check_single_nans::<f64>();
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 80, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_window(seed: u64) {
        let mut random = Random(seed);
        let case = Case::random(&mut random);
        if case.pooled().is_none() {
            assert!(case.max().output_shape(case.shape).is_err(), "{case:?}");
            assert!(case.average().output_shape(case.shape).is_err(), "{case:?}");
        } else if seed % 2 == 0 {
            check_max(&case, &random.awkward::<f32>(case.shape), &mut random);
            check_average::<f64>(&case, &mut random);
        } else {
            check_max(&case, &random.awkward::<f64>(case.shape), &mut random);
            check_average::<f32>(&case, &mut random);
        }
    }
}

/// The part of `x` that one adaptive window sees.
fn region<T: Number>(x: &Array4<T>, [oh, ow]: [usize; 2], [oy, ox]: [usize; 2]) -> (Array4<T>, [usize; 2]) {
    let [n, h, w, c] = x.shape;
    let [y0, x0] = [oy * h / oh, ox * w / ow];
    let [y1, x1] = [((oy + 1) * h).div_ceil(oh), ((ox + 1) * w).div_ceil(ow)];
    (Array4::from_fn([n, y1 - y0, x1 - x0, c], |[n, y, x_, c]| x[[n, y0 + y, x0 + x_, c]]), [y0, x0])
}

fn check_adaptive<T: Number>() {
    let mut random = Random(8);
    for (shape, out) in [
        ([2, 7, 7, 130], [1, 1]),
        ([1, 5, 8, 7], [3, 3]),
        ([1, 3, 2, 20], [5, 7]),
        ([1, 33, 70, 5], [16, 9]),
        ([1, 64, 64, 9], [1, 1]),
        ([1, 200, 200, 3], [1, 2]),
        ([0, 4, 4, 3], [2, 2]),
    ] {
        let x = random.reals::<T>(shape);
        let y = reference::adaptive_average_pool(&x, out);
        let dy = random.integers::<T>(y.shape, 9);
        let dx = reference::adaptive_average_pool_backward(&dy, shape);
        let what = format!("{shape:?} to {out:?}");
        check_average_as::<T>(&AvgPool2d::adaptive(out), [&x, &y, &dy, &dx], &mut random, &what);

        let x = random.integers::<T>(shape, 3);
        let (mut y, mut index) = (Array4::zeros(dy.shape), Array4::filled(dy.shape, 0));
        let mut gradients = [Array4::zeros(shape), Array4::zeros(shape)];
        for at in indices([1, out[0], out[1], 1]) {
            let (part, origin) = region(&x, out, [at[1], at[2]]);
            let whole = Window::new([part.shape[1], part.shape[2]]);
            let (max, place) = reference::max_pool_with_indices(&part, &whole, false);
            let part_dy = Array4::from_fn(max.shape, |[n, _, _, c]| dy[[n, at[1], at[2], c]]);
            for [n, _, _, c] in indices(max.shape) {
                let place = place[[n, 0, 0, c]] as usize;
                let [py, px] = [place / part.shape[2] + origin[0], place % part.shape[2] + origin[1]];
                y[[n, at[1], at[2], c]] = max[[n, 0, 0, c]];
                index[[n, at[1], at[2], c]] = (py * shape[2] + px) as i64;
            }
            for (dx, ties) in gradients.iter_mut().zip([reference::Ties::All, reference::Ties::First]) {
                let part_dx = reference::max_pool_backward(&part, &part_dy, &whole, false, ties);
                for [n, iy, ix, c] in indices(part_dx.shape) {
                    dx[[n, iy + origin[0], ix + origin[1], c]] += part_dx[[n, iy, ix, c]];
                }
            }
        }
        let pool = MaxPool2d::adaptive(out);
        for level in levels() {
            let layouts: [Layout; 4] = std::array::from_fn(|_| random.pick(&LAYOUTS));
            let what = (&what, level, layouts);
            let (x, dy) = (Held::new(&x, layouts[0], T::NAN), Held::new(&dy, layouts[1], T::NAN));
            let (mut got, mut got_index) = (output(y.shape, layouts[2]), Held::filled(y.shape, layouts[3], 0, 0));
            pool.forward_with_indices(x.view(), got.view_mut(), got_index.view_mut(), serial(level)).unwrap();
            assert_same(&got, &y, &what);
            assert_eq!(got_index.array(), index, "{what:?}");
            for (ties, dx) in [Ties::All, Ties::First].into_iter().zip(&gradients) {
                let mut got = output(shape, layouts[3]);
                pool.backward(x.view(), dy.view(), got.view_mut(), ties, Write::Replace, serial(level)).unwrap();
                assert_same(&got, dx, &(what, ties));
            }
        }
    }
}

#[test]
fn adaptive_in_f32() {
    check_adaptive::<f32>();
}

#[test]
fn adaptive_in_f64() {
    check_adaptive::<f64>();
}

#[test]
fn global_is_adaptive_to_one() {
    assert_eq!(MaxPool2d::global(), MaxPool2d::adaptive([1, 1]));
    assert_eq!(AvgPool2d::global(), AvgPool2d::adaptive([1, 1]));
    // An empty plane: the maximum of nothing, the mean of nothing.
    let x = Held::filled([2, 0, 3, 4], Layout::Nhwc, 0.0f32, 0.0);
    let mut y = output([2, 1, 1, 4], Layout::Nhwc);
    let mut index = Held::filled([2, 1, 1, 4], Layout::Nhwc, 0, 0);
    MaxPool2d::global().forward_with_indices(x.view(), y.view_mut(), index.view_mut(), Run::new()).unwrap();
    assert_same(&y, &Array4::filled([2, 1, 1, 4], f32::NEG_INFINITY), &"max");
    assert_eq!(index.array(), Array4::filled([2, 1, 1, 4], -1));
    AvgPool2d::global().forward(x.view(), y.view_mut(), Run::new()).unwrap();
    assert_same(&y, &Array4::zeros([2, 1, 1, 4]), &"average");
}

#[test]
fn same_padding_is_the_explicit_one() {
    let x = Random(3).integers::<f32>([1, 8, 5, 3], 20);
    for (padding, pad) in [(Padding::SameUpper, [[0, 1], [1, 1]]), (Padding::SameLower, [[1, 0], [1, 1]])] {
        let case = Case::new(x.shape, [3, 3], [2, 2], pad);
        let expected = reference::max_pool(&x, &case.window, false);
        let mut y = output(expected.shape, Layout::Nhwc);
        let pool = MaxPool2d::new([3, 3], [2, 2]).padding(padding);
        pool.forward(Held::new(&x, Layout::Nchw, 0.0).view(), y.view_mut(), Run::new()).unwrap();
        assert_same(&y, &expected, &padding);
    }
}

/// Offsets above 2^24 are not exact in `f32`: there a window is cut into segments.
#[test]
fn indices_are_exact_in_huge_planes() {
    let top = 1 << 24;
    for ([h, w], step, at) in [([1, top + 9], 1, top + 7), ([5, top / 2], 1, 2 * top + 5), ([1, top + 9], 5, top + 4)] {
        let shape = [1, h, w, 1];
        let mut x = Held::filled(shape, Layout::Nhwc, 0.0f32, 0.0);
        for (i, value) in [(step, 1.0), (at - step, 1.5), (at, 2.0), (at + step, 2.0)] {
            if let Some(x) = x.data.get_mut(3 + i) {
                *x = value;
            }
        }
        let pool = MaxPool2d::new([h, w.div_ceil(step)], [1, step]).dilation([1, step]);
        let (mut y, mut index) = (output([1; 4], Layout::Nhwc), Held::filled([1; 4], Layout::Nhwc, 0, 0));
        pool.forward_with_indices(x.view(), y.view_mut(), index.view_mut(), Run::new()).unwrap();
        assert_eq!((y.array().data, index.array().data), (vec![2.0], vec![at as i64]));
        let dy = Held::filled([1; 4], Layout::Nhwc, 7.0, 0.0);
        let mut dx = Held::filled(shape, Layout::Nhwc, f32::NAN, f32::NAN);
        pool.backward(x.view(), dy.view(), dx.view_mut(), Ties::First, Write::Replace, Run::new()).unwrap();
        let hit = |&(_, &dx): &(usize, &f32)| dx != 0.0;
        let hits: Vec<_> = dx.data[3..][..h * w].iter().enumerate().filter(hit).collect();
        assert_eq!(hits, [(at, &7.0)]);
    }
}

#[test]
fn every_executor_gives_the_same_bits() {
    let mut random = Random(11);
    for stride in [[2, 1], [1, 1], [2, 2]] {
        let case = Case::new([2, 30, 31, 40], [3, 3], stride, [[1, 0], [1, 1]]);
        every_executor(&case, &mut random);
    }
}

fn every_executor(case: &Case, random: &mut Random) {
    let (max, average) = (case.max(), case.average());
    for layout in [Layout::Nhwc, Layout::Nchw] {
        let (x, pooled) = (Held::new(&random.reals::<f32>(case.shape), layout, f32::NAN), case.pooled().unwrap());
        let dy = Held::new(&random.reals::<f32>(pooled), layout, f32::NAN);
        let outputs = |executor: &dyn gemmule::Executor| -> Result<Vec<Vec<f32>>, Error> {
            let run = || Run::new().executor(executor);
            let mut y: [_; 3] = std::array::from_fn(|_| output::<f32>(pooled, layout));
            let mut dx: [_; 4] = std::array::from_fn(|_| output::<f32>(case.shape, layout));
            let mut index = Held::filled(pooled, layout, 0, 0);
            max.forward(x.view(), y[0].view_mut(), run())?;
            max.forward_with_indices(x.view(), y[1].view_mut(), index.view_mut(), run())?;
            average.forward(x.view(), y[2].view_mut(), run())?;
            for (ties, dx) in [Ties::All, Ties::First].into_iter().zip(&mut dx) {
                max.backward(x.view(), dy.view(), dx.view_mut(), ties, Write::Replace, run())?;
            }
            max.backward_from_indices(dy.view(), index.view(), dx[2].view_mut(), Write::Replace, run())?;
            average.backward(dy.view(), dx[3].view_mut(), Write::Replace, run())?;
            Ok(y.into_iter().chain(dx).map(|held| held.array().data).collect())
        };
        let expected = outputs(&gemmule::Serial).unwrap();
        assert_eq!(expected[0], expected[1]);
        assert_eq!(expected[4], expected[5]);
        on_all_executors(|executor, name| {
            for (got, expected) in outputs(executor).unwrap().iter().zip(&expected) {
                assert!(got.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
            }
        });
        if cfg!(any(feature = "std", feature = "simd")) {
            assert!(matches!(outputs(&Never), Err(Error::Executor { done: 0, .. })));
        }
    }
}

#[test]
fn what_gets_no_gradient_keeps_its_bits() {
    let (x, dy) =
        (Held::filled([1, 1, 2, 33], Layout::Nhwc, 1.0f32, 0.0), Held::filled([1, 1, 1, 33], Layout::Nhwc, 1.0, 0.0));
    let expected = Array4::from_fn([1, 1, 2, 33], |[_, _, x, _]| if x == 0 { 1.0 } else { -0.0 });
    for level in levels() {
        let mut dx = Held::filled([1, 1, 2, 33], Layout::Nhwc, -0.0, f32::NAN);
        let pool = MaxPool2d::global();
        pool.backward(x.view(), dy.view(), dx.view_mut(), Ties::First, Write::Accumulate, serial(level)).unwrap();
        assert_same(&dx, &expected, &level);
    }
}

/// An image's bits depend neither on its batch nor on its layout.
#[test]
fn the_same_bits_alone_and_in_a_batch_and_in_every_layout() {
    let mut random = Random(12);
    let case = Case::new([3, 21, 70, 19], [5, 4], [2, 1], [[2, 1], [2, 2]]);
    let (x, pooled) = (random.reals::<f32>(case.shape), case.pooled().unwrap());
    let dy = random.reals::<f32>(pooled);
    let run = |layout, x: &Array4<f32>, dy: &Array4<f32>| {
        let (x, dy) = (Held::new(x, layout, 0.0), Held::new(dy, layout, 0.0));
        let (mut y, mut dx) = (output(dy.array().shape, layout), Held::filled(x.array().shape, layout, 0.1, 0.0));
        case.average().forward(x.view(), y.view_mut(), Run::new()).unwrap();
        case.average().backward(dy.view(), dx.view_mut(), Write::Accumulate, Run::new()).unwrap();
        let ties = if layout == Layout::Nhwc { Ties::First } else { Ties::All }; // the same: nothing is equal here
        case.max().backward(x.view(), dy.view(), dx.view_mut(), ties, Write::Accumulate, Run::new()).unwrap();
        (y.array(), dx.array())
    };
    let (y, dx) = run(Layout::Nhwc, &x, &dy);
    for layout in LAYOUTS {
        assert_eq!(run(layout, &x, &dy), (y.clone(), dx.clone()), "{layout:?}");
    }
    let one =
        |a: &Array4<f32>| Array4::from_fn([1, a.shape[1], a.shape[2], a.shape[3]], |[_, h, w, c]| a[[1, h, w, c]]);
    assert_eq!(run(Layout::Nhwc, &one(&x), &one(&dy)), (one(&y), one(&dx)));
}

#[test]
fn a_workspace_is_enough_and_a_short_one_is_refused() {
    let (mut random, shape) = (Random(1), [1, 40, 40, 30]);
    let x = Held::new(&random.reals::<f32>(shape), Layout::Nchw, 0.0);
    let (pool, mut workspace) = (MaxPool2d::new([2, 2], [2, 2]), Workspace::new());
    let mut y = output([1, 20, 20, 30], Layout::Nchw);
    let run = Run::new().executor(&gemmule::Serial).workspace(&mut workspace);
    pool.forward(x.view(), y.view_mut(), run).unwrap();
    assert!((1..1 << 16).contains(&workspace.len()), "{}", workspace.len());
    let mut y = output([1, 20, 20, 30], Layout::Nchw);
    let error = pool.forward(x.view(), y.view_mut(), Run::new().scratch(&mut [0.0; 7])).unwrap_err();
    assert!(matches!(error, Error::Workspace { given: 7, .. }), "{error}");
    assert!(y.data.iter().all(|y| y.is_nan()));
}

/// A lent slice of exactly the length that is said to be enough, for images of any size.
#[test]
fn the_workspace_is_known_beforehand() {
    let mut random = Random(2);
    for shape in [[1, 40, 40, 30], [1, 9, 7, 70], [2, 300, 300, 3]] {
        let x = Held::new(&random.reals::<f32>(shape), Layout::Nchw, 0.0);
        for (max, average) in [
            (MaxPool2d::new([3, 3], [2, 2]).padding(1), AvgPool2d::new([3, 3], [2, 2]).padding(1)),
            (MaxPool2d::global(), AvgPool2d::global()),
        ] {
            let pooled = max.output_shape(shape).unwrap();
            let dy = Held::new(&random.reals::<f32>(pooled), Layout::Nchw, 0.0);
            let mut scratch = vec![f32::NAN; max.workspace_len(shape[3], 1)];
            assert_eq!(scratch.len(), average.workspace_len(shape[3], 1));
            let (mut y, mut dx) = (output(pooled, Layout::Nchw), output(shape, Layout::Nchw));
            // A macro, for each run borrows the slice anew.
            macro_rules! run {
                () => {
                    Run::new().executor(&gemmule::Serial).scratch(&mut scratch)
                };
            }
            max.forward(x.view(), y.view_mut(), run!()).unwrap();
            max.backward(x.view(), dy.view(), dx.view_mut(), Ties::First, Write::Replace, run!()).unwrap();
            max.backward(x.view(), dy.view(), dx.view_mut(), Ties::All, Write::Replace, run!()).unwrap();
            average.forward(x.view(), y.view_mut(), run!()).unwrap();
            average.backward(dy.view(), dx.view_mut(), Write::Replace, run!()).unwrap();
        }
    }
}
