//! What a run is given besides its tensors: scratch memory, an executor, a level.

use crate::error::Error;
use crate::executor::{self, Executor};
use crate::simd::Level;
use crate::tensor::Aligned;
use crate::tiles::{Box4, Grid, Job, Outputs, Turn};

/// Scratch memory that is kept from run to run, and shared by any number of operators.
///
/// It grows when a run needs more. [`Workspace::reserve`] makes it large enough beforehand, so that no run allocates.
///
/// ```
/// use gemmule::Workspace;
/// let mut workspace = Workspace::<f32>::new();
/// workspace.reserve(1000)?;
/// assert!(workspace.len() >= 1000);
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Workspace<T> {
    memory: Aligned<T>,
}

impl<T: Copy + Default> Workspace<T> {
    /// An empty workspace.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grows to at least `len` elements, such as a plan's
    /// [`workspace_len`](crate::Plan::workspace_len).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Overflow`].
    pub fn reserve(&mut self, len: usize) -> Result<(), Error> {
        if len > self.len() {
            self.memory = Aligned::new(len, T::default(), "workspace")?;
        }
        Ok(())
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.memory.as_slice().len()
    }

    /// Whether it has no elements yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, whatever the last run has left in them.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.memory.as_mut_slice()
    }
}

/// What happens to the elements of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Write {
    /// They are replaced, whatever they were.
    #[default]
    Replace,
    /// The result is added to them.
    Accumulate,
}

enum Scratch<'a, T> {
    None,
    Kept(&'a mut Workspace<T>),
    Lent(&'a mut [T]),
}

/// How to run: with which scratch memory, on which threads, at which level.
///
/// The default allocates what it needs for the call, runs on rayon's current pool (on the calling thread, where rayon
/// is not built in), and at the machine's best level.
///
/// ```
/// use gemmule::{Level, Run, Serial, Workspace};
/// let mut workspace = Workspace::<f32>::new();
/// let run = Run::new().workspace(&mut workspace).executor(&Serial).level(Level::Scalar);
/// # let _ = run;
/// ```
pub struct Run<'a, T> {
    scratch: Scratch<'a, T>,
    pub(crate) executor: &'a dyn Executor,
    level: Option<Level>,
}

impl<T> Default for Run<'_, T> {
    fn default() -> Self {
        Run { scratch: Scratch::None, executor: &executor::DEFAULT, level: None }
    }
}

impl<'a, T: Copy + Default> Run<'a, T> {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses a workspace, which grows where it is too small.
    pub fn workspace(self, workspace: &'a mut Workspace<T>) -> Self {
        Run { scratch: Scratch::Kept(workspace), ..self }
    }

    /// Uses a slice as the workspace; [`Error::Workspace`] where it is too small. What it holds is overwritten.
    pub fn scratch(self, slice: &'a mut [T]) -> Self {
        Run { scratch: Scratch::Lent(slice), ..self }
    }

    /// Runs on these threads.
    pub fn executor(self, executor: &'a dyn Executor) -> Self {
        Run { executor, ..self }
    }

    /// Runs at this level instead of the best one. An operator that was prepared runs at the level of its plan, and
    /// refuses another ([`Error::Level`]).
    pub fn level(self, level: impl Into<Option<Level>>) -> Self {
        Run { level: level.into(), ..self }
    }

    /// The level of a kernel that was not prepared for one.
    pub(crate) fn level_or_best(&self) -> Result<Level, Error> {
        match self.level {
            Some(asked) if !asked.is_available() => Err(Error::Level { asked, available: Level::best() }),
            Some(asked) => Ok(asked),
            None => Ok(Level::best()),
        }
    }

    /// Refuses another level than the one that was prepared for.
    pub(crate) fn prepared_for(&self, level: Level) -> Result<(), Error> {
        match self.level {
            Some(asked) if asked != level => Err(Error::Level { asked, available: level }),
            _ => Ok(()),
        }
    }

    /// Calls `f` with scratch memory of `len` elements.
    pub(crate) fn with_scratch<R>(
        self,
        len: usize,
        f: impl FnOnce(&mut [T], &dyn Executor) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut own;
        let slice = match self.scratch {
            Scratch::Lent(slice) if slice.len() < len => {
                return Err(Error::Workspace { expected: len, given: slice.len() });
            }
            Scratch::Lent(slice) => slice,
            Scratch::Kept(workspace) => {
                workspace.reserve(len)?;
                workspace.as_mut_slice()
            }
            Scratch::None if len == 0 => &mut [],
            Scratch::None => {
                own = Aligned::new(len, T::default(), "workspace")?;
                own.as_mut_slice()
            }
        };
        f(&mut slice[..len], self.executor)
    }

    /// Runs `f(box, tile, scratch)` once for every box of the grid. `work` counts operations: a little work runs on the
    /// calling thread, whatever the executor.
    pub(crate) fn for_each_tile<O: Outputs + Sync>(
        self,
        grid: Grid,
        outputs: O,
        scratch_len: usize,
        work: usize,
        f: impl Fn(&Box4, &mut O, &mut [T]) + Sync,
    ) -> Result<(), Error>
    where
        T: Send,
    {
        self.for_each_turn(grid, outputs, scratch_len, work, |turn, tile, scratch| f(turn.place, tile, scratch))
    }

    /// As [`Run::for_each_tile`], for kernels that go on where the box before has left the scratch memory.
    pub(crate) fn for_each_turn<O: Outputs + Sync>(
        self,
        grid: Grid,
        outputs: O,
        scratch_len: usize,
        work: usize,
        f: impl Fn(Turn, &mut O, &mut [T]) + Sync,
    ) -> Result<(), Error>
    where
        T: Send,
    {
        let tiles = grid.count();
        if tiles == 0 {
            return Ok(());
        }
        let workers = if work < SMALL { 1 } else { self.executor.workers().clamp(1, tiles) };
        let len = workers.checked_mul(scratch_len).ok_or(Error::Overflow { argument: "workspace" })?;
        self.with_scratch(len, |scratch, executor| {
            Job { grid, outputs, scratch_len, workers }.run(scratch, executor, f)
        })
    }
}

/// Operations below which other threads would cost more than they give: a few microseconds. (Above it two threads gain: 1x1,
/// 64 -> 128 at 7x7 on Zen 4, 401,408 multiplications: 8.9 us on one thread, 6.8 us on two, medians.)
const SMALL: usize = 1 << 16;
