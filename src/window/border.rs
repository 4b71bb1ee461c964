//! How many outputs have taps in the padding, for those who count what that costs.

use super::Axis;

/// Outputs near the padding, along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Border {
    /// How many different sets of taps they have.
    pub classes: f64,
    /// Taps that lie in the padding, all together.
    pub lost: f64,
}

impl Axis {
    /// Zeros after the input that the last output's window reaches.
    pub fn overhang(&self, input: usize, outputs: usize) -> isize {
        let reach = (outputs.saturating_sub(1).saturating_mul(self.stride)).saturating_add(self.extent());
        reach as isize - self.pad[0] - input as isize
    }

    /// What so many zeros beside the input change, about.
    pub fn border(&self, zeros: isize) -> Border {
        let zeros = zeros.max(0) as usize;
        let classes = zeros.div_ceil(self.stride.max(self.dilation)).min(self.kernel) as f64;
        // From all of the zeros down to none.
        let each = (zeros as f64 / self.dilation as f64 + 1.0) / 2.0;
        Border { classes, lost: zeros.div_ceil(self.stride) as f64 * each.min(self.kernel as f64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the windows themselves say: different sets of taps beside the full one, taps in the padding, zeros after the input.
    fn counted(axis: &Axis, input: usize) -> (f64, f64, isize) {
        let (sampling, outputs) = (axis.sampling(input), axis.output(input).unwrap());
        let valid = || (0..outputs).map(|o| sampling.valid(o));
        let lost: usize = valid().map(|taps| axis.kernel - taps.len()).sum();
        let changes = valid().zip(valid().skip(1)).filter(|(a, b)| a != b).count();
        let last = ((outputs - 1) * axis.stride + axis.extent()) as isize - axis.pad[0];
        (changes as f64, lost as f64, last - input as isize)
    }

    #[test]
    fn borders_are_what_windows_say() {
        // Kernel, stride, dilation, padding, input; all of whose zeros are within reach.
        for (kernel, stride, dilation, pad, input) in [
            (3, 1, 1, [1, 1], 14),
            (7, 1, 1, [3, 3], 17),
            (5, 1, 1, [0, 4], 20),
            (3, 1, 2, [2, 2], 28),
            (3, 2, 1, [1, 1], 28),
            (3, 2, 1, [1, 1], 27),
            (3, 1, 1, [0, 0], 9),
            (3, 2, 1, [1, 0], 28),
        ] {
            let axis = Axis { name: "height", kernel, stride, dilation, pad };
            let outputs = axis.output(input).unwrap();
            let sides = [axis.pad[0], axis.overhang(input, outputs)].map(|zeros| axis.border(zeros));
            let got =
                (sides[0].classes + sides[1].classes, sides[0].lost + sides[1].lost, axis.overhang(input, outputs));
            assert_eq!(got, counted(&axis, input), "{axis:?} {input}");
        }
    }
}
