//! Borrowed views (a slice, a shape, four strides) and an owned, aligned tensor.
//!
//! A shape is always `[n, h, w, c]`, whatever the memory layout; the strides say where the elements lie. A kernel
//! takes any mix of layouts: dense NHWC, dense NCHW, a channel slice of a wider tensor, or any other strides.

use crate::error::Error;
use alloc::vec::Vec;
use core::ops::Range;

/// The strides of a dense NHWC tensor, or an error where its size overflows.
pub(crate) fn nhwc_strides(shape: [usize; 4]) -> Result<[usize; 4], Error> {
    let [_, h, w, c] = shape;
    let row = w.checked_mul(c).ok_or(Error::Overflow { argument: "shape" })?;
    Ok([row.checked_mul(h).ok_or(Error::Overflow { argument: "shape" })?, row, c, 1])
}

fn nchw_strides(shape: [usize; 4]) -> Result<[usize; 4], Error> {
    let [_, h, w, c] = shape;
    let plane = h.checked_mul(w).ok_or(Error::Overflow { argument: "shape" })?;
    Ok([plane.checked_mul(c).ok_or(Error::Overflow { argument: "shape" })?, w, 1, plane])
}

/// Proves that every index of a view lies in a slice of `len` elements, and, for a mutable one, that no two indices
/// share an element. Every view is made here, so every kernel may rely on it.
fn prove(len: usize, shape: [usize; 4], strides: [usize; 4], mutable: bool) -> Result<(), Error> {
    let overflow = Error::Overflow { argument: "shape" };
    if shape.iter().try_fold(1usize, |size, &d| size.checked_mul(d)).ok_or(overflow)? == 0 {
        return Ok(());
    }
    let mut last = 0usize;
    for (d, s) in shape.into_iter().zip(strides) {
        last = (d - 1).checked_mul(s).and_then(|x| last.checked_add(x)).ok_or(overflow)?;
    }
    if last >= len {
        return Err(Error::Length { argument: "data", expected: last.saturating_add(1), given: len });
    }
    if mutable {
        // Each stride must step over everything that the smaller ones reach.
        let mut axes: [(usize, usize); 4] = core::array::from_fn(|i| (strides[i], shape[i]));
        axes.sort_unstable();
        let mut reach = 0;
        for (s, d) in axes.into_iter().filter(|&(_, d)| d > 1) {
            if s <= reach {
                return Err(Error::Overlap { argument: "data", shape, strides });
            }
            reach += s * (d - 1);
        }
    }
    Ok(())
}

/// A borrowed tensor: a slice, a shape `[n, h, w, c]` and a stride for each axis, in elements.
///
/// ```
/// use gemmule::View;
/// let data = [0.0f32; 2 * 4 * 5 * 3];
/// let x = View::nhwc(&data, [2, 4, 5, 3])?;
/// assert_eq!(x.strides(), [60, 15, 3, 1]);
/// let x = View::nchw(&data, [2, 4, 5, 3])?; // the same shape, held plane by plane
/// assert_eq!(x.strides(), [60, 5, 1, 20]);
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View<'a, T> {
    data: &'a [T],
    shape: [usize; 4],
    strides: [usize; 4],
}

/// A borrowed tensor to be written: as [`View`], but no two indices may share an element.
#[derive(Debug, PartialEq)]
pub struct ViewMut<'a, T> {
    data: &'a mut [T],
    shape: [usize; 4],
    strides: [usize; 4],
}

impl<'a, T> View<'a, T> {
    /// A view with any strides; they may overlap, and may be 0 (which repeats an element along an axis).
    ///
    /// # Errors
    /// [`Error::Length`] where an index would lie beyond the slice, [`Error::Overflow`] where a size overflows.
    pub fn new(data: &'a [T], shape: [usize; 4], strides: [usize; 4]) -> Result<Self, Error> {
        prove(data.len(), shape, strides, false)?;
        Ok(View { data, shape, strides })
    }

    /// A dense tensor in the order batch, height, width, channel. As [`View::new`]; a longer slice is fine.
    pub fn nhwc(data: &'a [T], shape: [usize; 4]) -> Result<Self, Error> {
        Self::new(data, shape, nhwc_strides(shape)?)
    }

    /// A dense tensor in the order batch, channel, height, width. The shape is still `[n, h, w, c]`.
    pub fn nchw(data: &'a [T], shape: [usize; 4]) -> Result<Self, Error> {
        Self::new(data, shape, nchw_strides(shape)?)
    }

    /// Some channels of a wider tensor, without a copy.
    ///
    /// # Errors
    /// [`Error::Parameter`] where the range does not lie in the channels.
    pub fn channels(self, range: Range<usize>) -> Result<Self, Error> {
        let (start, shape) = slice_channels(self.data.len(), self.shape, self.strides, range)?;
        Ok(View { data: &self.data[start..], shape, strides: self.strides })
    }

