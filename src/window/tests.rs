//! Stretches of outputs with equal taps, against the definition.

use super::*;

#[test]
fn stretches_are_all_outputs_with_equal_taps() {
    for (taps, input, stride, first, step) in (1..5).flat_map(|taps| {
        (1..9).flat_map(move |input| {
            (1..4).flat_map(move |stride| {
                (-9..4).flat_map(move |first| [-2, -1, 1, 2, 3].map(|step| (taps, input, stride, first, step)))
            })
        })
    }) {
        let sampling = Sampling { taps, tap_first: 0, tap_step: 1, input, stride, first, step };
        for (start, count) in [(0, 0), (0, 1), (0, 12), (2, 7)] {
            let mut next = 0;
            for Stretch { outputs, taps } in sampling.stretches(start, count) {
                assert!(outputs.start == next && !outputs.is_empty(), "{sampling:?}");
                assert!(outputs.clone().all(|o| sampling.valid(start + o) == taps), "{sampling:?}");
                next = outputs.end;
                assert!(next == count || sampling.valid(start + next) != taps, "{sampling:?}");
            }
            assert_eq!(next, count);
        }
    }
}
