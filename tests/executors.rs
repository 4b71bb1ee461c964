//! The same bits on any executor and any number of threads, for an image alone and in a batch; and executors that are
//! wrong give the right result or an error.

mod common;

use common::kernels::{FORMS, Form, Kernel, Setting};
use common::*;
use gemmule::{Error, Executor, Level, Run, Serial};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Large enough that every kernel is split: more than 65,536 operations, and more than one tile.
const LARGE: [usize; 4] = [2, 23, 22, 67];

fn bits<T: Number>(values: &[T]) -> Vec<u64> {
    values.iter().map(|&x| x.bits()).collect()
}

/// All kernels on all executors.
fn on_all<T: Number>(setting: Setting) {
    for kernel in setting.kernels::<T>() {
        let expected = bits(&kernel.output(Run::new().executor(&Serial)).unwrap());
        on_all_executors(|executor, name| {
            let got = bits(&kernel.output(Run::new().executor(executor)).unwrap());
            assert!(got == expected, "{} on {name}", kernel.name);
        });
        let on_the_default = bits(&kernel.output(Run::new()).unwrap());
        assert!(on_the_default == expected, "{}", kernel.name);
    }
}

#[test]
fn the_same_bits_on_every_executor() {
    for level in emulated().into_iter().chain([Level::best()]) {
        on_all::<f32>(Setting { level, shape: LARGE, x: Form::Nhwc, y: Form::Nhwc });
    }
    on_all::<f64>(Setting { level: Level::best(), shape: LARGE, x: Form::Nchw, y: Form::Nhwc });
}

/// Counts the tasks that it is asked for, and runs them on the calling thread.
struct Counting(AtomicUsize);

impl Executor for Counting {
    fn workers(&self) -> usize {
        3
    }
    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        self.0.fetch_add(n, Ordering::Relaxed);
        (0..n).for_each(task);
    }
}

#[test]
fn large_work_is_split_and_small_work_is_not() {
    for (shape, splits) in [(LARGE, cfg!(any(feature = "std", feature = "simd"))), ([1, 3, 3, 5], false)] {
        for kernel in (Setting { level: Level::best(), shape, x: Form::Nhwc, y: Form::Nhwc }).kernels::<f32>() {
            let counting = Counting(AtomicUsize::new(0));
            kernel.output(Run::new().executor(&counting)).unwrap();
            assert_eq!(counting.0.into_inner() > 1, splits, "{}", kernel.name);
        }
    }
}

/// An executor that is wrong in some way, given how it runs `n` tasks.
struct Wrong<F> {
    workers: usize,
    run: F,
}

impl<F: Fn(usize, &(dyn Fn(usize) + Sync)) + Sync> Executor for Wrong<F> {
    fn workers(&self) -> usize {
        self.workers
    }
    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        (self.run)(n, task);
    }
}

fn wrong(workers: usize, run: impl Fn(usize, &(dyn Fn(usize) + Sync)) + Sync + 'static) -> Box<dyn Executor> {
    Box::new(Wrong { workers, run })
}

fn at_once(threads: usize, f: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        (0..threads).for_each(|i| {
            drop(scope.spawn({
                let f = &f;
                move || f(i)
            }))
        })
    });
}

fn wrong_executors() -> Vec<(&'static str, Box<dyn Executor>)> {
    vec![
        ("each task twice", wrong(3, |n, task| (0..n).for_each(|i| [i, i].into_iter().for_each(task)))),
        ("no task", wrong(3, |_, _| {})),
        ("one task on several threads at once", wrong(4, |_, task| at_once(6, |_| task(0)))),
        ("all tasks on several threads at once", wrong(2, |n, task| at_once(4, |_| (0..n).for_each(task)))),
        ("only the last task", wrong(3, |n, task| task(n - 1))),
        ("too many tasks", wrong(3, |n, task| (0..100 * n).for_each(task))),
        ("indices out of the range", wrong(3, |_, task| [usize::MAX, 1 << 40].into_iter().for_each(task))),
        ("backwards", wrong(5, |n, task| (0..n).rev().for_each(task))),
        ("no workers", wrong(0, |n, task| (0..n).for_each(task))),
        ("more workers than there are", wrong(usize::MAX, |n, task| (0..n).for_each(task))),
        ("within each other", wrong(3, |n, task| at_once(2, |_| at_once(2, |_| (0..n).for_each(task))))),
    ]
}

