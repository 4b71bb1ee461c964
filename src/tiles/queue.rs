//! Which task takes which box.

use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Boxes that tasks take, each of them once.
///
/// Each task has a stretch of its own, in order: neighbouring boxes share inputs, which are in its processor's cache, and the
/// next layer finds there what this one has left. A task whose stretch is done goes on with what is left of the others'.
pub(super) struct Queue {
    /// The next box of each stretch. They only go forward, so no box is taken twice.
    next: [Counter; MOST_STRETCHES],
    boxes: usize,
    stretches: usize,
}

/// More tasks share stretches: the queue is on the stack.
const MOST_STRETCHES: usize = 16;

/// Alone on its lines, or the processors would wait for each other.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicUsize);

impl Queue {
    pub fn new(boxes: usize, tasks: usize) -> Self {
        let stretches = tasks.clamp(1, MOST_STRETCHES);
        let queue = Queue { next: Default::default(), boxes, stretches };
        (0..stretches).for_each(|i| queue.next[i].0.store(queue.stretch(i).start, Ordering::Relaxed));
        queue
    }

    /// Even ones, that together are all boxes.
    fn stretch(&self, i: usize) -> Range<usize> {
        let (each, longer) = (self.boxes / self.stretches, self.boxes % self.stretches);
        let start = |i: usize| each * i + i.min(longer);
        start(i)..start(i + 1)
    }

    /// The boxes that a task takes, of whatever number: as they come, until none is left.
    pub fn take(&self, task: usize) -> impl Iterator<Item = usize> + use<'_> {
        (0..self.stretches).flat_map(move |i| {
            let i = (task % self.stretches + i) % self.stretches;
            let end = self.stretch(i).end;
            core::iter::from_fn(move || {
                let taken = self.next[i].0.fetch_add(1, Ordering::Relaxed);
                (taken < end).then_some(taken)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn every_box_is_taken_once() {
        for boxes in 0..50 {
            for tasks in [1, 2, 3, 7, 16, 40] {
                let queue = Queue::new(boxes, tasks);
                let mut all: Vec<_> = (0..tasks).map(|task| queue.take(usize::MAX - task)).collect();
                let mut taken = vec![0; boxes];
                // In turns, as equally fast tasks would.
                while let Some(first) = all[0].next() {
                    taken[first] += 1;
                    all[1..].iter_mut().for_each(|task| task.next().into_iter().for_each(|i| taken[i] += 1));
                }
                assert!(all.iter_mut().all(|task| task.next().is_none()));
                assert!(taken.iter().all(|&n| n == 1), "{boxes} boxes, {tasks} tasks: {taken:?}");
            }
        }
    }

    #[test]
    fn a_task_takes_its_own_stretch_then_what_is_left() {
        let queue = Queue::new(10, 3);
        assert!(queue.take(1).take(2).eq(4..6));
        assert!(queue.take(2).eq([7, 8, 9, 0, 1, 2, 3, 6]));
        assert!(queue.take(0).next().is_none());
    }
}
