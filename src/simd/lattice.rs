//! Reads at regular places of a slice, proven to lie in it once instead of at every read.
//!
//! A sum over the taps of several pixels reads a vector for each multiplication, from eight places that move together.
//! Iterators cannot say that (chunks that overlap, and steps that go backwards), and a check for each read takes as many
//! instructions as the multiplications.

/// Panics unless all of `len` elements at `start + sum over axes of i[axis] * steps[axis]`, for all `i` below `counts`, lie in a slice
/// of `total` elements. A step along an axis of one place may be any number.
#[inline(always)]
pub(crate) fn prove_inside<const AXES: usize>(
    total: usize,
    start: usize,
    counts: [usize; AXES],
    steps: [isize; AXES],
    len: usize,
) {
    if counts.contains(&0) {
        return;
    }
    // No product of two and no sum of a few leaves this type.
    let (mut low, mut high) = (start as i128, start as i128 + len as i128);
    for axis in 0..AXES {
        let reach = (counts[axis] - 1) as i128 * steps[axis] as i128;
        (low, high) = (low + reach.min(0), high + reach.max(0));
    }
    assert!(low >= 0 && high <= total as i128, "beyond the slice");
}

/// Reads of `len` elements at `start + i * step[0] + j * step[1] + k * step[2]`, for `[i, j, k]` below `counts`.
#[derive(Clone, Copy)]
pub(crate) struct Lattice<'a, T> {
    data: &'a [T],
    start: usize,
    counts: [usize; 3],
    steps: [isize; 3],
    len: usize,
}

impl<'a, T> Lattice<'a, T> {
    /// Panics where a read would leave `data`. A step along an axis of one place may be any number.
    #[inline(always)]
    pub fn new(data: &'a [T], start: usize, counts: [usize; 3], steps: [isize; 3], len: usize) -> Self {
        prove_inside(data.len(), start, counts, steps, len);
        Lattice { data, start, counts, steps, len }
    }

    pub fn counts(&self) -> [usize; 3] {
        self.counts
    }

    /// Elements of one read.
    pub fn len(&self) -> usize {
        self.len
    }

    /// `count` places along the first axis, from place `i` on.
    #[inline(always)]
    pub fn part(self, i: usize, count: usize) -> Self {
        assert!(i <= self.counts[0] && count <= self.counts[0] - i, "outside of the lattice");
        let start = self.start.wrapping_add_signed(self.steps[0].wrapping_mul(i as isize));
        Lattice { start, counts: [count, self.counts[1], self.counts[2]], ..self }
    }

    /// What is read at a place.
    #[inline(always)]
    pub fn get(&self, place: [usize; 3]) -> &'a [T] {
        assert!((0..3).all(|axis| place[axis] < self.counts[axis]), "outside of the lattice");
        let offset = |axis: usize| self.steps[axis].wrapping_mul(place[axis] as isize);
        let at = self.start.wrapping_add_signed(offset(0).wrapping_add(offset(1)).wrapping_add(offset(2)));
        read(self, at)
    }
}

#[cfg(any(feature = "std", feature = "simd"))]
#[inline(always)]
#[allow(unsafe_code)] // reads that were proven together
fn read<'a, T>(lattice: &Lattice<'a, T>, at: usize) -> &'a [T] {
    // SAFETY: `at` is a place of the lattice, by the check in `Lattice::get`, its only caller. `Lattice::new` has seen that
    // `len` elements from the lowest place to the highest one lie in `data`; a part has some of the same places.
    unsafe { core::slice::from_raw_parts(lattice.data.as_ptr().add(at), lattice.len) }
}

#[cfg(not(any(feature = "std", feature = "simd")))]
#[inline(always)]
fn read<'a, T>(lattice: &Lattice<'a, T>, at: usize) -> &'a [T] {
    &lattice.data[at..][..lattice.len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn reads_what_a_slice_has_there() {
        let data: Vec<usize> = (0..40).collect();
        let lattice = Lattice::new(&data, 20, [3, 2, 2], [5, -8, 1], 4);
        for (i, j, k) in [(0, 0, 0), (0, 1, 0), (2, 1, 1), (2, 0, 1)] {
            let at = 20 + 5 * i + k - 8 * j;
            assert_eq!(lattice.get([i, j, k]), &data[at..][..4]);
            assert_eq!(lattice.part(i, 1).get([0, j, k]), &data[at..][..4]);
        }
        assert_eq!(Lattice::new(&data, 36, [1, 1, 1], [isize::MAX, isize::MIN, 9], 4).get([0; 3]), &data[36..]);
        assert_eq!(Lattice::new(&data[..0], 7, [3, 0, 2], [1; 3], 4).counts(), [3, 0, 2]);
    }

    #[test]
    #[cfg(feature = "std")]
    fn refuses_what_leaves_the_slice() {
        let data = [0; 40];
        for (start, counts, steps, len) in [
            (20, [3, 2, 2], [5, -8, 1], 10),
            (20, [3, 4, 2], [5, -8, 1], 1),
            (0, [2, 2, 2], [isize::MAX; 3], 1),
            (0, [usize::MAX, 1, 1], [1, 1, 1], 1),
            (usize::MAX, [1; 3], [1; 3], 1),
        ] {
            assert!(std::panic::catch_unwind(|| Lattice::new(&data, start, counts, steps, len).len()).is_err());
        }
        let lattice = Lattice::new(&data, 0, [3, 2, 2], [5, 8, 1], 4);
        assert!(std::panic::catch_unwind(|| lattice.get([3, 0, 0])).is_err());
        assert!(std::panic::catch_unwind(|| lattice.part(2, 2).len()).is_err());
        assert!(std::panic::catch_unwind(|| lattice.part(1, 1).get([1, 0, 0])).is_err());
    }
}
