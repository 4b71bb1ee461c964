//! Reads at listed places of a slice, which move together, proven to lie in it once for several of them.
//!
//! A strip of a product reads a stretch of each of its rows, wherever those start. A check for each row takes a tenth of the time of
//! short sums.

/// Places in a slice, modulo the size of the address space: where they are moved to, they lie in it.
#[derive(Clone, Copy)]
pub(crate) struct Scattered<'a, T> {
    data: &'a [T],
    at: &'a [usize],
    /// The lowest place, of those before the slice as well, and how far the highest one lies behind it.
    low: usize,
    spread: usize,
}

impl<'a, T> Scattered<'a, T> {
    #[inline(always)]
    pub fn new(data: &'a [T], at: &'a [usize]) -> Self {
        let (mut low, mut high) = (isize::MAX, isize::MIN);
        for &at in at {
            (low, high) = (low.min(at as isize), high.max(at as isize));
        }
        Scattered { data, at, low: low as usize, spread: (high as usize).wrapping_sub(low as usize) }
    }

    /// `len` elements at each of `N` neighbouring places of the list, the first of which is `first`. Panics where they, or those at
    /// another place, would leave the slice.
    #[inline(always)]
    pub fn read<const N: usize>(&self, first: usize, offset: usize, len: usize) -> [&'a [T]; N] {
        let at: &[usize; N] = self.at[first..].first_chunk().expect("as many places");
        let (low, size) = (self.low.wrapping_add(offset), self.data.len());
        assert!(low <= size && self.spread <= size - low && len <= size - low - self.spread, "beyond the slice");
        slices(self.data, at, offset, len)
    }
}

#[cfg(any(feature = "std", feature = "simd"))]
#[inline(always)]
#[allow(unsafe_code)] // reads that were proven together
fn slices<'a, T, const N: usize>(data: &'a [T], at: &[usize; N], offset: usize, len: usize) -> [&'a [T]; N] {
    core::array::from_fn(|i| {
        // SAFETY: `Scattered::read`, the only caller, gives places of its list. As signed numbers they are at least `low` and at most
        // `low + spread`, by `Scattered::new`, so moved by the offset they are `low + offset + d`, `d` from 0 to `spread`: `len`
        // elements from there on lie in the slice, which the caller has seen.
        unsafe { core::slice::from_raw_parts(data.as_ptr().add(at[i].wrapping_add(offset)), len) }
    })
}

#[cfg(not(any(feature = "std", feature = "simd")))]
fn slices<'a, T, const N: usize>(data: &'a [T], at: &[usize; N], offset: usize, len: usize) -> [&'a [T]; N] {
    core::array::from_fn(|i| &data[at[i].wrapping_add(offset)..][..len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn reads_what_a_slice_has_there() {
        let data: Vec<usize> = (0..40).collect();
        let at = [0usize.wrapping_sub(7), 3, 0usize.wrapping_sub(2), 20];
        let places = Scattered::new(&data, &at);
        assert_eq!(places.read::<4>(0, 7, 13), [&data[..13], &data[10..23], &data[5..18], &data[27..]]);
        assert_eq!(places.read::<2>(1, 9, 1), [&data[12..13], &data[7..8]]);
        assert_eq!(places.read::<1>(3, 20, 0), [&data[40..]]);
    }

    #[test]
    #[cfg(feature = "std")]
    fn refuses_what_leaves_the_slice() {
        let data = [0; 40];
        let at = [0usize.wrapping_sub(7), 3, 20];
        let places = Scattered::new(&data, &at);
        for (first, offset, len) in
            [(0, 6, 1), (0, 7, 14), (0, 21, 0), (1, 6, 1), (0, usize::MAX, 1), (0, 7, usize::MAX), (3, 7, 1)]
        {
            assert!(
                std::panic::catch_unwind(|| places.read::<1>(first, offset, len)).is_err(),
                "{first} {offset} {len}"
            );
        }
        let far = [1 << (usize::BITS - 1), usize::MAX >> 1];
        assert!(
            std::panic::catch_unwind(|| Scattered::new(&data, &far).read::<1>(0, 1 << (usize::BITS - 1), 1)).is_err()
        );
    }
}
