//! What is printed: progress, accuracy, the confusion matrix, and the time that each kernel took.

use crate::data::CLASSES;
use crate::runner::KernelTime;
use crate::training::{Epoch, Reading};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::Duration;

/// A bar on a terminal, else a line an epoch.
pub struct Progress {
    bar: Option<ProgressBar>,
    epochs: usize,
}

impl Progress {
    pub fn new(epochs: usize) -> Result<Progress> {
        if !(stdout().is_terminal() && stderr().is_terminal()) {
            return Ok(Progress { bar: None, epochs });
        }
        let style = ProgressStyle::with_template("{bar:28.blue/white.dim} epoch {pos}/{len}  {msg}")?;
        let bar = ProgressBar::new(epochs as u64).with_style(style.progress_chars("━━─"));
        bar.tick();
        Ok(Progress { bar: Some(bar), epochs })
    }

    pub fn show(&self, epoch: &Epoch, out: &mut impl Write) -> Result<()> {
        let message = format!("loss {:.4}  accuracy {:5.1} %", epoch.loss, 100.0 * epoch.accuracy);
        match &self.bar {
            Some(bar) => {
                bar.set_message(message);
                bar.inc(1);
                if epoch.number == self.epochs {
                    bar.abandon();
                    writeln!(out)?;
                }
            }
            None => writeln!(out, "epoch {:2}/{}  {message}", epoch.number, self.epochs)?,
        }
        Ok(())
    }
}

/// The share of the images that are read rightly.
pub fn accuracy(readings: &[Reading]) -> f64 {
    let right = readings.iter().filter(|reading| reading.is_right()).count();
    right as f64 / readings.len().max(1) as f64
}

/// How often each digit is read as which.
pub fn confusion_matrix(readings: &[Reading], out: &mut impl Write) -> Result<()> {
    let mut counts = [[0; CLASSES]; CLASSES];
    for reading in readings {
        counts[reading.label][reading.digit()] += 1;
    }
    let header: String = (0..CLASSES).map(|digit| format!("{digit:5}")).collect();
    writeln!(out, "confusion matrix\n\n  read as{header}")?;
    for (label, row) in counts.iter().enumerate() {
        let name = if label == 0 { "digit 0" } else { &format!("      {label}") };
        let cells: String = row.iter().map(|&n| if n == 0 { "    ·".into() } else { format!("{n:5}") }).collect();
        writeln!(out, "  {name}{cells}")?;
    }
    Ok(())
}

/// One row a kernel, and what is left of the `total` for all that is no kernel.
pub fn time_per_kernel(times: &[KernelTime], total: Duration, out: &mut impl Write) -> Result<()> {
    const BAR: f64 = 30.0;
    let share = |time: Duration| time.as_secs_f64() / total.as_secs_f64();
    let bar = |time: Duration| "▪".repeat((BAR * share(time)).round() as usize);
    let kernels: Duration = times.iter().map(|t| t.total).sum();
    writeln!(out, "time per kernel\n")?;
    writeln!(out, "  {:<9}{:<9}{:>7}{:>10}{:>11}{:>8}", "layer", "kernel", "calls", "total", "a call", "share")?;
    for t in times {
        let each = t.total.as_secs_f64() / t.calls as f64;
        let line = format!(
            "  {:<9}{:<9}{:>7}{:>7.1} ms{:>8.1} µs{:>6.1} %  {}",
            t.layer,
            t.kernel,
            t.calls,
            1e3 * t.total.as_secs_f64(),
            1e6 * each,
            100.0 * share(t.total),
            bar(t.total),
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    for (name, time) in [("all kernels", kernels), ("images, loss, optimizer", total.saturating_sub(kernels))] {
        let milliseconds = 1e3 * time.as_secs_f64();
        writeln!(out, "  {name:<25}{milliseconds:>7.1} ms{:>17.1} %", 100.0 * share(time))?;
    }
    Ok(())
}
