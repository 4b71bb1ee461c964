//! Every kernel as a function from slices to a slice, for tests that ask the same of all of them.

use super::conv::ALGORITHMS;
use super::{Number, Random};
use gemmule::{
    Activation, Algorithm, AvgPool2d, Conv2d, ConvTranspose2d, Epilogue, Error, Level, MaxPool2d, Options, Run, Ties,
    View, ViewMut, Weights, WeightsMut, Write, conv_backward_bias, prelu_backward_slope, zero_pad,
};
use gemmule_reference::Array4;
use std::sync::Mutex;

/// What a kernel is run on, what it is run with, and what it returns.
type Compute<T> = dyn Fn(&[&[T]], &mut [T], Run<'_, T>) -> Result<(), Error> + Send + Sync;

/// A kernel, ready to be run on inputs of given lengths.
pub struct Kernel<T> {
    pub name: String,
    /// Elements of each input.
    pub inputs: Vec<usize>,
    /// Elements of the output.
    pub output: usize,
    /// Elements of scratch memory that one worker needs, where that is known beforehand.
    pub workspace: Option<usize>,
    /// Whether a run takes memory from others than the workspace.
    pub allocates: bool,
    /// Whether it has a level; else it moves numbers about, and computes nothing.
    pub has_level: bool,
    pub compute: Box<Compute<T>>,
}

impl<T: Number> Kernel<T> {
    /// Numbers for the inputs.
    pub fn numbers(&self) -> Vec<Vec<T>> {
        let random = &mut Random(self.output as u64);
        self.inputs.iter().map(|&len| random.reals([1, 1, 1, len]).data).collect()
    }

    /// The output of a run, which starts full of NaN.
    pub fn output(&self, run: Run<'_, T>) -> Result<Vec<T>, Error> {
        let (numbers, mut output) = (self.numbers(), vec![T::NAN; self.output]);
        let inputs: Vec<&[T]> = numbers.iter().map(Vec::as_slice).collect();
        (self.compute)(&inputs, &mut output, run)?;
        assert!(output.iter().all(|x| x.bits() != T::NAN.bits()), "{}: not all is written", self.name);
        Ok(output)
    }
}

/// How a tensor lies in a slice that ends with its last element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Nhwc,
    Nchw,
    /// The first channels of an NHWC tensor with three channels more.
    Slice,
}

pub const FORMS: [Form; 3] = [Form::Nhwc, Form::Nchw, Form::Slice];

impl Form {
    fn strides(self, [_, h, w, c]: [usize; 4]) -> [usize; 4] {
        match self {
            Form::Nhwc => [h * w * c, w * c, c, 1],
            Form::Nchw => [h * w * c, w, 1, h * w],
            Form::Slice => [h * w * (c + 3), w * (c + 3), c + 3, 1],
        }
    }

    /// Elements up to the last one.
    pub fn len(self, shape: [usize; 4]) -> usize {
        let strides = self.strides(shape);
        1 + (0..4).map(|i| (shape[i] - 1) * strides[i]).sum::<usize>()
    }

    pub fn view<X>(self, data: &[X], shape: [usize; 4]) -> Result<View<'_, X>, Error> {
        View::new(data, shape, self.strides(shape))
    }

    pub fn view_mut<X>(self, data: &mut [X], shape: [usize; 4]) -> Result<ViewMut<'_, X>, Error> {
        ViewMut::new(data, shape, self.strides(shape))
    }
}

/// What all kernels are made for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub level: Level,
    /// The input's, `[n, h, w, c]`.
    pub shape: [usize; 4],
    pub x: Form,
    pub y: Form,
}

impl Setting {
    fn options(&self, algorithm: Algorithm) -> Options {
        Options::new().level(self.level).algorithm(algorithm)
    }

