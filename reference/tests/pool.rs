//! Pooling: values by hand, edges of ceil mode, ties, NaN, and adjoint identities.

use gemmule_reference::*;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn row(values: &[f64]) -> Array4<f64> {
    Array4::new([1, 1, values.len(), 1], values.to_vec())
}

/// A window along the width only.
fn row_window(kernel: usize, stride: usize, pad: [isize; 2]) -> Window {
    Window { stride: [1, stride], pad: [[0, 0], pad], ..Window::new([1, kernel]) }
}

fn dot(a: &Array4<f64>, b: &Array4<f64>) -> f64 {
    assert_eq!(a.shape, b.shape);
    a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum()
}

/// All of 0..31 but one, over and over, out of order.
fn numbers(shape: [usize; 4]) -> Array4<f64> {
    let mut v = 0.0;
    Array4::from_fn(shape, |_| {
        v = (v * 3.0 + 1.0) % 31.0;
        v
    })
}

#[test]
fn output_sizes() {
    // (len, kernel, stride, dilation, pad, floor, ceil)
    for (len, kernel, stride, dilation, pad, floor, ceil) in [
        (5, 2, 2, 1, [0, 0], 2, 3),
        (6, 2, 2, 1, [0, 0], 3, 3),
        (112, 3, 2, 1, [1, 1], 56, 57),
        (112, 3, 2, 1, [0, 0], 55, 56),
        (4, 1, 2, 1, [0, 0], 2, 2), // a third window would start at 4, beyond the input
        (3, 2, 2, 1, [1, 1], 2, 2), // likewise in the padding after it
        (4, 3, 2, 1, [1, 1], 2, 3), // starts at the last pixel: stays
        (2, 3, 2, 1, [0, 0], 0, 1), // overhangs
        (7, 3, 2, 2, [0, 0], 2, 2),
        (8, 3, 2, 2, [0, 0], 2, 3),
        (2, 4, 1, 1, [0, 0], 0, 0),
        (0, 1, 1, 1, [0, 0], 0, 0),
    ] {
        let window =
            Window { stride: [1, stride], dilation: [1, dilation], pad: [[0, 0], pad], ..Window::new([1, kernel]) };
        let what = format!("{len} under {window:?}");
        assert_eq!(window.conv_out_size(len, 1), floor, "{what}");
        assert_eq!(window.pool_out_size(len, 1, false), floor, "{what}");
        assert_eq!(window.pool_out_size(len, 1, true), ceil, "{what}");
    }
}

#[test]
fn no_ceil_mode_window_starts_after_the_input_if_padding_is_at_most_half_a_kernel() {
    for [len, kernel, stride, begin] in indices([9, 6, 6, 4]) {
        for end in 0..=kernel / 2 {
            if kernel == 0 || stride == 0 || begin > kernel / 2 {
                continue;
            }
            let window = row_window(kernel, stride, [begin as isize, end as isize]);
            let size = window.pool_out_size(len, 1, true);
            assert!(size <= 1 || window.tap(size - 1, 0, 1) < len as isize, "{len} under {window:?}");
        }
    }
}

#[test]
fn max_by_hand() {
    let x = Array4::new([1, 3, 3, 1], vec![1., 9., 2., 3., 4., 5., 8., 7., 6.]);
    let (y, index) = max_pool_with_indices(&x, &Window::new([2, 2]), false);
    assert_eq!(y.data, [9., 9., 8., 7.]);
    assert_eq!(index.data, [1, 1, 6, 7]);
    let window = Window { stride: [2, 2], pad: [[1, 1], [1, 1]], ..Window::new([2, 2]) };
    let (y, index) = max_pool_with_indices(&x, &window, false);
    assert_eq!(y.data, [1., 9., 8., 7.]);
    assert_eq!(index.data, [0, 1, 6, 7]);
}

#[test]
fn max_keeps_channels_and_images_apart() {
    let x = Array4::from_fn([2, 2, 2, 3], |[n, y, x, c]| (100 * n + 10 * c) as f64 + if c == 1 { x } else { y } as f64);
    let (y, index) = max_pool_with_indices(&x, &Window::new([2, 2]), false);
    assert_eq!(y.data, [1., 11., 21., 101., 111., 121.]);
    assert_eq!(index.data, [2, 1, 2, 2, 1, 2]);
}

#[test]
fn max_with_dilation() {
    let window = Window { dilation: [1, 2], ..Window::new([1, 2]) };
    assert_eq!(max_pool(&row(&[1., 9., 3., 0.]), &window, false).data, [3., 9.]);
}

