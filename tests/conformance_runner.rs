//! The runner of the conformance cases itself: it has to find what is wrong, and must not pass what it did not run.

#[path = "../examples/conformance/runner/mod.rs"]
mod runner;

use gemmule::{Algorithm, Level};
use runner::{Folder, Layout, Outcome, Settings, Tally, Threads};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A collection in the making.
struct Cases {
    cases: Vec<Value>,
    blob: Vec<u8>,
}

impl Cases {
    fn new() -> Self {
        Cases { cases: Vec::new(), blob: Vec::new() }
    }

    /// A collection of this repository, to be changed.
    fn read(path: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let mut index: Value = serde_json::from_slice(&fs::read(path.join("cases.json")).unwrap()).unwrap();
        let Value::Array(cases) = index["cases"].take() else { panic!("no cases") };
        Cases { cases, blob: fs::read(path.join("cases.bin")).unwrap() }
    }

    fn tensor(&mut self, role: &str, dtype: &str, shape: &[usize], bytes: Vec<u8>) -> Value {
        let offset = self.blob.len().next_multiple_of(64);
        self.blob.resize(offset, 0);
        self.blob.extend(bytes);
        let count: usize = shape.iter().product();
        json!({"name": role, "role": role, "dtype": dtype, "shape": shape, "offset": offset, "count": count})
    }

