//! Wrong runs: each gets the error that says what is wrong, and leaves its output as it was, bit by bit.

mod common;

use common::Random;
use common::bad::{MAX, TOO_MANY, Table, X, Y, conv, length, overflow, shape};
use gemmule::{
    Activation, Algorithm, AvgPool2d, BatchNorm, ConvTranspose2d, Epilogue, Error, Level, MaxPool2d, Options, Run,
    Serial, Ties, View, ViewMut, Weights, WeightsMut, Write, conv_backward_bias, once, prelu_backward_slope, zero_pad,
};

#[test]
fn running() {
    let mut table = Table::default();
    let x = |shape: [usize; 4]| (vec![1.0f32; 4096], shape);
    let packed =
        || conv().prepare(Weights::hwio(&[1.0; 108]), Some(&[1.0; 4]), &Options::new().level(Level::Scalar)).unwrap();
    let mut forward = |error: Error, x: (Vec<f32>, [usize; 4]), y: [usize; 4], epilogue: Epilogue<'static, f32>| {
        table.add(error, move |data| {
            packed().forward(View::nhwc(&x.0, x.1)?, ViewMut::nhwc(data, y)?, &epilogue, Run::new())
        });
    };
    let plain = Epilogue::new();
    forward(shape("y", Y, [1, 5, 6, 3]), x(X), [1, 5, 6, 3], plain);
    forward(shape("y", Y, [1, 6, 5, 4]), x(X), [1, 6, 5, 4], plain);
    forward(shape("y", Y, [2, 5, 6, 4]), x(X), [2, 5, 6, 4], plain);
    forward(shape("y", Y, [0, 5, 6, 4]), x(X), [0, 5, 6, 4], plain);
    forward(shape("x", X, Y), x(Y), Y, plain);
    forward(Error::KernelTooLarge { axis: "height", kernel: 3, padded: 2 }, x([1, 0, 6, 3]), Y, plain);
    let residual = View::nhwc(&[1.0; 90], X).unwrap();
    forward(shape("residual", Y, X), x(X), Y, plain.residual(residual));
    forward(length("activation", 4, 3), x(X), Y, plain.activation(Activation::PRelu(&[0.5; 3])));
    forward(length("activation", 4, 0), x(X), Y, plain.write(Write::Accumulate).activation(Activation::PRelu(&[])));

    let mut run = |error: Error, set: fn(&mut [f32]) -> Run<'_, f32>, of: fn(usize) -> usize| {
        table.add(error, move |y| {
            let x = [1.0; 90];
            let needed = packed().plan().workspace_len(1);
            let mut scratch = vec![0.0; of(needed)];
            let run = set(&mut scratch).executor(&Serial);
            packed().forward(View::nhwc(&x, X)?, ViewMut::nhwc(y, Y)?, &Epilogue::new(), run)
        });
    };
    let needed = packed().plan().workspace_len(1);
    run(Error::Workspace { expected: needed, given: needed - 1 }, |s| Run::new().scratch(s), |needed| needed - 1);
    run(Error::Workspace { expected: needed, given: 0 }, |s| Run::new().scratch(s), |_| 0);
    let level = Error::Level { asked: Level::Portable, available: Level::Scalar };
    run(level, |_| Run::new().level(Level::Portable), |_| 0);

    table.add(length("weights", 108, 107), move |_| packed().repack(Weights::oihw(&[1.0; 107]), Some(&[1.0; 4])));
    table.add(length("bias", 4, 0), move |_| packed().repack(Weights::oihw(&[1.0; 108]), None));
    table.add(length("bias", 4, 5), move |_| packed().repack(Weights::oihw(&[1.0; 108]), Some(&[1.0; 5])));
    table.add(length("bias", 0, 4), move |_| {
        let mut packed = conv().prepare(Weights::hwio(&[1.0; 108]), None, &Options::new())?;
        packed.repack(Weights::hwio(&[1.0; 108]), Some(&[1.0; 4]))
    });
    table.check(15);
}

