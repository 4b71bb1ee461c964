//! Disjoint tiles of outputs, and their distribution over an executor's tasks.
//!
//! [`Grid`] cuts a shape into boxes that do not meet, by construction. [`for_each_tile`] hands each box to exactly one
//! task: which one it gets, and which part of the scratch memory, a task learns from counters in here, not from the
//! executor, which may be wrong. So this file is the one place outside of `simd/` that needs `unsafe`; and a build
//! without features, which runs on the calling thread, needs none.

use crate::error::Error;
use crate::executor::Executor;
use crate::tensor::ViewMut;
use core::ops::Range;

/// How one axis is cut into parts. Every index is in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    /// Phases (the indices with the same rest modulo `step`), each cut into even stretches of at most `most`.
    Phases { len: usize, step: usize, most: usize },
    /// Blocks of equal length `block` (which divides `len`), each cut into even stretches of at most `most` units.
    Blocks { len: usize, block: usize, unit: usize, most: usize },
}

/// One part of an axis: the indices `start + step * i` for `i` in `0..count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub start: usize,
    pub step: usize,
    pub count: usize,
}

impl Part {
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.count
    }
}

impl Parts {
    pub fn whole(len: usize) -> Self {
        Parts::Phases { len, step: 1, most: len }
    }

    pub fn up_to(len: usize, most: usize) -> Self {
        Parts::Phases { len, step: 1, most }
    }

    fn cuts(len: usize, most: usize) -> usize {
        len.div_ceil(most.max(1))
    }

    fn stretch(len: usize, most: usize, i: usize) -> Range<usize> {
        let cuts = Self::cuts(len, most);
        // As even as can be: the first `len % cuts` are one longer.
        let (each, longer) = (len / cuts, len % cuts);
        let start = each * i + i.min(longer);
        start..start + each + usize::from(i < longer)
    }

    pub fn count(&self) -> usize {
        match *self {
            Parts::Phases { len, step, most } => {
                let (each, longer) = (len / step, len % step);
                longer * Self::cuts(each + 1, most) + (step - longer) * Self::cuts(each, most)
            }
            Parts::Blocks { len, block, unit, most } => len / block * Self::cuts(block.div_ceil(unit), most),
        }
    }

    pub fn get(&self, i: usize) -> Part {
        match *self {
            Parts::Phases { len, step, most } => {
                let (each, longer) = (len / step, len % step);
                let long_cuts = Self::cuts(each + 1, most);
                let (phase, size, i) = if i < longer * long_cuts {
                    (i / long_cuts, each + 1, i % long_cuts)
                } else {
                    let (i, cuts) = (i - longer * long_cuts, Self::cuts(each, most));
                    (longer + i / cuts, each, i % cuts)
                };
                let stretch = Self::stretch(size, most, i);
                Part { start: phase + step * stretch.start, step, count: stretch.len() }
            }
            Parts::Blocks { block, unit, most, .. } => {
                let units = block.div_ceil(unit);
                let cuts = Self::cuts(units, most);
                let stretch = Self::stretch(units, most, i % cuts);
                let (start, end) = (stretch.start * unit, (stretch.end * unit).min(block));
                Part { start: i / cuts * block + start, step: 1, count: end - start }
            }
        }
    }
}

/// A box of a shape: one part of each axis.
pub(crate) type Box4 = [Part; 4];

/// A shape cut into boxes that do not meet and leave nothing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid(pub [Parts; 4]);

impl Grid {
    pub fn count(&self) -> usize {
        let counts = self.0.map(|parts| parts.count());
        // Where one axis is empty, the product of the others may overflow.
        if counts.contains(&0) { 0 } else { counts.iter().product() }
    }

    /// The first axis changes slowest.
    pub fn get(&self, mut i: usize) -> Box4 {
        let mut parts = [Part { start: 0, step: 1, count: 0 }; 4];
        for axis in (0..4).rev() {
            let count = self.0[axis].count();
            parts[axis] = self.0[axis].get(i % count);
            i /= count;
        }
        parts
    }
}

/// Only this file can make one: whoever shows it has seen to it that each box is handed out once.
pub(crate) struct EachBoxOnce(());

