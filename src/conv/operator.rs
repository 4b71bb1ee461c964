//! The packed operator behind all public ones: a plan, packed weights, and the walk over tiles of the output.

use super::depthwise::{self, Depthwise};
use super::epilogue::Epilogue;
use super::gemm_tile::GemmTile;
use super::plan::{Packing, Plan};
use super::problem::{Problem, TapClass};
use super::winograd::WinogradTile;
use super::{Algorithm, Options};
use crate::element::Element;
use crate::error::Error;
use crate::gemm::{fold, pack};
use crate::pages::Pages;
use crate::run::Run;
use crate::simd::{Level, Machine};
use crate::tensor::{Aligned, View, ViewMut};
use crate::tiles::{Box4, Tile, Turn};
use crate::window::Axis;

/// A problem with its weights, ready to run any number of times.
#[derive(Debug)]
pub(crate) struct Operator<T> {
    pub plan: Plan,
    weights: Pages<T>,
    bias: Option<Aligned<T>>,
}

/// Fills `row` with the weights of a tap and a term, for the outputs from `output` on.
///
/// `w` has the shape `[kh, kw, i, o]` of a convolution: `i` is per group, `o` is not. A convolution sums over `i`, its adjoint
/// over the part of `o` that belongs to a group.
pub(super) fn weights_row<T: Copy>(
    p: &Problem,
    w: &View<T>,
    [ky, kx]: [usize; 2],
    term: usize,
    output: usize,
    row: &mut [T],
) {
    if p.transposed {
        for (output, to) in (output..).zip(row) {
            let (group, i) = (output / p.outputs_per_group(), output % p.outputs_per_group());
            *to = w.data()[w.at([ky, kx, i, group * p.inputs_per_group() + term])];
        }
    } else {
        let (start, stride) = (w.at([ky, kx, term, output]), w.strides()[3]);
        row.iter_mut().enumerate().for_each(|(i, to)| *to = w.data()[start + i * stride]);
    }
}

impl<T: Element> Operator<T> {
    /// Plans for this machine, and packs.
    pub fn prepare(
        problem: Problem,
        weights: View<T>,
        bias: Option<&[T]>,
        options: &Options,
    ) -> Result<Operator<T>, Error> {
        let plan = Plan::new::<T>(problem, options, &Machine::detect())?;
        if !plan.level().is_available() {
            return Err(Error::Level { asked: plan.level(), available: Level::best() });
        }
        check_bias(&problem, bias)?;
        let stored = match bias {
            Some(values) => Some(Aligned::new(values.len(), T::ZERO, "bias")?),
            None => None,
        };
        let packed = Pages::zeros(plan.weight_len(), "weights")?;
        let mut operator = Operator { plan, weights: packed, bias: stored };
        operator.pack(weights, bias)?;
        Ok(operator)
    }

    /// Takes new weights, and a new bias where there was one, without allocating.
    pub fn repack(&mut self, weights: View<T>, bias: Option<&[T]>) -> Result<(), Error> {
        check_bias(&self.plan.problem, bias)?;
        let expected = self.bias().map_or(0, <[T]>::len);
        let given = bias.map_or(0, <[T]>::len);
        if expected != given {
            return Err(Error::Length { argument: "bias", expected, given });
        }
        self.pack(weights, bias)
    }

    /// Fills the memory for weights and bias, all of whose sizes have been checked.
    fn pack(&mut self, weights: View<T>, bias: Option<&[T]>) -> Result<(), Error> {
        if let (Some(stored), Some(bias)) = (&mut self.bias, bias) {
            stored.as_mut_slice().copy_from_slice(bias);
        }
        let p = self.plan.problem;
        let Packing { groups, columns, panel } = self.plan.packing(self.plan.algorithm());
        let inputs = p.inputs_per_group();
        if let (Algorithm::Winograd, Some(winograd)) = (self.plan.algorithm(), &self.plan.winograd) {
            return winograd.pack(&self.plan, &weights, self.weights.as_mut_slice());
        }
        for group in 0..groups {
            for class in p.classes() {
                let k = class.taps() * inputs;
                let start = self.plan.packed_at(group, &class);
                let panels = &mut self.weights.as_mut_slice()[start..][..k * columns.div_ceil(panel) * panel];
                pack(k, columns, panel, panels, |k, column, row| {
                    let (tap, term) = (k / inputs, k % inputs);
                    let ky = class.first[0] + class.step[0] * (tap / class.count[1]);
                    let kx = class.first[1] + class.step[1] * (tap % class.count[1]);
                    weights_row(&p, &weights, [ky, kx], term, group * columns + column, row);
                });
                if self.plan.terms_at_a_time > 1 {
                    fold(k, columns, panel, self.plan.terms_at_a_time, panels);
                }
            }
        }
        Ok(())
    }

