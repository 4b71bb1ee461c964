//! The operands of a task, and what its result has to be: computed in `f64`, by direct sums.

use crate::gemmule_engine::Chain;
use crate::protocol::{Runner, Task, write};
use gemmule::{Algorithm, Options};
use gemmule_bench::{Op, Result, random};

/// Of the bias, so that a chain's outputs keep about the variance of its input.
const BIAS_SCALE: f64 = 0.1;

/// Writes the operands to the task's folder; the result is what the returned runner computes.
pub fn prepare(task: &Task, threads: usize) -> Result<Box<dyn Runner>> {
    let layer = &task.layer;
    let scale = ((layer.taps() * layer.c_in / layer.groups) as f64).sqrt().recip();
    let bias = if layer.op.is_conv() { layer.c_out } else { 0 };
    std::fs::create_dir_all(&task.folder)?;
    let [outer, inner @ ..] = task.weights();
    for (name, seed, shape, scale) in [
        ("x.f32", 1, task.input(), 1.0),
        ("weights.f32", 3, [task.chain * outer, inner[0], inner[1], inner[2]], scale),
        ("bias.f32", 4, [1, 1, task.chain, bias], BIAS_SCALE),
    ] {
        write(&task.folder.join(name), random::<f32>(shape, seed, scale)?.as_slice())?;
    }
    let algorithm = match layer.op {
        Op::Conv | Op::ConvTranspose => Algorithm::Im2col,
        Op::MaxPool | Op::AvgPool => Algorithm::Auto,
    };
    Ok(Box::new(Chain::<f64>::new(task, threads, Options::new().algorithm(algorithm))?))
}
