//! Transformed weights, in the order in which blocks use them.
//!
//! ```text
//! u[class][group][part][factor][panel][i][o] = sum over taps of gy[factor y][ky] * gx[factor x][kx] * w[ky, kx, i, o]
//! ```
//!
//! Sums are taken in `f64`, whatever the element type: what is lost here would be lost in every run.

use super::forms::{Form, MOST_POINTS};
use super::{Winograd, factors};
use crate::conv::operator::weights_row;
use crate::conv::plan::Plan;
use crate::conv::problem::{Problem, TapClass};
use crate::element::Element;
use crate::error::Error;
use crate::run::Run;
use crate::simd::{Op, Simd};
use crate::tensor::{View, ViewMut};
use crate::tiles::{Grid, Part, Parts, Tile};

/// Columns of a panel, at most, at all levels.
const MOST_COLUMNS: usize = 32;
/// Taps of a filter along an axis, at most.
const MOST_TAPS: usize = 7;

/// The weights of a part: some output channels of a group, of one class of taps.
pub struct TransformWeights<'a, 'b, T> {
    pub(super) winograd: &'a Winograd,
    pub(super) problem: &'a Problem,
    pub(super) class: &'a TapClass,
    pub(super) weights: &'a View<'a, T>,
    pub(super) nr: usize,
    pub(super) rows: &'a Part,
    pub(super) tile: &'a mut Tile<'b, T>,
}

impl Winograd {
    /// Transforms weights into the memory of a plan, on as many threads as there are.
    pub fn pack<T: Element>(&self, plan: &Plan, weights: &View<T>, packed: &mut [T]) -> Result<(), Error> {
        let (p, nr) = (&plan.problem, 2 * plan.lanes());
        let mut packed = packed;
        for class in p.classes() {
            let (of_class, rest) = packed.split_at_mut(self.class_len(p, nr, &class));
            packed = rest;
            let (work, shape) = (of_class.len(), [1, of_class.len() / nr, 1, nr]);
            let y = Tile::new(ViewMut::nhwc(of_class, shape)?);
            Run::<T>::new().for_each_tile(self.parts(p, nr, &class), y, 0, work, |place, tile, _| {
                let (problem, rows, class) = (p, &place[1], &class);
                let transform = TransformWeights { winograd: self, problem, class, weights, nr, rows, tile };
                T::conv_transform_weights(plan.level(), transform);
            })?;
        }
        Ok(())
    }

    /// How the packed weights of a class, rows of a panel each, are cut into parts.
    fn parts(&self, p: &Problem, nr: usize, class: &TapClass) -> Grid {
        let rows = self.class_len(p, nr, class) / nr;
        let block = self.group_len(p, nr, class) / nr;
        let unit = factors(self.forms(class)) * p.inputs_per_group() * (self.part / nr);
        Grid::new([
            Parts::whole(1),
            Parts::Blocks { len: rows, block, unit, most: 1 },
            Parts::whole(1),
            Parts::whole(nr),
        ])
    }
}

impl<T: Element> Op<T> for TransformWeights<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) {
        let TransformWeights { winograd, problem: p, class, weights, nr, rows, tile } = self;
        let forms = winograd.forms(class);
        let (inputs, points, g) = (p.inputs_per_group(), forms.map(Form::factors), forms.map(Form::weights));
        let per_group = winograd.group_len(p, nr, class) / nr;
        let group = rows.start / per_group;
        let each = points[0] * points[1] * inputs;
        let (panel, panels) = (rows.start % per_group / each, rows.count / each);
        let mut taps = [[[0.0; MOST_COLUMNS]; MOST_TAPS]; MOST_TAPS];
        let mut half = [[[0.0; MOST_COLUMNS]; MOST_TAPS]; MOST_POINTS];
        for i in 0..inputs {
            for q in 0..panels {
                let column = (panel + q) * nr;
                let n = nr.min(p.outputs_per_group() - column);
                let output = group * p.outputs_per_group() + column;
                taps_of(p, class, weights, (i, output, n), &mut taps);
                for (y, half) in half[..points[0]].iter_mut().enumerate() {
                    for (x, half) in half[..class.count[1]].iter_mut().enumerate() {
                        half.fill(0.0);
                        for (ky, &g) in g[0][y][..class.count[0]].iter().enumerate() {
                            half.iter_mut().zip(&taps[ky][x]).for_each(|(sum, w)| *sum += g * w);
                        }
                    }
                }
                for point in 0..points[0] * points[1] {
                    let mut sum = [0.0; MOST_COLUMNS];
                    let half = &half[point / points[1]][..class.count[1]];
                    for (half, &g) in half.iter().zip(&g[1][point % points[1]]) {
                        sum.iter_mut().zip(half).for_each(|(sum, w)| *sum += g * w);
                    }
                    let row = (point * panels + q) * inputs + i;
                    let Some(row) = tile.slice([0, row, 0], 0, nr) else { unreachable!("rows are contiguous") };
                    row.iter_mut().zip(&sum).for_each(|(to, &sum)| *to = T::from_f64(sum));
                }
            }
        }
    }
}

/// The taps of an input channel, for `n` outputs from one on, then zeros; in the order in which they meet the input.
#[inline(always)]
fn taps_of<T: Element>(
    p: &Problem,
    class: &TapClass,
    weights: &View<T>,
    (input, output, n): (usize, usize, usize),
    taps: &mut [[[f64; MOST_COLUMNS]; MOST_TAPS]; MOST_TAPS],
) {
    let mut row = [T::ZERO; MOST_COLUMNS];
    for ty in 0..class.count[0] {
        for tx in 0..class.count[1] {
            let k = [0, 1].map(|axis| class.first[axis] + class.step[axis] * [ty, tx][axis]);
            weights_row(p, weights, k, input, output, &mut row[..n]);
            // The taps of a transposed convolution meet its input the other way round.
            let at = if p.transposed { [class.count[0] - 1 - ty, class.count[1] - 1 - tx] } else { [ty, tx] };
            let to = &mut taps[at[0]][at[1]];
            to.iter_mut().zip(&row[..n]).for_each(|(to, &w)| *to = w.to_f64());
            to[n..].fill(0.0);
        }
    }
}
