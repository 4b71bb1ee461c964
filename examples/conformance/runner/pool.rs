//! Pools: maxima with their indices, averages, and the gradients.

use super::array::Array;
use super::job::{Computed, Job, Stop};
use gemmule::{AvgPool2d, Element, MaxPool2d, Ties, Write};

/// Whether the window is the whole plane.
fn is_global(job: &Job) -> bool {
    job.case.op.starts_with("Global")
}

fn kernel(job: &Job) -> Result<[usize; 2], Stop> {
    if let Some(negative) = job.geometry.padding.as_flattened().iter().find(|&&pad| pad < 0) {
        return Err(Stop::Unsupported(format!("a pool with the padding {negative}")));
    }
    job.geometry.kernel.ok_or_else(|| Stop::Unsupported("no kernel is given".into()))
}

fn max_pool(job: &Job) -> Result<MaxPool2d, Stop> {
    if is_global(job) {
        return Ok(MaxPool2d::global());
    }
    let g = &job.geometry;
    let pool = MaxPool2d::new(kernel(job)?, g.stride);
    Ok(pool.dilation(g.dilation).padding(g.padding).ceil_mode(g.ceil_mode))
}

fn average_pool(job: &Job) -> Result<AvgPool2d, Stop> {
    if is_global(job) {
        return Ok(AvgPool2d::global());
    }
    let g = &job.geometry;
    let pool = AvgPool2d::new(kernel(job)?, g.stride).dilation(g.dilation).padding(g.padding);
    Ok(pool.ceil_mode(g.ceil_mode).count_include_pad(g.count_include_pad))
}

/// What the indices of a case count, and in which order.
struct Numbering {
    /// The whole tensor; else one plane of it.
    whole: bool,
    column_major: bool,
    /// Of the pool's input.
    plane: [usize; 2],
}

impl Numbering {
    /// Of a pool whose input has this shape, `[n, h, w, c]`. Without a word on it, cases from ONNX count in the whole
    /// tensor, as ONNX does, and all others in planes.
    fn new(job: &Job, [_, h, w, _]: [usize; 4]) -> Result<Numbering, Stop> {
        let whole = match job.case.indices.as_deref() {
            Some("tensor") => true,
            Some("plane") => false,
            None => job.case.source.to_string().to_ascii_lowercase().contains("onnx"),
            Some(other) => return Err(Stop::Unsupported(format!("indices that count in {other}"))),
        };
        Ok(Numbering { whole, column_major: job.geometry.column_major, plane: [h, w] })
    }

    /// The number of a plane's first element.
    fn first(&self, plane: usize) -> i64 {
        self.plane.iter().fold(plane as i64, |first, &len| first.saturating_mul(len as i64))
    }

    /// The number for the crate's, `y * w + x` in the plane; `plane` counts planes. None (-1) stays so.
    fn to_case(&self, plane: usize, index: i64) -> i64 {
        let [h, w] = self.plane.map(|len| len as i64);
        if index < 0 || w == 0 {
            return index;
        }
        let within = if self.column_major { index % w * h + index / w } else { index };
        if self.whole { self.first(plane).saturating_add(within) } else { within }
    }

    /// The crate's number for the case's. One that lies in another plane becomes one that the crate refuses.
    fn to_crate(&self, plane: usize, index: i64) -> i64 {
        let [h, w] = self.plane.map(|len| len as i64);
        if index < 0 {
            return index;
        }
        match if self.whole { index - self.first(plane) } else { index } {
            ..0 => i64::MIN,
            within if self.column_major && within < h.saturating_mul(w) => within % h * w + within / h,
            within => within,
        }
    }
}

/// Applies `f(plane, index)` to indices in the order of a file, for planes of this size.
fn renumber(indices: Vec<i64>, [h, w]: [usize; 2], f: impl Fn(usize, i64) -> i64) -> Vec<i64> {
    let area = h.saturating_mul(w).max(1);
    indices.into_iter().enumerate().map(|(i, index)| f(i / area, index)).collect()
}

pub fn max<T: Element>(job: &Job, role: &str) -> Result<Vec<Computed>, Stop> {
    let (pool, x) = (max_pool(job)?, job.activation::<T>("X")?);
    let shape = pool.output_shape(x.shape())?;
    match role {
        "Y" => {
            let mut y = job.output("Y", T::from_f64(f64::NAN), shape)?;
            pool.forward(x.view()?, y.view_mut()?, job.run())?;
            let mut ways = vec![Computed::floats(&y.to_nchw())];
            if job.case.output("Indices").is_some() {
                let (y, _) = max_with_indices(job, &pool, &x, shape)?;
                ways.push(Computed::floats(&y.to_nchw()));
            }
            Ok(ways)
        }
        "Indices" => {
            let (_, indices) = max_with_indices(job, &pool, &x, shape)?;
            let numbering = Numbering::new(job, x.shape())?;
            let indices = renumber(indices.to_nchw(), [shape[1], shape[2]], |plane, i| numbering.to_case(plane, i));
            Ok(vec![Computed::integers(indices)])
        }
        _ => Err(Stop::no_output()),
    }
}

