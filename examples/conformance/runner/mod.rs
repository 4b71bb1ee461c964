//! Runs folders of conformance cases (`tests/conformance/README.md` describes the format) against the crate.
//!
//! `folder` reads, `geometry` and `array` bring a case into the crate's terms, `conv` and `pool` compute, `compare`
//! judges. A case that the runner or the crate can't run is unsupported, with a reason, and never counts as passed.

mod array;
mod compare;
mod conv;
mod folder;
mod geometry;
mod job;
mod pool;

pub use folder::Folder;
use folder::{Case, Entry, Tensor};
use gemmule::{Accuracy, Algorithm, Element, Error, Executor, Level};
use job::{Computed, Job, Stop};

/// How the activations lie in memory. The files hold NCHW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Nhwc,
    Nchw,
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The machine's best one, where none is named.
    pub level: Option<Level>,
    pub algorithm: Algorithm,
    pub accuracy: Accuracy,
    pub layout: Layout,
    /// The crate's own executor, where no number is named.
    pub threads: Option<Threads>,
}

impl Default for Settings {
    fn default() -> Self {
        let (algorithm, accuracy) = (Algorithm::Auto, Accuracy::Default);
        Settings { level: None, algorithm, accuracy, layout: Layout::Nhwc, threads: None }
    }
}

/// An executor that starts so many threads for each call. It needs no feature of the crate.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub usize);

impl Executor for Threads {
    fn workers(&self) -> usize {
        self.0
    }

    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for i in 1..n {
                scope.spawn(move || task(i));
            }
            if n > 0 {
                task(0);
            }
        });
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With the largest error of all outputs.
    Passed(f64),
    /// What is wrong.
    Failed(String),
    /// Why it was not run.
    Unsupported(String),
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub unsupported: usize,
}

impl Tally {
    pub fn count(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Passed(_) => &mut self.passed,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Unsupported(_) => &mut self.unsupported,
        } += 1;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} unsupported", self.passed, self.failed, self.unsupported)
    }
}

/// What computes an output of a case, by its role: once for each way that the crate has.
type Kernel = fn(&Job, &str) -> Result<Vec<Computed>, Stop>;

fn kernel<T: Element>(op: &str) -> Option<Kernel> {
    Some(match op {
        "Conv" => conv::forward::<T>,
        "ConvBackward" => conv::backward::<T>,
        "ConvTranspose" => conv::transpose::<T>,
        "MaxPool" | "GlobalMaxPool" => pool::max::<T>,
        "MaxPoolBackward" => pool::max_backward::<T>,
        "AveragePool" | "GlobalAveragePool" => pool::average::<T>,
        "AveragePoolBackward" => pool::average_backward::<T>,
        _ => return None,
    })
}

/// Runs the cases of a folder, one after the other, and gives the name and the outcome of each.
pub fn outcomes<'a>(folder: &'a Folder, settings: &'a Settings) -> impl Iterator<Item = (&'a str, Outcome)> {
    folder.entries.iter().map(|entry| (entry.name(), run(folder, entry, settings)))
}

/// Runs one case.
fn run(folder: &Folder, entry: &Entry, settings: &Settings) -> Outcome {
    let case = match entry {
        Entry::Case(case) => case,
        Entry::Unreadable { reason, .. } => return Outcome::Unsupported(reason.clone()),
    };
    let mut report = Report::default();
    match kernel_of(case).and_then(|kernel| Ok((kernel, Job::new(folder, case, settings)?))) {
        Ok((kernel, job)) => {
            for output in &case.outputs {
                report.add(case, &format!("{}: ", output.role), judge(kernel, &job, output));
            }
        }
        Err(stop) => report.add(case, "", Err(stop)),
    }
    report.outcome()
}

/// The kernel for a case's operator and type.
fn kernel_of(case: &Case) -> Result<Kernel, Stop> {
    if case.outputs.is_empty() {
        return Err(Stop::Unsupported("no output is listed".into()));
    }
    // A gradient may do without X.
    let Some(x) = case.input("X").or(case.input("dY")) else {
        return Err(Stop::Unsupported("no input has the role X".into()));
    };
    let kernel = match x.dtype.as_str() {
        "f32" => kernel::<f32>(&case.op),
        "f64" => kernel::<f64>(&case.op),
        other => return Err(Stop::Unsupported(format!("the type {other}"))),
    };
    kernel.ok_or_else(|| Stop::Unsupported(format!("the operator {}", case.op)))
}

/// Computes one output, and gives its largest error if it is right.
fn judge(kernel: Kernel, job: &Job, output: &Tensor) -> Result<f64, Stop> {
    let computed = kernel(job, &output.role)?;
    computed.iter().try_fold(0f64, |largest, computed| Ok(compare::largest_error(job, output, computed)?.max(largest)))
}

/// What was found in the outputs of a case. One that is wrong outweighs one that can't be computed.
#[derive(Default)]
struct Report {
    failed: Vec<String>,
    unsupported: Vec<String>,
    largest: f64,
}

impl Report {
    fn add(&mut self, case: &Case, place: &str, result: Result<f64, Stop>) {
        match result {
            Ok(error) => self.largest = self.largest.max(error),
            Err(Stop::Failed(what)) => self.failed.push(format!("{place}{what}")),
            Err(Stop::Unsupported(why)) => self.unsupported.push(format!("{place}{why}")),
            // A lowering that was asked for by name may refuse, and so may the crate where there is nothing to compute.
            Err(Stop::Refused(error)) if matches!(error, Error::Algorithm { .. }) || case.has_empty_tensor() => {
                self.unsupported.push(format!("{place}{error}"));
            }
            Err(Stop::Refused(error)) => self.failed.push(format!("{place}the crate gave an error: {error}")),
        }
    }

    fn outcome(self) -> Outcome {
        if !self.failed.is_empty() {
            Outcome::Failed(self.failed.join("; "))
        } else if !self.unsupported.is_empty() {
            Outcome::Unsupported(self.unsupported.join("; "))
        } else {
            Outcome::Passed(self.largest)
        }
    }
}
