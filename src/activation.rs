//! Activations.

use crate::{element::Element, error::Error, simd::Simd};

/// A function that is applied to each element.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Activation<'a, T> {
    /// `x`.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x` where it is positive, else `slope[c] * x`.
    PRelu(&'a [T]),
}

impl<T: Element> Activation<'_, T> {
    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        match self {
            Activation::PRelu(slope) if slope.len() != channels => {
                Err(Error::Length { argument: "activation", expected: channels, given: slope.len() })
            }
            _ => Ok(()),
        }
    }

    #[inline(always)]
    pub(crate) fn row<S: Simd<T>>(&self, _: S, c: usize, values: &mut [T]) {
        match self {
            Activation::Identity => {}
            Activation::Relu => values.iter_mut().filter(|x| **x < T::ZERO).for_each(|x| *x = T::ZERO),
            Activation::PRelu(slope) => {
                values.iter_mut().zip(&slope[c..]).filter(|(x, _)| **x < T::ZERO).for_each(|(x, &s)| *x = *x * s)
            }
        }
    }
}
