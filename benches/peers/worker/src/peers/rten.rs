//! rten, from the ONNX file, with weights packed beforehand.

use crate::protocol::{Layout, Runner, Task};
use gemmule_bench::Result;
use rten::{Model, ModelOptions, RunOptions, ThreadPool, Value};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use std::sync::Arc;

struct Graph {
    model: Model,
    pool: Arc<ThreadPool>,
    x: Value,
    y: Option<Value>,
}

/// The engine.
pub fn prepare(task: &Task, threads: usize) -> Result<Box<dyn Runner>> {
    let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(task.folder.join("layer.onnx"))?;
    let x = NdTensor::from_data(task.input(), task.read("x.f32")?).into();
    Ok(Box::new(Graph { model, pool: Arc::new(ThreadPool::with_num_threads(threads)), x, y: None }))
}

impl Runner for Graph {
    fn run(&mut self) -> Result<()> {
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        self.y = Some(self.model.run_one((&self.x).into(), Some(options))?);
        Ok(())
    }

    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>> {
        let y: NdTensor<f32, 4> = self.y.clone().ok_or("nothing has run")?.try_into()?;
        Ok(Some((Layout::Nchw, y.to_vec())))
    }
}
