//! Matrix products. This folder knows m, n and k, not images.
//!
//! ```text
//! c[m][n] = start[m][n] + sum over k of a[m][k] * b[k][n]
//! ```
//!
//! The rows of A are read where they lie: each has a start of its own, so that pixels of an image can be rows. B is
//! packed in panels of two vectors, `b[panel][k][2 * LANES]`, the last one filled up with zeros. Each element of C is
//! one sum in the order of k, whatever the blocks and the rows of a strip: so its bits depend on neither. But for a row that is
//! alone in its strip: its sums are in `chains`; and for columns that take several terms at a time, in `folds`: those
//! have as many sums each.

mod batch;
mod blocking;
mod finish;
mod folds;
#[cfg(feature = "testing")]
mod instances;
mod macro_kernel;
#[cfg(feature = "simd")]
mod matrixmultiply;
mod micro_kernel;
mod pack;
mod row;
mod strips;

pub(crate) use batch::Batch;
pub(crate) use blocking::{Blocking, MAX_ROWS, RegisterTile};
pub(crate) use finish::Finish;
pub(crate) use folds::{fold, terms_at_a_time};
#[cfg(feature = "testing")]
pub use instances::MicroKernel;
pub(crate) use macro_kernel::{Activate, Classes, Gemm, Plain};
#[cfg(feature = "simd")]
pub(crate) use matrixmultiply::gemm as matrixmultiply;
pub(crate) use micro_kernel::{Segment, Start};
pub(crate) use pack::{pack, packed_len};
pub(crate) use row::chains;
