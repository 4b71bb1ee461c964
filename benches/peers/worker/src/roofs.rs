//! What the machine can do at best.

use crate::protocol::{Layout, Runner, Task};
use gemmule_bench::{Peak, Result};
use rayon::prelude::*;

/// Samples of the peak in a call, which outweigh the start of a thread.
const SAMPLES: usize = 16;
/// Bytes below which a second thread costs more than it brings.
const SERIAL_BYTES: usize = 1 << 18;

struct FmaPeak {
    threads: usize,
    flops: f64,
}

/// The FMA peak of all threads.
pub fn peak(threads: usize) -> Result<Box<dyn Runner>> {
    Ok(Box::new(FmaPeak { threads, flops: 0.0 }))
}

impl Runner for FmaPeak {
    fn run(&mut self) -> Result<()> {
        let samples = || (0..SAMPLES).map(|_| f32::sample()).sum::<f64>();
        self.flops = match self.threads {
            1 => samples(),
            _ => rayon::broadcast(|_| samples()).into_iter().sum(),
        };
        Ok(())
    }

    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>> {
        Ok(None)
    }

    fn flops(&self) -> Option<f64> {
        Some(self.flops)
    }
}

struct Copy {
    from: Vec<u64>,
    to: Vec<u64>,
    /// What a thread copies.
    part: usize,
}

/// A copy that reads and writes as many bytes as the layer does, all in all.
pub fn copy(task: &Task, threads: usize) -> Result<Box<dyn Runner>> {
    let elements = |shape: [usize; 4]| shape.iter().product::<usize>();
    let activations = elements(task.input()) + elements(task.layer.output(task.batch)?);
    let bias = if task.layer.op.is_conv() { task.layer.c_out } else { 0 };
    let bytes = (activations + elements(task.weights()) + bias) * size_of::<f32>();
    let words = (bytes / 2).div_ceil(size_of::<u64>());
    let threads = if bytes < SERIAL_BYTES { 1 } else { threads };
    Ok(Box::new(Copy { from: vec![1; words], to: vec![0; words], part: words.div_ceil(threads) }))
}

impl Runner for Copy {
    fn run(&mut self) -> Result<()> {
        let Copy { from, to, part } = self;
        if *part == from.len() {
            gemmule_bench::copy(from, to);
        } else {
            from.par_chunks(*part).zip(to.par_chunks_mut(*part)).for_each(|(from, to)| gemmule_bench::copy(from, to));
        }
        Ok(())
    }

    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>> {
        Ok(None)
    }
}
