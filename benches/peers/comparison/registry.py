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


@dataclass(frozen=True)
class Engine:
    name: str
    command: Callable[[Path], list[str]]  # from the folder of builds; the number of threads follows
    is_fast: Callable[[Layer], bool] = never
    crate: str = ""  # whose version the worker's lock file says
    is_rust: bool = False
    is_roof: bool = False
    arguments: tuple[str, ...] = ()  # after the number of threads


def worker(name: str, build: str, crate: str = "", is_roof: bool = False) -> Engine:
    command = lambda target: [str(target / build / "release" / "gemmule-peers"), name]
    return Engine(name, command, crate=crate, is_rust=True, is_roof=is_roof)


def package(name: str, module: str, is_fast: Callable[[Layer], bool] = never, *arguments: str) -> Engine:
    command = lambda _: [sys.executable, "-m", f"comparison.engines.{module}"]
    return Engine(name, command, is_fast, arguments=arguments)


GEMMULE = worker("gemmule", "plain", "gemmule")
PEAK = worker("peak", "plain", is_roof=True)
COPY = worker("copy", "plain", is_roof=True)
DATA = worker("data", "plain")

PEERS = [
    package("onnxruntime", "onnxruntime"),
    package("openvino", "openvino"),
    package("torch", "torch"),
    package("ncnn", "ncnn", lambda layer: winograd(layer) and layer.kernel == [3, 3]),
    package("ncnn-exact", "ncnn", never, "exact"),
    package("mnn", "mnn", winograd),
    package("mnn-exact", "mnn", never, "exact"),
    worker("matrixmultiply", "plain", "matrixmultiply"),
    worker("candle", "native", "candle-core"),
    worker("burn-flex", "native", "burn-flex"),
    worker("tract", "native", "tract-onnx"),
    worker("rten", "native", "rten"),
]
