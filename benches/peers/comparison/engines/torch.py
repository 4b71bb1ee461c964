"""PyTorch: traced and frozen; channels last, contiguous, or in oneDNN's own layout with packed weights."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn

from ..task import Task
from .base import Runner, fastest, serve


def link(task: Task, i: int) -> nn.Module:
    layer, fields = task.layer, task.layer.layer
    kernel, stride, pads, dilation = layer.kernel, layer.stride, task.symmetric_pads(), layer.dilation
    if layer.op == "max_pool":
        return nn.MaxPool2d(kernel, stride, pads, dilation)
    if layer.op == "avg_pool":
        if dilation != [1, 1]:
            raise ValueError("has no dilation in average pools")
        return nn.AvgPool2d(kernel, stride, pads, count_include_pad=False)
    common = dict(stride=stride, padding=pads, dilation=dilation, groups=layer.groups)
    if layer.op == "conv":
        conv = nn.Conv2d(fields["c_in"], fields["c_out"], kernel, **common)
    else:
        padding = {"output_padding": layer.output_padding}
        conv = nn.ConvTranspose2d(fields["c_in"], fields["c_out"], kernel, **common, **padding)
    conv.weight.data = torch.from_numpy(task.weights(i))
    conv.bias.data = torch.from_numpy(task.bias(i))
    return conv


class Frozen(Runner):
    def __init__(self, task: Task, memory_format: torch.memory_format, packed: bool) -> None:
        with torch.inference_mode(False), torch.no_grad():
            links = nn.Sequential(*(link(task, i) for i in range(task.chain))).eval().to(memory_format=memory_format)
            x = torch.from_numpy(task.x()).contiguous(memory_format=memory_format)
            module = torch.jit.freeze(torch.jit.trace(links, x))
            if packed:
                module = torch.jit.optimize_for_inference(module)
        self.module, self.x, self.y = module, x, x
        self.note = str(memory_format).removeprefix("torch.") + (", packed" if packed else "")

    def run(self) -> None:
        with torch.inference_mode():
            self.y = self.module(self.x)

    def output(self) -> tuple[str, np.ndarray]:
        return "nchw", self.y.contiguous().numpy()


def prepare(task: Task, threads: int) -> Runner:
    torch.set_num_threads(threads)
    formats = (torch.channels_last, torch.contiguous_format)
    return fastest([partial(Frozen, task, format, packed) for format in formats for packed in (False, True)])


if __name__ == "__main__":
    serve(prepare, torch.__version__)
