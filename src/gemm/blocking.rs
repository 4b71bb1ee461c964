//! The one table of block sizes: the register tile by level, the cache blocks by machine.

use crate::simd::{Level, Machine};

/// The most rows of A in one product: their starts lie on the stack.
pub(crate) const MAX_ROWS: usize = 512;

/// The most of sums with many terms, whatever the cache.
const MOST_ROWS: usize = 256;

/// Rows and columns of C that one call of the micro-kernel keeps in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisterTile {
    pub rows: usize,
    pub columns: usize,
}

impl RegisterTile {
    /// Two vectors wide, and as high as the registers allow: two are for B, one for A, one to spare.
    pub(crate) fn new<T>(level: Level) -> Self {
        // Bytes of a vector, and how many vector registers there are.
        let (vector, registers) = match level {
            Level::Scalar => (size_of::<T>(), 16),
            Level::Portable if cfg!(target_feature = "avx512f") => (64, 32),
            Level::Portable if cfg!(target_feature = "avx") => (32, 16),
            Level::Portable if cfg!(target_arch = "aarch64") => (16, 32),
            Level::Portable => (16, 16),
            Level::Avx2 => (32, 16),
            Level::Avx512 => (64, 32),
            #[cfg(all(feature = "testing", feature = "simd", debug_assertions))]
            Level::Emulated => (16 * size_of::<T>(), 32),
        };
        RegisterTile { rows: rows(registers), columns: 2 * vector / size_of::<T>() }
    }
}

/// Rows of the register tile on a machine with so many vector registers.
pub(super) const fn rows(registers: usize) -> usize {
    (registers - 4) / 2
}

/// Rows of a register tile of three vectors, where one of two has `rows`: as many accumulators, and the third vector of B takes the
/// register to spare.
pub(super) const fn wide_rows(rows: usize) -> usize {
    2 * rows / 3
}

/// Rows of a register tile of four vectors, where one of two has `rows`: those of A stay in registers, and one is for B. Few
/// registers have none.
pub(super) const fn square_rows(rows: usize) -> usize {
    if rows < MOST_TILE_ROWS { 0 } else { (2 * rows + 2) / 5 }
}

/// Rows of a register tile of one vector, where one of two has `rows`: as many accumulators, but no more rows than a tile ever
/// has.
pub(super) const fn narrow_rows(rows: usize) -> usize {
    if 2 * rows < MOST_TILE_ROWS { 2 * rows } else { MOST_TILE_ROWS }
}

/// The most rows of a register tile: those of thirty-two registers. The micro-kernel spells out its tiles up to here.
const MOST_TILE_ROWS: usize = rows(32);

/// The size of a tile of work, in elements: a block of A of `rows * depth`, and the block of C, `rows * columns`, that it
/// is multiplied into, fit into half of the second-level cache together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// Rows of A and C: pixels. At most 512.
    pub rows: usize,
    /// The same where a sum has few terms, and C few columns.
    pub most_rows: usize,
    /// Terms of a sum between two visits of C.
    pub depth: usize,
    /// Columns of B and C: output channels.
    pub columns: usize,
    /// Elements of B that are kept in the second-level cache while all rows of A pass.
    pub weights: usize,
}

impl Blocking {
    /// For a machine and an element type.
    pub(crate) fn new<T>(machine: &Machine) -> Self {
        let tile = RegisterTile::new::<T>(machine.level);
        // A panel of B, `depth * columns of the register tile`, should leave room in the first-level cache for A's rows.
        let depth = (machine.l1_bytes / 2 / size_of::<T>() / tile.columns).clamp(128, 512);
        let columns = 512;
        let rows = machine.l2_bytes / 2 / size_of::<T>() / (depth + columns);
        let whole = |rows: usize| rows / tile.rows * tile.rows;
        let rows = whole(rows).clamp(tile.rows, whole(MOST_ROWS));
        Blocking { rows, most_rows: whole(MAX_ROWS), depth, columns, weights: machine.l2_bytes / 2 / size_of::<T>() }
    }

    /// Rows of a block of so many terms and columns. A block of few of them takes no more room with more rows, and what it costs
    /// beside them counts less (16 -> 16 at 112x112, with an L2 of 512 KB: 84 rows in 165 us, 252 in 121 us, 504 in 108 us).
    pub(crate) fn rows(&self, terms: usize, columns: usize) -> usize {
        let room = self.rows * (self.depth + self.columns);
        let each = (self.depth.min(terms) + self.columns.min(columns)).max(1);
        (room / each).clamp(self.rows, self.most_rows)
    }

    /// Panels of `k` rows and `nr` columns that are kept in the second-level cache.
    pub(crate) fn panels(&self, k: usize, nr: usize) -> usize {
        (self.weights / (k * nr).max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Dispatch, Op, Simd};

    struct Tile;

    impl<T> Op<T> for Tile {
        type Out = RegisterTile;
        #[inline(always)]
        fn run<S: Simd<T>>(self, _: S) -> RegisterTile {
            RegisterTile { rows: rows(S::REGISTERS), columns: 2 * S::LANES }
        }
    }

    #[test]
    fn blocks_of_short_sums_are_taller_and_take_no_more_room() {
        for (level, l2_bytes) in [(Level::Avx2, 256 << 10), (Level::Avx2, 512 << 10), (Level::Avx512, 2 << 20)] {
            let blocking = Blocking::new::<f32>(&Machine { level, l2_bytes, ..Machine::detect() });
            let Blocking { rows, most_rows, depth, columns, .. } = blocking;
            assert!(rows <= MOST_ROWS && most_rows <= MAX_ROWS);
            assert_eq!(blocking.rows(depth, columns), rows);
            assert_eq!(blocking.rows(usize::MAX, usize::MAX), rows);
            assert_eq!(blocking.rows(1, 1), most_rows);
            for (terms, outputs) in [(27, 32), (144, 16), (64, 256), (4096, 1), (1, 4096)] {
                let taller = blocking.rows(terms, outputs);
                assert!(taller >= rows, "{level}: {terms} terms, {outputs} outputs");
                let room = taller * (terms.min(depth) + outputs.min(columns));
                assert!(room <= rows * (depth + columns), "{level}: {terms} terms, {outputs} outputs");
            }
        }
    }

    #[test]
    fn the_table_says_what_the_levels_are() {
        for level in Level::available() {
            assert_eq!(RegisterTile::new::<f32>(level), f32::at(level, Tile), "{level}");
            assert_eq!(RegisterTile::new::<f64>(level), f64::at(level, Tile), "{level}");
        }
    }
}
