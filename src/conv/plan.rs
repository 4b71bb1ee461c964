//! The plan: which lowering, at which level, with which blocks. A pure function's value of the problem, the options and
//! the machine; it depends neither on threads nor on anything hidden.

mod consider;

use super::Blocking;
use super::algorithm::{Accuracy, Algorithm, Refusal};
use super::depthwise;
use super::gemm_tile::Source;
use super::problem::{Problem, TapClass};
use super::winograd::Winograd;
use crate::error::Error;
use crate::gemm::{RegisterTile, packed_len, terms_at_a_time};
use crate::simd::{Level, Machine};
use crate::tensor::View;
use crate::tiles::Grid;
use core::fmt;

/// What the caller says about a layer beyond its description.
///
/// ```
/// use gemmule::{Algorithm, Conv2d, Level, Machine, Options};
/// let conv = Conv2d::new(64, 64, [3, 3]).padding(1);
/// let options = Options::new().algorithm(Algorithm::Im2col).level(Level::Scalar);
/// let plan = conv.plan::<f32>(&options, &Machine::detect())?;
/// assert_eq!(plan.algorithm(), Algorithm::Im2col);
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    algorithm: Algorithm,
    accuracy: Accuracy,
    level: Option<Level>,
    input: Option<[usize; 3]>,
    max_weight_bytes: Option<usize>,
    blocking: Option<Blocking>,
    transform: Option<[usize; 2]>,
}

impl Options {
    /// The machine's best level, the cheapest lowering.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forces a lowering; preparing fails with its reason where it refuses.
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Options { algorithm, ..self }
    }

    /// How exact results have to be.
    pub fn accuracy(self, accuracy: Accuracy) -> Self {
        Options { accuracy, ..self }
    }

    /// Forces a level; `None` is the best one.
    pub fn level(self, level: impl Into<Option<Level>>) -> Self {
        Options { level: level.into(), ..self }
    }

    /// The input that is expected, `[n, h, w]`. Others still run, rightly, under the same plan.
    pub fn input(self, input: [usize; 3]) -> Self {
        Options { input: Some(input), ..self }
    }

    /// Refuses lowerings whose packed weights would take more bytes.
    pub fn max_weight_bytes(self, bytes: usize) -> Self {
        Options { max_weight_bytes: Some(bytes), ..self }
    }

    /// Blocks of other sizes than the machine's caches suggest, for tests: tiny shapes then cross every edge.
    #[cfg(feature = "testing")]
    pub fn blocking(self, rows: usize, depth: usize, columns: usize) -> Self {
        let rows = rows.clamp(1, crate::gemm::MAX_ROWS);
        let (depth, columns) = (depth.max(1), columns.max(1));
        Options { blocking: Some(Blocking { rows, most_rows: rows, depth, columns, weights: depth * columns }), ..self }
    }

    /// Transforms of other tiles than the cheapest ones, for tests: of so many outputs along each axis. An axis of one tap has
    /// tiles of one.
    #[cfg(feature = "testing")]
    pub fn transform(self, outputs: [usize; 2]) -> Self {
        Options { transform: Some(outputs), ..self }
    }
}

/// A lowering that was considered, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The lowering.
    pub algorithm: Algorithm,
    /// Its estimated cost, in vector operations for one pixel of one group, or the rule by which it refuses.
    pub verdict: Result<f64, Refusal>,
}

/// How a layer will be run, and why.
///
/// ```
/// use gemmule::{Conv2d, Level, Machine, Options};
/// let machine = Machine { level: Level::Avx2, l2_bytes: 512 << 10, ..Machine::detect() };
/// let plan = Conv2d::new(64, 256, [1, 1]).plan::<f32>(&Options::new(), &machine)?;
/// println!("{plan}");
/// assert_eq!(plan.weight_bytes(), 64 * 256 * 4);
/// # Ok::<(), gemmule::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub(crate) problem: Problem,
    level: Level,
    algorithm: Algorithm,
    pub(crate) blocking: Blocking,
    register_tile: RegisterTile,
    element_bytes: usize,
    /// Bytes of the last-level cache, and cycles for a line of it.
    l3: [usize; 2],
    candidates: [Candidate; 7],
    /// The transform of [`Algorithm::Winograd`], where there is one.
    pub(super) winograd: Option<Winograd>,
    /// Terms that the last panel of the packed weights takes at a time; it is folded if that is more than one.
    pub(super) terms_at_a_time: usize,
}

