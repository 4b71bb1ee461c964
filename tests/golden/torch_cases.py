"""Golden cases from PyTorch on the CPU: `torch.nn.functional`, gradients by autograd.

Inputs are drawn in the type of the case; PyTorch computes in float64 and the result is rounded once.

To make the data anew (the same bytes each time):

    python -m venv venv
    venv/bin/pip install -r requirements.txt
    venv/bin/python torch_cases.py

A larger random collection, for a folder of your own:

    venv/bin/python torch_cases.py --cases 400 --seed 7 --out /some/folder
"""

import numpy as np
import torch
import torch.nn.functional as F

import case_writer as cw

CONV = (None, F.conv1d, F.conv2d)
CONV_TRANSPOSE = (None, F.conv_transpose1d, F.conv_transpose2d)
MAX_POOL = (None, F.max_pool1d, F.max_pool2d)
AVG_POOL = (None, F.avg_pool1d, F.avg_pool2d)


class Geometry:
    """The window's numbers, one per spatial axis; an integer stands for all axes."""

    def __init__(self, size, kernel, stride=1, pad=0, dilation=1, ceil=False, end=None):
        self.size = tuple(size)
        self.axes = len(self.size)
        self.kernel, self.stride, self.pad, self.dilation = map(self._all, (kernel, stride, pad, dilation))
        self.end = self.pad if end is None else self._all(end)
        self.ceil = ceil

    def _all(self, value):
        return tuple(value) if isinstance(value, (tuple, list)) else (value,) * self.axes

    def resolved(self, **keys):
        """The case's `resolved` entry."""
        return {
            "kernel": self.kernel,
            "strides": self.stride,
            "dilations": self.dilation,
            "pads_begin": self.pad,
            "pads_end": self.end,
            **keys,
        }

    def conv(self, x, w, b, group):
        """Forward convolution; PyTorch pads both ends alike, so uneven padding is put on first."""
        if self.pad == self.end:
            return CONV[self.axes](x, w, b, self.stride, self.pad, self.dilation, group)
        ends = [v for pair in zip(reversed(self.pad), reversed(self.end)) for v in pair]
        return CONV[self.axes](F.pad(x, ends), w, b, self.stride, 0, self.dilation, group)

    def conv_transpose(self, x, w, b, extra, group):
        how = CONV_TRANSPOSE[self.axes]
        return how(x, w, b, self.stride, self.pad, extra, group, self.dilation)

    def max_pool(self, x):
        """Maxima and their indices in the plane."""
        how = MAX_POOL[self.axes]
        return how(x, self.kernel, self.stride, self.pad, self.dilation, self.ceil, return_indices=True)

    def average_pool(self, x, include_pad):
        return AVG_POOL[self.axes](x, self.kernel, self.stride, self.pad, self.ceil, bool(include_pad))


def numpy_as(dtype, tensor):
    return tensor.detach().numpy().astype(cw.NUMPY[dtype])


def magnitude(f, *tensors):
    """`f` of the absolute values: the sum|x * w| of the error bound."""
    return f(*[None if t is None else t.detach().abs() for t in tensors]).numpy()


