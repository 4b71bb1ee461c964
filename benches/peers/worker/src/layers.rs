//! What follows from a layer's geometry, so that nobody else computes it.

use gemmule_bench::{Layer, Op, Result, layers};
use serde::Serialize;
use std::fs::File;
use std::io::Write;

#[derive(Serialize)]
struct Described {
    /// As in the file.
    layer: Fields,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// `[c, h, w]`.
    input: [usize; 3],
    output: [usize; 3],
    /// `[top, left, bottom, right]`.
    pads: [isize; 4],
    output_padding: [usize; 2],
    /// Of one image.
    flops: f64,
    /// The share of them that no padding enters: what is left for one who skips it.
    inside: f64,
    /// Elements of the weights and the bias.
    parameters: usize,
}

#[derive(Serialize)]
struct Fields {
    name: String,
    op: &'static str,
    c_in: usize,
    c_out: usize,
    kernel: String,
    stride: String,
    padding: String,
    dilation: String,
    groups: usize,
    height: usize,
    width: usize,
}

/// Prints all layers of a file, one JSON object a line.
pub fn print(file: Option<&str>) -> Result<()> {
    let all = match file {
        Some(path) => File::open(path).map_err(Into::into).and_then(Layer::read).map_err(|e| format!("{path}: {e}"))?,
        None => layers()?,
    };
    let mut out = std::io::stdout().lock();
    for layer in &all {
        let described = describe(layer).map_err(|e| format!("{}: {e}", layer.name))?;
        writeln!(out, "{}", serde_json::to_string(&described)?)?;
    }
    Ok(())
}

fn describe(layer: &Layer) -> Result<Described> {
    let Layer { name, op, c_in, c_out, kernel, stride, padding, dilation, groups, height, width } = layer.clone();
    let fields = Fields {
        name,
        op: op.name(),
        c_in,
        c_out,
        kernel: kernel.to_string(),
        stride: stride.to_string(),
        padding: padding.to_string(),
        dilation: dilation.to_string(),
        groups,
        height,
        width,
    };
    let (window, output_padding) = layer.window();
    let [[top, bottom], [left, right]] = window.pad;
    let [_, h, w, c] = layer.output(1)?;
    let parameters = match op {
        Op::Conv => c_in / groups * c_out * layer.taps() + c_out,
        Op::ConvTranspose => c_in * (c_out / groups) * layer.taps() + c_out,
        Op::MaxPool | Op::AvgPool => 0,
    };
    Ok(Described {
        layer: fields,
        kernel: kernel.0,
        stride: stride.0,
        dilation: dilation.0,
        input: [c_in, height, width],
        output: [c, h, w],
        pads: [top, left, bottom, right],
        output_padding,
        flops: layer.work(1)? * if op.is_conv() { 2.0 } else { 1.0 },
        inside: match op {
            Op::ConvTranspose => 1.0,
            _ => {
                inside(kernel.0[0], stride.0[0], dilation.0[0], top, height, h)
                    * inside(kernel.0[1], stride.0[1], dilation.0[1], left, width, w)
            }
        },
        parameters,
    })
}

/// The share of an axis' taps that are inside of the image.
fn inside(kernel: usize, stride: usize, dilation: usize, pad: isize, input: usize, output: usize) -> f64 {
    let taps = (0..output).flat_map(|o| (0..kernel).map(move |k| (o * stride + k * dilation).checked_add_signed(-pad)));
    taps.filter(|tap| tap.is_some_and(|i| i < input)).count() as f64 / (kernel * output) as f64
}