#[test]
fn running_backwards() {
    let mut table = Table::default();
    let options = Options::new().level(Level::Scalar);
    let mut dx = |error: Error, dy: [usize; 4], dx: [usize; 4], run: fn() -> Run<'static, f32>| {
        table.add(error, move |y| {
            let packed = conv().prepare_backward_input(Weights::hwio(&[1.0; 108]), &options)?;
            packed.backward(View::nhwc(&[1.0; 4096], dy)?, ViewMut::nhwc(y, dx)?, Write::Accumulate, run())
        });
    };
    dx(shape("dy", Y, X), X, X, Run::new);
    dx(shape("dy", [2, 5, 6, 4], Y), Y, [2, 5, 6, 3], Run::new);
    dx(shape("x", X, Y), Y, Y, Run::new);
    dx(Error::KernelTooLarge { axis: "width", kernel: 3, padded: 2 }, Y, [1, 5, 0, 3], Run::new);
    let level = Error::Level { asked: Level::Portable, available: Level::Scalar };
    dx(level, Y, X, || Run::new().level(Level::Portable));
    let needed = conv().plan_backward_input::<f32>(&options, &gemmule::Machine::detect()).unwrap().workspace_len(1);
    dx(Error::Workspace { expected: needed, given: 0 }, Y, X, || Run::new().executor(&Serial).scratch(&mut []));

    type Weight = fn(&mut [f32]) -> WeightsMut<'_, f32>;
    let mut dw = |error: Error, x: [usize; 4], dy: [usize; 4], dw: Weight, run: fn() -> Run<'static, f32>| {
        table.add(error, move |w| {
            let prepared = conv().prepare_backward_weights::<f32>(&options)?;
            let data = [1.0; 4096];
            prepared.backward(View::nhwc(&data, x)?, View::nhwc(&data, dy)?, dw(w), Write::Replace, run())
        });
    };
    let right: Weight = |w| WeightsMut::hwio(&mut w[..108]);
    dw(shape("dy", Y, [1, 5, 6, 5]), X, [1, 5, 6, 5], right, Run::new);
    dw(shape("x", X, Y), Y, Y, right, Run::new);
    dw(length("weights", 108, 107), X, Y, |w| WeightsMut::hwio(&mut w[..107]), Run::new);
    dw(length("weights", 108, 4096), X, Y, |w| WeightsMut::oihw(w), Run::new);
    dw(length("weights", 108, 0), X, Y, |_| WeightsMut::iohw(&mut []), Run::new);
    dw(length("weights", 4239, 4096), X, Y, |w| WeightsMut::strided(w, [2049, 4, 12, 36]), Run::new);
    let overlap = Error::Overlap { argument: "weights", shape: [3, 3, 3, 4], strides: [36, 12, 3, 1] };
    dw(overlap, X, Y, |w| WeightsMut::strided(w, [36, 12, 3, 1]), Run::new);
    dw(overflow("weights"), X, Y, |w| WeightsMut::strided(w, [MAX / 2, 12, 4, 1]), Run::new);
    dw(level, X, Y, right, || Run::new().level(Level::Portable));
    let needed = conv().prepare_backward_weights::<f32>(&options).unwrap().workspace_len(1);
    let none = Error::Workspace { expected: needed, given: 0 };
    dw(none, X, Y, right, || Run::new().executor(&Serial).scratch(&mut []));

    table.add(length("db", 4, 3), |db| {
        conv_backward_bias(View::nhwc(&[1.0; 120], Y)?, &mut db[..3], Write::Replace, Run::new())
    });
    table.add(length("db", 4, 4096), |db| {
        conv_backward_bias(View::nhwc(&[1.0; 120], Y)?, db, Write::Accumulate, Run::new())
    });
    table.check(18);
}

#[test]
fn running_transposed() {
    let mut table = Table::default();
    let conv = || ConvTranspose2d::new(4, 3, [3, 3]).stride([2, 2]);
    let packed = move |options: &Options| conv().prepare(Weights::iohw(&[1.0; 108]), Some(&[1.0; 3]), options);
    let mut forward = |error: Error, x: [usize; 4], y: [usize; 4], epilogue: Epilogue<'static, f32>| {
        table.add(error, move |data| {
            let x = View::nchw(&[1.0; 4096], x)?;
            packed(&Options::new())?.forward(x, ViewMut::nchw(data, y)?, &epilogue, Run::new())
        });
    };
    let plain = Epilogue::new();
    forward(shape("y", [1, 11, 13, 3], [1, 10, 13, 3]), Y, [1, 10, 13, 3], plain);
    forward(shape("x", Y, X), X, [1, 11, 13, 3], plain);
    forward(length("activation", 3, 2), Y, [1, 11, 13, 3], plain.activation(Activation::PRelu(&[1.0; 2])));
    let residual = View::new(&[1.0], Y, [0; 4]).unwrap();
    forward(shape("residual", [1, 11, 13, 3], Y), Y, [1, 11, 13, 3], plain.residual(residual));
    table.add(length("bias", 3, 4), move |_| {
        conv().prepare(Weights::iohw(&[1.0; 108]), Some(&[1.0; 4]), &Options::new()).map(drop)
    });
    table.add(length("weights", 108, 27), move |_| {
        conv().prepare(Weights::hwio(&[1.0; 27]), None, &Options::new()).map(drop)
    });
    let error = |options: &Options| packed(options).map(drop).unwrap_err();
    for options in [Options::new().algorithm(Algorithm::Pointwise), Options::new().algorithm(Algorithm::Depthwise)] {
        assert!(matches!(error(&options), Error::Algorithm { .. }));
        table.add(error(&options), move |_| packed(&options).map(drop));
    }
    table.add(length("weights", 108, 1), move |_| packed(&Options::new())?.repack(Weights::hwio(&[1.0]), None));
    table.check(8);
}

