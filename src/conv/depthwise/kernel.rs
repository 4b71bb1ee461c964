//! The sums of a block of pixels, vector by vector: an accumulator a pixel, and a vector of weights a tap for all of them.

use crate::activation::Bounds;
use crate::element::Element;
use crate::simd::{Lattice, Simd, Tracks, each_vector, unrolled};
use crate::tiles::Places;
use core::array::from_fn;

/// Pixels whose sums are in registers at a time, at most. Eight sums hide the latency of their additions; the place of each
/// pixel takes a register too.
pub(super) const PIXELS: usize = 8;

/// Columns of a block of two rows, at most: two sums and an input for each, and two vectors of weights.
pub(super) const fn columns(registers: usize) -> usize {
    if registers >= 32 { 6 } else { 4 }
}

/// The most of all levels.
pub(super) const MOST_COLUMNS: usize = columns(32);

/// The weights of those taps that lie in the image, and the bias: of all channels of a tile.
pub(super) struct Weights<'a, T> {
    /// The axes are row and column of taps, and input of a group.
    pub taps: Lattice<'a, T>,
    pub bias: Option<&'a [T]>,
    /// What is done to the sums.
    pub bounds: Bounds<T>,
}

impl<T: Element> Weights<'_, T> {
    /// Inputs of a group.
    #[inline(always)]
    fn inputs<const GROUPS: u8>(&self) -> usize {
        if GROUPS == ONE { 1 } else { self.taps.counts()[2] }
    }

    #[inline(always)]
    fn bias<S: Simd<T>>(&self, s: S, c: usize) -> S::V {
        self.bias.map_or(s.splat(T::ZERO), |bias| s.load(&bias[c..]))
    }
}

/// Groups of one channel.
pub(super) const ONE: u8 = 0;
/// Groups of some channels, several of which make a vector, or one.
pub(super) const SOME: u8 = 1;
/// Groups of a vector of channels.
pub(super) const VECTOR: u8 = 2;

/// Input `i` of each lane's group, of the vector of channels at `c`; groups have `width` of them.
#[inline(always)]
fn inputs<T: Element, S: Simd<T>, const GROUPS: u8>(s: S, x: &[T], c: usize, width: usize, i: usize) -> S::V {
    let x = &x[c..][..S::LANES];
    match GROUPS {
        ONE => s.load(x),
        SOME => s.spread(s.load(x), width, i),
        _ => s.splat(x[i]),
    }
}

/// `y[p] = bias + sum over taps of x[p, tap] * w[tap]`, taps in the order of their axes; of several channels a group, by rows of
/// taps, inputs and columns of taps. The axes of `x` are pixel, row and column of taps (or column and row, where those of the
/// weights are). Few pixels have several vectors each, so that
/// sums do not wait for their own last addition.
#[inline(always)]
pub(super) fn sum<T: Element, S: Simd<T>, const P: usize, const V: usize, const GROUPS: u8>(
    s: S,
    w: &Weights<'_, T>,
    x: Lattice<'_, T>,
    mut y: [&mut [T]; P],
) {
    let (x, n) = (x.part(0, P), x.len());
    for y in &y {
        assert!(y.len() == n);
    }
    if n < S::LANES {
        sum_partial::<T, S, P, GROUPS>(s, w, x, y);
    } else if V == 1 || n < V * S::LANES {
        each_vector!(n, S::LANES, |c| { vectors::<T, S, P, 1, GROUPS>(s, w, x, &mut y, c) });
    } else {
        each_vector!(n, V * S::LANES, |c| { vectors::<T, S, P, V, GROUPS>(s, w, x, &mut y, c) });
    }
}

/// `V` vectors, of the channels from `c` on.
#[inline(always)]
fn vectors<T: Element, S: Simd<T>, const P: usize, const V: usize, const GROUPS: u8>(
    s: S,
    w: &Weights<'_, T>,
    x: Lattice<'_, T>,
    y: &mut [&mut [T]; P],
    c: usize,
) {
    let ([_, rows, columns], width) = (x.counts(), w.inputs::<GROUPS>());
    let mut acc = [[s.splat(T::ZERO); P]; V];
    for v in 0..V {
        acc[v] = [w.bias(s, c + v * S::LANES); P];
    }
    for i in 0..rows {
        for (input, j) in (0..width).flat_map(|input| (0..columns).map(move |j| (input, j))) {
            for v in 0..V {
                let w = s.load(&w.taps.get([i, j, input])[c + v * S::LANES..]);
                for p in 0..P {
                    let x = inputs::<T, S, GROUPS>(s, x.get([p, i, j]), c + v * S::LANES, width, input);
                    acc[v][p] = s.mul_add(x, w, acc[v][p]);
                }
            }
        }
    }
    for v in 0..V {
        w.bounds.apply(s, &mut acc[v]);
        for p in 0..P {
            s.store(acc[v][p], &mut y[p][c + v * S::LANES..]);
        }
    }
}

