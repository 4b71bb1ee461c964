//! Burn's backend `burn-flex`: NCHW; it prepares nothing.

use super::symmetric_pads;
use crate::protocol::{Layout, Runner, Task};
use burn_backend::TensorData;
use burn_backend::ops::{ConvOptions, ConvTransposeOptions, ModuleOps};
use burn_flex::{Flex, FlexTensor};
use gemmule_bench::{Op, Result};

type Link = Box<dyn Fn(FlexTensor) -> FlexTensor>;

struct Chain {
    x: FlexTensor,
    y: FlexTensor,
    links: Vec<Link>,
}

fn tensor<const N: usize>(values: Vec<f32>, shape: [usize; N]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The engine.
pub fn prepare(task: &Task) -> Result<Box<dyn Runner>> {
    let x = tensor(task.read("x.f32")?, task.input());
    let links = (0..task.chain).map(|i| link(task, i)).collect::<Result<_>>()?;
    Ok(Box::new(Chain { y: x.clone(), x, links }))
}

fn link(task: &Task, i: usize) -> Result<Link> {
    let (layer, pads) = (&task.layer, symmetric_pads(task)?);
    let (kernel, stride, dilation, groups) = (layer.kernel.0, layer.stride.0, layer.dilation.0, layer.groups);
    let parameters = || -> Result<_> {
        let (weights, bias) = task.parameters(i)?;
        Ok((tensor(weights, task.weights()), tensor(bias, [layer.c_out])))
    };
    Ok(match layer.op {
        Op::Conv => {
            let (weights, bias) = parameters()?;
            let options = ConvOptions::new(stride, pads, dilation, groups);
            Box::new(move |x| Flex::conv2d(x, weights.clone(), Some(bias.clone()), options.clone()))
        }
        Op::ConvTranspose => {
            let (weights, bias) = parameters()?;
            let options = ConvTransposeOptions::new(stride, pads, task.output_padding, dilation, groups);
            Box::new(move |x| Flex::conv_transpose2d(x, weights.clone(), Some(bias.clone()), options.clone()))
        }
        Op::MaxPool => Box::new(move |x| Flex::max_pool2d(x, kernel, stride, pads, dilation, false)),
        Op::AvgPool if dilation != [1, 1] => return Err("has no dilation in average pools".into()),
        Op::AvgPool => Box::new(move |x| Flex::avg_pool2d(x, kernel, stride, pads, false, false)),
    })
}

impl Runner for Chain {
    fn run(&mut self) -> Result<()> {
        self.y = self.links.iter().fold(self.x.clone(), |y, link| link(y));
        Ok(())
    }

    fn output(&self) -> Result<Option<(Layout, Vec<f32>)>> {
        let values = self.y.to_contiguous().into_data();
        Ok(Some((Layout::Nchw, values.as_slice::<f32>().map_err(|e| format!("{e:?}"))?.to_vec())))
    }
}
