//! Checks the crate against folders of conformance cases, whoever computed them.
//!
//! ```text
//! cargo run --release --example conformance -- tests/conformance tests/golden/numpy
//! ```
//!
//! `tests/conformance/README.md` describes the format.

mod runner;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use gemmule::{Accuracy, Algorithm, Level};
use runner::{Folder, Outcome, Settings, Tally, Threads};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs folders of conformance cases: prints the failures, then how many cases passed.
///
/// The exit status is 1 where a case failed, and 2 where a folder can't be read or a level is not available.
#[derive(Parser)]
struct Arguments {
    /// Folders with a cases.json and a cases.bin.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The instruction set level, such as scalar or avx2 [default: the best one]
    #[arg(long)]
    level: Option<Level>,
    /// The lowering of convolutions; a case that it refuses is unsupported.
    #[arg(long, default_value_t)]
    algorithm: Algorithm,
    /// How exact convolutions have to be.
    #[arg(long, value_enum, default_value_t = Precision::Default)]
    accuracy: Precision,
    /// How activations lie in memory.
    #[arg(long, value_enum, default_value_t = Layout::Nhwc)]
    layout: Layout,
    /// Threads [default: rayon's, or one where rayon is not built in]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print passed and unsupported cases too.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    Exact,
    Default,
    Relaxed,
}

#[derive(Clone, Copy, ValueEnum)]
enum Layout {
    Nhwc,
    Nchw,
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            level: self.level,
            algorithm: self.algorithm,
            accuracy: match self.accuracy {
                Precision::Exact => Accuracy::Exact,
                Precision::Default => Accuracy::Default,
                Precision::Relaxed => Accuracy::Relaxed,
            },
            layout: match self.layout {
                Layout::Nhwc => runner::Layout::Nhwc,
                Layout::Nchw => runner::Layout::Nchw,
            },
            threads: self.threads.map(|threads| Threads(threads.into())),
        }
    }
}

/// Runs all folders, none of them where one can't be read.
fn run(arguments: &Arguments) -> Result<Tally> {
    if let Some(level) = arguments.level {
        let available: Vec<String> = Level::available().map(|level| level.to_string()).collect();
        ensure!(level.is_available(), "the level {level} is not available here; these are: {}", available.join(" "));
    }
    let read = |path: &PathBuf| Folder::read(path).with_context(|| format!("can't run {}", path.display()));
    let folders = arguments.folders.iter().map(read).collect::<Result<Vec<Folder>>>()?;
    let (settings, mut tally, mut out) = (arguments.settings(), Tally::default(), std::io::stdout().lock());
    for (path, folder) in arguments.folders.iter().zip(&folders) {
        let path = path.display();
        for (name, outcome) in runner::outcomes(folder, &settings) {
            tally.count(&outcome);
            match outcome {
                Outcome::Failed(what) => writeln!(out, "failed: {path}: {name}: {what}")?,
                Outcome::Unsupported(why) if arguments.verbose => {
                    writeln!(out, "unsupported: {path}: {name}: {why}")?;
                }
                Outcome::Passed(error) if arguments.verbose => {
                    writeln!(out, "passed: {path}: {name}: largest error {error:.3e}")?;
                }
                _ => {}
            }
        }
    }
    writeln!(out, "{tally}")?;
    Ok(tally)
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(tally) => ExitCode::from(u8::from(tally.failed > 0)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
