//! Convolutions: forward, transposed, and the three gradients.

use super::job::{Computed, Job, Stop};
use gemmule::{Conv2d, ConvTranspose2d, Element, Epilogue, Options, Weights, WeightsMut, Write, conv_backward_bias};

/// The kernel's size: that of `resolved`, or else that of the weights.
fn kernel(job: &Job) -> Result<[usize; 2], Stop> {
    match job.geometry.kernel {
        Some(kernel) => Ok(kernel),
        None => job.shape("W").map(|[_, _, h, w]| [h, w]),
    }
}

/// The convolution that a case describes, and the options of its input.
fn describe(job: &Job) -> Result<(Conv2d, Options), Stop> {
    let ([n, in_channels, h, w], [out_channels, ..]) = (job.shape("X")?, job.shape("W")?);
    let g = &job.geometry;
    let conv = Conv2d::new(in_channels, out_channels, kernel(job)?);
    let conv = conv.stride(g.stride).dilation(g.dilation).padding(g.padding).groups(g.group);
    Ok((conv, job.options().input([n, h, w])))
}

fn bias<T: Element>(job: &Job) -> Result<Option<Vec<T>>, Stop> {
    job.case.input("B").map(|_| job.values("B")).transpose()
}

pub fn forward<T: Element>(job: &Job, role: &str) -> Result<Vec<Computed>, Stop> {
    if role != "Y" {
        return Err(Stop::no_output());
    }
    let (x, w, bias) = (job.activation::<T>("X")?, job.values::<T>("W")?, bias(job)?);
    let (conv, options) = describe(job)?;
    let mut y = job.output("Y", T::from_f64(f64::NAN), conv.output_shape(x.shape())?)?;
    let packed = conv.prepare(Weights::oihw(&w), bias.as_deref(), &options)?;
    packed.forward(x.view()?, y.view_mut()?, &Epilogue::new(), job.run())?;
    Ok(vec![Computed::floats(&y.to_nchw()).by(packed.plan().algorithm())])
}

pub fn transpose<T: Element>(job: &Job, role: &str) -> Result<Vec<Computed>, Stop> {
    if role != "Y" {
        return Err(Stop::no_output());
    }
    let (x, w, bias) = (job.activation::<T>("X")?, job.values::<T>("W")?, bias(job)?);
    let ([n, h, width, in_channels], [_, out_per_group, ..]) = (x.shape(), job.shape("W")?);
    let g = &job.geometry;
    let conv = ConvTranspose2d::new(in_channels, out_per_group.saturating_mul(g.group), kernel(job)?)
        .stride(g.stride)
        .dilation(g.dilation)
        .padding(g.padding)
        .output_padding(g.output_padding)
        .groups(g.group);
    let mut y = job.output("Y", T::from_f64(f64::NAN), conv.output_shape(x.shape())?)?;
    let options = job.options().input([n, h, width]);
    let packed = conv.prepare(Weights::iohw(&w), bias.as_deref(), &options)?;
    packed.forward(x.view()?, y.view_mut()?, &Epilogue::new(), job.run())?;
    Ok(vec![Computed::floats(&y.to_nchw()).by(packed.plan().algorithm())])
}

pub fn backward<T: Element>(job: &Job, role: &str) -> Result<Vec<Computed>, Stop> {
    let dy = job.activation::<T>("dY")?;
    match role {
        "dX" => {
            let (conv, options) = describe(job)?;
            let [n, c, h, w] = job.shape("X")?;
            let mut dx = job.output("dX", T::from_f64(f64::NAN), [n, h, w, c])?;
            let packed = conv.prepare_backward_input(Weights::oihw(&job.values::<T>("W")?), &options)?;
            packed.backward(dy.view()?, dx.view_mut()?, Write::Replace, job.run())?;
            Ok(vec![Computed::floats(&dx.to_nchw()).by(packed.plan().algorithm())])
        }
        "dW" => {
            let (conv, options) = describe(job)?;
            let [kh, kw, i, o] = conv.weight_shape()?;
            job.expect("dW", [o, i, kh, kw])?;
            let mut dw = vec![T::from_f64(f64::NAN); kh * kw * i * o];
            let prepared = conv.prepare_backward_weights::<T>(&options)?;
            let (x, to) = (job.activation("X")?, WeightsMut::oihw(&mut dw));
            prepared.backward(x.view()?, dy.view()?, to, Write::Replace, job.run())?;
            Ok(vec![Computed::floats(&dw)])
        }
        "dB" => {
            let channels = dy.shape()[3];
            if let Some(expected) = job.case.output("dB").map(|db| &db.shape).filter(|&shape| *shape != [channels]) {
                return Err(Stop::Failed(format!("expected the shape {expected:?}, got [{channels}]")));
            }
            let mut db = vec![T::from_f64(f64::NAN); channels];
            conv_backward_bias(dy.view()?, &mut db, Write::Replace, job.run())?;
            Ok(vec![Computed::floats(&db)])
        }
        _ => Err(Stop::no_output()),
    }
}
