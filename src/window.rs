//! All geometry of sliding windows: kernel, stride, padding and dilation per axis, sizes of outputs, valid taps.
//!
//! For output `o` and tap `t` a window reads `o * stride + t * dilation - pad_before` of its input. The adjoint (a
//! transposed convolution, or dX) splits into phases: the outputs `phase + stride * q` take only the taps that meet
//! them, and read `q + (phase + pad_before - t * dilation) / stride`. Both are a [`Sampling`].

mod border;
mod stretches;

pub(crate) use border::Border;
pub(crate) use stretches::{Stretch, Stretches};

use crate::error::Error;
use core::ops::Range;

/// Zeros around the input, per side. Negative numbers crop.
///
/// ```
/// use gemmule::Padding;
/// assert_eq!(Padding::from(1), Padding::Explicit([[1, 1], [1, 1]]));
/// assert_eq!(Padding::from([0, 2]), Padding::Explicit([[0, 0], [2, 2]])); // height, width
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Padding {
    /// None.
    #[default]
    Valid,
    /// `output = ceil(input / stride)`; an odd zero goes after the input (ONNX's `SAME_UPPER`, TensorFlow's `SAME`).
    SameUpper,
    /// `output = ceil(input / stride)`; an odd zero goes before the input (ONNX's `SAME_LOWER`).
    SameLower,
    /// `[[top, bottom], [left, right]]`.
    Explicit([[isize; 2]; 2]),
}

impl From<isize> for Padding {
    fn from(all: isize) -> Self {
        Padding::Explicit([[all; 2]; 2])
    }
}

impl From<[isize; 2]> for Padding {
    fn from([h, w]: [isize; 2]) -> Self {
        Padding::Explicit([[h; 2], [w; 2]])
    }
}

impl From<[[isize; 2]; 2]> for Padding {
    fn from(sides: [[isize; 2]; 2]) -> Self {
        Padding::Explicit(sides)
    }
}

const NAMES: [&str; 2] = ["height", "width"];
/// Sizes above this are refused, so that sums of a few of them can't overflow.
const LIMIT: usize = isize::MAX as usize / 8;

/// What is asked of a window, before the input's size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: Padding,
}

impl Window {
    pub fn new(kernel: [usize; 2]) -> Self {
        Window { kernel, stride: [1; 2], dilation: [1; 2], padding: Padding::Valid }
    }

    /// Refuses zeros and sizes that overflow.
    pub fn check(&self) -> Result<(), Error> {
        for i in 0..2 {
            for (argument, value) in
                [("kernel", self.kernel[i]), ("stride", self.stride[i]), ("dilation", self.dilation[i])]
            {
                if value == 0 || value > LIMIT {
                    let given = value.try_into().unwrap_or(isize::MAX);
                    return Err(Error::Parameter { argument, expected: "at least 1 and no overflow", given });
                }
            }
            let reach = self.dilation[i].checked_mul(self.kernel[i] - 1);
            if reach.is_none_or(|r| r >= LIMIT) {
                return Err(Error::Overflow { argument: "dilation * (kernel - 1) + 1" });
            }
            if let Padding::Explicit(pad) = self.padding
                && let Some(&given) = pad[i].iter().find(|p| p.unsigned_abs() > LIMIT)
            {
                return Err(Error::Parameter { argument: "padding", expected: "no overflow", given });
            }
        }
        self.kernel[0].checked_mul(self.kernel[1]).ok_or(Error::Overflow { argument: "kernel" })?;
        Ok(())
    }

    /// From a tap of the adjoint to the next one that meets the same outputs.
    pub fn axis_tap_step(&self, axis: usize) -> usize {
        self.stride[axis] / gcd(self.stride[axis], self.dilation[axis])
    }

    /// The axes of a transposed convolution, and its output's size. With `Same` padding that is `input * stride` (ONNX).
    pub fn transposed(&self, input: [usize; 2], output_padding: [usize; 2]) -> Result<([Axis; 2], [usize; 2]), Error> {
        let mut axes = Window { padding: Padding::Valid, ..*self }.axes(input)?;
        let mut outputs = [0; 2];
        for i in 0..2 {
            let full = axes[i].transposed_output(input[i], output_padding[i])?;
            let total = full.saturating_sub(input[i].saturating_mul(self.stride[i])) as isize;
            axes[i].pad = match self.padding {
                Padding::Valid => [0; 2],
                Padding::Explicit(pad) => pad[i],
                Padding::SameUpper => [total / 2, (total + 1) / 2],
                Padding::SameLower => [(total + 1) / 2, total / 2],
            };
            outputs[i] = match self.padding {
                Padding::SameUpper | Padding::SameLower => input[i].saturating_mul(self.stride[i]),
                _ => axes[i].transposed_output(input[i], output_padding[i])?,
            };
        }
        Ok((axes, outputs))
    }

