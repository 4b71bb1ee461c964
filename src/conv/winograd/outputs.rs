//! The outputs of a block's tiles, transformed back from `m[point][tile][o]`, finished and written.

use super::Block;
use super::pass;
use super::tiling::{MOST_SIDE_BY_SIDE, most_side_by_side};
use crate::activation::Bounds;
use crate::conv::Epilogue;
use crate::conv::operator::Operator;
use crate::element::Element;
use crate::gemm::{Activate, Finish};
use crate::simd::{Crossings, CrossingsMut, Marks, Op, Simd};
use crate::tiles::{Part, Places, Tile};

/// Outputs of tiles that are transformed together, at most.
const MOST_OUTPUTS: usize = 36 * MOST_SIDE_BY_SIDE;

impl Block<'_> {
    /// Some channels. `between` has room for what lies between two passes, `beside` for the outputs of tiles that are transformed
    /// together, and a pixel.
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
        let n = channels.count;
        let most = most_side_by_side(forms, wide);
        let mut more = [0; MOST_OUTPUTS];
        // Pixels of a row of sums.
        let across = most * forms[1].m;
        let (sums, buffer) = beside.split_at_mut(forms[0].m * across * wide);
        let sums_at = [&Marks::regular(forms[0].m, across * wide), &Marks::regular(forms[1].m, wide)];
        for row in 0..self.cuts[0].tiles {
            let from_row = self.point_row(row, 1);
            for tiles in self.side_by_side(most) {
                let axes = [self.cuts[0].tile(row), self.cuts[1].tile(tiles.start)];
                let [height, width] = [axes[0].wanted, (tiles.len() - 1) * forms[1].m + axes[1].wanted];
                let (at, marks) = from_row.tile(tiles.start);
                let (m, count) = (&m[at..], tiles.len());
                let from = Crossings::new(m, marks, m, wide).repeated(count, self.sizes.row[1]);
                let to = CrossingsMut::new(&mut *sums, sums_at, wide).repeated(count, forms[1].m * wide);
                if forms[0].r == 1 {
                    pass::outputs(s, &axes[1], 1, height, from, to);
                } else if forms[1].r == 1 {
                    pass::outputs(s, &axes[0], 0, axes[1].wanted, from, to);
                } else {
                    let points = axes[1].points();
                    let columns =
                        [&Marks::regular(forms[0].m, points * count * wide), &Marks::regular(points, count * wide)];
                    let middle = CrossingsMut::new(&mut *between, columns, wide).repeated(count, wide);
                    pass::outputs(s, &axes[0], 0, points, from, middle);
                    let middle = Crossings::new(&*between, columns, &*between, wide).repeated(count, wide);
                    pass::outputs(s, &axes[1], 1, height, middle, to);
                }
                let first = [row * forms[0].m, tiles.start * forms[1].m];
                let lines = (first[0]..first[0] + height).map(|oy| (oy, first[1]..first[1] + width));
                if let Some(finish) = epilogue.in_registers(place, lines.clone(), &mut more[..height * width])
                    && let Some(mut y) = y.places(first, [height, width], [false; 2])
                {
                    let (y, finish) = (&mut y, &finish);
                    s.call(FinishTile { sums, across, wide, n, bias, y, column, finish });
                    if let Some((activation, channel)) = finish.activation {
                        for pixel in 0..height * width {
                            let values = y.part([pixel / width, pixel % width], column, n);
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
}

/// Adds what is to be added to the outputs of a tile, keeps them within their bounds, and writes them.
struct FinishTile<'a, 'c, T> {
    sums: &'a [T],
    /// Pixels from a row of the sums to the next.
    across: usize,
    /// Channels, and elements from a pixel of the sums to the next.
    n: usize,
    wide: usize,
    bias: Option<&'a [T]>,
    y: &'a mut Places<'c, T>,
    /// The first channel in it.
    column: usize,
    finish: &'a Finish<'a, T>,
}

impl<T: Element> Op<T> for FinishTile<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let n = self.n;
        let whole = n / S::LANES * S::LANES;
        let is_plain = self.finish.addend.is_none() && !self.finish.accumulates;
        let mut this = self;
        for c in (0..whole).step_by(S::LANES) {
            match is_plain {
                true => this.vector::<S, true, true>(s, c, S::LANES),
                false => this.vector::<S, false, true>(s, c, S::LANES),
            }
        }
        match is_plain {
            _ if whole == n => {}
            true => this.vector::<S, true, false>(s, whole, n - whole),
            false => this.vector::<S, false, false>(s, whole, n - whole),
        }
    }
}

impl<T: Element> FinishTile<'_, '_, T> {
    /// The channels from `c` on, of all pixels: a `WHOLE` vector, or what is left of one. With `PLAIN`, all that there is to add is a
    /// bias.
    #[inline(always)]
    fn vector<S: Simd<T>, const PLAIN: bool, const WHOLE: bool>(&mut self, s: S, c: usize, len: usize) {
        let FinishTile { sums, across, wide, bias, column, finish, .. } = *self;
        let [height, width] = self.y.counts();
        let bias = match bias {
            Some(bias) => load::<T, S, WHOLE>(s, &bias[c..][..len]),
            // This changes nothing, the sign of a zero included.
            None => s.splat(T::from_f64(-0.0)),
        };
        for (oy, line) in (0..height).zip(sums[c..].chunks(across * wide)) {
            for ox in 0..width {
                let mut v = s.add(load::<T, S, WHOLE>(s, &line[ox * wide..][..len]), bias);
                if !PLAIN && let Some((data, starts)) = finish.addend {
                    v = s.add(v, load::<T, S, WHOLE>(s, &data[starts[oy * width + ox] + column + c..][..len]));
                }
                let y = self.y.part([oy, ox], column + c, len);
                if !PLAIN && finish.accumulates {
                    v = s.add(v, load::<T, S, WHOLE>(s, y));
                }
                v = match finish.bounds {
                    Bounds::None => v,
                    Bounds::Relu => s.max(v, s.splat(T::ZERO)),
                    Bounds::Clamp([min, max]) => s.min(s.max(v, s.splat(min)), s.splat(max)),
                };
                if WHOLE { s.store(v, y) } else { s.store_partial(v, y) }
            }
        }
    }
}

// A function, not a closure: a closure that is used twice may stay one, and loses the level's instructions.
#[inline(always)]
fn load<T: Element, S: Simd<T>, const WHOLE: bool>(s: S, x: &[T]) -> S::V {
    if WHOLE { s.load(x) } else { s.load_partial(x) }
}
