//! What every example that runs layers is asked.

use clap::ValueEnum;
use gemmule::{Accuracy, Executor, Level, Serial};
use gemmule_bench::{Result, Setup};
use std::num::NonZeroUsize;
use std::time::Duration;

/// How layers are run.
#[derive(Clone, Debug, clap::Args)]
pub struct How {
    /// Threads, in a pool of rayon's; 1 is the calling thread, without a pool
    #[arg(long, value_name = "N", default_value = "1")]
    pub threads: NonZeroUsize,
    /// Instruction set: scalar, portable, avx2, avx512 [default: the best one here]
    #[arg(long)]
    pub level: Option<Level>,
    /// Type of the elements
    #[arg(long = "type", value_enum, default_value = "f32")]
    pub element: ElementName,
    /// What `auto` may pick: exact sums only; fast transforms below 3e-5; any fast transform
    #[arg(long, value_enum, default_value = "default")]
    accuracy: AccuracyName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AccuracyName {
    Exact,
    Default,
    Relaxed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ElementName {
    F32,
    F64,
}

impl How {
    /// The forward pass of one image, unless more is said.
    pub fn setup(&self) -> Setup {
        let accuracy = match self.accuracy {
            AccuracyName::Exact => Accuracy::Exact,
            AccuracyName::Default => Accuracy::Default,
            AccuracyName::Relaxed => Accuracy::Relaxed,
        };
        Setup { level: self.level, accuracy, ..Setup::default() }
    }

    /// Calls `f` with the executor that was asked for, in its pool.
    pub fn on_threads<R: Send>(&self, f: impl FnOnce(&dyn Executor) -> Result<R> + Send) -> Result<R> {
        match self.threads.get() {
            1 => f(&Serial),
            #[cfg(feature = "rayon")]
            threads => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                pool.install(|| f(&gemmule::Rayon))
            }
            #[cfg(not(feature = "rayon"))]
            threads => Err(format!("--threads {threads}: this build has no feature `rayon`").into()),
        }
    }
}

/// A time, in seconds.
pub fn seconds(s: &str) -> std::result::Result<Duration, String> {
    let seconds = s.parse().map_err(|e| format!("{e}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}