/// What is written by tiles: one output, or a pair of the same shape that is cut alike.
pub(crate) trait Outputs {
    /// Goes to a box that lies in the outputs' shape.
    fn move_to(&mut self, place: &Box4, proof: &EachBoxOnce);
    /// A second handle on the same elements, for another thread.
    #[cfg(any(feature = "std", feature = "simd"))]
    fn handle(&self, proof: &EachBoxOnce) -> Self;
}

/// A mutable view of which one box after the other is in hand, with exclusive access to its elements.
pub(crate) struct Tile<'a, T> {
    memory: Memory<'a, T>,
    whole: [usize; 4],
    whole_strides: [usize; 4],
    origin: usize,
    shape: [usize; 4],
    strides: [usize; 4],
}

impl<'a, T> Tile<'a, T> {
    /// An output. No element can be reached before a job has moved it to a box.
    pub fn new(view: ViewMut<'a, T>) -> Self {
        let (whole, whole_strides) = (view.shape(), view.strides());
        let memory = Memory::new(view.into_data());
        Tile { memory, whole, whole_strides, origin: 0, shape: [0; 4], strides: [0; 4] }
    }
}

impl<T> Outputs for Tile<'_, T> {
    fn move_to(&mut self, place: &Box4, _: &EachBoxOnce) {
        for (part, len) in place.iter().zip(self.whole) {
            assert!(part.count > 0 && part.start + part.step * (part.count - 1) < len, "a box outside of the shape");
        }
        self.origin = (0..4).map(|i| place[i].start * self.whole_strides[i]).sum();
        self.shape = place.map(|part| part.count);
        // An axis of one element is never stepped along, so its stride may be any number.
        self.strides = core::array::from_fn(|i| self.whole_strides[i].wrapping_mul(place[i].step));
    }

    #[cfg(any(feature = "std", feature = "simd"))]
    fn handle(&self, _: &EachBoxOnce) -> Self {
        Tile { memory: self.memory.handle(), ..*self }
    }
}

impl<A: Outputs, B: Outputs> Outputs for (A, B) {
    fn move_to(&mut self, place: &Box4, proof: &EachBoxOnce) {
        self.0.move_to(place, proof);
        self.1.move_to(place, proof);
    }

    #[cfg(any(feature = "std", feature = "simd"))]
    fn handle(&self, proof: &EachBoxOnce) -> Self {
        (self.0.handle(proof), self.1.handle(proof))
    }
}

impl<T: Copy> Tile<'_, T> {
    /// The box's.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Where an index lies in the memory, after the check that it, and the `len - 1` channels that follow, lie in the box.
    #[inline(always)]
    fn at(&self, [i, j, k]: [usize; 3], c: usize, len: usize) -> usize {
        let [n, h, w, channels] = self.shape;
        assert!(i < n && j < h && k < w && c < channels && len <= channels - c, "an index outside of the tile");
        self.origin + i * self.strides[0] + j * self.strides[1] + k * self.strides[2] + c * self.strides[3]
    }

    /// Channels of one pixel, where they are contiguous.
    #[inline(always)]
    pub fn slice(&mut self, pixel: [usize; 3], c: usize, len: usize) -> Option<&mut [T]> {
        if len == 0 {
            return Some(&mut []);
        }
        let start = self.at(pixel, c, len);
        // Contiguous channels of one box belong to the box: nobody else has them.
        (self.strides[3] == 1 || len == 1).then(|| self.memory.slice(start, len))
    }

    /// The channels of some pixels of the tile's first image as rows that a kernel writes, where channels are contiguous:
    /// lines of `[j, k]` with some `k` each. `starts` is room for as many numbers as there are pixels.
    #[inline(always)]
    pub fn rows<'s>(
        &'s mut self,
        starts: &'s mut [usize],
        lines: impl Iterator<Item = (usize, Range<usize>)>,
    ) -> Option<Rows<'s, T>> {
        let len = self.shape[3];
        if self.strides[3] != 1 && len > 1 {
            return None;
        }
        let mut count = 0;
        for (j, ks) in lines.filter(|(_, ks)| !ks.is_empty()) {
            // All between the first and the last pixel lie in the box where these do.
            let (first, _) = (self.at([0, j, ks.start], 0, len), self.at([0, j, ks.end - 1], 0, len));
            let line = &mut starts[count..count + ks.len()];
            line.iter_mut().enumerate().for_each(|(i, start)| *start = first + i * self.strides[2]);
            count += ks.len();
        }
        Some(Rows { memory: self.memory.reborrow(), starts: &starts[..count], len })
    }

    /// Channels of `H` by `W` neighbouring pixels, `W` of them along axis `along` (1 or 2): where channels are contiguous, and
    /// the pixels apart.
    #[inline(always)]
    pub fn pixels<const H: usize, const W: usize>(
        &mut self,
        first: [usize; 3],
        along: usize,
        len: usize,
    ) -> Option<[[&mut [T]; W]; H]> {
        let mut last = first;
        last[along] += W - 1;
        last[3 - along] += H - 1;
        let (start, steps) = (self.at(first, 0, len), [self.strides[3 - along], self.strides[along]]);
        self.at(last, 0, len);
        // Contiguous channels of one box belong to the box: nobody else has them.
        let is_contiguous = self.strides[3] == 1 || len == 1;
        if is_contiguous { self.memory.slices(start, steps, len) } else { None }
    }

    /// Sets channels of one pixel.
    #[inline(always)]
    pub fn put(&mut self, pixel: [usize; 3], c: usize, values: &[T]) {
        if let Some(slice) = self.slice(pixel, c, values.len()) {
            return slice.copy_from_slice(values);
        }
        let start = self.at(pixel, c, values.len());
        for (i, &value) in values.iter().enumerate() {
            self.memory.slice(start + i * self.strides[3], 1)[0] = value;
        }
    }

    /// Gathers channels of one pixel.
    #[inline(always)]
    pub fn get(&mut self, pixel: [usize; 3], c: usize, values: &mut [T]) {
        if let Some(slice) = self.slice(pixel, c, values.len()) {
            return values.copy_from_slice(slice);
        }
        let start = self.at(pixel, c, values.len());
        for (i, value) in values.iter_mut().enumerate() {
            *value = self.memory.slice(start + i * self.strides[3], 1)[0];
        }
    }

    /// One element.
    #[inline(always)]
    pub fn element(&mut self, pixel: [usize; 3], c: usize) -> &mut T {
        let start = self.at(pixel, c, 1);
        &mut self.memory.slice(start, 1)[0]
    }
}

