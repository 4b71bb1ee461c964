//! No run allocates that has a workspace.
#![allow(unsafe_code)] // an allocator is unsafe to be one

mod common;

use common::kernels::{Form, Setting};
use common::*;
use gemmule::{Executor, Level, Run, Serial, Workspace};
use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of what each thread has asked for.
struct Counting;

fn count() {
    ALLOCATIONS.with(|n| n.set(n.get() + 1));
}

// SAFETY: everything is handed to the system's allocator as it came; a counter without a destructor, made at compile
// time, is neither allocated nor ever gone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is the one that is needed here.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Memory) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Memory, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `at` came from this allocator, and so from the system's.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Memory) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Several workers, one after the other, on the calling thread.
struct InTurn;

impl Executor for InTurn {
    fn workers(&self) -> usize {
        3
    }
    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..n).for_each(task);
    }
}

fn allocations(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

fn check<T: Number>(level: Level, shape: [usize; 4], executor: &dyn Executor) {
    for (x, y) in [(Form::Nhwc, Form::Nhwc), (Form::Nchw, Form::Slice)] {
        for kernel in (Setting { level, shape, x, y }).kernels::<T>().into_iter().filter(|kernel| !kernel.allocates) {
            let (numbers, mut output) = (kernel.numbers(), vec![T::NAN; kernel.output]);
            let inputs: Vec<&[T]> = numbers.iter().map(Vec::as_slice).collect();
            let mut workspace = Workspace::new();
            match kernel.workspace {
                Some(len) => workspace.reserve(len * executor.workers()).unwrap(),
                None => {
                    let run = Run::new().executor(executor).workspace(&mut workspace);
                    (kernel.compute)(&inputs, &mut output, run).unwrap();
                }
            }
            let count = allocations(|| {
                for _ in 0..2 {
                    let run = Run::new().executor(executor).workspace(&mut workspace);
                    (kernel.compute)(&inputs, &mut output, run).unwrap();
                }
            });
            assert_eq!(count, 0, "{}", kernel.name);
            // A slice that is lent is as good.
            let scratch = workspace.as_mut_slice();
            let run = Run::new().executor(executor).scratch(scratch);
            let count = allocations(|| (kernel.compute)(&inputs, &mut output, run).unwrap());
            assert_eq!(count, 0, "{} with a slice", kernel.name);
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))), 1);
}

#[test]
fn no_run_with_a_workspace_allocates() {
    for level in Level::available() {
        check::<f32>(level, [1, 5, 6, 7], &Serial);
        check::<f64>(level, [2, 6, 5, 19], &Serial);
    }
    check::<f32>(Level::best(), [2, 20, 21, 130], &Serial);
    check::<f32>(Level::best(), [2, 20, 21, 130], &InTurn);
}

#[test]
fn new_weights_are_packed_in_place() {
    use gemmule::{Conv2d, Options, Weights};
    let conv = Conv2d::new(24, 40, [3, 3]).padding(1);
    let (w, bias) = (vec![0.5f32; 24 * 40 * 9], [1.0; 40]);
    let mut forward = conv.prepare(Weights::hwio(&w), Some(&bias), &Options::new()).unwrap();
    let mut backward = conv.prepare_backward_input(Weights::oihw(&w), &Options::new()).unwrap();
    let count = allocations(|| {
        forward.repack(Weights::oihw(&w), Some(&bias)).unwrap();
        backward.repack(Weights::hwio(&w)).unwrap();
    });
    assert_eq!(count, 0);
}
