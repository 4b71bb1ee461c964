//! The loops around the micro-kernel: groups of panels of B outside, so that one stays in the second-level cache, strips
//! of A inside, so that one stays in the first.

use super::finish::Finish;
use super::micro_kernel::{Segment, Start};
use super::strips::{Ahead, Strips, is_square, most_rows, panels_at_a_time, strips};
use crate::activation::Activation;
use crate::element::Element;
use crate::simd::{Op, Simd};
use crate::tiles::Rows;
use core::ops::Range;

/// The rows of A, in classes that share their segments. All classes together have the rows in their order.
pub(crate) trait Classes {
    /// Calls `f` with the number of rows of each class, and its segments.
    fn each(&self, f: &mut dyn FnMut(usize, &[Segment]));
}

/// One class, one segment: a plain matrix, or some of its columns.
pub(crate) struct Plain {
    pub rows: usize,
    pub terms: Range<usize>,
}

impl Classes for Plain {
    fn each(&self, f: &mut dyn FnMut(usize, &[Segment])) {
        let Range { start, end } = self.terms;
        f(self.rows, &[Segment { len: end - start, a: start, b: start }]);
    }
}

/// A block of A times a block of B.
pub struct Gemm<'a, 'c, T> {
    pub(crate) a: &'a [T],
    /// Where the rows of A start, modulo the size of the address space.
    pub(crate) a_at: &'a [usize],
    pub(crate) classes: &'a dyn Classes,
    /// The most rows of a strip; the register tile may have less.
    pub(crate) most_rows: usize,
    /// The packed panels from the first one on: its first row of this block, and all that follows.
    pub(crate) b: &'a [T],
    /// From a panel to the next.
    pub(crate) panel_len: usize,
    /// Panels that are kept in the second-level cache while all rows of A pass.
    pub(crate) group: usize,
    pub(crate) c: &'a mut Rows<'c, T>,
    pub(crate) n: usize,
    /// Terms that the last panel of B takes at a time: see [`fold`](super::fold).
    pub(crate) by: usize,
    pub(crate) start: Start<'a, T>,
    pub(crate) finish: &'a Finish<'a, T>,
}

impl<T: Element> Op<T> for Gemm<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Gemm { a, a_at, classes, b, panel_len, c, by, start, finish, .. } = self;
        let nr = 2 * S::LANES;
        let square = is_square::<S, T>(self.n, panel_len / nr);
        let most = most_rows::<S, T>(self.n, square, by).min(self.most_rows).max(1);
        let panels = self.n.div_ceil(nr);
        // Groups of even size.
        let group = if a_at.len() < FEW_ROWS { panels } else { self.group };
        let groups = panels.div_ceil(group.max(1));
        for g in 0..groups {
            let (first, end) = (panels * g / groups, panels * (g + 1) / groups);
            let (column, n) = (first * nr, (end * nr).min(self.n) - first * nr);
            // Where nothing is packed (no terms), or the last panel ends.
            let from = |panel: usize| &b[(panel * panel_len).min(b.len())..];
            let next = from(end);
            let next = &next[..next.len().min((end - first) * panel_len)];
            // What a row's share of it is.
            let share = next.len().div_ceil(a_at.len());
            let mut row = 0;
            classes.each(&mut |m, segments| {
                let k: usize = segments.iter().map(|segment| segment.len).sum();
                for (height, m) in even_strips(m, most) {
                    if m == 0 {
                        continue;
                    }
                    let panels = panels_at_a_time(height, square);
                    // What is applied to stored rows wants them in the first-level cache: a strip at a time.
                    let at_a_time = if finish.activation.is_some() { height } else { m };
                    for _ in (0..m).step_by(at_a_time.max(1)) {
                        let m = at_a_time;
                        // The next group is fetched while this one is used, each row its share.
                        let ahead = match next.get(row * share..) {
                            Some(b) if !b.is_empty() => {
                                let steps = k * (m / height) * (end - first).div_ceil(panels);
                                Ahead { b, at: 0, step: (m * share).div_ceil(steps.max(1)) }
                            }
                            _ => Ahead { b, at: 0, step: 0 },
                        };
                        let (a_at, b) = (&a_at[row..row + m], from(first));
                        strips(
                            s,
                            &mut Strips {
                                height,
                                panels,
                                by,
                                a,
                                a_at,
                                segments,
                                b,
                                panel_len,
                                ahead,
                                c,
                                row,
                                column,
                                n,
                                start,
                                finish,
                            },
                        );
                        if let Some((activation, channel)) = finish.activation {
                            for i in row..row + m {
                                s.call(Activate { activation, channel: channel + column, values: c.row(i, column, n) });
                            }
                        }
                        row += m;
                    }
                }
            });
        }
    }
}

