//! The matrices of a transform, and how exact they let it be.

use super::forms::{Filters, Form, MOST_POINTS, TileOp};
use crate::conv::algorithm::Accuracy;
use crate::simd::{Scalar, Simd};

/// Outputs of a tile along an axis, at most.
const MOST_OUTPUTS: usize = 6;

type Matrix<const ROWS: usize> = [[f64; MOST_POINTS]; ROWS];

/// The matrices of a tile along an axis, padded with zeros: `y = At ((G w) * (Bt d))`.
#[derive(Clone, Copy, Debug)]
pub struct Matrices {
    /// Outputs of the tile.
    pub outputs: usize,
    /// Taps of the filter.
    pub taps: usize,
    points: usize,
    /// A row for each output.
    pub at: Matrix<MOST_OUTPUTS>,
    /// A row for each point.
    pub g: Matrix<MOST_POINTS>,
    /// A row for each point.
    pub bt: Matrix<MOST_POINTS>,
}

/// Transforms unit vectors: the matrices are those of the very code that runs.
struct Columns<'a>(&'a mut Matrices);

impl TileOp<f64> for Columns<'_> {
    #[inline(always)]
    fn run<S: Simd<f64>, F: Filters, const M: usize, const A: usize>(self, s: S) {
        for k in 0..A {
            let mut unit = [s.splat(0.0); A];
            unit[k] = s.splat(1.0);
            let (v, y) = (F::input::<f64, S, M, A>(s, unit), F::output::<f64, S, M, A>(s, unit));
            (0..A).for_each(|point| s.store_partial(v[point], &mut self.0.bt[point][k..=k]));
            (0..M).for_each(|output| s.store_partial(y[output], &mut self.0.at[output][k..=k]));
        }
    }
}

impl Matrices {
    /// Of a tile of so many outputs, one of [`Form::tiles`].
    pub(super) fn new(form: Form, outputs: usize) -> Self {
        let zeros = [[0.0; MOST_POINTS]; MOST_POINTS];
        let (points, count) = form.points_in(outputs);
        let at = [[0.0; MOST_POINTS]; MOST_OUTPUTS];
        let mut matrices = Matrices { outputs, taps: form.r, points: count, at, g: zeros, bt: zeros };
        form.run::<f64, _>(Scalar, outputs, Columns(&mut matrices));
        let g = form.weights();
        (0..count).for_each(|point| matrices.g[point] = g[form.factor_of(points[point])]);
        matrices
    }

    /// Points of the tile: inputs, and multiplications.
    pub fn points(&self) -> usize {
        self.points
    }

    pub(super) fn of<const N: usize>(row: &[f64; N], norm: fn(f64) -> f64) -> f64 {
        row.iter().map(|&x| norm(x)).sum()
    }

    /// The variance of an output, if the products at all points were independent, in multiples of what it is.
    pub(super) fn variance(&self) -> f64 {
        let square = |x: f64| x * x;
        let products = |p: usize| Self::of(&self.g[p], square) * Self::of(&self.bt[p], square);
        let of = |at: &[f64; MOST_POINTS]| (0..self.points()).map(|p| square(at[p]) * products(p)).sum::<f64>();
        self.at[..self.outputs].iter().map(of).fold(0.0, f64::max) / self.taps as f64
    }
}

impl Form {
    /// What `f` is at most, of all tiles.
    pub(super) fn most(self, f: impl Fn(&Matrices) -> f64) -> f64 {
        self.tiles().iter().map(|&outputs| f(&Matrices::new(self, outputs))).fold(0.0, f64::max)
    }
}

/// Errors grow as the square root of `variance * inputs of a group`, which [`Accuracy::Default`] allows to be so much. The largest of
/// a million, at output scale 1, was 1.2 to 3.3 times that root times `eps / 2` in `f32`, with normal inputs and with those after a
/// ReLU; see [`crate::numerics`]. F(4, 5) of 128 channels is just allowed.
const MOST_EXPECTED: f64 = 340.0;
/// The same of 3x3 kernels: F(4, 3) of 512 channels is just allowed, F(6, 3) along both axes never.
const MOST_EXPECTED_OF_3X3: f64 = MOST_EXPECTED / 2.0;
/// Fewer inputs count as so many: the errors of the transforms themselves do not depend on their number.
const FEWEST_INPUTS: usize = 128;

/// Whether a transform is as exact as is wanted, with so many inputs of a group.
pub(crate) fn is_accurate(forms: [Form; 2], inputs: usize, accuracy: Accuracy) -> bool {
    match accuracy {
        Accuracy::Exact => false,
        Accuracy::Relaxed => true,
        Accuracy::Default => {
            let most = if forms.iter().all(|form| form.r == 3) { MOST_EXPECTED_OF_3X3 } else { MOST_EXPECTED };
            let variance: f64 = forms.iter().map(|form| form.most(Matrices::variance)).product();
            variance * inputs.max(FEWEST_INPUTS) as f64 <= most * most
        }
    }
}
