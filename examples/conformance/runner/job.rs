//! A case on its way through the crate: its tensors in the crate's terms, and how to run.

use super::Settings;
use super::array::Array;
use super::folder::{Case, Folder, Tensor};
use super::geometry::Geometry;
use gemmule::{Algorithm, Element, Error, Options, Run};

/// Why an output was not computed.
pub enum Stop {
    /// The runner or the crate does not do this.
    Unsupported(String),
    /// It is wrong.
    Failed(String),
    /// The crate gave an error.
    Refused(Error),
}

impl Stop {
    /// The operator does not compute this.
    pub fn no_output() -> Stop {
        Stop::Unsupported("the operator has no such output".into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Refused(error)
    }
}

/// An output as the crate has computed it, in the order of the file.
pub struct Computed {
    pub values: Values,
    /// Whether a Winograd lowering ran, which is allowed a larger error.
    pub winograd: bool,
}

pub enum Values {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
}

impl Computed {
    pub fn floats<T: Element>(values: &[T]) -> Computed {
        Computed { values: Values::Floats(values.iter().map(|value| value.to_f64()).collect()), winograd: false }
    }

    pub fn integers(values: Vec<i64>) -> Computed {
        Computed { values: Values::Integers(values), winograd: false }
    }

    pub fn by(self, algorithm: Algorithm) -> Computed {
        // By name: every such lowering has it in its own.
        Computed { winograd: algorithm.to_string().starts_with("winograd"), ..self }
    }
}

/// A case and how to run it.
pub struct Job<'a> {
    pub folder: &'a Folder,
    pub case: &'a Case,
    pub settings: &'a Settings,
    pub geometry: Geometry,
}

/// What an input may be. A case with any other one means something that the runner does not know.
const INPUTS: [&str; 6] = ["X", "W", "B", "dY", "Y", "Indices"];

impl<'a> Job<'a> {
    pub fn new(folder: &'a Folder, case: &'a Case, settings: &'a Settings) -> Result<Self, Stop> {
        if let Some(other) = case.inputs.iter().find(|tensor| !INPUTS.contains(&tensor.role.as_str())) {
            return Err(Stop::Unsupported(format!("an input with the role {}", other.role)));
        }
        Ok(Job { folder, case, settings, geometry: Geometry::new(case)? })
    }

    pub fn options(&self) -> Options {
        let options = Options::new().algorithm(self.settings.algorithm).accuracy(self.settings.accuracy);
        self.settings.level.map_or(options, |level| options.level(level))
    }

    pub fn run<T: Element>(&self) -> Run<'a, T> {
        let mut run = Run::new();
        if let Some(threads) = &self.settings.threads {
            run = run.executor(threads);
        }
        if let Some(level) = self.settings.level {
            run = run.level(level);
        }
        run
    }

    fn input(&self, role: &str) -> Result<&Tensor, Stop> {
        self.case.input(role).ok_or_else(|| Stop::Unsupported(format!("no input has the role {role}")))
    }

    /// An input's values, in the order of the file and the type of the case.
    pub fn values<T: Element>(&self, role: &str) -> Result<Vec<T>, Stop> {
        let tensor = self.input(role)?;
        let values = self.folder.floats(tensor);
        let values = values.ok_or_else(|| Stop::Unsupported(format!("{role} has the type {}", tensor.dtype)))?;
        Ok(values.into_iter().map(T::from_f64).collect())
    }

    /// An input of integers, in the order of the file.
    pub fn integers(&self, role: &str) -> Result<Vec<i64>, Stop> {
        let tensor = self.input(role)?;
        let integers = self.folder.integers(tensor);
        integers.ok_or_else(|| Stop::Unsupported(format!("{role} has the type {}", tensor.dtype)))
    }

    /// An input, laid out as the settings want it.
    pub fn activation<T: Element>(&self, role: &str) -> Result<Array<T>, Stop> {
        let [n, c, h, w] = self.geometry.lift(role, &self.input(role)?.shape)?;
        Ok(Array::from_nchw(self.values(role)?, [n, h, w, c], self.settings.layout)?)
    }

    /// The shape of an input, or of the output that is its gradient; two spatial axes.
    pub fn shape(&self, role: &str) -> Result<[usize; 4], Stop> {
        let gradient = format!("d{role}");
        match self.case.input(role).or(self.case.output(&gradient)) {
            Some(tensor) => self.geometry.lift(role, &tensor.shape),
            None => Err(Stop::Unsupported(format!("neither {role} nor {gradient} is listed"))),
        }
    }

    /// Room for an output, full of `value`, if it has the shape that the case expects: so no size is ever allocated
    /// that the file does not hold.
    pub fn output<T: Copy + Default>(&self, role: &str, value: T, shape: [usize; 4]) -> Result<Array<T>, Stop> {
        let [n, h, w, c] = shape;
        self.expect(role, [n, c, h, w])?;
        Ok(Array::filled(value, shape, self.settings.layout)?)
    }

    /// Refuses an output of another shape than the case expects.
    pub fn expect(&self, role: &str, computed: [usize; 4]) -> Result<(), Stop> {
        let Some(tensor) = self.case.output(role) else { return Ok(()) };
        match self.geometry.lift(role, &tensor.shape)? {
            expected if expected == computed => Ok(()),
            expected => Err(Stop::Failed(format!("expected the shape {expected:?}, got {computed:?}"))),
        }
    }
}
