//! The loops around the micro-kernel: panels of B outside, so that one stays in the first-level cache, strips of A inside.

use super::blocking::rows;
use super::micro_kernel::{Start, Strip, strip};
use crate::element::Element;
use crate::simd::{Op, Simd};

/// A block of A times a block of B.
pub(crate) struct Gemm<'a, T> {
    pub a: &'a [T],
    /// Where the `m` rows of A start, `k` elements each.
    pub a_at: &'a [usize],
    pub k: usize,
    /// The first of the packed panels: its first row of this block, and from there on.
    pub b: &'a [T],
    /// From a panel to the next.
    pub panel_len: usize,
    /// `m` rows, `ldc` apart.
    pub c: &'a mut [T],
    pub ldc: usize,
    pub n: usize,
    pub start: Start<'a, T>,
}

impl<T: Element> Op<T> for Gemm<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (m, nr) = (self.a_at.len(), 2 * S::LANES);
        // Strips of even height: 16 rows run as 6 + 5 + 5, never as 6 + 6 + 4.
        let strips = m.div_ceil(rows(S::REGISTERS));
        for (p, j) in (0..self.n).step_by(nr).enumerate() {
            let n = nr.min(self.n - j);
            let start = match self.start {
                Start::Bias(bias) => Start::Bias(&bias[j..][..n]),
                other => other,
            };
            let b = &self.b[p * self.panel_len..][..self.k * nr];
            for i in 0..strips {
                let (first, end) = (m * i / strips, m * (i + 1) / strips);
                let (a_at, c) = (&self.a_at[first..end], &mut self.c[first * self.ldc + j..]);
                strip(s, &mut Strip { a: self.a, a_at, k: self.k, b, c, ldc: self.ldc, n, start });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{pack, packed_len};
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
                for k in [0, 1, 7] {
                    let a = integers::<T>(3 * m + 20, m);
                    let a_at: Vec<usize> = (0..m).map(|i| (i * 37 + 1) % (3 * m + 12)).collect();
                    let (b, bias) = (integers::<T>(k * n, n), integers::<T>(n, 5));
                    let mut panels = vec![T::from_f64(f64::NAN); packed_len(k, n, nr).unwrap()];
                    pack(k, n, nr, &mut panels, |i, j, row| row.copy_from_slice(&b[i * n + j..][..row.len()]));
                    let ldc = n + 2;
                    let before = integers::<T>(m * ldc, 9);
                    for (kind, start) in [Start::Zero, Start::Bias(&bias), Start::C].into_iter().enumerate() {
                        let mut c = before.clone();
                        let gemm =
                            Gemm { a: &a, a_at: &a_at, k, b: &panels, panel_len: k * nr, c: &mut c, ldc, n, start };
                        T::at(level, gemm);
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
