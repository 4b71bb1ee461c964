//! From a layer and a pass to a call of the library.

use crate::data::Data;
use crate::{Layer, Op, Pass, Result, Setup};
use gemmule::{Element, Epilogue, Level, Plan, Run, Ties, Weights, WeightsMut, Write, conv_backward_bias};
use std::time::Instant;

/// One call.
pub(crate) type Kernel<T> = Box<dyn FnMut(&mut Data<T>, Run<T>) -> Result<()>>;

/// What is known of a kernel before it runs.
pub(crate) struct Prepared {
    /// As in the reference, and in the benches.
    pub name: &'static str,
    pub level: Level,
    pub plan: Option<Plan>,
    /// What it took to pack the weights: the least of a few times, on rayon's current pool.
    pub seconds: Option<f64>,
}

/// Prepares a pass of a layer.
pub(crate) fn prepare<T: Element>(layer: &Layer, setup: &Setup, data: &Data<T>) -> Result<(Prepared, Kernel<T>)> {
    let (conv, options) = (layer.conv(), setup.options(layer));
    let weights = Weights::hwio(data.weights.as_slice());
    match (layer.op, setup.pass) {
        (Op::Conv, Pass::Forward) => {
            let copies = Copies::new(setup, || conv.prepare(weights, Some(&data.bias), &options), |p| p.plan())?;
            Ok(copies.kernel("conv_forward", |packed, data, run| {
                Ok(packed.forward(data.x.view()?, data.out.view_mut()?, &Epilogue::new(), run)?)
            }))
        }
        (Op::ConvTranspose, Pass::Forward) => {
            let conv = layer.conv_transpose();
            let copies = Copies::new(setup, || conv.prepare(weights, Some(&data.bias), &options), |p| p.plan())?;
            Ok(copies.kernel("conv_transpose", |packed, data, run| {
                Ok(packed.forward(data.x.view()?, data.out.view_mut()?, &Epilogue::new(), run)?)
            }))
        }
        (Op::Conv, Pass::Dx) => {
            let copies = Copies::new(setup, || conv.prepare_backward_input(weights, &options), |p| p.plan())?;
            Ok(copies.kernel("conv_backward_input", |packed, data, run| {
                Ok(packed.backward(data.dy.view()?, data.out.view_mut()?, Write::Replace, run)?)
            }))
        }
        (Op::Conv, Pass::Dw) => {
            let prepared = conv.prepare_backward_weights::<T>(&options)?;
            let facts = Prepared { name: "conv_backward_weights", level: prepared.level(), plan: None, seconds: None };
            Ok((
                facts,
                Box::new(move |data, run| {
                    let dw = WeightsMut::hwio(data.out.tensor.as_mut_slice());
                    Ok(prepared.backward(data.x.view()?, data.dy.view()?, dw, Write::Replace, run)?)
                }),
            ))
        }
        (Op::Conv, Pass::Db) => Ok(unprepared(setup, "conv_backward_bias", |data, run| {
            Ok(conv_backward_bias(data.dy.view()?, data.out.tensor.as_mut_slice(), Write::Replace, run)?)
        })),
        (Op::MaxPool, _) | (Op::AvgPool, _) => prepare_pool(layer, setup),
        (op, pass) => Err(format!("{op} has no {pass} pass").into()),
    }
}

fn prepare_pool<T: Element>(layer: &Layer, setup: &Setup) -> Result<(Prepared, Kernel<T>)> {
    let (max, average) = (layer.max_pool(), layer.avg_pool());
    match (layer.op, setup.pass) {
        (Op::MaxPool, Pass::Forward) => Ok(unprepared(setup, "max_pool", move |data, run| {
            Ok(max.forward(data.x.view()?, data.out.view_mut()?, run)?)
        })),
        (Op::MaxPool, Pass::Dx) => Ok(unprepared(setup, "max_pool_backward", move |data, run| {
            let Data { x, dy, out, .. } = data;
            Ok(max.backward(x.view()?, dy.view()?, out.view_mut()?, Ties::First, Write::Replace, run)?)
        })),
        (Op::AvgPool, Pass::Forward) => Ok(unprepared(setup, "average_pool", move |data, run| {
            Ok(average.forward(data.x.view()?, data.out.view_mut()?, run)?)
        })),
        (Op::AvgPool, Pass::Dx) => Ok(unprepared(setup, "average_pool_backward", move |data, run| {
            Ok(average.backward(data.dy.view()?, data.out.view_mut()?, Write::Replace, run)?)
        })),
        (op, pass) => Err(format!("{op} has no {pass} pass").into()),
    }
}

/// A kernel that has nothing to prepare, and takes its level from each call.
fn unprepared<T: Element>(
    setup: &Setup,
    name: &'static str,
    call: impl Fn(&mut Data<T>, Run<T>) -> Result<()> + 'static,
) -> (Prepared, Kernel<T>) {
    let level = setup.level.unwrap_or(Level::best());
    (Prepared { name, level, plan: None, seconds: None }, Box::new(move |data, run| call(data, run.level(level))))
}

/// How often weights are packed to see how long it takes.
const PACKED: usize = 3;

/// A packed operator, as often as is needed for the weights to be cold when their turn comes again.
struct Copies<P> {
    all: Vec<P>,
    plan: Plan,
    seconds: f64,
}

impl<P: 'static> Copies<P> {
    fn new(
        setup: &Setup,
        pack: impl Fn() -> std::result::Result<P, gemmule::Error>,
        plan: impl Fn(&P) -> &Plan,
    ) -> Result<Self> {
        let mut seconds = f64::INFINITY;
        let mut pack = || {
            let start = Instant::now();
            let packed = pack()?;
            seconds = seconds.min(start.elapsed().as_secs_f64());
            Ok::<_, gemmule::Error>(packed)
        };
        for _ in 1..PACKED {
            drop(pack()?);
        }
        let mut all = vec![pack()?];
        let plan = *plan(&all[0]);
        for _ in 1..setup.cold_bytes.div_ceil(plan.weight_bytes() + size_of::<P>()) {
            all.push(pack()?);
        }
        Ok(Copies { all, plan, seconds })
    }

    /// Each call takes the next one.
    fn kernel<T: Element>(
        self,
        name: &'static str,
        call: impl Fn(&P, &mut Data<T>, Run<T>) -> Result<()> + 'static,
    ) -> (Prepared, Kernel<T>) {
        let Copies { all, plan, seconds } = self;
        let mut next = 0;
        let kernel = move |data: &mut Data<T>, run: Run<T>| {
            next = (next + 1) % all.len();
            call(&all[next], data, run)
        };
        (Prepared { name, level: plan.level(), plan: Some(plan), seconds: Some(seconds) }, Box::new(kernel))
    }
}
