//! Inputs, outputs and scratch memory that end at an unmapped page, or start right after one: a read or a write one
//! element too far crashes.
#![cfg(unix)]
#![allow(unsafe_code)] // pages are mapped, and protected, by the C library

mod common;

use common::conv::{HeldWeights, ORDERS, Order};
use common::kernels::{FORMS, Form, Kernel, Setting};
use common::*;
use gemmule::{Conv2d, Level, MaxPool2d, Options, Run, Serial, Weights, WeightsMut, Write};
use std::marker::PhantomData;
use std::ptr::null_mut;

/// Which end of the elements touches an unmapped page.
#[derive(Clone, Copy, Debug)]
enum Edge {
    Start,
    End,
}

/// Elements beside an unmapped page.
struct Guarded<T> {
    map: *mut libc::c_void,
    bytes: usize,
    start: *mut T,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Copy> Guarded<T> {
    fn new(values: &[T], edge: Edge) -> Self {
        // SAFETY: a question to the system, without any condition.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let inside = size_of_val(values).next_multiple_of(page).max(page);
        let bytes = inside + 2 * page;
        // SAFETY: a new, anonymous mapping at an address that the system picks.
        let map = unsafe { libc::mmap(null_mut(), bytes, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED, "no pages");
        // SAFETY: the second page, and those that follow up to the last but one, lie in the mapping of `bytes`.
        let start = unsafe {
            let first = map.cast::<u8>().add(page);
            assert_eq!(libc::mprotect(first.cast(), inside, libc::PROT_READ | libc::PROT_WRITE), 0, "no access");
            match edge {
                Edge::Start => first.cast::<T>(),
                Edge::End => first.add(inside - size_of_val(values)).cast::<T>(),
            }
        };
        let mut guarded = Guarded { map, bytes, start, len: values.len(), elements: PhantomData };
        guarded.copy_from_slice(values);
        guarded
    }

    fn filled(len: usize, value: T, edge: Edge) -> Self {
        Self::new(&vec![value; len], edge)
    }
}

impl<T> std::ops::Deref for Guarded<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements from `start` on lie in pages that `new` has made readable and writable, and that are
        // zero or were written with a `T` (numbers only, for which zeros are one); both ends are aligned, because pages
        // are and a size is a multiple of its alignment. The mapping lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl<T> std::ops::DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; and `self`, the only owner of the pages, is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` has made, which nobody uses after this.
        unsafe { libc::munmap(self.map, self.bytes) };
    }
}

/// How a process ends that reads this many elements beyond the first one.
fn ends_when_it_reads(guarded: &Guarded<f32>, offset: isize) -> i32 {
    let mut status = 0;
    // SAFETY: the child only reads, and then ends without running anything of its parent's. The read may be one that the
    // system refuses: that is what is asked here, and `read_volatile` keeps the compiler from drawing conclusions.
    unsafe {
        let child = libc::fork();
        assert_ne!(child, -1, "no process");
        if child == 0 {
            guarded.start.wrapping_offset(offset).read_volatile();
            libc::_exit(0);
        }
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
    }
    status
}

#[test]
fn one_element_too_far_crashes() {
    for (edge, outside) in [(Edge::Start, -1), (Edge::End, 5)] {
        let guarded = Guarded::filled(5, 1.0f32, edge);
        assert!((0..5).all(|i| ends_when_it_reads(&guarded, i) == 0));
        assert!(libc::WIFSIGNALED(ends_when_it_reads(&guarded, outside)), "{edge:?}");
    }
}

/// Runs a kernel on guarded memory, and on memory that is not, and compares.
fn check<T: Number>(kernel: &Kernel<T>, edge: Edge) {
    let (numbers, mut expected) = (kernel.numbers(), vec![T::NAN; kernel.output]);
    let inputs: Vec<&[T]> = numbers.iter().map(Vec::as_slice).collect();
    (kernel.compute)(&inputs, &mut expected, Run::new().executor(&Serial)).unwrap();

    let guarded: Vec<Guarded<T>> = numbers.iter().map(|x| Guarded::new(x, edge)).collect();
    let inputs: Vec<&[T]> = guarded.iter().map(|x| &**x).collect();
    let mut output = Guarded::filled(kernel.output, T::NAN, edge);
    let mut scratch = Guarded::filled(kernel.workspace.unwrap_or(0), T::NAN, edge);
    let run = Run::new().executor(&Serial);
    let run = if kernel.workspace.is_some() { run.scratch(&mut scratch) } else { run };
    (kernel.compute)(&inputs, &mut output, run).unwrap();
    let same = expected.iter().zip(&*output).all(|(a, b)| a.bits() == b.bits());
    assert!(same, "{}: guarded at its {edge:?}", kernel.name);
}

/// Lanes of a level's vectors.
fn lanes<T>(level: Level) -> usize {
    match level {
        Level::Scalar => 1,
        #[cfg(all(debug_assertions, feature = "simd"))]
        Level::Emulated => 16,
        Level::Portable | Level::Avx2 => 32 / size_of::<T>(),
        _ => 64 / size_of::<T>(),
    }
}

