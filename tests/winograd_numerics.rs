//! What the page `gemmule::numerics` says of Winograd's algorithm: the bound of its errors, how far NaN and infinity spread, when
//! it overflows.

mod common;

use common::*;
use gemmule::testing::ErrorBound;
use gemmule::{Accuracy, Algorithm, Conv2d, Element, Epilogue, Level, Machine, Options, View, ViewMut, Weights};
use gemmule_reference::Real;

/// A layer of one image, which its tiles cross: of every form the last one is short.
#[derive(Clone, Copy, Debug)]
struct Layer {
    taps: [usize; 2],
    outputs: [usize; 2],
    /// Along axes of more than one tap.
    stride: usize,
    dilation: usize,
    pad: usize,
    size: [usize; 2],
    channels: [usize; 2],
}

/// A vector of any level at least, and a part of one.
const INPUTS: usize = 17;

/// Outputs and taps along an axis of every form that there is at a stride.
fn forms(stride: usize) -> Vec<(usize, usize)> {
    let exists = |&(m, r): &(usize, usize)| {
        let options = Options::new().algorithm(Algorithm::Winograd).accuracy(Accuracy::Relaxed).transform([1, m]);
        let conv = Conv2d::new(INPUTS, 1, [1, r]).stride([stride; 2]);
        conv.plan::<f32>(&options, &Machine::detect()).is_ok()
    };
    (1..=6).flat_map(|m| (2..=7).map(move |r| (m, r))).filter(exists).collect()
}

/// Each form on one axis, on the other, and on both with every other one of the same taps.
fn layers() -> Vec<Layer> {
    let mut layers = Vec::new();
    for (stride, count) in [(1, 10), (2, 6)] {
        let forms = forms(stride);
        assert!(forms.len() >= count, "{forms:?}");
        let layer = |(my, ry), (mx, rx)| {
            let size = [(my, ry), (mx, rx)].map(|(m, r): (usize, usize)| 2 * m * stride + r);
            let channels = [INPUTS, 3];
            Layer { taps: [ry, rx], outputs: [my, mx], stride, dilation: 1, pad: 1, size, channels }
        };
        for &a in &forms {
            layers.extend([layer(a, (1, 1)), layer((1, 1), a)]);
            layers.extend(forms.iter().filter(|b| b.1 == a.1).map(|&b| layer(a, b)));
        }
    }
    layers
}

impl Layer {
    fn conv(&self) -> Conv2d {
        let [inputs, outputs] = self.channels;
        let pad = self.taps.map(|taps| if taps == 1 { 0 } else { self.pad as isize });
        let conv = Conv2d::new(inputs, outputs, self.taps).stride([0, 1].map(|axis| self.stride(axis)));
        conv.dilation([self.dilation; 2]).padding([[pad[0]; 2], [pad[1]; 2]])
    }

    fn pad(&self, axis: usize) -> usize {
        if self.taps[axis] == 1 { 0 } else { self.pad }
    }

    fn stride(&self, axis: usize) -> usize {
        if self.taps[axis] == 1 { 1 } else { self.stride }
    }

    fn options(&self) -> Options {
        let options = Options::new().algorithm(Algorithm::Winograd).accuracy(Accuracy::Relaxed);
        options.transform(self.outputs)
    }

    fn x_shape(&self) -> [usize; 4] {
        [1, self.size[0], self.size[1], self.channels[0]]
    }

    fn y_shape(&self) -> [usize; 4] {
        self.conv().output_shape(self.x_shape()).unwrap()
    }

    fn weight_len(&self) -> usize {
        self.taps[0] * self.taps[1] * self.channels[0] * self.channels[1]
    }

    fn bound<T: Element>(&self) -> ErrorBound {
        ErrorBound::new(&self.conv().plan::<T>(&self.options(), &Machine::detect()).unwrap()).unwrap()
    }

