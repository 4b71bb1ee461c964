//! A layer with its data, ready to run.

use crate::data::{Data, Layout};
use crate::kernel::{Kernel, Prepared, prepare};
use crate::{Layer, Oracle, Result, Verified};
use gemmule::{Accuracy, Algorithm, Element, Executor, Level, Options, Plan, Run, Workspace};
use std::fmt;

/// Which of a layer's kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// The output, from the input.
    #[default]
    Forward,
    /// The gradient of the input.
    Dx,
    /// The gradient of the weights.
    Dw,
    /// The gradient of the bias.
    Db,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pass::Forward => "forward",
            Pass::Dx => "dx",
            Pass::Dw => "dw",
            Pass::Db => "db",
        })
    }
}

/// How a layer is run.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Which kernel.
    pub pass: Pass,
    /// Of the activations.
    pub layout: Layout,
    /// Images.
    pub batch: usize,
    /// Instead of the best one.
    pub level: Option<Level>,
    /// The lowering, where there is a choice.
    pub algorithm: Algorithm,
    /// What the lowering may cost in exactness.
    pub accuracy: Accuracy,
    /// The input that the plan is made for, `[n, h, w]`, instead of the one that it gets.
    pub planned: Option<[usize; 3]>,
    /// Bytes of packed weights to walk over, so that no cache holds them: each call uses the next copy.
    pub cold_bytes: usize,
}

impl Default for Setup {
    /// The forward pass of one image in NHWC, as the plan wants it, with its weights where the last call has left them.
    fn default() -> Self {
        let (pass, layout, batch, cold_bytes) = (Pass::Forward, Layout::Nhwc, 1, 0);
        let (algorithm, accuracy) = (Algorithm::default(), Accuracy::default());
        Setup { pass, layout, batch, level: None, algorithm, accuracy, planned: None, cold_bytes }
    }
}

impl Setup {
    /// What a layer is prepared with.
    pub(crate) fn options(&self, layer: &Layer) -> Options {
        let options = Options::new().algorithm(self.algorithm).accuracy(self.accuracy);
        let options = options.input(self.planned.unwrap_or([self.batch, layer.height, layer.width]));
        self.level.map_or(options, |level| options.level(level))
    }
}

/// A layer with its data, ready to run.
pub struct Job<T> {
    pub(crate) layer: Layer,
    pub(crate) setup: Setup,
    pub(crate) data: Data<T>,
    prepared: Prepared,
    kernel: Kernel<T>,
    workspace: Workspace<T>,
}

impl<T: Element> Job<T> {
    /// Prepares a layer, on random data.
    ///
    /// # Errors
    /// For a layer that makes no sense, or has no such pass; and the refusal of a lowering.
    pub fn new(layer: &Layer, setup: &Setup) -> Result<Self> {
        layer.check()?;
        let data = Data::new(layer, setup)?;
        let (prepared, kernel) = prepare(layer, setup, &data)?;
        Ok(Job { layer: layer.clone(), setup: *setup, data, prepared, kernel, workspace: Workspace::new() })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// As the library says.
    pub fn run(&mut self, executor: &dyn Executor) -> Result<()> {
        let run = Run::new().workspace(&mut self.workspace).executor(executor);
        (self.kernel)(&mut self.data, run)
    }

    /// Runs it once, and compares the result with the reference in `f64`.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub fn verify(&mut self, executor: &dyn Executor) -> Result<Verified> {
        self.data.out.tensor.as_mut_slice().fill(T::from_f64(f64::NAN));
        self.run(executor)?;
        Oracle::<f64>::new(self)?.verify(&self.data.out)
    }

    /// The lowering; or the kernel's name, where there is none to choose.
    pub fn lowering(&self) -> String {
        match self.prepared.plan {
            Some(plan) => plan.algorithm().to_string(),
            None => self.prepared.name.to_owned(),
        }
    }

    /// The kernel, by the name that it has everywhere.
    pub fn kernel_name(&self) -> &'static str {
        self.prepared.name
    }

    /// Why it runs as it does, where there was a choice.
    pub fn plan(&self) -> Option<&Plan> {
        self.prepared.plan.as_ref()
    }

    /// The level that runs.
    pub fn level(&self) -> Level {
        self.prepared.level
    }

    /// Bytes of the packed weights.
    pub fn weight_bytes(&self) -> usize {
        self.prepared.plan.map_or(0, |plan| plan.weight_bytes())
    }

    /// What it took to pack the weights, where there are any: the least of a few times, on rayon's current pool.
    pub fn prepare_seconds(&self) -> Option<f64> {
        self.prepared.seconds
    }

    /// Bytes of scratch memory that the runs so far have taken.
    pub fn workspace_bytes(&self) -> usize {
        self.workspace.len() * size_of::<T>()
    }

    /// Operations of a run: two for each multiplication of the direct convolution, one for each tap of a pool or each
    /// summand of a bias.
    ///
    /// # Errors
    /// As [`Layer::output`].
    pub fn flops(&self) -> Result<f64> {
        let work = self.layer.work(self.setup.batch)?;
        Ok(match self.setup.pass {
            Pass::Db => self.data.dy.tensor.as_slice().len() as f64,
            _ if self.layer.op.is_conv() => 2.0 * work,
            _ => work,
        })
    }

    /// Bytes that are read or written, each counted once.
    pub fn bytes(&self) -> usize {
        let Data { x, dy, weights, bias, out } = &self.data;
        let packed = if self.prepared.plan.is_some() { weights.as_slice().len() + bias.len() } else { 0 };
        let activations = [x, dy, out].into_iter().map(|a| a.tensor.as_slice().len()).sum::<usize>();
        (activations + packed) * size_of::<T>()
    }
}
