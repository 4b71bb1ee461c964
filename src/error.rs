//! The one error type.

use crate::conv::{Algorithm, Refusal};
use crate::simd::Level;
use core::fmt;

/// What a call was refused for. It holds no heap memory and says which argument, what was expected, and what was given.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Error {
    /// A view has another shape than the call needs. Activations are `[n, h, w, c]`.
    Shape {
        /// The argument's name.
        argument: &'static str,
        /// The shape that would have been right.
        expected: [usize; 4],
        /// The shape that came.
        given: [usize; 4],
    },
    /// A slice is too short, or has not exactly the length that its meaning gives it.
    Length {
        /// The argument's name.
        argument: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements that came.
        given: usize,
    },
    /// A number is outside of what is allowed.
    Parameter {
        /// The parameter's name.
        argument: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        given: isize,
    },
    /// An element of a slice is outside of what is allowed.
    Value {
        /// The argument's name.
        argument: &'static str,
        /// Which element.
        index: usize,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        given: f64,
    },
    /// A kernel, with its dilation, does not fit into the padded input.
    KernelTooLarge {
        /// `"height"` or `"width"`.
        axis: &'static str,
        /// `dilation * (kernel - 1) + 1`.
        kernel: usize,
        /// Input size plus padding; negative where the padding crops away more than there is.
        padded: isize,
    },
    /// A mutable view whose strides let two indices share an element.
    Overlap {
        /// The argument's name.
        argument: &'static str,
        /// Its shape.
        shape: [usize; 4],
        /// Its strides, in elements.
        strides: [usize; 4],
    },
    /// A size does not fit into the machine's integers.
    Overflow {
        /// What was being computed.
        argument: &'static str,
    },
    /// Memory could not be had.
    OutOfMemory {
        /// What it was for.
        argument: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
    /// The workspace slice that the caller lent is too short.
    Workspace {
        /// Elements needed.
        expected: usize,
        /// Elements lent.
        given: usize,
    },
    /// The level is not to be had on this machine or in this build, or is not the one that the operator was prepared for.
    Level {
        /// The level that was asked for.
        asked: Level,
        /// The best one here, or the one that was prepared for.
        available: Level,
    },
    /// The algorithm that was asked for can't do this.
    Algorithm {
        /// The algorithm that was asked for.
        asked: Algorithm,
        /// The rule that it broke.
        refusal: Refusal,
    },
    /// The executor came back before all tasks were done. The outputs are in an undefined (but valid) state.
    Executor {
        /// Tiles to be computed.
        expected: usize,
        /// Tiles that were.
        done: usize,
    },
    /// An index of a maximum points outside of the input's plane.
    Index {
        /// The argument's name.
        argument: &'static str,
        /// Indices are -1 or below this.
        bound: usize,
        /// The index.
        given: i64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Shape { argument, expected, given } => {
                write!(f, "{argument}: expected the shape {expected:?}, got {given:?}")
            }
            Error::Length { argument, expected, given } => {
                write!(f, "{argument}: expected {expected} elements, got {given}")
            }
            Error::Parameter { argument, expected, given } => write!(f, "{argument}: expected {expected}, got {given}"),
            Error::Value { argument, index, expected, given } => {
                write!(f, "{argument}: expected {expected} at index {index}, got {given}")
            }
            Error::KernelTooLarge { axis, kernel, padded } => {
                write!(f, "kernel: expected at most {padded} (the padded input) along the {axis}, got {kernel}")
            }
            Error::Overlap { argument, shape, strides } => write!(
                f,
                "{argument}: expected strides that give each element one index, got {strides:?} for the shape {shape:?}"
            ),
            Error::Overflow { argument } => {
                write!(f, "{argument}: expected a size that fits into {} bits, got a larger one", usize::BITS)
            }
            Error::OutOfMemory { argument, bytes } => {
                write!(f, "{argument}: expected {bytes} bytes of memory, got none")
            }
            Error::Workspace { expected, given } => {
                write!(f, "workspace: expected at least {expected} elements, got {given}")
            }
            Error::Level { asked, available } => {
                write!(f, "level: expected {available} or one below it that is built in, got {asked}")
            }
            Error::Algorithm { asked, refusal } => {
                write!(f, "algorithm: expected one that accepts, got {asked}, which refuses: {refusal}")
            }
            Error::Executor { expected, done } => {
                write!(f, "executor: expected {expected} tiles to be run, got {done}")
            }
            Error::Index { argument, bound, given } => {
                write!(f, "{argument}: expected -1 or an index below {bound}, got {given}")
            }
        }
    }
}

impl core::error::Error for Error {}