    fn run<T: Number>(&self, options: Options, level: Level, x: &[T], w: &[T]) -> Vec<T> {
        let packed = self.conv().prepare(Weights::hwio(w), None, &options.level(level)).unwrap();
        let mut y = vec![T::NAN; self.y_shape().iter().product()];
        let (x, out) = (View::nhwc(x, self.x_shape()).unwrap(), ViewMut::nhwc(&mut y, self.y_shape()).unwrap());
        packed.forward(x, out, &Epilogue::new(), serial(level)).unwrap();
        y
    }

    /// An input; zero in the padding.
    fn x<T: Number>(&self, x: &[T], [y, ox]: [isize; 2], i: usize) -> f64 {
        let [height, width] = self.size.map(|size| size as isize);
        if !(0..height).contains(&y) || !(0..width).contains(&ox) {
            return 0.0;
        }
        Real::to_f64(x[(y * width + ox) as usize * self.channels[0] + i])
    }

    fn w<T: Number>(&self, w: &[T], [ky, kx]: [usize; 2], i: usize, o: usize) -> f64 {
        Real::to_f64(w[((ky * self.taps[1] + kx) * self.channels[0] + i) * self.channels[1] + o])
    }

    /// The tile of an output along an axis: its first output, and how many are wanted of it. An axis of one tap has one
    /// lattice.
    fn tile(&self, axis: usize, output: usize) -> (usize, usize) {
        let (m, apart) = (self.outputs[axis], self.apart(axis));
        let (lattice, at) = (output % apart, output / apart);
        let outputs = (self.y_shape()[axis + 1] - lattice).div_ceil(apart);
        let first = at / m * m;
        (lattice + first * apart, m.min(outputs - first))
    }

    fn apart(&self, axis: usize) -> usize {
        if self.taps[axis] == 1 { 1 } else { self.dilation }
    }
}

/// A sum as exact as twice the digits make it (Dekker, "A floating-point technique for extending the available precision",
/// 1971).
fn exact_sum(terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut high, mut low) = (0.0f64, 0.0f64);
    for (a, b) in terms {
        let product = a * b;
        let sum = high + product;
        let of_product = sum - high;
        low += (high - (sum - of_product)) + (product - of_product) + a.mul_add(b, -product);
        high = sum;
    }
    high + low
}

/// `|At| ((|G| |w| |G|t) * (|Bt| |x| |B|)) |A|`, summed over the inputs, of an output.
fn magnitude<T: Number>(layer: &Layer, bound: &ErrorBound, x: &[T], w: &[T], [oy, ox, o]: [usize; 3]) -> f64 {
    let tiles = [layer.tile(0, oy), layer.tile(1, ox)];
    let m = [0, 1].map(|axis| bound.matrices(axis, bound.last(axis, tiles[axis].1)));
    let within = [0, 1].map(|axis| ([oy, ox][axis] - tiles[axis].0) / layer.apart(axis));
    let at = |axis: usize, k: usize| {
        (tiles[axis].0 * layer.stride(axis) + k * layer.apart(axis)) as isize - layer.pad(axis) as isize
    };
    let mut sum = 0.0;
    for i in 0..layer.channels[0] {
        for (py, px) in (0..m[0].points()).flat_map(|py| (0..m[1].points()).map(move |px| (py, px))) {
            let (mut v, mut u) = (0.0, 0.0);
            for (a, b) in (0..m[0].points()).flat_map(|a| (0..m[1].points()).map(move |b| (a, b))) {
                v += (m[0].bt[py][a] * m[1].bt[px][b] * layer.x(x, [at(0, a), at(1, b)], i)).abs();
            }
            for (ky, kx) in (0..layer.taps[0]).flat_map(|ky| (0..layer.taps[1]).map(move |kx| (ky, kx))) {
                u += (m[0].g[py][ky] * m[1].g[px][kx] * layer.w(w, [ky, kx], i, o)).abs();
            }
            sum += (m[0].at[within[0]][py] * m[1].at[within[1]][px]).abs() * u * v;
        }
    }
    sum
}