    /// The transformed weights of a class of taps in a group, from the part on that starts with this output of the group, and all
    /// that follow.
    pub fn transformed(&self, group: usize, class: &TapClass, output: usize) -> &[T] {
        &self.weights.as_slice()[self.plan.transformed_at(group, class, output)..]
    }

    /// The packed weights of a class of taps in a group, and all that follow.
    pub fn packed(&self, group: usize, class: &TapClass) -> &[T] {
        &self.weights.as_slice()[self.plan.packed_at(group, class)..]
    }

    /// One value an output channel.
    pub fn bias(&self) -> Option<&[T]> {
        self.bias.as_ref().map(Aligned::as_slice)
    }

    /// Runs all tiles. The caller has checked that the axes, `x` and `y` belong together.
    pub fn run(
        &self,
        axes: &[Axis; 2],
        x: View<T>,
        y: ViewMut<T>,
        epilogue: &Epilogue<T>,
        run: Run<T>,
    ) -> Result<(), Error> {
        let plan = &self.plan;
        run.prepared_for(plan.level())?;
        epilogue.check(y.shape())?;
        let (is_joined, joined) = (plan.joins_images(&x), epilogue.images_as_width());
        let (x, y, epilogue) =
            if is_joined { (x.images_as_width(), y.images_as_width(), &joined) } else { (x, y, epilogue) };
        let shape = y.shape();
        let workers = run.executor.workers();
        let (grid, rows) = match plan.algorithm() {
            Algorithm::Depthwise => {
                (depthwise::grid(&plan.problem, axes, &x, shape, &plan.blocking, plan.lanes()), shape[1])
            }
            Algorithm::Winograd => (plan.winograd_grid(shape, workers), shape[1]),
            _ => plan.grid(shape, plan.source(&x), workers),
        };
        let pixels = shape[0].saturating_mul(shape[1]).saturating_mul(shape[2]);
        let work = pixels.saturating_mul(plan.problem.terms()).saturating_mul(plan.problem.outputs);
        run.for_each_turn(grid, Tile::new(y), plan.scratch_len(), work, |Turn { place, before }, tile, scratch| {
            let mut job = TileJob { operator: self, axes, x, epilogue, place, before, tile, scratch, is_joined };
            match plan.algorithm() {
                Algorithm::Winograd => T::conv_winograd(plan.level(), WinogradTile(job)),
                Algorithm::Depthwise => T::conv_depthwise(plan.level(), Depthwise(job)),
                _ => T::conv_gemm_tile(plan.level(), GemmTile { job: &mut job, rows }),
            }
        })
    }
}

/// What a lowering is given: where a tile of the output is, and all that is needed to compute it.
pub(super) struct TileJob<'a, 'b, T> {
    pub operator: &'a Operator<T>,
    pub axes: &'a [Axis; 2],
    pub x: View<'a, T>,
    pub epilogue: &'a Epilogue<'a, T>,
    pub place: &'a Box4,
    /// The box that the scratch memory was used for before.
    pub before: Option<&'a Box4>,
    pub tile: &'a mut Tile<'b, T>,
    pub scratch: &'a mut [T],
    /// Whether the pixels are images of a batch, whose bits depend on nothing but the image.
    pub is_joined: bool,
}

fn check_bias<T>(p: &Problem, bias: Option<&[T]>) -> Result<(), Error> {
    match bias {
        Some(bias) if bias.len() != p.outputs => {
            Err(Error::Length { argument: "bias", expected: p.outputs, given: bias.len() })
        }
        _ => Ok(()),
    }
}
