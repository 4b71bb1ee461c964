//! Slices along several lines, proven to lie in a buffer once instead of at every read.

/// Slices of `len` elements at `count` places of each of `N` lines, or of some of them.
#[derive(Clone, Copy)]
pub(crate) struct Tracks<'a, T, const N: usize> {
    data: &'a [T],
    starts: [Option<usize>; N],
    step: isize,
    count: usize,
    len: usize,
}

impl<'a, T: Copy, const N: usize> Tracks<'a, T, N> {
    /// Lines that start in `data`, `step` from a place to the next; a line without a start is not there. Panics where a slice would leave
    /// `data`. A step along lines of one place may be any number.
    #[inline(always)]
    pub fn new(data: &'a [T], starts: [Option<usize>; N], step: isize, count: usize, len: usize) -> Self {
        let last = count.saturating_sub(1);
        let reach =
            if last == 0 { Some(0) } else { isize::try_from(last).ok().and_then(|last| step.checked_mul(last)) };
        let reach = reach.expect("lines of any length");
        for start in starts.into_iter().flatten() {
            let fits = |at: Option<usize>| at.and_then(|at| at.checked_add(len)).is_some_and(|end| end <= data.len());
            assert!(count == 0 || (fits(Some(start)) && fits(start.checked_add_signed(reach))), "beyond the slice");
        }
        Tracks { data, starts, step, count, len }
    }

    /// Elements of a slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// `count` places of each line, from place `i` on.
    #[inline(always)]
    pub fn part(&self, i: usize, count: usize) -> Self {
        assert!(i <= self.count && count <= self.count - i, "beyond the line");
        let reach = self.step.wrapping_mul(i as isize);
        Tracks { starts: self.starts.map(|start| start.map(|start| start.wrapping_add_signed(reach))), count, ..*self }
    }

    /// `len` elements of all slices, from `c` on, from place to place.
    #[inline(always)]
    pub fn walk(&self, c: usize, len: usize) -> Walk<'a, T, N> {
        assert!(len <= self.len && c <= self.len - len, "beyond the slice");
        Walk::new(self, c, len)
    }
}

#[cfg(any(feature = "std", feature = "simd"))]
pub(crate) use proven::Walk;

#[cfg(any(feature = "std", feature = "simd"))]
mod proven {
    #![allow(unsafe_code)] // reads that were proven together
    use super::Tracks;
    use core::marker::PhantomData;

    /// A place of each line of some [`Tracks`], and those behind it.
    pub(crate) struct Walk<'a, T, const N: usize> {
        slices: [*const T; N],
        /// A bit for each line that is there.
        lines: u32,
        step: isize,
        left: usize,
        len: usize,
        data: PhantomData<&'a [T]>,
    }

    impl<'a, T: Copy, const N: usize> Walk<'a, T, N> {
        #[inline(always)]
        pub(super) fn new(tracks: &Tracks<'a, T, N>, c: usize, len: usize) -> Self {
            const { assert!(N <= 32, "as many bits") };
            let slices =
                tracks.starts.map(|start| tracks.data.as_ptr().wrapping_add(start.unwrap_or(0)).wrapping_add(c));
            let lines = (0..N).filter(|&line| tracks.starts[line].is_some()).fold(0, |lines, line| lines | 1 << line);
            Walk { slices, lines, step: tracks.step, left: tracks.count, len, data: PhantomData }
        }

        /// Whether a line is there.
        #[inline(always)]
        pub fn has(&self, line: usize) -> bool {
            line < N && self.lines & (1 << line) != 0
        }

        /// Places that are left, this one included.
        pub fn left(&self) -> usize {
            self.left
        }

        /// The slice of a line at this place.
        #[inline(always)]
        pub fn get(&self, line: usize) -> &'a [T] {
            assert!(self.has(line), "a line that is not there");
            assert!(self.left > 0, "beyond the line");
            // SAFETY: a place of a line is left, so this is one (`Tracks::part` gives places of the same lines, and `advance` goes
            // from one to the next). `Tracks::new` has seen that the slices at both ends of the line lie in the data, so
            // those between them do, and `Tracks::walk` that this is a part of one.
            unsafe { core::slice::from_raw_parts(self.slices[line], self.len) }
        }

        /// Goes to the next place.
        #[inline(always)]
        pub fn advance(&mut self) {
            assert!(self.left > 0, "beyond the line");
            self.left -= 1;
            for line in 0..N {
                self.slices[line] = self.slices[line].wrapping_offset(self.step);
            }
        }
    }
}