/// Inputs that make transforms lose the most digits, and plain ones.
fn inputs<T: Number>(layer: &Layer, kind: usize, random: &mut Random) -> Vec<T> {
    let count = layer.x_shape().iter().product::<usize>();
    let (width, channels) = (layer.size[1], layer.channels[0]);
    let value = |n: usize| {
        let (oy, ox) = (n / channels / width, n / channels % width);
        let sign = if (oy + ox) % 2 == 0 { 1.0 } else { -1.0 };
        match kind {
            0 => random.real(),
            1 => random.real().max(0.0),
            2 => 1000.0 + random.real(),
            3 => sign * (1.0 + 0.01 * random.real()),
            // Outputs whose own inputs are zeros, in tiles where others are not.
            _ if oy < layer.size[0] / 2 => 0.0,
            _ => 1e4 * random.real(),
        }
    };
    (0..count).map(value).map(Real::from_f64).collect()
}

fn bound_holds<T: Number>() {
    let random = &mut Random(1);
    for layer in layers() {
        let bound = layer.bound::<T>();
        let largest = |values: &[T]| values.iter().map(|&v| Real::to_f64(v).abs()).fold(0.0, f64::max);
        for kind in 0..5 {
            let x = inputs::<T>(&layer, kind, random);
            let w: Vec<T> = (0..layer.weight_len()).map(|_| Real::from_f64(random.real())).collect();
            let runs: Vec<(Level, Vec<T>)> =
                levels().into_iter().map(|level| (level, layer.run(layer.options(), level, &x, &w))).collect();
            let [_, rows, columns, outputs] = layer.y_shape();
            for at in 0..rows * columns * outputs {
                let (oy, ox, o) = (at / outputs / columns, at / outputs % columns, at % outputs);
                let taps = (0..layer.taps[0]).flat_map(|ky| (0..layer.taps[1]).map(move |kx| [ky, kx]));
                let taps = || taps.clone().flat_map(|k| (0..layer.channels[0]).map(move |i| (k, i)));
                let place = |k: [usize; 2]| {
                    [0, 1].map(|a| {
                        ([oy, ox][a] * layer.stride(a) + layer.dilation * k[a]) as isize - layer.pad(a) as isize
                    })
                };
                let want = exact_sum(taps().map(|(k, i)| (layer.x(&x, place(k), i), layer.w(&w, k, i, o))));
                let most = bound.relative::<T>() * magnitude(&layer, &bound, &x, &w, [oy, ox, o]);
                let weights: f64 = taps().map(|(k, i)| layer.w(&w, k, i, o).abs()).sum();
                let coarse = bound.relative::<T>() * bound.growth() * largest(&x) * weights;
                assert!(most <= coarse * (1.0 + 1e-12), "{layer:?}: the finer bound is the larger one");
                for (level, y) in &runs {
                    let error = (Real::to_f64(y[at]) - want).abs();
                    assert!(error <= most, "{layer:?} at {level}, inputs {kind}, {oy} {ox} {o}: {error:e} > {most:e}");
                }
            }
        }
    }
}

#[test]
fn errors_are_within_the_bound_in_f32() {
    bound_holds::<f32>();
}

#[test]
fn errors_are_within_the_bound_in_f64() {
    bound_holds::<f64>();
}

