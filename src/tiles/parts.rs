//! Cutting a shape into boxes that do not meet, by construction.

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
}
