//! Whether the plan picks the fastest lowering, on layers drawn at random:
//! `cargo run --release --example choose -- --help`.

#[path = "../common/mod.rs"]
mod common;
mod measure;
mod report;
mod shapes;

use clap::Parser;
use common::{ElementName, How, seconds};
use gemmule::{Algorithm, Element, Executor};
use gemmule_bench::{Error, Job, Layer, Result};
use measure::{LOWERINGS, measure};
use report::{Choice, Summary, Table};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Draws convolutions at random, measures every lowering that accepts, and says how good the plan's pick is.
///
/// Times are those of the fastest call, in microseconds: hot, with the weights where the last call has left them, and cold,
/// with weights from memory, as inside a network. All lowerings are measured turn by turn. The plan knows the size of the
/// input.
#[derive(Clone, Debug, Parser)]
#[command(name = "choose")]
struct Args {
    /// Seed of the layers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Layers
    #[arg(long, value_name = "N", default_value_t = 60)]
    layers: usize,
    #[command(flatten)]
    how: How,
    /// Measure the GEMM of the crate `matrixmultiply`, too
    #[arg(long)]
    matrixmultiply: bool,
    /// How long to measure each layer, hot and again cold
    #[arg(long, value_name = "S", default_value = "0.8", value_parser = seconds)]
    seconds: Duration,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.how.on_threads(|executor| run(&args, executor)) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough is no error.
        Err(e) if e.downcast_ref().is_some_and(|e: &io::Error| e.kind() == ErrorKind::BrokenPipe) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, executor: &dyn Executor) -> Result<()> {
    let layers = shapes::draw(args.seed, args.layers);
    let lowerings = if args.matrixmultiply { &LOWERINGS[..] } else { &LOWERINGS[..LOWERINGS.len() - 1] };
    let names = lowerings.iter().map(ToString::to_string).collect();
    let table = Table::new(layers.iter().map(|layer| layer.name.as_str()), names);
    let mut out = io::stdout();
    if !args.json {
        writeln!(out, "{}", table.head())?;
    }
    let mut choices = Vec::new();
    for layer in &layers {
        let choice = match args.how.element {
            ElementName::F32 => choose::<f32>(args, layer, lowerings, executor),
            ElementName::F64 => choose::<f64>(args, layer, lowerings, executor),
        };
        let choice = choice.map_err(|e| format!("{}: {e}", layer.name))?;
        match args.json {
            true => writeln!(out, "{}", serde_json::to_string(&choice)?)?,
            false => writeln!(out, "{}", table.rows(&choice))?,
        }
        choices.push(choice);
    }
    if !args.json {
        writeln!(out, "{}", Summary::new(&choices, |choice| choice.hot_ratio).line("hot"))?;
        writeln!(out, "{}", Summary::new(&choices, |choice| choice.cold_ratio).line("cold"))?;
    }
    Ok(())
}

/// What is picked for a layer, and how long everything takes.
fn choose<T: Element>(args: &Args, layer: &Layer, lowerings: &[Algorithm], executor: &dyn Executor) -> Result<Choice> {
    let setup = args.how.setup();
    let pick = Job::<T>::new(layer, &setup)?.lowering();
    let times = measure::<T>(layer, &setup, lowerings, args.seconds, executor)?;
    let unmeasured = || Error::from(format!("{pick} was picked, but not measured"));
    Choice::new(layer.name.clone(), pick.clone(), times).ok_or_else(unmeasured)
}
