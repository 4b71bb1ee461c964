//! Slices at the crossings of rows and columns, proven to lie in a buffer once instead of at every read and write.
//!
//! A transform of a tile reads and writes a vector at every second instruction, at places that depend on the image and on the
//! tile beside it. A check for each would take about as many instructions as the transform.

use super::unrolled;
use core::ops::Range;

/// The most rows, and columns.
pub(crate) const MOST: usize = 11;

/// Where the rows, or the columns, of a tile are: a slice starts at the sum of its row's and its column's place.
pub(crate) struct Marks {
    at: [usize; MOST],
    /// Those that there are; the others stand for zeros.
    inside: Range<usize>,
    /// The largest place of those inside.
    last: usize,
}

impl Marks {
    /// `count` places, `step` from one to the next.
    #[inline(always)]
    pub fn regular(count: usize, step: usize) -> Self {
        Self::image(0, step, 0..count)
    }

    /// Places in an image, `step` from one to the next, the first of which may lie before it: those inside do not.
    #[inline(always)]
    pub fn image(first: isize, step: usize, inside: Range<usize>) -> Self {
        let place = |k: usize| (first as usize).wrapping_add(k.wrapping_mul(step));
        let mut at = [0; MOST];
        unrolled!(k in 0..MOST, { at[k] = place(k); });
        let last = match inside.is_empty() {
            true => 0,
            false => {
                assert!(inside.end <= MOST, "more places than there are");
                let reach = |k: usize| step.checked_mul(k).and_then(|reach| first.checked_add_unsigned(reach));
                // The places inside rise from the first one, which is not negative, to the last, without an overflow.
                let ends = [inside.start, inside.end - 1].map(reach);
                assert!(ends.iter().all(|place| place.is_some_and(|place| place >= 0)), "before the slice");
                place(inside.end - 1)
            }
        };
        Marks { at, inside, last }
    }

    /// Any `count` places.
    #[inline(always)]
    pub fn listed(count: usize, place: impl Fn(usize) -> usize) -> Self {
        let (mut at, mut last) = ([0; MOST], 0);
        for (k, at) in at[..count].iter_mut().enumerate() {
            *at = place(k);
            last = last.max(*at);
        }
        Marks { at, inside: 0..count, last }
    }
}

impl Marks {
    /// The first `N`, of which not all need be inside.
    #[inline(always)]
    fn first<const N: usize>(&self) -> [usize; N] {
        *self.at.first_chunk().expect("as many places")
    }
}

/// Panics where one of the slices of `len` elements would leave a buffer of `size`.
#[inline(always)]
fn prove([rows, columns]: [&Marks; 2], len: usize, size: usize) {
    let end = rows.last.checked_add(columns.last).and_then(|start| start.checked_add(len));
    let is_empty = rows.inside.is_empty() || columns.inside.is_empty();
    assert!(is_empty || end.is_some_and(|end| end <= size), "beyond the slice");
}

/// Slices of the same length to be read, which are zeros beyond some rows and columns.
#[derive(Clone, Copy)]
pub(crate) struct Crossings<'a, T> {
    data: &'a [T],
    /// Of the rows and of the columns.
    marks: [&'a Marks; 2],
    zeros: &'a [T],
    len: usize,
}

/// The first `N` slices of each line.
pub(crate) struct Lines<'a, T, const N: usize> {
    of: Crossings<'a, T>,
    /// The axis that the lines run across.
    across: &'a Marks,
    /// Where a line's slices are, and a bit for each that is inside.
    at: [usize; N],
    inside: u32,
}

/// The slices of a line.
pub(crate) struct Line<'a, T, const N: usize> {
    starts: [Start<'a, T>; N],
    len: usize,
}

impl<'a, T: Copy> Crossings<'a, T> {
    /// Panics where there are not `len` zeros, or a slice inside would leave `data`.
    #[inline(always)]
    pub fn new(data: &'a [T], marks: [&'a Marks; 2], zeros: &'a [T], len: usize) -> Self {
        prove(marks, len, data.len());
        Crossings { data, marks, zeros: &zeros[..len], len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Lines that run along the rows, where `along` is 1, or along the columns, where it is 0.
    #[inline(always)]
    pub fn lines<const N: usize>(self, along: usize) -> Lines<'a, T, N> {
        let (across, along) = (self.marks[1 - along], self.marks[along]);
        let up_to = |k: usize| (1 << k.min(N)) - 1;
        let inside = up_to(along.inside.end) & !up_to(along.inside.start);
        Lines { of: self, across, at: along.first(), inside }
    }
}

