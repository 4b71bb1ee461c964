//! The protocol that all engines speak, see `../../README.md`: requests on stdin, answers on stdout.

use gemmule_bench::{Layer, Result};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write, stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is to be computed, and where its operands lie.
#[derive(Debug, Deserialize)]
pub struct Task {
    pub layer: Layer,
    pub batch: usize,
    /// How often the layer is applied to its own output.
    pub chain: usize,
    /// Zeros before and after the image, `[top, left, bottom, right]`: what the layer's padding comes to.
    #[cfg_attr(not(feature = "peers"), allow(dead_code))]
    pub pads: [usize; 4],
    /// Of a transposed convolution.
    #[cfg_attr(not(feature = "peers"), allow(dead_code))]
    pub output_padding: [usize; 2],
    /// `x.f32`, `weights.f32` and `bias.f32` as ONNX has them, and `layer.onnx`.
    pub folder: PathBuf,
    /// Where the first result goes.
    pub output: PathBuf,
}

impl Task {
    /// `[n, c, h, w]`.
    pub fn input(&self) -> [usize; 4] {
        let Layer { c_in, height, width, .. } = self.layer;
        [self.batch, c_in, height, width]
    }

    /// `[o, i, kh, kw]`; of a transposed convolution `[i, o, kh, kw]`.
    pub fn weights(&self) -> [usize; 4] {
        let Layer { op, c_in, c_out, groups, .. } = self.layer;
        let [kh, kw] = self.layer.kernel.0;
        match op {
            gemmule_bench::Op::Conv => [c_out, c_in / groups, kh, kw],
            gemmule_bench::Op::ConvTranspose => [c_in, c_out / groups, kh, kw],
            _ => [0; 4],
        }
    }

    /// Weights and bias of a link of the chain. Each has its own, as the layers of a network have.
    pub fn parameters(&self, link: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let part = |name| -> Result<_> {
            let all = self.read(name)?;
            let len = all.len() / self.chain;
            Ok(all[link * len..][..len].to_vec())
        };
        Ok((part("weights.f32")?, part("bias.f32")?))
    }

    /// An operand.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let path = self.folder.join(name);
        let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

/// Writes numbers as they lie in memory.
pub fn write(path: &Path, values: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Ok(std::fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))?)
}

/// How a result lies in memory.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(feature = "peers"), allow(dead_code))]
pub enum Layout {
    Nchw,
    Nhwc,
}

/// A task, ready to run.
pub trait Runner {
    /// Runs it once, with all links of its chain.
    fn run(&mut self) -> Result<()>;

    /// The result of the last run; none of a roof.
    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>>;

    /// How it runs, where there is something to say.
    fn note(&self) -> String {
        String::new()
    }

    /// Operations of a run, where that is what is measured.
    fn flops(&self) -> Option<f64> {
        None
    }
}

/// What an engine is.
pub type Prepare = dyn Fn(&Task) -> Result<Box<dyn Runner>> + Send;

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Request {
    Prepare { task: Box<Task> },
    Measure { seconds: f64 },
    Drop,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Prepared { layout: Option<Layout>, note: String, flops: Option<f64> },
    Measured { times: Vec<f64> },
    Dropped {},
    Refused { error: String },
}

/// Answers until stdin ends.
pub fn serve(prepare: Box<Prepare>) -> Result<()> {
    let mut runner = None;
    for line in stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        // Some engines refuse by a panic.
        let answer = match catch_unwind(AssertUnwindSafe(|| answer(&prepare, &mut runner, request))) {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => Answer::Refused { error: e.to_string() },
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panicked");
                Answer::Refused { error: text.to_owned() }
            }
        };
        let mut out = stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

fn answer(prepare: &Prepare, slot: &mut Option<Box<dyn Runner>>, request: Request) -> Result<Answer> {
    match request {
        Request::Prepare { task } => {
            *slot = None;
            let mut runner = prepare(&task)?;
            runner.run()?;
            let layout = match runner.output()? {
                Some((layout, values)) => {
                    write(&task.output, &values)?;
                    Some(layout)
                }
                None => None,
            };
            let (note, flops) = (runner.note(), runner.flops());
            *slot = Some(runner);
            Ok(Answer::Prepared { layout, note, flops })
        }
        Request::Measure { seconds } => {
            let runner = slot.as_mut().ok_or("nothing is prepared")?;
            runner.run()?;
            let (mut times, start) = (Vec::new(), Instant::now());
            let seconds = Duration::try_from_secs_f64(seconds)?;
            while times.is_empty() || start.elapsed() < seconds {
                let call = Instant::now();
                runner.run()?;
                times.push(call.elapsed().as_secs_f64());
            }
            Ok(Answer::Measured { times })
        }
        Request::Drop => {
            *slot = None;
            Ok(Answer::Dropped {})
        }
    }
}
