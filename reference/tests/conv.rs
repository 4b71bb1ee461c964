//! Convolution: values by hand, and the identities that tie forward, backward and transposed together.

use gemmule_reference::*;

/// Small integers that look random, so that sums are exact and a wrong index shows.
fn integers(shape: [usize; 4], seed: u64) -> Array4<f64> {
    let mut state = seed;
    Array4::from_fn(shape, |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % 7) as f64 - 3.0
    })
}

fn dot(a: &Array4<f64>, b: &Array4<f64>) -> f64 {
    assert_eq!(a.shape, b.shape);
    a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum()
}

fn plane(h: usize, w: usize, values: &[f64]) -> Array4<f64> {
    Array4::new([1, h, w, 1], values.to_vec())
}

struct Case {
    x: [usize; 3],
    c_out: usize,
    groups: usize,
    window: Window,
}

/// Plain, strided, dilated, asymmetric, grouped, depthwise and cropped; with and without a remainder of the stride.
fn cases() -> Vec<Case> {
    let window = |kernel, stride, dilation, pad| Window { kernel, stride, dilation, pad };
    vec![
        Case { x: [5, 6, 2], c_out: 3, groups: 1, window: Window::new([3, 3]) },
        Case { x: [5, 6, 2], c_out: 3, groups: 1, window: window([3, 3], [1, 1], [1, 1], [[1, 1], [1, 1]]) },
        Case { x: [7, 8, 1], c_out: 2, groups: 1, window: window([3, 2], [2, 3], [1, 1], [[1, 0], [0, 2]]) },
        Case { x: [9, 8, 2], c_out: 2, groups: 1, window: window([3, 3], [1, 2], [2, 3], [[2, 2], [0, 1]]) },
        Case { x: [5, 5, 4], c_out: 6, groups: 2, window: window([3, 1], [1, 1], [1, 1], [[1, 1], [0, 0]]) },
        Case { x: [6, 5, 3], c_out: 6, groups: 3, window: window([3, 3], [2, 2], [1, 1], [[1, 1], [1, 1]]) },
        Case { x: [7, 6, 2], c_out: 2, groups: 1, window: window([2, 3], [1, 2], [1, 1], [[-1, -2], [-1, 1]]) },
    ]
}

impl Case {
    fn tensors(&self) -> (Array4<f64>, Array4<f64>, Array4<f64>) {
        let [h, w, c_in] = self.x;
        let [kh, kw] = self.window.kernel;
        let x = integers([2, h, w, c_in], 1);
        let weights = integers([kh, kw, c_in / self.groups, self.c_out], 2);
        let dz = integers([2, self.window.conv_out_size(h, 0), self.window.conv_out_size(w, 1), self.c_out], 3);
        (x, weights, dz)
    }
}

#[test]
fn single_step_is_a_dot_product_and_a_bias() {
    assert_eq!(conv_single_step(&[1.0f32, 2.0, 3.0], &[4.0, -5.0, 6.0], 0.5), 12.5);
    assert_eq!(conv_single_step::<f64>(&[], &[], 0.5), 0.5);
}

#[test]
fn two_by_two_by_hand() {
    let x = plane(3, 3, &[1., 2., 3., 4., 5., 6., 7., 8., 9.]);
    let w = Array4::new([2, 2, 1, 1], vec![1., 10., 100., 1000.]);
    let z = conv_forward(&x, &w, Some(&[0.5]), &Window::new([2, 2]), 1);
    assert_eq!(z, plane(2, 2, &[5421.5, 6532.5, 8754.5, 9865.5]));
}

#[test]
fn padding_stride_and_dilation_by_hand() {
    let x = plane(1, 5, &[1., 2., 3., 4., 5.]);
    let w = Array4::new([1, 3, 1, 1], vec![1., 10., 100.]);
    let window = Window { kernel: [1, 3], stride: [1, 2], dilation: [1, 2], pad: [[0, 0], [2, 1]] };
    // Taps at -2 0 2, 0 2 4; the next would reach 6, beyond the padded end.
    assert_eq!(conv_forward(&x, &w, None, &window, 1), plane(1, 2, &[310., 531.]));
}

#[test]
fn channels_and_groups_by_hand() {
    let x = Array4::new([1, 1, 1, 4], vec![1., 2., 3., 4.]);
    let w = Array4::new([1, 1, 2, 2], vec![1., 10., 100., 1000.]); // [ci][co]
    let z = conv_forward(&x, &w, Some(&[0.25, 0.5]), &Window::new([1, 1]), 2);
    assert_eq!(z.data, [1. + 200. + 0.25, 30. + 4000. + 0.5]);
}

#[test]
fn padding_is_zero_pad_and_negative_padding_crops() {
    let (x, w) = (integers([2, 5, 6, 2], 1), integers([3, 3, 2, 3], 2));
    let window = Window { pad: [[2, 1], [0, 3]], ..Window::new([3, 3]) };
    let padded = zero_pad(&x, [[2, 1], [0, 3]]);
    assert_eq!(padded.shape, [2, 8, 9, 2]);
    let z = conv_forward(&x, &w, None, &window, 1);
    assert_eq!(z, conv_forward(&padded, &w, None, &Window::new([3, 3]), 1));

    let crop = Window { pad: [[-2, -1], [0, -3]], ..Window::new([3, 3]) };
    assert_eq!(conv_forward(&padded, &w, None, &crop, 1), conv_forward(&x, &w, None, &Window::new([3, 3]), 1));
}

