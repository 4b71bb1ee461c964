//! The images: 1,797 handwritten digits of 8 x 8 grey values (see `NOTICE.md`), their split, and light augmentation.

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use flate2::read::GzDecoder;

/// Pixels along a side.
pub const SIDE: usize = 8;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// Digits there are.
pub const CLASSES: usize = 10;

const FILE: &[u8] = include_bytes!("digits.csv.gz");
/// The file's darkest ink.
const MAXIMUM: f32 = 16.0;
/// One image in so many of each class is held out.
const HELD_OUT: usize = 5;

/// An image, row by row from 0 (paper) to 1 (ink), and what was written.
#[derive(Clone)]
pub struct Digit {
    pub pixels: [f32; PIXELS],
    pub label: usize,
}

/// All images, in the file's order.
pub fn load() -> Result<Vec<Digit>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(FILE));
    let mut digits = Vec::new();
    for (i, record) in reader.deserialize::<Vec<u8>>().enumerate() {
        let record = record.with_context(|| format!("digits.csv.gz, image {i}"))?;
        ensure!(record.len() == PIXELS + 1, "digits.csv.gz, image {i}: {} numbers instead of 65", record.len());
        let label = usize::from(record[PIXELS]);
        ensure!(label < CLASSES, "digits.csv.gz, image {i}: {label} is no digit");
        digits.push(Digit { pixels: std::array::from_fn(|p| f32::from(record[p]) / MAXIMUM), label });
    }
    Ok(digits)
}

/// The images to train with and those held out, a fifth of each class, picked at random.
pub fn split(mut digits: Vec<Digit>, rng: &mut Rng) -> (Vec<Digit>, Vec<Digit>) {
    rng.shuffle(&mut digits);
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for class in 0..CLASSES {
        let mut members: Vec<Digit> = digits.iter().filter(|digit| digit.label == class).cloned().collect();
        held_out.extend(members.split_off(members.len() - (members.len() + HELD_OUT / 2) / HELD_OUT));
        train.append(&mut members);
    }
    (train, held_out)
}

/// The image, half of the time shifted by up to a pixel each way.
pub fn augmented(digit: &Digit, rng: &mut Rng) -> [f32; PIXELS] {
    let [dy, dx] = if rng.bool() { [rng.isize(-1..=1), rng.isize(-1..=1)] } else { [0, 0] };
    std::array::from_fn(|p| {
        let y = (p / SIDE).checked_add_signed(dy).filter(|&y| y < SIDE);
        let x = (p % SIDE).checked_add_signed(dx).filter(|&x| x < SIDE);
        y.zip(x).map_or(0.0, |(y, x)| digit.pixels[y * SIDE + x])
    })
}
