"""The task as an ONNX file, which ONNX Runtime, OpenVINO, MNN, rten and tract read."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from .task import Task

OPERATORS = {"conv": "Conv", "conv_transpose": "ConvTranspose", "max_pool": "MaxPool", "avg_pool": "AveragePool"}


def write(task: Task) -> None:
    """Each link of the chain has weights of its own, as the layers of a network have."""
    names = ["x", *(f"y{i}" for i in range(1, task.chain)), "y"]
    nodes, constants = [], []
    for i, (x, y) in enumerate(zip(names, names[1:])):
        inputs = [x]
        if task.layer.is_conv:
            inputs += [f"weights{i}", f"bias{i}"]
            arrays = (task.weights(i), task.bias(i))
            constants += [numpy_helper.from_array(array, name) for array, name in zip(arrays, inputs[1:])]
        nodes.append(helper.make_node(OPERATORS[task.layer.op], inputs, [y], name=f"link{i}", **attributes(task)))
    shapes = ([task.batch, *task.layer.input], [task.batch, *task.layer.output])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip("xy", shapes))
    graph = helper.make_graph(nodes, "layer", [x], [y], constants)
    # Average pools have dilations since 19; the older set is read by more engines.
    opset = 19 if task.layer.op == "avg_pool" and task.layer.dilation != [1, 1] else 17
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), task.onnx())


def attributes(task: Task) -> dict[str, Any]:
    layer = task.layer
    found: dict[str, Any] = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.pads}
    if layer.op != "avg_pool" or layer.dilation != [1, 1]:
        found["dilations"] = layer.dilation
    if layer.is_conv:
        found["group"] = layer.groups
    if layer.op == "conv_transpose":
        found["output_padding"] = layer.output_padding
    if layer.op == "avg_pool":
        found["count_include_pad"] = 0
    return found