#[test]
fn empty_batches_and_kernels_that_do_not_fit() {
    let w = Array4::<f32>::zeros([3, 3, 1, 2]);
    let window = Window::new([3, 3]);
    assert_eq!(conv_forward(&Array4::zeros([0, 4, 4, 1]), &w, None, &window, 1).shape, [0, 2, 2, 2]);
    assert_eq!(conv_forward(&Array4::zeros([1, 2, 4, 1]), &w, None, &window, 1).shape, [1, 0, 2, 2]);
}

#[test]
fn backward_by_hand() {
    let x = plane(1, 3, &[1., 2., 3.]);
    let w = Array4::new([1, 2, 1, 1], vec![10., 100.]);
    let (dx, dw, db) = conv_backward(&x, &w, &plane(1, 2, &[1., 2.]), &Window::new([1, 2]), 1);
    assert_eq!(dx.data, [10., 120., 200.]);
    assert_eq!(dw.data, [5., 8.]);
    assert_eq!(db, [3.]);
}

/// The output is linear in each of x, w and b, so the gradients are its adjoints, exactly.
#[test]
fn backward_is_the_adjoint_of_forward() {
    for case in cases() {
        let (x, w, dz) = case.tensors();
        let Case { window, groups, c_out, .. } = &case;
        let z = conv_forward(&x, &w, None, window, *groups);
        let (dx, dw, db) = conv_backward(&x, &w, &dz, window, *groups);
        assert_eq!(dot(&z, &dz), dot(&x, &dx), "dx of {window:?}");
        assert_eq!(dot(&z, &dz), dot(&w, &dw), "dw of {window:?}");
        let bias: Vec<f64> = (1..=*c_out).map(|co| co as f64).collect();
        let with_bias = conv_forward(&x, &w, Some(&bias), window, *groups);
        let bias_part: f64 = bias.iter().zip(&db).map(|(b, db)| b * db).sum();
        assert_eq!(dot(&with_bias, &dz), dot(&z, &dz) + bias_part, "db of {window:?}");
    }
}

#[test]
fn transpose_by_hand() {
    let x = plane(1, 2, &[1., 2.]);
    let w = Array4::new([1, 3, 1, 1], vec![1., 10., 100.]);
    let window = Window { stride: [1, 2], ..Window::new([1, 3]) };
    let y = conv_transpose(&x, &w, Some(&[0.5]), &window, [0, 0], 1);
    assert_eq!(y, plane(1, 5, &[1.5, 10.5, 102.5, 20.5, 200.5]));
    let window = Window { pad: [[0, 0], [1, 1]], ..window };
    let y = conv_transpose(&x, &w, None, &window, [0, 1], 1);
    assert_eq!(y, plane(1, 4, &[10., 102., 20., 200.]));
}

/// `<conv(x), z> = <x, conv_transpose(z)>` and more: the transposed convolution with the weights' two channel axes
/// swapped is `dx`, exactly, with the stride's remainder as output padding.
#[test]
fn transpose_is_the_adjoint_of_forward() {
    for case in cases() {
        let (x, w, dz) = case.tensors();
        let [kh, kw, group_in, c_out] = w.shape;
        // [ky, kx, co, ci] of the transposed convolution, whose input channels are co.
        let turned = Array4::from_fn([kh, kw, c_out, group_in], |[ky, kx, co, ci]| w[[ky, kx, ci, co]]);
        let size = [x.shape[1], x.shape[2]];
        let output_padding = [0, 1].map(|axis| {
            let smallest = case.window.transpose_out_size(dz.shape[1 + axis], axis, 0);
            size[axis] - smallest
        });
        assert!(output_padding.iter().zip(case.window.stride).all(|(&p, s)| p < s));
        let back = conv_transpose(&dz, &turned, None, &case.window, output_padding, case.groups);
        let (dx, _, _) = conv_backward(&x, &w, &dz, &case.window, case.groups);
        assert_eq!(back, dx, "{:?}", case.window);
        let z = conv_forward(&x, &w, None, &case.window, case.groups);
        assert_eq!(dot(&z, &dz), dot(&x, &back));
    }
}

#[test]
fn groups_are_convolutions_side_by_side() {
    let (x, w) = (integers([1, 4, 4, 4], 1), integers([3, 3, 2, 6], 2));
    let window = Window { pad: [[1, 1], [1, 1]], ..Window::new([3, 3]) };
    let z = conv_forward(&x, &w, None, &window, 2);
    for group in 0..2 {
        let xg = Array4::from_fn([1, 4, 4, 2], |[n, y, x_, c]| x[[n, y, x_, 2 * group + c]]);
        let wg = Array4::from_fn([3, 3, 2, 3], |[ky, kx, ci, co]| w[[ky, kx, ci, 3 * group + co]]);
        let zg = conv_forward(&xg, &wg, None, &window, 1);
        assert_eq!(zg, Array4::from_fn([1, 4, 4, 3], |[n, y, x_, c]| z[[n, y, x_, 3 * group + c]]));
    }
}
