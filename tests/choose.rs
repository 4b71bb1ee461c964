//! The arithmetic of the example `choose`: the layers that it draws, and what it makes of times.

#[path = "../examples/choose/measure.rs"]
mod measure;
#[path = "../examples/choose/report.rs"]
mod report;
#[path = "../examples/choose/shapes.rs"]
mod shapes;

use gemmule::Serial;
use gemmule_bench::{Layer, Op, Pad, Pair, Setup};
use measure::{LOWERINGS, Time, measure};
use report::{Choice, Summary, Table};
use shapes::{LEAST_WORK, MOST_WORK, draw};
use std::time::Duration;

#[test]
fn a_seed_draws_the_same_layers() {
    assert_eq!(draw(1, 60), draw(1, 60));
    assert_eq!(draw(1, 20), draw(1, 60)[..20]);
    assert_ne!(draw(1, 60), draw(2, 60));
}

#[test]
fn layers_are_of_every_kind_and_of_bounded_size() {
    let layers = draw(3, 400);
    for layer in &layers {
        let work = layer.work(1).unwrap();
        assert!((LEAST_WORK..=MOST_WORK).contains(&work), "{}", layer.name);
        assert!((3..=512).contains(&layer.c_in) && (3..=512).contains(&layer.c_out), "{}", layer.name);
        assert!((7..=112).contains(&layer.height) && (7..=112).contains(&layer.width), "{}", layer.name);
    }
    let some = |what: &str, is: &dyn Fn(&Layer) -> bool| assert!(layers.iter().any(is), "none is {what}");
    for kernel in [[1, 1], [3, 3], [5, 5], [7, 7], [1, 7], [7, 1], [2, 2], [4, 4]] {
        some(&format!("{kernel:?}"), &|layer| layer.kernel == Pair(kernel));
    }
    for groups in [1, 4, 32] {
        some(&format!("in {groups} groups"), &|layer| layer.groups == groups && layer.groups < layer.c_in);
    }
    some("depthwise", &|layer| layer.groups == layer.c_in);
    some("of stride 2", &|layer| layer.stride == Pair([2, 2]));
    some("of dilation 2", &|layer| layer.dilation == Pair([2, 2]));
    some("without padding", &|layer| layer.kernel != Pair([1, 1]) && layer.padding == Pad::Symmetric(Pair([0, 0])));
    some("odd in its channels", &|layer| layer.groups == 1 && layer.c_in % 2 == 1);
    for side in [17, 35, 73] {
        some(&format!("{side} high"), &|layer| layer.height == side);
    }
    some("not square", &|layer| layer.height != layer.width);
}

fn choice(name: &str, pick: &str, times: &[(&str, f64, f64)]) -> Option<Choice> {
    let time = |&(lowering, hot_seconds, cold_seconds): &(&str, f64, f64)| {
        let lowering = lowering.to_owned();
        Time { lowering, hot_seconds, cold_seconds }
    };
    Choice::new(name.into(), pick.into(), times.iter().map(time).collect())
}

#[test]
fn ratios_are_to_the_fastest() {
    let best = choice("a", "im2col", &[("im2col", 2.0, 8.0), ("band", 4.0, 4.0)]).unwrap();
    assert_eq!((best.hot_ratio, best.cold_ratio), (1.0, 2.0));
    assert!(choice("b", "winograd", &[("im2col", 2.0, 8.0)]).is_none());
}

#[test]
fn the_summary_counts_good_picks_and_names_the_worst() {
    let of = |name: &str, hot: f64| choice(name, "band", &[("band", hot, 2.0), ("im2col", 1.0, 1.0)]).unwrap();
    let choices = [of("a", 1.04), of("b", 1.5), of("c", 0.5), of("d", 1.2)];
    let hot = Summary::new(&choices, |choice| choice.hot_ratio);
    assert_eq!(hot, Summary { layers: 4, good: 2, worst: Some((1.5, "b".into())) });
    let says = "hot: in 2 of 4 layers the pick is within 5 % of the best; the worst takes 1.50 times as long, b";
    assert_eq!(hot.line("hot"), says);
    let cold = Summary::new(&choices, |choice| choice.cold_ratio);
    assert_eq!((cold.good, cold.worst.map(|(ratio, _)| ratio)), (0, Some(2.0)));
    assert_eq!(Summary::new(&[], |choice| choice.hot_ratio), Summary { layers: 0, good: 0, worst: None });
}

#[test]
fn rows_stand_below_their_heads() {
    let table = Table::new(["a"].into_iter(), vec!["im2col".into(), "winograd".into()]);
    let rows = table.rows(&choice("a", "im2col", &[("im2col", 2e-6, 3e-6)]).unwrap());
    assert!(rows.lines().all(|row| row.len() == table.head().len()), "{}\n{rows}", table.head());
    assert!(rows.starts_with("a      im2col          hot         2.0"), "{rows}");
}

/// A small layer, to the end: what refuses has no time, and what is picked has one.
#[test]
fn every_lowering_that_accepts_is_measured() {
    let small = draw(1, 60).into_iter().find(|layer| layer.kernel == Pair([3, 3]) && layer.groups == 1).unwrap();
    let small = Layer { op: Op::Conv, c_in: 256, c_out: 256, height: 8, width: 8, ..small };
    let times = measure::<f32>(&small, &Setup::default(), &LOWERINGS, Duration::ZERO, &Serial).unwrap();
    let names: Vec<&str> = times.iter().map(|time| time.lowering.as_str()).collect();
    assert!(names.contains(&"implicit") && names.contains(&"im2col") && !names.contains(&"pointwise"), "{names:?}");
    assert!(times.iter().all(|time| time.hot_seconds > 0.0 && time.cold_seconds.is_finite()));
}
