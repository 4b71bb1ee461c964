//! Slices at the crossings of rows and columns, proven to lie in a buffer once instead of at every read and write.
//!
//! A transform of a tile reads and writes a vector at every second instruction, at places that depend on the image and on the
//! tile beside it. A check for each would take about as many instructions as the transform.

use super::unrolled;
use core::ops::Range;

/// The most rows, and columns, of those that are listed, and of a tile.
pub(crate) const MOST: usize = 11;

/// Where the rows, or the columns, of a tile are: a slice starts at the sum of its row's and its column's place.
pub(crate) struct Marks {
    /// The first ones, and from each to the next, where they are regular: then there may be more of them.
    at: [usize; MOST],
    step: usize,
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
                let reach = |k: usize| step.checked_mul(k).and_then(|reach| first.checked_add_unsigned(reach));
                // The places inside rise from the first one, which is not negative, to the last, without an overflow.
                let ends = [inside.start, inside.end - 1].map(reach);
                assert!(ends.iter().all(|place| place.is_some_and(|place| place >= 0)), "before the slice");
                place(inside.end - 1)
            }
        };
        Marks { at, step, inside, last }
    }

    /// Any `count` places.
    #[inline(always)]
    pub fn listed(count: usize, place: impl Fn(usize) -> usize) -> Self {
        let (mut at, mut last) = ([0; MOST], 0);
        for (k, at) in at[..count].iter_mut().enumerate() {
            *at = place(k);
            last = last.max(*at);
        }
        Marks { at, step: 0, inside: 0..count, last }
    }
}

impl Marks {
    /// One of those inside.
    #[inline(always)]
    fn place(&self, k: usize) -> usize {
        self.at.get(k).copied().unwrap_or(self.at[0].wrapping_add(k.wrapping_mul(self.step)))
    }

    /// The first `N`, of which not all need be inside.
    #[inline(always)]
    fn first<const N: usize>(&self) -> [usize; N] {
        *self.at.first_chunk().expect("as many places")
    }
}

/// Crossings that repeat themselves: how often, and how far from each to the next.
#[derive(Clone, Copy)]
struct Repeat {
    count: usize,
    step: usize,
}

const ONCE: Repeat = Repeat { count: 1, step: 0 };

/// Panics where one of the slices of `len` elements would leave a buffer of `size`.
#[inline(always)]
fn prove([rows, columns]: [&Marks; 2], repeat: Repeat, len: usize, size: usize) {
    let reach = repeat.step.checked_mul(repeat.count.saturating_sub(1)).and_then(|reach| reach.checked_add(len));
    let start = rows.last.checked_add(columns.last);
    let end = start.and_then(|start| start.checked_add(reach?));
    let is_empty = rows.inside.is_empty() || columns.inside.is_empty();
    assert!(is_empty || end.is_some_and(|end| end <= size), "beyond the slice");
}

/// Slices of the same length to be read, which are zeros beyond some rows and columns.
#[derive(Clone, Copy)]
pub(crate) struct Crossings<'a, T> {
    data: &'a [T],
    /// Of the rows and of the columns.
    marks: [&'a Marks; 2],
    repeat: Repeat,
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
    repeat: Repeat,
    len: usize,
}

impl<'a, T: Copy> Crossings<'a, T> {
    /// Panics where there are not `len` zeros, or a slice inside would leave `data`.
    #[inline(always)]
    pub fn new(data: &'a [T], marks: [&'a Marks; 2], zeros: &'a [T], len: usize) -> Self {
        prove(marks, ONCE, len, data.len());
        Crossings { data, marks, repeat: ONCE, zeros: &zeros[..len], len }
    }

    /// The same `count` times, `step` from one to the next: all slices that are read must be inside. Panics where one would leave
    /// `data`.
    #[inline(always)]
    pub fn repeated(self, count: usize, step: usize) -> Self {
        let repeat = Repeat { count, step };
        prove(self.marks, repeat, self.len, self.data.len());
        Crossings { repeat, ..self }
    }

    /// How often they repeat themselves.
    pub fn count(&self) -> usize {
        self.repeat.count
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
        let Crossings { data, zeros, len, repeat, .. } = self.of;
        let mut starts = [Start::new(zeros, 0); N];
        let inside = if self.across.inside.contains(&line) { self.inside } else { 0 };
        assert!(repeat.count == 1 || inside == (1 << N) - 1, "zeros that repeat themselves");
        let start = self.across.place(line);
        unrolled!(k in 0..N, {
            if inside & 1 << k != 0 {
                starts[k] = Start::new(data, start.wrapping_add(self.at[k]));
            }
        });
        Line { starts, repeat, len }
    }
}

