//! What happens to a sum before it is written: residual or old value, then the activation.

use crate::activation::{Activation, Bounds};
use crate::element::Element;
use crate::error::Error;
use crate::gemm::Finish;
use crate::run::Write;
use crate::simd::Simd;
use crate::tensor::View;
use crate::tiles::{Box4, Tile, evenly};
use core::ops::Range;

/// What is done to an output while its tile is hot: `y = activation(sum + bias + residual)`, or with
/// [`Write::Accumulate`] `y = activation(sum + bias + residual + y)`.
///
/// ```
/// use gemmule::{Activation, Epilogue};
/// let relu = Epilogue::<f32>::new().activation(Activation::Relu);
/// # let _ = relu;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue<'a, T> {
    residual: Option<View<'a, T>>,
    write: Write,
    activation: Activation<'a, T>,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Epilogue { residual: None, write: Write::Replace, activation: Activation::Identity }
    }
}

impl<'a, T> Epilogue<'a, T> {
    /// Writes the sum and the bias, and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor of the output's shape; any layout, also strides of 0.
    pub fn residual(self, residual: View<'a, T>) -> Self {
        Epilogue { residual: Some(residual), ..self }
    }

    /// Replaces the output, or adds to it.
    pub fn write(self, write: Write) -> Self {
        Epilogue { write, ..self }
    }

    /// Applied last.
    pub fn activation(self, activation: Activation<'a, T>) -> Self {
        Epilogue { activation, ..self }
    }
}

impl<T: Element> Epilogue<'_, T> {
    pub(crate) fn check(&self, y: [usize; 4]) -> Result<(), Error> {
        if let Some(residual) = &self.residual {
            residual.check("residual", y)?;
        }
        self.activation.check(y[3])
    }

    /// As [`View::images_as_width`], for an output that is taken so.
    pub(crate) fn images_as_width(&self) -> Self {
        Epilogue { residual: self.residual.map(View::images_as_width), ..*self }
    }

    /// The same as what a GEMM does before it stores its rows, which are these lines of pixels of a tile; `None` where the residual's
    /// channels are not contiguous. `starts` is room for a number a pixel.
    pub(crate) fn in_registers<'s>(
        &'s self,
        place: &Box4,
        lines: impl Iterator<Item = (usize, Range<usize>)>,
        starts: &'s mut [usize],
    ) -> Option<Finish<'s, T>> {
        let addend = match &self.residual {
            None => None,
            Some(residual) if residual.strides()[3] != 1 && residual.shape()[3] > 1 => return None,
            Some(residual) => {
                let mut count = 0;
                for (oy, oxs) in lines {
                    let at = [0, oy, oxs.start];
                    let at = [0, 1, 2].map(|i| place[i].start + place[i].step * at[i]);
                    let first = residual.at([at[0], at[1], at[2], place[3].start]);
                    let step = place[2].step.wrapping_mul(residual.strides()[2]);
                    evenly(&mut starts[count..count + oxs.len()], first, step);
                    count += oxs.len();
                }
                Some((residual.data(), &*starts))
            }
        };
        let (bounds, accumulates) = (self.activation.bounds(), self.write == Write::Accumulate);
        let activation = bounds.is_none().then_some((&self.activation, place[3].start));
        Some(Finish { addend, accumulates, bounds: bounds.unwrap_or(Bounds::None), activation })
    }

    /// What is done to sums that are in their place already, if it needs nothing but them.
    pub(crate) fn in_place(&self) -> Option<&Activation<'_, T>> {
        (self.residual.is_none() && self.write == Write::Replace).then_some(&self.activation)
    }

    /// Finishes the channels `c..` of one pixel of a tile, and writes them. `buffer` is as long as `sums`.
    #[inline(always)]
    pub(crate) fn finish<S: Simd<T>>(
        &self,
        s: S,
        (place, tile): (&Box4, &mut Tile<T>),
        pixel: [usize; 3],
        c: usize,
        sums: &mut [T],
        buffer: &mut [T],
    ) {
        let channel = place[3].start + c;
        if let Some(residual) = &self.residual {
            let at = [0, 1, 2].map(|i| place[i].start + place[i].step * pixel[i]);
            add(s, sums, residual.pixel(at, channel, sums.len(), buffer));
        }
        if self.write == Write::Accumulate {
            tile.get(pixel, c, &mut buffer[..sums.len()]);
            add(s, sums, buffer);
        }
        self.activation.row(s, channel, sums);
        tile.put(pixel, c, sums);
    }
}

/// `y[i] += x[i]`, for as many as `y` has.
#[inline(always)]
fn add<T: Element, S: Simd<T>>(s: S, y: &mut [T], x: &[T]) {
    let x = &x[..y.len()];
    let (mut ys, xs) = (y.chunks_exact_mut(S::LANES), x.chunks_exact(S::LANES));
    let rest = xs.remainder();
    for (y, x) in (&mut ys).zip(xs) {
        s.store(s.add(s.load(y), s.load(x)), y);
    }
    let y = ys.into_remainder();
    s.store_partial(s.add(s.load_partial(y), s.load_partial(rest)), y);
}
