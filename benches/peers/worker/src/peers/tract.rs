//! tract, from the ONNX file.

use crate::protocol::{Layout, Runner, Task};
use gemmule_bench::Result;
use std::sync::Arc;
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

struct Graph {
    plan: Arc<TypedRunnableModel>,
    x: TValue,
    y: Option<TValue>,
}

/// The engine.
pub fn prepare(task: &Task, threads: usize) -> Result<Box<dyn Runner>> {
    if threads > 1 {
        set_default_executor(Executor::multithread(threads));
    }
    let model = tract_onnx::onnx().model_for_path(task.folder.join("layer.onnx"))?;
    let plan = model.with_input_fact(0, f32::fact(task.input()).into())?.into_optimized()?.into_runnable()?;
    let x = Tensor::from_shape(&task.input(), &task.read("x.f32")?)?;
    Ok(Box::new(Graph { plan, x: x.into(), y: None }))
}

impl Runner for Graph {
    fn run(&mut self) -> Result<()> {
        self.y = self.plan.run(tvec!(self.x.clone()))?.into_iter().next();
        Ok(())
    }

    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>> {
        let y = self.y.as_ref().ok_or("nothing has run")?;
        Ok(Some((Layout::Nchw, y.to_plain_array_view::<f32>()?.iter().copied().collect())))
    }
}