impl<'a, T: Copy, const N: usize> Line<'a, T, N> {
    /// `len` elements of each slice, the `time`-th time that there is, from `c` on.
    #[inline(always)]
    pub fn parts(&self, time: usize, c: usize, len: usize) -> [&'a [T]; N] {
        assert!(time < self.repeat.count && len <= self.len && c <= self.len - len, "beyond the slice");
        let mut parts = [&[][..]; N];
        unrolled!(k in 0..N, { parts[k] = self.starts[k].part(time * self.repeat.step + c, len); });
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
        // SAFETY: `Line::parts`, the only caller, has seen that the part lies in a slice of `Line::len` elements, which starts so
        // many steps behind this. `Lines::line` is the only one to make these: of the zeros, of which there are as many, where there
        // are no steps, or of a sum of the places of a row and of a column that are inside. None of those is larger than its
        // `Marks::last`, as its constructors see to, and `Crossings::new` or `repeated`, without which there are no `Lines`, has seen
        // that the slice at the sum of these two, all steps behind it, lies in `data`.
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
    repeat: Repeat,
    len: usize,
}

/// The first `N` slices of each line.
pub(crate) struct LinesMut<'a, T, const N: usize> {
    data: &'a mut [T],
    across: &'a Marks,
    at: [usize; N],
    repeat: Repeat,
    len: usize,
}

/// The slices of a line.
pub(crate) struct LineMut<'a, T, const N: usize> {
    data: &'a mut [T],
    start: usize,
    at: [usize; N],
    repeat: Repeat,
    len: usize,
}

impl<'a, T> CrossingsMut<'a, T> {
    /// Panics where a slice would leave `data`.
    #[inline(always)]
    pub fn new(data: &'a mut [T], marks: [&'a Marks; 2], len: usize) -> Self {
        prove(marks, ONCE, len, data.len());
        CrossingsMut { data, marks, repeat: ONCE, len }
    }

    /// The same `count` times, `step` from one to the next. Panics where one would leave `data`.
    #[inline(always)]
    pub fn repeated(self, count: usize, step: usize) -> Self {
        let repeat = Repeat { count, step };
        prove(self.marks, repeat, self.len, self.data.len());
        CrossingsMut { repeat, ..self }
    }

    /// Lines that run along the rows, where `along` is 1, or along the columns, where it is 0. Their slices must be inside.
    #[inline(always)]
    pub fn lines<const N: usize>(&mut self, along: usize) -> LinesMut<'_, T, N> {
        let (across, along) = (self.marks[1 - along], self.marks[along]);
        assert!(along.inside.start == 0 && along.inside.end >= N, "outside of the crossings");
        LinesMut { data: self.data, across, at: along.first(), repeat: self.repeat, len: self.len }
    }
}

impl<T, const N: usize> LinesMut<'_, T, N> {
    /// A line that is inside.
    #[inline(always)]
    pub fn line(&mut self, line: usize) -> LineMut<'_, T, N> {
        assert!(self.across.inside.contains(&line), "outside of the crossings");
        LineMut { data: self.data, start: self.across.place(line), at: self.at, repeat: self.repeat, len: self.len }
    }
}