class Cases:
    """One method per operator: draws the data, computes, bounds the error, adds the case."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.writer = cw.CaseWriter("torch")

    def draw(self, data, dtype, shape, edit=None):
        """The tensor as stored and as a float64 leaf."""
        stored = cw.numbers(self.rng, data, shape, dtype)
        if edit:
            edit(stored)
        return stored, torch.tensor(stored, dtype=torch.float64, requires_grad=True)

    def conv(self, label, geo, n, c, m, group=1, bias=True, data="int", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *geo.size))
        ws, w = self.draw(data, dtype, (m, c // group, *geo.kernel))
        bs, b = self.draw(data, dtype, (m,)) if bias else (None, None)
        f = lambda x, w, b: geo.conv(x, w, b, group)
        y, sums = f(x, w, b), magnitude(f, x, w, b)
        self.writer.add(
            "Conv", label, geo.axes, data, geo.resolved(group=group),
            [("X", xs), ("W", ws), ("B", bs)], [("Y", numpy_as(dtype, y))],
            atol=0.0 if data == "int" else cw.bound(dtype, w[0].numel(), sums),
            atol_winograd=cw.winograd_bound(dtype, sums),
        )  # fmt: skip

    def conv_backward(self, label, geo, n, c, m, group=1, data="int", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *geo.size))
        ws, w = self.draw(data, dtype, (m, c // group, *geo.kernel))
        b = torch.zeros(m, dtype=torch.float64, requires_grad=True)
        y = geo.conv(x, w, b, group)
        ds, dy = self.draw(data, dtype, tuple(y.shape))
        grads = torch.autograd.grad(y, (x, w, b), dy.detach())
        positive = [t.detach().abs().requires_grad_() for t in (x, w)]
        sums = torch.autograd.grad(geo.conv(*positive, b, group), (*positive, b), dy.detach().abs())
        pixels = dy.numel() // m
        terms = (w[:, 0].numel() // group, pixels, pixels)
        self.writer.add(
            "ConvBackward", label, geo.axes, data, geo.resolved(group=group),
            [("X", xs), ("W", ws), ("dY", ds)],
            [(role, numpy_as(dtype, grad)) for role, grad in zip(("dX", "dW", "dB"), grads)],
            atol=0.0 if data == "int" else max(cw.bound(dtype, k, s.numpy()) for k, s in zip(terms, sums)),
            atol_winograd=max(cw.winograd_bound(dtype, s.numpy()) for s in sums),
        )  # fmt: skip

    def conv_transpose(self, label, geo, n, c, m, extra=0, group=1, bias=True, data="int", dtype="f32"):
        extra = geo._all(extra)
        xs, x = self.draw(data, dtype, (n, c, *geo.size))
        ws, w = self.draw(data, dtype, (c, m // group, *geo.kernel))
        bs, b = self.draw(data, dtype, (m,)) if bias else (None, None)
        f = lambda x, w, b: geo.conv_transpose(x, w, b, extra, group)
        y, sums = f(x, w, b), magnitude(f, x, w, b)
        self.writer.add(
            "ConvTranspose", label, geo.axes, data, geo.resolved(group=group, output_padding=extra),
            [("X", xs), ("W", ws), ("B", bs)], [("Y", numpy_as(dtype, y))],
            atol=0.0 if data == "int" else cw.bound(dtype, w[:, 0].numel() // group, sums),
            atol_winograd=cw.winograd_bound(dtype, sums),
        )  # fmt: skip

    def max_pool(self, label, geo, n, c, data="int", dtype="f32", edit=None):
        xs, x = self.draw(data, dtype, (n, c, *geo.size), edit)
        y, where = geo.max_pool(x)
        self.writer.add(
            "MaxPool", label, geo.axes, data, geo.resolved(ceil_mode=int(geo.ceil)),
            [("X", xs)], [("Y", numpy_as(dtype, y)), ("Indices", where.numpy())], indices="plane",
        )  # fmt: skip

    def max_pool_backward(self, label, geo, n, c, data="int", dtype="f32", edit=None):
        xs, x = self.draw(data, dtype, (n, c, *geo.size), edit)
        y, _ = geo.max_pool(x)
        ds, dy = self.draw(data, dtype, tuple(y.shape))
        (dx,) = torch.autograd.grad(y, x, dy.detach(), retain_graph=True)
        (sums,) = torch.autograd.grad(y, x, dy.detach().abs())
        self.writer.add(
            "MaxPoolBackward", label, geo.axes, data, geo.resolved(ceil_mode=int(geo.ceil), ties="first"),
            [("X", xs), ("dY", ds)], [("dX", numpy_as(dtype, dx))],
            atol=0.0 if data == "int" else cw.bound(dtype, np.prod(geo.kernel), sums.numpy()),
        )  # fmt: skip

    def average_pool(self, label, geo, n, c, include_pad=0, data="normal", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *geo.size))
        f = lambda x: geo.average_pool(x, include_pad)
        self.writer.add(
            "AveragePool", label, geo.axes, data,
            geo.resolved(ceil_mode=int(geo.ceil), count_include_pad=include_pad),
            [("X", xs)], [("Y", numpy_as(dtype, f(x)))],
            atol=cw.bound(dtype, np.prod(geo.kernel), magnitude(f, x)),
        )  # fmt: skip

    def average_pool_backward(self, label, geo, n, c, include_pad=0, data="normal", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *geo.size))
        y = geo.average_pool(x, include_pad)
        ds, dy = self.draw(data, dtype, tuple(y.shape))
        (dx,) = torch.autograd.grad(y, x, dy.detach(), retain_graph=True)
        (sums,) = torch.autograd.grad(y, x, dy.detach().abs())
        self.writer.add(
            "AveragePoolBackward", label, geo.axes, data,
            geo.resolved(ceil_mode=int(geo.ceil), count_include_pad=include_pad),
            [("X", xs), ("dY", ds)], [("dX", numpy_as(dtype, dx))],
            atol=cw.bound(dtype, np.prod(geo.kernel), sums.numpy()),
        )  # fmt: skip

    def global_pool(self, op, label, n, c, size, data="normal", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *size))
        how = F.adaptive_max_pool2d if op == "GlobalMaxPool" else F.adaptive_avg_pool2d
        area = int(np.prod(size))
        exact = op == "GlobalMaxPool"
        atol = 0.0 if exact else cw.bound(dtype, area, magnitude(lambda x: how(x, 1), x))
        self.writer.add(op, label, len(size), data, {}, [("X", xs)], [("Y", numpy_as(dtype, how(x, 1)))], atol=atol)


def fixed(cases):
    """The edge cases, one line each."""
    G, put = Geometry, cw.put
    f64 = {"dtype": "f64"}
    normal = {"data": "normal"}
    normal64 = {"data": "normal", "dtype": "f64"}

    conv = cases.conv
    conv("1x1", G((5, 4), 1), 2, 4, 6)
    conv("1x1_pad", G((3, 4), 1, pad=(1, 2)), 1, 3, 4)
    conv("1x1_strided", G((7, 6), 1, stride=2), 1, 5, 3, **normal)
    conv("3x3", G((6, 5), 3, pad=1), 2, 3, 4, **normal)
    conv("3x3_f64", G((6, 5), 3, pad=1), 2, 3, 4, **normal64)
    conv("3x3_no_pad", G((5, 7), 3), 1, 4, 5, bias=False)
    conv("3x3_stride_2", G((8, 9), 3, 2, 1), 1, 3, 8, **normal)
    conv("5x5", G((7, 7), 5, pad=2), 1, 2, 4, **normal)
    conv("7x7_stride_2", G((14, 13), 7, 2, 3), 1, 3, 4, **normal)
    conv("4x4_patches", G((8, 12), 4, 4), 1, 3, 5)
    conv("1x7", G((3, 11), (1, 7), pad=(0, 3)), 1, 3, 3)
    conv("7x1", G((11, 3), (7, 1), pad=(3, 0)), 1, 3, 3, **f64)
    conv("stride_over_kernel", G((10, 11), 2, (4, 5), 1), 1, 3, 4)
    conv("one_pixel", G((1, 1), 3, pad=1), 2, 5, 3)
    conv("same_pad_uneven", G((6, 6), (2, 4), pad=(0, 1), end=(1, 2)), 1, 3, 4)
    conv("uneven_strided", G((7, 8), 3, 2, pad=(0, 0), end=(1, 1)), 1, 3, 5, **normal)
    conv("dilated", G((9, 8), 3, pad=(2, 3), dilation=(2, 3)), 1, 3, 4, **normal)
    conv("dilated_strided", G((11, 12), (3, 2), 2, 2, (3, 4)), 1, 2, 3)
    conv("grouped", G((6, 5), 3, pad=1), 1, 8, 12, group=4)
    conv("grouped_f64", G((5, 5), (3, 1), (1, 2)), 2, 6, 4, group=2, **normal64)
    conv("grouped_1x1", G((3, 4), 1), 1, 9, 6, group=3, **normal)
    conv("depthwise", G((7, 6), 3, pad=1), 1, 10, 10, group=10, **normal)
    conv("depthwise_strided", G((8, 7), 5, 2, 2), 1, 4, 4, group=4)
    conv("depthwise_multiplier", G((5, 6), 3, pad=1), 1, 4, 12, group=4)
    conv("depthwise_multiplier_dilated", G((7, 8), 3, 1, 2, 2), 1, 3, 6, group=3, **normal64)
    conv("channel_tails", G((4, 3), 3, pad=1), 1, 19, 18)
    conv("row", G((17,), 3, pad=1), 2, 4, 5)
    conv("row_grouped", G((19,), 5, 2, 2, 2), 1, 6, 4, group=2, **normal)

    back = cases.conv_backward
    back("1x1", G((4, 5), 1), 2, 3, 6)
    back("1x1_strided", G((6, 7), 1, (2, 3)), 1, 4, 3, **normal)
    back("3x3", G((6, 5), 3, pad=1), 2, 3, 4)
    back("3x3_normal", G((6, 5), 3, pad=1), 2, 3, 4, **normal)
    back("3x3_f64", G((5, 4), 3), 2, 3, 4, **normal64)
    back("3x3_stride_2", G((8, 7), 3, 2, 1), 1, 3, 5)
    back("5x5", G((6, 7), 5, pad=2), 1, 2, 3, **normal)
    back("stride_over_kernel", G((9, 10), 2, (3, 4), 1), 1, 3, 2)
    back("one_pixel", G((1, 1), 3, pad=1), 3, 4, 2)
    back("uneven_pad", G((6, 7), (3, 2), (2, 1), pad=(0, 1), end=(1, 0)), 1, 3, 4)
    back("dilated", G((8, 9), 3, 1, 2, (2, 3)), 1, 2, 3)
    back("dilated_strided", G((10, 9), (2, 3), (2, 3), 1, (3, 2)), 1, 3, 3, **normal)
    back("grouped", G((5, 6), 3, pad=1), 2, 6, 4, group=2)
    back("depthwise", G((6, 6), 3, pad=1), 2, 9, 9, group=9)
    back("depthwise_multiplier", G((6, 5), 3, 2, 1), 1, 4, 8, group=4, **normal)
    back("depthwise_dilated", G((7, 7), 3, 1, 2, 2), 1, 5, 5, group=5, **f64)

    up = cases.conv_transpose
    up("1x1", G((4, 3), 1), 2, 3, 5)
    up("1x1_strided", G((3, 4), 1, 2), 1, 3, 4, extra=1)
    up("2x2_stride_2", G((4, 5), 2, 2), 1, 4, 3, **normal)
    up("3x3", G((5, 4), 3, pad=1), 1, 3, 4)
    up("3x3_stride_2", G((4, 5), 3, 2, 1), 1, 3, 4, extra=1)
    up("3x3_stride_2_f64", G((4, 5), 3, 2, 1), 1, 3, 4, extra=(0, 1), **normal64)
    up("4x4_stride_2", G((4, 4), 4, 2, 1), 1, 5, 3, **normal)
    up("5x5_stride_3", G((3, 4), 5, 3, 2), 1, 2, 4, extra=2)
    up("stride_over_kernel", G((3, 3), 2, (3, 5)), 1, 3, 2, extra=(1, 3))
    up("wide_pad", G((5, 6), 3, pad=(2, 3)), 1, 2, 3)
    up("one_pixel", G((1, 1), 3, 2, 1), 2, 3, 4, extra=1)
    up("dilated", G((4, 5), 3, 1, 1, 2), 1, 3, 2, extra=1, bias=False)
    up("dilated_strided", G((4, 3), (2, 3), (2, 3), (1, 2), (3, 2)), 1, 2, 3, extra=(2, 1), **normal)
    up("grouped", G((4, 5), 3, 2, 1), 1, 6, 9, group=3)
    up("depthwise", G((5, 4), 3, 2, 1), 1, 8, 8, extra=1, group=8, **normal)
    up("depthwise_multiplier", G((3, 4), (3, 2), (1, 2)), 2, 3, 6, group=3, **f64)
    up("row", G((9,), 4, 2, 1), 2, 3, 4)

    inf, nan = np.inf, np.nan
    pool = cases.max_pool
    pool("2x2", G((6, 8), 2, 2), 2, 3)
    pool("2x2_ceil", G((7, 5), 2, 2, ceil=True), 1, 4, **normal)
    pool("3x3_stride_2", G((8, 7), 3, 2, 1), 1, 5)
    pool("3x3_stride_2_ceil", G((8, 6), 3, 2, 1, ceil=True), 1, 3, **f64)
    pool("3x3_stride_1", G((5, 6), 3, 1, 1), 1, 3)
    pool("ceil_drops_window", G((5, 4), 2, 3, 1, ceil=True), 1, 3)
    pool("ceil_partial", G((10, 9), (3, 4), (4, 3), ceil=True), 1, 2)
    pool("stride_over_kernel", G((9, 11), (2, 1), (4, 3)), 1, 3)
    pool("dilated", G((9, 8), 3, 1, 1, 2), 1, 3)
    pool("dilated_ceil", G((10, 11), (2, 3), (3, 2), (1, 1), (3, 2), ceil=True), 1, 3, **normal)
    pool("one_pixel", G((1, 1), 3, 1, 1), 2, 4)
    pool("wide", G((3, 9), (1, 4), (1, 2), (0, 2)), 1, 3, **normal)
    pool("all_equal", G((4, 6), 3, 2, 1), 1, 2, edit=put(1, (None,)))
    pool("minus_inf", G((5, 5), 3, 2, 1), 1, 2, edit=put(-inf, (0, 0), (0, 1, None, 1)))
    pool("nan", G((6, 5), 3, 2, 1), 1, 2, edit=put(nan, (0, 0, 2, 2), (0, 1, 5, 0)))
    pool("nan_several", G((5, 6), 3, 1, 1), 1, 2, edit=put(nan, (0, 0, 1, 2), (0, 0, 2, 1), (0, 1, 3)), **f64)
    pool("row", G((15,), 3, 2, 1, ceil=True), 2, 3)

    grad = cases.max_pool_backward
    grad("2x2", G((6, 4), 2, 2), 2, 3)
    grad("3x3_stride_2", G((7, 8), 3, 2, 1), 1, 3)
    grad("3x3_overlap", G((5, 6), 3, 1, 1), 1, 4, **normal)
    grad("3x3_ceil_f64", G((6, 7), 3, 2, 1, ceil=True), 1, 2, **normal64)
    grad("stride_over_kernel", G((8, 9), 2, (3, 4)), 1, 3)
    grad("dilated", G((8, 9), (3, 2), (1, 2), 1, (2, 3)), 1, 3)
    grad("all_equal", G((5, 5), 3, 2, 1), 1, 2, edit=put(0, (None,)))
    grad("nan", G((6, 6), 3, 2, 1), 1, 2, edit=put(nan, (0, 0, 3, 3), (0, 1, 0, 5)))

    for include in (0, 1):
        name = ("inside", "padded")[include]
        mean = cases.average_pool
        mean(f"2x2_{name}", G((6, 4), 2, 2), 1, 3, include, data="int")
        mean(f"3x3_{name}", G((5, 6), 3, 1, 1), 1, 3, include)
        mean(f"3x3_ceil_{name}", G((8, 6), 3, 2, 1, ceil=True), 1, 3, include)
        mean(f"ceil_partial_{name}", G((7, 9), (4, 3), (3, 4), (2, 1), ceil=True), 1, 2, include, **f64)
        mean(f"stride_over_kernel_{name}", G((9, 8), 2, (4, 3), 1), 1, 3, include)
        mean(f"one_pixel_{name}", G((1, 1), 3, 2, 1), 2, 3, include)
        mean(f"row_{name}", G((14,), 4, 3, 2, ceil=True), 1, 3, include)
        grad = cases.average_pool_backward
        grad(f"3x3_{name}", G((6, 5), 3, 1, 1), 1, 3, include)
        grad(f"ceil_{name}", G((8, 7), 3, 2, 1, ceil=True), 1, 3, include)
        grad(f"ceil_partial_f64_{name}", G((7, 9), (2, 3), (3, 4), 1, ceil=True), 1, 2, include, **f64)
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        cases.global_pool(op, "one_pixel", 2, 3, (1, 1))
        cases.global_pool(op, "plane", 1, 18, (7, 5))
        cases.global_pool(op, "plane_f64", 2, 5, (4, 6), data="int", dtype="f64")


def random_geometry(rng, axes, pooling):
    """Small geometry in which every axis has at least one output and every window meets the input."""
    while True:
        draw = lambda low, high: tuple(int(v) for v in rng.integers(low, high + 1, axes))
        size = draw(1, 12 if axes > 1 else 40)
        kernel = draw(1, 3) if rng.random() < 0.5 else draw(1, 5)
        stride = draw(1, 2) if rng.random() < 0.6 else draw(1, 6)
        dilation = (1,) * axes if pooling == "average" or rng.random() < 0.6 else draw(1, 3)
        pad = tuple(int(rng.integers(0, (k // 2 if pooling else 3) + 1)) for k in kernel)
        end = pad if pooling or rng.random() < 0.7 else draw(0, 3)
        ceil = bool(pooling) and bool(rng.random() < 0.5)
        out = list(map(cw.output_size, size, kernel, stride, dilation, pad, end, [ceil] * axes))
        if min(out) < 1 or np.prod(out) > 200:
            continue
        starts = [range(-p, o * s - p, s) for o, s, p in zip(out, stride, pad)]
        reads = all(
            any(0 <= at + k * d < n for k in range(taps))
            for n, taps, d, axis in zip(size, kernel, dilation, starts)
            for at in axis
        )
        if pooling and not reads:
            continue
        return Geometry(size, kernel, stride, pad, dilation, ceil, end)


def random_cases(cases, seed, count):
    """Operators in turn, with random geometry; forward ones now and then along a single axis."""
    rng = np.random.default_rng([seed, 2])
    for number in range(count):
        what = cw.TURN[number % len(cw.TURN)]
        kind = {"data": str(rng.choice(["int", "normal"])), "dtype": str(rng.choice(["f32", "f32", "f64"]))}
        forward = what in ("conv", "max_pool", "average_pool", "conv_transpose")
        axes = 1 if forward and rng.random() < 0.25 else 2
        pooling = "average" if "average" in what else "max" if "max" in what else None
        n = int(rng.integers(1, 4))
        geo = random_geometry(rng, axes, pooling)
        c, m, group = cw.random_channels(rng)
        bias = bool(rng.random() < 0.5)
        include = int(rng.integers(0, 2))
        if what == "conv":
            cases.conv("random", geo, n, c, m, group, bias, **kind)
        elif what == "conv_backward":
            cases.conv_backward("random", geo, n, c, m, group, **kind)
        elif what == "conv_transpose":
            geo.size, geo.end = tuple(min(s, 8) for s in geo.size), geo.pad
            extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(geo.stride, geo.dilation))
            shape = (geo.size, geo.kernel, geo.stride, geo.dilation)
            if min(map(cw.transposed_size, *shape, geo.pad, geo.pad, (0,) * axes)) < 1:
                geo.pad = geo.end = (0,) * axes
            cases.conv_transpose("random", geo, n, c, m, extra, group, bias, **kind)
        elif what == "max_pool":
            cases.max_pool("random", geo, n, c, **kind)
        elif what == "max_pool_backward":
            cases.max_pool_backward("random", geo, n, c, **kind)
        elif what == "average_pool":
            cases.average_pool("random", geo, n, c, include, **kind)
        elif what == "average_pool_backward":
            cases.average_pool_backward("random", geo, n, c, include, **kind)
        else:
            op = str(rng.choice(["GlobalAveragePool", "GlobalMaxPool"]))
            cases.global_pool(op, "random", n, c, geo.size, **kind)


def main():
    args = cw.options(__doc__, "torch")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cases = Cases(args.seed)
    if args.cases is None:
        fixed(cases)
        random_cases(cases, args.seed, 12)
    else:
        random_cases(cases, args.seed, args.cases)
    cases.writer.write(args.out)


if __name__ == "__main__":
    main()
