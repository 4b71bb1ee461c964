//! How tensors of the same shape are walked when only values meet, not neighbours: along the output's memory, in as long
//! rows as the layouts allow, whichever axes these are made of.

use super::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::tensor::{View, ViewMut};
use crate::tiles::{Grid, Parts};

/// Values of one tile.
const TILE: usize = 1 << 13;

/// The axes of `N` tensors of one shape in another order, and some of them as one; the last tensor is the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Walk<const N: usize> {
    shape: [usize; 4],
    strides: [[usize; 4]; N],
    /// Where the channels are, if they have to be told apart.
    channel: Option<usize>,
}

impl<const N: usize> Walk<N> {
    /// Nothing for an empty shape. `by_channel` leaves the channels an axis of their own.
    pub fn new(shape: [usize; 4], strides: [[usize; 4]; N], by_channel: bool) -> Option<Self> {
        if shape.contains(&0) {
            return None;
        }
        // The output's steps become smaller from axis to axis; those of axes that are never stepped along don't count.
        let mut axes = [0, 1, 2, 3];
        axes.sort_by_key(|&i| core::cmp::Reverse(if shape[i] == 1 { usize::MAX } else { strides[N - 1][i] }));
        let mut walk = Walk { shape: [1; 4], strides: [[0; 4]; N], channel: None };
        let mut to = 3;
        for axis in axes.into_iter().rev().filter(|&i| shape[i] > 1) {
            let apart = by_channel && (axis == 3 || walk.channel == Some(to));
            let follows = |t: usize| walk.strides[t][to].checked_mul(walk.shape[to]) == Some(strides[t][axis]);
            if walk.shape[to] > 1 && !apart && (0..N).all(follows) {
                walk.shape[to] *= shape[axis];
                continue;
            }
            to -= usize::from(walk.shape[to] > 1);
            walk.shape[to] = shape[axis];
            (0..N).for_each(|t| walk.strides[t][to] = strides[t][axis]);
            walk.channel = if by_channel && axis == 3 { Some(to) } else { walk.channel };
        }
        Some(walk)
    }

    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Tensor number `t`, which is only read.
    pub fn view<'a, T>(&self, x: View<'a, T>, t: usize) -> Result<View<'a, T>, Error> {
        View::new(x.data(), self.shape, self.strides[t])
    }

    /// Tensor number `t`, which is written.
    pub fn view_mut<'a, T>(&self, y: ViewMut<'a, T>, t: usize) -> Result<ViewMut<'a, T>, Error> {
        ViewMut::new(y.into_data(), self.shape, self.strides[t])
    }

    /// Tiles of [`TILE`] values or somewhat less, by the shape alone.
    pub fn grid(&self) -> Grid {
        let mut room = TILE;
        let mut parts = self.shape.map(Parts::whole);
        for (parts, &len) in parts.iter_mut().zip(&self.shape).rev() {
            *parts = Parts::up_to(len, room.max(1));
            room /= len;
        }
        Grid::new(parts)
    }

    /// The function at an index, and the channel to give it.
    #[inline(always)]
    pub fn at_channel<'a, T: Element>(&self, act: &Activation<'a, T>, at: [usize; 4]) -> (Activation<'a, T>, usize) {
        match self.channel {
            Some(3) => (*act, at[3]),
            // One channel along the row; the only one, where there is no axis.
            channel => (act.of_channel(channel.map_or(0, |axis| at[axis])), 0),
        }
    }
}

/// The blocks of all rows along the last axis, of at most `most` values: where each starts, and how long it is. An iterator,
/// for a closure around vectors may be left out of their level's function.
#[inline(always)]
pub(super) fn blocks(shape: [usize; 4], most: usize) -> Blocks {
    Blocks { shape, most, next: if shape.contains(&0) { [shape[0], 0, 0, 0] } else { [0; 4] } }
}

pub(super) struct Blocks {
    shape: [usize; 4],
    most: usize,
    next: [usize; 4],
}

impl Iterator for Blocks {
    type Item = ([usize; 4], usize);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.next;
        if at[0] == self.shape[0] {
            return None;
        }
        self.next[3] += self.most;
        for axis in (1..4).rev() {
            if self.next[axis] < self.shape[axis] {
                break;
            }
            self.next[axis] = 0;
            self.next[axis - 1] += 1;
        }
        Some((at, self.most.min(self.shape[3] - at[3])))
    }
}

/// Copies a row along the last axis.
#[inline(always)]
pub(super) fn gather<T: Copy>(x: &View<'_, T>, at: [usize; 4], values: &mut [T]) {
    let (start, stride) = (x.at(at), x.strides()[3]);
    if stride == 1 {
        return values.copy_from_slice(&x.data()[start..][..values.len()]);
    }
    for (i, value) in values.iter_mut().enumerate() {
        *value = x.data()[start + i * stride];
    }
}
