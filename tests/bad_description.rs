//! Wrong views, descriptions and weights: each gets the error that says what is wrong.

mod common;

use common::bad::{MAX, TOO_MANY, Table, Y, conv, length, overflow, shape};
use gemmule::{
    Algorithm, Conv2d, ConvTranspose2d, Epilogue, Error, Level, Options, Padding, Run, Tensor, View, ViewMut, Weights,
    Workspace, Write, conv_backward_bias,
};

#[test]
fn views_and_tensors() {
    let mut table = Table::default();
    let read = |f: fn(&[f32]) -> Result<View<'_, f32>, Error>| move |y: &mut [f32]| f(y).map(drop);
    let write = |f: fn(&mut [f32]) -> Result<ViewMut<'_, f32>, Error>| move |y: &mut [f32]| f(y).map(drop);
    table.add(length("data", 4097, 4096), read(|x| View::nhwc(x, [1, 17, 241, 1])));
    table.add(length("data", 90, 89), read(|x| View::nchw(&x[..89], [1, 5, 6, 3])));
    table.add(length("data", 1, 0), read(|_| View::nhwc(&[], [1; 4])));
    table.add(length("data", 4097, 4096), read(|x| View::new(x, [2, 1, 1, 1], [4096, 1, 1, 1])));
    table.add(length("data", 90, 89), write(|y| ViewMut::nhwc(&mut y[..89], [1, 5, 6, 3])));
    table.add(length("data", 90, 89), write(|y| ViewMut::nchw(&mut y[..89], [1, 5, 6, 3])));
    table.add(overflow("shape"), read(|x| View::nhwc(x, [MAX, 2, 1, 1])));
    table.add(overflow("shape"), read(|x| View::nhwc(x, [1, MAX, 2, 2])));
    table.add(overflow("shape"), read(|x| View::nchw(x, [1, 2, MAX, 1])));
    table.add(overflow("shape"), read(|x| View::new(x, [3, 1, 1, 1], [MAX, 0, 0, 0])));
    table.add(overflow("shape"), read(|x| View::new(x, [2, 2, 1, 1], [MAX, 1, 0, 0])));
    table.add(overflow("shape"), read(|x| View::new(x, [MAX, MAX, 1, 1], [0; 4])));
    table.add(overflow("shape"), write(|y| ViewMut::new(y, [2, 2, 2, 2], [MAX / 2; 4])));
    for (overlap, strides) in
        [([1, 2, 2, 3], [12, 6, 3, 0]), ([1, 2, 2, 3], [12, 3, 3, 1]), ([2, 1, 1, 4], [3, 9, 9, 1])]
    {
        let error = Error::Overlap { argument: "data", shape: overlap, strides };
        table.add(error, move |y| ViewMut::new(y, overlap, strides).map(drop));
    }
    let parameter = |given| Error::Parameter { argument: "channels", expected: "a range within the channels", given };
    table.add(parameter(4), read(|x| View::nhwc(x, [1, 2, 2, 3])?.channels(0..4)));
    #[allow(clippy::reversed_empty_ranges)] // that is what is wrong
    table.add(parameter(2), read(|x| View::nhwc(x, [1, 2, 2, 3])?.channels(2..1)));
    table.add(parameter(isize::MAX), write(|y| ViewMut::nchw(y, [1, 2, 2, 3])?.channels(3..MAX)));
    table.add(Error::OutOfMemory { argument: "tensor", bytes: (TOO_MANY + 16) * 4 }, |_| {
        Tensor::<f32>::zeros([TOO_MANY, 1, 1, 1]).map(drop)
    });
    table.add(overflow("tensor"), |_| Tensor::<f64>::zeros([TOO_MANY * 4, 1, 1, 1]).map(drop));
    table.add(overflow("shape"), |_| Tensor::<f32>::filled([MAX, 2, 1, 1], 1.0).map(drop));
    table.add(overflow("tensor"), |_| Tensor::<f32>::from_view(View::new(&[1.0], [1, MAX, 1, 1], [0; 4])?).map(drop));
    table.add(Error::OutOfMemory { argument: "workspace", bytes: (TOO_MANY + 16) * 4 }, |_| {
        Workspace::<f32>::new().reserve(TOO_MANY)
    });
    table.add(overflow("workspace"), |_| Workspace::<f32>::new().reserve(MAX));
    table.check(25);
}

