//! What an epilogue costs: each layer with bias, ReLU, a residual and so on, against the bare sums, measured turn by turn.
//!
//! `cargo bench --bench epilogue -- 3x3` shows the layers whose name contains `3x3`. A residual is as large as the output, and
//! has to be read: that is most of what it costs.

use gemmule::{Activation, Epilogue, Options, Run, Serial, Tensor, Weights, Workspace};
use gemmule_bench::{Layer, Op, Result, interleave, layers, random};
use std::time::Duration;

const BUDGET: Duration = Duration::from_millis(300);

fn measure(layer: &Layer) -> Result<[f64; 5]> {
    let (conv, options) = (layer.conv(), Options::new().input([1, layer.height, layer.width]));
    let x = random::<f32>(layer.input(1), 1, 1.0)?;
    let (w, bias) = (random::<f32>(conv.weight_shape()?, 2, 0.1)?, vec![0.5; layer.c_out]);
    let shape = layer.output(1)?;
    let residual = random::<f32>(shape, 3, 1.0)?;
    let plain = conv.prepare(Weights::hwio(w.as_slice()), None, &options)?;
    let biased = conv.prepare(Weights::hwio(w.as_slice()), Some(&bias), &options)?;
    let relu = Epilogue::new().activation(Activation::Relu);
    let cases = [
        (&plain, Epilogue::new()),
        (&biased, Epilogue::new()),
        (&biased, relu),
        (&biased, relu.residual(residual.view())),
        (&biased, Epilogue::new().activation(Activation::Silu)),
    ];
    let (mut workspace, mut y) = (Workspace::new(), Tensor::<f32>::zeros(shape)?);
    let (workspace, y) = (std::cell::RefCell::new(&mut workspace), std::cell::RefCell::new(&mut y));
    let mut calls = cases.map(|(packed, epilogue)| {
        let (x, workspace, y) = (x.view(), &workspace, &y);
        move || -> Result<()> {
            let (mut workspace, mut y) = (workspace.borrow_mut(), y.borrow_mut());
            let run = Run::new().workspace(&mut workspace).executor(&Serial);
            Ok(packed.forward(x, y.view_mut(), &epilogue, run)?)
        }
    });
    let [a, b, c, d, e] = &mut calls;
    Ok(interleave(BUDGET, [a, b, c, d, e])?.map(|samples| samples.min()))
}

fn main() -> Result<()> {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    println!(
        "{:<42} {:>9} {:>7} {:>7} {:>16} {:>7}",
        "layer", "bare us", "bias", "+ ReLU", "+ ReLU, residual", "+ SiLU"
    );
    for layer in layers()?.iter().filter(|layer| layer.op == Op::Conv && layer.name.contains(&only)) {
        let times = measure(layer)?;
        let [_, bias, relu, residual, silu] = times.map(|time| format!("{:.3}", time / times[0]));
        println!("{:<42} {:>9.1} {bias:>7} {relu:>7} {residual:>16} {silu:>7}", layer.name, times[0] * 1e6);
    }
    Ok(())
}
