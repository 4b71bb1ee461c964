//! Activations in either layout, made from and turned back into the NCHW order of the files.

use super::Layout;
use gemmule::{Error, Tensor, View, ViewMut};

/// A dense tensor of the shape `[n, h, w, c]` in one of the two layouts.
pub enum Array<T> {
    Nhwc(Tensor<T>),
    Nchw(Vec<T>, [usize; 4]),
}

impl<T: Copy + Default> Array<T> {
    /// From values in the order of a file.
    pub fn from_nchw(values: Vec<T>, shape: [usize; 4], layout: Layout) -> Result<Self, Error> {
        Ok(match layout {
            Layout::Nhwc => Array::Nhwc(Tensor::from_view(View::nchw(&values, shape)?)?),
            Layout::Nchw => Array::Nchw(values, shape),
        })
    }

    /// Full of one value.
    pub fn filled(value: T, shape: [usize; 4], layout: Layout) -> Result<Self, Error> {
        Ok(match layout {
            Layout::Nhwc => Array::Nhwc(Tensor::filled(shape, value)?),
            Layout::Nchw => {
                let size = shape.iter().try_fold(1usize, |size, &len| size.checked_mul(len));
                Array::Nchw(vec![value; size.ok_or(Error::Overflow { argument: "shape" })?], shape)
            }
        })
    }

    pub fn shape(&self) -> [usize; 4] {
        match self {
            Array::Nhwc(tensor) => tensor.shape(),
            Array::Nchw(_, shape) => *shape,
        }
    }

    pub fn view(&self) -> Result<View<'_, T>, Error> {
        match self {
            Array::Nhwc(tensor) => Ok(tensor.view()),
            Array::Nchw(values, shape) => View::nchw(values, *shape),
        }
    }

    pub fn view_mut(&mut self) -> Result<ViewMut<'_, T>, Error> {
        match self {
            Array::Nhwc(tensor) => Ok(tensor.view_mut()),
            Array::Nchw(values, shape) => ViewMut::nchw(values, *shape),
        }
    }

    /// The values in the order of a file.
    pub fn to_nchw(&self) -> Vec<T> {
        match self {
            Array::Nchw(values, _) => values.clone(),
            Array::Nhwc(tensor) => {
                let [n, h, w, c] = tensor.shape();
                let plane = |n: usize, c: usize| (0..h).flat_map(move |y| (0..w).map(move |x| [n, y, x, c]));
                let order = (0..n).flat_map(|n| (0..c).flat_map(move |c| plane(n, c)));
                order.filter_map(|at| tensor.view().get(at).copied()).collect()
            }
        }
    }
}