#[test]
fn max_of_ties_nan_infinity_and_padding() {
    let whole = |values: &[f64]| {
        let (y, index) = max_pool_with_indices(&row(values), &row_window(values.len(), 1, [0, 0]), false);
        (y.data[0], index.data[0])
    };
    assert_eq!(whole(&[0., 5., 5., 1.]), (5., 1));
    assert_eq!(whole(&[-INF, -INF]), (-INF, 0));
    assert_eq!(whole(&[-0.0, 0.0]).1, 0);
    let (value, index) = whole(&[1., NAN, 7., NAN, INF]);
    assert!(value.is_nan() && index == 3);

    // The first window lies in the padding; the second's first valid tap is -inf.
    let (y, index) = max_pool_with_indices(&row(&[-INF, 2.]), &row_window(2, 2, [3, 0]), true);
    assert_eq!((y.data, index.data), (vec![-INF, -INF, 2.], vec![-1, 0, 1]));
}

#[test]
fn mask_marks_every_maximum() {
    assert_eq!(create_mask_from_window(&[1.0f32, 3.0, 3.0, 2.0]), [0.0, 1.0, 1.0, 0.0]);
    assert_eq!(create_mask_from_window(&[-INF, -INF]), [1.0, 1.0]);
    assert_eq!(create_mask_from_window(&[1.0, NAN, 2.0]), [0.0, 0.0, 0.0]);
    assert_eq!(create_mask_from_window::<f64>(&[]), []);
}

#[test]
fn max_backward_with_ties() {
    let (x, dy) = (row(&[5., 5., 1., 5.]), row(&[1., 10., 100.]));
    let window = row_window(2, 1, [0, 0]);
    assert_eq!(max_pool_backward(&x, &dy, &window, false, Ties::All).data, [1., 11., 0., 100.]);
    assert_eq!(max_pool_backward(&x, &dy, &window, false, Ties::First).data, [1., 10., 0., 100.]);
}

#[test]
fn max_backward_in_padding_and_with_nan() {
    let (x, dy) = (row(&[-INF, 2.]), row(&[1., 10., 100.]));
    for ties in [Ties::All, Ties::First] {
        assert_eq!(max_pool_backward(&x, &dy, &row_window(2, 2, [3, 0]), true, ties).data, [10., 100.]);
    }
    let x = row(&[NAN, NAN, 1.]);
    let window = row_window(3, 1, [0, 0]);
    assert_eq!(max_pool_backward(&x, &row(&[4.]), &window, false, Ties::First).data, [0., 4., 0.]);
    assert_eq!(max_pool_backward(&x, &row(&[4.]), &window, false, Ties::All).data, [0., 0., 0.]);
}

#[test]
fn unpooling_puts_the_maxima_back() {
    let x = numbers([2, 4, 4, 3]);
    let window = Window { stride: [2, 2], ..Window::new([2, 2]) };
    let (y, index) = max_pool_with_indices(&x, &window, false);
    let back = max_pool_backward_from_indices(&y, &index, x.shape);
    assert_eq!(max_pool(&back, &window, false), y);
    assert_eq!(back.data.iter().filter(|&&v| v != 0.0).count(), y.data.iter().filter(|&&v| v != 0.0).count());
}

#[test]
fn average_divisors_by_hand() {
    let x = row(&[6., 12., 24., 48.]);
    // Windows at -1..=1, 1..=3, 3..=5: the last reaches one beyond the padded end.
    let window = row_window(3, 2, [1, 1]);
    assert_eq!(average_pool(&x, &window, true, false).data, [9., 28., 48.]);
    assert_eq!(average_pool(&x, &window, true, true).data, [6., 28., 24.]);
    assert_eq!(average_pool(&x, &window, false, true).data, [6., 28.]);
    // A first window in the padding.
    let window = row_window(2, 2, [2, 0]);
    assert_eq!(average_pool(&x, &window, false, false).data, [0., 9., 36.]);
    assert_eq!(average_pool(&x, &window, false, true).data, [0., 9., 36.]);
    // The two axes multiply.
    let x = Array4::new([1, 2, 2, 1], vec![1., 2., 3., 4.]);
    let window = Window { pad: [[1, 0], [0, 0]], ..Window::new([2, 2]) };
    assert_eq!(average_pool(&x, &window, false, false).data, [1.5, 2.5]);
    assert_eq!(average_pool(&x, &window, false, true).data, [0.75, 2.5]);
}

#[test]
fn distributed_values_sum_to_the_whole() {
    assert_eq!(distribute_value(6.0f32, 2, 3), [1.0; 6]);
    assert_eq!(distribute_value(6.0f32, 0, 3), []);
}

#[test]
fn average_backward_by_hand() {
    let window = row_window(3, 2, [1, 1]);
    let dy = row(&[6., 12., 24.]);
    assert_eq!(average_pool_backward(&dy, [1, 1, 4, 1], &window, true, false).data, [3., 7., 4., 28.]);
    assert_eq!(average_pool_backward(&dy, [1, 1, 4, 1], &window, true, true).data, [2., 6., 4., 16.]);
}

