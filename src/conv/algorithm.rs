//! The lowerings by name, and the reasons for which one refuses.

use crate::simd::Level;
use core::fmt;
use core::str::FromStr;

/// How a convolution is computed.
///
/// ```
/// use gemmule::Algorithm;
/// assert_eq!("im2col".parse(), Ok(Algorithm::Im2col));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// The cheapest one that accepts.
    #[default]
    Auto,
    /// 1x1 kernels without padding: the input already is the matrix.
    Pointwise,
    /// Any geometry: the rows of the im2col matrix are read where they lie in the image, segment by segment; taps in the
    /// padding are left out of the sum.
    Implicit,
    /// As [`Algorithm::Implicit`], from a copy of the band of the image that a tile of outputs needs, padding included.
    Band,
    /// Any geometry: rows of patches lie in a scratch tile.
    Im2col,
    /// Winograd's algorithm: tiles of inputs and weights are transformed, and one matrix product for each of their points takes
    /// fewer multiplications than direct sums. Not exact: see [`Accuracy`].
    Winograd,
    /// Few channels per group: no matrix, but a sum over the taps, vectorized over all channels.
    Depthwise,
    /// As [`Algorithm::Im2col`], with the GEMM of the crate `matrixmultiply` instead of our own. It allocates at every run.
    Matrixmultiply,
}

const ALL: [(Algorithm, &str); 8] = [
    (Algorithm::Auto, "auto"),
    (Algorithm::Pointwise, "pointwise"),
    (Algorithm::Implicit, "implicit"),
    (Algorithm::Band, "band"),
    (Algorithm::Im2col, "im2col"),
    (Algorithm::Winograd, "winograd"),
    (Algorithm::Depthwise, "depthwise"),
    (Algorithm::Matrixmultiply, "matrixmultiply"),
];

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(ALL.iter().find(|(algorithm, _)| algorithm == self).map_or("", |(_, name)| name))
    }
}

/// A name that is no algorithm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseAlgorithmError;

impl fmt::Display for ParseAlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("algorithm: expected one of")?;
        ALL.iter().try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

impl core::error::Error for ParseAlgorithmError {}

impl FromStr for Algorithm {
    type Err = ParseAlgorithmError;
    fn from_str(name: &str) -> Result<Self, ParseAlgorithmError> {
        ALL.iter().find(|(_, n)| *n == name).map(|&(algorithm, _)| algorithm).ok_or(ParseAlgorithmError)
    }
}

/// How exact a result has to be.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Accuracy {
    /// Direct sums only: within `(K + 2) * eps / 2 * sum|x * w|` of the true value, `K` terms a sum.
    Exact,
    /// May pick a fast transform whose errors are expected to stay below about 3e-5 in `f32`, where outputs have variance 1; of 3x3
    /// kernels below half of that. [`numerics`](crate::numerics) says what was measured, and what is proven.
    #[default]
    Default,
    /// May pick any fast transform.
    Relaxed,
}

/// The rule by which a lowering refuses, with what it found and what it wants.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The kernel has another size.
    Kernel {
        /// `[height, width]`.
        given: [usize; 2],
        /// `[height, width]`.
        wanted: [usize; 2],
    },
    /// There is padding, or may be some.
    Padding,
    /// The lowering does not know the stride; or not with this kernel and dilation.
    Stride {
        /// `[height, width]`.
        given: [usize; 2],
    },
    /// No transform of the kernel is as exact as is wanted.
    Accuracy {
        /// What was asked for.
        given: Accuracy,
    },
    /// There is no transform of so many taps; or none whose tiles have as many outputs as were asked for.
    Transform {
        /// Outputs of a tile, `[height, width]`.
        outputs: Option<[usize; 2]>,
        /// Taps, `[height, width]`; of a transposed convolution those of a phase.
        taps: [usize; 2],
    },
    /// The kernel has too many taps.
    Taps {
        /// Taps.
        given: usize,
        /// The most that would be accepted.
        wanted: usize,
    },
    /// The part of the image under a single output is larger than the scratch memory.
    Scratch {
        /// Elements needed.
        given: usize,
        /// Elements that there are.
        wanted: usize,
    },
    /// There are too many channels per group.
    ChannelsPerGroup {
        /// Inputs per group.
        given: usize,
        /// The most that would be accepted.
        wanted: usize,
    },
    /// There are too few channels per group.
    FewChannels {
        /// Inputs per group.
        given: usize,
        /// The fewest that would be accepted: a vector of the level.
        wanted: usize,
    },
    /// The pass is not one that the lowering knows.
    Transposed,
    /// The level is not one that the lowering has.
    Level {
        /// The level of the plan.
        given: Level,
    },
    /// The packed weights would take more memory than is allowed.
    WeightBytes {
        /// Bytes needed.
        given: usize,
        /// Bytes allowed.
        wanted: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Kernel { given: [h, w], wanted: [y, x] } => write!(f, "kernel {h}x{w} is not {y}x{x}"),
            Refusal::Stride { given: [h, w] } => write!(f, "stride {h}x{w}, with this kernel and dilation"),
            Refusal::Accuracy { given } => write!(f, "no transform of this kernel has accuracy {given:?}"),
            Refusal::Transform { outputs: None, taps: [h, w] } => write!(f, "there is no transform of {h}x{w} taps"),
            Refusal::Transform { outputs: Some([y, x]), taps: [h, w] } => {
                write!(f, "there is no transform of {h}x{w} taps with tiles of {y}x{x} outputs")
            }
            Refusal::Padding => f.write_str("padding is not zero"),
            Refusal::Taps { given, wanted } => write!(f, "{given} taps are more than {wanted}"),
            Refusal::Scratch { given, wanted } => write!(f, "{given} elements under an output are more than {wanted}"),
            Refusal::ChannelsPerGroup { given, wanted } => {
                write!(f, "{given} input channels per group are more than {wanted}")
            }
            Refusal::FewChannels { given, wanted } => {
                write!(f, "{given} input channels per group are fewer than {wanted}")
            }
            Refusal::Transposed => f.write_str("the transposed pass is not the forward pass"),
            Refusal::Level { given } => write!(f, "level {given} is neither avx2 nor avx512"),
            Refusal::WeightBytes { given, wanted } => write!(f, "{given} bytes of weights are more than {wanted}"),
        }
    }
}
