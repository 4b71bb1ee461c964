//! Pooling: the maximum or the mean of each window, channel by channel, and the gradients.
//!
//! Every kernel here is vectorized over channels, which lie side by side in NHWC. In other layouts a tile of the input
//! is first brought into that order, in scratch memory (`tiling.rs`), so each kernel is written once.

mod average;
mod backward;
mod chunk;
mod forward;
mod indices;
mod max;
mod rows;
mod sliding;
mod tiling;

/// What runs at a level.
pub(crate) mod kernels {
    pub use super::average::Mean;
    pub use super::backward::{AllMaxima, Backward, FirstMaximum, Shares};
    pub use super::chunk::Max;
    pub use super::forward::Forward;
    pub use super::indices::WithIndices;
}

pub use average::AvgPool2d;
pub use max::MaxPool2d;

use crate::error::Error;
use crate::window::{Padding, PoolAxis, Window};

/// Who gets the gradient of a window in which the maximum occurs more than once.
///
/// Ties are common (after a ReLU whole windows are 0), and frameworks differ, so there is no default.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ties {
    /// Every tap that equals the maximum gets all of it. A window whose maximum is NaN gives its gradient to nobody.
    All,
    /// The first maximum in row-major order (PyTorch, ONNX): the tap that
    /// [`MaxPool2d::forward_with_indices`] names. A window with NaNs gives its gradient to the last of them.
    First,
}

/// Which windows a pool has: those of a kernel that slides, or a given number of them that cover the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Regions {
    window: Window,
    ceil_mode: bool,
    adaptive: Option<[usize; 2]>,
}

impl Regions {
    fn sliding(kernel: [usize; 2], stride: [usize; 2]) -> Self {
        Regions { window: Window { stride, ..Window::new(kernel) }, ceil_mode: false, adaptive: None }
    }

    fn adaptive(outputs: [usize; 2]) -> Self {
        Regions { adaptive: Some(outputs), ..Self::sliding([1; 2], [1; 2]) }
    }

    /// Refuses what a convolution may do and a pool may not.
    fn check(&self) -> Result<(), Error> {
        let [none, adaptive] = ["at least 0", "the default: an adaptive pool makes its own windows"];
        let refuse = |argument, expected, given| Err(Error::Parameter { argument, expected, given });
        if let Padding::Explicit(pad) = self.window.padding
            && let Some(&given) = pad.as_flattened().iter().find(|&&p| p < 0)
        {
            return refuse("padding", none, given);
        }
        let Some(outputs) = self.adaptive else { return self.window.check() };
        let dilation = self.window.dilation.into_iter().max().unwrap_or(1);
        let is_padded = !matches!(self.window.padding, Padding::Valid | Padding::Explicit([[0, 0], [0, 0]]));
        if outputs.contains(&0) {
            return refuse("output size", "at least 1", 0);
        }
        if self.window.dilation != [1; 2] {
            return refuse("dilation", adaptive, dilation.try_into().unwrap_or(isize::MAX));
        }
        if is_padded || self.ceil_mode {
            return refuse(if is_padded { "padding" } else { "ceil_mode" }, adaptive, 1);
        }
        Ok(())
    }

    /// Where the windows lie in an input `[n, h, w, c]`.
    fn axes(&self, [_, h, w, _]: [usize; 4]) -> Result<[PoolAxis; 2], Error> {
        self.check()?;
        if let Some([out_h, out_w]) = self.adaptive {
            return Ok([(h, out_h), (w, out_w)].map(|(input, outputs)| PoolAxis::Adaptive { input, outputs }));
        }
        let [rows, cols] = self.window.axes([h, w])?;
        let slide = |axis: crate::window::Axis, input: usize| {
            let outputs = axis.pool_output(input, self.ceil_mode)?;
            Ok(PoolAxis::Sliding { axis, input, outputs })
        };
        Ok([slide(rows, h)?, slide(cols, w)?])
    }
}

/// Elements of scratch memory that a run with so many workers needs at most.
fn workspace_len(channels: usize, workers: usize) -> usize {
    tiling::Tiling::most_scratch(channels).saturating_mul(workers)
}

/// `[n, out_h, out_w, c]`.
fn pooled_shape([n, _, _, c]: [usize; 4], axes: &[PoolAxis; 2]) -> [usize; 4] {
    [n, axes[0].outputs(), axes[1].outputs(), c]
}