/// No bound by an output's own terms can hold: they may be zeros, and the inputs beside them are in the same transform.
#[test]
fn an_output_of_zeros_need_not_be_zero() {
    let layer =
        Layer { taps: [1, 3], outputs: [1, 4], stride: 1, dilation: 1, pad: 0, size: [1, 6], channels: [INPUTS, 1] };
    let random = &mut Random(6);
    let mut first = || {
        let zeros = std::iter::repeat_n(0.0, 3 * INPUTS);
        let x: Vec<f32> = zeros.chain((0..3 * INPUTS).map(|_| random.real() as f32)).collect();
        let w: Vec<f32> = (0..3 * INPUTS).map(|_| random.real() as f32).collect();
        layer.run(layer.options(), Level::Scalar, &x, &w)[0]
    };
    let outputs: Vec<f32> = (0..20).map(|_| first()).collect();
    assert!(outputs.iter().all(|y| y.abs() < 1e-5) && outputs.iter().any(|&y| y != 0.0), "{outputs:?}");
}

/// Two groups, so that what stays within one can be told; a form of every kind, dilated ones too.
fn spreading() -> Vec<Layer> {
    let layer = |taps, outputs, stride, dilation| Layer {
        taps,
        outputs,
        stride,
        dilation,
        pad: 1,
        size: [14, 15],
        channels: [GROUPS * INPUTS, 6],
    };
    vec![
        layer([3, 3], [4, 4], 1, 1),
        layer([3, 3], [2, 4], 1, 2),
        layer([5, 5], [3, 3], 1, 1),
        layer([1, 7], [1, 4], 1, 1),
        layer([2, 2], [4, 4], 1, 1),
        layer([3, 3], [4, 4], 2, 1),
    ]
}

const GROUPS: usize = 2;

fn run_groups(layer: &Layer, level: Level, x: &[f32], w: &[f32]) -> Vec<f32> {
    let packed = layer.conv().groups(GROUPS).prepare(Weights::hwio(w), None, &layer.options().level(level)).unwrap();
    let mut y = vec![f32::NAN; layer.y_shape().iter().product()];
    let out = ViewMut::nhwc(&mut y, layer.y_shape()).unwrap();
    packed.forward(View::nhwc(x, layer.x_shape()).unwrap(), out, &Epilogue::new(), serial(level)).unwrap();
    y
}

/// A non-finite input reaches its tiles, in all channels of its group, and nothing else; the outputs whose windows have it are
/// not finite.
#[test]
fn a_non_finite_input_stays_within_its_tiles_and_group() {
    let random = &mut Random(2);
    for layer in spreading() {
        let [_, height, width, inputs] = layer.x_shape();
        let [_, rows, columns, outputs] = layer.y_shape();
        let x: Vec<f32> = random.reals::<f32>(layer.x_shape()).data;
        let w: Vec<f32> = (0..layer.weight_len() / GROUPS).map(|_| random.real() as f32).collect();
        for level in levels() {
            let before = run_groups(&layer, level, &x, &w);
            for bad in [f32::NAN, f32::INFINITY] {
                let place = [random.below(height), random.below(width), random.below(inputs)];
                let mut x = x.clone();
                x[(place[0] * width + place[1]) * inputs + place[2]] = bad;
                let y = run_groups(&layer, level, &x, &w);
                // Where a pixel is among the inputs from a first one on, in multiples of the dilation.
                let among = |axis: usize, first: usize, count: usize| {
                    let from = (place[axis] + layer.pad(axis)) as isize - first as isize;
                    let apart = layer.apart(axis) as isize;
                    from >= 0 && from % apart == 0 && from / apart < count as isize
                };
                for at in 0..y.len() {
                    let (oy, ox, o) = (at / outputs / columns, at / outputs % columns, at % outputs);
                    let is_group = o / (outputs / GROUPS) == place[2] / (inputs / GROUPS);
                    let in_tile = (0..2).all(|axis| {
                        let (first, _) = layer.tile(axis, [oy, ox][axis]);
                        let stride = layer.stride(axis);
                        among(axis, first * stride, (layer.outputs[axis] - 1) * stride + layer.taps[axis])
                    });
                    let in_window =
                        (0..2).all(|axis| among(axis, [oy, ox][axis] * layer.stride(axis), layer.taps[axis]));
                    let what = || format!("{layer:?} at {level}: {bad} at {place:?} makes {oy} {ox} {o} {}", y[at]);
                    if !(is_group && in_tile) {
                        assert_eq!(y[at].to_bits(), before[at].to_bits(), "{}", what());
                    } else if in_window {
                        assert!(!y[at].is_finite(), "{}", what());
                    }
                }
                assert!(rows * columns > 0);
            }
        }
    }
}

