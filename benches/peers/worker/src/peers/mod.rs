//! Rust's other convolutions.

pub mod burn_flex;
pub mod candle;
pub mod rten;
pub mod tract;

use crate::protocol::Task;
use gemmule_bench::Result;

/// `[vertical, horizontal]` padding, of those that know no other than the same on both sides.
fn symmetric_pads(task: &Task) -> Result<[usize; 2]> {
    let [top, left, bottom, right] = task.pads;
    if (top, left) != (bottom, right) {
        return Err(format!("has only symmetric padding, not {:?}", task.pads).into());
    }
    Ok([top, left])
}
