//! One engine of the peer comparison: `gemmule-peers ENGINE THREADS` answers requests on stdin, one JSON object a line;
//! `gemmule-peers layers [FILE]` prints the layers of a file with what follows from their geometry.

mod data;
mod gemmule_engine;
mod layers;
#[cfg(feature = "peers")]
mod peers;
mod protocol;
mod roofs;

use gemmule::{Accuracy, Algorithm};
use gemmule_bench::Result;
use protocol::{Prepare, serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["layers"] => layers::print(None),
        ["layers", file] => layers::print(Some(file)),
        [engine, threads] => {
            let threads = threads.parse()?;
            let prepare = engine_named(engine, threads)?;
            match threads {
                1 => serve(prepare),
                // Whoever calls rayon is one of its workers.
                _ => rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(|| serve(prepare)),
            }
        }
        _ => Err("expected `ENGINE THREADS` or `layers [FILE]`".into()),
    }
}

fn engine_named(name: &str, threads: usize) -> Result<Box<Prepare>> {
    Ok(match name {
        "data" => Box::new(move |task| data::prepare(task, threads)),
        "peak" => Box::new(move |_| roofs::peak(threads)),
        "copy" => Box::new(move |task| roofs::copy(task, threads)),
        "gemmule" => gemmule_engine::with(Algorithm::Auto, Accuracy::Default, threads),
        "gemmule-exact" => gemmule_engine::with(Algorithm::Auto, Accuracy::Exact, threads),
        "matrixmultiply" => gemmule_engine::with(Algorithm::Matrixmultiply, Accuracy::Exact, threads),
        #[cfg(feature = "peers")]
        "burn-flex" => Box::new(peers::burn_flex::prepare),
        #[cfg(feature = "peers")]
        "candle" => Box::new(peers::candle::prepare),
        #[cfg(feature = "peers")]
        "rten" => Box::new(move |task| peers::rten::prepare(task, threads)),
        #[cfg(feature = "peers")]
        "tract" => Box::new(move |task| peers::tract::prepare(task, threads)),
        _ => return Err(format!("this build has no engine {name:?}").into()),
    })
}
