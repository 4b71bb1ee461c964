//! gemmule itself: NHWC, one packed operator for each link of the chain, as in a network.

use crate::protocol::{Layout, Prepare, Runner, Task};
use gemmule::{
    Accuracy, Algorithm, Element, Epilogue, Executor, Options, Rayon, Run, Serial, Tensor, View, ViewMut, Weights,
    Workspace,
};
use gemmule_bench::{Op, Result};

type Link<T> = Box<dyn Fn(View<T>, ViewMut<T>, Run<T>) -> std::result::Result<(), gemmule::Error>>;

/// A layer, applied to its own output as often as the task says.
pub struct Chain<T> {
    x: Tensor<T>,
    /// Outputs, of even links and of odd ones.
    ys: [Tensor<T>; 2],
    links: Vec<Link<T>>,
    workspace: Workspace<T>,
    executor: &'static dyn Executor,
    note: String,
}

impl<T: Element> Chain<T> {
    pub fn new(task: &Task, threads: usize, options: Options) -> Result<Self> {
        let convert = |values: Vec<f32>| -> Vec<T> { values.into_iter().map(|v| T::from_f64(f64::from(v))).collect() };
        let input = task.layer.input(task.batch);
        let output = task.layer.output(task.batch)?;
        let mut chain = Chain {
            x: Tensor::from_view(View::nchw(&convert(task.read("x.f32")?), input)?)?,
            ys: [Tensor::zeros(output)?, Tensor::zeros(if task.chain > 1 { output } else { [0; 4] })?],
            links: Vec::new(),
            workspace: Workspace::new(),
            executor: if threads == 1 { &Serial } else { &Rayon },
            note: String::new(),
        };
        let options = options.input([task.batch, task.layer.height, task.layer.width]);
        for i in 0..task.chain {
            let (weights, bias) = task.parameters(i)?;
            let (link, note) = link(task, &options, &convert(weights), &convert(bias))?;
            chain.links.push(link);
            chain.note = note;
        }
        Ok(chain)
    }
}

fn link<T: Element>(task: &Task, options: &Options, weights: &[T], bias: &[T]) -> Result<(Link<T>, String)> {
    let layer = &task.layer;
    Ok(match layer.op {
        Op::Conv => {
            let packed = layer.conv().prepare(Weights::oihw(weights), Some(bias), options)?;
            let note = packed.plan().algorithm().to_string();
            (Box::new(move |x, y, run| packed.forward(x, y, &Epilogue::new(), run)), note)
        }
        Op::ConvTranspose => {
            let packed = layer.conv_transpose().prepare(Weights::iohw(weights), Some(bias), options)?;
            let note = packed.plan().algorithm().to_string();
            (Box::new(move |x, y, run| packed.forward(x, y, &Epilogue::new(), run)), note)
        }
        Op::MaxPool => {
            let pool = layer.max_pool();
            (Box::new(move |x, y, run| pool.forward(x, y, run)), String::new())
        }
        Op::AvgPool => {
            let pool = layer.avg_pool();
            (Box::new(move |x, y, run| pool.forward(x, y, run)), String::new())
        }
    })
}

impl<T: Element> Runner for Chain<T> {
    fn run(&mut self) -> Result<()> {
        let [even, odd] = &mut self.ys;
        for (i, link) in self.links.iter().enumerate() {
            let (x, y) = match i {
                0 => (self.x.view(), even.view_mut()),
                _ if i % 2 == 0 => (odd.view(), even.view_mut()),
                _ => (even.view(), odd.view_mut()),
            };
            link(x, y, Run::new().workspace(&mut self.workspace).executor(self.executor))?;
        }
        Ok(())
    }

    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>> {
        let last = &self.ys[(self.links.len() + 1) % 2];
        Ok(Some((Layout::Nhwc, last.as_slice().iter().map(|v| v.to_f64() as f32).collect())))
    }

    fn note(&self) -> String {
        self.note.clone()
    }
}

/// The engine, or a variant of it.
pub fn with(algorithm: Algorithm, accuracy: Accuracy, threads: usize) -> Box<Prepare> {
    Box::new(move |task| {
        if !task.layer.op.is_conv() && algorithm != Algorithm::Auto {
            return Err(format!("{} has no lowering", task.layer.op).into());
        }
        Ok(Box::new(Chain::<f32>::new(task, threads, Options::new().algorithm(algorithm).accuracy(accuracy))?))
    })
}