/// Fewer rows use B but once: a strip takes them all.
const FEW_ROWS: usize = 4;

/// `m` rows in strips of even height, at most `most`: 16 rows run as 6 + 5 + 5, never as 6 + 6 + 4. The higher strips come first:
/// each height, and its rows.
#[inline(always)]
pub(super) fn even_strips(m: usize, most: usize) -> [(usize, usize); 2] {
    let strips = m.div_ceil(most).max(1);
    let (height, longer) = (m / strips, m % strips);
    [(height + 1, longer * (height + 1)), (height, (strips - longer) * height)]
}

/// Applies an activation to some channels. A kernel of its own, since what runs in a closure has not the level's
/// instructions.
pub(crate) struct Activate<'a, T> {
    pub activation: &'a Activation<'a, T>,
    /// The first one.
    pub channel: usize,
    pub values: &'a mut [T],
}

impl<T: Element> Op<T> for Activate<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        self.activation.row(s, self.channel, self.values);
    }
}

#[cfg(test)]
mod tests {
    use super::super::strips::FEW_TERMS;
    use super::super::{fold, pack, packed_len, terms_at_a_time};
    use super::*;
    use crate::simd::Level;
    use alloc::vec;
    use alloc::vec::Vec;

    fn integers<T: Element>(n: usize, seed: usize) -> Vec<T> {
        (0..n).map(|i| T::from_f64(((i + seed) * 7919 % 17) as f64 - 8.0)).collect()
    }

    /// Every start, every row count of a strip, every tail of a panel, against the definition, to the bit.
    fn equals_the_definition<T: Element>(level: Level) {
        let tile = super::super::RegisterTile::new::<T>(level);
        let nr = tile.columns;
        for m in 1..=2 * tile.rows + 1 {
            for n in (1..=nr).chain([nr + 1, 2 * nr, 2 * nr + 3]) {
                // A row alone has its sums in chains, if it has enough terms; two panels are taken at a time, if sums have few.
                let more = if m == 1 { &[64, 131, 132][..] } else { &[FEW_TERMS + 1][..usize::from(n == 2 * nr)] };
                // As many terms at a time as the columns and the number of terms allow, and fewer.
                let all = [0, 1, 6, 7, 8, 16].iter().chain(more);
                for (&k, by) in all.flat_map(|k| [1, 2, 4, 8, 16].map(|by| (k, by))) {
                    if by > terms_at_a_time(n, nr, k.max(16 * usize::from(k == 0))) {
                        continue;
                    }
                    let a = integers::<T>(3 * m + 12 + k, m);
                    let a_at: Vec<usize> = (0..m).map(|i| (i * 37 + 1) % (3 * m + 12)).collect();
                    let (b, bias) = (integers::<T>(k * n, n), integers::<T>(n, 5));
                    let mut panels = vec![T::from_f64(f64::NAN); packed_len(k, n, nr).unwrap()];
                    pack(k, n, nr, &mut panels, |i, j, row| row.copy_from_slice(&b[i * n + j..][..row.len()]));
                    if by > 1 {
                        fold(k, n, nr, by, &mut panels);
                    }
                    let ldc = n + 2;
                    let before = integers::<T>(m * ldc, 9);
                    for (kind, start) in [Start::Zero, Start::Bias(&bias), Start::C].into_iter().enumerate() {
                        let mut c = before.clone();
                        let c_at: Vec<usize> = (0..m).map(|i| i * ldc).collect();
                        T::at(
                            level,
                            Gemm {
                                a: &a,
                                a_at: &a_at,
                                classes: &Plain { rows: m, terms: 0..k },
                                most_rows: m,
                                b: &panels,
                                panel_len: k * nr,
                                group: 2,
                                c: &mut Rows::new(&mut c, &c_at, n),
                                n,
                                by,
                                start,
                                finish: &Finish::NOTHING,
                            },
                        );
                        for (at, &got) in c.iter().enumerate() {
                            let (i, j) = (at / ldc, at % ldc);
                            let first = if j >= n { before[at] } else { [T::ZERO, bias[j], before[at]][kind] };
                            let terms = if j < n { k } else { 0 };
                            let want = (0..terms).fold(first, |sum, l| sum + a[a_at[i] + l] * b[l * n + j]);
                            assert!(got == want, "{level} {m}x{n}x{k} start {kind} at {i},{j}: {got} is not {want}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_strip_and_tail_equals_the_definition() {
        for level in Level::available() {
            equals_the_definition::<f32>(level);
            equals_the_definition::<f64>(level);
        }
    }
}
