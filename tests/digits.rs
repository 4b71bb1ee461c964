//! The digits example learns to read: its own modules, for a few epochs.

#[allow(dead_code)]
#[path = "../examples/digits/data.rs"]
mod data;
#[allow(dead_code)]
#[path = "../examples/digits/layers.rs"]
mod layers;
#[path = "../examples/digits/loss.rs"]
mod loss;
#[allow(dead_code)]
#[path = "../examples/digits/network.rs"]
mod network;
#[path = "../examples/digits/optimizer.rs"]
mod optimizer;
#[allow(dead_code)]
#[path = "../examples/digits/runner.rs"]
mod runner;
#[allow(dead_code)]
#[path = "../examples/digits/training.rs"]
mod training;

use anyhow::Result;
use gemmule::{Executor, Level, Serial};
use runner::Runner;
use training::{Epoch, Settings, Training};

fn learn(epochs: usize, level: Option<Level>, executor: Box<dyn Executor>) -> Result<Vec<Epoch>> {
    let mut runner = Runner::new(level, executor);
    let mut training = Training::new(Settings { seed: 1, epochs, batch: 32 }, &mut runner)?;
    for _ in 0..epochs {
        training.epoch(&mut runner)?;
    }
    Ok(training.epochs().to_vec())
}

#[test]
fn learns_to_read() -> Result<()> {
    let mut accuracies = Vec::new();
    for level in [Level::Scalar, Level::best()] {
        let epochs = learn(5, Some(level), Box::new(Serial))?;
        // Measured: 0.11 of the first epoch's loss, and 97.8 %.
        assert!(epochs[4].loss < 0.2 * epochs[0].loss, "{level}: {epochs:?}");
        assert!(epochs[4].accuracy > 0.95, "{level}: {epochs:?}");
        accuracies.push(epochs[4].accuracy);
    }
    assert!((accuracies[0] - accuracies[1]).abs() <= 0.01, "{accuracies:?}");
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn threads_change_no_bit() -> Result<()> {
    assert_eq!(learn(1, None, Box::new(Serial))?, learn(1, None, Box::new(gemmule::Rayon))?);
    Ok(())
}

#[test]
fn the_split_holds_out_a_fifth_of_each_class() -> Result<()> {
    let digits = data::load()?;
    assert_eq!(digits.len(), 1797);
    let (train, held_out) = data::split(digits, &mut fastrand::Rng::with_seed(7));
    assert_eq!(train.len() + held_out.len(), 1797);
    for class in 0..data::CLASSES {
        let count = |digits: &[data::Digit]| digits.iter().filter(|digit| digit.label == class).count();
        let (train, held_out) = (count(&train), count(&held_out));
        assert!((train + held_out).abs_diff(5 * held_out) <= 2, "class {class}: {train} and {held_out}");
    }
    Ok(())
}