/// The lowerings, in the order in which they are considered.
const CANDIDATES: [Algorithm; 7] = [
    Algorithm::Pointwise,
    Algorithm::Depthwise,
    Algorithm::Winograd,
    Algorithm::Implicit,
    Algorithm::Band,
    Algorithm::Im2col,
    Algorithm::Matrixmultiply,
];

impl Plan {
    pub(crate) fn new<T>(problem: Problem, options: &Options, machine: &Machine) -> Result<Plan, Error> {
        problem.check()?;
        let level = options.level.unwrap_or(machine.level);
        let machine = Machine { level, ..*machine };
        let mut plan = Plan {
            problem,
            level,
            algorithm: options.algorithm,
            blocking: options.blocking.unwrap_or_else(|| Blocking::new::<T>(&machine)),
            register_tile: RegisterTile::new::<T>(level),
            element_bytes: size_of::<T>(),
            l3: [machine.l3_bytes, machine.l3_line_cycles],
            candidates: CANDIDATES.map(|algorithm| Candidate { algorithm, verdict: Ok(0.0) }),
            winograd: None,
            terms_at_a_time: 1,
        };
        for i in 0..plan.candidates.len() {
            plan.candidates[i].verdict = plan.consider(plan.candidates[i].algorithm, options);
        }
        plan.algorithm = plan.choose(options.algorithm)?;
        plan.terms_at_a_time = plan.terms_at_a_time(plan.algorithm);
        Ok(plan)
    }

    /// The cheapest candidate that accepts, the earlier one of equals; or the one that was asked for.
    fn choose(&self, asked: Algorithm) -> Result<Algorithm, Error> {
        let wanted = |candidate: &&Candidate| asked == Algorithm::Auto || asked == candidate.algorithm;
        let mut best: Option<(Algorithm, f64)> = None;
        let mut refused = None;
        for &Candidate { algorithm, verdict } in self.candidates.iter().filter(wanted) {
            match verdict {
                Err(refusal) => refused = Some(Error::Algorithm { asked: algorithm, refusal }),
                Ok(cost) if best.is_none_or(|(_, least)| cost < least) => best = Some((algorithm, cost)),
                Ok(_) => {}
            }
        }
        match (best, refused) {
            (Some((algorithm, _)), _) => Ok(algorithm),
            (None, Some(refusal)) => Err(refusal),
            // Not reached: every algorithm is a candidate.
            (None, None) => Err(Error::Overflow { argument: "algorithm" }),
        }
    }

    /// The most inputs of a group for a sum over the taps: one, or as many as there are outputs where they fill a part of a
    /// vector.
    fn most_inputs(&self) -> usize {
        let outputs = self.problem.outputs_per_group();
        if outputs.is_power_of_two() && outputs <= self.lanes() && self.problem.inputs_per_group() == outputs {
            outputs
        } else {
            1
        }
    }

    /// Elements of the band of a single output.
    fn band_len(&self) -> usize {
        let p = &self.problem;
        p.reach(0, 1).saturating_mul(p.reach(1, 1)).saturating_mul(p.inputs_per_group())
    }

    /// Whether images of one pixel are taken together, as the pixels of one, so that weights are read once for all of them.
    pub(super) fn joins_images<T>(&self, x: &View<T>) -> bool {
        let is_pointwise = self.algorithm == Algorithm::Pointwise && self.problem.window.stride == [1, 1];
        is_pointwise && matches!(x.shape(), [n, 1, 1, _] if n > 1) && self.source(x) != Source::Copies
    }

