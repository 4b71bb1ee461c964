//! Winograd's algorithm: a small GEMM for each point of a transformed tile.
//!
//! ```text
//! y tile = At [ sum over i of (G w[i] Gt) * (Bt x[i] B) ] A          * by points, x[i]: channel i of a tile of inputs
//! ```
//!
//! A block of tiles at a time: their inputs are transformed into one matrix for each point, `v[point][tile][i]`; each is
//! multiplied by its weights, `m[point][tile][o]`; and the products are transformed back, with the epilogue, into the
//! output. Blocks are small enough for all of it to stay in the second-level cache, while weights pass in one stream.
//!
//! Nothing is copied for padding (rows and columns beyond the image are zeros in the first pass), for dilation (outputs
//! fall into lattices, each of which is an undilated problem), or for transposed convolution (its phases are convolutions
//! with the taps turned round). The last tile of a row or column has fewer points where it has fewer outputs.

#[cfg(feature = "testing")]
mod bound;
mod cost;
mod error;
mod forms;
mod inputs;
mod outputs;
mod pass;
mod tiling;
mod weights;

#[cfg(feature = "testing")]
pub use bound::ErrorBound;
pub(super) use error::is_accurate;
pub(crate) use forms::Form;
pub use weights::TransformWeights;

use super::algorithm::Refusal;
use super::operator::{Operator, TileJob};
use super::problem::{Problem, TapClass};
use crate::conv::Blocking;
use crate::element::Element;
use crate::gemm::{Batch, RegisterTile};
use crate::simd::{Marks, Op, Simd};
use crate::tiles::{Box4, Grid, Part};
use crate::window::Sampling;
use core::array::from_fn;
use core::fmt;
use tiling::{Cuts, LINE, MOST_TILES, Sizes};

/// How a problem is transformed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Winograd {
    /// Along each axis.
    pub forms: [Form; 2],
    /// The most tiles of a block.
    tiles: usize,
    /// The fewest, if there are as many.
    fewest: usize,
    /// Output channels whose products are in the cache at a time: whole panels.
    part: usize,
}

/// Input channels of a group, at most: no size of a block overflows.
const MOST_INPUTS: usize = 1 << 16;
/// Output channels of a part, at most.
const PART: usize = 64;

impl Winograd {
    /// The forms for a problem.
    pub fn new(p: &Problem, forms: [Form; 2], blocking: &Blocking, nr: usize, vector_bytes: usize) -> Self {
        let part = (PART.min(blocking.columns) / nr).clamp(1, p.outputs_per_group().div_ceil(nr)) * nr;
        let planes = forms[0].points() * forms[1].points();
        let fewest = tiling::fewest_tiles(vector_bytes);
        let tiles = tiling::block_tiles(blocking, planes, [p.inputs_per_group(), part], fewest);
        Winograd { forms, tiles, fewest, part }
    }

    /// The taps of a tile's filter, if there is one for all outputs of a problem.
    pub fn taps(p: &Problem, lanes: usize) -> Result<[usize; 2], Refusal> {
        if p.inputs_per_group() < lanes {
            return Err(Refusal::FewChannels { given: p.inputs_per_group(), wanted: lanes });
        }
        if p.inputs_per_group() > MOST_INPUTS {
            return Err(Refusal::ChannelsPerGroup { given: p.inputs_per_group(), wanted: MOST_INPUTS });
        }
        if p.window.kernel == [1, 1] {
            return Err(Refusal::Kernel { given: [1, 1], wanted: [3, 3] });
        }
        let mut taps = p.window.kernel;
        for axis in 0..2 {
            let phases = p.phases(axis);
            if !p.transposed && p.window.stride[axis] != 1 || !taps[axis].is_multiple_of(p.tap_step(axis)) {
                return Err(Refusal::Stride { given: p.window.stride });
            }
            taps[axis] /= p.tap_step(axis);
            if phases != p.tap_step(axis) {
                return Err(Refusal::Stride { given: p.window.stride });
            }
        }
        Ok(taps)
    }

    /// The forms for so many taps along each axis; those whose tiles have so many outputs, where that is said.
    pub fn choices(taps: [usize; 2], outputs: Option<[usize; 2]>) -> impl Iterator<Item = [Form; 2]> {
        let along = move |axis: usize| {
            let is_wanted = move |form: &Form| form.r == taps[axis] && outputs.is_none_or(|m| form.m == m[axis]);
            Form::ALL.iter().copied().filter(is_wanted)
        };
        along(0).flat_map(move |y| along(1).map(move |x| [y, x]))
    }

    fn planes(&self) -> usize {
        self.forms[0].points() * self.forms[1].points()
    }

    fn sizes(&self, tiles: usize, p: &Problem) -> Sizes {
        Sizes::new(tiles, self.planes(), p.inputs_per_group(), self.part)
    }

    /// Elements of scratch memory that a block needs.
    pub fn scratch_len(&self, p: &Problem) -> usize {
        let pixels = self.forms[0].m * self.forms[1].m;
        let lens = self.sizes(self.tiles, p).lens(self.planes());
        // The outputs of a tile, and a pixel beside them; or a copy of its inputs, where channels are not contiguous.
        let beside = lens[2].max((pixels + 1) * self.part);
        (lens.iter().sum::<usize>() + beside).next_multiple_of(LINE)
    }

    /// How the outputs `y` are cut into blocks.
    pub fn grid(&self, p: &Problem, y: [usize; 4]) -> Grid {
        tiling::grid(p, self.forms, y, [self.tiles, self.fewest], self.part)
    }

