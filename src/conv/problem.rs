//! What all lowerings are given: a convolution or its adjoint, as one kind of problem.
//!
//! ```text
//! y[n, oy, ox, o] = sum over taps and i of x[n, sy, sx, i] * w[tap, i, o]
//! ```
//!
//! where a [`Sampling`] says for each axis which `s` an output and a tap meet at. A convolution has one sampling for all
//! outputs. Its adjoint (dX, a transposed convolution) has one for each phase of its outputs modulo the stride, and the
//! taps fall into classes of which each phase needs one. Weights are packed class by class, so a class is one matrix.

use super::Blocking;
use crate::error::Error;
use crate::tiles::{Box4, Grid, Parts};
use crate::window::{Axis, Padding, Sampling, Window, reach};

/// A convolution, or its adjoint, with channels by what is read and what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    pub window: Window,
    pub groups: usize,
    /// Channels of `x`, all groups.
    pub inputs: usize,
    /// Channels of `y`, all groups.
    pub outputs: usize,
    /// The adjoint: `x` is the gradient of a convolution's output, `y` that of its input.
    pub transposed: bool,
}

/// The taps that an output meets: every `step`-th one, from `first` on, along each axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TapClass {
    pub first: [usize; 2],
    pub step: [usize; 2],
    pub count: [usize; 2],
    /// Taps of the classes that are packed before this one.
    pub before: usize,
}

impl TapClass {
    pub fn taps(&self) -> usize {
        self.count[0] * self.count[1]
    }
}

impl Problem {
    pub fn inputs_per_group(&self) -> usize {
        per_group(self.inputs, self.groups)
    }

    pub fn outputs_per_group(&self) -> usize {
        per_group(self.outputs, self.groups)
    }

    pub fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Terms of a sum, at most.
    pub fn terms(&self) -> usize {
        self.taps() * self.inputs_per_group()
    }

    /// Elements along an axis of `x` from the first tap of so many neighbouring outputs (of a phase) to the last, at most.
    pub fn reach(&self, axis: usize, outputs: usize) -> usize {
        let Window { kernel, stride, .. } = self.window;
        let stride = if self.transposed { 1 } else { stride[axis] };
        reach(stride, self.tap_distance(axis), kernel[axis].div_ceil(self.tap_step(axis)), outputs)
    }

    /// Phases of the outputs along an axis, each of which has a sampling of its own.
    pub fn phases(&self, axis: usize) -> usize {
        if self.transposed { self.window.stride[axis] } else { 1 }
    }

    /// Elements of `x` from a tap of a class to the next.
    pub fn tap_distance(&self, axis: usize) -> usize {
        let Window { stride, dilation, .. } = self.window;
        match self.transposed {
            true => dilation[axis].saturating_mul(self.tap_step(axis)) / stride[axis],
            false => dilation[axis],
        }
    }

    /// Refuses zeros, groups that do not divide the channels, and sizes that overflow.
    pub fn check(&self) -> Result<(), Error> {
        self.window.check()?;
        for (argument, given) in [("in_channels", self.inputs), ("out_channels", self.outputs), ("groups", self.groups)]
        {
            if given == 0 || isize::try_from(given).is_err() {
                let given = given.try_into().unwrap_or(isize::MAX);
                return Err(Error::Parameter { argument, expected: "at least 1 and no overflow", given });
            }
        }
        if !(self.inputs.is_multiple_of(self.groups) && self.outputs.is_multiple_of(self.groups)) {
            let given = self.groups as isize;
            return Err(Error::Parameter { argument: "groups", expected: "a divisor of both channel counts", given });
        }
        let size = self.taps().checked_mul(self.inputs_per_group()).and_then(|k| k.checked_mul(self.outputs));
        // Room for the zeros of the last panel of each group, and for bytes.
        match size.and_then(|s| s.checked_mul(1024)).filter(|&s| isize::try_from(s).is_ok()) {
            Some(_) => Ok(()),
            None => Err(Error::Overflow { argument: "weights" }),
        }
    }

    /// From a tap to the next one of its class.
    pub fn tap_step(&self, axis: usize) -> usize {
        if self.transposed { self.window.axis_tap_step(axis) } else { 1 }
    }

    /// The class of taps whose first ones are `first`.
    fn class(&self, first: [usize; 2]) -> TapClass {
        let axis = |i: usize| {
            let (kernel, step) = (self.window.kernel[i], self.tap_step(i));
            let count = (kernel - first[i]).div_ceil(step);
            // The classes before this one: those below `kernel % step` have a tap more.
            (count, first[i] * (kernel / step) + first[i].min(kernel % step))
        };
        let ((rows, rows_before), (columns, columns_before)) = (axis(0), axis(1));
        TapClass {
            first,
            step: [self.tap_step(0), self.tap_step(1)],
            count: [rows, columns],
            before: rows_before * self.window.kernel[1] + rows * columns_before,
        }
    }

    /// All classes, in the order in which they are packed.
    pub fn classes(&self) -> impl Iterator<Item = TapClass> {
        let firsts = [0, 1].map(|i| self.tap_step(i).min(self.window.kernel[i]));
        let this = *self;
        (0..firsts[0]).flat_map(move |y| (0..firsts[1]).map(move |x| this.class([y, x])))
    }