#[test]
fn pools_and_activations() {
    let mut table = Table::default();
    let pool = MaxPool2d::new([2, 2], [2, 2]);
    let (pooled, ones) = ([1, 2, 3, 3], || vec![1.0f32; 4096]);
    let adaptive = "the default: an adaptive pool makes its own windows";
    let parameter = |argument, expected, given| Error::Parameter { argument, expected, given };
    let mut refused = |error: Error, pool: MaxPool2d| table.add(error, move |_| pool.output_shape(X).map(drop));
    refused(parameter("kernel", "at least 1 and no overflow", 0), MaxPool2d::new([0, 1], [1, 1]));
    refused(parameter("stride", "at least 1 and no overflow", isize::MAX), MaxPool2d::new([1, 1], [1, MAX]));
    refused(parameter("padding", "at least 0", -1), pool.padding([[0, -1], [0, 0]]));
    refused(parameter("output size", "at least 1", 0), MaxPool2d::adaptive([2, 0]));
    refused(parameter("dilation", adaptive, 2), MaxPool2d::global().dilation([1, 2]));
    refused(Error::KernelTooLarge { axis: "height", kernel: 7, padded: 5 }, MaxPool2d::new([7, 1], [1, 1]));

    let mut forward = |error: Error, x: [usize; 4], y: [usize; 4], run: fn() -> Run<'static, f32>| {
        table.add(error, move |data| pool.forward(View::nhwc(&ones(), x)?, ViewMut::nhwc(data, y)?, run()));
        table.add(error, move |data| {
            AvgPool2d::new([2, 2], [2, 2]).forward(View::nchw(&ones(), x)?, ViewMut::nchw(data, y)?, run())
        });
        table.add(error, move |data| {
            let mut indices = [7; 4096];
            let at = ViewMut::nhwc(&mut indices, y)?;
            let result = pool.forward_with_indices(View::nhwc(&ones(), x)?, ViewMut::nhwc(data, y)?, at, run());
            assert_eq!(indices, [7; 4096]);
            result
        });
    };
    forward(shape("y", pooled, X), X, X, Run::new);
    forward(shape("y", pooled, [0, 2, 3, 3]), X, [0, 2, 3, 3], Run::new);
    if !Level::Avx512.is_available() {
        let error = Error::Level { asked: Level::Avx512, available: Level::best() };
        forward(error, X, pooled, || Run::new().level(Level::Avx512));
    }
    let none = || Run::new().executor(&Serial).scratch(&mut []);
    table.add(Error::Workspace { expected: 1, given: 0 }, move |data| {
        // Scattered channels have to be gathered somewhere.
        match pool.forward(View::nchw(&ones(), X)?, ViewMut::nchw(data, pooled)?, none()) {
            Err(Error::Workspace { expected: 1.., given }) => Err(Error::Workspace { expected: 1, given }),
            other => other,
        }
    });

    let mut backward = |error: Error, dy: [usize; 4], dx: [usize; 4]| {
        for ties in [Ties::All, Ties::First] {
            table.add(error, move |data| {
                let values = ones();
                let (x, dy) = (View::nhwc(&values, X)?, View::nhwc(&values, dy)?);
                pool.backward(x, dy, ViewMut::nhwc(data, dx)?, ties, Write::Replace, Run::new())
            });
        }
    };
    backward(shape("dy", pooled, X), X, X);
    backward(shape("dx", X, Y), pooled, Y);
    table.add(shape("dy", pooled, X), move |data| {
        AvgPool2d::new([2, 2], [2, 2]).backward(
            View::nhwc(&ones(), X)?,
            ViewMut::nhwc(data, X)?,
            Write::Replace,
            Run::new(),
        )
    });
    for given in [30, -2, i64::MIN, i64::MAX] {
        table.add(Error::Index { argument: "indices", bound: 30, given }, move |data| {
            let (dy, indices) = (ones(), [given; 18]);
            let (dy, indices) = (View::nhwc(&dy, pooled)?, View::nhwc(&indices, pooled)?);
            pool.backward_from_indices(dy, indices, ViewMut::nhwc(data, X)?, Write::Replace, Run::new())
        });
    }

    for act in [Activation::Silu, Activation::Identity] {
        table.add(shape("y", X, Y), move |y| act.forward(View::nhwc(&ones(), X)?, ViewMut::nhwc(y, Y)?, Run::new()));
        table.add(shape("dy", X, Y), move |dx| {
            let (x, dy) = (ones(), ones());
            act.backward(View::nhwc(&x, X)?, View::nhwc(&dy, Y)?, ViewMut::nhwc(dx, X)?, Write::Replace, Run::new())
        });
    }
    table.add(length("activation", 3, 2), move |y| {
        Activation::PRelu(&[1.0, 2.0]).forward(View::nhwc(&ones(), X)?, ViewMut::nhwc(y, X)?, Run::new())
    });
    table.add(length("dslope", 3, 4), move |dslope| {
        let x = ones();
        let x = View::nhwc(&x, X)?;
        prelu_backward_slope(x, x, &mut dslope[..4], Write::Replace, Run::new())
    });
    table.add(shape("dy", X, Y), move |dslope| {
        let x = ones();
        prelu_backward_slope(View::nhwc(&x, X)?, View::nhwc(&x, Y)?, &mut dslope[..3], Write::Replace, Run::new())
    });
    table.add(shape("y", [1, 6, 6, 3], X), move |y| {
        zero_pad(View::nhwc(&ones(), X)?, [[1, 0], [0, 0]], ViewMut::nhwc(y, X)?, Run::new())
    });
    table.add(overflow("pad"), move |y| {
        zero_pad(View::nhwc(&ones(), X)?, [[MAX, 0], [0, 0]], ViewMut::nhwc(y, X)?, Run::new())
    });
    table.add(overflow("pad"), move |_| once::zero_pad(View::nhwc(&ones(), X)?, [[0, 0], [1, MAX]]).map(drop));
    table.add(Error::OutOfMemory { argument: "tensor", bytes: (3 * (TOO_MANY + 6) + 16) * 4 }, move |_| {
        once::zero_pad(View::nhwc(&ones(), [1, 1, 6, 3])?, [[0, 0], [0, TOO_MANY]]).map(drop)
    });

    let mut fold = |error: Error, gamma: &'static [f32], variance: &'static [f32], bias: usize| {
        table.add(error, move |w| {
            let norm = BatchNorm { gamma, beta: &[0.0; 3], mean: &[0.0; 3], variance, epsilon: 0.5 };
            norm.fold(ViewMut::nhwc(w, [1, 2, 2, 3])?, &mut vec![0.0; bias])
        });
    };
    fold(length("gamma", 3, 2), &[1.0; 2], &[1.0; 3], 3);
    fold(length("variance", 3, 4), &[1.0; 3], &[1.0; 4], 3);
    fold(length("bias", 3, 0), &[1.0; 3], &[1.0; 3], 0);
    let value = |given| Error::Value {
        argument: "variance",
        index: 1,
        expected: "one that is positive with epsilon added",
        given,
    };
    fold(value(-0.5), &[1.0; 3], &[1.0, -0.5, 1.0], 3);
    fold(value(f64::NEG_INFINITY), &[1.0; 3], &[1.0, f32::NEG_INFINITY, 1.0], 3);
    table.check(35);
}

#[test]
fn an_error_in_one_call_does_not_spoil_the_next() {
    let mut packed = conv().prepare(Weights::hwio(&[1.0f32; 108]), Some(&[0.0; 4]), &Options::new()).unwrap();
    let x = Random(1).reals::<f32>(X);
    let (mut first, mut second) = (vec![f32::NAN; 120], vec![f32::NAN; 120]);
    let forward = |packed: &gemmule::PackedConv2d<f32>, y: &mut [f32]| {
        let x = View::nhwc(&x.data, X).unwrap();
        packed.forward(x, ViewMut::nhwc(y, Y).unwrap(), &Epilogue::new(), Run::new()).unwrap();
    };
    forward(&packed, &mut first);
    packed.repack(Weights::hwio(&[2.0; 108]), Some(&[1.0; 3])).unwrap_err();
    packed.repack(Weights::hwio(&[2.0; 107]), Some(&[1.0; 4])).unwrap_err();
    forward(&packed, &mut second);
    assert_eq!(first, second);
}