    fn floats(&mut self, role: &str, shape: &[usize], values: &[f32]) -> Value {
        self.tensor(role, "f32", shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn integers(&mut self, role: &str, shape: &[usize], values: &[i64]) -> Value {
        self.tensor(role, "i64", shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn add(&mut self, op: &str, resolved: Value, inputs: Vec<Value>, outputs: Vec<Value>) -> &mut Value {
        let name = format!("{op}_{}", self.cases.len());
        self.cases.push(json!({"name": name, "op": op, "resolved": resolved, "inputs": inputs, "outputs": outputs}));
        self.cases.last_mut().unwrap()
    }

    /// Writes the folder, whose name has to be one a test.
    fn write(&self, name: &str, more: Value) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut index = json!({"blob": "cases.bin", "cases": self.cases});
        index.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("cases.json"), index.to_string()).unwrap();
        fs::write(path.join("cases.bin"), &self.blob).unwrap();
        path
    }

    fn run_with(&self, name: &str, settings: &Settings) -> Vec<Outcome> {
        let folder = Folder::read(&self.write(name, json!({}))).unwrap();
        runner::outcomes(&folder, settings).map(|(_, outcome)| outcome).collect()
    }

    fn run(&self, name: &str) -> Vec<Outcome> {
        self.run_with(name, &Settings::default())
    }
}

/// A case that passes, with its one output wrong by so much.
fn sum_of_four(cases: &mut Cases, error: f32) -> &mut Value {
    let x = cases.floats("X", &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let w = cases.floats("W", &[1, 1, 2, 2], &[1.0; 4]);
    let y = cases.floats("Y", &[1, 1, 1, 1], &[10.0 + error]);
    cases.add("Conv", json!({}), vec![x, w], vec![y])
}

fn expect_unsupported(outcome: &Outcome, reason: &str) {
    let Outcome::Unsupported(why) = outcome else { panic!("expected unsupported ({reason}), got {outcome:?}") };
    assert!(why.contains(reason), "expected a reason with {reason:?}, got {why:?}");
}

#[test]
fn one_wrong_value_of_any_output_fails_its_case() {
    for path in ["tests/conformance", "tests/golden/numpy", "tests/golden/torch"] {
        for role in ["Y", "Indices", "dX", "dW", "dB"] {
            let mut cases = Cases::read(path);
            let mut wrong = Vec::new();
            for case in &cases.cases {
                let outputs = case["outputs"].as_array().unwrap();
                let output = outputs.iter().find(|output| output["role"] == role && output["count"] != 0);
                if let Some(output) = output {
                    let number = |key: &str| output[key].as_u64().unwrap() as usize;
                    // The last value becomes one that is nowhere expected.
                    let bytes = match output["dtype"].as_str().unwrap() {
                        "f32" => 12345.5f32.to_le_bytes().to_vec(),
                        "f64" => 12345.5f64.to_le_bytes().to_vec(),
                        _ => (-2i64).to_le_bytes().to_vec(),
                    };
                    let at = number("offset") + (number("count") - 1) * bytes.len();
                    cases.blob[at..at + bytes.len()].copy_from_slice(&bytes);
                }
                wrong.push(output.is_some());
            }
            assert!(wrong.contains(&true), "{path} has no {role}");
            for (i, outcome) in cases.run(&format!("wrong_{role}")).iter().enumerate() {
                let failed = matches!(outcome, Outcome::Failed(what) if what.starts_with(role));
                assert!(failed == wrong[i], "{path}, {role}: {}: {outcome:?}", cases.cases[i]["name"]);
            }
        }
    }
}

#[test]
fn a_failure_says_where_and_how_much() {
    let mut cases = Cases::new();
    sum_of_four(&mut cases, 0.5);
    let Outcome::Failed(what) = &cases.run("says_where")[0] else { panic!("passed") };
    let expected = "Y: 1 of 1 values are wrong; the largest error is 5.000e-1 (allowed: 0.000e0) at [0, 0, 0, 0]: \
                    expected 10.5, got 10";
    assert_eq!(what, expected);
}

#[test]
fn the_last_line_counts() {
    let mut cases = Cases::new();
    sum_of_four(&mut cases, 0.0);
    sum_of_four(&mut cases, 0.0);
    sum_of_four(&mut cases, 1.0);
    sum_of_four(&mut cases, 0.0)["op"] = json!("Softmax");
    let mut tally = Tally::default();
    cases.run("counts").iter().for_each(|outcome| tally.count(outcome));
    assert_eq!(tally.to_string(), "2 passed, 1 failed, 1 unsupported");
}

#[test]
fn tolerances_are_those_of_the_case() {
    let mut cases = Cases::new();
    sum_of_four(&mut cases, 0.0);
    sum_of_four(&mut cases, 0.5)["atol"] = json!(0.5);
    sum_of_four(&mut cases, 0.5)["atol"] = json!(0.49);
    sum_of_four(&mut cases, 0.5)["rtol"] = json!(0.05);
    sum_of_four(&mut cases, 0.5)["atol_winograd"] = json!(1.0); // no such lowering ran
    sum_of_four(&mut cases, f32::NAN)["atol"] = json!(1e30);
    sum_of_four(&mut cases, f32::INFINITY)["rtol"] = json!(1.0);
    let outcomes = cases.run("tolerances");
    let passed: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Passed(_))).collect();
    assert_eq!(passed, [true, true, false, true, false, false, false], "{outcomes:?}");
}

#[test]
fn an_output_of_another_shape_fails() {
    let mut cases = Cases::new();
    let y = cases.floats("Y", &[1, 1, 1, 2], &[10.0; 2]);
    sum_of_four(&mut cases, 0.0)["outputs"] = json!([y]);
    let outcome = &cases.run("shape")[0];
    assert!(matches!(outcome, Outcome::Failed(what) if what.contains("[1, 1, 1, 2], got [1, 1, 1, 1]")), "{outcome:?}");
}

#[test]
fn what_is_not_known_is_unsupported() {
    /// A key of the case that is changed, its new value, and a part of the reason.
    const CHANGES: [(&str, &str, &str); 10] = [
        ("/op", r#""LpPool""#, "the operator LpPool"),
        ("/op", "7", "the operator"),
        ("/spatial", "3", "3 spatial axes"),
        ("/inputs/0/dtype", r#""f16""#, "the type f16"),
        ("/inputs/0/role", r#""Z""#, "no input has the role X"),
        ("/inputs/1/role", r#""Z""#, "an input with the role Z"),
        ("/inputs/0/shape", "[4]", "spatial axes"),
        ("/inputs/0/count", "3", "has not 3 elements"),
        ("/outputs/0/role", r#""Mask""#, "no such output"),
        ("/outputs", "[]", "no output"),
    ];
    let mut cases = Cases::new();
    for (pointer, value, _) in CHANGES {
        let case = sum_of_four(&mut cases, 0.0);
        case["spatial"] = json!(2);
        *case.pointer_mut(pointer).unwrap() = serde_json::from_str(value).unwrap();
    }
    sum_of_four(&mut cases, 0.0)["resolved"] = json!({"kernel": [2]});
    sum_of_four(&mut cases, 0.0)["resolved"] = json!({"strides": "two"});
    sum_of_four(&mut cases, 0.0)["resolved"] = json!({"auto_pad": "NOTSET", "kernel": null, "ceil_mode": false});
    let outcomes = cases.run("unknown");
    for ((_, _, reason), outcome) in CHANGES.iter().zip(&outcomes) {
        expect_unsupported(outcome, reason);
    }
    expect_unsupported(&outcomes[10], "1 numbers in kernel");
    expect_unsupported(&outcomes[11], "can't be read");
    assert_eq!(outcomes[12], Outcome::Passed(0.0));
}

#[test]
fn an_algorithm_that_refuses_is_unsupported_with_its_reason() {
    let mut cases = Cases::new();
    sum_of_four(&mut cases, 0.0);
    let settings = Settings { algorithm: Algorithm::Pointwise, level: Some(Level::Scalar), ..Settings::default() };
    expect_unsupported(&cases.run_with("refuses", &settings)[0], "kernel 2x2 is not 1x1");
}

#[test]
fn odd_but_legal_cases_pass() {
    let mut cases = Cases::new();
    // An empty batch.
    let (x, w) = (cases.floats("X", &[0, 1, 2, 2], &[]), cases.floats("W", &[3, 1, 2, 2], &[1.0; 12]));
    let y = cases.floats("Y", &[0, 3, 1, 1], &[]);
    cases.add("Conv", json!({}), vec![x, w], vec![y]);
    // One spatial axis, a bias, and no word on the number of axes.
    let (x, w) = (cases.floats("X", &[1, 1, 3], &[1.0, 2.0, 3.0]), cases.floats("W", &[1, 1, 2], &[1.0, 10.0]));
    let (b, y) = (cases.floats("B", &[1], &[100.0]), cases.floats("Y", &[1, 1, 3], &[121.0, 132.0, 103.0]));
    cases.add("Conv", json!({"pads_end": [1]}), vec![x, w, b], vec![y]);
    // Padding below zero makes the output of a transposed convolution larger.
    let (x, w) = (cases.floats("X", &[1, 1, 1, 1], &[2.0]), cases.floats("W", &[1, 1, 1, 1], &[3.0]));
    let y = cases.floats("Y", &[1, 1, 1, 3], &[0.0, 6.0, 0.0]);
    cases.add("ConvTranspose", json!({"pads_begin": [0, -1], "pads_end": [0, -1]}), vec![x, w], vec![y]);
    // A gradient alone, without the input that it does not need.
    let dy = cases.floats("dY", &[1, 1, 1, 1], &[8.0]);
    let dx = cases.floats("dX", &[1, 1, 2, 2], &[2.0; 4]);
    cases.add("AveragePoolBackward", json!({"kernel": [2, 2]}), vec![dy.clone()], vec![dx]);
    let db = cases.floats("dB", &[1], &[8.0]);
    cases.add("ConvBackward", json!({}), vec![dy], vec![db]);
    for layout in [Layout::Nhwc, Layout::Nchw] {
        let settings = Settings { layout, threads: Some(Threads(2)), ..Settings::default() };
        let outcomes = cases.run_with("odd", &settings);
        assert_eq!(outcomes, [(); 5].map(|()| Outcome::Passed(0.0)));
    }
}

/// Maxima of two planes of 2 x 3, one window each, at (1, 0) and (0, 2).
#[test]
fn indices_count_as_the_case_says() {
    const CONVENTIONS: [(&str, Option<&str>, u8, [i64; 2]); 6] = [
        ("torch", Some("plane"), 0, [3, 2]),
        ("torch", Some("plane"), 1, [1, 4]),
        ("torch", Some("tensor"), 0, [3, 6 + 2]),
        ("torch", Some("tensor"), 1, [1, 6 + 4]),
        ("ONNX node tests", None, 0, [3, 6 + 2]),
        ("somewhere else", None, 0, [3, 2]),
    ];
    let values = [1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 6.0, 0.0];
    let mut cases = Cases::new();
    for (source, convention, order, expected) in CONVENTIONS {
        let resolved = json!({"kernel": [2, 3], "storage_order": order});
        let (x, y) = (cases.floats("X", &[1, 2, 2, 3], &values), cases.floats("Y", &[1, 2, 1, 1], &[5.0, 7.0]));
        let indices = cases.integers("Indices", &[1, 2, 1, 1], &expected);
        let dy = cases.floats("dY", &[1, 2, 1, 1], &[5.0, 7.0]);
        let dx: Vec<f32> = values.iter().map(|&x| if x == 5.0 || x == 7.0 { x } else { 0.0 }).collect();
        let dx = cases.floats("dX", &[1, 2, 2, 3], &dx);
        cases.add("MaxPool", resolved.clone(), vec![x], vec![y, indices.clone()]);
        cases.add("MaxPoolBackward", resolved, vec![dy, indices], vec![dx]);
        for case in cases.cases.iter_mut().rev().take(2) {
            case["source"] = json!(source);
            case["indices"] = json!(convention);
        }
    }
    for layout in [Layout::Nhwc, Layout::Nchw] {
        let outcomes = cases.run_with("indices", &Settings { layout, ..Settings::default() });
        assert_eq!(outcomes, [(); 12].map(|()| Outcome::Passed(0.0)));
    }
}

#[test]
fn a_folder_that_is_not_whole_is_an_error() {
    let mut cases = Cases::new();
    sum_of_four(&mut cases, 0.0);
    let error = |path: &Path| match Folder::read(path) {
        Ok(_) => panic!("{} was read", path.display()),
        Err(error) => format!("{error:#}"),
    };
    let len = cases.blob.len();
    assert!(Folder::read(&cases.write("whole", json!({"blob_bytes": len}))).is_ok());
    let message = error(&cases.write("whole", json!({"blob_bytes": len + 1})));
    assert!(message.ends_with(&format!("expected {} bytes, got {len}", len + 1)), "{message}");
    let message = error(&cases.write("whole", json!({"blob_sha256": "00"})));
    assert!(message.contains("expected the SHA-256 00, got "), "{message}");
    cases.blob.pop();
    let message = error(&cases.write("truncated", json!({})));
    assert!(message.contains("Y lies at byte") && message.ends_with(&format!("beyond byte {}", len - 1)), "{message}");
    let path = cases.write("no_index", json!({}));
    fs::write(path.join("cases.json"), "[]").unwrap();
    assert!(error(&path).contains("is no index of cases"));
    fs::remove_file(path.join("cases.json")).unwrap();
    assert!(error(&path).starts_with("can't read "));
}