impl<'a, T: Copy, const N: usize> Lines<'a, T, N> {
    #[inline(always)]
    pub fn line(&self, line: usize) -> Line<'a, T, N> {
        let Crossings { data, zeros, len, .. } = self.of;
        let mut starts = [Start::new(zeros, 0); N];
        let inside = if self.across.inside.contains(&line) { self.inside } else { 0 };
        let start = self.across.at[line];
        unrolled!(k in 0..N, {
            if inside & 1 << k != 0 {
                starts[k] = Start::new(data, start.wrapping_add(self.at[k]));
            }
        });
        Line { starts, len }
    }
}

impl<'a, T: Copy, const N: usize> Line<'a, T, N> {
    /// `len` elements of each slice, from `c` on.
    #[inline(always)]
    pub fn parts(&self, c: usize, len: usize) -> [&'a [T]; N] {
        assert!(len <= self.len && c <= self.len - len, "beyond the slice");
        let mut parts = [&[][..]; N];
        unrolled!(k in 0..N, { parts[k] = self.starts[k].part(c, len); });
        parts
    }
}

/// Where a slice starts.
#[cfg(any(feature = "std", feature = "simd"))]
#[derive(Clone, Copy)]
struct Start<'a, T>(*const T, core::marker::PhantomData<&'a [T]>);

#[cfg(any(feature = "std", feature = "simd"))]
impl<'a, T> Start<'a, T> {
    #[inline(always)]
    fn new(data: &'a [T], at: usize) -> Self {
        Start(data.as_ptr().wrapping_add(at), core::marker::PhantomData)
    }

    /// `len` elements, from `c` on.
    #[inline(always)]
    #[allow(unsafe_code)] // reads that were proven together
    fn part(self, c: usize, len: usize) -> &'a [T] {
        // SAFETY: `Line::parts`, the only caller, has seen that the part lies in a slice of `Line::len` elements. Such a slice starts
        // here: `Lines::line` is the only one to make these, of the zeros, of which there are as many, or of a sum of the places of a
        // row and of a column that are inside. None of those is larger than its `Marks::last`, as its constructors see to, and
        // `Crossings::new`, without which there are no `Lines`, has seen that the slice at the sum of these two lies in `data`.
        unsafe { core::slice::from_raw_parts(self.0.add(c), len) }
    }
}

#[cfg(not(any(feature = "std", feature = "simd")))]
#[derive(Clone, Copy)]
struct Start<'a, T>(&'a [T], usize);

#[cfg(not(any(feature = "std", feature = "simd")))]
impl<'a, T> Start<'a, T> {
    fn new(data: &'a [T], at: usize) -> Self {
        Start(data, at)
    }

    fn part(self, c: usize, len: usize) -> &'a [T] {
        &self.0[self.1..][c..][..len]
    }
}

/// Slices of the same length to be written, one after the other.
pub(crate) struct CrossingsMut<'a, T> {
    data: &'a mut [T],
    marks: [&'a Marks; 2],
    len: usize,
}

/// The first `N` slices of each line.
pub(crate) struct LinesMut<'a, T, const N: usize> {
    data: &'a mut [T],
    across: &'a Marks,
    at: [usize; N],
    len: usize,
}

/// The slices of a line.
pub(crate) struct LineMut<'a, T, const N: usize> {
    data: &'a mut [T],
    start: usize,
    at: [usize; N],
    len: usize,
}

impl<'a, T> CrossingsMut<'a, T> {
    /// Panics where a slice would leave `data`.
    #[inline(always)]
    pub fn new(data: &'a mut [T], marks: [&'a Marks; 2], len: usize) -> Self {
        prove(marks, len, data.len());
        CrossingsMut { data, marks, len }
    }

    /// Lines that run along the rows, where `along` is 1, or along the columns, where it is 0. Their slices must be inside.
    #[inline(always)]
    pub fn lines<const N: usize>(&mut self, along: usize) -> LinesMut<'_, T, N> {
        let (across, along) = (self.marks[1 - along], self.marks[along]);
        assert!(along.inside.start == 0 && along.inside.end >= N, "outside of the crossings");
        LinesMut { data: self.data, across, at: along.first(), len: self.len }
    }
}

impl<T, const N: usize> LinesMut<'_, T, N> {
    /// A line that is inside.
    #[inline(always)]
    pub fn line(&mut self, line: usize) -> LineMut<'_, T, N> {
        assert!(self.across.inside.contains(&line), "outside of the crossings");
        LineMut { data: self.data, start: self.across.at[line], at: self.at, len: self.len }
    }
}

