"""MNN: converted from ONNX, f32 throughout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import MNN
import numpy as np

from ..task import Task
from .base import Runner, serve

# Of `MNN::Interpreter::HintMode`.
WINOGRAD_MEMORY_LEVEL = 3


def convert(task: Task) -> str:
    """MNN's own format."""
    model = task.output.with_suffix(".mnn")
    command = [sys.executable, str(Path(sys.executable).with_name("mnnconvert")), "-f", "ONNX", "--bizCode", "peers"]
    done = subprocess.run(
        [*command, "--modelFile", str(task.onnx()), "--MNNModel", str(model)], capture_output=True, text=True
    )
    if done.returncode or not model.exists():
        raise ValueError(f"does not convert the layer: {(done.stdout + done.stderr).strip()[-200:]}")
    return str(model)


class Session(Runner):
    def __init__(self, task: Task, threads: int, exact: bool) -> None:
        self.net = MNN.Interpreter(convert(task))
        if exact:
            self.net.setSessionHint(WINOGRAD_MEMORY_LEVEL, 0)
        config = {"backend": "CPU", "numThread": threads, "precision": "high", "memory": "high"}
        self.session = self.net.createSession(config)
        self.input = self.net.getSessionInput(self.session)
        self.x = self._tensor(np.ascontiguousarray(task.x()))
        self.shape = (task.batch, *task.layer.output)

    @staticmethod
    def _tensor(array: np.ndarray) -> MNN.Tensor:
        return MNN.Tensor(array.shape, MNN.Halide_Type_Float, array, MNN.Tensor_DimensionType_Caffe)

    def reset(self) -> None:
        """The memory of its input serves for other things while it runs."""
        self.input.copyFrom(self.x)

    def run(self) -> None:
        self.net.runSession(self.session)

    def output(self) -> tuple[str, np.ndarray]:
        y = self._tensor(np.zeros(self.shape, dtype=np.float32))
        self.net.getSessionOutput(self.session).copyToHostTensor(y)
        return "nchw", np.array(y.getNumpyData()).reshape(self.shape)


if __name__ == "__main__":
    serve(lambda task, threads: Session(task, threads, "exact" in sys.argv[2:]), MNN.version())
