"""ONNX Runtime: all graph optimizations, which bring its blocked layout; operands are bound beforehand."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from ..task import Task
from .base import Runner, serve


class Session(Runner):
    def __init__(self, task: Task, threads: int) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(task.onnx()), options, providers=["CPUExecutionProvider"])
        self.y = ort.OrtValue.ortvalue_from_shape_and_type([task.batch, *task.layer.output], np.float32)
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(task.x()))
        self.binding.bind_ortvalue_output("y", self.y)

    def run(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def output(self) -> tuple[str, np.ndarray]:
        return "nchw", self.y.numpy()


if __name__ == "__main__":
    serve(Session, ort.__version__)
