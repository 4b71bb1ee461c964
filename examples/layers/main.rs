//! Measures any convolution or pooling layer: `cargo run --release --example layers -- --help`.

mod args;
#[path = "../common/mod.rs"]
mod common;
mod report;

use args::Args;
use clap::Parser;
use common::ElementName;
use gemmule::{Element, Executor};
use gemmule_bench::{Job, Layer, Peak, Result, Setup, interleave};
use report::{Report, Table, Verification};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Multiplications that the reference takes about half a second for.
const REFERENCE_WORK: f64 = 2e8;

fn main() -> ExitCode {
    let args = Args::parse();
    match args.how.on_threads(|executor| run(&args, executor)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} failed");
            ExitCode::FAILURE
        }
        // A reader that has seen enough is no error.
        Err(e) if e.downcast_ref().is_some_and(|e: &io::Error| e.kind() == ErrorKind::BrokenPipe) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Measures all layers; one that fails is shown, and does not stop the others. Returns how many failed.
fn run(args: &Args, executor: &dyn Executor) -> Result<usize> {
    let (mut layers, setup) = (args.layers()?, args.setup());
    if layers.len() > 1 {
        let all = layers.len();
        layers.retain(|layer| layer.op.passes().contains(&setup.pass));
        if layers.len() < all {
            eprintln!("left out: {} layers that have no {} pass", all - layers.len(), setup.pass);
        }
    }
    let mut out = io::stdout();
    let mut table = Table::new(args, &layers);
    let mut failed = 0;
    for layer in &layers {
        let measured = match args.how.element {
            ElementName::F32 => measure::<f32>(args, layer, &setup, executor),
            ElementName::F64 => measure::<f64>(args, layer, &setup, executor),
        };
        match measured {
            Ok(report) if args.json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
            Ok(report) => writeln!(out, "{}", table.row(&report))?,
            Err(e) => {
                eprintln!("{}: error: {e}", layer.name);
                failed += 1;
            }
        }
    }
    Ok(failed)
}

fn measure<T: Element + Peak>(args: &Args, layer: &Layer, setup: &Setup, executor: &dyn Executor) -> Result<Report> {
    let mut job = Job::<T>::new(layer, setup)?;
    let verification = if args.verify { Some(verify::<T>(layer, setup, executor)?) } else { None };
    job.run(executor)?;
    let mut peak_flops = 0.0;
    let [mut times, peak] = interleave(
        args.seconds,
        [&mut || job.run(executor), &mut || {
            peak_flops = T::sample();
            Ok(())
        }],
    )?;
    let peak_gflops = peak_flops / peak.min() / 1e9 * args.how.threads.get() as f64;
    Report::new(args, layer, &job, &mut times, peak_gflops, verification)
}

/// Compares with the reference, on an image that it can work through, under the plan for the whole one.
fn verify<T: Element>(layer: &Layer, setup: &Setup, executor: &dyn Executor) -> Result<Verification> {
    let small = layer.cropped(setup.batch, REFERENCE_WORK)?;
    let planned = Some([setup.batch, layer.height, layer.width]);
    let errors = Job::<T>::new(&small, &Setup { planned, cold_bytes: 0, ..*setup })?.verify(executor)?;
    Ok(Verification { errors, height: small.height, width: small.width })
}
