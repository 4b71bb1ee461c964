//! What is told of a layer: a JSON object, or a row of a table.

use crate::args::Args;
use gemmule::Element;
use gemmule_bench::{Job, Layer, Result, Samples, Verified};
use serde::Serialize;

/// The comparison with the reference, and the image that it was made on.
pub struct Verification {
    pub errors: Verified,
    pub height: usize,
    pub width: usize,
}

/// Everything that is known of a layer once it was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    name: String,
    op: String,
    pass: String,
    #[serde(rename = "type")]
    element: String,
    layout: String,
    batch: usize,
    threads: usize,
    level: String,
    lowering: String,
    calls: usize,
    seconds_min: f64,
    seconds_median: f64,
    gflops: f64,
    /// Of all threads together.
    peak_gflops: f64,
    peak_share: f64,
    workspace_bytes: usize,
    weight_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    prepare_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_error_of_bound: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_height: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_width: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip)]
    is_cropped: bool,
}

impl Report {
    pub fn new<T: Element>(
        args: &Args,
        layer: &Layer,
        job: &Job<T>,
        times: &mut Samples,
        peak_gflops: f64,
        verification: Option<Verification>,
    ) -> Result<Report> {
        let gflops = job.flops()? / times.min() / 1e9;
        let lower = |name: &dyn std::fmt::Debug| format!("{name:?}").to_lowercase();
        let verified = verification.as_ref();
        Ok(Report {
            name: layer.name.clone(),
            op: layer.op.to_string(),
            pass: lower(&args.pass),
            element: lower(&args.how.element),
            layout: lower(&args.layout),
            batch: args.batch,
            threads: args.how.threads.get(),
            level: job.level().to_string(),
            lowering: job.lowering(),
            calls: times.calls(),
            seconds_min: times.min(),
            seconds_median: times.median(),
            gflops,
            peak_gflops,
            peak_share: gflops / peak_gflops,
            workspace_bytes: job.workspace_bytes(),
            weight_bytes: job.weight_bytes(),
            prepare_seconds: job.prepare_seconds(),
            max_error: verified.map(|v| v.errors.max_error),
            max_error_of_bound: verified.map(|v| v.errors.of_bound),
            verified_height: verified.map(|v| v.height),
            verified_width: verified.map(|v| v.width),
            plan: job.plan().filter(|_| args.explains()).map(ToString::to_string),
            is_cropped: verified.is_some_and(|v| (v.height, v.width) != (layer.height, layer.width)),
        })
    }
}

/// An aligned table, a row at a time.
pub struct Table {
    name_width: usize,
    is_verified: bool,
    rows: usize,
}

impl Table {
    pub fn new(args: &Args, layers: &[Layer]) -> Self {
        let name_width = layers.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0).max("layer".len());
        Table { name_width, is_verified: args.verify, rows: 0 }
    }

    fn head(&self) -> String {
        let mut line = format!("{:<1$}", "layer", self.name_width);
        line += "    min us  median us  GFLOP/s  of peak  lowering               level     workspace    weights  packed in us";
        if self.is_verified {
            line += "  max error  of bound";
        }
        line
    }

    /// A row, and before the first one the head.
    pub fn row(&mut self, r: &Report) -> String {
        self.rows += 1;
        let head = if self.rows == 1 { self.head() + "\n" } else { String::new() };

        let (min, median) = (r.seconds_min * 1e6, r.seconds_median * 1e6);
        let (workspace, weights) = (kib(r.workspace_bytes), kib(r.weight_bytes));
        let mut row = head + &format!("{:<1$}", r.name, self.name_width);
        row += &format!("{min:>10.1} {median:>10.1} {:>8.1} {:>7.1}%", r.gflops, 100.0 * r.peak_share);
        row += &format!("  {:<21}  {:<8} {workspace:>10} {weights:>10}", r.lowering, r.level);
        row += &r.prepare_seconds.map_or_else(|| format!("{:>14}", "-"), |s| format!("{:>14.1}", s * 1e6));
        if let (Some(error), Some(of_bound), Some(h), Some(w)) =
            (r.max_error, r.max_error_of_bound, r.verified_height, r.verified_width)
        {
            row += &format!("  {error:>9.2e}  {of_bound:>8.2e}");
            if r.is_cropped {
                row += &format!("  (compared at {h}x{w})");
            }
        }
        for reason in r.plan.iter().flat_map(|plan| plan.split("; ")) {
            row += &format!("\n    {reason}");
        }
        row
    }
}

fn kib(bytes: usize) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
