//! The list of layers, the format, and the comparison with the reference.

use gemmule::Serial;
use gemmule_bench::{Job, Layer, Layout, Op, Pad, Pair, Setup, interleave, layers};
use std::collections::HashSet;
use std::time::Duration;

#[test]
fn every_layer_of_the_list_has_a_name_of_its_own_and_an_output() {
    let layers = layers().unwrap();
    let names: HashSet<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names.len(), layers.len());
    for layer in &layers {
        let y = layer.output(1).unwrap_or_else(|e| panic!("{}: {e}", layer.name));
        assert_eq!(y[3], layer.c_out, "{}", layer.name);
    }
}

#[test]
fn a_file_is_read_or_refused_with_its_line() {
    let head = "name\top\tc_in\tc_out\tkernel\tstride\tpadding\tdilation\tgroups\theight\twidth\n";
    let read = |line: &str| Layer::read(format!("{head}{line}").as_bytes());
    let layer = &read("a\tconv\t4\t6\t1x7\t2\tsame\t1\t2\t8\t9\n").unwrap()[0];
    assert_eq!((layer.kernel, layer.stride, layer.padding), (Pair([1, 7]), Pair([2, 2]), Pad::Same));
    assert_eq!(layer.output(3).unwrap(), [3, 4, 5, 6]);
    for (line, what) in [
        ("a\tconvolution\t4\t6\t3\t1\t1\t1\t1\t8\t8\n", "line: 2"),
        ("a\tconv\t4\t6\t3x\t1\t1\t1\t1\t8\t8\n", "1x7"),
        ("a\tconv\t4\t6\t3\t1\t1\t1\t1\t8\n", "line: 2"),
        ("a\tmax_pool\t4\t6\t3\t1\t1\t1\t1\t8\t8\n", "as many outputs as inputs"),
    ] {
        let message = read(line).expect_err(line).to_string();
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn a_cropped_layer_is_smaller_in_height_and_width_only() {
    let all = layers().unwrap();
    let layer = all.iter().find(|layer| layer.name == "vgg16/conv1_3x3").unwrap();
    let small = layer.cropped(1, 1e7).unwrap();
    assert!(small.work(1).unwrap() <= 1e7);
    assert_eq!(Layer { height: layer.height, width: layer.width, ..small }, *layer);
    assert!(layer.cropped(1, 1.0).is_err());
}

/// Every kernel, in both layouts, stays within the bound of exact sums; so the bench runs what the reference describes.
#[test]
fn every_pass_agrees_with_the_reference() {
    let one = Pair([1, 1]);
    let layer = |op: Op, c_out, groups, stride, padding| {
        let (name, kernel, stride) = (op.to_string(), Pair([3, 2]), Pair(stride));
        Layer { name, op, c_in: 6, c_out, kernel, stride, padding, dilation: one, groups, height: 9, width: 7 }
    };
    for padding in [Pad::Symmetric(one), Pad::Same] {
        for stride in [[1, 1], [2, 3], [4, 1]] {
            for op in Op::ALL {
                let (c_out, groups) = if op.is_conv() { (4, 2) } else { (6, 1) };
                for (&pass, layout) in
                    op.passes().iter().flat_map(|pass| [Layout::Nhwc, Layout::Nchw].map(|l| (pass, l)))
                {
                    let setup = Setup { pass, layout, batch: 2, ..Setup::default() };
                    let layer = layer(op, c_out, groups, stride, padding);
                    let mut job = Job::<f32>::new(&layer, &setup).unwrap();
                    let verified = job.verify(&Serial).unwrap();
                    assert!(verified.of_bound <= 1.0, "{layer:?} {pass}: {verified:?}");
                }
            }
        }
    }
}

#[test]
fn everything_has_its_turn() {
    let (mut first, mut second) = (0, 0);
    let [a, b] = interleave(
        Duration::ZERO,
        [
            &mut || {
                first += 1;
                Ok(())
            },
            &mut || {
                second += 1;
                Ok(())
            },
        ],
    )
    .unwrap();
    assert_eq!((a.calls(), b.calls()), (first, second));
    assert!(a.calls() >= 3 && b.calls() >= 3 && a.min() <= a.clone().median());
}