#[test]
fn average_backward_is_the_adjoint() {
    let x = numbers([2, 7, 6, 2]);
    let window = Window { kernel: [3, 2], stride: [2, 3], dilation: [1, 2], pad: [[1, 1], [1, 0]] };
    for [ceil_mode, count_include_pad] in [[false, false], [false, true], [true, false], [true, true]] {
        let y = average_pool(&x, &window, ceil_mode, count_include_pad);
        let dy = numbers(y.shape);
        let dx = average_pool_backward(&dy, x.shape, &window, ceil_mode, count_include_pad);
        assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-9);
    }
}

#[test]
fn negative_padding_pools_the_cropped_input() {
    let x = numbers([1, 1, 9, 2]);
    let cropped = Array4::from_fn([1, 1, 6, 2], |[n, y, x_, c]| x[[n, y, x_ + 1, c]]);
    for [kernel, stride, ceil, include, ..] in indices([4, 4, 2, 2]) {
        let (with_crop, plain) =
            (row_window(kernel + 1, stride + 1, [-1, -2]), row_window(kernel + 1, stride + 1, [0, 0]));
        let (ceil, include) = (ceil == 1, include == 1);
        assert_eq!(max_pool(&x, &with_crop, ceil), max_pool(&cropped, &plain, ceil));
        assert_eq!(average_pool(&x, &with_crop, ceil, include), average_pool(&cropped, &plain, ceil, include));
    }
}

#[test]
fn adaptive_windows_by_hand() {
    let x = row(&[1., 3., 5., 7., 9.]);
    assert_eq!(adaptive_average_pool(&x, [1, 3]).data, [2., 5., 8.]); // 0..2, 1..4, 3..5
    assert_eq!(adaptive_average_pool(&x, [1, 5]), x);
    assert_eq!(adaptive_average_pool(&row(&[1., 3.]), [1, 3]).data, [1., 2., 3.]);
    assert_eq!(adaptive_average_pool_backward(&row(&[2., 3., 4.]), [1, 1, 5, 1]).data, [1., 2., 1., 3., 2.]);
}

#[test]
fn adaptive_backward_is_the_adjoint() {
    let x = numbers([2, 7, 5, 3]);
    let y = adaptive_average_pool(&x, [3, 4]);
    let dy = numbers(y.shape);
    assert!((dot(&y, &dy) - dot(&x, &adaptive_average_pool_backward(&dy, x.shape))).abs() < 1e-9);
}

#[test]
fn global_pools_by_hand() {
    let x = Array4::new([1, 2, 2, 2], vec![1., 8., 2., 8., 3., 0., 6., 0.]);
    assert_eq!(global_average_pool(&x), Array4::new([1, 1, 1, 2], vec![3., 4.]));
    assert_eq!(global_max_pool(&x), Array4::new([1, 1, 1, 2], vec![6., 8.]));
    let dy = Array4::new([1, 1, 1, 2], vec![4., 8.]);
    assert_eq!(global_average_pool_backward(&dy, x.shape).data, [1., 2., 1., 2., 1., 2., 1., 2.]);
    assert_eq!(global_max_pool_backward(&x, &dy, Ties::First).data, [0., 8., 0., 0., 0., 0., 4., 0.]);
    assert_eq!(global_max_pool_backward(&x, &dy, Ties::All).data, [0., 8., 0., 8., 0., 0., 4., 0.]);
}

#[test]
fn empty_planes_and_batches() {
    let empty = Array4::<f32>::zeros([1, 0, 3, 1]);
    assert_eq!(global_average_pool(&empty).data, [0.0]);
    assert_eq!(global_max_pool(&empty).data, [f32::NEG_INFINITY]);
    assert_eq!(max_pool(&Array4::<f32>::zeros([0, 4, 4, 2]), &Window::new([2, 2]), true).shape, [0, 3, 3, 2]);
}

#[test]
fn pool_forward_and_backward_delegate() {
    let x = numbers([1, 5, 5, 2]);
    let window = Window { stride: [2, 2], pad: [[1, 1], [1, 1]], ..Window::new([3, 3]) };
    let y = pool_forward(&x, &window, true, PoolMode::Max);
    assert_eq!(y, max_pool(&x, &window, true));
    for ties in [Ties::All, Ties::First] {
        let dx = pool_backward(&x, &y, &window, true, PoolMode::Max, ties);
        assert_eq!(dx, max_pool_backward(&x, &y, &window, true, ties));
    }
    for count_include_pad in [false, true] {
        let mode = PoolMode::Average { count_include_pad };
        assert_eq!(pool_forward(&x, &window, true, mode), average_pool(&x, &window, true, count_include_pad));
        let dx = pool_backward(&x, &y, &window, true, mode, Ties::First);
        assert_eq!(dx, average_pool_backward(&y, x.shape, &window, true, count_include_pad));
    }
}