    /// `[n, h, w, c]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Elements from one index to the next, along each axis.
    pub fn strides(&self) -> [usize; 4] {
        self.strides
    }

    /// The slice that the view lies in.
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// The element at `[n, y, x, c]`, or nothing beyond the shape.
    pub fn get(&self, index: [usize; 4]) -> Option<&'a T> {
        (0..4).all(|i| index[i] < self.shape[i]).then(|| &self.data[self.at(index)])
    }

    /// The images of one pixel each side by side in one: the batch as the width.
    pub(crate) fn images_as_width(self) -> Self {
        let View { data, shape: [n, h, w, c], strides: [image, row, column, channel] } = self;
        View { data, shape: [w, h, n, c], strides: [column, row, image, channel] }
    }

    /// Where an index lies in [`View::data`].
    #[inline(always)]
    pub(crate) fn at(&self, index: [usize; 4]) -> usize {
        (0..4).map(|i| index[i] * self.strides[i]).sum()
    }
}

impl<T> View<'_, T> {
    /// Refuses another shape than this.
    pub(crate) fn check(&self, argument: &'static str, expected: [usize; 4]) -> Result<(), Error> {
        check_shape(argument, expected, self.shape)
    }
}

/// Refuses a shape that is not the expected one.
pub(crate) fn check_shape(argument: &'static str, expected: [usize; 4], given: [usize; 4]) -> Result<(), Error> {
    if given == expected { Ok(()) } else { Err(Error::Shape { argument, expected, given }) }
}

impl<'a, T: Copy> View<'a, T> {
    /// `len` channels of one pixel from channel `c` on: in place where they are contiguous, else gathered in `buffer`.
    #[inline(always)]
    pub(crate) fn pixel<'s>(&self, at: [usize; 3], c: usize, len: usize, buffer: &'s mut [T]) -> &'s [T]
    where
        'a: 's,
    {
        let start = self.at([at[0], at[1], at[2], c]);
        if self.strides[3] == 1 || len <= 1 {
            return &self.data[start..][..len];
        }
        let buffer = &mut buffer[..len];
        for (to, from) in buffer.iter_mut().zip(self.data[start..].iter().step_by(self.strides[3].max(1))) {
            *to = *from;
        }
        if self.strides[3] == 0 {
            buffer.fill(self.data[start]);
        }
        buffer
    }
}

impl<'a, T> ViewMut<'a, T> {
    /// A view with any strides that give each element one index.
    ///
    /// # Errors
    /// As [`View::new`], and [`Error::Overlap`].
    pub fn new(data: &'a mut [T], shape: [usize; 4], strides: [usize; 4]) -> Result<Self, Error> {
        prove(data.len(), shape, strides, true)?;
        Ok(ViewMut { data, shape, strides })
    }

    /// A dense tensor in the order batch, height, width, channel.
    pub fn nhwc(data: &'a mut [T], shape: [usize; 4]) -> Result<Self, Error> {
        Self::new(data, shape, nhwc_strides(shape)?)
    }

    /// A dense tensor in the order batch, channel, height, width. The shape is still `[n, h, w, c]`.
    pub fn nchw(data: &'a mut [T], shape: [usize; 4]) -> Result<Self, Error> {
        Self::new(data, shape, nchw_strides(shape)?)
    }

    /// Some channels of a wider tensor: a layer writes its part of a concatenation without a copy.
    ///
    /// # Errors
    /// [`Error::Parameter`] where the range does not lie in the channels.
    pub fn channels(self, range: Range<usize>) -> Result<Self, Error> {
        let (start, shape) = slice_channels(self.data.len(), self.shape, self.strides, range)?;
        Ok(ViewMut { data: &mut self.data[start..], shape, strides: self.strides })
    }

    /// `[n, h, w, c]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Elements from one index to the next, along each axis.
    pub fn strides(&self) -> [usize; 4] {
        self.strides
    }

    /// The same elements, to be read.
    pub fn as_view(&self) -> View<'_, T> {
        View { data: self.data, shape: self.shape, strides: self.strides }
    }

    /// The same elements, for a shorter time.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        ViewMut { data: self.data, shape: self.shape, strides: self.strides }
    }

    /// The slice that the view lies in.
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }

    /// As [`View::images_as_width`].
    pub(crate) fn images_as_width(self) -> Self {
        let ViewMut { data, shape: [n, h, w, c], strides: [image, row, column, channel] } = self;
        ViewMut { data, shape: [w, h, n, c], strides: [column, row, image, channel] }
    }

    /// The slice, with the view's lifetime.
    pub(crate) fn into_data(self) -> &'a mut [T] {
        self.data
    }
}

