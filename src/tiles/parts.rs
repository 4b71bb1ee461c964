//! Cutting a shape into boxes that do not meet, by construction.

use core::ops::Range;

/// How one axis is cut into parts. Every index is in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    /// Phases (the indices with the same rest modulo `step`), each cut into even stretches of at most `most` units.
    Phases { len: usize, step: usize, unit: usize, most: usize },
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
        Parts::Phases { len, step: 1, unit: 1, most: len }
    }

    pub fn up_to(len: usize, most: usize) -> Self {
        Parts::Phases { len, step: 1, unit: 1, most }
    }

    fn cuts(units: usize, most: usize) -> usize {
        units.div_ceil(most.max(1))
    }

    /// Stretch `i` of `len` indices: whole units, but for the last one's end.
    fn stretch(len: usize, unit: usize, most: usize, i: usize) -> Range<usize> {
        let units = len.div_ceil(unit);
        let cuts = Self::cuts(units, most);
        // As even as can be, with the longer ones spread, so that a few stretches in a row are as even. The first is a longer one:
        // the task that has it starts before the others.
        let start = |i: usize| (units as u128 * i as u128).div_ceil(cuts as u128) as usize;
        start(i) * unit..(start(i + 1) * unit).min(len)
    }

    /// The length of an axis that is not cut. A small layer has four of them, and would spend its time on divisions.
    fn uncut(&self) -> Option<usize> {
        match *self {
            Parts::Phases { len, step: 1, unit, most } => Some((len, unit, most)),
            Parts::Blocks { len, block, unit, most } if len == block => Some((len, unit, most)),
            _ => None,
        }
        .and_then(|(len, unit, most)| (len > 0 && len <= most.saturating_mul(unit)).then_some(len))
    }

    pub fn count(&self) -> usize {
        if self.uncut().is_some() {
            return 1;
        }
        match *self {
            Parts::Phases { len, step, unit, most } => {
                let (each, longer) = (len / step, len % step);
                let cuts = |len: usize| Self::cuts(len.div_ceil(unit), most);
                longer * cuts(each + 1) + (step - longer) * cuts(each)
            }
            Parts::Blocks { len, block, unit, most } => len / block * Self::cuts(block.div_ceil(unit), most),
        }
    }

    pub fn get(&self, i: usize) -> Part {
        if let Some(count) = self.uncut() {
            return Part { start: 0, step: 1, count };
        }
        match *self {
            Parts::Phases { len, step, unit, most } => {
                let (each, longer) = (len / step, len % step);
                let cuts = |len: usize| Self::cuts(len.div_ceil(unit), most);
                let (phase, size, i) = if i < longer * cuts(each + 1) {
                    (i / cuts(each + 1), each + 1, i % cuts(each + 1))
                } else {
                    let i = i - longer * cuts(each + 1);
                    (longer + i / cuts(each), each, i % cuts(each))
                };
                let stretch = Self::stretch(size, unit, most, i);
                Part { start: phase + step * stretch.start, step, count: stretch.len() }
            }
            Parts::Blocks { block, unit, most, .. } => {
                let cuts = Self::cuts(block.div_ceil(unit), most);
                let stretch = Self::stretch(block, unit, most, i % cuts);
                Part { start: i / cuts * block + stretch.start, step: 1, count: stretch.len() }
            }
        }
    }
}

/// A box of a shape: one part of each axis.
pub(crate) type Box4 = [Part; 4];

/// A shape cut into boxes that do not meet and leave nothing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    axes: [Parts; 4],
    /// The axes from the one that changes slowest on.
    order: [usize; 4],
}

impl Grid {
    /// In the order of memory: the first axis changes slowest.
    pub fn new(axes: [Parts; 4]) -> Self {
        Grid { axes, order: [0, 1, 2, 3] }
    }

    /// The last axis changes slowest.
    pub fn last_axis_first(self) -> Self {
        Grid { order: [3, 0, 1, 2], ..self }
    }

    pub fn count(&self) -> usize {
        let counts = self.axes.map(|parts| parts.count());
        // Where one axis is empty, the product of the others may overflow.
        if counts.contains(&0) { 0 } else { counts.iter().product() }
    }

    pub fn get(&self, mut i: usize) -> Box4 {
        let mut parts = [Part { start: 0, step: 1, count: 0 }; 4];
        for axis in self.order.into_iter().rev() {
            let count = self.axes[axis].count();
            let (rest, at) = if count == 1 { (i, 0) } else { (i / count, i % count) };
            parts[axis] = self.axes[axis].get(at);
            i = rest;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_last_axis_comes_first_where_that_is_asked_for() {
        let grid = Grid::new([Parts::whole(1), Parts::up_to(2, 1), Parts::whole(3), Parts::up_to(4, 2)]);
        let starts = |grid: Grid| [0, 1, 2, 3].map(|i| [1, 3].map(|axis| grid.get(i)[axis].start));
        assert_eq!(starts(grid), [[0, 0], [0, 2], [1, 0], [1, 2]]);
        assert_eq!(starts(grid.last_axis_first()), [[0, 0], [1, 0], [0, 2], [1, 2]]);
    }

    #[test]
    fn every_index_is_in_exactly_one_part() {
        for len in 0..20 {
            for most in [1, 2, 3, 7, 50] {
                let phases = (1..25).flat_map(|step| (1..5).map(move |unit| Parts::Phases { len, step, unit, most }));
                let blocks = (1..=len).filter(|b| len % b == 0);
                let blocks = blocks.flat_map(|block| (1..9).map(move |unit| Parts::Blocks { len, block, unit, most }));
                for parts in phases.chain(blocks) {
                    let mut seen = vec![0; len];
                    for part in (0..parts.count()).map(|i| parts.get(i)) {
                        let (Parts::Blocks { unit, .. } | Parts::Phases { unit, .. }) = parts;
                        assert!((1..=most * unit).contains(&part.count), "{parts:?} {part:?}");
                        (0..part.count).for_each(|i| seen[part.start + part.step * i] += 1);
                        if let Parts::Phases { step, .. } = parts {
                            assert_eq!(part.start / step % unit, 0, "{parts:?} {part:?}");
                        }
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
