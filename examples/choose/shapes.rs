//! Layers drawn at random, as networks have them: most of them common, a few of each odd kind.

use fastrand::Rng;
use gemmule_bench::{Layer, Op, Pad, Pair};

/// Multiplications of a layer, at most: some tens of milliseconds on one core.
pub const MOST_WORK: f64 = 4e8;
/// And at least: some microseconds.
pub const LEAST_WORK: f64 = 2e5;

/// Kernels, each with its share of the layers in percent.
const KERNELS: [([usize; 2], usize); 8] =
    [([3, 3], 40), ([1, 1], 22), ([5, 5], 10), ([7, 7], 6), ([1, 7], 6), ([7, 1], 6), ([2, 2], 5), ([4, 4], 5)];
const CHANNELS: [usize; 20] =
    [3, 8, 16, 17, 24, 32, 33, 48, 64, 72, 96, 99, 128, 160, 192, 255, 256, 320, 384, MOST_CHANNELS];
const MOST_CHANNELS: usize = 512;
const SIDES: [usize; 15] = [7, 13, 14, 17, 19, 27, 28, 35, 38, 52, 56, 73, 75, 104, 112];

/// So many layers, the same ones for the same seed.
pub fn draw(seed: u64, count: usize) -> Vec<Layer> {
    let mut rng = Rng::with_seed(seed);
    std::iter::repeat_with(|| layer(&mut rng)).filter(is_wanted).take(count).collect()
}

/// Whether a layer has outputs, and a size that is worth measuring.
fn is_wanted(layer: &Layer) -> bool {
    layer.work(1).is_ok_and(|work| (LEAST_WORK..=MOST_WORK).contains(&work))
}

fn layer(rng: &mut Rng) -> Layer {
    let kernel = kernel(rng);
    let is_point = kernel == [1, 1];
    let stride = if rng.usize(..100) < 25 { 2 } else { 1 };
    let dilation = if stride == 1 && !is_point && rng.usize(..100) < 15 { 2 } else { 1 };
    let (groups, [c_in, c_out]) = channels(rng);
    let is_padded = !is_point && rng.usize(..100) < 80;
    let padding = kernel.map(|taps| if is_padded { dilation * (taps - 1) / 2 } else { 0 });
    let height = pick(rng, &SIDES);
    let width = if rng.usize(..100) < 85 { height } else { pick(rng, &SIDES) };
    let mut layer = Layer {
        name: String::new(),
        op: Op::Conv,
        c_in,
        c_out,
        kernel: Pair(kernel),
        stride: Pair([stride; 2]),
        padding: Pad::Symmetric(Pair(padding)),
        dilation: Pair([dilation; 2]),
        groups,
        height,
        width,
    };
    layer.name = layer.summary();
    layer
}

fn kernel(rng: &mut Rng) -> [usize; 2] {
    let shares: usize = KERNELS.iter().map(|(_, share)| share).sum();
    let mut at = rng.usize(..shares);
    for (kernel, share) in KERNELS {
        if at < share {
            return kernel;
        }
        at -= share;
    }
    unreachable!("less than the sum of the shares")
}

/// Groups, and channels of all of them.
fn channels(rng: &mut Rng) -> (usize, [usize; 2]) {
    let groups = match rng.usize(..100) {
        0..10 => 4,
        10..20 => 32,
        20..35 => {
            let channels = pick(rng, &CHANNELS);
            return (channels, [channels; 2]);
        }
        _ => 1,
    };
    let within = CHANNELS.partition_point(|&channels| groups * channels <= MOST_CHANNELS);
    (groups, [0, 1].map(|_| groups * pick(rng, &CHANNELS[..within])))
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}