    /// The axes, with the padding carried out for an input of this size.
    pub fn axes(&self, input: [usize; 2]) -> Result<[Axis; 2], Error> {
        self.check()?;
        self.checked_axes(input)
    }

    /// As [`Window::axes`], of a window that was checked.
    pub fn checked_axes(&self, input: [usize; 2]) -> Result<[Axis; 2], Error> {
        let axis = |i: usize| {
            let mut axis = Axis {
                name: NAMES[i],
                kernel: self.kernel[i],
                stride: self.stride[i],
                dilation: self.dilation[i],
                pad: [0; 2],
            };
            if input[i] > LIMIT {
                return Err(Error::Overflow { argument: "shape" });
            }
            let total = |a: &Axis| {
                let out = input[i].div_ceil(a.stride);
                ((out.max(1) - 1) * a.stride + a.extent()).saturating_sub(input[i]) as isize
            };
            axis.pad = match self.padding {
                Padding::Valid => [0; 2],
                Padding::Explicit(pad) => pad[i],
                Padding::SameUpper => [total(&axis) / 2, (total(&axis) + 1) / 2],
                Padding::SameLower => [(total(&axis) + 1) / 2, total(&axis) / 2],
            };
            Ok(axis)
        };
        Ok([axis(0)?, axis(1)?])
    }
}

/// One axis of a window, its padding known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub name: &'static str,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub pad: [isize; 2],
}

impl Axis {
    /// Elements from a window's first tap to its last, both included.
    pub fn extent(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// Positions of a window less one, times the stride, plus a rest: `input + padding - extent`.
    fn slack(&self, input: usize) -> Result<usize, Error> {
        let padded = input as isize + self.pad[0] + self.pad[1];
        usize::try_from(padded - self.extent() as isize).map_err(|_| Error::KernelTooLarge {
            axis: self.name,
            kernel: self.extent(),
            padded,
        })
    }

    /// `floor((input + padding - extent) / stride) + 1`.
    pub fn output(&self, input: usize) -> Result<usize, Error> {
        Ok(self.slack(input)? / self.stride + 1)
    }

    /// The same, or with `ceil_mode` rounded up, less one where the last window would start at or beyond
    /// `input + pad_before` (PyTorch; ONNX from opset 19 on).
    pub fn pool_output(&self, input: usize, ceil_mode: bool) -> Result<usize, Error> {
        let slack = input as isize + self.pad[0] + self.pad[1] - self.extent() as isize;
        let stride = self.stride as isize;
        if !ceil_mode {
            return self.output(input);
        }
        // Rounded up, a kernel that is less than a stride too large still has a place.
        let out = (slack + stride - 1).div_euclid(stride) + 1;
        let beyond = (out - 1) * stride >= input as isize + self.pad[0];
        match out - isize::from(beyond) {
            out if out > 0 => Ok(out as usize),
            _ => self.output(input).map(|_| 1),
        }
    }

    /// `stride * (input - 1) + extent + output_padding - padding`.
    pub fn transposed_output(&self, input: usize, output_padding: usize) -> Result<usize, Error> {
        if input == 0 {
            return Err(Error::Parameter { argument: self.name, expected: "an input of at least one pixel", given: 0 });
        }
        let full = self.stride.checked_mul(input - 1).filter(|&f| f < LIMIT && output_padding < LIMIT);
        let full = full.ok_or(Error::Overflow { argument: "stride * (input - 1)" })?;
        let out = (full + self.extent() + output_padding) as isize - self.pad[0] - self.pad[1];
        match usize::try_from(out) {
            Ok(out) if out > 0 => Ok(out),
            _ => Err(Error::Parameter {
                argument: "padding",
                expected: "padding that leaves an output of at least one pixel",
                given: self.pad[0] + self.pad[1],
            }),
        }
    }

    /// How a convolution reads its input.
    pub fn sampling(&self, input: usize) -> Sampling {
        Sampling {
            taps: self.kernel,
            tap_first: 0,
            tap_step: 1,
            input,
            stride: self.stride,
            first: -self.pad[0],
            step: self.dilation as isize,
        }
    }

    /// How the outputs `phase + stride * q` of its adjoint read theirs, which are this axis's outputs.
    pub fn transposed_sampling(&self, phase: usize, outputs: usize) -> Sampling {
        let (stride, dilation) = (self.stride, self.dilation);
        let tap_step = stride / gcd(stride, dilation);
        let meets = |t: &usize| (phase as isize + self.pad[0] - (t * dilation) as isize) % stride as isize == 0;
        // The pattern repeats after `tap_step` taps, so the first one, if any, is among these.
        let first_tap = (0..tap_step.min(self.kernel)).find(meets);
        let taps = first_tap.map_or(0, |t| (self.kernel - t).div_ceil(tap_step));
        let tap_first = first_tap.unwrap_or(0);
        Sampling {
            taps,
            tap_first,
            tap_step,
            input: outputs,
            stride: 1,
            first: (phase as isize + self.pad[0] - (tap_first * dilation) as isize) / stride as isize,
            step: -((dilation * tap_step / stride) as isize),
        }
    }
}

/// Which inputs an output takes along one axis: output `o` and tap `t` meet at `o * stride + first + t * step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// Taps; `t` stands for the kernel's tap `tap_first + t * tap_step`.
    pub taps: usize,
    pub tap_first: usize,
    pub tap_step: usize,
    /// Elements of the input; the others are padding.
    pub input: usize,
    pub stride: usize,
    pub first: isize,
    pub step: isize,
}