#[test]
fn wrong_executors_give_the_result_or_an_error() {
    let setting = Setting { level: Level::best(), shape: LARGE, x: Form::Nhwc, y: Form::Nchw };
    for kernel in setting.kernels::<f32>() {
        let expected = bits(&kernel.output(Run::new().executor(&Serial)).unwrap());
        for (name, executor) in wrong_executors() {
            match kernel.output(Run::new().executor(&*executor)) {
                Ok(output) => assert!(bits(&output) == expected, "{} on {name}", kernel.name),
                Err(Error::Executor { expected, done }) => assert!(done < expected, "{} on {name}", kernel.name),
                Err(error) => panic!("{error}: {} on {name}", kernel.name),
            }
        }
        let never = kernel.output(Run::new().executor(&Never)).map(|output| bits(&output) == expected);
        if cfg!(any(feature = "std", feature = "simd")) {
            assert!(matches!(never, Err(Error::Executor { done: 0, expected: 2.. })), "{}: {never:?}", kernel.name);
        } else {
            assert_eq!(never, Ok(true), "a build without features runs on the calling thread");
        }
    }
}

#[test]
fn a_panic_of_the_executor_is_its_callers() {
    let setting = Setting { level: Level::best(), shape: LARGE, x: Form::Nhwc, y: Form::Nhwc };
    let kernel = setting.kernels::<f32>().swap_remove(0);
    let expected = bits(&kernel.output(Run::new()).unwrap());
    let panics = wrong(2, |_, task| {
        task(0);
        panic!("after the work");
    });
    let caught =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kernel.output(Run::new().executor(&*panics))));
    assert_eq!(caught.is_err(), cfg!(any(feature = "std", feature = "simd")));
    // Nothing is poisoned by it.
    assert!(bits(&kernel.output(Run::new()).unwrap()) == expected);
}

/// The outputs of all kernels that go image by image, for a batch.
fn by_image<T: Number>(setting: Setting) -> Vec<Kernel<T>> {
    let sums_over_the_batch =
        |kernel: &Kernel<T>| ["dw", "db", "dslope"].iter().any(|name| kernel.name.starts_with(name));
    setting.kernels().into_iter().filter(|kernel| !sums_over_the_batch(kernel)).collect()
}

fn alone_and_in_a_batch<T: Number>(level: Level, [h, w, c]: [usize; 3], [x, y]: [Form; 2]) {
    let setting = |n| Setting { level, shape: [n, h, w, c], x, y };
    for (i, single) in by_image::<T>(setting(1)).into_iter().enumerate() {
        for n in 2..=3 {
            let batch = by_image::<T>(setting(n)).swap_remove(i);
            let numbers = batch.numbers();
            let mut together = vec![T::NAN; batch.output];
            let inputs: Vec<&[T]> = numbers.iter().map(Vec::as_slice).collect();
            (batch.compute)(&inputs, &mut together, Run::new()).unwrap();
            for image in 0..n {
                // From where an image starts to where it ends, in each tensor of the batch.
                let cut =
                    |len: usize, one: usize| image * ((len - one) / (n - 1))..image * ((len - one) / (n - 1)) + one;
                let part: Vec<&[T]> =
                    inputs.iter().zip(&single.inputs).map(|(x, &one)| &x[cut(x.len(), one)]).collect();
                let mut alone = vec![T::NAN; single.output];
                (single.compute)(&part, &mut alone, Run::new()).unwrap();
                let together = &together[cut(batch.output, single.output)];
                assert!(bits(&alone) == bits(together), "{}: image {image} of {n}", single.name);
            }
        }
    }
}

#[test]
fn an_image_has_the_same_bits_alone_and_in_a_batch() {
    for level in Level::available() {
        let [x, y] = [level as usize, level as usize + 1].map(|i| FORMS[i % 3]);
        alone_and_in_a_batch::<f32>(level, [5, 4, 7], [x, y]);
        alone_and_in_a_batch::<f64>(level, [3, 6, 18], [y, x]);
    }
    // Of one pixel: a batch's are taken together, and with many channels the sums of one are in chains.
    for level in Level::available() {
        alone_and_in_a_batch::<f32>(level, [1, 1, 67], [Form::Nhwc; 2]);
        // Several terms are taken at a time where that fills a vector.
        alone_and_in_a_batch::<f32>(level, [1, 1, 66], [Form::Nhwc; 2]);
        alone_and_in_a_batch::<f32>(level, [1, 1, 80], [Form::Nhwc; 2]);
        alone_and_in_a_batch::<f64>(level, [1, 1, 130], [Form::Nchw, Form::Nhwc]);
    }
    // So large that a batch is cut in other places than an image.
    alone_and_in_a_batch::<f32>(Level::best(), [17, 23, 64], [Form::Nhwc; 2]);
    alone_and_in_a_batch::<f32>(Level::best(), [40, 37, 19], [Form::Nchw; 2]);
    // So small that an image would be cut where a batch is not, into pieces whose border is single pixels.
    alone_and_in_a_batch::<f32>(Level::best(), [4, 14, 96], [Form::Nhwc; 2]);
}
