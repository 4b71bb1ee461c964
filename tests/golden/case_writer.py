"""Writes golden cases: `cases.json` (the index) and `cases.bin` (every tensor).

The form is that of the conformance cases, so one runner reads them all. Tensors are raw little-endian,
row-major, NC[D][H]W activations and OI[D][H]W weights (transposed convolution: `[c_in, c_out / group, ...]`),
each starting at a multiple of 64 bytes. The index holds one case per line, so that a diff shows cases.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np

ALIGN = 64
EPS = {"f32": 2.0**-23, "f64": 2.0**-52}
NUMPY = {"f32": np.dtype("<f4"), "f64": np.dtype("<f8"), "i64": np.dtype("<i8")}
NAME = {dtype: name for name, dtype in NUMPY.items()}
# Winograd's error is bounded by c * eps * the largest sum|x * w|; this c covers F(2,3) to F(4,7).
WINOGRAD_C = 128.0
# The order in which random cases take the operators.
TURN = (
    "conv", "max_pool", "conv_backward", "average_pool", "conv_transpose", "max_pool_backward",
    "conv", "average_pool_backward", "conv_transpose", "max_pool", "conv_backward", "global",
)  # fmt: skip


def bound(dtype, terms, magnitude):
    """Error of a sum of `terms` products in any order: (K + 2) * eps / 2 * max sum|x * w|.

    Twice that in f64, where the expected value itself was computed in f64.
    """
    largest = float(np.max(magnitude, initial=0.0))
    one = (terms + 2) * EPS[dtype] / 2 * largest
    return 2 * one if dtype == "f64" else one


def winograd_bound(dtype, magnitude):
    """What is allowed where a Winograd lowering ran."""
    return WINOGRAD_C * EPS[dtype] * float(np.max(magnitude, initial=0.0))


class CaseWriter:
    """Collects cases and lays their tensors out in one blob."""

    def __init__(self, source):
        self.source = source
        self.blob = bytearray()
        self.cases = []
        self.counts = {}

    def add(self, op, label, spatial, data, resolved, inputs, outputs, atol=0.0, **keys):
        """`inputs` and `outputs` are `[(role, array)]`; arrays are f32, f64 or i64."""
        self.counts[op] = self.counts.get(op, 0) + 1
        case = {
            "name": f"{op.lower()}_{label}_{len(self.cases):04d}",
            "source": self.source,
            "op": op,
            "spatial": spatial,
            "data": data,
            "atol": atol,
            "rtol": 0.0,
            "resolved": {key: self._plain(value) for key, value in resolved.items()},
        }
        case.update({key: value for key, value in keys.items() if value is not None})
        case["inputs"] = [self._tensor(role, array) for role, array in inputs if array is not None]
        case["outputs"] = [self._tensor(role, array) for role, array in outputs]
        self.cases.append(case)

    def write(self, folder):
        """Writes both files; the same cases give the same bytes."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cases.bin").write_bytes(self.blob)
        head = {
            "blob": "cases.bin",
            "blob_bytes": len(self.blob),
            "blob_sha256": hashlib.sha256(self.blob).hexdigest(),
            "counts": self.counts,
        }
        lines = ",\n".join("  " + json.dumps(case) for case in self.cases)
        text = json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n"
        json.loads(text)
        (folder / "cases.json").write_text(text, encoding="utf-8", newline="\n")
        print(f"{folder}: {len(self.cases)} cases, {len(self.blob)} bytes")

    @staticmethod
    def _plain(value):
        return [int(v) for v in value] if isinstance(value, (list, tuple, np.ndarray)) else value

    def _tensor(self, role, array):
        dtype = NAME[array.dtype.newbyteorder("<")]
        self.blob.extend(bytes(-len(self.blob) % ALIGN))
        offset = len(self.blob)
        self.blob.extend(np.ascontiguousarray(array, NUMPY[dtype]).tobytes())
        return {
            "name": role.lower(),
            "role": role,
            "dtype": dtype,
            "shape": list(array.shape),
            "offset": offset,
            "count": int(array.size),
        }


def output_size(size, kernel, stride, dilation, begin, end, ceil=False):
    """Size along one axis of a convolution or, with `ceil`, of a pooling in ceil mode."""
    room = size + begin + end - (dilation * (kernel - 1) + 1)
    if room < 0:
        return 0
    if not ceil:
        return room // stride + 1
    out = -(-room // stride) + 1
    return out - 1 if (out - 1) * stride >= size + begin else out


def transposed_size(size, kernel, stride, dilation, begin, end, extra):
    """Size along one axis of a transposed convolution."""
    return stride * (size - 1) + dilation * (kernel - 1) + 1 + extra - begin - end


def numbers(rng, data, shape, dtype):
    """Small integers or normal values, representable in `dtype`."""
    values = rng.integers(-4, 5, shape) if data == "int" else rng.standard_normal(shape)
    return values.astype(NUMPY[dtype])


def put(value, *places):
    """An edit that writes `value` at `(n, c, h, w)` places; `None` in a place means everywhere."""

    def edit(x):
        for place in places:
            x[tuple(slice(None) if p is None else p for p in place)] = value

    return edit


def random_channels(rng):
    """`(c, m, group)`: dense, grouped or depthwise, now and then beyond a vector's width."""
    kind = str(rng.choice(["dense", "grouped", "depthwise"]))
    most = 20 if rng.random() < 0.2 else 6
    if kind == "dense":
        return int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1)), 1
    if kind == "grouped":
        group = int(rng.integers(2, 4))
        return group * int(rng.integers(1, 4)), group * int(rng.integers(1, 4)), group
    c = int(rng.integers(1, most + 1))
    return c, c * int(rng.integers(1, 3)), c


def options(doc, folder):
    """The command line that both scripts share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, help="write only this many random cases, not the fixed set")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random cases")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent / folder, help="folder to write")
    return parser.parse_args()
