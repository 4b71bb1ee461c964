//! How kernels are run: on which threads, at which level, in one workspace; and how long each of them takes.

use anyhow::{Context, Result};
use gemmule::{Error, Executor, Level, Options, Run, Workspace};
use std::time::{Duration, Instant};

/// Runs kernels and keeps the time.
pub struct Runner {
    level: Option<Level>,
    executor: Box<dyn Executor>,
    workspace: Workspace<f32>,
    times: Vec<KernelTime>,
}

/// What a kernel of a layer took so far.
pub struct KernelTime {
    pub layer: &'static str,
    pub kernel: &'static str,
    pub calls: usize,
    pub total: Duration,
}

impl Runner {
    /// Runs at this level, or at the machine's best.
    pub fn new(level: Option<Level>, executor: Box<dyn Executor>) -> Runner {
        Runner { level, executor, workspace: Workspace::new(), times: Vec::new() }
    }

    /// What layers are prepared with.
    pub fn options(&self) -> Options {
        self.level.map_or(Options::new(), |level| Options::new().level(level))
    }

    /// Makes room for a kernel, of which it is known how much it needs with so many workers.
    pub fn reserve(&mut self, len: impl Fn(usize) -> usize) -> Result<()> {
        Ok(self.workspace.reserve(len(self.executor.workers()))?)
    }

    /// Calls a kernel.
    pub fn run(
        &mut self,
        layer: &'static str,
        kernel: &'static str,
        call: impl FnOnce(Run<f32>) -> Result<(), Error>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut run = Run::new().workspace(&mut self.workspace).executor(&*self.executor);
        if let Some(level) = self.level {
            run = run.level(level);
        }
        call(run).with_context(|| format!("{layer} {kernel}"))?;
        self.count(layer, kernel, start.elapsed());
        Ok(())
    }

    fn count(&mut self, layer: &'static str, kernel: &'static str, time: Duration) {
        match self.times.iter_mut().find(|t| t.layer == layer && t.kernel == kernel) {
            Some(known) => {
                known.calls += 1;
                known.total += time;
            }
            None => self.times.push(KernelTime { layer, kernel, calls: 1, total: time }),
        }
    }

    /// All kernels that were called, in the order of their first calls.
    pub fn times(&self) -> &[KernelTime] {
        &self.times
    }

    pub fn level(&self) -> Level {
        self.level.unwrap_or(Level::best())
    }

    pub fn threads(&self) -> usize {
        self.executor.workers()
    }
}