impl Sampling {
    /// Where output `o` and tap `t` meet, if that is in the input.
    #[inline(always)]
    pub fn at(&self, o: usize, t: usize) -> Option<usize> {
        let i = (o * self.stride) as isize + self.first + t as isize * self.step;
        (i >= 0 && i < self.input as isize).then_some(i as usize)
    }

    /// The taps of output `o` that lie in the input.
    #[inline(always)]
    pub fn valid(&self, o: usize) -> Range<usize> {
        let base = (o * self.stride) as isize + self.first;
        // Ascending: base + t * step in 0..input. Descending: the same from the other end.
        let (lowest, step) =
            if self.step >= 0 { (base, self.step) } else { (base + (self.taps as isize - 1) * self.step, -self.step) };
        let clamp = |t: isize| t.clamp(0, self.taps as isize) as usize;
        let (start, end) = match step {
            // Undilated, the case that counts: no division.
            1 => (clamp(-lowest), clamp(self.input as isize - lowest)),
            // A single tap in its class may have no step.
            step => {
                let step = step.max(1);
                let inside = self.input as isize - lowest;
                (clamp(-(lowest.div_euclid(step))), clamp((inside + step - 1).div_euclid(step)))
            }
        };
        let end = end.max(start);
        if self.step >= 0 { start..end } else { self.taps - end..self.taps - start }
    }
}

