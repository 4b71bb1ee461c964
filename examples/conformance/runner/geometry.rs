//! The geometry of a case, in two spatial axes. One axis is a plane of height 1; three are not supported.

use super::folder::{Case, Flag};
use super::job::Stop;

/// What `resolved` says, with what is absent filled in.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Absent where it has to come from the weights.
    pub kernel: Option<[usize; 2]>,
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: [[isize; 2]; 2],
    pub output_padding: [usize; 2],
    pub group: usize,
    pub ceil_mode: bool,
    pub count_include_pad: bool,
    pub column_major: bool,
    /// Spatial axes of the case, 1 or 2.
    spatial: usize,
}

impl Geometry {
    pub fn new(case: &Case) -> Result<Geometry, Stop> {
        let rank = case.input("X").or(case.input("dY")).map_or(0, |x| x.shape.len());
        let spatial = case.spatial.unwrap_or(rank.saturating_sub(2));
        if !(1..=2).contains(&spatial) {
            return Err(Stop::Unsupported(format!("{spatial} spatial axes")));
        }
        let r = &case.resolved;
        let (begin, end) = (two(&r.pads_begin, "pads_begin", spatial, 0)?, two(&r.pads_end, "pads_end", spatial, 0)?);
        Ok(Geometry {
            kernel: r.kernel.as_ref().map(|_| two(&r.kernel, "kernel", spatial, 1)).transpose()?,
            stride: two(&r.strides, "strides", spatial, 1)?,
            dilation: two(&r.dilations, "dilations", spatial, 1)?,
            padding: [[begin[0], end[0]], [begin[1], end[1]]],
            output_padding: two(&r.output_padding, "output_padding", spatial, 0)?,
            group: r.group.unwrap_or(1),
            ceil_mode: Flag::is_set(r.ceil_mode),
            count_include_pad: Flag::is_set(r.count_include_pad),
            column_major: Flag::is_set(r.storage_order),
            spatial,
        })
    }

    /// A shape of two axes and the spatial ones, such as NCHW or OIHW, with two spatial axes.
    pub fn lift(&self, role: &str, shape: &[usize]) -> Result<[usize; 4], Stop> {
        match (self.spatial, shape) {
            (1, &[n, c, w]) => Ok([n, c, 1, w]),
            (2, &[n, c, h, w]) => Ok([n, c, h, w]),
            _ => Err(Stop::Unsupported(format!("{role} of the shape {shape:?} has not {} spatial axes", self.spatial))),
        }
    }
}

/// A number for each of two axes; the height of a plane that has only one has the default.
fn two<V: Copy>(values: &Option<Vec<V>>, name: &str, spatial: usize, default: V) -> Result<[V; 2], Stop> {
    match (values.as_deref(), spatial) {
        (None, _) => Ok([default; 2]),
        (Some(&[w]), 1) => Ok([default, w]),
        (Some(&[h, w]), 2) => Ok([h, w]),
        (Some(values), _) => {
            let len = values.len();
            Err(Stop::Unsupported(format!("{len} numbers in {name} for {spatial} spatial axes")))
        }
    }
}