    /// The class and the samplings of a tile of outputs, and the sampling's number of the tile's first output.
    #[inline]
    pub fn sample(&self, axes: &[Axis; 2], input: [usize; 2], tile: &Box4) -> (TapClass, [Sampling; 2], [usize; 2]) {
        let sampling = |i: usize| {
            if self.transposed {
                axes[i].transposed_sampling(tile[i + 1].start % self.phases(i), input[i])
            } else {
                axes[i].sampling(input[i])
            }
        };
        let s = [sampling(0), sampling(1)];
        let mut class = self.class([s[0].tap_first, s[1].tap_first]);
        class.count = [s[0].taps, s[1].taps];
        (class, s, [0, 1].map(|i| tile[i + 1].start / self.phases(i)))
    }

    /// Whether every output has a single tap, in the image.
    fn is_uniform(&self) -> bool {
        let is_unpadded = match self.window.padding {
            Padding::Explicit(sides) => sides.as_flattened().iter().all(|&side| side <= 0),
            Padding::Valid | Padding::SameUpper | Padding::SameLower => true,
        };
        self.window.kernel == [1, 1] && !self.transposed && is_unpadded
    }

    /// How the outputs `y` are cut into tiles for so many workers, and how many rows of a tile are taken at a time: at most so many,
    /// and so many columns, which follow from the shape alone. A sum is the same, to the bit, in any tile.
    ///
    /// Panels have `nr` columns.
    pub fn grid(
        &self,
        y: [usize; 4],
        [rows, columns]: [usize; 2],
        blocking: &Blocking,
        nr: usize,
        workers: usize,
    ) -> (Grid, usize) {
        let height = |unit: usize, most: usize| Parts::Phases { len: y[1], step: self.phases(0), unit, most };
        let width = Parts::Phases { len: y[2], step: self.phases(1), unit: 1, most: columns };
        let beside = y[0].saturating_mul(width.count()).saturating_mul(self.groups);
        let tiles = beside.saturating_mul(height(1, rows).count());
        // Cuts must be worth a tile's cost.
        let work = [y[1], y[2], self.terms(), self.outputs].into_iter().fold(y[0], usize::saturating_mul);
        let channels = channel_parts(
            self.outputs,
            self.outputs_per_group(),
            if workers > 1 { (TILES / tiles.max(1)).min(work / TILE_WORK) } else { 1 },
            blocking,
            nr,
        );
        // Where channels are few, rows are cut as well, of a layer whose outputs all have the same taps: the border of others is
        // classes of few pixels, and of how many must not depend on the batch, since a sum of a single pixel has other bits.
        let cuts = match tiles.saturating_mul(channels.count()) {
            1 if self.is_uniform() => 4,
            2 | 3 if self.is_uniform() => 2,
            _ => 1,
        };
        let all = if self.transposed { y[1].div_ceil(self.phases(0)).max(1) } else { y[1] };
        let (mut rows, mut times) = (rows.min(all), 1);
        if all > 1 {
            let least = LEAST_PIXELS.div_ceil(columns.max(1)).min(rows);
            rows = rows.div_ceil(cuts.min(work / TILE_WORK).max(1)).max(least);
            // Of one, or an even number of blocks, two workers have as much to do.
            let blocks = all.div_ceil(rows);
            rows = all.div_ceil(if blocks > 1 { blocks.next_multiple_of(2) } else { 1 });
            // A tile costs half a microsecond beside its rows. Where channels are cut as well, their next part finds the inputs in the
            // cache.
            times = match (workers, channels.count()) {
                (_, 2..) => 1,
                (..=1, _) => all,
                _ => beside.saturating_mul(height(rows, 1).count()) / workers.saturating_mul(TILES_OF_WORKER),
            };
        }
        (Grid::new([Parts::up_to(y[0], 1), height(rows.max(1), times.max(1)), width, channels]), rows.max(1))
    }
}

/// Most layers have one group, and small ones spend their time on divisions.
fn per_group(channels: usize, groups: usize) -> usize {
    if groups == 1 { channels } else { channels / groups }
}

/// Tiles that a problem is cut into at least, where it is large enough.
pub(super) const TILES: usize = 16;
/// Tiles for each worker, if there are as many: so that all are done at about the same time.
const TILES_OF_WORKER: usize = 8;
/// Pixels of a tile that was cut from a larger one by rows, at least: some strips.
const LEAST_PIXELS: usize = 28;
/// Multiplications of a tile that was cut from a larger one: about a microsecond.
const TILE_WORK: usize = 1 << 16;

/// How `len` output channels, in groups of `block`, are cut into whole panels of `nr`: into `cuts` stretches, if that leaves
/// two panels each.
pub(super) fn channel_parts(len: usize, block: usize, cuts: usize, blocking: &Blocking, nr: usize) -> Parts {
    let panels = block.div_ceil(nr);
    let cuts = cuts.clamp(1, panels.div_ceil(2));
    let most = panels.div_ceil(cuts).min(blocking.columns / nr).max(1);
    Parts::Blocks { len, block, unit: nr, most }
}