fn max_with_indices<T: Element>(
    job: &Job,
    pool: &MaxPool2d,
    x: &Array<T>,
    shape: [usize; 4],
) -> Result<(Array<T>, Array<i64>), Stop> {
    let mut indices = job.output("Indices", i64::MIN, shape)?;
    let mut y = Array::filled(T::from_f64(f64::NAN), shape, job.settings.layout)?;
    pool.forward_with_indices(x.view()?, y.view_mut()?, indices.view_mut()?, job.run())?;
    Ok((y, indices))
}

pub fn max_backward<T: Element>(job: &Job, role: &str) -> Result<Vec<Computed>, Stop> {
    if role != "dX" {
        return Err(Stop::no_output());
    }
    let (pool, dy) = (max_pool(job)?, job.activation::<T>("dY")?);
    if job.case.input("Indices").is_some() {
        let numbering = Numbering::new(job, shape_of_x(job)?)?;
        let [_, h, w, _] = dy.shape();
        let indices = renumber(job.integers("Indices")?, [h, w], |plane, i| numbering.to_crate(plane, i));
        let indices = Array::from_nchw(indices, dy.shape(), job.settings.layout)?;
        return Ok(vec![from_indices(job, &pool, &dy, &indices)?]);
    }
    let (x, ties) = (job.activation::<T>("X")?, ties(job)?);
    let mut dx = job.output("dX", T::from_f64(f64::NAN), x.shape())?;
    pool.backward(x.view()?, dy.view()?, dx.view_mut()?, ties, Write::Replace, job.run())?;
    let mut ways = vec![Computed::floats(&dx.to_nchw())];
    if ties == Ties::First {
        // The indices of the forward pass name the same taps.
        let mut y = Array::filled(T::from_f64(f64::NAN), dy.shape(), job.settings.layout)?;
        let mut indices = Array::filled(i64::MIN, dy.shape(), job.settings.layout)?;
        pool.forward_with_indices(x.view()?, y.view_mut()?, indices.view_mut()?, job.run())?;
        ways.push(from_indices(job, &pool, &dy, &indices)?);
    }
    Ok(ways)
}

fn ties(job: &Job) -> Result<Ties, Stop> {
    match job.case.resolved.ties.as_deref() {
        None | Some("first") => Ok(Ties::First),
        Some("all") => Ok(Ties::All),
        Some(other) => Err(Stop::Unsupported(format!("ties that go to {other}"))),
    }
}

fn shape_of_x(job: &Job) -> Result<[usize; 4], Stop> {
    job.shape("X").map(|[n, c, h, w]| [n, h, w, c])
}

fn from_indices<T: Element>(
    job: &Job,
    pool: &MaxPool2d,
    dy: &Array<T>,
    indices: &Array<i64>,
) -> Result<Computed, Stop> {
    let mut dx = job.output("dX", T::from_f64(f64::NAN), shape_of_x(job)?)?;
    pool.backward_from_indices(dy.view()?, indices.view()?, dx.view_mut()?, Write::Replace, job.run())?;
    Ok(Computed::floats(&dx.to_nchw()))
}

pub fn average<T: Element>(job: &Job, role: &str) -> Result<Vec<Computed>, Stop> {
    if role != "Y" {
        return Err(Stop::no_output());
    }
    let (pool, x) = (average_pool(job)?, job.activation::<T>("X")?);
    let mut y = job.output("Y", T::from_f64(f64::NAN), pool.output_shape(x.shape())?)?;
    pool.forward(x.view()?, y.view_mut()?, job.run())?;
    Ok(vec![Computed::floats(&y.to_nchw())])
}

pub fn average_backward<T: Element>(job: &Job, role: &str) -> Result<Vec<Computed>, Stop> {
    if role != "dX" {
        return Err(Stop::no_output());
    }
    let (pool, dy) = (average_pool(job)?, job.activation::<T>("dY")?);
    let mut dx = job.output("dX", T::from_f64(f64::NAN), shape_of_x(job)?)?;
    pool.backward(dy.view()?, dx.view_mut()?, Write::Replace, job.run())?;
    Ok(vec![Computed::floats(&dx.to_nchw())])
}