/// Elements of the input from the first tap of `outputs` neighbouring outputs to the last, padding included.
pub(crate) fn reach(stride: usize, step: usize, taps: usize, outputs: usize) -> usize {
    let steps = |n: usize, by: usize| n.saturating_sub(1).saturating_mul(by);
    steps(outputs, stride).saturating_add(steps(taps, step)).saturating_add(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Where the windows of a pooling lie along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolAxis {
    /// A kernel that slides over a padded input.
    Sliding { axis: Axis, input: usize, outputs: usize },
    /// Window `o` covers `floor(o * input / outputs) .. ceil((o + 1) * input / outputs)`.
    Adaptive { input: usize, outputs: usize },
}

/// The taps of one window along one axis that lie in the input: `first + i * step` for `i` in `0..count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taps {
    pub first: usize,
    pub step: usize,
    pub count: usize,
    /// Taps in the input or its padding.
    pub padded: usize,
}

impl PoolAxis {
    pub fn input(&self) -> usize {
        match *self {
            PoolAxis::Sliding { input, .. } | PoolAxis::Adaptive { input, .. } => input,
        }
    }

    pub fn outputs(&self) -> usize {
        match *self {
            PoolAxis::Sliding { outputs, .. } | PoolAxis::Adaptive { outputs, .. } => outputs,
        }
    }

    #[inline(always)]
    pub fn taps(&self, o: usize) -> Taps {
        match *self {
            PoolAxis::Adaptive { input, outputs } => {
                // In 128 bits: the product of two sizes may not fit.
                let edge = |o: usize, up: usize| ((o as u128 * input as u128 + up as u128) / outputs as u128) as usize;
                let (first, end) = (edge(o, 0), edge(o + 1, outputs - 1));
                Taps { first, step: 1, count: end - first, padded: end - first }
            }
            PoolAxis::Sliding { axis, input, .. } => {
                let start = (o * axis.stride) as isize - axis.pad[0];
                if start >= 0 && start + axis.extent() as isize <= input as isize {
                    // Nearly every window, and without the divisions below.
                    let (first, count) = (start as usize, axis.kernel);
                    return Taps { first, step: axis.dilation, count, padded: count };
                }
                let valid = axis.sampling(input).valid(o);
                // Taps from the window's start to the end of the padded input.
                let room = (input as isize + axis.pad[1] - start).max(0) as usize;
                Taps {
                    first: (start + (valid.start * axis.dilation) as isize).max(0) as usize,
                    step: axis.dilation,
                    count: valid.len(),
                    padded: room.div_ceil(axis.dilation).min(axis.kernel),
                }
            }
        }
    }

    /// The windows of a kernel that slides which have all their taps in the input.
    pub fn whole(&self) -> Range<usize> {
        let PoolAxis::Sliding { axis, input, outputs } = *self else { return 0..0 };
        let room = input as isize + axis.pad[0] - axis.extent() as isize;
        let end = if room < 0 { 0 } else { (room as usize / axis.stride + 1).min(outputs) };
        (axis.pad[0].max(0) as usize).div_ceil(axis.stride).min(end)..end
    }

    /// The taps of `outputs` windows of a kernel that slides, from `o` on, that lie in the input: from the first tap of the first
    /// window on, and where the first of them lies.
    pub fn inside(&self, o: usize, outputs: usize) -> (Range<usize>, usize) {
        let PoolAxis::Sliding { axis, input, .. } = *self else { return (0..0, 0) };
        let start = (o * axis.stride) as isize - axis.pad[0];
        let reach = (outputs.saturating_sub(1) * axis.stride + axis.extent()) as isize;
        let [first, end] = [-start, input as isize - start].map(|i| i.clamp(0, reach) as usize);
        (first..end.max(first), (start.max(0) as usize).min(input))
    }

    /// How many windows from `o` on, below `end`, have the same number of taps as that one.
    #[inline(always)]
    pub fn alike(&self, o: usize, end: usize) -> (Taps, usize) {
        let whole = self.whole();
        (self.taps(o), if whole.contains(&o) { whole.end.min(end) - o } else { 1 })
    }

    /// From a window of a kernel that slides to the next.
    pub fn stride(&self) -> usize {
        if let PoolAxis::Sliding { axis, .. } = self { axis.stride } else { 0 }
    }

    /// Elements of the input from the first tap of `outputs` neighbouring windows to the last, at most.
    pub fn reach(&self, outputs: usize) -> usize {
        let reach = match *self {
            PoolAxis::Sliding { axis, .. } => {
                (outputs.max(1) - 1).saturating_mul(axis.stride).saturating_add(axis.extent())
            }
            PoolAxis::Adaptive { input, outputs: all } => {
                let reach = (outputs as u128 * input as u128).div_ceil(all as u128) + 1;
                reach.try_into().unwrap_or(usize::MAX)
            }
        };
        reach.min(self.input())
    }

    /// The windows that have a tap in `rows` of the input, and perhaps some beside them.
    pub fn touching(&self, rows: Range<usize>) -> Range<usize> {
        let (mut lo, mut hi) = (0, 0);
        let search = |mut lo: usize, mut hi: usize, before: &dyn Fn(usize) -> bool| {
            while lo < hi {
                let mid = lo + (hi - lo) / 2;
                if before(mid) { lo = mid + 1 } else { hi = mid }
            }
            lo
        };
        // Both ends of the windows ascend with `o`, so a binary search finds the first and the last.
        let ends = |o: usize| match *self {
            PoolAxis::Sliding { axis, .. } => {
                let start = (o * axis.stride) as isize - axis.pad[0];
                (start, start + axis.extent() as isize)
            }
            PoolAxis::Adaptive { .. } => {
                let t = self.taps(o);
                (t.first as isize, (t.first + t.count) as isize)
            }
        };
        if !rows.is_empty() {
            lo = search(0, self.outputs(), &|o| ends(o).1 <= rows.start as isize);
            hi = search(lo, self.outputs(), &|o| ends(o).0 < rows.end as isize);
        }
        lo..hi
    }
}

#[cfg(test)]
mod tests;