    /// All kernels. Outputs that lie in the form [`Form::Slice`] have gaps, which stay as they are.
    pub fn kernels<T: Number>(self) -> Vec<Kernel<T>> {
        let c = self.shape[3];
        let same = |conv: Conv2d| conv.padding([[1, 1], [1, 0]]);
        let mut all = Vec::new();
        for algorithm in ALGORITHMS.into_iter().filter(|&algorithm| algorithm != Algorithm::Auto) {
            all.extend(self.conv("conv", same(Conv2d::new(c, c, [3, 2])), algorithm));
            all.extend(self.conv("conv, 1x1", Conv2d::new(c, c + 1, [1, 1]).stride([1, 2]), algorithm));
            if algorithm == Algorithm::Pointwise {
                all.extend(self.conv("conv, 1x1, every pixel", Conv2d::new(c, c + 1, [1, 1]), algorithm));
                all.extend(self.conv("conv, 1x1, two outputs", Conv2d::new(c, 2, [1, 1]), algorithm));
            }
            all.extend(self.conv("conv, a channel a group", same(Conv2d::new(c, c, [3, 2])).groups(c), algorithm));
            all.extend(self.conv("conv, a channel to two", same(Conv2d::new(c, 2 * c, [3, 2])).groups(c), algorithm));
            all.extend(self.transpose(algorithm));
            all.extend(self.backward_input("dx", same(Conv2d::new(c, c, [3, 2])).stride([2, 1]), algorithm));
            all.extend(self.backward_input(
                "dx, a channel a group",
                same(Conv2d::new(c, c, [3, 2])).groups(c),
                algorithm,
            ));
        }
        all.push(self.backward_weights("dw", same(Conv2d::new(c, c, [3, 2]))));
        all.push(self.backward_weights("dw, a channel a group", same(Conv2d::new(c, c, [3, 2])).groups(c)));
        all.push(self.backward_bias());
        all.extend(self.pools());
        all.extend(self.activations());
        all.push(self.zero_pad());
        all
    }

    fn conv<T: Number>(&self, name: &str, conv: Conv2d, algorithm: Algorithm) -> Option<Kernel<T>> {
        let Setting { shape, x, y, level } = *self;
        let random = &mut Random(7);
        let (w, out) = (random.reals::<T>(conv.weight_shape().unwrap()), conv.output_shape(shape).unwrap());
        let bias = random.reals([1, 1, 1, out[3]]).data;
        let packed = conv.prepare(Weights::hwio(&w.data), Some(&bias), &self.options(algorithm)).ok()?;
        let slopes = random.reals([1, 1, 1, out[3]]).data;
        Some(Kernel {
            name: format!("{name} by {algorithm} at {level}, {x:?} to {y:?}"),
            inputs: vec![x.len(shape), y.len(out)],
            output: y.len(out),
            workspace: Some(packed.plan().workspace_len(1)),
            has_level: true,
            allocates: algorithm == Algorithm::Matrixmultiply,
            compute: Box::new(move |inputs, output, run| {
                let residual = y.view(inputs[1], out)?;
                let epilogue = Epilogue::new().residual(residual).activation(Activation::PRelu(&slopes));
                packed.forward(x.view(inputs[0], shape)?, y.view_mut(output, out)?, &epilogue, run)
            }),
        })
    }

    fn transpose<T: Number>(&self, algorithm: Algorithm) -> Option<Kernel<T>> {
        let Setting { shape, x, y, level } = *self;
        let random = &mut Random(8);
        let conv = ConvTranspose2d::new(shape[3], shape[3] + 2, [3, 2]).stride([2, 3]).padding([[0, 1], [1, 0]]);
        let (w, out) = (random.reals::<T>(conv.weight_shape().unwrap()), conv.output_shape(shape).unwrap());
        let packed = conv.prepare(Weights::iohw(&w.data), None, &self.options(algorithm)).ok()?;
        Some(Kernel {
            name: format!("transposed conv by {algorithm} at {level}, {x:?} to {y:?}"),
            inputs: vec![x.len(shape)],
            output: y.len(out),
            workspace: Some(packed.plan().workspace_len(1)),
            has_level: true,
            allocates: algorithm == Algorithm::Matrixmultiply,
            compute: Box::new(move |inputs, output, run| {
                packed.forward(x.view(inputs[0], shape)?, y.view_mut(output, out)?, &Epilogue::new(), run)
            }),
        })
    }

