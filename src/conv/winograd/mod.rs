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
//! with the taps turned round, each with a form of its own). The last tile of a row or column has fewer points where it has
//! fewer outputs. With stride 2 several points meet the same weights, which are there once: see [`forms`].

#[cfg(feature = "testing")]
mod bound;
mod cost;
mod error;
mod forms;
mod inputs;
mod outputs;
mod pass;
mod products;
mod tiling;
mod toom;
mod weights;

#[cfg(feature = "testing")]
pub use bound::ErrorBound;
pub(super) use cost::Weights;
pub(super) use error::is_accurate;
pub(crate) use forms::Form;
pub use weights::TransformWeights;

use super::algorithm::Refusal;
use super::operator::TileJob;
use super::problem::{Problem, TapClass};
use crate::conv::Blocking;
use crate::element::Element;
use crate::simd::{Marks, Op, Simd};
use crate::tiles::{Box4, Grid, Part};
use crate::window::{Sampling, Window};
use core::fmt;
use core::ops::Range;
use tiling::{Cuts, LINE, MOST_TILES, SPAN, Sizes};

/// How a problem is transformed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Winograd {
    /// Along each axis, for the classes with the most taps. The others have tiles of as many outputs.
    most: [Form; 2],
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
    /// A problem with these forms.
    pub fn new(p: &Problem, most: [Form; 2], blocking: &Blocking, nr: usize, vector_bytes: usize) -> Self {
        let part = (PART.min(blocking.columns) / nr).clamp(1, p.outputs_per_group().div_ceil(nr)) * nr;
        let fewest = tiling::fewest_tiles(most, vector_bytes);
        let mut winograd = Winograd { most, tiles: MOST_TILES, fewest, part };
        for class in p.classes() {
            let forms = winograd.forms(&class);
            let tiles = tiling::block_tiles(forms, blocking, [p.inputs_per_group(), part], fewest);
            winograd.tiles = winograd.tiles.min(tiles);
        }
        winograd
    }

    /// The filters that outputs meet along each axis: those of the classes with the most taps and with the fewest.
    pub fn filters(p: &Problem, lanes: usize) -> Result<[AxisFilters; 2], Refusal> {
        if p.inputs_per_group() < lanes {
            return Err(Refusal::FewChannels { given: p.inputs_per_group(), wanted: lanes });
        }
        if p.inputs_per_group() > MOST_INPUTS {
            return Err(Refusal::ChannelsPerGroup { given: p.inputs_per_group(), wanted: MOST_INPUTS });
        }
        if p.window.kernel == [1, 1] {
            return Err(Refusal::Kernel { given: [1, 1], wanted: [3, 3] });
        }
        let along = |axis: usize| {
            let Window { kernel, stride, dilation, .. } = p.window;
            let (taps, stride) = (kernel[axis], stride[axis]);
            match p.transposed {
                false if taps == 1 || stride == 1 => Ok(AxisFilters { most: taps, fewest: taps, stride: 1 }),
                false if stride == 2 && dilation[axis] == 1 => Ok(AxisFilters { most: taps, fewest: taps, stride }),
                // Each phase has a class of taps.
                true if p.tap_step(axis) == stride && stride <= taps => {
                    Ok(AxisFilters { most: taps.div_ceil(stride), fewest: taps / stride, stride: 1 })
                }
                _ => Err(Refusal::Stride { given: p.window.stride }),
            }
        };
        let filters = [along(0)?, along(1)?];
        match filters.map(|filter| filter.most) {
            [1, 1] => Err(Refusal::Transform { outputs: None, taps: [1, 1] }),
            _ => Ok(filters),
        }
    }

    /// The forms for filters along each axis; those whose tiles have so many outputs, where that is said.
    pub fn choices(filters: [AxisFilters; 2], outputs: Option<[usize; 2]>) -> impl Iterator<Item = [Form; 2]> {
        let along = move |axis: usize| {
            let AxisFilters { most, fewest, stride } = filters[axis];
            let is_wanted = move |form: &Form| {
                // Where all classes have a single tap there is nothing to transform.
                let m = outputs.map_or(if most == 1 { 1 } else { form.m }, |m| m[axis]);
                let has_all = Form::ALL.contains(&Form { r: fewest, ..*form });
                (form.m, form.r, form.stride) == (m, most, stride) && has_all
            };
            Form::ALL.iter().copied().filter(is_wanted)
        };
        along(0).flat_map(move |y| along(1).map(move |x| [y, x]))
    }

    /// The forms of a class of taps.
    pub fn forms(&self, class: &TapClass) -> [Form; 2] {
        [0, 1].map(|axis| Form { r: class.count[axis], ..self.most[axis] })
    }

    fn sizes(&self, forms: [Form; 2], tiles: usize, p: &Problem) -> Sizes {
        Sizes::new(tiles, forms.map(Form::points), p.inputs_per_group(), self.part)
    }

    /// Elements of scratch memory that a block needs.
    pub fn scratch_len(&self, p: &Problem) -> usize {
        let lens = self.sizes(self.most, self.tiles, p).lens(planes(self.most));
        // The outputs of tiles, and a pixel beside them; or a copy of a tile's inputs, where channels are not contiguous.
        let sums = self.most[0].m * SPAN.max(self.most[1].m * self.part);
        let beside = lens[2].max(sums + self.part);
        (lens.iter().sum::<usize>() + beside).next_multiple_of(LINE)
    }

    /// How the outputs `y` are cut into blocks for so many workers.
    pub fn grid(&self, p: &Problem, y: [usize; 4], workers: usize) -> Grid {
        tiling::grid(p, self.most, y, [self.tiles, self.fewest], self.part, workers)
    }

    /// Elements of a class of transformed weights, of one group.
    fn group_len(&self, p: &Problem, nr: usize, class: &TapClass) -> usize {
        let columns = p.outputs_per_group().next_multiple_of(nr);
        factors(self.forms(class)).saturating_mul(p.inputs_per_group()).saturating_mul(columns)
    }

    /// The same of all groups.
    fn class_len(&self, p: &Problem, nr: usize, class: &TapClass) -> usize {
        self.group_len(p, nr, class).saturating_mul(p.groups)
    }

    /// Where the weights of a class and group start, for the part that starts with this output of the group.
    pub fn weights_at(&self, p: &Problem, nr: usize, group: usize, class: &TapClass, output: usize) -> usize {
        let before = p.classes().take_while(|other| other.before < class.before);
        let before: usize = before.map(|other| self.class_len(p, nr, &other)).sum();
        before + group * self.group_len(p, nr, class) + output * factors(self.forms(class)) * p.inputs_per_group()
    }

    /// Elements of the transformed weights.
    pub fn weight_len(&self, p: &Problem, nr: usize) -> usize {
        p.classes().map(|class| self.class_len(p, nr, &class)).fold(0, usize::saturating_add)
    }
}

