//! Memory for packed weights: on huge pages where there is much of it and the system gives them on request.

use crate::element::Element;
use crate::error::Error;
use crate::tensor::Aligned;

/// Bytes from which on huge pages are asked for: two of them.
#[cfg(all(feature = "std", feature = "simd", target_os = "linux"))]
const LARGE: usize = 4 << 20;
/// The size of a huge page.
#[cfg(all(feature = "std", feature = "simd", target_os = "linux"))]
const HUGE: usize = 2 << 20;

/// Elements that start on a cache line.
#[derive(Debug)]
pub(crate) enum Pages<T> {
    Heap(Aligned<T>),
    #[cfg(all(feature = "std", feature = "simd", target_os = "linux"))]
    Mapped {
        map: memmap2::MmapMut,
        start: usize,
        bytes: usize,
    },
}

impl<T: Element> Pages<T> {
    /// So many zeros.
    pub fn zeros(len: usize, argument: &'static str) -> Result<Self, Error> {
        #[cfg(all(feature = "std", feature = "simd", target_os = "linux"))]
        if let Some(pages) = Self::mapped(len) {
            return Ok(pages);
        }
        Ok(Pages::Heap(Aligned::new(len, T::ZERO, argument)?))
    }

    /// Memory of its own for many elements, if it can be had. Without huge pages it is as good as any other.
    #[cfg(all(feature = "std", feature = "simd", target_os = "linux"))]
    fn mapped(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| bytes >= LARGE)?;
        let map = memmap2::MmapMut::map_anon(bytes.checked_add(HUGE)?).ok()?;
        // Whole huge pages, from the first one's start on. Memory that is never touched costs nothing.
        let start = map.as_ptr().align_offset(HUGE);
        let end = (start.checked_add(bytes)?).next_multiple_of(HUGE).min(map.len());
        let _ = map.advise_range(memmap2::Advice::HugePage, start, end.checked_sub(start)?);
        (start + bytes <= map.len()).then_some(Pages::Mapped { map, start, bytes })
    }

    pub fn as_slice(&self) -> &[T] {
        match self {
            Pages::Heap(memory) => memory.as_slice(),
            #[cfg(all(feature = "std", feature = "simd", target_os = "linux"))]
            Pages::Mapped { map, start, bytes } => wide::bytemuck::cast_slice(&map[*start..][..*bytes]),
        }
    }

    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Pages::Heap(memory) => memory.as_mut_slice(),
            #[cfg(all(feature = "std", feature = "simd", target_os = "linux"))]
            Pages::Mapped { map, start, bytes } => wide::bytemuck::cast_slice_mut(&mut map[*start..][..*bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_is_zero_aligned_and_of_its_length() {
        for len in [0, 1, 1000, (4 << 20) / 4, (5 << 20) / 4 + 1, (9 << 20) / 4] {
            let mut pages = Pages::<f32>::zeros(len, "weights").unwrap();
            assert_eq!(pages.as_slice().len(), len);
            assert_eq!(pages.as_slice().as_ptr().align_offset(64), 0);
            assert!(pages.as_slice().iter().all(|&x| x == 0.0));
            pages.as_mut_slice().fill(1.0);
            assert!(pages.as_slice().iter().all(|&x| x == 1.0));
        }
    }

    #[test]
    fn too_much_is_an_error() {
        let asked = isize::MAX as usize / 8;
        assert!(matches!(Pages::<f32>::zeros(asked, "weights"), Err(Error::OutOfMemory { argument: "weights", .. })));
    }
}
