//! Slices at the crossings of rows and columns, proven to lie in a buffer once instead of at every read and write.
//!
//! A transform of a tile reads and writes a vector at every second instruction, at places that depend on the image and on the
//! tile beside it. A check for each would take about as many instructions as the transform.

use core::array::from_fn;
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
        Marks { at: from_fn(place), inside, last }
    }

    /// Any places.
    #[inline(always)]
    pub fn listed(at: [usize; MOST], count: usize) -> Self {
        let mut last = 0;
        for &at in &at[..count] {
            last = last.max(at);
        }
        Marks { at, inside: 0..count, last }
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
pub(crate) struct Crossings<'a, T> {
    data: &'a [T],
    /// Of the rows and of the columns.
    marks: [&'a Marks; 2],
    zeros: &'a [T],
    len: usize,
}

/// The slices of a line.
pub(crate) struct Line<'a, T, const N: usize> {
    slices: [&'a [T]; N],
    len: usize,
}

impl<'a, T> Crossings<'a, T> {
    /// Panics where there are not `len` zeros, or a slice inside would leave `data`.
    #[inline(always)]
    pub fn new(data: &'a [T], marks: [&'a Marks; 2], zeros: &'a [T], len: usize) -> Self {
        prove(marks, len, data.len());
        Crossings { data, marks, zeros: &zeros[..len], len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The slices of a line: the first `N` of row `line`, where `along` is 1, or of a column, where it is 0.
    #[inline(always)]
    pub fn line<const N: usize>(&self, along: usize, line: usize) -> Line<'a, T, N> {
        let (across, along) = (self.marks[1 - along], self.marks[along]);
        let slices = if !across.inside.contains(&line) {
            [self.zeros; N]
        } else if along.inside.start == 0 && along.inside.end >= N {
            from_fn(|k| read(self, across.at[line] + along.at[k]))
        } else {
            from_fn(|k| match along.inside.contains(&k) {
                true => read(self, across.at[line] + along.at[k]),
                false => self.zeros,
            })
        };
        Line { slices, len: self.len }
    }
}

impl<'a, T, const N: usize> Line<'a, T, N> {
    /// `len` elements of slice `k` from `c` on.
    #[inline(always)]
    #[cfg_attr(any(feature = "std", feature = "simd"), allow(unsafe_code))] // reads that were proven together
    pub fn part(&self, k: usize, c: usize, len: usize) -> &'a [T] {
        assert!(c <= self.len && len <= self.len - c, "beyond the slice");
        #[cfg(any(feature = "std", feature = "simd"))]
        // SAFETY: all slices have `self.len` elements (`Crossings::line`, the only one to make a `Line`), and the part lies in those
        // (the first line).
        return unsafe { self.slices[k].get_unchecked(c..c + len) };
        #[cfg(not(any(feature = "std", feature = "simd")))]
        &self.slices[k][c..][..len]
    }
}

#[cfg(any(feature = "std", feature = "simd"))]
#[inline(always)]
#[allow(unsafe_code)] // reads that were proven together
fn read<'a, T>(crossings: &Crossings<'a, T>, at: usize) -> &'a [T] {
    // SAFETY: `at` is the sum of the places of a row and of a column that are inside, by the checks in `Crossings::line`, the only
    // caller. None of these is larger than its `Marks::last`, as its constructors see to, and `Crossings::new` has seen that the
    // slice at the sum of those two lies in `data`.
    unsafe { core::slice::from_raw_parts(crossings.data.as_ptr().add(at), crossings.len) }
}

#[cfg(not(any(feature = "std", feature = "simd")))]
#[inline(always)]
fn read<'a, T>(crossings: &Crossings<'a, T>, at: usize) -> &'a [T] {
    &crossings.data[at..][..crossings.len]
}

/// Slices of the same length to be written, one after the other.
pub(crate) struct CrossingsMut<'a, T> {
    data: &'a mut [T],
    marks: [&'a Marks; 2],
    len: usize,
}

/// The slices of a line.
pub(crate) struct LineMut<'a, T, const N: usize> {
    data: &'a mut [T],
    starts: [usize; N],
    len: usize,
}

