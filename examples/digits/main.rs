//! Trains a small convolutional network on real handwritten digits, with nothing but this crate's kernels.
//!
//! ```text
//! cargo run --release --example digits
//! ```

mod data;
mod layers;
mod loss;
mod network;
mod optimizer;
mod picture;
mod report;
mod runner;
mod training;

use anyhow::{Context, Result};
use clap::Parser;
use gemmule::{Executor, Level, Serial};
use picture::Picture;
use runner::Runner;
use std::io::{ErrorKind, Write, stdout};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;
use training::{Reading, Settings, Training};

/// Trains a small convolutional network on 1,797 handwritten digits, with nothing but gemmule's kernels.
///
/// Two convolutions, ReLU, maximum and average pooling and a dense layer learn from four fifths of the images and are
/// measured on the fifth that they have never seen. Prints the accuracy, the confusion matrix and the time of each
/// kernel, and draws a picture: the learning curve, the filters that were learned, and the digits that were misread.
///
/// The same seed and level give the same bits, whatever the number of threads.
#[derive(Parser)]
#[command(name = "digits", version)]
struct Arguments {
    /// Seed of the split, the first weights, and the order and shifts of the images
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passes over the images
    #[arg(long, default_value = "25")]
    epochs: NonZeroUsize,
    /// Images of a training step
    #[arg(long, default_value = "32")]
    batch: NonZeroUsize,
    /// Run at this level: scalar, portable, avx2, avx512 [default: the best one of this machine]
    #[arg(long)]
    level: Option<Level>,
    /// The same as --level scalar
    #[arg(long, conflicts_with = "level")]
    scalar: bool,
    /// Threads to run on [default: as many as there are cores]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Where the picture is written, as SVG
    #[arg(long, value_name = "PATH", default_value = "digits.svg")]
    out: PathBuf,
    /// Draw no picture
    #[arg(long)]
    no_picture: bool,
}

fn main() -> Result<()> {
    match run(&Arguments::parse(), &mut stdout().lock()) {
        // Whoever read the output has seen enough.
        Err(error) if error.downcast_ref().is_some_and(|e: &std::io::Error| e.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        result => result,
    }
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    let start = Instant::now();
    let level = if arguments.scalar { Some(Level::Scalar) } else { arguments.level };
    let mut runner = Runner::new(level, executor(arguments.threads.map(NonZeroUsize::get))?);
    let (seed, epochs, batch) = (arguments.seed, arguments.epochs.get(), arguments.batch.get());
    let mut training = Training::new(Settings { seed, epochs, batch }, &mut runner)?;
    let setting = format!("level {}, {}, seed {seed}", runner.level(), count(runner.threads(), "thread"));
    let (train, held_out) = (training.train_len(), training.held_out().len());
    let parameters = training.network().parameter_count();
    writeln!(out, "{train} images to learn from, {held_out} held out; {parameters} parameters; {setting}\n")?;

    let progress = report::Progress::new(epochs)?;
    let training_start = Instant::now();
    for _ in 0..epochs {
        progress.show(&training.epoch(&mut runner)?, out)?;
    }
    let training_time = training_start.elapsed();
    let readings = training.read_held_out(&mut runner)?;

    let accuracy = 100.0 * report::accuracy(&readings);
    writeln!(out, "\naccuracy: {accuracy:.1} %\n")?;
    report::confusion_matrix(&readings, out)?;
    writeln!(out)?;
    report::time_per_kernel(runner.times(), training_time, out)?;
    if !arguments.no_picture {
        let subtitle = format!(
            "{accuracy:.1} % of {held_out} held-out images read rightly, after {} over {train} others \
             in {:.1} s ({setting})",
            count(epochs, "epoch"),
            training_time.as_secs_f64()
        );
        draw(&mut training, &readings, subtitle, arguments)?;
        writeln!(out, "\npicture: {}", arguments.out.display())?;
    }
    writeln!(out, "total: {:.2} s", start.elapsed().as_secs_f64())?;
    Ok(())
}

fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

fn draw(training: &mut Training, readings: &[Reading], subtitle: String, arguments: &Arguments) -> Result<()> {
    let filters = training.network().filters();
    let picture = Picture {
        title: "gemmule learns to read handwritten digits".into(),
        subtitle,
        epochs: training.epochs(),
        filters: &filters,
        readings: training.held_out().iter().zip(readings).collect(),
    };
    let svg = picture.to_svg()?;
    std::fs::write(&arguments.out, svg).with_context(|| format!("writing {}", arguments.out.display()))
}

/// As many threads as asked for, or as there are cores.
#[cfg(feature = "rayon")]
fn executor(threads: Option<usize>) -> Result<Box<dyn Executor>> {
    match threads {
        Some(1) => return Ok(Box::new(Serial)),
        Some(threads) => rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?,
        None => {}
    }
    Ok(Box::new(gemmule::Rayon))
}

/// Without the feature `rayon` there is one thread.
#[cfg(not(feature = "rayon"))]
fn executor(threads: Option<usize>) -> Result<Box<dyn Executor>> {
    anyhow::ensure!(
        threads.is_none_or(|threads| threads == 1),
        "--threads: this build has no threads (feature `rayon`)"
    );
    Ok(Box::new(Serial))
}