/// The same for less channels than a vector has.
#[inline(always)]
fn sum_partial<T: Element, S: Simd<T>, const P: usize, const GROUPS: u8>(
    s: S,
    w: &Weights<'_, T>,
    x: Lattice<'_, T>,
    y: [&mut [T]; P],
) {
    let ([_, rows, columns], width) = (x.counts(), w.inputs::<GROUPS>());
    let mut acc = [w.bias.map_or(s.splat(T::ZERO), |bias| s.load_partial(bias)); P];
    for i in 0..rows {
        for (input, j) in (0..width).flat_map(|input| (0..columns).map(move |j| (input, j))) {
            let w = s.load_partial(w.taps.get([i, j, input]));
            for p in 0..P {
                let x = s.load_partial(x.get([p, i, j]));
                acc[p] = s.mul_add(if GROUPS == ONE { x } else { s.spread(x, width, input) }, w, acc[p]);
            }
        }
    }
    w.bounds.apply(s, &mut acc);
    for p in 0..P {
        s.store_partial(acc[p], y[p]);
    }
}

/// `$row[i - 1] = $row[i]` for every `i` below `$len`. Written out: a loop would become a copy in memory.
macro_rules! move_down {
    ($row:ident, $len:ident, $($i:literal)*) => {
        $(if $i < $len {
            $row[$i - 1] = $row[$i];
        })*
    };
}

/// Two rows of pixels, where a pixel's next tap is the next pixel's tap, in rows and in columns: an input is loaded once for
/// all sums of a row of taps and once for both rows. `x` has the axes column, row of inputs (one more than of taps, or those that are
/// not zeros, before which there are `skipped`), and column of taps, and at least a vector of channels. `K` columns of taps are
/// unrolled; 0 stands for any number.
#[inline(always)]
pub(super) fn sum_two_rows<T: Element, S: Simd<T>, const W: usize, const K: usize, const GROUPS: u8>(
    s: S,
    w: &Weights<'_, T>,
    x: Lattice<'_, T>,
    skipped: usize,
    y: [[&mut [T]; W]; 2],
) {
    let (x, n) = (x.part(0, W), x.len());
    let [_, rows, columns] = x.counts();
    let columns = if K > 0 { K } else { columns };
    assert!(columns == x.counts()[2]);
    let ([tap_rows, tap_columns, _], width) = (w.taps.counts(), w.inputs::<GROUPS>());
    assert!(skipped <= tap_rows + 1 && rows <= tap_rows + 1 - skipped && columns == tap_columns);
    for y in y.as_flattened() {
        assert!(y.len() == n);
    }
    each_vector!(n, S::LANES, |c| {
        let [mut upper, mut lower] = [[w.bias(s, c); W]; 2];
        for (line, input) in (0..rows).flat_map(|line| (0..width).map(move |input| (line, input))) {
            let (i, mut row) = (line + skipped, [s.splat(T::ZERO); W]);
            for j in 1..W {
                row[j] = inputs::<T, S, GROUPS>(s, x.get([j - 1, line, 0]), c, width, input);
            }
            macro_rules! taps {
                ($(($acc:ident, $i:expr)),*) => {
                    for j in 0..columns {
                        move_down!(row, W, 1 2 3 4 5);
                        row[W - 1] = inputs::<T, S, GROUPS>(s, x.get([W - 1, line, j]), c, width, input);
                        $(
                            let tap = s.load(&w.taps.get([$i, j, input])[c..]);
                            for k in 0..W {
                                $acc[k] = s.mul_add(row[k], tap, $acc[k]);
                            }
                        )*
                    }
                };
            }
            if i == 0 {
                taps!((upper, 0));
            } else if i == tap_rows {
                taps!((lower, i - 1));
            } else {
                taps!((upper, i), (lower, i - 1));
            }
        }
        w.bounds.apply(s, &mut upper);
        w.bounds.apply(s, &mut lower);
        for k in 0..W {
            s.store(upper[k], &mut y[0][k][c..]);
            s.store(lower[k], &mut y[1][k][c..]);
        }
    });
}

/// The most rows of inputs of the rows of outputs that slide at a time.
pub(super) const MOST_ROWS: usize = 7 + 2;

/// Registers for the sums of some rows of outputs, a column of their inputs, a weight and the bias.
const fn registers(rows: usize, kernel: usize, stride: usize) -> usize {
    rows * kernel.div_ceil(stride) + (rows - 1) * stride + kernel + 2
}

/// Rows of outputs that slide at a time, at most, with so many registers. At stride 2 they have less in common, and two are as fast.
/// Two are worth it even where two inputs of a column have to wait in memory.
pub(super) const fn rows_at_a_time(kernel: usize, stride: usize, of: usize) -> usize {
    if stride == 1 && registers(4, kernel, stride) <= of {
        4
    } else if registers(2, kernel, stride) <= of + 2 {
        2
    } else {
        1
    }
}

