//! candle: NCHW; it prepares nothing, and adds the bias as `candle-nn` does.

use super::symmetric_pads;
use crate::protocol::{Layout, Runner, Task};
use candle_core::{Device, Tensor};
use gemmule_bench::{Op, Result};

type Link = Box<dyn Fn(&Tensor) -> candle_core::Result<Tensor>>;

struct Chain {
    x: Tensor,
    y: Tensor,
    links: Vec<Link>,
}

/// The engine.
pub fn prepare(task: &Task) -> Result<Box<dyn Runner>> {
    let x = Tensor::from_vec(task.read("x.f32")?, &task.input(), &Device::Cpu)?;
    let links = (0..task.chain).map(|i| link(task, i)).collect::<Result<_>>()?;
    Ok(Box::new(Chain { y: x.clone(), x, links }))
}

/// The one number of both axes.
fn same(what: &str, [y, x]: [usize; 2]) -> Result<usize> {
    if y == x { Ok(y) } else { Err(format!("has one {what} for both axes, not {y} and {x}").into()) }
}

fn link(task: &Task, i: usize) -> Result<Link> {
    let (layer, pads) = (&task.layer, symmetric_pads(task)?);
    let [kernel, stride] = [layer.kernel.0, layer.stride.0].map(|[y, x]| (y, x));
    if !layer.op.is_conv() {
        if pads != [0, 0] || layer.dilation.0 != [1, 1] {
            return Err("has no padding and no dilation in pools".into());
        }
        return Ok(match layer.op {
            Op::MaxPool => Box::new(move |x| x.max_pool2d_with_stride(kernel, stride)),
            _ => Box::new(move |x| x.avg_pool2d_with_stride(kernel, stride)),
        });
    }
    let (weights, bias) = task.parameters(i)?;
    let weights = Tensor::from_vec(weights, &task.weights(), &Device::Cpu)?;
    let bias = Tensor::from_vec(bias, (1, layer.c_out, 1, 1), &Device::Cpu)?;
    let padding = same("padding", pads)?;
    let (stride, dilation) = (same("stride", layer.stride.0)?, same("dilation", layer.dilation.0)?);
    let (groups, output_padding) = (layer.groups, same("output padding", task.output_padding)?);
    Ok(match layer.op {
        Op::Conv => Box::new(move |x| x.conv2d(&weights, padding, stride, dilation, groups)?.broadcast_add(&bias)),
        _ if groups != 1 => return Err("has no groups in transposed convolutions".into()),
        _ => Box::new(move |x| {
            x.conv_transpose2d(&weights, padding, output_padding, stride, dilation)?.broadcast_add(&bias)
        }),
    })
}

impl Runner for Chain {
    fn run(&mut self) -> Result<()> {
        let mut y = self.x.clone();
        for link in &self.links {
            y = link(&y)?;
        }
        self.y = y;
        Ok(())
    }

    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>> {
        Ok(Some((Layout::Nchw, self.y.flatten_all()?.to_vec1()?)))
    }
}
