//! Times, taken turn by turn.

use crate::Result;
use std::time::{Duration, Instant};

/// How long the calls of one thing took.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// The shortest call, in seconds.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The call in the middle, in seconds.
    pub fn median(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::INFINITY)
    }

    /// Calls.
    pub fn calls(&self) -> usize {
        self.0.len()
    }
}

/// How long one thing is called before the next one's turn: until both is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// So much time.
    pub time: Duration,
    /// So many calls.
    pub calls: usize,
}

impl Default for Turn {
    /// Long enough for many short calls, the first of which has to wake sleeping threads; short enough for everything to see the
    /// same clock and neighbours.
    fn default() -> Self {
        Turn { time: Duration::from_millis(1), calls: 2 }
    }
}

/// Calls everything in turns until the time is over, at least three turns, and times each call.
///
/// # Errors
/// The first one of a call.
pub fn interleave<const N: usize>(
    budget: Duration,
    mut calls: [&mut dyn FnMut() -> Result<()>; N],
) -> Result<[Samples; N]> {
    let mut samples = interleave_all(budget, Turn::default(), &mut calls)?;
    Ok(std::array::from_fn(|i| std::mem::take(&mut samples[i])))
}

/// As [`interleave`], of any number of things.
///
/// # Errors
/// The first one of a call.
pub fn interleave_all(
    budget: Duration,
    turn: Turn,
    calls: &mut [&mut dyn FnMut() -> Result<()>],
) -> Result<Vec<Samples>> {
    let mut samples = vec![Samples::default(); calls.len()];
    let start = Instant::now();
    let mut turns = 0;
    while turns < 3 || start.elapsed() < budget {
        for (call, samples) in calls.iter_mut().zip(&mut samples) {
            let (turn_start, mut calls) = (Instant::now(), 0);
            loop {
                let call_start = Instant::now();
                call()?;
                samples.0.push(call_start.elapsed().as_secs_f64());
                calls += 1;
                if calls >= turn.calls && turn_start.elapsed() >= turn.time {
                    break;
                }
            }
        }
        turns += 1;
    }
    Ok(samples)
}

/// Copies: the other roof. Interleave it with what is measured, on as many bytes.
pub fn copy(from: &[u64], to: &mut [u64]) {
    to.copy_from_slice(std::hint::black_box(from));
    std::hint::black_box(to);
}
