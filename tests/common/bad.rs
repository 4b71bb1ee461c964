//! A table of wrong calls, and the check that each gets its error and leaves its output as it was, bit by bit.

use gemmule::{Conv2d, Error};

pub const MAX: usize = usize::MAX;
/// So many elements that no machine has them.
pub const TOO_MANY: usize = 1 << (usize::BITS - 4);

type Call = Box<dyn Fn(&mut [f32]) -> Result<(), Error>>;

/// Wrong calls, with the error of each.
#[derive(Default)]
pub struct Table(Vec<(Call, Error)>);

impl Table {
    pub fn add(&mut self, error: Error, call: impl Fn(&mut [f32]) -> Result<(), Error> + 'static) {
        self.0.push((Box::new(call), error));
    }

    /// Makes each call on an output of bits that a kernel would hardly write, and asserts that they are still there.
    pub fn check(self, at_least: usize) {
        assert!(self.0.len() >= at_least, "{}", self.0.len());
        let bits: Vec<u32> = (0..4096).map(|i| 0x7fc0_0000 + i * 977 % 4093).collect();
        for (i, (call, expected)) in self.0.into_iter().enumerate() {
            let mut output: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            assert_eq!(call(&mut output), Err(expected), "call {i}");
            assert!(output.iter().zip(&bits).all(|(x, &bits)| x.to_bits() == bits), "call {i}: {expected}");
            says_what_was_wrong(expected);
        }
    }
}

/// The message names the argument, what was expected, and what came.
fn says_what_was_wrong(error: Error) {
    let parts = match error {
        Error::Shape { argument, expected, given } => [argument.into(), format!("{expected:?}"), format!("{given:?}")],
        Error::Length { argument, expected, given } => [argument.into(), expected.to_string(), given.to_string()],
        Error::Parameter { argument, expected, given } => [argument.into(), expected.into(), given.to_string()],
        Error::KernelTooLarge { axis, kernel, padded } => [axis.into(), padded.to_string(), kernel.to_string()],
        Error::Overlap { argument, shape, strides } => [argument.into(), format!("{shape:?}"), format!("{strides:?}")],
        Error::Overflow { argument } => [argument.into(), "64".into(), "larger".into()],
        Error::OutOfMemory { argument, bytes } => [argument.into(), bytes.to_string(), "none".into()],
        Error::Workspace { expected, given } => ["workspace".into(), expected.to_string(), given.to_string()],
        Error::Level { asked, available } => ["level".into(), available.to_string(), asked.to_string()],
        Error::Algorithm { asked, refusal } => ["algorithm".into(), refusal.to_string(), asked.to_string()],
        Error::Value { argument, index, expected, given } => {
            assert!(error.to_string().contains(&index.to_string()));
            [argument.into(), expected.into(), given.to_string()]
        }
        Error::Index { argument, bound, given } => [argument.into(), bound.to_string(), given.to_string()],
        other => panic!("not in the table: {other}"),
    };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(&part), "{message:?} does not say {part:?}");
    }
}

pub fn shape(argument: &'static str, expected: [usize; 4], given: [usize; 4]) -> Error {
    Error::Shape { argument, expected, given }
}

pub fn length(argument: &'static str, expected: usize, given: usize) -> Error {
    Error::Length { argument, expected, given }
}

pub fn overflow(argument: &'static str) -> Error {
    Error::Overflow { argument }
}

/// The layer of most calls: 3 to 4 channels, 3x3, from 5x6 pixels to as many.
pub fn conv() -> Conv2d {
    Conv2d::new(3, 4, [3, 3]).padding(1)
}

pub const X: [usize; 4] = [1, 5, 6, 3];
pub const Y: [usize; 4] = [1, 5, 6, 4];
