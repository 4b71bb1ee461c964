//! A criterion group for a kernel: the reference, the scalar level and the best level, side by side.

use crate::{Job, Layer, Oracle, Setup, layers};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use gemmule::{Level, Serial};
use std::hint::black_box;
use std::time::Duration;

/// Operations above which the reference is left out: it would take longer than everything else.
const REFERENCE_FLOPS: f64 = 3e7;

/// One kernel, on one thread, in `f32` and NHWC.
pub struct Comparison<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    layers: Vec<Layer>,
}

impl<'a> Comparison<'a> {
    /// A group of the kernel's name.
    ///
    /// # Panics
    /// Where the list of layers is broken.
    pub fn new(criterion: &'a mut Criterion, kernel: &str) -> Self {
        let mut group = criterion.benchmark_group(kernel);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(250));
        Comparison { group, layers: layers().expect("the list of layers") }
    }

    /// Compares on layers of the list.
    ///
    /// # Panics
    /// For a name that is not in the list, or a layer that has not the pass.
    pub fn layers(&mut self, names: &[&str], setup: Setup) {
        for &name in names {
            let layer = self.layer(name);
            let job =
                |level| Job::<f32>::new(&layer, &Setup { level, ..setup }).unwrap_or_else(|e| panic!("{name}: {e}"));
            let flops = job(None).flops().expect("a layer with an output");
            let oracle = Oracle::<f32>::new(&job(None)).expect("memory");
            let mut jobs: Vec<(Level, Job<f32>)> = levels().map(|level| (level, job(Some(level)))).collect();
            self.kernel(
                name,
                Throughput::Elements(flops as u64),
                (flops <= REFERENCE_FLOPS).then_some(|| drop(black_box(oracle.run()))),
                |level| {
                    let (_, job) = jobs.iter_mut().find(|(of, _)| *of == level).expect("a job for each level");
                    job.run(&Serial).expect("a run");
                },
            );
        }
    }

    /// Compares on anything.
    pub fn kernel(
        &mut self,
        name: &str,
        throughput: Throughput,
        reference: Option<impl FnMut()>,
        mut at: impl FnMut(Level),
    ) {
        self.group.throughput(throughput);
        if let Some(mut reference) = reference {
            self.group.bench_function(BenchmarkId::new(name, "reference"), |b| b.iter(&mut reference));
        }
        for level in levels() {
            self.group.bench_function(BenchmarkId::new(name, level), |b| b.iter(|| at(level)));
        }
    }

    /// A layer of the list.
    ///
    /// # Panics
    /// For a name that is not in it.
    pub fn layer(&self, name: &str) -> Layer {
        let found = self.layers.iter().find(|layer| layer.name == name);
        found.unwrap_or_else(|| panic!("{name} is not in the list of layers")).clone()
    }
}

/// The scalar level, and the best one, where it is another.
fn levels() -> impl Iterator<Item = Level> {
    [Level::Scalar, Level::best()].into_iter().take(if Level::best() == Level::Scalar { 1 } else { 2 })
}
