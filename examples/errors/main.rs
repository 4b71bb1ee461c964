//! How exact each lowering is: `cargo run --release --example errors -- --help`.

mod layers;
mod measure;
mod picture;

use anyhow::{Context, Result};
use clap::Parser;
use gemmule::Level;
use layers::{Inputs, Layer};
use measure::{Measured, measure};
use std::io::{ErrorKind, Write, stdout};
use std::path::PathBuf;

/// Measures the errors of direct sums and of every transform, against sums in f64, and draws them.
///
/// Over a million outputs of each layer, at a scale where they have variance 1. Errors are shown at that scale (the largest,
/// and the root of the mean square), and the largest one in units of eps * max sum |x * w|, beside what is proven, in the
/// same units: of direct sums (K + 2) / 2, of a transform its constant times max|x| * sum |w|.
#[derive(Parser)]
#[command(name = "errors")]
struct Arguments {
    /// Seed of inputs and weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run at this level: scalar, portable, avx2, avx512 [default: the best one of this machine]
    #[arg(long)]
    level: Option<Level>,
    /// Only layers whose name contains this, as in 3x3
    #[arg(long, value_name = "PART", default_value = "", hide_default_value = true)]
    only: String,
    /// Where the picture is written, as SVG
    #[arg(long, value_name = "PATH", default_value = "errors.svg")]
    out: PathBuf,
    /// Draw no picture
    #[arg(long)]
    no_picture: bool,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
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
    let mut all = Vec::new();
    if !arguments.json {
        writeln!(out, "{HEAD}")?;
    }
    for layer in Layer::all().iter().filter(|layer| layer.name().contains(&arguments.only)) {
        for inputs in Inputs::ALL {
            for measured in measure(layer, inputs, arguments.seed, arguments.level)? {
                match arguments.json {
                    true => writeln!(out, "{}", serde_json::to_string(&measured)?)?,
                    false => writeln!(out, "{}", row(&measured))?,
                }
                all.push(measured);
            }
        }
    }
    anyhow::ensure!(!all.is_empty(), "there is no layer whose name contains {:?}", arguments.only);
    if !arguments.no_picture {
        let svg = picture::draw(&all)?;
        std::fs::write(&arguments.out, svg).with_context(|| format!("writing {}", arguments.out.display()))?;
        if !arguments.json {
            writeln!(out, "\nThe picture is {}.", arguments.out.display())?;
        }
    }
    Ok(())
}

const HEAD: &str = "layer           inputs       lowering            outputs   largest       rms  in units   proven   growth  expected";

fn row(m: &Measured) -> String {
    let mark = if m.is_default { "" } else { "  relaxed only" };
    format!(
        "{:<14}  {:<11}  {:<17}  {:>8}  {:>8.2e}  {:>8.2e}  {:>8.2}  {:>7.0}  {:>7.1}  {:>8.2}{mark}",
        m.layer,
        m.inputs,
        m.lowering,
        m.outputs,
        m.largest,
        m.root_mean_square,
        m.largest_in_units,
        m.bound_in_units,
        m.growth,
        m.expected,
    )
}