/// `H` rows of outputs with `K * K` taps, `STRIDE` (1 or 2) apart: a vector of channels, from `c` on. `x` has a line for each row
/// of inputs, `ALL` or those in the image, of those columns that lie in the image, the first of which is `first` behind the first tap of
/// the first output. Taps are added column by column.
#[inline(always)]
pub(super) fn slide<T: Element, S: Simd<T>, const K: usize, const STRIDE: usize, const H: usize, const ALL: bool>(
    s: S,
    w: &Weights<'_, T>,
    x: &Tracks<'_, T, MOST_ROWS>,
    first: usize,
    y: &mut Places<'_, T>,
    c: usize,
) {
    let [rows, columns] = y.counts();
    let [tap_rows, tap_columns, inputs] = w.taps.counts();
    assert!(rows == H && tap_rows == K && tap_columns == K && inputs == 1);
    assert!(w.taps.len() == y.len() && x.len() == y.len());
    let mut taps = [[s.splat(T::ZERO); K]; K];
    for i in 0..K {
        for j in 0..K {
            taps[i][j] = s.load(&w.taps.get([i, j, 0])[c..]);
        }
    }
    let (sums, high) = const { (K.div_ceil(STRIDE), (H - 1) * STRIDE + K) };
    if const { K * K + registers(H, K, STRIDE) - 1 > S::REGISTERS } {
        // They are read from memory, aligned there: spilled registers may not be.
        core::hint::black_box(&mut taps);
    }
    let bias = w.bias(s, c);
    // Of this output, the one before it, and so on.
    let mut acc = [[bias; K]; H];
    let mut x = x.walk(c, S::LANES);
    // Then no read below checks it again.
    assert!(!ALL || (0..high).all(|r| x.has(r)));
    for column in 0..columns + sums - 1 {
        // Loops would send the sums to memory.
        macro_rules! inputs {
            ($phase:literal) => {
                if const { $phase < STRIDE } && column * STRIDE + $phase >= first && x.left() > 0 {
                    // Each line by itself, where one may not be there. Of fewer taps, leaving lines out costs as much as their sums.
                    unrolled!(@ r, if ALL || K < 7 { 0 } else { high }, {
                        if x.has(r) {
                            let input = s.load(x.get(r));
                            unrolled!(@ h, H, {
                                if r >= h * STRIDE && r < h * STRIDE + K {
                                    unrolled!(@ j, sums, {
                                        if $phase + j * STRIDE < K {
                                            let tap = taps[r - h * STRIDE][$phase + j * STRIDE];
                                            acc[h][j] = s.mul_add(input, tap, acc[h][j]);
                                        }
                                    }, 0 1 2 3 4 5 6);
                                }
                            }, 0 1 2 3);
                        }
                    }, 0 1 2 3 4 5 6 7 8);
                    let mut input = [bias; MOST_ROWS];
                    unrolled!(@ r, if ALL || K < 7 { high } else { 0 }, {
                        input[r] = s.splat(T::ZERO);
                        if ALL || x.has(r) {
                            let x = x.get(r);
                            if const { K == 3 && STRIDE == 1 } && r + H >= high {
                                s.prefetch(x.as_ptr().wrapping_add(S::LANES));
                            }
                            input[r] = s.load(x);
                        }
                    }, 0 1 2 3 4 5 6 7 8);
                    unrolled!(@ i, if ALL || K < 7 { K } else { 0 }, {
                        unrolled!(@ j, sums, {
                            if $phase + j * STRIDE < K {
                                let tap = taps[i][$phase + j * STRIDE];
                                unrolled!(@ h, H, {
                                    acc[h][j] = s.mul_add(input[i + h * STRIDE], tap, acc[h][j]);
                                }, 0 1 2 3);
                            }
                        }, 0 1 2 3 4 5 6);
                    }, 0 1 2 3 4 5 6);
                    x.advance();
                }
            };
        }
        inputs!(0);
        inputs!(1);
        if column + 1 >= sums {
            let column = column + 1 - sums;
            let mut done: [S::V; H] = from_fn(|h| acc[h][sums - 1]);
            w.bounds.apply(s, &mut done);
            unrolled!(@ h, H, { s.store(done[h], y.part([h, column], c, S::LANES)); }, 0 1 2 3);
        }
        unrolled!(@ h, H, {
            macro_rules! move_up {
                ($($i:literal)*) => { $(if $i < sums { acc[h][$i] = acc[h][$i - 1]; })* };
            }
            move_up!(6 5 4 3 2 1);
            acc[h][0] = bias;
        }, 0 1 2 3);
    }
}
