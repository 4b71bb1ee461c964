//! A slice that several threads may hold handles of.

use crate::simd::prove_inside;

#[cfg(any(feature = "std", feature = "simd"))]
pub(super) use shared::Memory;

/// Elements that several threads may hold handles of, each of which uses its own part of them only.
#[cfg(any(feature = "std", feature = "simd"))]
mod shared {
    #![allow(unsafe_code)] // the one type that hands threads disjoint parts of a slice
    use super::{Places, RowBlock};
    use core::marker::PhantomData;

    pub(in super::super) struct Memory<'a, T> {
        start: *mut T,
        len: usize,
        slice: PhantomData<&'a mut [T]>,
    }

    // SAFETY: a `Memory` stands for a `&mut [T]`, which may go to another thread if `T` may.
    unsafe impl<T: Send> Send for Memory<'_, T> {}
    // SAFETY: through a shared reference only handles can be made, and what is done with those is the matter of
    // `Memory::handle`.
    unsafe impl<T: Send> Sync for Memory<'_, T> {}

    impl<'a, T> Memory<'a, T> {
        pub fn new(slice: &'a mut [T]) -> Self {
            Memory { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
        }

        pub fn len(&self) -> usize {
            self.len
        }

        /// The same handle, for a shorter time.
        #[inline(always)]
        pub fn reborrow(&mut self) -> Memory<'_, T> {
            Memory { start: self.start, len: self.len, slice: PhantomData }
        }

        /// Another handle. It is private to this folder, whose only user of more than one handle, `Job::run`, gives each
        /// box and each slot of the scratch memory to one task; a `Tile` checks that it and its `Rows` stay in its box, boxes of a
        /// `Grid` do not meet, and a `ViewMut` has one index for each element.
        pub fn handle(&self) -> Memory<'a, T> {
            Memory { ..*self }
        }

        #[inline(always)]
        pub fn slice(&mut self, start: usize, len: usize) -> &mut [T] {
            assert!(start <= self.len && len <= self.len - start, "beyond the slice");
            // SAFETY: the range lies in the slice that this was made from and has borrowed for 'a (the line above);
            // nobody else has a reference into it, see `Memory::handle`.
            unsafe { core::slice::from_raw_parts_mut(self.start.add(start), len) }
        }

        /// `H` rows of `W` slices, so many elements from a row and a slice to the next one; none where slices of a row, or
        /// rows, overlap.
        #[inline(always)]
        pub fn slices<const H: usize, const W: usize>(
            &mut self,
            start: usize,
            [row, step]: [usize; 2],
            len: usize,
        ) -> Option<[[&mut [T]; W]; H]> {
            let last = |count: usize, step: usize| if count == 1 { Some(0) } else { step.checked_mul(count - 1) };
            let width = last(W, step)?.checked_add(len)?;
            if (W > 1 && step < len) || (H > 1 && row < width) {
                return None;
            }
            let end = last(H, row)?.checked_add(width)?.checked_add(start)?;
            assert!(end <= self.len, "beyond the slice");
            let slice = |i: usize, j: usize| {
                // SAFETY: as above; the last slice is the one that reaches farthest, `end`, and no two overlap.
                unsafe {
                    let start =
                        self.start.add(start).wrapping_add(row.wrapping_mul(i)).wrapping_add(step.wrapping_mul(j));
                    core::slice::from_raw_parts_mut(start, len)
                }
            };
            Some(core::array::from_fn(|i| core::array::from_fn(|j| slice(i, j))))
        }
    }

    impl<T> Places<'_, T> {
        /// Elements of a place's slice.
        #[inline(always)]
        pub(super) fn proven(&mut self, at: usize, len: usize) -> &mut [T] {
            // SAFETY: `Places::part`, the only caller, gives elements of a place's slice; `Places::prove`, the only one to make a
            // `Places`, has seen that all elements of all slices lie in the memory. Nobody else has a reference into those,
            // see `Memory::handle`.
            unsafe { core::slice::from_raw_parts_mut(self.memory.start.add(at), len) }
        }
    }

    impl<T, const N: usize> RowBlock<'_, T, N> {
        #[inline(always)]
        pub fn row(&mut self, i: usize) -> &mut [T] {
            // SAFETY: `Rows::block`, the only one to make a `RowBlock`, gives it starts of rows, and elements of each row;
            // `Rows::prove`, the only one to make a `Rows`, has seen that all elements of all rows lie in the memory. Nobody else has
            // a reference into those, see `Memory::handle`.
            unsafe { core::slice::from_raw_parts_mut(self.memory.start.add(self.starts[i] + self.first), self.len) }
        }
    }
}

#[cfg(not(any(feature = "std", feature = "simd")))]
pub(super) use exclusive::Memory;

/// Elements that only the calling thread uses.
#[cfg(not(any(feature = "std", feature = "simd")))]
mod exclusive {
    use super::{Places, RowBlock};

