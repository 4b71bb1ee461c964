//! What activations refuse, and what odd input they take.

use gemmule::{Activation, Error, Run, View, ViewMut, Write, prelu_backward_slope};

#[test]
fn bad_input_gets_an_error() {
    let (x, dy) = ([0.0f32; 12], [0.0f32; 12]);
    let mut y = [7.0f32; 12];
    let (shape, other) = ([1, 2, 2, 3], [1, 2, 3, 2]);
    let (view, dy, wrong) =
        (View::nhwc(&x, shape).unwrap(), View::nhwc(&dy, shape).unwrap(), View::nhwc(&x, other).unwrap());
    let error = Error::Shape { argument: "y", expected: shape, given: other };
    let result = Activation::Relu.forward(view, ViewMut::nhwc(&mut y, other).unwrap(), Run::new());
    assert_eq!(result, Err(error));
    let error = Error::Length { argument: "activation", expected: 3, given: 2 };
    let result = Activation::PRelu(&[1.0, 2.0]).forward(view, ViewMut::nhwc(&mut y, shape).unwrap(), Run::new());
    assert_eq!(result, Err(error));
    let prelu = Activation::PRelu(&[1.0, 2.0]);
    let mut backward = |act: Activation<f32>, dy, shape| {
        act.backward(view, dy, ViewMut::nhwc(&mut y, shape).unwrap(), Write::Replace, Run::new())
    };
    assert_eq!(backward(prelu, dy, shape), Err(error));
    let error = |argument| Err(Error::Shape { argument, expected: shape, given: other });
    assert_eq!(backward(Activation::Relu, wrong, shape), error("dy"));
    assert_eq!(backward(Activation::Relu, dy, other), error("dx"));
    let slope = |dy, len| prelu_backward_slope(view, dy, &mut [7.0; 9][..len], Write::Replace, Run::new());
    assert_eq!(slope(wrong, 3), error("dy"));
    assert_eq!(slope(dy, 4), Err(Error::Length { argument: "dslope", expected: 3, given: 4 }));
    assert_eq!(y, [7.0; 12]);
}

#[test]
fn empty_tensors_are_fine() {
    for shape in [[0, 2, 3, 4], [1, 0, 3, 4], [1, 2, 3, 0]] {
        let act = Activation::<f32>::Silu;
        act.forward(View::nhwc(&[], shape).unwrap(), ViewMut::nchw(&mut [], shape).unwrap(), Run::new()).unwrap();
        let mut dslope = vec![7.0; shape[3]];
        let empty = View::nhwc(&[], shape).unwrap();
        prelu_backward_slope(empty, empty, &mut dslope, Write::Replace, Run::new()).unwrap();
        assert!(dslope.iter().all(|&x| x == 0.0));
    }
}

/// A pixel repeated along all axes (strides of 0) is a legal input.
#[test]
fn inputs_may_repeat_their_elements() {
    let x = View::new(&[-2.0f32], [2, 3, 4, 5], [0; 4]).unwrap();
    let mut y = [0.0f32; 120];
    Activation::LeakyRelu { slope: 0.5 }.forward(x, ViewMut::nhwc(&mut y, [2, 3, 4, 5]).unwrap(), Run::new()).unwrap();
    assert_eq!(y, [-1.0; 120]);
    let slopes = [1.0, 2.0, 3.0, 4.0, 5.0];
    let act = Activation::PRelu(&slopes);
    act.backward(x, x, ViewMut::nchw(&mut y, [2, 3, 4, 5]).unwrap(), Write::Replace, Run::new()).unwrap();
    assert_eq!(y[0], -2.0);
    assert_eq!(y[119], -10.0);
}