/// Rows of equal length that a kernel writes, wherever they start.
pub(crate) struct Rows<'a, T> {
    memory: Memory<'a, T>,
    starts: &'a [usize],
    len: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Rows of `len` elements of a slice. They may overlap, one after the other is in hand.
    pub fn new(slice: &'a mut [T], starts: &'a [usize], len: usize) -> Self {
        Rows { memory: Memory::new(slice), starts, len }
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

impl<T, const N: usize> RowBlock<'_, T, N> {
    #[inline(always)]
    pub fn row(&mut self, i: usize) -> &mut [T] {
        self.memory.slice(self.starts[i] + self.first, self.len)
    }
}

/// Tiles to compute, and what computing one takes.
pub(crate) struct Job<O> {
    pub grid: Grid,
    pub outputs: O,
    /// Elements of scratch memory that one tile needs. What they hold at first is undefined.
    pub scratch_len: usize,
    /// How many tasks to make, each with scratch memory of its own.
    #[cfg_attr(not(any(feature = "std", feature = "simd")), allow(dead_code))] // a build that makes only one
    pub workers: usize,
}

impl<O: Outputs> Job<O> {
    /// Runs `f(box, tile, scratch)` for every box of the grid on the calling thread.
    fn serial<T>(mut self, scratch: &mut [T], f: impl Fn(&Box4, &mut O, &mut [T])) {
        for i in 0..self.grid.count() {
            let place = self.grid.get(i);
            self.outputs.move_to(&place, &EachBoxOnce(()));
            f(&place, &mut self.outputs, &mut scratch[..self.scratch_len]);
        }
    }

    /// Runs `f(box, tile, scratch)` once for every box of the grid. `scratch` has `workers * scratch_len` elements.
    #[cfg(not(any(feature = "std", feature = "simd")))]
    pub fn run<T>(self, scratch: &mut [T], _: &dyn Executor, f: impl Fn(&Box4, &mut O, &mut [T])) -> Result<(), Error> {
        self.serial(scratch, f);
        Ok(())
    }