impl<T, const N: usize> LineMut<'_, T, N> {
    /// `len` elements of each slice, the `time`-th time that there is, from `c` on.
    #[inline(always)]
    pub fn parts(&mut self, time: usize, c: usize, len: usize) -> PartsMut<'_, T, N> {
        assert!(time < self.repeat.count && len <= self.len && c <= self.len - len, "beyond the slice");
        PartsMut { data: self.data, start: self.start + time * self.repeat.step + c, at: self.at, len }
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
        // places of a row and a column that are inside (`CrossingsMut::lines` and `LinesMut::line`), or some of the steps behind. None
        // of these is larger than its `Marks::last`, and `CrossingsMut::new` or `repeated` has seen that the slice at the sum of those
        // two, all steps behind it, lies in `data`.
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
        let line = |along, line| x.lines::<3>(along).line(line).parts(0, 0, 4).map(<[usize]>::to_vec);
        assert_eq!(line(1, 2), [&data[18..22], &data[15..19], &data[40..44]]);
        assert_eq!(line(0, 0), [&zeros[..], &data[8..12], &data[18..22]]);
        assert_eq!(line(1, 0), [&zeros[..]; 3]);
        assert_eq!(x.lines::<3>(1).line(1).parts(0, 2, 2)[0], &data[10..12]);
        let (mut data, rows) = (vec![0; 49], Marks::regular(3, 10));
        let mut y = CrossingsMut::new(&mut data, [&rows, &columns], 4);
        y.lines::<3>(0).line(2).parts(0, 1, 3).part(1).copy_from_slice(&[7, 8, 9]);
        assert_eq!(data[35..39], [0, 7, 8, 9]);
        // Twenty rows, and the same twice more.
        let (rows, columns) = (Marks::regular(20, 2), Marks::regular(2, 1));
        let mut y = CrossingsMut::new(&mut data, [&rows, &columns], 1).repeated(3, 4);
        y.lines::<2>(1).line(19).parts(2, 0, 1).part(1)[0] = 5;
        assert_eq!(data[38 + 8 + 1], 5);
        let x = Crossings::new(&data, [&rows, &columns], &data, 1).repeated(3, 4);
        assert_eq!((x.count(), x.lines::<2>(1).line(19).parts(2, 0, 1)[1]), (3, &[5][..]));
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
        assert!(fails(&mut || _ = Marks::listed(12, |k| k)));
        assert!(fails(&mut || _ = Marks::image(-5, 10, 0..3)));
        assert!(fails(&mut || _ = Marks::image(isize::MAX, 1, 0..3)));
        assert!(fails(&mut || _ = Marks::regular(3, usize::MAX)));
        let x = Crossings::new(&data, at, &[0; 4], 4);
        assert!(fails(&mut || _ = x.lines::<3>(0).line(0).parts(0, 1, 4)));
        assert!(fails(&mut || _ = x.lines::<3>(0).line(0).parts(0, 5, 0)));
        assert!(fails(&mut || _ = x.lines::<3>(0).line(0).parts(1, 0, 4)));
        assert!(fails(&mut || _ = x.repeated(2, 1)) && fails(&mut || _ = x.repeated(2, usize::MAX)));
        let few = Marks::regular(2, 10);
        let x = Crossings::new(&data, [&few, &columns], &[0; 4], 4).repeated(2, 10);
        assert_eq!(x.lines::<2>(0).line(0).parts(1, 0, 4)[1].len(), 4);
        assert!(fails(&mut || _ = x.lines::<3>(0).line(0).parts(0, 0, 4)), "zeros are not repeated");
        assert!(fails(&mut || _ = x.lines::<2>(0).line(0).parts(2, 0, 4)));
        assert!(fails(&mut || _ = CrossingsMut::new(&mut data, at, 4).repeated(2, 1).len));
        assert!(fails(&mut || _ = CrossingsMut::new(&mut data, at, 5).len));
        for (line, k, c, len) in [(3, 0, 0, 1), (0, 3, 0, 1), (0, 0, 1, 4), (0, 0, 5, 0), (0, 0, usize::MAX, 2)] {
            let mut y = CrossingsMut::new(&mut data, at, 4);
            assert!(fails(&mut || _ = y.lines::<3>(0).line(line).parts(0, c, len).part(k)), "{line} {k} {c} {len}");
        }
        assert!(fails(&mut || _ = CrossingsMut::new(&mut data, at, 4).lines::<4>(0).len));
    }
}
