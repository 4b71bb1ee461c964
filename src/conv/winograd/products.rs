//! The products of a block: `m[point][tile][o] = v[point] * u[factor]`.
//!
//! Neighbouring points with as many tiles are one batch. Points that meet the same factor are one product, of the rows of all.

use super::tiling::MOST_ROWS;
use super::{Block, factors};
use crate::conv::operator::Operator;
use crate::element::Element;
use crate::gemm::{Batch, RegisterTile};
use crate::simd::Simd;
use crate::tiles::Part;
use core::ops::Range;

impl Block<'_> {
    /// The products that meet a factor.
    fn product(&self, factor: usize) -> Product {
        let across = self.forms[1].factors();
        let points = [self.forms[0].points_at(factor / across), self.forms[1].points_at(factor % across)];
        // Points of the same factor, in the order in which tiles come to have them.
        let tiles = [0, 1].map(|i| self.cuts[i].tiles_at[points[i].start]);
        Product { first: points[0].start * self.forms[1].points() + points[1].start, points, tiles }
    }

    /// Where the rows of a product start, of the transformed inputs (0) or of the products (1), from its first point's plane on; how
    /// many there are.
    #[inline(always)]
    fn product_rows(&self, product: &Product, which: usize, rows: &mut [usize; MOST_ROWS]) -> usize {
        let mut count = 0;
        for (y, row) in product.points[0].clone().enumerate() {
            for (x, column) in product.points[1].clone().enumerate() {
                let plane = (y * self.forms[1].points() + x) * self.sizes.plane[which];
                let tiles = self.cuts[0].tiles_at[row] * self.cuts[1].tiles_at[column];
                let to = rows[count..][..tiles].iter_mut().enumerate();
                to.for_each(|(tile, to)| *to = plane + tile * self.sizes.row[which]);
                count += tiles;
            }
        }
        // A row alone would have its sums in chains, and its bits would depend on the block: it is there twice.
        if count == 1 {
            rows[1] = rows[0];
            count = 2;
        }
        count
    }

    /// Some output channels.
    #[inline(always)]
    pub(super) fn multiply<T: Element, S: Simd<T>>(
        &self,
        s: S,
        operator: &Operator<T>,
        channels: &Part,
        v: &[T],
        m: &mut [T],
    ) {
        let nr = RegisterTile::new::<T>(operator.plan.level()).columns;
        let (k, n) = (self.p.inputs_per_group(), channels.count.next_multiple_of(S::LANES));
        let weights = operator.transformed(self.group, self.class, channels.start % self.p.outputs_per_group());
        let steps = [self.sizes.plane[0], n.div_ceil(nr) * k * nr, self.sizes.plane[1]];
        let (mut a_at, mut c_at) = ([0; MOST_ROWS], [0; MOST_ROWS]);
        let (mut factor, factors) = (0, factors(self.forms));
        while factor < factors {
            let product = self.product(factor);
            let more = (factor + 1..factors).zip(1..);
            let count = 1 + more.take_while(|&(other, i)| self.product(other).is_behind(&product, i)).count();
            let rows = self.product_rows(&product, 0, &mut a_at);
            self.product_rows(&product, 1, &mut c_at);
            s.call(Batch {
                count,
                steps,
                a: &v[product.first * steps[0]..],
                a_at: &a_at[..rows],
                k,
                b: &weights[factor * steps[1]..],
                c: &mut m[product.first * steps[2]..],
                c_at: &c_at[..rows],
                n,
            });
            factor += count;
        }
    }
}

/// What is multiplied by one factor.
struct Product {
    /// The number of the first point's plane.
    first: usize,
    /// Along each axis.
    points: [Range<usize>; 2],
    /// Tiles that have the first point.
    tiles: [usize; 2],
}

impl Product {
    /// Whether this is a product of a single plane, as the one `i` planes before, with as many tiles.
    fn is_behind(&self, before: &Product, i: usize) -> bool {
        let are_single = [self, before].iter().all(|product| product.points.iter().all(|points| points.len() == 1));
        are_single && self.first == before.first + i && self.tiles == before.tiles
    }
}