/// A non-finite weight reaches its output channel, everywhere, and no other one.
#[test]
fn a_non_finite_weight_stays_within_its_output_channel() {
    let random = &mut Random(3);
    for layer in spreading() {
        let outputs = layer.channels[1];
        let x: Vec<f32> = random.reals::<f32>(layer.x_shape()).data;
        let mut w: Vec<f32> = (0..layer.weight_len() / GROUPS).map(|_| random.real() as f32).collect();
        for level in levels() {
            let before = run_groups(&layer, level, &x, &w);
            let at = random.below(w.len());
            let good = std::mem::replace(&mut w[at], f32::NAN);
            let y = run_groups(&layer, level, &x, &w);
            w[at] = good;
            for (k, (y, before)) in y.iter().zip(&before).enumerate() {
                match k % outputs == at % outputs {
                    true => assert!(y.is_nan(), "{layer:?} at {level}: output {k} is {y}"),
                    false => assert_eq!(y.to_bits(), before.to_bits(), "{layer:?} at {level}: output {k}"),
                }
            }
        }
    }
}

/// Up to the documented size there is no overflow; beyond it there may be, where direct sums are finite.
fn overflows<T: Number>(most: f64) {
    for layer in layers() {
        let bound = layer.bound::<T>();
        let count: usize = layer.x_shape().iter().product();
        let signs: Vec<f64> = {
            let random = &mut Random(4);
            (0..count).map(|_| if random.below(2) == 0 { 1.0 } else { -1.0 }).collect()
        };
        let terms = (layer.taps[0] * layer.taps[1] * layer.channels[0]) as f64;
        // Sums of magnitudes of weights are `1 / growth`, so that outputs are no larger than inputs.
        let w = vec![Real::from_f64(0.5 / (terms * bound.growth())); layer.weight_len()];
        let at = |size: f64| signs.iter().map(|sign| Real::from_f64(sign * size)).collect::<Vec<T>>();
        for level in levels() {
            let y = layer.run(layer.options(), level, &at(0.999 * most / bound.input_growth()), &w);
            assert!(y.iter().all(|&y| Real::to_f64(y).is_finite()), "{layer:?} at {level}");
            let direct = Options::new().algorithm(Algorithm::Implicit);
            let y = layer.run(direct, level, &at(most), &w);
            assert!(y.iter().all(|&y| Real::to_f64(y).is_finite()), "{layer:?} at {level}: direct sums");
        }
    }
}

#[test]
fn there_is_no_overflow_up_to_the_documented_size() {
    overflows::<f32>(f32::MAX.into());
    overflows::<f64>(f64::MAX);
}

#[test]
fn larger_inputs_may_overflow_where_direct_sums_do_not() {
    // The signs of a row of `|Bt|` are met by random ones sooner or later.
    let layer =
        Layer { taps: [3, 3], outputs: [4, 4], stride: 1, dilation: 1, pad: 0, size: [30, 30], channels: [INPUTS, 1] };
    let random = &mut Random(5);
    let x: Vec<f32> = (0..900 * INPUTS).map(|_| if random.below(2) == 0 { f32::MAX } else { -f32::MAX }).collect();
    let w = [1e-9f32; 9 * INPUTS];
    for level in levels() {
        let y = layer.run(layer.options(), level, &x, &w);
        assert!(y.iter().any(|y| !y.is_finite()), "{level}");
        let y = layer.run(Options::new().accuracy(Accuracy::Exact), level, &x, &w);
        assert!(y.iter().all(|y| y.is_finite()), "{level}");
    }
}
