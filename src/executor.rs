//! Who runs the tasks: the calling thread, rayon, or the caller's own threads. Nothing else names rayon.

/// Something that runs tasks, perhaps on several threads.
///
/// The bits of a result depend on neither the executor nor its number of workers. An executor may be wrong, and call
/// the task too often, never, or for several indices at once on one thread: a run then gives the right result or
/// [`Error::Executor`](crate::Error::Executor). In a build without any feature all work is done by the calling thread.
///
/// ```
/// use gemmule::Executor;
///
/// /// As many threads as told, started for each call.
/// struct Threads(usize);
///
/// impl Executor for Threads {
///     fn workers(&self) -> usize {
///         self.0
///     }
///     fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
///         std::thread::scope(|scope| {
///             for i in 0..n {
///                 scope.spawn(move || task(i));
///             }
///         });
///     }
/// }
/// ```
pub trait Executor: Sync {
    /// The most tasks that run at the same time: how many are made, and how many parts the workspace has.
    fn workers(&self) -> usize;

    /// Calls `task(i)` for every `i` in `0..n`, in any order, on any threads, and returns when all are done.
    /// `n` is at most [`Executor::workers`].
    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync));
}

/// The calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Executor for Serial {
    fn workers(&self) -> usize {
        1
    }

    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..n).for_each(task);
    }
}

/// The rayon pool that the call is made in: the global one, or that of [`rayon::ThreadPool::install`].
#[cfg(feature = "rayon")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Rayon;

#[cfg(feature = "rayon")]
impl Executor for Rayon {
    fn workers(&self) -> usize {
        rayon::current_num_threads()
    }

    fn for_each(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        use rayon::iter::{IntoParallelIterator, ParallelIterator};
        (0..n).into_par_iter().for_each(task);
    }
}

/// The executor of a run that names none: rayon where it is built in.
#[cfg(feature = "rayon")]
pub(crate) static DEFAULT: Rayon = Rayon;
/// The executor of a run that names none: rayon where it is built in.
#[cfg(not(feature = "rayon"))]
pub(crate) static DEFAULT: Serial = Serial;
