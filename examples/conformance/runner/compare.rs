//! Judges what was computed by what the case expects.

use super::folder::Tensor;
use super::job::{Computed, Job, Stop, Values};

/// The largest error of an output, if every value is close enough.
pub fn largest_error(job: &Job, output: &Tensor, computed: &Computed) -> Result<f64, Stop> {
    let (atol, rtol) = (job.case.atol, job.case.rtol);
    let atol = if computed.winograd { job.case.atol_winograd.map_or(atol, |more| more.max(atol)) } else { atol };
    let wrong_type = || Stop::Unsupported(format!("an output of the type {}", output.dtype));
    match &computed.values {
        Values::Floats(given) => {
            let expected = job.folder.floats(output).ok_or_else(wrong_type)?;
            compare(output, &expected, given, error, |expected| atol + rtol * expected.abs())
        }
        Values::Integers(given) => {
            let expected = job.folder.integers(output).ok_or_else(wrong_type)?;
            compare(output, &expected, given, |a, b| a.abs_diff(b) as f64, |_| 0.0)
        }
    }
}

/// The distance of two values: 0 for equal ones and for two NaNs, infinite where only one is finite or a number.
fn error(expected: f64, given: f64) -> f64 {
    if expected == given || (expected.is_nan() && given.is_nan()) {
        0.0
    } else if expected.is_finite() && given.is_finite() {
        (given - expected).abs()
    } else {
        f64::INFINITY
    }
}

fn compare<V: Copy + std::fmt::Display>(
    output: &Tensor,
    expected: &[V],
    given: &[V],
    error: impl Fn(V, V) -> f64,
    allowed: impl Fn(V) -> f64,
) -> Result<f64, Stop> {
    if expected.len() != given.len() {
        return Err(Stop::Failed(format!("expected {} values, got {}", expected.len(), given.len())));
    }
    let (mut largest, mut wrong, mut worst) = (0f64, 0, None::<(usize, f64)>);
    for (i, (&expected, &given)) in expected.iter().zip(given).enumerate() {
        let error = error(expected, given);
        largest = largest.max(error);
        // Written so that a tolerance that is not a number allows nothing; and no tolerance, even an infinite one,
        // stretches to what is not finite.
        if error > 0.0 && !(error <= allowed(expected) && error.is_finite()) {
            wrong += 1;
            if worst.is_none_or(|(_, worst)| error > worst) {
                worst = Some((i, error));
            }
        }
    }
    let Some((i, error)) = worst else { return Ok(largest) };
    let (total, at, allowed) = (expected.len(), index(i, &output.shape), allowed(expected[i]));
    Err(Stop::Failed(format!(
        "{wrong} of {total} values are wrong; the largest error is {error:.3e} (allowed: {allowed:.3e}) at {at:?}: \
         expected {}, got {}",
        expected[i], given[i]
    )))
}

/// Where element `i` of a dense tensor lies.
fn index(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&len| {
            let place = i % len.max(1);
            i /= len.max(1);
            place
        })
        .collect();
    at.reverse();
    at
}
