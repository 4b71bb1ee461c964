//! A part of an output in hand: the box that a task may write, its pixels, and rows of them.

use super::memory::{Memory, Places, Rows};
use super::{Box4, EachBoxOnce, Outputs, evenly};
use crate::tensor::ViewMut;
use core::ops::Range;

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

    /// Whether the channels of a pixel are contiguous.
    pub fn has_slices(&self) -> bool {
        self.strides[3] == 1 || self.shape[3] == 1
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

    /// Whether the channels of the box are contiguous, and those of its neighbouring pixels as well.
    pub fn is_dense(&self) -> bool {
        self.strides[3] == 1 && self.strides[2] == self.shape[3]
    }

    /// The channels of some neighbouring pixels of a dense tile.
    #[inline(always)]
    pub fn line(&mut self, pixel: [usize; 3], count: usize) -> &mut [T] {
        assert!(self.is_dense(), "pixels are apart");
        if count == 0 {
            return &mut [];
        }
        let start = self.at(pixel, 0, self.shape[3]);
        // All between the first and the last pixel lie in the box where these do: nobody else has them.
        self.at([pixel[0], pixel[1], pixel[2] + count - 1], 0, self.shape[3]);
        self.memory.slice(start, count * self.shape[3])
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
        if !self.has_slices() {
            return None;
        }
        let mut count = 0;
        for (j, ks) in lines {
            if ks.is_empty() {
                continue;
            }
            // All between the first and the last pixel lie in the box where these do.
            let (first, _) = (self.at([0, j, ks.start], 0, len), self.at([0, j, ks.end - 1], 0, len));
            evenly(&mut starts[count..count + ks.len()], first, self.strides[2]);
            count += ks.len();
        }
        Some(Rows::prove(self.memory.reborrow(), &starts[..count], len))
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

    /// The channels of `counts` pixels of the first image, where channels are contiguous, and from the last row or column to the
    /// first one where that axis is turned. There is one pixel at least.
    #[inline(always)]
    pub fn places(&mut self, first: [usize; 2], counts: [usize; 2], turned: [bool; 2]) -> Option<Places<'_, T>> {
        let len = self.shape[3];
        let last: [usize; 2] = core::array::from_fn(|i| first[i] + counts[i] - 1);
        // All between the first and the last row and column lie in the box where these do: nobody else has them.
        let (start, end) = (self.at([0, first[0], first[1]], 0, len), self.at([0, last[0], last[1]], 0, len));
        if !self.has_slices() {
            return None;
        }
        let strides = [self.strides[1], self.strides[2]].map(|stride| stride as isize);
        let reach = |i: usize| if counts[i] > 1 { strides[i].wrapping_mul(counts[i] as isize - 1) } else { 0 };
        let start = match turned {
            [false, false] => start,
            [true, true] => end,
            [true, false] => start.wrapping_add_signed(reach(0)),
            [false, true] => start.wrapping_add_signed(reach(1)),
        };
        let steps = core::array::from_fn(|i| if turned[i] { strides[i].wrapping_neg() } else { strides[i] });
        Some(Places::prove(self.memory.reborrow(), start, counts, steps, len))
    }

    /// Some neighbouring pixels of each of `rows` rows of the first image, side by side, where the tile is dense: places of one
    /// column. There is one pixel at least.
    #[inline(always)]
    pub fn lines(&mut self, first: [usize; 2], rows: usize, pixels: usize) -> Option<Places<'_, T>> {
        let n = self.shape[3];
        let (start, last) = (self.at([0, first[0], first[1]], 0, n), [first[0] + rows - 1, first[1] + pixels - 1]);
        // As with places. What lies between neighbouring pixels of a dense tile are their channels.
        self.at([0, last[0], last[1]], 0, n);
        let steps = [self.strides[1] as isize, 0];
        self.is_dense().then(|| Places::prove(self.memory.reborrow(), start, [rows, 1], steps, pixels * n))
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

impl<'a, T> Places<'a, T> {
    /// Rows of pixels of `len` channels, one after the other in a slice; from the last row or column to the first one where that
    /// axis is turned.
    #[inline(always)]
    pub fn new(slice: &'a mut [T], counts: [usize; 2], turned: [bool; 2], len: usize) -> Self {
        let strides = [counts[1] * len, len];
        let start = (0..2).filter(|&i| turned[i]).map(|i| strides[i] * (counts[i] - 1)).sum();
        let steps = core::array::from_fn(|i| if turned[i] { -(strides[i] as isize) } else { strides[i] as isize });
        Places::prove(Memory::new(slice), start, counts, steps, len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Grid, Parts};
    use super::*;

    #[test]
    #[should_panic(expected = "outside of the tile")]
    fn a_tile_keeps_to_its_box() {
        let mut data = [0; 24];
        let mut tile = Tile::new(ViewMut::nhwc(&mut data, [1, 2, 3, 4]).unwrap());
        let grid = Grid::new([Parts::whole(1), Parts::up_to(2, 1), Parts::whole(3), Parts::whole(4)]);
        tile.move_to(&grid.get(0), &EachBoxOnce(()));
        tile.put([0, 1, 0], 0, &[1]);
    }

    #[test]
    fn places_are_those_of_pixels() {
        let mut data: [usize; 24] = core::array::from_fn(|i| i);
        let mut expected = data;
        let mut tile = Tile::new(ViewMut::nhwc(&mut data, [1, 2, 3, 4]).unwrap());
        let grid = Grid::new([Parts::whole(1), Parts::whole(2), Parts::whole(3), Parts::whole(4)]);
        tile.move_to(&grid.get(0), &EachBoxOnce(()));
        for turned in [[false, false], [false, true], [true, false], [true, true]] {
            let mut places = tile.places([0, 1], [2, 2], turned).unwrap();
            let mut copy = expected;
            let mut others = Places::new(&mut copy[..16], [2, 2], turned, 4);
            assert_eq!((places.counts(), places.len()), ([2, 2], 4));
            for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let at = |i: usize, turned: bool| if turned { 1 - i } else { i };
                let [y, x] = [at(i, turned[0]), at(j, turned[1])];
                assert_eq!(places.part([i, j], 1, 2), &expected[12 * y + 4 * (x + 1) + 1..][..2]);
                assert_eq!(others.part([i, j], 3, 1), &expected[8 * y + 4 * x + 3..][..1]);
                places.part([i, j], 0, 1)[0] += 1;
                expected[12 * y + 4 * (x + 1)] += 1;
            }
        }
        // A place, a channel and a length that there are not.
        #[cfg(feature = "std")]
        for (place, c, len) in [([2, 0], 0, 1), ([0, 2], 0, 1), ([0, 0], 4, 1), ([0, 0], 0, 5), ([0, 0], usize::MAX, 2)]
        {
            let mut part = || tile.places([0, 0], [2, 2], [false; 2]).unwrap().part(place, c, len).len();
            assert!(std::panic::catch_unwind(core::panic::AssertUnwindSafe(&mut part)).is_err());
        }
        assert_eq!(data, expected);
    }
}
