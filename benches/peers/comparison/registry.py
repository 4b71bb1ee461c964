"""All engines: how each is started, and when its sums may be those of a fast algorithm."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .task import Layer


def never(_: Layer) -> bool:
    return False


def winograd(layer: Layer) -> bool:
    """Where Winograd's algorithm applies, in any size."""
    dense = layer.op == "conv" and layer.groups == 1 and layer.kernel != [1, 1]
    return dense and layer.stride == [1, 1] and layer.dilation == [1, 1]


def winograd_3x3(layer: Layer) -> bool:
    return winograd(layer) and layer.kernel == [3, 3]


@dataclass(frozen=True)
class Engine:
    name: str
    build: str = ""  # the worker's, of an engine in Rust
    module: str = ""  # of one in Python
    is_fast: Callable[[Layer], bool] = never
    crate: str = ""  # whose version the worker's lock file says
    is_roof: bool = False
    arguments: tuple[str, ...] = ()  # after the number of threads

    @property
    def is_rust(self) -> bool:
        return bool(self.build)

    def command(self, target: Path) -> list[str]:
        """From the folder of builds. The number of threads follows."""
        if self.is_rust:
            return [str(target / self.build / "release" / "gemmule-peers"), self.name]
        return [sys.executable, "-m", f"comparison.engines.{self.module}"]


GEMMULE = Engine("gemmule", "plain", crate="gemmule")
GEMMULE_EXACT = Engine("gemmule-exact", "plain", crate="gemmule")
OWN = [GEMMULE, GEMMULE_EXACT]
PEAK = Engine("peak", "plain", is_roof=True)
COPY = Engine("copy", "plain", is_roof=True)
DATA = Engine("data", "plain")

PEERS = [
    Engine("onnxruntime", module="onnxruntime"),
    Engine("openvino", module="openvino"),
    Engine("torch", module="torch"),
    Engine("ncnn", module="ncnn", is_fast=winograd_3x3),
    Engine("ncnn-exact", module="ncnn", arguments=("exact",)),
    Engine("mnn", module="mnn", is_fast=winograd),
    Engine("mnn-exact", module="mnn", arguments=("exact",)),
    Engine("matrixmultiply", "plain", crate="matrixmultiply"),
    Engine("candle", "native", crate="candle-core"),
    Engine("burn-flex", "native", crate="burn-flex"),
    Engine("tract", "native", crate="tract-onnx"),
    Engine("rten", "native", crate="rten"),
]