fn slice_channels(
    len: usize,
    shape: [usize; 4],
    strides: [usize; 4],
    range: Range<usize>,
) -> Result<(usize, [usize; 4]), Error> {
    if range.start > range.end || range.end > shape[3] {
        let given = range.end.max(range.start).try_into().unwrap_or(isize::MAX);
        return Err(Error::Parameter { argument: "channels", expected: "a range within the channels", given });
    }
    let shape = [shape[0], shape[1], shape[2], range.end - range.start];
    // The start of a range that holds an element lies in the slice; that of an empty one need not.
    let start = if shape.contains(&0) { 0 } else { range.start * strides[3] };
    Ok((start.min(len), shape))
}

/// Elements that start on a cache line, of memory whose allocation can fail.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T> {
    buffer: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy> Aligned<T> {
    pub(crate) fn new(len: usize, value: T, argument: &'static str) -> Result<Self, Error> {
        // An element may have no size at all.
        let line = 64 / size_of::<T>().max(1);
        let room = len.checked_add(line).ok_or(Error::Overflow { argument })?;
        let bytes = room.checked_mul(size_of::<T>()).ok_or(Error::Overflow { argument })?;
        let mut buffer: Vec<T> = Vec::new();
        buffer.try_reserve_exact(room).map_err(|_| Error::OutOfMemory { argument, bytes })?;
        // An address that can't be aligned (there is none on today's machines) costs speed, not correctness.
        let start = buffer.as_ptr().align_offset(64);
        let start = if start <= line { start } else { 0 };
        buffer.resize(room, value);
        Ok(Aligned { buffer, start, len })
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.buffer[self.start..][..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..][..self.len]
    }
}

/// An owned, dense NHWC tensor whose elements start on a 64-byte boundary.
///
/// ```
/// use gemmule::Tensor;
/// let mut x = Tensor::<f32>::zeros([1, 2, 2, 3])?;
/// x.as_mut_slice()[4] = 1.0; // pixel (0, 1), channel 1
/// assert_eq!(x.view().get([0, 0, 1, 1]), Some(&1.0));
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Debug)]
pub struct Tensor<T> {
    data: Aligned<T>,
    shape: [usize; 4],
    strides: [usize; 4],
}

impl<T: Copy> Tensor<T> {
    /// A tensor full of `value`.
    ///
    /// # Errors
    /// [`Error::Overflow`] where the size overflows, [`Error::OutOfMemory`] where memory can't be had.
    pub fn filled(shape: [usize; 4], value: T) -> Result<Self, Error> {
        let size = shape.iter().try_fold(1usize, |size, &d| size.checked_mul(d));
        let size = size.ok_or(Error::Overflow { argument: "shape" })?;
        Ok(Tensor { data: Aligned::new(size, value, "tensor")?, shape, strides: nhwc_strides(shape)? })
    }

    /// A copy of a view, of any layout.
    ///
    /// # Errors
    /// As [`Tensor::filled`].
    pub fn from_view(x: View<'_, T>) -> Result<Self, Error>
    where
        T: Default,
    {
        let mut y = Self::filled(x.shape(), T::default())?;
        let [_, h, w, c] = x.shape();
        if c > 0 {
            for (i, pixel) in y.as_mut_slice().chunks_exact_mut(c).enumerate() {
                let from = x.at([i / (h * w), i / w % h, i % w, 0]);
                for (ci, to) in pixel.iter_mut().enumerate() {
                    *to = x.data[from + ci * x.strides[3]];
                }
            }
        }
        Ok(y)
    }

    /// A copy, whose allocation can fail.
    ///
    /// # Errors
    /// As [`Tensor::filled`].
    pub fn try_clone(&self) -> Result<Self, Error>
    where
        T: Default,
    {
        Self::from_view(self.view())
    }

    /// `[n, h, w, c]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// All elements, in the order batch, height, width, channel.
    pub fn as_slice(&self) -> &[T] {
        self.data.as_slice()
    }

    /// All elements, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.data.as_mut_slice()
    }

    /// A view of the whole.
    pub fn view(&self) -> View<'_, T> {
        View { data: self.data.as_slice(), shape: self.shape, strides: self.strides }
    }

    /// A view of the whole, to be written.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut { data: self.data.as_mut_slice(), shape: self.shape, strides: self.strides }
    }
}

impl<T: Copy + Default> Tensor<T> {
    /// A tensor of zeros. As [`Tensor::filled`].
    ///
    /// # Errors
    /// As [`Tensor::filled`].
    pub fn zeros(shape: [usize; 4]) -> Result<Self, Error> {
        Self::filled(shape, T::default())
    }
}

impl<T: Copy + PartialEq> PartialEq for Tensor<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.as_slice() == other.as_slice()
    }
}