/// Wrong descriptions, each with its error, as `conv(description)` and `transpose(description)` see it.
#[test]
fn descriptions() {
    let mut table = Table::default();
    let at_least_one = |argument, given| Error::Parameter { argument, expected: "at least 1 and no overflow", given };
    let mut both = |error: Error, f: fn(Conv2d) -> Conv2d, g: fn(ConvTranspose2d) -> ConvTranspose2d| {
        table.add(error, move |_| f(Conv2d::new(4, 6, [3, 3])).weight_shape().map(drop));
        table.add(error, move |_| f(Conv2d::new(4, 6, [3, 3])).output_shape([1, 9, 9, 4]).map(drop));
        table.add(error, move |_| {
            f(Conv2d::new(4, 6, [3, 3])).prepare_backward_weights::<f32>(&Options::new()).map(drop)
        });
        table.add(error, move |_| {
            f(Conv2d::new(4, 6, [3, 3])).prepare(Weights::hwio(&[0.0; 216]), None, &Options::new()).map(drop)
        });
        table.add(error, move |_| g(ConvTranspose2d::new(4, 6, [3, 3])).output_shape([1, 9, 9, 4]).map(drop));
        table.add(error, move |_| {
            g(ConvTranspose2d::new(4, 6, [3, 3])).prepare(Weights::iohw(&[0.0; 216]), None, &Options::new()).map(drop)
        });
    };
    both(at_least_one("stride", 0), |c| c.stride([1, 0]), |c| c.stride([1, 0]));
    both(at_least_one("stride", isize::MAX), |c| c.stride([MAX, 1]), |c| c.stride([MAX, 1]));
    both(at_least_one("dilation", 0), |c| c.dilation([0, 1]), |c| c.dilation([0, 1]));
    both(at_least_one("dilation", isize::MAX), |c| c.dilation([1, MAX]), |c| c.dilation([1, MAX]));
    let reach = overflow("dilation * (kernel - 1) + 1");
    both(reach, |c| c.dilation([1, MAX / 20]), |c| c.dilation([1, MAX / 20]));
    both(at_least_one("groups", 0), |c| c.groups(0), |c| c.groups(0));
    both(at_least_one("groups", isize::MAX), |c| c.groups(MAX), |c| c.groups(MAX));
    let divisor = Error::Parameter { argument: "groups", expected: "a divisor of both channel counts", given: 4 };
    both(divisor, |c| c.groups(4), |c| c.groups(4));
    let padding = |given| Error::Parameter { argument: "padding", expected: "no overflow", given };
    both(padding(isize::MIN), |c| c.padding(isize::MIN), |c| c.padding(isize::MIN));
    both(padding(isize::MAX), |c| c.padding([[0, 0], [1, isize::MAX]]), |c| c.padding([[0, 0], [1, isize::MAX]]));
    let sizes: [(Error, fn() -> Conv2d); 8] = [
        (at_least_one("in_channels", 0), || Conv2d::new(0, 1, [1, 1])),
        (at_least_one("out_channels", 0), || Conv2d::new(1, 0, [1, 1])),
        (at_least_one("in_channels", isize::MAX), || Conv2d::new(MAX, 1, [1, 1])),
        (at_least_one("out_channels", isize::MAX), || Conv2d::new(1, MAX, [1, 1])),
        (at_least_one("kernel", 0), || Conv2d::new(1, 1, [1, 0])),
        (at_least_one("kernel", isize::MAX), || Conv2d::new(1, 1, [MAX, 1])),
        (overflow("kernel"), || Conv2d::new(1, 1, [1 << 40, 1 << 40])),
        (overflow("weights"), || Conv2d::new(1 << 40, 1 << 40, [1, 1])),
    ];
    for (error, conv) in sizes {
        table.add(error, move |_| conv().weight_shape().map(drop));
        table.add(error, move |_| conv().plan::<f64>(&Options::new(), &gemmule::Machine::detect()).map(drop));
    }
    table.check(70);
}

#[test]
fn geometry() {
    let mut table = Table::default();
    let mut forward = |error: Error, conv: Conv2d, x: [usize; 4]| {
        table.add(error, move |_| conv.output_shape(x).map(drop));
        // The same where it runs: on an input that has the shape, if there can be one.
        table.add(error, move |y| {
            let (w, x_data) = (vec![1.0f32; conv.weight_shape()?.iter().product()], [1.0f32; 4096]);
            let packed = conv.prepare(Weights::hwio(&w), None, &Options::new())?;
            match View::nhwc(&x_data, x) {
                Ok(x) => packed.forward(x, ViewMut::nhwc(y, [1, 1, 1, 1])?, &Epilogue::new(), Run::new()),
                Err(_) => conv.output_shape(x).map(drop),
            }
        });
    };
    let large = |axis, kernel, padded| Error::KernelTooLarge { axis, kernel, padded };
    let conv = Conv2d::new(2, 3, [3, 2]);
    forward(large("height", 3, 2), conv, [1, 2, 9, 2]);
    forward(large("width", 9, 8), conv.dilation([1, 8]), [1, 3, 8, 2]);
    forward(large("height", 3, -1), conv.padding([[-4, -2], [0, 0]]), [1, 5, 5, 2]);
    forward(large("width", 2, 0), conv, [1, 3, 0, 2]);
    forward(shape("x", [1, 5, 5, 2], [1, 5, 5, 3]), conv, [1, 5, 5, 3]);
    forward(shape("x", [0, 5, 5, 2], [0, 5, 5, 0]), conv, [0, 5, 5, 0]);
    forward(overflow("shape"), conv, [1, MAX, 5, 2]);
    forward(overflow("shape"), conv.padding(Padding::SameUpper), [1, 5, MAX / 8, 2]);

    let transpose = ConvTranspose2d::new(2, 3, [3, 2]);
    let mut transposed = |error: Error, conv: ConvTranspose2d, x: [usize; 4]| {
        table.add(error, move |_| conv.output_shape(x).map(drop));
    };
    let nothing = |given| Error::Parameter {
        argument: "padding",
        expected: "padding that leaves an output of at least one pixel",
        given,
    };
    transposed(nothing(14), transpose.padding([7, 0]), [1, 5, 5, 2]);
    let no_pixel = |argument| Error::Parameter { argument, expected: "an input of at least one pixel", given: 0 };
    transposed(no_pixel("height"), transpose, [1, 0, 5, 2]);
    transposed(no_pixel("width"), transpose, [1, 5, 0, 2]);
    transposed(shape("x", [1, 5, 5, 2], [1, 5, 5, 1]), transpose, [1, 5, 5, 1]);
    transposed(overflow("stride * (input - 1)"), transpose.stride([1 << 40, 1]), [1, 1 << 40, 5, 2]);
    transposed(overflow("stride * (input - 1)"), transpose.output_padding([0, MAX]), [1, 5, 5, 2]);
    transposed(overflow("shape"), transpose, [1, 5, MAX, 2]);
    table.check(20);
}