/// As many channels as make every tail of two vectors, in each form in turn.
fn every_tail<T: Number>(edge: Edge) {
    for level in levels() {
        for c in 1..=2 * lanes::<T>(level) + 1 {
            let [x, y] = [c, c / 3].map(|i| FORMS[i % 3]);
            for kernel in (Setting { level, shape: [1, 3, 4, c], x, y }).kernels::<T>() {
                check(&kernel, edge);
            }
        }
    }
}

#[test]
fn every_kernel_level_and_tail_f32() {
    every_tail::<f32>(Edge::End);
    every_tail::<f32>(Edge::Start);
}

#[test]
fn every_kernel_level_and_tail_f64() {
    every_tail::<f64>(Edge::End);
    every_tail::<f64>(Edge::Start);
}

#[test]
fn images_with_tails_of_their_own() {
    for (i, level) in levels().into_iter().enumerate() {
        for (h, w) in [(1, 1), (1, 17), (7, 1), (5, 9)] {
            let [x, y] = [i, i + w].map(|i| FORMS[i % 3]);
            for kernel in (Setting { level, shape: [2, h, w, 5], x, y }).kernels::<f32>() {
                check(&kernel, Edge::End);
            }
        }
    }
}

#[test]
fn weights() {
    let (conv, form) = (|c: usize| Conv2d::new(c, c + 1, [2, 3]), Form::Nhwc);
    for (level, edge) in levels().into_iter().flat_map(|level| [(level, Edge::Start), (level, Edge::End)]) {
        let options = Options::new().level(level);
        for c in 1..=2 * lanes::<f32>(level) + 1 {
            let w = Random(c as u64).reals::<f32>([2, 3, c, c + 1]);
            let (x, y) = (vec![1.0; 4 * 5 * c], vec![1.0; 3 * 3 * (c + 1)]);
            for order in ORDERS {
                // With strides, up to the last weight only.
                let mut held = HeldWeights::new(&w, order);
                let last = held.data.iter().rposition(|w| !w.is_nan()).unwrap();
                held.data.truncate(last + 1);
                let mut guarded = Guarded::new(&held.data, edge);
                let weights = |data| match order {
                    Order::Hwio => Weights::hwio(data),
                    Order::Oihw => Weights::oihw(data),
                    Order::Iohw => Weights::iohw(data),
                    Order::Strided => Weights::strided(data, [2, 5, 15 * (c + 1), 15]),
                };
                let bias = Guarded::filled(c + 1, 1.0, edge);
                let mut packed = conv(c).prepare(weights(&guarded), Some(&bias), &options).unwrap();
                packed.repack(weights(&guarded), Some(&bias)).unwrap();
                conv(c).prepare_backward_input(weights(&guarded), &options).unwrap();
                let dw = match order {
                    Order::Hwio => WeightsMut::hwio(&mut guarded),
                    Order::Oihw => WeightsMut::oihw(&mut guarded),
                    Order::Iohw => WeightsMut::iohw(&mut guarded),
                    Order::Strided => WeightsMut::strided(&mut guarded, [2, 5, 15 * (c + 1), 15]),
                };
                let prepared = conv(c).prepare_backward_weights::<f32>(&options).unwrap();
                let (x, dy) = (form.view(&x, [1, 4, 5, c]).unwrap(), form.view(&y, [1, 3, 3, c + 1]).unwrap());
                prepared.backward(x, dy, dw, Write::Accumulate, Run::new()).unwrap();
            }
        }
    }
}

#[test]
fn indices_of_maxima() {
    let pool = MaxPool2d::new([2, 2], [1, 2]).padding([[1, 0], [0, 1]]);
    for (level, edge) in levels().into_iter().flat_map(|level| [(level, Edge::Start), (level, Edge::End)]) {
        for c in 1..=2 * lanes::<f32>(level) + 1 {
            let [form, other] = [c, c + 1].map(|i| FORMS[i % 3]);
            let shape = [1, 4, 5, c];
            let out = pool.output_shape(shape).unwrap();
            let x = Guarded::new(&Random(1).reals::<f32>([1, 1, 1, form.len(shape)]).data, edge);
            let mut y = Guarded::filled(other.len(out), f32::NAN, edge);
            let mut indices = Guarded::filled(form.len(out), -1, edge);
            let run = || Run::new().level(level);
            let to = other.view_mut(&mut y, out).unwrap();
            let at = form.view_mut(&mut indices, out).unwrap();
            pool.forward_with_indices(form.view(&x, shape).unwrap(), to, at, run()).unwrap();
            let mut dx = Guarded::filled(other.len(shape), f32::NAN, edge);
            let (dy, at) = (other.view(&y, out).unwrap(), form.view(&indices, out).unwrap());
            pool.backward_from_indices(dy, at, other.view_mut(&mut dx, shape).unwrap(), Write::Replace, run()).unwrap();
        }
    }
}
