//! Blocks of a pool's windows that share work, against the oracle.

mod common;

use common::pool::{Case, check_average, check_max};
use common::*;
use gemmule_reference::{self as reference, Window};

/// Blocks of windows that share work: every width around a block's, every tail of channels, NaN under every tap.
fn check_blocks<T: Number>() {
    let mut random = Random(21);
    let channels = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33];
    for kernel in [2, 3] {
        for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)] {
            for out in 1..=10 {
                let size = (out - 1) * stride + (kernel - 1) * dilation + 1;
                for pad in [[0, 0], [1, 0], [1, 1], [2, 3]] {
                    let pixels = |len: usize| (len as isize - pad[0] - pad[1]).max(1) as usize;
                    let (height, c) = (pixels(size + random.below(9)), random.pick(&channels));
                    let window = Window { dilation: [dilation; 2], ..Window::new([kernel; 2]) };
                    let window = Window { stride: [stride; 2], pad: [pad; 2], ..window };
                    let (ceil_mode, count_include_pad) = (random.below(2) == 0, random.below(2) == 0);
                    let case = Case { shape: [1, height, pixels(size), c], window, ceil_mode, count_include_pad };
                    if case.pooled().is_some() {
                        check_max(&case, &random.awkward::<T>(case.shape), &mut random);
                        check_average::<T>(&case, &mut random);
                    }
                }
            }
        }
    }
    for stride in [1, 2] {
        let case = Case::new([1, 6, 9, 17], [3, 3], [stride; 2], [[1, 1], [1, 1]]);
        let zeros = random.integers::<T>(case.shape, 20);
        for pixel in 0..6 * 9 {
            let mut x = zeros.clone();
            x[[0, pixel / 9, pixel % 9, pixel % 17]] = T::NAN;
            let y = reference::max_pool(&x, &case.window, false);
            for (level, layout) in levels().into_iter().zip(LAYOUTS.into_iter().cycle()) {
                let mut got = output(y.shape, if pixel % 2 == 0 { Layout::Nhwc } else { layout });
                case.max().forward(Held::new(&x, layout, T::NAN).view(), got.view_mut(), serial(level)).unwrap();
                assert_same(&got, &y, &(stride, pixel, level, layout));
            }
        }
    }
}

#[test]
fn blocks_in_f32() {
    check_blocks::<f32>();
}

#[test]
fn blocks_in_f64() {
    check_blocks::<f64>();
}
