//! Every instance of the micro-kernel by its size, so that each can be measured alone: the compiler may ruin one, and leave
//! the others as they are.

use super::blocking::{RegisterTile, narrow_rows, square_rows, wide_rows};
use super::strips::FEW_TERMS;
use super::{Finish, Gemm, Plain, Start};
use crate::element::Element;
use crate::simd::Level;
use crate::tiles::Rows;
use alloc::vec;
use alloc::vec::Vec;

/// An instance of the micro-kernel, with operands to run it on.
#[derive(Debug)]
pub struct MicroKernel<T> {
    level: Level,
    /// Rows of A and C.
    pub rows: usize,
    /// Columns of B and C.
    pub columns: usize,
    /// Terms of each sum.
    pub k: usize,
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
    a_at: Vec<usize>,
    c_at: Vec<usize>,
}

/// Strips that one run takes.
const STRIPS: usize = 8;

impl<T: Element> MicroKernel<T> {
    /// All instances of a level: one vector wide, a panel, a panel and a vector, and several panels for few rows or for few terms,
    /// `k` or less.
    pub fn all(level: Level, k: usize) -> Vec<MicroKernel<T>> {
        let tile = RegisterTile::new::<T>(level);
        let narrow = (1..=narrow_rows(tile.rows)).map(|rows| (rows, tile.columns / 2));
        let tall = narrow.chain((1..=tile.rows).map(|rows| (rows, tile.columns)));
        let wide = [(2, 3 * tile.columns), (3, 2 * tile.columns)];
        let joined = (4..=wide_rows(tile.rows)).map(|rows| (rows, 3 * tile.columns / 2));
        let square = (4..=square_rows(tile.rows)).map(|rows| (rows, 2 * tile.columns, k.min(FEW_TERMS)));
        let sizes = tall.chain(joined).chain(wide).map(|(rows, columns)| (rows, columns, k)).chain(square);
        sizes.filter(|&(_, columns, _)| columns > 0).map(|size| Self::new(level, size)).collect()
    }

    fn new(level: Level, (rows, columns, k): (usize, usize, usize)) -> Self {
        let all = rows * STRIPS;
        let panels = columns.div_ceil(RegisterTile::new::<T>(level).columns);
        MicroKernel {
            level,
            rows,
            columns,
            k,
            // Rows that do not all fall into one set of the cache.
            a: vec![T::ONE; all * (k + 16)],
            b: vec![T::ONE; panels * k * RegisterTile::new::<T>(level).columns],
            c: vec![T::ZERO; all * columns],
            a_at: (0..all).map(|i| i * (k + 16)).collect(),
            c_at: (0..all).map(|i| i * columns).collect(),
        }
    }

    /// Runs it on a few strips, and returns how many operations that takes.
    pub fn run(&mut self) -> f64 {
        let nr = RegisterTile::new::<T>(self.level).columns;
        T::gemm(
            self.level,
            Gemm {
                a: &self.a,
                a_at: &self.a_at,
                classes: &Plain { rows: self.a_at.len(), terms: 0..self.k },
                most_rows: self.rows,
                b: &self.b,
                panel_len: self.k * nr,
                group: self.columns.div_ceil(nr),
                c: &mut Rows::new(&mut self.c, &self.c_at, self.columns),
                n: self.columns,
                by: 1,
                start: Start::Zero,
                finish: &Finish::NOTHING,
            },
        );
        2.0 * (self.a_at.len() * self.columns * self.k) as f64
    }
}
