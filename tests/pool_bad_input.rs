//! Whatever is wrong with a pool or its views gives an error, never a panic, and leaves the outputs as they were.

mod common;

use common::*;
use gemmule::{AvgPool2d, Error, MaxPool2d, Padding, Run, Ties, View, ViewMut, Write};

const MAX: usize = usize::MAX;

#[test]
fn wrong_pools() {
    let x = [1, 4, 4, 2];
    let parameter = |argument, given| move |e: Error| matches!(e, Error::Parameter { argument: a, given: g, .. } if a == argument && g == given);
    let refused = |pool: MaxPool2d, is: &dyn Fn(Error) -> bool| {
        let error = pool.output_shape(x).unwrap_err();
        assert!(is(error), "{pool:?}: {error}");
    };
    refused(MaxPool2d::new([0, 1], [1, 1]), &parameter("kernel", 0));
    refused(MaxPool2d::new([1, 1], [1, 0]), &parameter("stride", 0));
    refused(MaxPool2d::new([1, 1], [1, 1]).dilation([0, 1]), &parameter("dilation", 0));
    refused(MaxPool2d::new([2, 2], [1, 1]).padding([[0, 0], [3, -1]]), &parameter("padding", -1));
    refused(MaxPool2d::new([2, 2], [1, 1]).padding(isize::MIN), &parameter("padding", isize::MIN));
    refused(MaxPool2d::adaptive([2, 0]), &parameter("output size", 0));
    refused(MaxPool2d::adaptive([2, 2]).dilation([2, 1]), &parameter("dilation", 2));
    refused(MaxPool2d::global().padding(1), &parameter("padding", 1));
    refused(MaxPool2d::global().ceil_mode(true), &parameter("ceil_mode", 1));
    let large = |axis| move |e: Error| matches!(e, Error::KernelTooLarge { axis: a, .. } if a == axis);
    refused(MaxPool2d::new([5, 1], [1, 1]), &large("height"));
    refused(MaxPool2d::new([1, 3], [1, 1]).dilation([1, 2]), &large("width"));
    for size in [MAX, MAX / 2, MAX / 8, MAX / 16] {
        for pool in [
            MaxPool2d::new([size, 1], [1, 1]),
            MaxPool2d::new([2, 2], [1, 1]).dilation([1, size]),
            MaxPool2d::new([size, size], [size, size]).padding(Padding::SameUpper),
        ] {
            refused(pool, &|_| true);
        }
        let _ = MaxPool2d::new([1, 1], [size, size]).padding((size / 2) as isize).ceil_mode(true).output_shape(x);
    }
    assert!(MaxPool2d::global().padding(0).output_shape(x).is_ok());
    assert!(AvgPool2d::adaptive([0, 1]).output_shape(x).is_err());
    assert!(AvgPool2d::new([2, 2], [1, 1]).padding(-1).output_shape(x).is_err());
}

#[test]
fn wrong_shapes_leave_the_outputs_alone() {
    let (max, average) = (MaxPool2d::new([2, 2], [2, 2]), AvgPool2d::new([2, 2], [2, 2]));
    let x = Held::filled([1, 4, 6, 3], Layout::Nhwc, 1.0f32, 0.0);
    let right = || output::<f32>([1, 2, 3, 3], Layout::Nhwc);
    let named = |result: Result<(), Error>, name: &str| {
        assert!(matches!(result, Err(Error::Shape { argument, .. }) if argument == name), "{name}: {result:?}");
    };
    for wrong in [[2, 2, 3, 3], [1, 3, 2, 3], [1, 2, 2, 3], [1, 2, 3, 4], [1, 2, 3, 0]] {
        let (mut y, mut dx) = (output::<f32>(wrong, Layout::Nhwc), output::<f32>([1, 4, 6, 3], Layout::Nhwc));
        let mut index = Held::filled(wrong, Layout::Nhwc, -5, -5);
        named(max.forward(x.view(), y.view_mut(), Run::new()), "y");
        named(average.forward(x.view(), y.view_mut(), Run::new()), "y");
        named(max.forward_with_indices(x.view(), right().view_mut(), index.view_mut(), Run::new()), "indices");
        named(max.backward(x.view(), y.view(), dx.view_mut(), Ties::All, Write::Replace, Run::new()), "dy");
        named(average.backward(y.view(), dx.view_mut(), Write::Replace, Run::new()), "dy");
        named(
            max.backward_from_indices(right().view(), index.view(), dx.view_mut(), Write::Replace, Run::new()),
            "indices",
        );
        let dx_as_wrong = max.backward(x.view(), right().view(), y.view_mut(), Ties::First, Write::Replace, Run::new());
        named(dx_as_wrong, "dx");
        assert!(y.data.iter().chain(&dx.data).all(|v| v.is_nan()) && index.data.iter().all(|&i| i == -5));
    }
}

