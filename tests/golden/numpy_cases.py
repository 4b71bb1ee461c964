"""Golden cases from plain numpy, written straight from the formulas.

No framework has a part in the expected values: an output position `o` reads, for the tap `k`, the input
position `o * stride + k * dilation - pad_begin`, and everything below follows from that one line. Sums are
float64, rounded once to the type of the case.

To make the data anew (the same bytes each time):

    python -m venv venv
    venv/bin/pip install -r requirements.txt
    venv/bin/python numpy_cases.py

A larger random collection, for a folder of your own:

    venv/bin/python numpy_cases.py --cases 400 --seed 7 --out /some/folder
"""

import itertools

import numpy as np

import case_writer as cw


class Window:
    """Geometry of a window that slides over the spatial axes of `size`."""

    def __init__(self, size, kernel, strides=None, dilations=None, begin=None, end=None, ceil=False):
        axes = len(size)
        self.size, self.kernel = tuple(size), tuple(kernel)
        self.strides = tuple(strides or (1,) * axes)
        self.dilations = tuple(dilations or (1,) * axes)
        self.begin = tuple(begin or (0,) * axes)
        self.end = tuple(end or self.begin)
        self.ceil = ceil
        per_axis = zip(self.size, self.kernel, self.strides, self.dilations, self.begin, self.end)
        self.out = tuple(cw.output_size(*axis, ceil) for axis in per_axis)

    def taps(self):
        """Row-major: for each tap the input position of every output position, axis by axis."""
        for tap in itertools.product(*map(range, self.kernel)):
            yield tap, [
                np.arange(o) * s + k * d - b
                for o, s, k, d, b in zip(self.out, self.strides, tap, self.dilations, self.begin)
            ]

    def meets(self, positions):
        """Where in the input (the first value) and in the padded input (the second) a tap lies."""
        inside = [(p >= 0) & (p < n) for p, n in zip(positions, self.size)]
        padded = [p < n + e for p, n, e in zip(positions, self.size, self.end)]
        return outer_and(inside), outer_and(padded)

    def resolved(self, **keys):
        """The case's `resolved` entry."""
        return {
            "kernel": self.kernel,
            "strides": self.strides,
            "dilations": self.dilations,
            "pads_begin": self.begin,
            "pads_end": self.end,
            **keys,
        }


def outer_and(masks):
    """The and over axes: `masks[0][i] & masks[1][j] & ...` at `[i, j, ...]`."""
    return np.array([all(m) for m in itertools.product(*masks)], bool).reshape([len(m) for m in masks])


def gather(x, positions, fill=0.0):
    """`x[..., positions]`, with `fill` where a position is outside."""
    size = x.shape[-len(positions) :]
    inside = outer_and([(p >= 0) & (p < n) for p, n in zip(positions, size)])
    index = np.ix_(*[np.clip(p, 0, n - 1) for p, n in zip(positions, size)])
    return np.where(inside, x[(..., *index)], fill)


def scatter_add(x, positions, values):
    """`x[..., positions] += values`, dropping what falls outside; positions differ within an axis."""
    size = x.shape[-len(positions) :]
    keep = [np.flatnonzero((p >= 0) & (p < n)) for p, n in zip(positions, size)]
    target = np.ix_(*[p[k] for p, k in zip(positions, keep)])
    x[(..., *target)] += values[(..., *np.ix_(*keep))]


