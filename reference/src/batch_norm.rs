//! Batch normalization with given statistics.

use crate::{Array4, Real};

/// `y[n, y, x, c] = gamma[c] * (x[n, y, x, c] - mean[c]) / sqrt(variance[c] + epsilon) + beta[c]`.
///
/// `x` and the result are `[n, h, w, c]`; the four parameters hold one value per channel.
pub fn batch_norm<T: Real>(
    x: &Array4<T>,
    gamma: &[T],
    beta: &[T],
    mean: &[T],
    variance: &[T],
    epsilon: T,
) -> Array4<T> {
    for parameter in [gamma, beta, mean, variance] {
        assert_eq!(parameter.len(), x.shape[3], "one value per channel");
    }
    Array4::from_fn(x.shape, |i| {
        let c = i[3];
        gamma[c] * (x[i] - mean[c]) / (variance[c] + epsilon).sqrt() + beta[c]
    })
}