    /// Where a run finds the rows of A.
    pub(super) fn source<T>(&self, x: &View<T>) -> Source {
        let (p, [_, _, _, channels]) = (&self.problem, x.shape());
        match self.algorithm {
            Algorithm::Pointwise | Algorithm::Implicit if x.strides()[3] == 1 || channels == 1 => Source::Image,
            // Of a band with strides most would not be used.
            Algorithm::Pointwise if p.window.stride != [1, 1] => Source::Copies,
            Algorithm::Pointwise | Algorithm::Implicit | Algorithm::Band if self.band_len() <= self.copy_len() => {
                Source::Band
            }
            _ => Source::Copies,
        }
    }

    /// How the outputs `y` are cut into tiles for so many workers, and the rows of a tile that are taken at a time: those follow
    /// from shape and lowering alone.
    pub(super) fn grid(&self, y: [usize; 4], source: Source, workers: usize) -> (Grid, usize) {
        let p = &self.problem;
        let step = |i: usize| if p.transposed { p.window.stride[i] } else { 1 };
        let outputs = [y[1].div_ceil(step(0)).max(1), y[2].div_ceil(step(1)).max(1)];
        let even = |len: usize, most: usize| len.div_ceil(len.div_ceil(most.max(1)));
        let pixels = self.block_pixels(source);
        // A few rows high: the pixels at the left and right border are classes of their own, of as many rows.
        let mut columns = even(outputs[1], (pixels / 4).max(1));
        let mut rows = (pixels / columns).max(1);
        if source == Source::Band {
            let room = self.copy_len() / p.inputs_per_group();
            let fits = |rows: usize, columns: usize| p.reach(0, rows).saturating_mul(p.reach(1, columns)) <= room;
            while rows > 1 && !fits(rows, columns) {
                rows -= 1;
            }
            while columns > 1 && !fits(rows, columns) {
                columns -= 1;
            }
        }
        p.grid(y, [rows, columns], &self.blocking, self.register_tile.columns, workers)
    }

    /// Pixels that are multiplied at a time, at most.
    fn block_pixels(&self, source: Source) -> usize {
        let Blocking { rows, depth, columns, .. } = self.blocking;
        let (terms, outputs) = (self.problem.terms(), self.problem.outputs_per_group());
        let most = self.blocking.rows(terms, outputs);
        match source {
            Source::Image => most,
            // Copies and sums have scratch memory of their own.
            _ => most.min(rows * depth / depth.min(terms)).min(rows * columns / columns.min(outputs)),
        }
    }

    /// How the outputs `y` are cut into blocks of transformed tiles for so many workers.
    pub(super) fn winograd_grid(&self, y: [usize; 4], workers: usize) -> Grid {
        match &self.winograd {
            Some(winograd) => winograd.grid(&self.problem, y, workers),
            None => self.grid(y, Source::Copies, workers).0,
        }
    }

    /// Where the transformed weights of a class of taps in a group start, for the part that starts with this output.
    pub(super) fn transformed_at(&self, group: usize, class: &TapClass, output: usize) -> usize {
        match &self.winograd {
            Some(winograd) => winograd.weights_at(&self.problem, self.register_tile.columns, group, class, output),
            None => 0,
        }
    }

    /// How the packed weights are cut: matrices, and columns of each one and of its panels.
    pub(crate) fn packing(&self, algorithm: Algorithm) -> Packing {
        let p = &self.problem;
        let (groups, columns) = match algorithm {
            Algorithm::Depthwise => (1, p.outputs),
            _ => (p.groups, p.outputs_per_group()),
        };
        let panel = match algorithm {
            // An odd number of cache lines: taps don't fall into the same set of the first-level cache.
            Algorithm::Depthwise => (columns.div_ceil(self.line()) | 1) * self.line(),
            Algorithm::Matrixmultiply => columns,
            _ => self.register_tile.columns,
        };
        Packing { groups, columns, panel }
    }