def split(x, group):
    """`[n, g * c, ...]` as `[n, g, c, ...]`."""
    return x.reshape(x.shape[0], group, x.shape[1] // group, *x.shape[2:])


def per_channel(b, axes):
    return b.reshape(1, -1, *(1,) * axes)


def conv(x, w, b, win, group):
    """y[n, m, o] = b[m] + sum over c, k of w[m, c, k] * x[n, c, o * s + k * d - p]."""
    xg = split(x, group)
    wg = w.reshape(group, w.shape[0] // group, *w.shape[1:])
    y = np.zeros((x.shape[0], group, wg.shape[1], *win.out))
    for tap, positions in win.taps():
        y += np.einsum("gmc,ngc...->ngm...", wg[(..., *tap)], gather(xg, positions))
    y = y.reshape(x.shape[0], w.shape[0], *win.out)
    return y if b is None else y + per_channel(b, len(win.size))


def conv_backward(x, w, dy, win, group):
    """Every dy[n, m, o] sends w * dy to the x it read, x * dy to the w it used, dy to its bias."""
    xg, dyg = split(x, group), split(dy, group)
    wg = w.reshape(group, w.shape[0] // group, *w.shape[1:])
    dx, dw = np.zeros_like(xg), np.zeros_like(wg)
    for tap, positions in win.taps():
        scatter_add(dx, positions, np.einsum("gmc,ngm...->ngc...", wg[(..., *tap)], dyg))
        n, g, m = dyg.shape[:3]
        seen = gather(xg, positions).reshape(n, g, xg.shape[2], -1)
        dw[(..., *tap)] = np.einsum("ngmp,ngcp->gmc", dyg.reshape(n, g, m, -1), seen)
    db = dy.sum(axis=(0, *range(2, dy.ndim)))
    return dx.reshape(x.shape), dw.reshape(w.shape), db


def conv_transpose(x, w, b, kernel, strides, dilations, begin, out, group):
    """x[n, c, i] * w[c, m, k] is added to y[n, m, i * s + k * d - p]."""
    xg = split(x, group)
    wg = w.reshape(group, w.shape[0] // group, *w.shape[1:])
    y = np.zeros((x.shape[0], group, w.shape[1], *out))
    for tap in itertools.product(*map(range, kernel)):
        positions = [
            np.arange(n) * s + k * d - p for n, s, k, d, p in zip(x.shape[2:], strides, tap, dilations, begin)
        ]
        scatter_add(y, positions, np.einsum("gcm,ngc...->ngm...", wg[(..., *tap)], xg))
    y = y.reshape(x.shape[0], -1, *out)
    return y if b is None else y + per_channel(b, len(out))


def max_pool(x, win):
    """Maximum over the taps inside the input and its row-major index in the plane.

    Equal values keep the earlier tap. A NaN makes the maximum NaN; of several the last one counts. A window
    with no tap inside gives -inf and index -1.
    """
    y = np.full((*x.shape[:2], *win.out), -np.inf)
    where = np.full(y.shape, -1, np.int64)
    flat = np.arange(np.prod(win.size)).reshape(win.size)
    for _, positions in win.taps():
        inside, _ = win.meets(positions)
        value = gather(x, positions)
        wins = inside & ((where < 0) | (value > y) | np.isnan(value))
        y = np.where(wins, value, y)
        where = np.where(wins, gather(flat, positions, -1), where)
    return y, where


def max_pool_backward(x, dy, win, ties):
    """The whole gradient to the first maximum of each window, or to all of them."""
    y, where = max_pool(x, win)
    dx = np.zeros_like(x)
    flat = np.arange(np.prod(win.size)).reshape(win.size)
    for _, positions in win.taps():
        inside, _ = win.meets(positions)
        if ties == "first":
            chosen = inside & (where == gather(flat, positions, -1))
        else:
            chosen = inside & (gather(x, positions) == y)
        scatter_add(dx, positions, np.where(chosen, dy, 0.0))
    return dx


def divisors(win, include_pad):
    """Number of taps that count, for each output position; 1 where none does, for there the sum is 0."""
    return np.maximum(sum(win.meets(p)[include_pad].astype(np.int64) for _, p in win.taps()), 1)


def average_pool(x, win, include_pad):
    total = sum(gather(x, positions) for _, positions in win.taps())
    return total / divisors(win, include_pad)


def average_pool_backward(x, dy, win, include_pad):
    dx = np.zeros_like(x)
    for _, positions in win.taps():
        scatter_add(dx, positions, dy / divisors(win, include_pad))
    return dx


class Cases:
    """One method per operator: draws the data, computes, bounds the error, adds the case."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.writer = cw.CaseWriter("numpy")

    def draw(self, data, dtype, shape):
        """The tensor as stored and as float64."""
        stored = cw.numbers(self.rng, data, shape, dtype)
        return stored, stored.astype(np.float64)

    def conv(self, label, win, n, c, m, group=1, bias=True, data="int", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *win.size))
        ws, w = self.draw(data, dtype, (m, c // group, *win.kernel))
        bs, b = self.draw(data, dtype, (m,)) if bias else (None, None)
        y = conv(x, w, b, win, group)
        sums = conv(abs(x), abs(w), None if b is None else abs(b), win, group)
        terms = w[0].size
        self.writer.add(
            "Conv", label, len(win.size), data, win.resolved(group=group),
            [("X", xs), ("W", ws), ("B", bs)], [("Y", y.astype(xs.dtype))],
            atol=0.0 if data == "int" else cw.bound(dtype, terms, sums),
            atol_winograd=cw.winograd_bound(dtype, sums),
        )  # fmt: skip

    def conv_backward(self, label, win, n, c, m, group=1, data="int", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *win.size))
        ws, w = self.draw(data, dtype, (m, c // group, *win.kernel))
        ds, dy = self.draw(data, dtype, (n, m, *win.out))
        grads = conv_backward(x, w, dy, win, group)
        sums = conv_backward(abs(x), abs(w), abs(dy), win, group)
        pixels = dy.size // m
        terms = (w[:, 0].size // group, pixels, pixels)
        self.writer.add(
            "ConvBackward", label, len(win.size), data, win.resolved(group=group),
            [("X", xs), ("W", ws), ("dY", ds)],
            [(role, grad.astype(xs.dtype)) for role, grad in zip(("dX", "dW", "dB"), grads)],
            atol=0.0 if data == "int" else max(cw.bound(dtype, k, s) for k, s in zip(terms, sums)),
            atol_winograd=max(cw.winograd_bound(dtype, s) for s in sums),
        )  # fmt: skip

    def conv_transpose(
        self, label, size, kernel, n, c, m, strides=None, dilations=None, begin=None, end=None,
        extra=None, group=1, bias=True, data="int", dtype="f32",
    ):  # fmt: skip
        axes = len(size)
        strides, dilations = strides or (1,) * axes, dilations or (1,) * axes
        begin, extra = begin or (0,) * axes, extra or (0,) * axes
        end = end or begin
        out = tuple(map(cw.transposed_size, size, kernel, strides, dilations, begin, end, extra))
        xs, x = self.draw(data, dtype, (n, c, *size))
        ws, w = self.draw(data, dtype, (c, m // group, *kernel))
        bs, b = self.draw(data, dtype, (m,)) if bias else (None, None)
        geometry = (kernel, strides, dilations, begin, out, group)
        y = conv_transpose(x, w, b, *geometry)
        sums = conv_transpose(abs(x), abs(w), None if b is None else abs(b), *geometry)
        resolved = {
            "kernel": kernel, "strides": strides, "dilations": dilations, "pads_begin": begin,
            "pads_end": end, "group": group, "output_padding": extra,
        }  # fmt: skip
        self.writer.add(
            "ConvTranspose", label, axes, data, resolved,
            [("X", xs), ("W", ws), ("B", bs)], [("Y", y.astype(xs.dtype))],
            atol=0.0 if data == "int" else cw.bound(dtype, w[:, 0].size // group, sums),
            atol_winograd=cw.winograd_bound(dtype, sums),
        )  # fmt: skip

    def max_pool(self, label, win, n, c, data="int", dtype="f32", edit=None, indices="plane", order=None):
        """`edit` changes the input in place: how NaN and infinities come in."""
        xs, _ = self.draw(data, dtype, (n, c, *win.size))
        if edit:
            edit(xs)
        y, where = max_pool(xs.astype(np.float64), win)
        if order:
            height, width = win.size
            where = np.where(where < 0, where, where % width * height + where // width)
        if indices == "tensor":
            planes = np.arange(n * c).reshape(n, c, *(1,) * len(win.size))
            where = np.where(where < 0, where, where + planes * np.prod(win.size))
        keys = {} if order is None else {"storage_order": order}
        self.writer.add(
            "MaxPool", label, len(win.size), data, win.resolved(ceil_mode=int(win.ceil), **keys),
            [("X", xs)], [("Y", y.astype(xs.dtype)), ("Indices", where)], indices=indices,
        )  # fmt: skip

    def max_pool_backward(self, label, win, n, c, ties, data="int", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *win.size))
        ds, dy = self.draw(data, dtype, (n, c, *win.out))
        dx = max_pool_backward(x, dy, win, ties)
        sums = max_pool_backward(x, abs(dy), win, ties)
        self.writer.add(
            "MaxPoolBackward", label, len(win.size), data, win.resolved(ceil_mode=int(win.ceil), ties=ties),
            [("X", xs), ("dY", ds)], [("dX", dx.astype(xs.dtype))],
            atol=0.0 if data == "int" else cw.bound(dtype, np.prod(win.kernel), sums),
        )  # fmt: skip

    def average_pool(self, label, win, n, c, include_pad=0, data="normal", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *win.size))
        y = average_pool(x, win, include_pad)
        sums = average_pool(abs(x), win, include_pad)
        self.writer.add(
            "AveragePool", label, len(win.size), data,
            win.resolved(ceil_mode=int(win.ceil), count_include_pad=include_pad),
            [("X", xs)], [("Y", y.astype(xs.dtype))],
            atol=cw.bound(dtype, np.prod(win.kernel), sums),
        )  # fmt: skip

    def average_pool_backward(self, label, win, n, c, include_pad=0, data="normal", dtype="f32"):
        xs, x = self.draw(data, dtype, (n, c, *win.size))
        ds, dy = self.draw(data, dtype, (n, c, *win.out))
        dx = average_pool_backward(x, dy, win, include_pad)
        sums = average_pool_backward(x, abs(dy), win, include_pad)
        self.writer.add(
            "AveragePoolBackward", label, len(win.size), data,
            win.resolved(ceil_mode=int(win.ceil), count_include_pad=include_pad),
            [("X", xs), ("dY", ds)], [("dX", dx.astype(xs.dtype))],
            atol=cw.bound(dtype, np.prod(win.kernel), sums),
        )  # fmt: skip

    def global_pool(self, op, label, n, c, size, data="normal", dtype="f32", edit=None):
        xs, _ = self.draw(data, dtype, (n, c, *size))
        if edit:
            edit(xs)
        x = xs.astype(np.float64)
        axes, area = tuple(range(2, x.ndim)), int(np.prod(size))
        if op == "GlobalMaxPool":
            y, atol = x.max(axis=axes, keepdims=True), 0.0
        else:
            y = x.sum(axis=axes, keepdims=True) / area
            atol = cw.bound(dtype, area, abs(x).sum(axis=axes) / area)
        self.writer.add(
            op, label, len(size), data, {}, [("X", xs)], [("Y", y.astype(xs.dtype))], atol=atol
        )


def fixed(cases):
    """The edge cases, one line each."""
    W, put = Window, cw.put
    conv = cases.conv
    conv("1x1", W((4, 5), (1, 1)), 2, 3, 5)
    conv("1x1_normal", W((3, 4), (1, 1)), 1, 7, 9, data="normal")
    conv("1x1_strided", W((7, 5), (1, 1), (3, 2)), 1, 4, 3)
    conv("one_pixel", W((1, 1), (1, 1)), 3, 5, 2, bias=False)
    conv("one_pixel_padded", W((1, 1), (3, 3), begin=(1, 1)), 2, 3, 4)
    conv("one_pixel_all_pad", W((1, 1), (2, 2), begin=(2, 1), end=(1, 2)), 1, 2, 3)
    conv("same_3x3", W((6, 7), (3, 3), begin=(1, 1)), 1, 3, 8, data="normal")
    conv("same_3x3_f64", W((6, 7), (3, 3), begin=(1, 1)), 1, 3, 8, data="normal", dtype="f64")
    conv("wide_pad", W((2, 3), (3, 3), begin=(3, 4), end=(4, 3)), 1, 2, 3)
    conv("asymmetric_pad", W((5, 6), (3, 2), begin=(0, 1), end=(2, 0)), 1, 3, 4, bias=False)
    conv("stride_over_kernel", W((9, 11), (2, 2), (3, 5)), 1, 3, 4)
    conv("stride_over_kernel_pad", W((8, 7), (1, 2), (4, 3), begin=(1, 1), end=(2, 0)), 2, 2, 3, data="normal")
    conv("dilated", W((9, 10), (3, 3), dilations=(2, 3), begin=(2, 3)), 1, 3, 4)
    conv("dilated_strided", W((11, 9), (2, 3), (2, 2), (4, 2), (1, 2), (3, 0)), 1, 2, 5, data="normal", dtype="f64")
    conv("dilation_misses_all", W((2, 2), (2, 2), dilations=(5, 5), begin=(4, 4)), 1, 2, 2)
    conv("kernel_is_image", W((4, 5), (4, 5)), 2, 3, 6)
    conv("row_kernel", W((3, 12), (1, 7), begin=(0, 3)), 1, 3, 4, data="normal")
    conv("column_kernel", W((12, 3), (7, 1), begin=(3, 0)), 1, 3, 4, data="normal")
    conv("grouped", W((5, 5), (3, 3), begin=(1, 1)), 1, 6, 9, group=3)
    conv("grouped_1x1", W((3, 3), (1, 1)), 2, 8, 4, group=2, bias=False)
    conv("depthwise", W((6, 6), (3, 3), begin=(1, 1)), 1, 9, 9, group=9)
    conv("depthwise_multiplier", W((5, 6), (3, 2), (2, 1), begin=(1, 0)), 1, 5, 15, group=5, data="normal")
    conv("depthwise_dilated", W((8, 8), (3, 3), (2, 2), (2, 2), (2, 2)), 1, 7, 7, group=7, dtype="f64")
    conv("channel_tails", W((4, 4), (3, 3)), 1, 17, 33, data="normal")
    conv("last_rows_unread", W((7, 8), (3, 3), (3, 3)), 1, 2, 3)

    back = cases.conv_backward
    back("1x1", W((3, 4), (1, 1)), 2, 3, 5)
    back("same_3x3", W((5, 6), (3, 3), begin=(1, 1)), 2, 3, 4)
    back("same_3x3_normal", W((5, 6), (3, 3), begin=(1, 1)), 2, 3, 4, data="normal")
    back("one_pixel", W((1, 1), (3, 3), begin=(1, 1)), 3, 2, 3)
    back("asymmetric_pad", W((5, 4), (2, 3), begin=(1, 0), end=(0, 2)), 1, 2, 3, dtype="f64")
    back("stride_over_kernel", W((9, 8), (2, 2), (4, 3)), 1, 3, 2)
    back("dilated", W((8, 9), (3, 2), (1, 2), (2, 3), (2, 1)), 1, 3, 4, data="normal")
    back("grouped", W((5, 5), (3, 3), (2, 2), begin=(1, 1)), 2, 4, 6, group=2)
    back("depthwise", W((6, 5), (3, 3), begin=(1, 1)), 1, 9, 9, group=9, data="normal", dtype="f64")
    back("depthwise_multiplier", W((5, 5), (3, 3)), 2, 3, 6, group=3)
    back("last_rows_unread", W((7, 8), (3, 3), (3, 3)), 1, 2, 3)

    up = cases.conv_transpose
    up("1x1", (3, 4), (1, 1), 2, 3, 5)
    up("same_3x3", (5, 4), (3, 3), 1, 3, 4, begin=(1, 1), data="normal")
    up("double", (4, 5), (4, 4), 1, 3, 5, strides=(2, 2), begin=(1, 1))
    up("double_3x3", (4, 5), (3, 3), 1, 4, 3, strides=(2, 2), begin=(1, 1), extra=(1, 1), data="normal", dtype="f64")
    up("stride_over_kernel", (3, 4), (2, 2), 1, 2, 3, strides=(3, 4), extra=(2, 1))
    up("one_pixel", (1, 1), (3, 2), 2, 3, 4, strides=(2, 2))
    up("dilated", (4, 5), (3, 2), 1, 2, 3, strides=(1, 2), dilations=(2, 3), begin=(1, 0), end=(2, 1))
    up("grouped", (4, 4), (3, 3), 1, 6, 4, strides=(2, 1), group=2, bias=False)
    up("depthwise", (5, 3), (3, 3), 1, 7, 7, strides=(2, 2), begin=(1, 1), group=7, data="normal")
    up("negative_pads", (3, 4), (2, 3), 1, 2, 3, strides=(2, 1), begin=(-1, -2), end=(-2, 0))
    up("pads_mixed_sign", (5, 4), (3, 3), 1, 2, 3, strides=(2, 3), begin=(-1, 2), end=(2, -2), bias=False)
    up("asymmetric_pad", (5, 6), (3, 3), 1, 3, 2, strides=(2, 2), begin=(0, 2), end=(3, 0), dtype="f64")

    inf, nan = np.inf, np.nan
    pool = cases.max_pool
    pool("2x2", W((6, 8), (2, 2), (2, 2)), 2, 3)
    pool("3x3_ceil", W((6, 7), (3, 3), (2, 2), ceil=True), 1, 5, data="normal")
    pool("3x3_pad_ceil", W((7, 6), (3, 3), (2, 2), begin=(1, 1), ceil=True), 1, 3)
    pool("ceil_drops_window", W((4, 5), (2, 1), (3, 2), begin=(1, 0), end=(1, 0), ceil=True), 1, 2)
    pool("asymmetric_pad", W((5, 6), (3, 2), begin=(0, 1), end=(2, 0)), 1, 4, dtype="f64")
    pool("stride_over_kernel", W((9, 8), (2, 2), (3, 5)), 1, 3)
    pool("dilated", W((9, 8), (2, 3), (1, 2), (3, 2), (1, 2)), 1, 3, data="normal")
    pool("one_pixel", W((1, 1), (3, 3), begin=(1, 1)), 2, 3)
    pool("all_equal", W((5, 5), (3, 3), begin=(1, 1)), 1, 2, edit=put(2, (None,)))
    pool("negative", W((4, 4), (2, 2), begin=(1, 1)), 1, 3, edit=put(-3, (0, 1), (0, 2, 0)))
    pool("minus_inf", W((4, 5), (2, 2), begin=(1, 1)), 1, 2, edit=put(-inf, (0, 0), (0, 1, 2)))
    pool("inf", W((5, 5), (3, 3), (2, 2)), 1, 2, edit=put(inf, (0, 0, 2, 2), (0, 1, None, 4)))
    pool("nan", W((6, 7), (3, 3), (1, 2), begin=(1, 1)), 1, 3, edit=put(nan, (0, 0, 0, 0), (0, 1, 3, 3), (0, 2, 5, 6)))
    pool("nan_f64", W((5, 6), (2, 2)), 1, 9, edit=put(nan, (0, 0, 2, 2), (0, 7, 0, 5), (0, 8, 4, 0)), dtype="f64")
    pool("nan_several", W((4, 5), (3, 3), begin=(1, 1)), 1, 2, edit=put(nan, (0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 3, 0), (0, 1)))

    def nan_beside_inf(x):
        put(-inf, (0, 0))(x)
        put(nan, (0, 0, 2, 1), (0, 1, 0, 3))(x)
        put(inf, (0, 1, 1, 3), (0, 1, 0, 2))(x)

    pool("nan_beside_inf", W((4, 5), (2, 2)), 1, 2, edit=nan_beside_inf)
    pool("window_in_padding", W((2, 3), (2, 2), begin=(3, 2), end=(2, 3)), 1, 2)
    pool("tensor_indices", W((4, 5), (2, 2)), 2, 3, indices="tensor", order=0)
    pool("column_major", W((4, 5), (3, 2), (1, 2), begin=(1, 0)), 2, 3, indices="tensor", order=1)

    for ties in ("first", "all"):
        grad = cases.max_pool_backward
        grad(f"2x2_{ties}", W((4, 6), (2, 2), (2, 2)), 2, 2, ties)
        grad(f"3x3_pad_{ties}", W((5, 6), (3, 3), (2, 1), begin=(1, 1)), 1, 3, ties, data="normal")
        grad(f"overlap_{ties}", W((6, 5), (3, 3), dilations=(2, 1), begin=(1, 0), end=(0, 1), ceil=True), 1, 2, ties, dtype="f64")

    cases.max_pool_backward("window_in_padding", W((2, 3), (2, 2), begin=(3, 2), end=(2, 3)), 1, 2, "all")

    for include in (0, 1):
        mean, grad = cases.average_pool, cases.average_pool_backward
        name = ("inside", "padded")[include]
        mean(f"3x3_{name}", W((5, 6), (3, 3), begin=(1, 1)), 1, 3, include)
        mean(f"ceil_{name}", W((6, 7), (3, 3), (2, 2), begin=(1, 0), end=(0, 1), ceil=True), 1, 3, include)
        mean(f"ceil_f64_{name}", W((5, 8), (2, 4), (3, 3), begin=(1, 2), ceil=True), 2, 2, include, dtype="f64")
        mean(f"one_pixel_{name}", W((1, 1), (3, 2), begin=(2, 1), end=(1, 1)), 1, 3, include, data="int")
        mean(f"window_in_padding_{name}", W((2, 3), (2, 2), begin=(3, 2), end=(2, 3)), 1, 2, include)
        mean(f"dilated_{name}", W((7, 6), (2, 3), (2, 1), (3, 2), (1, 2), ceil=True), 1, 2, include)
        grad(f"3x3_{name}", W((5, 6), (3, 3), begin=(1, 1)), 1, 3, include)
        grad(f"ceil_{name}", W((6, 5), (3, 2), (2, 3), begin=(1, 1), end=(0, 1), ceil=True), 1, 2, include, dtype="f64")

    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        cases.global_pool(op, "one_pixel", 2, 3, (1, 1))
        cases.global_pool(op, "plane", 2, 9, (5, 7))
        cases.global_pool(op, "plane_f64", 1, 17, (3, 4), dtype="f64")
    cases.global_pool("GlobalMaxPool", "nan_inf", 1, 4, (3, 5), edit=nan_beside_inf)


def random_window(rng, axes, pooling):
    """Small geometry in which every axis has at least one output."""
    while True:
        draw = lambda low, high: tuple(int(v) for v in rng.integers(low, high + 1, axes))
        size = draw(1, 12 if axes > 1 else 40)
        kernel = draw(1, 3) if rng.random() < 0.5 else draw(1, 5)
        strides = draw(1, 2) if rng.random() < 0.6 else draw(1, 6)
        dilations = (1,) * axes if rng.random() < 0.6 else draw(1, 3)
        most = min(kernel) - 1 if pooling else 3
        begin, end = (draw(0, most), draw(0, most)) if rng.random() < 0.7 else ((0,) * axes,) * 2
        ceil = pooling and rng.random() < 0.5
        win = Window(size, kernel, strides, dilations, begin, end, ceil)
        if min(win.out) < 1 or np.prod(win.out) > 200:
            continue
        if pooling and not sum(win.meets(p)[0] for _, p in win.taps()).all():
            continue
        return win


def random_cases(cases, seed, count):
    """Operators in turn, with random geometry; forward ones now and then along a single axis."""
    rng = np.random.default_rng([seed, 1])
    for number in range(count):
        what = cw.TURN[number % len(cw.TURN)]
        kind = {"data": str(rng.choice(["int", "normal"])), "dtype": str(rng.choice(["f32", "f32", "f64"]))}
        forward = what in ("conv", "max_pool", "average_pool", "conv_transpose")
        axes = 1 if forward and rng.random() < 0.25 else 2
        n = int(rng.integers(1, 4))
        win = random_window(rng, axes, "pool" in what)
        c, m, group = cw.random_channels(rng)
        bias = bool(rng.random() < 0.5)
        include = int(rng.integers(0, 2))
        if what == "conv":
            cases.conv("random", win, n, c, m, group, bias, **kind)
        elif what == "conv_backward":
            cases.conv_backward("random", win, n, c, m, group, **kind)
        elif what == "conv_transpose":
            size = tuple(min(s, 8) for s in win.size)
            extra = tuple(int(rng.integers(0, s)) for s in win.strides)
            begin, end = win.begin, win.end
            if rng.random() < 0.15:
                begin = tuple(int(v) for v in rng.integers(-2, 2, axes))
            shape = (size, win.kernel, win.strides, win.dilations)
            out = list(map(cw.transposed_size, *shape, begin, end, extra))
            if min(out) < 1 or min(map(cw.transposed_size, *shape, begin, end, (0,) * axes)) < 1:
                begin = end = (0,) * axes
            cases.conv_transpose("random", size, win.kernel, n, c, m, win.strides, win.dilations,
                                 begin, end, extra, group, bias, **kind)  # fmt: skip
        elif what == "max_pool":
            style = rng.choice(["plane", "tensor", "column"]) if axes == 2 else rng.choice(["plane", "tensor"])
            order = {"plane": None, "tensor": 0, "column": 1}[style]
            cases.max_pool("random", win, n, c, **kind, order=order,
                           indices="plane" if style == "plane" else "tensor")  # fmt: skip
        elif what == "max_pool_backward":
            cases.max_pool_backward("random", win, n, c, str(rng.choice(["first", "all"])), **kind)
        elif what == "average_pool":
            cases.average_pool("random", win, n, c, include, **kind)
        elif what == "average_pool_backward":
            cases.average_pool_backward("random", win, n, c, include, **kind)
        else:
            op = str(rng.choice(["GlobalAveragePool", "GlobalMaxPool"]))
            cases.global_pool(op, "random", n, c, win.size, **kind)


def main():
    args = cw.options(__doc__, "numpy")
    cases = Cases(args.seed)
    if args.cases is None:
        fixed(cases)
        random_cases(cases, args.seed, 12)
    else:
        random_cases(cases, args.seed, args.cases)
    cases.writer.write(args.out)


if __name__ == "__main__":
    main()