impl<'a, T> CrossingsMut<'a, T> {
    /// Panics where a slice would leave `data`.
    #[inline(always)]
    pub fn new(data: &'a mut [T], marks: [&'a Marks; 2], len: usize) -> Self {
        prove(marks, len, data.len());
        CrossingsMut { data, marks, len }
    }

    /// The slices of a line: the first `N` of row `line`, where `along` is 1, or of a column, where it is 0. All of them must be
    /// inside.
    #[inline(always)]
    pub fn line<const N: usize>(&mut self, along: usize, line: usize) -> LineMut<'_, T, N> {
        let (across, along) = (self.marks[1 - along], self.marks[along]);
        let is_inside = across.inside.contains(&line) && along.inside.start == 0 && along.inside.end >= N;
        assert!(is_inside, "outside of the crossings");
        LineMut { data: self.data, starts: from_fn(|k| across.at[line] + along.at[k]), len: self.len }
    }
}

impl<T, const N: usize> LineMut<'_, T, N> {
    /// `len` elements of slice `k` from `c` on.
    #[inline(always)]
    #[cfg_attr(any(feature = "std", feature = "simd"), allow(unsafe_code))] // writes that were proven together
    pub fn part(&mut self, k: usize, c: usize, len: usize) -> &mut [T] {
        assert!(c <= self.len && len <= self.len - c, "beyond the slice");
        let start = self.starts[k] + c;
        #[cfg(any(feature = "std", feature = "simd"))]
        // SAFETY: the part lies in a slice of `self.len` elements (the first line), which lies in `data`: its start is the sum of the
        // places of a row and a column that are inside (`CrossingsMut::line`, the only one to make a `LineMut`). None of these is
        // larger than its `Marks::last`, and `CrossingsMut::new` has seen that the slice at the sum of those two does.
        return unsafe { self.data.get_unchecked_mut(start..start + len) };
        #[cfg(not(any(feature = "std", feature = "simd")))]
        &mut self.data[start..][..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn marks(places: [usize; 3]) -> Marks {
        Marks::listed(from_fn(|k| places.get(k).copied().unwrap_or(usize::MAX)), 3)
    }

    #[test]
    fn reads_and_writes_what_a_slice_has_there() {
        let data: Vec<usize> = (0..50).collect();
        let (rows, columns, zeros) = (Marks::image(-5, 10, 1..3), marks([3, 0, 25]), [0; 4]);
        let x = Crossings::new(&data, [&rows, &columns], &zeros, 4);
        let line = |along, line| {
            let line = x.line::<3>(along, line);
            [0, 1, 2].map(|k| line.part(k, 0, 4).to_vec())
        };
        assert_eq!(line(1, 2), [&data[18..22], &data[15..19], &data[40..44]]);
        assert_eq!(line(0, 0), [&zeros[..], &data[8..12], &data[18..22]]);
        assert_eq!(line(1, 0), [&zeros[..]; 3]);
        assert_eq!(x.line::<3>(1, 1).part(0, 2, 2), &data[10..12]);
        let (mut data, rows) = (vec![0; 49], Marks::regular(3, 10));
        let mut y = CrossingsMut::new(&mut data, [&rows, &columns], 4);
        y.line::<3>(0, 2).part(1, 1, 3).copy_from_slice(&[7, 8, 9]);
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
        assert!(fails(&mut || _ = x.line::<3>(0, 0).part(1, 1, 4)));
        assert!(fails(&mut || _ = x.line::<3>(0, 0).part(1, 5, 0)));
        assert!(fails(&mut || _ = CrossingsMut::new(&mut data, at, 5).len));
        for (line, k, c, len) in [(3, 0, 0, 1), (0, 3, 0, 1), (0, 0, 1, 4), (0, 0, 5, 0), (0, 0, usize::MAX, 2)] {
            let mut y = CrossingsMut::new(&mut data, at, 4);
            assert!(fails(&mut || _ = y.line::<3>(0, line).part(k, c, len)), "{line} {k} {c} {len}");
        }
        assert!(fails(&mut || _ = CrossingsMut::new(&mut data, at, 4).line::<4>(0, 0).len));
    }
}