#[cfg(not(any(feature = "std", feature = "simd")))]
pub(crate) use checked::Walk;

#[cfg(not(any(feature = "std", feature = "simd")))]
mod checked {
    use super::Tracks;

    /// A place of each line of some [`Tracks`], and those behind it.
    pub(crate) struct Walk<'a, T, const N: usize> {
        tracks: Tracks<'a, T, N>,
        c: usize,
        len: usize,
    }

    impl<'a, T: Copy, const N: usize> Walk<'a, T, N> {
        pub(super) fn new(&tracks: &Tracks<'a, T, N>, c: usize, len: usize) -> Self {
            Walk { tracks, c, len }
        }

        pub fn left(&self) -> usize {
            self.tracks.count
        }

        pub fn has(&self, line: usize) -> bool {
            self.tracks.starts.get(line).is_some_and(Option::is_some)
        }

        pub fn get(&self, line: usize) -> &'a [T] {
            assert!(self.left() > 0, "beyond the line");
            let start = self.tracks.starts[line].expect("a line that is there");
            &self.tracks.data[start..][self.c..][..self.len]
        }

        pub fn advance(&mut self) {
            self.tracks = self.tracks.part(1, self.left() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The slice at place `i` of a line.
    fn get<'a, const N: usize>(tracks: &Tracks<'a, usize, N>, line: usize, i: usize) -> &'a [usize] {
        let mut walk = tracks.walk(0, tracks.len());
        (0..i).for_each(|_| walk.advance());
        assert_eq!(walk.left(), tracks.count - i);
        walk.get(line)
    }

    #[test]
    fn reads_what_a_slice_has_there() {
        let data: Vec<usize> = (0..40).collect();
        let tracks = Tracks::new(&data, [Some(1), None, Some(16)], 10, 3, 4);
        assert_eq!((tracks.count, tracks.len()), (3, 4));
        assert_eq!(get(&tracks, 0, 2), &data[21..25]);
        assert_eq!([0, 1, 2, 3].map(|line| tracks.walk(0, 1).has(line)), [true, false, true, false]);
        assert_eq!(get(&tracks, 2, 2), &data[36..]);
        assert_eq!(get(&tracks.part(1, 2), 2, 1), &data[36..]);
        assert_eq!(tracks.walk(1, 2).get(2), &data[17..19]);
        assert_eq!(tracks.part(3, 0).count, 0);
        let back = Tracks::new(&data, [Some(36), Some(18)], -9, 3, 4);
        assert_eq!((get(&back, 0, 2), get(&back, 1, 2)), (&data[18..22], &data[..4]));
        assert_eq!(get(&Tracks::new(&data, [Some(36)], isize::MAX, 1, 4), 0, 0), &data[36..]);
        assert_eq!(Tracks::new(&data, [Some(99)], 1, 0, 4).count, 0);
    }

    #[test]
    #[cfg(feature = "std")]
    fn refuses_what_leaves_the_slice() {
        let data = [0; 40];
        let fails = |f: &dyn Fn() -> usize| std::panic::catch_unwind(core::panic::AssertUnwindSafe(f)).is_err();
        for (start, step, count, len) in [
            (17, 10, 3, 4),
            (19, -10, 3, 4),
            (37, 0, 1, 4),
            (usize::MAX, 1, 1, 4),
            (0, isize::MAX, 3, 4),
            (0, 1, usize::MAX, 4),
        ] {
            let new = || Tracks::new(&data, [Some(0), Some(start)], step, count, len);
            assert!(fails(&|| new().len()), "{start} {step} {count} {len}");
        }
        let tracks = Tracks::new(&data, [Some(0), None], 10, 3, 4);
        assert!(fails(&|| tracks.part(2, 2).len()));
        assert!(fails(&|| get(&tracks.part(1, 2), 0, 2).len()));
        assert!(fails(&|| get(&tracks, 0, 4).len()));
        assert!(fails(&|| get(&tracks, 1, 0).len()));
        assert!(fails(&|| get(&tracks, 2, 0).len()));
        assert!(fails(&|| tracks.walk(1, 4).left()));
        assert!(fails(&|| tracks.walk(usize::MAX, 2).left()));
    }
}