impl<T, const N: usize> LineMut<'_, T, N> {
    /// The elements of each slice from `c` on.
    #[inline(always)]
    pub fn parts(&mut self, c: usize, len: usize) -> PartsMut<'_, T, N> {
        assert!(len <= self.len && c <= self.len - len, "beyond the slice");
        PartsMut { data: self.data, start: self.start + c, at: self.at, len }
    }
}

/// Some elements of each slice of a line.
pub(crate) struct PartsMut<'a, T, const N: usize> {
    data: &'a mut [T],
    start: usize,
    at: [usize; N],
    len: usize,
}

impl<T, const N: usize> PartsMut<'_, T, N> {
    /// Those of slice `k`.
    #[inline(always)]
    #[cfg_attr(any(feature = "std", feature = "simd"), allow(unsafe_code))] // writes that were proven together
    pub fn part(&mut self, k: usize) -> &mut [T] {
        let start = self.start + self.at[k];
        #[cfg(any(feature = "std", feature = "simd"))]
        // SAFETY: the part lies in a slice (`LineMut::parts`, the only one to make a `PartsMut`) that starts at the sum of the
        // places of a row and a column that are inside (`CrossingsMut::lines` and `LinesMut::line`). None of these is larger than
        // its `Marks::last`, and `CrossingsMut::new` has seen that the slice at the sum of those two lies in `data`.
        return unsafe { self.data.get_unchecked_mut(start..start + self.len) };
        #[cfg(not(any(feature = "std", feature = "simd")))]
        &mut self.data[start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn marks(places: [usize; 3]) -> Marks {
        Marks::listed(3, |k| places[k])
    }

    #[test]
    fn reads_and_writes_what_a_slice_has_there() {
        let data: Vec<usize> = (0..50).collect();
        let (rows, columns, zeros) = (Marks::image(-5, 10, 1..3), marks([3, 0, 25]), [0; 4]);
        let x = Crossings::new(&data, [&rows, &columns], &zeros, 4);
        let line = |along, line| x.lines::<3>(along).line(line).parts(0, 4).map(<[usize]>::to_vec);
        assert_eq!(line(1, 2), [&data[18..22], &data[15..19], &data[40..44]]);
        assert_eq!(line(0, 0), [&zeros[..], &data[8..12], &data[18..22]]);
        assert_eq!(line(1, 0), [&zeros[..]; 3]);
        assert_eq!(x.lines::<3>(1).line(1).parts(2, 2)[0], &data[10..12]);
        let (mut data, rows) = (vec![0; 49], Marks::regular(3, 10));
        let mut y = CrossingsMut::new(&mut data, [&rows, &columns], 4);
        y.lines::<3>(0).line(2).parts(1, 3).part(1).copy_from_slice(&[7, 8, 9]);
        assert_eq!(data[35..39], [0, 7, 8, 9]);
    }

    #[test]
    #[cfg(feature = "std")]
    fn refuses_what_leaves_the_slice() {
        let mut data = [0; 49];
        let (rows, columns) = (Marks::regular(3, 10), marks([3, 0, 25]));
        let at = [&rows, &columns];
        let fails = |f: &mut dyn FnMut()| std::panic::catch_unwind(core::panic::AssertUnwindSafe(f)).is_err();
        assert!(!fails(&mut || _ = Crossings::new(&data, at, &[0; 9], 4).len()));
        assert!(fails(&mut || _ = Crossings::new(&data, at, &[0; 9], 5).len()));
        assert!(fails(&mut || _ = Crossings::new(&data, at, &[0; 3], 4).len()));
        assert!(fails(&mut || _ = Marks::regular(12, 1)));
        assert!(fails(&mut || _ = Marks::image(-5, 10, 0..3)));
        assert!(fails(&mut || _ = Marks::image(isize::MAX, 1, 0..3)));
        assert!(fails(&mut || _ = Marks::regular(3, usize::MAX)));
        let x = Crossings::new(&data, at, &[0; 4], 4);
        assert!(fails(&mut || _ = x.lines::<3>(0).line(0).parts(1, 4)));
        assert!(fails(&mut || _ = x.lines::<3>(0).line(0).parts(5, 0)));
        assert!(fails(&mut || _ = CrossingsMut::new(&mut data, at, 5).len));
        for (line, k, c, len) in [(3, 0, 0, 1), (0, 3, 0, 1), (0, 0, 1, 4), (0, 0, 5, 0), (0, 0, usize::MAX, 2)] {
            let mut y = CrossingsMut::new(&mut data, at, 4);
            assert!(fails(&mut || _ = y.lines::<3>(0).line(line).parts(c, len).part(k)), "{line} {k} {c} {len}");
        }
        assert!(fails(&mut || _ = CrossingsMut::new(&mut data, at, 4).lines::<4>(0).len));
    }
}
