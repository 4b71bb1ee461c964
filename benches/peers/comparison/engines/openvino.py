"""OpenVINO: latency hint, f32; activations in NCHW or NHWC, whichever is faster."""

from __future__ import annotations

from functools import partial

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from ..task import Task
from .base import Runner, fastest, serve


class Request(Runner):
    def __init__(self, task: Task, threads: int, layout: str) -> None:
        core = ov.Core()
        model = core.read_model(str(task.onnx()))
        x = task.x()
        if layout == "nhwc":
            steps = PrePostProcessor(model)
            for end in (steps.input(), steps.output()):
                end.tensor().set_layout(ov.Layout("NHWC"))
                end.model().set_layout(ov.Layout("NCHW"))
            model = steps.build()
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # the process is pinned already
        }
        self.request = core.compile_model(model, "CPU", config).create_infer_request()
        self.x = x
        self.request.set_input_tensor(ov.Tensor(self.x, shared_memory=True))
        self.note = layout

    def run(self) -> None:
        self.request.infer()

    def output(self) -> tuple[str, np.ndarray]:
        return self.note, self.request.get_output_tensor().data


def prepare(task: Task, threads: int) -> Runner:
    return fastest([partial(Request, task, threads, layout) for layout in ("nchw", "nhwc")])


if __name__ == "__main__":
    serve(prepare, ov.__version__)
