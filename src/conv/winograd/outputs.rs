//! The outputs of a block's tiles, transformed back from `m[point][tile][o]`, finished and written.

use super::Block;
use super::pass;
use crate::activation::Bounds;
use crate::conv::Epilogue;
use crate::conv::operator::Operator;
use crate::element::Element;
use crate::gemm::{Activate, Finish};
use crate::simd::{Crossings, CrossingsMut, Marks, Op, Simd};
use crate::tiles::{Part, Rows, Tile};

/// Outputs of a tile, at most.
const MOST_OUTPUTS: usize = 36;

impl Block<'_> {
    /// Some channels. `beside` has room for the outputs of a tile, and a pixel.
    #[inline(always)]
    pub(super) fn transform_outputs<T: Element, S: Simd<T>>(
        &self,
        s: S,
        operator: &Operator<T>,
        channels: &Part,
        m: &[T],
        [between, beside]: [&mut [T]; 2],
        (epilogue, y): (&Epilogue<T>, &mut Tile<T>),
    ) {
        // Whole vectors: what lies beyond the channels is computed, but not used.
        let (place, wide) = (self.place, channels.count.next_multiple_of(S::LANES));
        let column = channels.start - place[3].start;
        let bias = operator.bias().map(|bias| &bias[channels.range()]);
        let forms = self.forms;
        let (sums, buffer) = beside.split_at_mut(forms[0].m * forms[1].m * self.winograd.part);
        let n = channels.count;
        for tile in self.tiles() {
            let axes = [0, 1].map(|i| self.cuts[i].tile(tile[i]));
            let [height, width] = axes.map(|axis| axis.wanted);
            let marks = [&self.point_rows(tile[0], 1), &self.point_columns(tile, 1)];
            let from = Crossings::new(m, marks, m, wide);
            // A pass writes all that it computes, where its axis is the last one.
            let across = axes[1].outputs;
            let marks = [&Marks::regular(axes[0].outputs, across * wide), &Marks::regular(across, wide)];
            let mut to = CrossingsMut::new(&mut *sums, marks, wide);
            pass::output(s, &axes, &from, &mut to, between);
            let first = [0, 1].map(|i| tile[i] * forms[i].m);
            let lines = (first[0]..first[0] + height).map(|oy| (oy, first[1]..first[1] + width));
            let (mut starts, mut more) = ([0; MOST_OUTPUTS], [0; MOST_OUTPUTS]);
            let count = height * width;
            if let Some(finish) = epilogue.in_registers(place, lines.clone(), &mut more[..count])
                && let Some(mut rows) = y.rows(&mut starts[..count], lines.clone())
            {
                let (rows, finish) = (&mut rows, &finish);
                s.call(FinishTile { sums, across, width, wide, n, bias, rows, column, finish });
                if let Some((activation, channel)) = finish.activation {
                    for pixel in 0..count {
                        let values = rows.row(pixel, column, n);
                        s.call(Activate { activation, channel: channel + column, values });
                    }
                }
                continue;
            }
            for (i, (oy, oxs)) in lines.enumerate() {
                for (sums, ox) in sums[i * across * wide..].chunks_exact_mut(wide).zip(oxs) {
                    let sums = &mut sums[..n];
                    if let Some(bias) = bias {
                        sums.iter_mut().zip(bias).for_each(|(sum, &bias)| *sum += bias);
                    }
                    epilogue.finish(s, (place, &mut *y), [0, oy, ox], column, sums, buffer);
                }
            }
        }
    }
}

/// Adds what is to be added to the outputs of a tile, keeps them within their bounds, and writes them.
struct FinishTile<'a, 'c, T> {
    sums: &'a [T],
    /// Pixels from a row of the sums to the next.
    across: usize,
    /// Pixels of a row that are wanted.
    width: usize,
    /// Channels, and elements from a pixel of the sums to the next.
    n: usize,
    wide: usize,
    bias: Option<&'a [T]>,
    rows: &'a mut Rows<'c, T>,
    /// The first channel in them.
    column: usize,
    finish: &'a Finish<'a, T>,
}

impl<T: Element> Op<T> for FinishTile<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let FinishTile { sums, across, width, n, wide, bias, rows, column, finish } = self;
        let is_plain = finish.addend.is_none() && !finish.accumulates;
        let lines = sums.chunks_exact(across * wide).flat_map(|line| line.chunks_exact(wide).take(width));
        for (pixel, sums) in (0..rows.len()).zip(lines) {
            let y = rows.row(pixel, column, n);
            if is_plain {
                finish_pixel::<T, S, true>(s, [&sums[..n], &[]], bias, finish, y);
            } else {
                let more = finish.addend.map_or(&[][..], |(data, starts)| &data[starts[pixel] + column..][..n]);
                finish_pixel::<T, S, false>(s, [&sums[..n], more], bias, finish, y);
            }
        }
    }
}

/// With `PLAIN`, all that there is to add is a bias.
#[inline(always)]
fn finish_pixel<T: Element, S: Simd<T>, const PLAIN: bool>(
    s: S,
    [sums, more]: [&[T]; 2],
    bias: Option<&[T]>,
    finish: &Finish<T>,
    y: &mut [T],
) {
    let n = y.len();
    let whole = n / S::LANES * S::LANES;
    for c in (0..whole).step_by(S::LANES) {
        let v = finish_vector::<T, S, PLAIN, true>(s, [sums, more], bias, finish, y, c);
        s.store(v, &mut y[c..]);
    }
    if whole < n {
        let v = finish_vector::<T, S, PLAIN, false>(s, [sums, more], bias, finish, y, whole);
        s.store_partial(v, &mut y[whole..]);
    }
}

/// The channels from `c` on: a `WHOLE` vector, or what is left of one.
#[inline(always)]
fn finish_vector<T: Element, S: Simd<T>, const PLAIN: bool, const WHOLE: bool>(
    s: S,
    [sums, more]: [&[T]; 2],
    bias: Option<&[T]>,
    finish: &Finish<T>,
    y: &[T],
    c: usize,
) -> S::V {
    let mut v = load::<T, S, WHOLE>(s, &sums[c..]);
    if let Some(bias) = bias {
        v = s.add(v, load::<T, S, WHOLE>(s, &bias[c..]));
    }
    if !PLAIN && !more.is_empty() {
        v = s.add(v, load::<T, S, WHOLE>(s, &more[c..]));
    }
    if !PLAIN && finish.accumulates {
        v = s.add(v, load::<T, S, WHOLE>(s, &y[c..]));
    }
    match finish.bounds {
        Bounds::None => v,
        Bounds::Relu => s.max(v, s.splat(T::ZERO)),
        Bounds::Clamp([min, max]) => s.min(s.max(v, s.splat(min)), s.splat(max)),
    }
}

// A function, not a closure: a closure that is used twice may stay one, and loses the level's instructions.
#[inline(always)]
fn load<T: Element, S: Simd<T>, const WHOLE: bool>(s: S, x: &[T]) -> S::V {
    if WHOLE { s.load(x) } else { s.load_partial(x) }
}
