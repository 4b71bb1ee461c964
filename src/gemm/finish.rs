//! What becomes of a sum when it is complete.

use crate::activation::{Activation, Bounds};

/// `c = activation(bounds(sum + addend + c))`, each step where there is one.
///
/// All but the activation happens in registers; that is applied to rows once they are stored, while they are in the
/// first-level cache.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a, T> {
    /// A matrix of C's size: where its rows start.
    pub addend: Option<(&'a [T], &'a [usize])>,
    /// Whether what is in C is added.
    pub accumulates: bool,
    pub bounds: Bounds<T>,
    /// Of rows whose first column is this channel.
    pub activation: Option<(&'a Activation<'a, T>, usize)>,
}

impl<T> Finish<'_, T> {
    /// The sum is stored as it is.
    pub const NOTHING: Self = Finish { addend: None, accumulates: false, bounds: Bounds::None, activation: None };
}