    fn backward_input<T: Number>(&self, name: &str, conv: Conv2d, algorithm: Algorithm) -> Option<Kernel<T>> {
        let Setting { shape, x, y, level } = *self;
        let (w, out) = (Random(9).reals::<T>(conv.weight_shape().unwrap()), conv.output_shape(shape).unwrap());
        let packed = conv.prepare_backward_input(Weights::hwio(&w.data), &self.options(algorithm)).ok()?;
        Some(Kernel {
            name: format!("{name} by {algorithm} at {level}, {y:?} to {x:?}"),
            inputs: vec![y.len(out)],
            output: x.len(shape),
            workspace: Some(packed.plan().workspace_len(1)),
            has_level: true,
            allocates: algorithm == Algorithm::Matrixmultiply,
            compute: Box::new(move |inputs, output, run| {
                packed.backward(y.view(inputs[0], out)?, x.view_mut(output, shape)?, Write::Replace, run)
            }),
        })
    }

    fn backward_weights<T: Number>(&self, name: &str, conv: Conv2d) -> Kernel<T> {
        let Setting { shape, x, y, level } = *self;
        let (w, out) = (conv.weight_shape().unwrap(), conv.output_shape(shape).unwrap());
        let prepared = conv.prepare_backward_weights::<T>(&self.options(Algorithm::Auto)).unwrap();
        Kernel {
            name: format!("{name} at {level}, {x:?} and {y:?}"),
            inputs: vec![x.len(shape), y.len(out)],
            output: w.iter().product(),
            workspace: Some(prepared.workspace_len(1)),
            has_level: true,
            allocates: false,
            compute: Box::new(move |inputs, output, run| {
                let (x, dy) = (x.view(inputs[0], shape)?, y.view(inputs[1], out)?);
                prepared.backward(x, dy, WeightsMut::hwio(output), Write::Replace, run)
            }),
        }
    }

    fn backward_bias<T: Number>(&self) -> Kernel<T> {
        let Setting { shape, y, level, .. } = *self;
        Kernel {
            name: format!("db at {level}, {y:?}"),
            inputs: vec![y.len(shape)],
            output: shape[3],
            workspace: Some(0),
            has_level: true,
            allocates: false,
            compute: Box::new(move |inputs, output, run| {
                conv_backward_bias(y.view(inputs[0], shape)?, output, Write::Replace, run.level(level))
            }),
        }
    }

