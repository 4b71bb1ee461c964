//! The gradient of the bias: `db[c] = sum over n, y, x of dy[n, y, x, c]`.

use crate::element::Element;
use crate::error::Error;
use crate::run::{Run, Write};
use crate::simd::{Op, Simd};
use crate::tensor::{View, ViewMut};
use crate::tiles::{Grid, Parts, Tile};

/// Channels of a task.
const CHANNELS: usize = 64;

/// `db[c] = sum over n, y, x of dy[n, y, x, c]`, or added to what is there. The sum goes through batch, rows and columns
/// in order.
///
/// ```
/// use gemmule::{Run, Tensor, Write, conv_backward_bias};
/// let dy = Tensor::filled([2, 4, 4, 3], 0.5f32)?;
/// let mut db = [0.0; 3];
/// conv_backward_bias(dy.view(), &mut db, Write::Replace, Run::new())?;
/// assert_eq!(db, [16.0; 3]);
/// # Ok::<(), gemmule::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] where `db` has not one element a channel; [`Error::Level`], [`Error::Executor`].
pub fn conv_backward_bias<T: Element>(dy: View<T>, db: &mut [T], write: Write, run: Run<T>) -> Result<(), Error> {
    let [n, h, w, c] = dy.shape();
    if db.len() != c {
        return Err(Error::Length { argument: "db", expected: c, given: db.len() });
    }
    let level = run.level_or_best()?;
    let grid = Grid::new([Parts::whole(1), Parts::whole(1), Parts::whole(1), Parts::up_to(c, CHANNELS)]);
    let db = Tile::new(ViewMut::nhwc(db, [1, 1, 1, c])?);
    let work = [n, h, w, c].into_iter().fold(1, usize::saturating_mul);
    run.for_each_tile(grid, db, 0, work, |place, db, _| {
        T::conv_sum_pixels(level, SumPixels { dy: &dy, db, first: place[3].start, write });
    })
}

/// Some channels, all pixels.
pub struct SumPixels<'a, 't, T> {
    dy: &'a View<'a, T>,
    db: &'a mut Tile<'t, T>,
    first: usize,
    write: Write,
}

impl<T: Element> Op<T> for SumPixels<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let ([n, h, w, _], channels) = (self.dy.shape(), self.db.shape()[3]);
        let mut sums = [T::ZERO; CHANNELS];
        let mut buffer = [T::ZERO; CHANNELS];
        // A shape that holds nothing may still have an axis that takes ages to walk along.
        let n = if h == 0 || w == 0 { 0 } else { n };
        for (i, y, x) in (0..n).flat_map(|i| (0..h).flat_map(move |y| (0..w).map(move |x| (i, y, x)))) {
            let dy = self.dy.pixel([i, y, x], self.first, channels, &mut buffer);
            for (sum, dy) in sums.chunks_mut(S::LANES).zip(dy.chunks(S::LANES)) {
                if dy.len() == S::LANES {
                    s.store(s.add(s.load(sum), s.load(dy)), sum);
                } else {
                    let sum = &mut sum[..dy.len()];
                    s.store_partial(s.add(s.load_partial(sum), s.load_partial(dy)), sum);
                }
            }
        }
        for (c, &sum) in sums[..channels].iter().enumerate() {
            let db = self.db.element([0, 0, 0], c);
            *db = if self.write == Write::Accumulate { *db + sum } else { sum };
        }
    }
}
