//! Disjoint tiles of outputs, and their distribution over an executor's tasks.
//!
//! [`Grid`] cuts a shape into boxes that do not meet, by construction. [`Job::run`] hands each box to exactly one
//! task: which one it gets, and which part of the scratch memory, a task learns from counters in here, not from the
//! executor, which may be wrong; the number that it gives a task only says which boxes the task tries first. So this
//! folder is the one place outside of `simd/` that needs `unsafe`; and a build without features, which runs on the
//! calling thread, needs none.

mod memory;
mod parts;
#[cfg(any(feature = "std", feature = "simd"))]
mod queue;
mod tile;

pub(crate) use memory::{Places, Rows};
pub(crate) use parts::{Box4, Grid, Part, Parts};
pub(crate) use tile::Tile;

use crate::error::Error;
use crate::executor::Executor;
#[cfg(any(feature = "std", feature = "simd"))]
use memory::Memory;
#[cfg(any(feature = "std", feature = "simd"))]
use queue::Queue;

/// `first`, and so on in steps, modulo the size of the address space.
#[inline(always)]
pub(crate) fn evenly(places: &mut [usize], first: usize, step: usize) {
    let mut at = first;
    for place in places {
        *place = at;
        at = at.wrapping_add(step);
    }
}

/// Only this folder can make one: whoever shows it has seen to it that each box is handed out once.
pub(crate) struct EachBoxOnce(());

/// What is written by tiles: one output, or a pair of the same shape that is cut alike.
pub(crate) trait Outputs {
    /// Goes to a box that lies in the outputs' shape.
    fn move_to(&mut self, place: &Box4, proof: &EachBoxOnce);
    /// A second handle on the same elements, for another thread.
    #[cfg(any(feature = "std", feature = "simd"))]
    fn handle(&self, proof: &EachBoxOnce) -> Self;
}

/// A box that a task is at.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub place: &'a Box4,
    /// The one that it did before, if any, of which its scratch memory may still hold something.
    pub before: Option<&'a Box4>,
}

/// How often a task that finds no box left looks whether the others are done: some tens of microseconds.
#[cfg(any(feature = "std", feature = "simd"))]
const PATIENCE: usize = 1000;

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
    /// Runs `f(turn, tile, scratch)` for every box of the grid on the calling thread.
    fn serial<T>(&mut self, scratch: &mut [T], f: impl Fn(Turn, &mut O, &mut [T])) {
        let mut before = None;
        for i in 0..self.grid.count() {
            let place = self.grid.get(i);
            self.outputs.move_to(&place, &EachBoxOnce(()));
            f(Turn { place: &place, before: before.as_ref() }, &mut self.outputs, &mut scratch[..self.scratch_len]);
            before = Some(place);
        }
    }

    /// Runs `f(turn, tile, scratch)` once for every box of the grid. `scratch` has `workers * scratch_len` elements.
    #[cfg(not(any(feature = "std", feature = "simd")))]
    pub fn run<T>(
        mut self,
        scratch: &mut [T],
        _: &dyn Executor,
        f: impl Fn(Turn, &mut O, &mut [T]),
    ) -> Result<(), Error> {
        self.serial(scratch, f);
        Ok(())
    }

    /// Runs `f(turn, tile, scratch)` once for every box of the grid. `scratch` has `workers * scratch_len` elements.
    #[cfg(any(feature = "std", feature = "simd"))]
    pub fn run<T: Send>(
        mut self,
        scratch: &mut [T],
        executor: &dyn Executor,
        f: impl Fn(Turn, &mut O, &mut [T]) + Sync,
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
        let (queue, slots, done) = (Queue::new(boxes, self.workers), AtomicUsize::new(0), AtomicUsize::new(0));
        executor.for_each(self.workers, &|task| {
            // The counter never goes back, so no slot is given to two tasks. It is not given back either: a task that is
            // called too often finds none left.
            let slot = slots.fetch_add(1, Ordering::Relaxed);
            if slot >= self.workers {
                slots.store(self.workers, Ordering::Relaxed);
                return;
            }
            let once = EachBoxOnce(());
            let (mut outputs, mut scratch) = (self.outputs.handle(&once), scratch.handle());
            let scratch = scratch.slice(slot * self.scratch_len, self.scratch_len);
            let mut before = None;
            for i in queue.take(task) {
                let place = self.grid.get(i);
                outputs.move_to(&place, &once);
                f(Turn { place: &place, before: before.as_ref() }, &mut outputs, scratch);
                before = Some(place);
                done.fetch_add(1, Ordering::Release);
            }
            // The others are at their last boxes. A thread that left now might be asleep when they are done, or when the next
            // layer comes, and would take longer to wake up than they take.
            (0..PATIENCE).take_while(|_| done.load(Ordering::Relaxed) < boxes).for_each(|_| core::hint::spin_loop());
        });
        match done.load(Ordering::Acquire) {
            done if done == boxes => Ok(()),
            done => Err(Error::Executor { expected: boxes, done }),
        }
    }
}