    /// Runs `f(box, tile, scratch)` once for every box of the grid. `scratch` has `workers * scratch_len` elements.
    #[cfg(any(feature = "std", feature = "simd"))]
    pub fn run<T: Send>(
        self,
        scratch: &mut [T],
        executor: &dyn Executor,
        f: impl Fn(&Box4, &mut O, &mut [T]) + Sync,
    ) -> Result<(), Error>
    where
        O: Sync,
    {
        use core::sync::atomic::{AtomicUsize, Ordering};
        if self.workers <= 1 {
            self.serial(scratch, f);
            return Ok(());
        }
        let boxes = self.grid.count();
        assert!(scratch.len() >= self.workers * self.scratch_len, "too little scratch memory");
        let scratch = Memory::new(scratch);
        let (slots, next, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        executor.for_each(self.workers, &|_| {
            // Neither counter ever goes back, so no slot and no box is given to two tasks. A slot is not given back
            // either: a task that is called too often finds none left.
            let slot = slots.fetch_add(1, Ordering::Relaxed);
            if slot >= self.workers {
                slots.store(self.workers, Ordering::Relaxed);
                return;
            }
            let once = EachBoxOnce(());
            let (mut outputs, mut scratch) = (self.outputs.handle(&once), scratch.handle());
            let scratch = scratch.slice(slot * self.scratch_len, self.scratch_len);
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= boxes {
                    break;
                }
                let place = self.grid.get(i);
                outputs.move_to(&place, &once);
                f(&place, &mut outputs, scratch);
                done.fetch_add(1, Ordering::Release);
            }
        });
        match done.load(Ordering::Acquire) {
            done if done == boxes => Ok(()),
            done => Err(Error::Executor { expected: boxes, done }),
        }
    }
}

#[cfg(any(feature = "std", feature = "simd"))]
use shared::Memory;

/// Elements that several threads may hold handles of, each of which uses its own part of them only.
#[cfg(any(feature = "std", feature = "simd"))]
mod shared {
    #![allow(unsafe_code)] // the one type that hands threads disjoint parts of a slice
    use core::marker::PhantomData;

    pub(super) struct Memory<'a, T> {
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

        /// The same handle, for a shorter time.
        #[inline(always)]
        pub fn reborrow(&mut self) -> Memory<'_, T> {
            Memory { start: self.start, len: self.len, slice: PhantomData }
        }

        /// Another handle. It is private to `tiles.rs`, whose only user of more than one handle, `Job::run`, gives each
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
}

#[cfg(not(any(feature = "std", feature = "simd")))]
use exclusive::Memory;

/// Elements that only the calling thread uses.
#[cfg(not(any(feature = "std", feature = "simd")))]
mod exclusive {
    pub(super) struct Memory<'a, T>(&'a mut [T]);

    impl<'a, T> Memory<'a, T> {
        pub fn new(slice: &'a mut [T]) -> Self {
            Memory(slice)
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_index_is_in_exactly_one_part() {
        for len in 0..20 {
            for most in [1, 2, 3, 7, 50] {
                let phases = (1..25).map(|step| Parts::Phases { len, step, most });
                let blocks = (1..=len).filter(|b| len % b == 0);
                let blocks = blocks.flat_map(|block| (1..9).map(move |unit| Parts::Blocks { len, block, unit, most }));
                for parts in phases.chain(blocks) {
                    let mut seen = vec![0; len];
                    for part in (0..parts.count()).map(|i| parts.get(i)) {
                        let unit = if let Parts::Blocks { unit, .. } = parts { unit } else { 1 };
                        assert!((1..=most * unit).contains(&part.count), "{parts:?} {part:?}");
                        (0..part.count).for_each(|i| seen[part.start + part.step * i] += 1);
                        if let Parts::Blocks { block, .. } = parts {
                            assert_eq!(part.start / block, (part.start + part.count - 1) / block, "{parts:?} {part:?}");
                            assert_eq!(part.start % block % unit, 0, "{parts:?} {part:?}");
                        }
                    }
                    assert!(seen.iter().all(|&n| n == 1), "{parts:?}: {seen:?}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "outside of the tile")]
    fn a_tile_keeps_to_its_box() {
        let mut data = [0; 24];
        let mut tile = Tile::new(ViewMut::nhwc(&mut data, [1, 2, 3, 4]).unwrap());
        let grid = Grid([Parts::whole(1), Parts::up_to(2, 1), Parts::whole(3), Parts::whole(4)]);
        tile.move_to(&grid.get(0), &EachBoxOnce(()));
        tile.put([0, 1, 0], 0, &[1]);
    }
}