#[test]
fn preparing() {
    let mut table = Table::default();
    let mut prepare = |error: Error, weights: fn(&[f32]) -> Weights<'_, f32>, bias: Option<usize>, options: Options| {
        table.add(error, move |w| {
            let bias = vec![1.0; bias.unwrap_or(0)];
            conv().prepare(weights(w), (!bias.is_empty()).then_some(&bias[..]), &options).map(drop)
        });
        if bias.is_none() {
            table.add(error, move |w| conv().prepare_backward_input(weights(w), &options).map(drop));
        }
    };
    let plain = Options::new();
    prepare(length("weights", 108, 107), |w| Weights::hwio(&w[..107]), None, plain);
    prepare(length("weights", 108, 109), |w| Weights::hwio(&w[..109]), None, plain);
    prepare(length("weights", 108, 0), |_| Weights::oihw(&[]), None, plain);
    prepare(length("weights", 108, 4096), |w| Weights::iohw(w), None, plain);
    prepare(length("weights", 4099, 4096), |w| Weights::strided(w, [0, 0, 0, 1366]), None, plain);
    prepare(overflow("weights"), |w| Weights::strided(w, [MAX, 0, 0, 1]), None, plain);
    prepare(length("bias", 4, 3), |w| Weights::hwio(&w[..108]), Some(3), plain);
    prepare(length("bias", 4, 5), |w| Weights::hwio(&w[..108]), Some(5), plain);
    for level in ["portable", "avx2", "avx512"].map(|name| name.parse::<Level>().unwrap()) {
        if !level.is_available() {
            let error = Error::Level { asked: level, available: Level::best() };
            prepare(error, |w| Weights::hwio(&w[..108]), None, plain.level(level));
            table_of_levels(level, error);
        }
    }
    let weights: fn(&[f32]) -> Weights<'_, f32> = |w| Weights::hwio(&w[..108]);
    let refused = |options: Options| {
        let machine = gemmule::Machine::detect();
        let forward = conv().plan::<f32>(&options, &machine).unwrap_err();
        assert!(matches!(forward, Error::Algorithm { .. }), "{forward}");
        forward
    };
    for options in [
        plain.algorithm(Algorithm::Depthwise),
        plain.algorithm(Algorithm::Matrixmultiply).level(Level::Scalar),
        plain.algorithm(Algorithm::Im2col).max_weight_bytes(1),
        plain.max_weight_bytes(0),
    ] {
        let error = refused(options);
        table.add(error, move |w| conv().prepare(weights(w), None, &options).map(drop));
        table.add(error, move |_| conv().prepare_backward_weights::<f32>(&options).map(drop));
    }
    // Weights that exist, as one number that repeats, but whose packed form no machine has the memory for.
    for (i, o) in [(1 << 20, 1 << 30), (1 << 30, 1 << 20)] {
        let nr = 4096; // more than the columns of any panel
        table.add(Error::OutOfMemory { argument: "weights", bytes: 0 }, move |w| {
            let huge = Conv2d::new(i, o, [1, 1]);
            match huge.prepare(Weights::strided(&w[..1], [0; 4]), None, &Options::new()).map(drop) {
                Err(Error::OutOfMemory { argument, bytes })
                    if bytes >= (1 << 52) && bytes < (1 << 52) + nr * (1 << 33) =>
                {
                    Err(Error::OutOfMemory { argument, bytes: 0 })
                }
                other => other,
            }
        });
    }
    table.check(20);
}

/// Every entry that takes a level refuses one that is not there.
fn table_of_levels(level: Level, error: Error) {
    let dy = [1.0f32; 120];
    let mut db = [1.0; 4];
    let dy = View::nhwc(&dy, Y).unwrap();
    assert_eq!(conv_backward_bias(dy, &mut db, Write::Replace, Run::new().level(level)), Err(error));
    let prepared = conv().prepare_backward_weights::<f32>(&Options::new().level(level));
    assert_eq!(prepared.map(drop), Err(error));
}
