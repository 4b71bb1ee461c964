//! Every instance of the micro-kernel, level by level, as a share of the FMA peak that its level could reach: an instance that
//! the compiler has ruined (accumulators in memory, mostly) stands out.
//!
//! `cargo bench --bench micro_kernels -- avx2` shows one level.

use gemmule::testing::MicroKernel;
use gemmule::{Element, Level};
use gemmule_bench::{Peak, Result, interleave};
use std::time::Duration;

/// Terms of a sum: a 3x3 kernel over 64 channels.
const K: usize = 576;
const BUDGET: Duration = Duration::from_millis(20);
/// Accumulators that keep the units busy on every machine we know.
const ENOUGH: usize = 8;

fn measure<T: Element + Peak>(level: Level, name: &str) -> Result<()> {
    let mut rows = Vec::new();
    for mut kernel in MicroKernel::<T>::all(level, K) {
        let (mut flops, mut peak_flops) = (0.0, 0.0);
        let [times, peak] = interleave(
            BUDGET,
            [
                &mut || {
                    flops = kernel.run();
                    Ok(())
                },
                &mut || {
                    peak_flops = T::sample();
                    Ok(())
                },
            ],
        )?;
        rows.push((kernel.rows, kernel.columns, flops / times.min() / (peak_flops / peak.min())));
    }
    let lanes = rows[0].1;
    let best = rows.iter().map(|row| row.2).fold(0.0, f64::max);
    println!("\n{level}, {name}: share of the FMA peak of this machine's best level\n");
    println!("rows x columns   share");
    for (rows, columns, share) in rows {
        let accumulators = rows * columns / lanes;
        // A single row uses each vector of B once, and waits for them.
        let enough = if rows == 1 { 2 * ENOUGH } else { ENOUGH };
        let expected = best * accumulators.min(ENOUGH) as f64 / enough as f64;
        let note = if share < 0.7 * expected { "   <- slow for its size" } else { "" };
        println!("{rows:>4} x {columns:<7} {share:>8.3}{note}");
    }
    Ok(())
}

fn main() -> Result<()> {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for level in Level::available().filter(|level| level.to_string().contains(&only)) {
        measure::<f32>(level, "f32")?;
        measure::<f64>(level, "f64")?;
    }
    Ok(())
}
