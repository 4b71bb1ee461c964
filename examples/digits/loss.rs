//! Softmax and cross-entropy.

use crate::data::CLASSES;

/// `p[i] = exp(z[i]) / sum exp(z[j])`.
pub fn softmax(logits: &[f32]) -> [f32; CLASSES] {
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut p: [f32; CLASSES] = std::array::from_fn(|i| (logits[i] - maximum).exp());
    let sum: f32 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    p
}

/// The mean over a batch of `-ln p[label]`, and into `gradient` its derivative by the logits, `(p - onehot) / batch`.
pub fn cross_entropy(logits: &[f32], labels: &[usize], gradient: &mut [f32]) -> f32 {
    let batch = labels.len() as f32;
    let mut sum = 0.0;
    for ((z, dz), &label) in logits.chunks(CLASSES).zip(gradient.chunks_mut(CLASSES)).zip(labels) {
        let p = softmax(z);
        sum -= p[label].max(f32::MIN_POSITIVE).ln();
        for (i, (dz, p)) in dz.iter_mut().zip(p).enumerate() {
            *dz = (p - f32::from(u8::from(i == label))) / batch;
        }
    }
    sum / batch
}