    /// Terms that the last panel of weights packed so takes at a time. All stretches of terms are whole taps then.
    fn terms_at_a_time(&self, algorithm: Algorithm) -> usize {
        let p = &self.problem;
        match algorithm {
            Algorithm::Pointwise | Algorithm::Implicit | Algorithm::Band => {
                let most = terms_at_a_time(p.outputs_per_group(), self.register_tile.columns, p.inputs_per_group());
                // They are in one block.
                most.min(1 << self.blocking.depth.max(1).ilog2())
            }
            _ => 1,
        }
    }

    /// Elements of a vector.
    pub(crate) fn lanes(&self) -> usize {
        self.register_tile.columns / 2
    }

    /// Elements of a cache line.
    fn line(&self) -> usize {
        64 / self.element_bytes
    }

    /// Where the packed weights of a class of taps in a group start.
    pub(crate) fn packed_at(&self, group: usize, class: &TapClass) -> usize {
        let Packing { columns, panel, .. } = self.packing(self.algorithm);
        let rows = (group * self.problem.taps() + class.before) * self.problem.inputs_per_group();
        rows * columns.div_ceil(panel) * panel
    }

    fn packed_len(&self, algorithm: Algorithm) -> usize {
        if let (Algorithm::Winograd, Some(winograd)) = (algorithm, &self.winograd) {
            return winograd.weight_len(&self.problem, self.register_tile.columns);
        }
        let Packing { groups, columns, panel } = self.packing(algorithm);
        packed_len(self.problem.terms(), columns, panel).map_or(usize::MAX, |len| len.saturating_mul(groups))
    }

    /// Elements of the packed weights.
    pub(crate) fn weight_len(&self) -> usize {
        self.packed_len(self.algorithm)
    }

    /// The level that the layer runs at.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The lowering that was picked; never [`Algorithm::Auto`].
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// All lowerings, in the order in which they were considered, with their costs or their reasons for refusing.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Bytes of the packed weights.
    pub fn weight_bytes(&self) -> usize {
        self.weight_len().saturating_mul(self.element_bytes)
    }

    /// Elements that are copied of the image at a time, at most.
    pub(super) fn copy_len(&self) -> usize {
        self.blocking.rows * self.blocking.depth
    }

    /// Elements of scratch memory that one tile needs: a block of A, the sums, and a row beside them.
    pub(crate) fn scratch_len(&self) -> usize {
        let Blocking { rows, columns, .. } = self.blocking;
        // A tile has a whole panel at least.
        let columns = columns.max(self.packing(self.algorithm).panel.min(self.register_tile.columns));
        match self.algorithm {
            Algorithm::Depthwise => depthwise::scratch_len(&self.problem, &self.blocking, self.lanes()),
            Algorithm::Winograd => self.winograd.map_or(0, |winograd| winograd.scratch_len(&self.problem)),
            _ => self.copy_len() + rows * columns + columns,
        }
    }

    /// Elements of scratch memory that a run with so many workers needs at most. It depends on neither the batch nor
    /// the image.
    pub fn workspace_len(&self, workers: usize) -> usize {
        self.scratch_len().saturating_mul(workers)
    }

    /// The same in bytes.
    pub fn workspace_bytes(&self, workers: usize) -> usize {
        self.workspace_len(workers).saturating_mul(self.element_bytes)
    }
}

/// How packed weights are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    /// Matrices.
    pub groups: usize,
    /// Columns of a matrix.
    pub columns: usize,
    /// Columns of a panel.
    pub panel: usize,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocking { rows, depth, columns, .. } = self.blocking;
        write!(f, "{}", self.algorithm)?;
        if let (Algorithm::Winograd, Some(winograd)) = (self.algorithm, &self.winograd) {
            write!(f, " by {winograd}")?;
        }
        write!(f, " at {}, blocks of {rows} x {depth} x {columns}", self.level)?;
        for candidate in &self.candidates {
            match candidate.verdict {
                Ok(cost) => write!(f, "; {}: cost {cost:.1}", candidate.algorithm)?,
                Err(refusal) => write!(f, "; {}: refused, {refusal}", candidate.algorithm)?,
            }
        }
        Ok(())
    }
}
