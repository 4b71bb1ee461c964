//! Batch normalization, which costs nothing where a convolution comes before it: its weights take it in.

use crate::element::Element;
use crate::error::Error;
use crate::simd::math::sqrt;
use crate::tensor::ViewMut;

/// A batch normalization with given statistics (Ioffe and Szegedy, "Batch normalization", 2015), as at inference:
/// `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, each parameter one value per channel, `[c]`.
///
/// ```
/// use gemmule::{BatchNorm, ViewMut};
/// let norm = BatchNorm { gamma: &[2.0f32, 1.0], beta: &[0.5, 0.0], mean: &[3.0, 0.0], variance: &[3.0, 0.0], epsilon: 1.0 };
/// // A 1x1 convolution from one channel to two.
/// let (mut w, mut bias) = ([1.0, 10.0], [4.0, 5.0]);
/// norm.fold(ViewMut::nhwc(&mut w, [1, 1, 1, 2])?, &mut bias)?;
/// assert_eq!((w, bias), ([1.0, 10.0], [1.5, 5.0]));
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm<'a, T> {
    /// The scale: `[c]`.
    pub gamma: &'a [T],
    /// The shift: `[c]`.
    pub beta: &'a [T],
    /// The running mean: `[c]`.
    pub mean: &'a [T],
    /// The running variance: `[c]`.
    pub variance: &'a [T],
    /// What is added to the variance.
    pub epsilon: T,
}

impl<T: Element> BatchNorm<'_, T> {
    /// Changes the weights and the bias of a convolution so that it gives what the normalization would make of its output:
    ///
    /// `scale[o] = gamma[o] / sqrt(variance[o] + epsilon)`, `w[.., o] *= scale[o]`,
    /// `bias[o] = (bias[o] - mean[o]) * scale[o] + beta[o]`.
    ///
    /// `weights` has the shape `[kernel_h, kernel_w, c_in / groups, c_out]`, and any strides: HWIO weights are
    /// `ViewMut::nhwc(w, [kh, kw, i, o])`, OIHW ones `ViewMut::new(w, [kh, kw, i, o], [kw, 1, kh * kw, i * kh * kw])`.
    /// `bias` is `[c_out]`; for a convolution without one, give zeros. Scale and bias are computed in `f64`.
    ///
    /// # Errors
    /// [`Error::Length`] where a slice has not one element for each output channel, [`Error::Value`] where
    /// `variance + epsilon` is not positive (or NaN).
    pub fn fold(&self, weights: ViewMut<'_, T>, bias: &mut [T]) -> Result<(), Error> {
        let [kh, kw, ci, co] = weights.shape();
        self.check(co, bias.len())?;
        let strides = weights.strides();
        let data = weights.into_data();
        // A block of channels at a time, so that rows of HWIO weights are walked along and the scales need no memory.
        let mut scales = [T::ZERO; 64];
        for start in (0..co).step_by(scales.len()) {
            let scales = &mut scales[..(co - start).min(64)];
            for (o, scale) in (start..).zip(scales.iter_mut()) {
                let exact = self.gamma[o].to_f64() / sqrt(self.shifted_variance(o));
                *scale = T::from_f64(exact);
                let centered = bias[o].to_f64() - self.mean[o].to_f64();
                bias[o] = T::from_f64(centered * exact + self.beta[o].to_f64());
            }
            for (y, x, i) in (0..kh).flat_map(|y| (0..kw).flat_map(move |x| (0..ci).map(move |i| (y, x, i)))) {
                let at = y * strides[0] + x * strides[1] + i * strides[2] + start * strides[3];
                for (o, &scale) in scales.iter().enumerate() {
                    let w = &mut data[at + o * strides[3]];
                    *w = *w * scale;
                }
            }
        }
        Ok(())
    }

    fn shifted_variance(&self, o: usize) -> f64 {
        self.variance[o].to_f64() + self.epsilon.to_f64()
    }

    fn check(&self, expected: usize, bias_len: usize) -> Result<(), Error> {
        let lengths = [
            ("gamma", self.gamma.len()),
            ("beta", self.beta.len()),
            ("mean", self.mean.len()),
            ("variance", self.variance.len()),
            ("bias", bias_len),
        ];
        if let Some((argument, given)) = lengths.into_iter().find(|&(_, len)| len != expected) {
            return Err(Error::Length { argument, expected, given });
        }
        // Written so that NaN is refused too.
        match (0..expected)
            .find(|&o| !matches!(self.shifted_variance(o).partial_cmp(&0.0), Some(core::cmp::Ordering::Greater)))
        {
            Some(index) => Err(Error::Value {
                argument: "variance",
                index,
                expected: "one that is positive with epsilon added",
                given: self.variance[index].to_f64(),
            }),
            None => Ok(()),
        }
    }
}
