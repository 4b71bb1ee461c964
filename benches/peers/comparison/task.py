"""What is computed: a layer, on a batch, applied to its own output where that fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Layer:
    """A line of a layer file, and what follows from it (`worker/src/layers.rs` computes that)."""

    layer: dict[str, Any]  # the line itself
    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    input: list[int]  # [c, h, w]
    output: list[int]
    pads: list[int]  # [top, left, bottom, right]
    output_padding: list[int]
    flops: float  # of one image; of a pool, taps
    inside: float  # the share of them that no padding enters
    parameters: int

    @property
    def name(self) -> str:
        return self.layer["name"]

    @property
    def op(self) -> str:
        return self.layer["op"]

    @property
    def groups(self) -> int:
        return self.layer["groups"]

    @property
    def is_conv(self) -> bool:
        return self.op in ("conv", "conv_transpose")

    @property
    def can_be_chained(self) -> bool:
        return self.input == self.output

    def bytes(self, batch: int) -> int:
        """Read or written, each counted once."""
        activations = batch * int(np.prod(self.input) + np.prod(self.output))
        return FLOAT_BYTES * (activations + self.parameters)


@dataclass(frozen=True)
class Task:
    """What an engine is asked for; its JSON is the protocol's."""

    layer: Layer
    batch: int
    chain: int  # links
    folder: Path  # x.f32, weights.f32, bias.f32, layer.onnx
    output: Path  # where the first result goes

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self.layer)
        described = {"input_shape": fields.pop("input"), "output_shape": fields.pop("output")}
        own = {"batch": self.batch, "chain": self.chain, "folder": str(self.folder), "output": str(self.output)}
        return fields | described | own

    @staticmethod
    def from_json(fields: dict[str, Any]) -> Task:
        fields = dict(fields)
        own = {"batch": fields.pop("batch"), "chain": fields.pop("chain")}
        paths = {"folder": Path(fields.pop("folder")), "output": Path(fields.pop("output"))}
        described = {"input": fields.pop("input_shape"), "output": fields.pop("output_shape")}
        return Task(Layer(**fields, **described), **own, **paths)

    def x(self) -> np.ndarray:
        """`[n, c, h, w]`."""
        return self._read("x.f32").reshape(self.batch, *self.layer.input)

    def weights(self, link: int) -> np.ndarray:
        """`[o, i, kh, kw]`; of a transposed convolution `[i, o, kh, kw]`. Each link of the chain has its own."""
        fields, groups = self.layer.layer, self.layer.groups
        i, o = fields["c_in"], fields["c_out"]
        channels = (o, i // groups) if self.layer.op == "conv" else (i, o // groups)
        return self._read("weights.f32").reshape(self.chain, *channels, *self.layer.kernel)[link]

    def bias(self, link: int) -> np.ndarray:
        return self._read("bias.f32").reshape(self.chain, -1)[link]

    def onnx(self) -> Path:
        return self.folder / "layer.onnx"

    def symmetric_pads(self) -> list[int]:
        """`[vertical, horizontal]`, for those who know no other."""
        top, left, bottom, right = self.layer.pads
        if (top, left) != (bottom, right):
            raise ValueError(f"has only symmetric padding, not {self.layer.pads}")
        return [top, left]

    def _read(self, name: str) -> np.ndarray:
        return np.fromfile(self.folder / name, dtype="<f4")
