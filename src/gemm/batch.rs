//! Several products of the same shape, whose B follow each other.

use super::finish::Finish;
use super::macro_kernel::even_strips;
use super::micro_kernel::{Segment, Start};
use super::strips::{Ahead, Strips, is_square, most_rows, panels_at_a_time, strips};
use crate::element::Element;
use crate::simd::{Op, Simd};
use crate::tiles::Rows;

/// `c = a * b`, `count` times: each A, B and C is so many elements behind the last one. What does not depend on the elements is
/// found once for all of them: it takes a tenth of the time of a small product.
pub(crate) struct Batch<'a, T> {
    pub count: usize,
    /// From an A, a B and a C to the next.
    pub steps: [usize; 3],
    pub a: &'a [T],
    /// Where the rows of A, and of C, start.
    pub a_at: &'a [usize],
    pub k: usize,
    /// Packed panels, and all that follow.
    pub b: &'a [T],
    pub c: &'a mut [T],
    pub c_at: &'a [usize],
    /// Columns.
    pub n: usize,
}

impl<T: Element> Op<T> for Batch<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Batch { count, steps, a, a_at, k, b, c, c_at, n } = self;
        if a_at.is_empty() {
            return;
        }
        let (square, panel_len) = (is_square::<S, T>(n, k), k * 2 * S::LANES);
        let most = most_rows::<S, T>(n, square, 1);
        // All rows use a product's B, and fetch the next one's meanwhile, each its share.
        let share = steps[1].div_ceil(a_at.len());
        let parts = even_strips(a_at.len(), most).map(|(height, m)| {
            let terms = k * (m / height.max(1)) * n.div_ceil(2 * S::LANES).div_ceil(panels_at_a_time(height, square));
            (height, m, (m * share).div_ceil(terms.max(1)))
        });
        for i in 0..count {
            let c = &mut Rows::new(&mut c[i * steps[2]..], c_at, n);
            let (a, b) = (&a[i * steps[0]..], &b[i * steps[1]..]);
            let mut row = 0;
            for (height, m, step) in parts {
                if m == 0 {
                    continue;
                }
                let next = b.get(steps[1] + row * share..).unwrap_or(&[]);
                let step = if next.is_empty() { 0 } else { step };
                let (a_at, segments) = (&a_at[row..row + m], &[Segment { len: k, a: 0, b: 0 }]);
                let ahead = Ahead { b: next, at: 0, step };
                let (start, finish) = (Start::Zero, &Finish::NOTHING);
                let (column, panels, by) = (0, panels_at_a_time(height, square), 1);
                let mut strips_of_part = Strips {
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
                };
                strips(s, &mut strips_of_part);
                row += m;
            }
        }
    }
}