    /// Elements of a class of transformed weights, of one group.
    fn group_len(&self, p: &Problem, nr: usize) -> usize {
        let columns = p.outputs_per_group().next_multiple_of(nr);
        self.planes().saturating_mul(p.inputs_per_group()).saturating_mul(columns)
    }

    /// Where the weights of a class and group start, for the part that starts with this output of the group.
    pub fn weights_at(&self, p: &Problem, nr: usize, group: usize, class: &TapClass, output: usize) -> usize {
        let class = class.before / class.taps().max(1);
        (class * p.groups + group) * self.group_len(p, nr) + output * self.planes() * p.inputs_per_group()
    }

    /// Elements of the transformed weights.
    pub fn weight_len(&self, p: &Problem, nr: usize) -> usize {
        self.group_len(p, nr).saturating_mul(p.groups).saturating_mul(p.phases(0) * p.phases(1))
    }
}

impl fmt::Display for Winograd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}, {} tiles", self.forms[0], self.forms[1], self.tiles)
    }
}

pub struct WinogradTile<'a, 'b, T>(pub(super) TileJob<'a, 'b, T>);

impl<T: Element> Op<T> for WinogradTile<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, epilogue, place, before, tile, scratch } = self.0;
        let p = &operator.plan.problem;
        let Some(winograd) = &operator.plan.winograd else { return };
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let [_, height, width, _] = tile.shape();
        let cuts = [Cuts::new(winograd.forms[0], height), Cuts::new(winograd.forms[1], width)];
        let sizes = winograd.sizes(cuts[0].tiles * cuts[1].tiles, p);
        let group = place[3].start / p.outputs_per_group();
        let block = Block { winograd, p, class: &class, sampling: &sampling, first, place, cuts, sizes, group };
        let [v_len, m_len, between_len, zeros_len] = sizes.lens(winograd.planes());
        let (v, scratch) = scratch.split_at_mut(v_len);
        let (m, scratch) = scratch.split_at_mut(m_len);
        let (between, scratch) = scratch.split_at_mut(between_len);
        let (zeros, beside) = scratch.split_at_mut(zeros_len);
        let is_done =
            before.is_some_and(|before| before[..3] == place[..3] && before[3].start / p.outputs_per_group() == group);
        if !is_done {
            zeros.fill(T::ZERO);
            block.transform_inputs(s, &x, v, [&mut *between, &mut *beside], zeros);
        }
        let end = place[3].start + place[3].count;
        for start in (place[3].start..end).step_by(winograd.part) {
            let channels = Part { start, step: 1, count: winograd.part.min(end - start) };
            block.multiply(s, operator, &channels, v, m);
            let rooms = [&mut *between, &mut *beside];
            block.transform_outputs(s, operator, &channels, m, rooms, (epilogue, &mut *tile));
        }
    }
}

/// A block of tiles: the outputs of a box.
struct Block<'a> {
    winograd: &'a Winograd,
    p: &'a Problem,
    class: &'a TapClass,
    sampling: &'a [Sampling; 2],
    first: [usize; 2],
    place: &'a Box4,
    cuts: [Cuts; 2],
    sizes: Sizes,
    group: usize,
}

impl Block<'_> {
    fn tiles(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [rows, columns] = [self.cuts[0].tiles, self.cuts[1].tiles];
        (0..rows).flat_map(move |y| (0..columns).map(move |x| [y, x]))
    }

    /// Where the rows of points of a tile lie in the planes of the transformed inputs (0) or of the products (1).
    #[inline(always)]
    fn point_rows(&self, row: usize, which: usize) -> Marks {
        let across = self.winograd.forms[1].points() * self.sizes.plane[which];
        Marks::listed(self.cuts[0].points(row).map(|y| y * across), self.cuts[0].tile(row).points())
    }

    /// And the columns. A plane has the tiles that have its point, in rows of as many as have it along the second axis.
    #[inline(always)]
    fn point_columns(&self, [row, column]: [usize; 2], which: usize) -> Marks {
        let (cuts, plane) = (&self.cuts[1], self.sizes.plane[which]);
        let place = |x: usize| x * plane + (row * cuts.tiles_at[x] + column) * self.sizes.row[which];
        Marks::listed(cuts.points(column).map(place), cuts.tile(column).points())
    }

    /// `m[point][tile][o] = v[point] * u[point]`, for some output channels.
    #[inline(always)]
    fn multiply<T: Element, S: Simd<T>>(&self, s: S, operator: &Operator<T>, channels: &Part, v: &[T], m: &mut [T]) {
        let nr = RegisterTile::new::<T>(operator.plan.level()).columns;
        let (k, n) = (self.p.inputs_per_group(), channels.count.next_multiple_of(S::LANES));
        let [a_at, c_at]: [[_; MOST_TILES]; 2] = self.sizes.row.map(|row| from_fn(|tile| tile * row));
        let weights = operator.transformed(self.group, self.class, channels.start % self.p.outputs_per_group());
        let (across, planes) = (self.winograd.forms[1].points(), self.winograd.planes());
        let rows = |point: usize| self.cuts[0].tiles_at[point / across] * self.cuts[1].tiles_at[point % across];
        let steps = [self.sizes.plane[0], n.div_ceil(nr) * k * nr, self.sizes.plane[1]];
        let mut point = 0;
        while point < planes {
            // Neighbours with as many tiles.
            let count = (point..planes).take_while(|&other| rows(other) == rows(point)).count();
            let rows = rows(point);
            s.call(Batch {
                count,
                steps,
                a: &v[point * steps[0]..],
                a_at: &a_at[..rows],
                k,
                b: &weights[point * steps[1]..],
                c: &mut m[point * steps[2]..],
                c_at: &c_at[..rows],
                n,
            });
            point += count;
        }
    }
}
