//! Every kernel over the whole list of layers, as a share of its roof on this machine: the faster of neither the FMA peak
//! allows nor a copy of as many bytes. All three are measured turn by turn.
//!
//! `cargo bench --bench roofline -- resnet50` runs the layers whose name contains `resnet50`.

use gemmule::Serial;
use gemmule_bench::{Job, Layer, Pass, Peak, Result, Setup, copy, interleave, layers};
use std::collections::BTreeMap;
use std::time::Duration;

/// A buffer that no cache holds.
const LARGE: usize = 64 << 20;

/// What came of a kernel on a layer.
struct Row {
    kernel: &'static str,
    lowering: String,
    /// Operations for each byte.
    intensity: f64,
    gflops: f64,
    roof_gflops: f64,
    is_bound_by_fma: bool,
}

fn measure(layer: &Layer, pass: Pass, budget: Duration) -> Result<Row> {
    let mut job = Job::<f32>::new(layer, &Setup { pass, ..Setup::default() })?;
    job.run(&Serial)?;
    // A copy reads half of the bytes and writes the other half.
    let from = vec![1u64; job.bytes() / 16];
    let mut to = from.clone();
    let mut peak_flops = 0.0;
    let [times, peak, copies] = interleave(
        budget,
        [
            &mut || job.run(&Serial),
            &mut || {
                peak_flops = f32::sample();
                Ok(())
            },
            &mut || {
                copy(&from, &mut to);
                Ok(())
            },
        ],
    )?;
    let flops = job.flops()?;
    let fma_seconds = flops / peak_flops * peak.min();
    Ok(Row {
        kernel: job.kernel_name(),
        lowering: job.lowering(),
        intensity: flops / job.bytes() as f64,
        gflops: flops / times.min() / 1e9,
        roof_gflops: flops / fma_seconds.max(copies.min()) / 1e9,
        is_bound_by_fma: fma_seconds >= copies.min(),
    })
}

/// The two roofs themselves.
fn machine(budget: Duration) -> Result<String> {
    let from = vec![1u64; LARGE / 8];
    let mut to = from.clone();
    let mut flops = 0.0;
    let [peak, copies] = interleave(
        budget,
        [
            &mut || {
                flops = f32::sample();
                Ok(())
            },
            &mut || {
                copy(&from, &mut to);
                Ok(())
            },
        ],
    )?;
    let (peak, bandwidth) = (flops / peak.min() / 1e9, 2.0 * LARGE as f64 / copies.min() / 1e9);
    Ok(format!("one core: FMA peak {peak:.1} GFLOP/s (f32), copy {bandwidth:.1} GB/s from memory to memory"))
}

fn main() -> Result<()> {
    // `cargo bench` says so; without it, as in `cargo test`, everything runs as shortly as it can.
    let is_bench = std::env::args().any(|arg| arg == "--bench") && !std::env::args().any(|arg| arg == "--test");
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    let budget = Duration::from_millis(if is_bench { 40 } else { 0 });
    println!("{}", machine(10 * budget)?);
    println!("\n{:<48} {:<22} {:<22}  flop/B  GFLOP/s     roof  of roof  bound", "layer", "kernel", "lowering");
    let mut layers = layers()?;
    layers.retain(|layer| layer.name.contains(&filter));
    if !is_bench {
        layers.retain(|layer| layer.height <= 7);
        layers.truncate(2);
    }
    let mut shares: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for layer in &layers {
        for &pass in layer.op.passes() {
            let Row { kernel, lowering, intensity, gflops, roof_gflops, is_bound_by_fma } =
                measure(layer, pass, budget)?;
            let (share, bound) = (gflops / roof_gflops, if is_bound_by_fma { "fma" } else { "copy" });
            print!("{:<48} {kernel:<22} {lowering:<22} {intensity:>7.2} {gflops:>8.1} {roof_gflops:>8.1}", layer.name);
            println!(" {:>7.1}%  {bound}", 100.0 * share);
            shares.entry(kernel).or_default().push(share);
        }
    }
    println!("\n{:<22} layers   least  median    most  of the roof", "kernel");
    for (kernel, mut shares) in shares {
        shares.sort_by(f64::total_cmp);
        let at = |i: usize| 100.0 * shares[i];
        let (median, last) = (at(shares.len() / 2), at(shares.len() - 1));
        println!("{kernel:<22} {:>6} {:>6.1}% {median:>6.1}% {last:>6.1}%", shares.len(), at(0));
    }
    Ok(())
}
