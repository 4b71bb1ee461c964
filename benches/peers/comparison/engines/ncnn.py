"""ncnn: packed layout in and out, memory pools, f32 only. It has no batch, so images follow one another.

The second argument `exact` switches Winograd off.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ncnn
import numpy as np

from ..task import Task
from .base import Runner, serve

PACKINGS = (16, 8, 4)


def parameters(task: Task) -> tuple[str, dict[int, int]]:
    """The layer's type and its numbered parameters (ncnn's docs/developer-guide/operators.md)."""
    layer, fields = task.layer, task.layer.layer
    (kh, kw), (sh, sw), (dh, dw) = layer.kernel, layer.stride, layer.dilation
    top, left, bottom, right = layer.pads
    if not layer.is_conv:
        if layer.dilation != [1, 1]:
            raise ValueError("has no dilation in pools")
        numbers = {0: int(layer.op == "avg_pool"), 1: kw, 11: kh, 2: sw, 12: sh, 3: left, 13: top, 14: right, 15: bottom}
        return "Pooling", numbers | {5: 1, 6: 0}  # floor; padding not counted
    numbers = {0: fields["c_out"], 1: kw, 11: kh, 2: dw, 12: dh, 3: sw, 13: sh, 4: left, 14: top, 15: right, 16: bottom}
    numbers |= {5: 1, 6: task.weights(0).size}
    name = "Convolution" if layer.op == "conv" else "Deconvolution"
    if layer.op == "conv_transpose":
        if layer.groups != 1:
            raise ValueError("is not measured with groups in transposed convolutions")
        numbers |= {18: layer.output_padding[1], 19: layer.output_padding[0]}
    return (name, numbers) if layer.groups == 1 else (name + "DepthWise", numbers | {7: layer.groups})


def write(task: Task, stem: Path) -> tuple[str, str]:
    """The chain as ncnn's pair of files."""
    kind, numbers = parameters(task)
    text = " ".join(f"{key}={value}" for key, value in numbers.items())
    lines = [f"{kind} link{i} 1 1 y{i} y{i + 1} {text}" for i in range(task.chain)]
    lines = ["7767517", f"{task.chain + 1} {task.chain + 1}", "Input x 0 1 y0", *lines]
    param, model = stem.with_suffix(".param"), stem.with_suffix(".bin")
    param.write_text("\n".join(lines) + "\n")
    with model.open("wb") as file:
        for i in range(task.chain if task.layer.is_conv else 0):
            weights = task.weights(i)
            if task.layer.op == "conv_transpose":
                weights = weights.transpose(1, 0, 2, 3)
            file.write(bytes(4) + weights.tobytes() + task.bias(i).tobytes())  # the tag 0 says f32
    return str(param), str(model)


class Net(Runner):
    def __init__(self, task: Task, threads: int, exact: bool) -> None:
        self.pools = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
        self.net = ncnn.Net()
        self.option = self.net.opt
        self.option.num_threads = threads
        self.option.use_packing_layout = True
        self.option.use_sgemm_convolution = True
        self.option.use_winograd_convolution = not exact
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_bf16_packed"):
            setattr(self.option, name, False)
        self.option.blob_allocator, self.option.workspace_allocator = self.pools
        files = write(task, task.output.with_suffix(""))
        if self.net.load_param(files[0]) or self.net.load_model(files[1]):
            raise ValueError("does not load the layer")
        self.last = f"y{task.chain}"
        packing = next((p for p in PACKINGS if task.layer.input[0] % p == 0), 1)
        images = [ncnn.Mat(np.ascontiguousarray(image)).clone() for image in task.x()]
        self.images = [ncnn.convert_packing(image, packing) for image in images]
        self.ys: list[ncnn.Mat] = []
        self.note = f"packing {packing}"

    def run(self) -> None:
        self.ys.clear()
        for image in self.images:
            extractor = self.net.create_extractor()
            extractor.input("y0", image)
            # 1: as it is, packed.
            failed, y = extractor.extract(self.last, 1)
            if failed:
                raise ValueError(f"fails with {failed}")
            self.ys.append(y)

    def output(self) -> tuple[str, np.ndarray]:
        return "nchw", np.stack([np.array(ncnn.convert_packing(y, 1)) for y in self.ys])


if __name__ == "__main__":
    serve(lambda task, threads: Net(task, threads, "exact" in sys.argv[2:]), ncnn.__version__)