    pub(in super::super) struct Memory<'a, T>(&'a mut [T]);

    impl<'a, T> Memory<'a, T> {
        pub fn new(slice: &'a mut [T]) -> Self {
            Memory(slice)
        }

        pub fn len(&self) -> usize {
            self.0.len()
        }

        #[inline(always)]
        pub fn reborrow(&mut self) -> Memory<'_, T> {
            Memory(self.0)
        }

        #[inline(always)]
        pub fn slice(&mut self, start: usize, len: usize) -> &mut [T] {
            &mut self.0[start..][..len]
        }

        pub fn slices<const H: usize, const W: usize>(
            &mut self,
            start: usize,
            [row, step]: [usize; 2],
            len: usize,
        ) -> Option<[[&mut [T]; W]; H]> {
            let mut rest = (&mut self.0[start..], start);
            let mut slices = [const { [const { None }; W] }; H];
            for (i, j) in (0..H).flat_map(|i| (0..W).map(move |j| (i, j))) {
                let at = start.checked_add(row.checked_mul(i)?)?.checked_add(step.checked_mul(j)?)?;
                let (slice, after) =
                    core::mem::take(&mut rest.0).split_at_mut(at.checked_sub(rest.1)?).1.split_at_mut(len);
                slices[i][j] = Some(slice);
                rest = (after, at + len);
            }
            Some(slices.map(|row| row.map(Option::unwrap_or_default)))
        }
    }

    impl<T> Places<'_, T> {
        pub(super) fn proven(&mut self, at: usize, len: usize) -> &mut [T] {
            self.memory.slice(at, len)
        }
    }

    impl<T, const N: usize> RowBlock<'_, T, N> {
        pub fn row(&mut self, i: usize) -> &mut [T] {
            self.memory.slice(self.starts[i] + self.first, self.len)
        }
    }
}

/// Slices at the places of a grid, one after the other in hand, proven to lie in the memory once instead of at every write.
pub(crate) struct Places<'a, T> {
    memory: Memory<'a, T>,
    start: usize,
    counts: [usize; 2],
    steps: [isize; 2],
    len: usize,
}

impl<'a, T> Places<'a, T> {
    /// Slices of `len` elements at `start + i * steps[0] + j * steps[1]`, for `[i, j]` below `counts`.
    #[inline(always)]
    pub(super) fn prove(
        memory: Memory<'a, T>,
        start: usize,
        counts: [usize; 2],
        steps: [isize; 2],
        len: usize,
    ) -> Places<'a, T> {
        prove_inside(memory.len(), start, counts, steps, len);
        Places { memory, start, counts, steps, len }
    }

    pub fn counts(&self) -> [usize; 2] {
        self.counts
    }

    /// Elements of a slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// `len` elements of a slice, from `c` on.
    #[inline(always)]
    pub fn part(&mut self, place: [usize; 2], c: usize, len: usize) -> &mut [T] {
        assert!(place[0] < self.counts[0] && place[1] < self.counts[1], "outside of the grid");
        assert!(len <= self.len && c <= self.len - len, "beyond the slice");
        let offset = |axis: usize| self.steps[axis].wrapping_mul(place[axis] as isize);
        let at = self.start.wrapping_add_signed(offset(0).wrapping_add(offset(1))).wrapping_add(c);
        self.proven(at, len)
    }
}

/// Rows of equal length that a kernel writes, wherever they start, proven to lie in the memory once instead of at every write. They
/// may overlap: one after the other is in hand.
pub(crate) struct Rows<'a, T> {
    memory: Memory<'a, T>,
    starts: &'a [usize],
    len: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Rows of `len` elements of a slice.
    #[inline(always)]
    pub fn new(slice: &'a mut [T], starts: &'a [usize], len: usize) -> Self {
        Rows::prove(Memory::new(slice), starts, len)
    }

    #[inline(always)]
    pub(super) fn prove(memory: Memory<'a, T>, starts: &'a [usize], len: usize) -> Self {
        let last = starts.iter().fold(0, |last, &start| last.max(start));
        let end = if starts.is_empty() { Some(0) } else { last.checked_add(len) };
        assert!(end.is_some_and(|end| end <= memory.len()), "beyond the slice");
        Rows { memory, starts, len }
    }

    /// Some elements of each of `N` neighbouring rows.
    #[inline(always)]
    pub fn block<const N: usize>(&mut self, row: usize, first: usize, len: usize) -> RowBlock<'_, T, N> {
        assert!(first <= self.len && len <= self.len - first, "beyond the row");
        let starts = self.starts[row..].first_chunk().expect("as many rows");
        RowBlock { memory: self.memory.reborrow(), starts, first, len }
    }

    /// Some elements of a row.
    #[inline(always)]
    pub fn row(&mut self, row: usize, first: usize, len: usize) -> &mut [T] {
        assert!(first <= self.len && len <= self.len - first, "beyond the row");
        self.memory.slice(self.starts[row] + first, len)
    }
}

/// Some elements of each of `N` rows.
pub(crate) struct RowBlock<'a, T, const N: usize> {
    memory: Memory<'a, T>,
    starts: &'a [usize; N],
    first: usize,
    len: usize,
}
