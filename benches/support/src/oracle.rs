//! What a layer's result has to be: the reference, on the same data.

use crate::data::{Activation, terms};
use crate::{Job, Layer, Op, Pass, Result};
use gemmule::{Element, Tensor};
use gemmule_reference::{
    Array4, Real, Ties, average_pool, average_pool_backward, conv_backward, conv_forward, conv_transpose, max_pool,
    max_pool_backward,
};

/// How far a result is from the reference.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    /// The largest error; outputs have about the variance 1. The largest number there is, where a result is none.
    pub max_error: f64,
    /// The largest ratio of an error to the bound of an exact lowering, `(terms + 2) * eps / 2 * sum |x * w|`, to which
    /// the same for the reference's own `f64` is added. The bound of a maximum is 0.
    pub of_bound: f64,
}

/// The reference, with the data of a job in its own type.
pub struct Oracle<R> {
    layer: Layer,
    pass: Pass,
    terms: usize,
    x: Array4<R>,
    dy: Array4<R>,
    weights: Array4<R>,
    bias: Vec<R>,
}

fn array<T: Element, R: Real>(tensor: &Tensor<T>) -> Array4<R> {
    Array4::new(tensor.shape(), tensor.as_slice().iter().map(|v| R::from_f64(v.to_f64())).collect())
}

impl<R: Real> Oracle<R> {
    /// Takes over a job's data.
    ///
    /// # Errors
    /// Memory that can't be had.
    pub fn new<T: Element>(job: &Job<T>) -> Result<Self> {
        let data = &job.data;
        Ok(Oracle {
            layer: job.layer.clone(),
            pass: job.setup.pass,
            terms: terms(&job.layer, &job.setup)?,
            x: array(&Tensor::from_view(data.x.view()?)?),
            dy: array(&Tensor::from_view(data.dy.view()?)?),
            weights: array(&data.weights),
            bias: data.bias.iter().map(|v| R::from_f64(v.to_f64())).collect(),
        })
    }

    /// Computes the result.
    pub fn run(&self) -> Array4<R> {
        let Oracle { layer, x, dy, weights, bias, .. } = self;
        let (window, output_padding) = layer.window();
        match (layer.op, self.pass) {
            (Op::Conv, Pass::Forward) => conv_forward(x, weights, Some(bias), &window, layer.groups),
            (Op::ConvTranspose, Pass::Forward) => {
                conv_transpose(x, weights, Some(bias), &window, output_padding, layer.groups)
            }
            (Op::Conv, Pass::Dx) => {
                let x = Array4::zeros(layer.input(dy.shape[0]));
                conv_backward(&x, weights, dy, &window, layer.groups).0
            }
            (Op::Conv, Pass::Dw) => {
                let [kh, kw] = layer.kernel.0;
                let weights = Array4::zeros([kh, kw, layer.c_in / layer.groups, layer.c_out]);
                conv_backward(x, &weights, dy, &window, layer.groups).1
            }
            (_, Pass::Db) => {
                let mut db = Array4::zeros([1, 1, 1, layer.c_out]);
                dy.data.iter().enumerate().for_each(|(i, &dy)| db.data[i % layer.c_out] += dy);
                db
            }
            (Op::MaxPool, Pass::Forward) => max_pool(x, &window, false),
            (Op::MaxPool, Pass::Dx) => max_pool_backward(x, dy, &window, false, Ties::First),
            (Op::AvgPool, Pass::Forward) => average_pool(x, &window, false, false),
            (Op::AvgPool, Pass::Dx) => average_pool_backward(dy, layer.input(dy.shape[0]), &window, false, false),
            (op, pass) => unreachable!("no job of {op} has a {pass} pass"),
        }
    }

    /// The same of absolute values: what a rounding error may be proportional to.
    fn absolute(mut self) -> Self {
        let abs = |v: &R| R::from_f64(v.to_f64().abs());
        // A maximum's gradient goes where its input says.
        if self.layer.op != Op::MaxPool {
            self.x = self.x.map(abs);
        }
        (self.dy, self.weights) = (self.dy.map(abs), self.weights.map(abs));
        self.bias = self.bias.iter().map(abs).collect();
        self
    }
}

impl Oracle<f64> {
    pub(crate) fn verify<T: Element>(self, out: &Activation<T>) -> Result<Verified> {
        let (want, out) = (self.run(), Tensor::from_view(out.view()?)?);
        assert_eq!(want.shape, out.shape(), "shape of the reference");
        let is_exact = self.layer.op == Op::MaxPool && self.pass == Pass::Forward;
        let eps = if is_exact { 0.0 } else { (T::EPSILON.to_f64() + f64::EPSILON) / 2.0 };
        let factor = (self.terms + 2) as f64 * eps;
        let sizes = self.absolute().run();
        let mut verified = Verified { max_error: 0.0, of_bound: 0.0 };
        for ((got, &want), size) in out.as_slice().iter().zip(&want.data).zip(&sizes.data) {
            let got = got.to_f64();
            let error = match (got - want).abs() {
                _ if got == want => 0.0,
                error if error.is_finite() => error,
                _ => f64::MAX,
            };
            let of_bound = error / (factor * size).max(f64::MIN_POSITIVE);
            verified.max_error = verified.max_error.max(error);
            verified.of_bound = verified.of_bound.max(of_bound.min(f64::MAX));
        }
        Ok(verified)
    }
}