    /// From one input of this setting's shape and form to an output of another shape.
    fn simple<T: Number>(
        &self,
        name: &str,
        out: [usize; 4],
        f: impl Fn(View<'_, T>, ViewMut<'_, T>, Run<'_, T>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Kernel<T> {
        let Setting { shape, x, y, level } = *self;
        Kernel {
            name: format!("{name} at {level}, {x:?} to {y:?}"),
            inputs: vec![x.len(shape)],
            output: y.len(out),
            workspace: None,
            has_level: true,
            allocates: false,
            compute: Box::new(move |inputs, output, run| {
                f(x.view(inputs[0], shape)?, y.view_mut(output, out)?, run.level(level))
            }),
        }
    }

    fn pools<T: Number>(&self) -> Vec<Kernel<T>> {
        let Setting { shape, x, y, level } = *self;
        let max = MaxPool2d::new([3, 2], [2, 1]).padding([[1, 1], [1, 0]]);
        let average = AvgPool2d::new([3, 2], [2, 1]).padding([[1, 1], [1, 0]]).ceil_mode(true);
        let (out, mean) = (max.output_shape(shape).unwrap(), average.output_shape(shape).unwrap());
        let indices = Mutex::new(vec![0i64; out.iter().product()]);
        let mut all = vec![
            self.simple("max pool", out, move |x, y, run| max.forward(x, y, run)),
            self.simple("max pool with indices", out, move |x, y, run| {
                let mut indices = indices.lock().unwrap();
                max.forward_with_indices(x, y, ViewMut::nhwc(&mut indices, out)?, run)
            }),
            self.simple("average pool", mean, move |x, y, run| average.forward(x, y, run)),
            self.simple("global average pool", [shape[0], 1, 1, shape[3]], |x, y, run| {
                AvgPool2d::global().forward(x, y, run)
            }),
        ];
        for ties in [Ties::All, Ties::First] {
            all.push(Kernel {
                inputs: vec![x.len(shape), y.len(out)],
                output: x.len(shape),
                compute: Box::new(move |inputs, output, run| {
                    let (from, dy, dx) =
                        (x.view(inputs[0], shape)?, y.view(inputs[1], out)?, x.view_mut(output, shape)?);
                    max.backward(from, dy, dx, ties, Write::Replace, run.level(level))
                }),
                ..self.simple(&format!("max pool backward, {ties:?}"), out, |_, _, _| Ok(()))
            });
        }
        // An index may point anywhere in its plane.
        let plane = shape[1] * shape[2];
        let indices = Array4::from_fn(out, |[_, oy, ox, c]| ((oy * 5 + ox * 3 + c) % plane) as i64).data;
        all.push(Kernel {
            inputs: vec![y.len(out)],
            output: x.len(shape),
            has_level: false,
            compute: Box::new(move |inputs, output, run| {
                let (dy, dx) = (y.view(inputs[0], out)?, x.view_mut(output, shape)?);
                max.backward_from_indices(dy, View::nhwc(&indices, out)?, dx, Write::Replace, run.level(level))
            }),
            ..self.simple("max pool backward from indices", out, |_, _, _| Ok(()))
        });
        all.push(Kernel {
            inputs: vec![y.len(mean)],
            output: x.len(shape),
            compute: Box::new(move |inputs, output, run| {
                let (dy, dx) = (y.view(inputs[0], mean)?, x.view_mut(output, shape)?);
                average.backward(dy, dx, Write::Replace, run.level(level))
            }),
            ..self.simple("average pool backward", mean, |_, _, _| Ok(()))
        });
        all
    }

    fn activations<T: Number>(&self) -> Vec<Kernel<T>> {
        let Setting { shape, x, y, level } = *self;
        let slopes = Random(10).reals::<T>([1, 1, 1, shape[3]]).data;
        let no_scratch = |kernel: Kernel<T>| Kernel { workspace: Some(0), ..kernel };
        let silu = no_scratch(self.simple("silu", shape, |x, y, run| Activation::Silu.forward(x, y, run)));
        let backward = Kernel {
            inputs: vec![x.len(shape), y.len(shape)],
            output: x.len(shape),
            compute: Box::new(move |inputs, output, run| {
                let (from, dy, dx) = (x.view(inputs[0], shape)?, y.view(inputs[1], shape)?, x.view_mut(output, shape)?);
                Activation::PRelu(&slopes).backward(from, dy, dx, Write::Replace, run.level(level))
            }),
            ..no_scratch(self.simple("prelu backward", shape, |_, _, _| Ok(())))
        };
        let slope = Kernel {
            inputs: vec![x.len(shape), y.len(shape)],
            output: shape[3],
            compute: Box::new(move |inputs, output, run| {
                let (from, dy) = (x.view(inputs[0], shape)?, y.view(inputs[1], shape)?);
                prelu_backward_slope(from, dy, output, Write::Replace, run.level(level))
            }),
            ..no_scratch(self.simple("dslope", shape, |_, _, _| Ok(())))
        };
        vec![silu, backward, slope]
    }

    fn zero_pad<T: Number>(&self) -> Kernel<T> {
        let [n, h, w, c] = self.shape;
        let kernel = self.simple("zero pad", [n, h + 3, w + 1, c], |x, y, run| zero_pad(x, [[1, 2], [0, 1]], y, run));
        Kernel { workspace: Some(0), has_level: false, ..kernel }
    }
}
