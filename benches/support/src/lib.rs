//! What the benches of `gemmule` and the examples that measure layers share.
//!
//! - [`Layer`]: one line of a layer file; [`layers`] is the list that everything measures.
//! - [`Job`]: a layer with its data, ready to run: any pass, type, layout and level; [`Job::verify`] compares it with
//!   the reference.
//! - [`Comparison`]: a criterion group of a kernel: reference, scalar level, best level.
//! - [`interleave`], [`interleave_all`]: time several things turn by turn, so that all of them see the same machine.
//! - [`Peak`] and [`copy`]: the two roofs, to be interleaved with what is measured.

mod compare;
mod data;
mod job;
mod kernel;
mod layer;
mod oracle;
mod peak;
mod samples;

pub use compare::Comparison;
pub use data::{Layout, random};
pub use job::{Job, Pass, Setup};
pub use layer::{Layer, Op, Pad, Pair, layers};
pub use oracle::{Oracle, Verified};
pub use peak::Peak;
pub use samples::{Samples, Turn, copy, interleave, interleave_all};

/// Whatever went wrong, to be shown.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result that shows its error.
pub type Result<T> = std::result::Result<T, Error>;
