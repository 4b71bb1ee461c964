//! A folder of cases, read: the index, and the bytes of all tensors.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The index as it is written. A case stays a value at first, so that one that is odd spoils no other.
#[derive(Deserialize)]
struct Index {
    #[serde(default = "blob")]
    blob: String,
    blob_bytes: Option<u64>,
    blob_sha256: Option<String>,
    cases: Vec<Value>,
}

fn blob() -> String {
    "cases.bin".into()
}

/// A case. Keys that are not named here are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub source: Value,
    pub op: String,
    pub spatial: Option<usize>,
    #[serde(default)]
    pub resolved: Resolved,
    #[serde(default)]
    pub inputs: Vec<Tensor>,
    #[serde(default)]
    pub outputs: Vec<Tensor>,
    #[serde(default)]
    pub atol: f64,
    #[serde(default)]
    pub rtol: f64,
    pub atol_winograd: Option<f64>,
    pub indices: Option<String>,
}

/// The geometry, one number a spatial axis. What is absent has ONNX's default.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Resolved {
    pub kernel: Option<Vec<usize>>,
    pub strides: Option<Vec<usize>>,
    pub dilations: Option<Vec<usize>>,
    pub pads_begin: Option<Vec<isize>>,
    pub pads_end: Option<Vec<isize>>,
    pub output_padding: Option<Vec<usize>>,
    pub group: Option<usize>,
    pub ceil_mode: Option<Flag>,
    pub count_include_pad: Option<Flag>,
    pub storage_order: Option<Flag>,
    pub ties: Option<String>,
}

/// ONNX writes 0 or 1, others false or true.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Flag {
    Bool(bool),
    Number(i64),
}

impl Flag {
    pub fn is_set(flag: Option<Flag>) -> bool {
        matches!(flag, Some(Flag::Bool(true))) || matches!(flag, Some(Flag::Number(n)) if n != 0)
    }
}

/// A tensor of a case: row-major, from byte `offset` of the blob on.
#[derive(Clone, Debug, Deserialize)]
pub struct Tensor {
    pub role: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    pub offset: usize,
    pub count: usize,
}

impl Tensor {
    /// Bytes of an element, where the runner knows the type.
    fn size(&self) -> Option<usize> {
        match self.dtype.as_str() {
            "f32" => Some(4),
            "f64" | "i64" => Some(8),
            _ => None,
        }
    }
}

impl Case {
    pub fn input(&self, role: &str) -> Option<&Tensor> {
        self.inputs.iter().find(|tensor| tensor.role == role)
    }

    pub fn output(&self, role: &str) -> Option<&Tensor> {
        self.outputs.iter().find(|tensor| tensor.role == role)
    }

    pub fn has_empty_tensor(&self) -> bool {
        self.inputs.iter().chain(&self.outputs).any(|tensor| tensor.count == 0)
    }
}

/// A case, or why it makes no sense.
#[derive(Clone, Debug)]
pub enum Entry {
    Case(Box<Case>),
    Unreadable { name: String, reason: String },
}

impl Entry {
    fn new(value: &Value) -> Entry {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entry = |reason| Entry::Unreadable { name: text("name"), reason };
        // An operator that the runner does not know may well be described in other words.
        if super::kernel::<f32>(&text("op")).is_none() {
            return entry(format!("the operator {}", text("op")));
        }
        match Case::deserialize(value) {
            Err(error) => entry(format!("it can't be read: {error}")),
            Ok(case) => {
                let is_odd = |t: &&Tensor| t.shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d)) != Some(t.count);
                match case.inputs.iter().chain(&case.outputs).find(is_odd) {
                    Some(t) => entry(format!("{}: the shape {:?} has not {} elements", t.role, t.shape, t.count)),
                    None => Entry::Case(Box::new(case)),
                }
            }
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Entry::Case(case) => &case.name,
            Entry::Unreadable { name, .. } => name,
        }
    }
}

/// All cases of a folder.
pub struct Folder {
    pub entries: Vec<Entry>,
    bytes: Vec<u8>,
}

impl Folder {
    /// Reads a folder and checks that the blob is whole.
    pub fn read(path: &Path) -> Result<Folder> {
        let index_path = path.join("cases.json");
        let text = std::fs::read(&index_path).with_context(|| format!("can't read {}", index_path.display()))?;
        let index: Index =
            serde_json::from_slice(&text).with_context(|| format!("{} is no index of cases", index_path.display()))?;
        let blob_path = path.join(&index.blob);
        let bytes = std::fs::read(&blob_path).with_context(|| format!("can't read {}", blob_path.display()))?;
        Folder::new(index, bytes).with_context(|| format!("{} does not fit its index", blob_path.display()))
    }

    fn new(index: Index, bytes: Vec<u8>) -> Result<Folder> {
        if let Some(expected) = index.blob_bytes {
            ensure!(bytes.len() as u64 == expected, "expected {expected} bytes, got {}", bytes.len());
        }
        if let Some(expected) = index.blob_sha256 {
            let given: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            ensure!(given.eq_ignore_ascii_case(&expected), "expected the SHA-256 {expected}, got {given}");
        }
        let folder = Folder { entries: index.cases.iter().map(Entry::new).collect(), bytes };
        for entry in &folder.entries {
            let Entry::Case(case) = entry else { continue };
            for tensor in case.inputs.iter().chain(&case.outputs).filter(|tensor| tensor.size().is_some()) {
                if folder.slice(tensor).is_none() {
                    let (offset, len) = (tensor.offset, folder.bytes.len());
                    bail!("{}: {} lies at byte {offset} and ends beyond byte {len}", case.name, tensor.role);
                }
            }
        }
        Ok(folder)
    }

    /// The bytes of a tensor, where its type is known and it lies in the blob.
    fn slice(&self, tensor: &Tensor) -> Option<&[u8]> {
        let len = tensor.count.checked_mul(tensor.size()?)?;
        self.bytes.get(tensor.offset..tensor.offset.checked_add(len)?)
    }

    fn words<const N: usize, V>(&self, tensor: &Tensor, word: impl Fn([u8; N]) -> V) -> Option<Vec<V>> {
        Some(self.slice(tensor)?.as_chunks().0.iter().map(|&bytes| word(bytes)).collect())
    }

    /// A tensor of floating-point numbers, in a type that holds both kinds exactly.
    pub fn floats(&self, tensor: &Tensor) -> Option<Vec<f64>> {
        match tensor.dtype.as_str() {
            "f32" => self.words(tensor, |bytes| f64::from(f32::from_le_bytes(bytes))),
            "f64" => self.words(tensor, f64::from_le_bytes),
            _ => None,
        }
    }

    /// A tensor of integers.
    pub fn integers(&self, tensor: &Tensor) -> Option<Vec<i64>> {
        (tensor.dtype == "i64").then(|| self.words(tensor, i64::from_le_bytes))?
    }
}