/// What outputs meet along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AxisFilters {
    /// Taps of the classes with the most of them, and with the fewest.
    pub most: usize,
    fewest: usize,
    stride: usize,
}

/// Points of a tile.
fn planes(forms: [Form; 2]) -> usize {
    forms[0].points() * forms[1].points()
}

/// Different weights that they meet.
fn factors(forms: [Form; 2]) -> usize {
    forms[0].factors() * forms[1].factors()
}

impl fmt::Display for Winograd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}, {} tiles", self.most[0], self.most[1], self.tiles)
    }
}

pub struct WinogradTile<'a, 'b, T>(pub(super) TileJob<'a, 'b, T>);

impl<T: Element> Op<T> for WinogradTile<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let TileJob { operator, axes, x, epilogue, place, before, tile, scratch, .. } = self.0;
        let p = &operator.plan.problem;
        let Some(winograd) = &operator.plan.winograd else { return };
        let (class, sampling, first) = p.sample(axes, [x.shape()[1], x.shape()[2]], place);
        let [_, height, width, _] = tile.shape();
        let forms = winograd.forms(&class);
        let cuts = [Cuts::new(forms[0], height), Cuts::new(forms[1], width)];
        let sizes = winograd.sizes(forms, cuts[0].tiles * cuts[1].tiles, p);
        let group = place[3].start / p.outputs_per_group();
        let block = Block { p, class: &class, forms, sampling: &sampling, first, place, cuts, sizes, group };
        let [v_len, m_len, between_len, zeros_len] = sizes.lens(planes(forms));
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
    p: &'a Problem,
    class: &'a TapClass,
    forms: [Form; 2],
    sampling: &'a [Sampling; 2],
    first: [usize; 2],
    place: &'a Box4,
    cuts: [Cuts; 2],
    sizes: Sizes,
    group: usize,
}

/// A row of tiles, in the planes of the transformed inputs or of the products.
struct PointRow {
    /// Where the rows of points lie, for all tiles.
    rows: Marks,
    /// And the columns, of the first tile and of the last.
    columns: [Marks; 2],
    last: usize,
    /// From a tile to the next.
    step: usize,
}

impl PointRow {
    /// How far behind the marks a tile is, and its marks.
    #[inline(always)]
    fn tile(&self, column: usize) -> (usize, [&Marks; 2]) {
        (column * self.step, [&self.rows, &self.columns[usize::from(column == self.last)]])
    }
}

impl Block<'_> {
    /// Tiles of a row that are transformed together, `most` at most: a last one that has fewer outputs is alone.
    fn side_by_side(&self, most: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (tiles, whole) = (self.cuts[1].tiles, self.cuts[1].whole_tiles());
        let mut start = 0;
        core::iter::from_fn(move || {
            let first = start;
            start = if first < whole { whole.min(first + most) } else { tiles };
            (first < tiles).then_some(first..start)
        })
    }

    /// A row of tiles, in the planes of the transformed inputs (0) or of the products (1). A plane has the tiles that have its point,
    /// in rows of as many as have it along the second axis.
    #[inline(always)]
    fn point_row(&self, row: usize, which: usize) -> PointRow {
        let (cuts, plane, step) = (&self.cuts, self.sizes.plane[which], self.sizes.row[which]);
        let (across, points) = (self.forms[1].points() * plane, cuts[0].points(row));
        let rows = Marks::listed(cuts[0].tile(row).points(), |k| points[k] * across);
        let last = cuts[1].tiles.saturating_sub(1);
        let columns = |column: usize| {
            let points = cuts[1].points(column);
            let place = |x: usize| x * plane + row * cuts[1].tiles_at[x] * step;
            Marks::listed(cuts[1].tile(column).points(), |k| place(points[k]))
        };
        PointRow { rows, columns: [columns(0), columns(last)], last, step }
    }
}
