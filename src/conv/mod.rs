//! Convolution.
mod algorithm;
pub use algorithm::{Accuracy, Algorithm, ParseAlgorithmError, Refusal};