#[test]
fn wrong_indices_leave_dx_alone() {
    let pool = MaxPool2d::new([2, 2], [2, 2]);
    let dy = Held::filled([1, 2, 3, 3], Layout::Nhwc, 1.0f64, 0.0);
    for layout in LAYOUTS {
        for wrong in [-2, i64::MIN, 24, i64::MAX] {
            let mut index = Held::filled([1, 2, 3, 3], layout, 23, 0);
            let mut dx = output::<f64>([1, 4, 6, 3], layout);
            let run = |index: &Held<i64>, dx: &mut Held<f64>| {
                pool.backward_from_indices(dy.view(), index.view(), dx.view_mut(), Write::Replace, Run::new())
            };
            let mut array = index.array();
            array[[0, 1, 2, 1]] = wrong;
            index = Held::new(&array, layout, 0);
            assert_eq!(run(&index, &mut dx), Err(Error::Index { argument: "indices", bound: 24, given: wrong }));
            assert!(dx.data.iter().all(|v| v.is_nan()));
            array[[0, 1, 2, 1]] = -1;
            assert_eq!(run(&Held::new(&array, layout, 0), &mut dx), Ok(()));
            // Anywhere in the plane is right: this is max unpooling.
            assert_eq!(dx.array().data.iter().sum::<f64>(), 17.0);
        }
    }
}

#[test]
fn huge_shapes_that_hold_nothing() {
    for shape in [[0, 4, 4, MAX], [MAX, 4, 4, 0], [0, MAX / 64, MAX / 64, 1]] {
        let y = |pool: &MaxPool2d| pool.output_shape(shape);
        for pool in [MaxPool2d::new([2, 2], [2, 2]), MaxPool2d::adaptive([2, 2]), MaxPool2d::adaptive([MAX, MAX])] {
            let y = y(&pool).unwrap();
            let (mut a, mut b, mut c) = ([0.0f32; 0], [0.0; 0], [0; 0]);
            let Ok(x) = View::new(&[], shape, [1; 4]) else { continue };
            let Ok(dy) = View::new(&[], y, [1; 4]) else { continue };
            let Ok(index) = View::new(&[], y, [1; 4]) else { continue };
            pool.forward(x, ViewMut::new(&mut a, y, [1; 4]).unwrap(), Run::new()).unwrap();
            let indices = ViewMut::new(&mut c, y, [1; 4]).unwrap();
            let _ = pool.forward_with_indices(x, ViewMut::new(&mut a, y, [1; 4]).unwrap(), indices, Run::new());
            for ties in [Ties::All, Ties::First] {
                let dx = ViewMut::new(&mut b, shape, [1; 4]).unwrap();
                pool.backward(x, dy, dx, ties, Write::Replace, Run::new()).unwrap();
            }
            let dx = ViewMut::new(&mut b, shape, [1; 4]).unwrap();
            pool.backward_from_indices(dy, index, dx, Write::Replace, Run::new()).unwrap();
        }
    }
}

#[test]
fn views_that_repeat_their_elements() {
    // One element for all channels, or for all pixels.
    for strides in [[0, 5, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [3, 1, 1, 1]] {
        let data: Vec<f32> = (0..60).map(|i| (i % 7) as f32).collect();
        let shape = [2, 4, 5, 6];
        let x = View::new(&data, shape, strides).unwrap();
        let dense = gemmule::Tensor::from_view(x).unwrap();
        let pool = MaxPool2d::new([3, 2], [1, 2]);
        let pooled = pool.output_shape(shape).unwrap();
        let [mut a, mut b] = [output::<f32>(pooled, Layout::Nhwc), output::<f32>(pooled, Layout::Nhwc)];
        pool.forward(x, a.view_mut(), Run::new()).unwrap();
        pool.forward(dense.view(), b.view_mut(), Run::new()).unwrap();
        assert_same(&a, &b.array(), &strides);
        let [mut a, mut b] = [output::<f32>(shape, Layout::Nhwc), output::<f32>(shape, Layout::Nhwc)];
        let dy = View::new(&data, pooled, [0, 1, 2, 0]).unwrap();
        pool.backward(x, dy, a.view_mut(), Ties::First, Write::Replace, Run::new()).unwrap();
        pool.backward(dense.view(), dy, b.view_mut(), Ties::First, Write::Replace, Run::new()).unwrap();
        assert_same(&a, &b.array(), &strides);
    }
}
