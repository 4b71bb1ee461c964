//! All lowerings of a layer, turn by turn.

use gemmule::{Algorithm, Element, Error, Executor, Machine};
use gemmule_bench::{Job, Layer, Result, Setup, Turn, interleave_all};
use serde::Serialize;
use std::time::Duration;

/// The lowerings that are compared; the last one only where it is asked for.
pub const LOWERINGS: [Algorithm; 7] = [
    Algorithm::Pointwise,
    Algorithm::Depthwise,
    Algorithm::Winograd,
    Algorithm::Implicit,
    Algorithm::Band,
    Algorithm::Im2col,
    Algorithm::Matrixmultiply,
];

/// Calls of a turn: after the first one, activations are where the layer before would have left them.
const CALLS: usize = 3;

/// The fastest call of a lowering.
#[derive(Clone, Debug, Serialize)]
pub struct Time {
    pub lowering: String,
    pub hot_seconds: f64,
    pub cold_seconds: f64,
}

/// Measures the lowerings that accept a layer.
pub fn measure<T: Element>(
    layer: &Layer,
    setup: &Setup,
    lowerings: &[Algorithm],
    budget: Duration,
    executor: &dyn Executor,
) -> Result<Vec<Time>> {
    let job = |algorithm, cold_bytes| Job::<T>::new(layer, &Setup { algorithm, cold_bytes, ..*setup });
    let (mut accepting, mut hot) = (Vec::new(), Vec::new());
    for &algorithm in lowerings {
        match job(algorithm, 0) {
            Ok(job) => {
                accepting.push(algorithm);
                hot.push(job);
            }
            Err(e) if matches!(e.downcast_ref(), Some(Error::Algorithm { .. })) => {}
            Err(e) => return Err(e),
        }
    }
    let hot_seconds = fastest(&mut hot, Turn { calls: CALLS, ..Turn::default() }, budget, executor)?;
    // As many copies for each lowering: what lies between two calls with the same copy is a copy of everything at least.
    let bytes: usize = hot.iter().map(Job::weight_bytes).sum();
    let copies = (2 * Machine::detect().l3_bytes).div_ceil(bytes.max(1));
    let cold = accepting.iter().zip(&hot).map(|(&algorithm, hot)| job(algorithm, copies * hot.weight_bytes()));
    let mut cold: Vec<Job<T>> = cold.collect::<Result<_>>()?;
    let cold_seconds = fastest(&mut cold, Turn { calls: CALLS, time: Duration::ZERO }, budget, executor)?;
    let seconds = hot_seconds.into_iter().zip(cold_seconds);
    let times = accepting.iter().zip(seconds).map(|(algorithm, (hot_seconds, cold_seconds))| Time {
        lowering: algorithm.to_string(),
        hot_seconds,
        cold_seconds,
    });
    Ok(times.collect())
}

fn fastest<T: Element>(jobs: &mut [Job<T>], turn: Turn, budget: Duration, executor: &dyn Executor) -> Result<Vec<f64>> {
    jobs.iter_mut().try_for_each(|job| job.run(executor))?;
    let mut calls: Vec<_> = jobs.iter_mut().map(|job| move || job.run(executor)).collect();
    let mut calls: Vec<_> = calls.iter_mut().map(|call| call as &mut dyn FnMut() -> Result<()>).collect();
    Ok(interleave_all(budget, turn, &mut calls)?.iter().map(|samples| samples.min()).collect())
}
