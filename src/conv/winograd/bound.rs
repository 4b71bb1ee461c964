//! How far the outputs of a transform can be from the true sums, whatever the data. [`crate::numerics`] derives it.

use super::Winograd;
use super::error::Matrices;
use super::forms::{Form, MOST_POINTS};
use super::tiling::Cuts;
use crate::conv::algorithm::Algorithm;
use crate::conv::plan::Plan;
use crate::element::Element;

impl Matrices {
    /// The largest `sum over points of |At| |G| sum |Bt|` of an output and a tap: what is computed of one weight and inputs of
    /// at most 1, without regard to signs. It is 1 where sums are direct.
    pub fn growth(&self) -> f64 {
        let sums = self.bt.map(|row| Self::of(&row, f64::abs));
        let of = |at: &[f64; MOST_POINTS], tap: usize| -> f64 {
            (0..self.points()).map(|p| (at[p] * self.g[p][tap]).abs() * sums[p]).sum()
        };
        let outputs = self.at[..self.outputs].iter();
        outputs.flat_map(|at| (0..self.taps).map(move |tap| of(at, tap))).fold(0.0, f64::max)
    }

    /// The largest row sum of `|Bt|`: what transformed inputs may be, of inputs of at most 1.
    pub fn input_growth(&self) -> f64 {
        self.bt.iter().map(|row| Self::of(row, f64::abs)).fold(0.0, f64::max)
    }
}

impl Form {
    /// The most pairs of points of a filter.
    fn pairs(self) -> usize {
        self.filters().filter(|&r| r > 1).map(|r| (self.m + r - 2) / 2).max().unwrap_or(0)
    }

    /// How often a number is rounded at most on its way through both transforms.
    fn roundings(self) -> usize {
        match self.pairs() {
            0 => 0,
            // Inputs: a coefficient, as many terms as pairs, the point, its product, its sum. Outputs: a sum, a power, its product,
            // as many sums as pairs; and the sum of two filters.
            pairs => (pairs + 4) + (pairs + 3) + (self.stride - 1),
        }
    }

    /// How often the tables and the transformed weights are rounded at most, in `f64`.
    fn table_roundings(self) -> usize {
        match self.pairs() {
            0 => 0,
            // `G w`, `G`, `Bt` of short tiles, powers.
            pairs => (self.r + 1) + (self.r + 4 * pairs) + (11 * pairs + 2) + (self.m - 1),
        }
    }
}

/// What is proven of a plan's outputs, those with the most taps; see [`crate::numerics`].
#[derive(Clone, Copy, Debug)]
pub struct ErrorBound {
    forms: [Form; 2],
    inputs: usize,
}

impl ErrorBound {
    /// Nothing, where the plan is not one of Winograd's algorithm.
    pub fn new(plan: &Plan) -> Option<Self> {
        let Winograd { most: forms, .. } = plan.winograd.filter(|_| plan.algorithm() == Algorithm::Winograd)?;
        Some(ErrorBound { forms, inputs: plan.problem.inputs_per_group() })
    }

    /// Outputs of a tile along each axis.
    pub fn outputs(&self) -> [usize; 2] {
        self.forms.map(|form| form.m)
    }

    /// The outputs that the last tile along an axis computes, if so many are wanted of it.
    pub fn last(&self, axis: usize, wanted: usize) -> usize {
        Cuts::new(self.forms[axis], wanted).tile(0).outputs
    }

    /// The matrices of a tile of so many outputs along an axis.
    pub fn matrices(&self, axis: usize, outputs: usize) -> Matrices {
        Matrices::new(self.forms[axis], outputs)
    }

    /// The bound's constant: `|error| <= relative * sum over inputs of |At| ((|G| |w| |G|t) * (|Bt| |x| |B|)) |A|`.
    pub fn relative<T: Element>(&self) -> f64 {
        let unit = T::EPSILON.to_f64() / 2.0;
        let sum = |of: fn(Form) -> usize| self.forms.map(of).iter().sum::<usize>() as f64;
        // The products and their sum, and once the transformed weight.
        let roundings = (self.inputs + 1) as f64 + sum(Form::roundings);
        let total = roundings * unit + sum(Form::table_roundings) * f64::EPSILON / 2.0;
        total / (1.0 - total)
    }

    /// The largest [`Matrices::growth`] of both axes together: `|error| <= relative * growth * max|x| * sum|w|`, and what is
    /// computed on the way to an output is at most `growth * max|x| * sum|w|`.
    pub fn growth(&self) -> f64 {
        self.forms.map(|form| form.most(Matrices::growth)).iter().product()
    }

    /// What transformed inputs may be, in multiples of the largest input.
    pub fn input_growth(&self) -> f64 {
        self.forms.map(|form| form.most(Matrices::input_growth)).iter().product()
    }

    /// What rounding errors are expected to be, in multiples of those of direct sums of as many terms.
    pub fn expected(&self) -> f64 {
        self.forms.map(|form| form.most(Matrices::variance)).iter().product()
    }
}
