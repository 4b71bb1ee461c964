"""The chart: for each layer the share of the roof that gemmule and its peers reach."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from .registry import GEMMULE, PEERS
from .report import Row, engines_of, is_named

MOST_LAYERS = 25
GROUPS = ("3x3", "strided", "1x1", "other kernels", "depthwise", "one pixel", "transposed", "pool")
# Okabe and Ito's colours, which all eyes tell apart.
COLOURS = {
    "onnxruntime": "#0072b2",
    "openvino": "#d55e00",
    "torch": "#cc79a7",
    "ncnn": "#009e73",
    "ncnn-exact": "#009e73",
    "mnn": "#b8860b",
    "mnn-exact": "#b8860b",
    "matrixmultiply": "#777777",
    "candle": "#56b4e9",
    "burn-flex": "#e69f00",
    "tract": "#8b5fbf",
    "rten": "#444444",
}
BAR = "#f2b8a0"


def group(row: Row) -> str:
    layer = row["layer"]
    if layer["op"] != "conv":
        return "transposed" if layer["op"] == "conv_transpose" else "pool"
    if layer["groups"] == layer["c_in"] and layer["groups"] > 1:
        return "depthwise"
    if (layer["height"], layer["width"]) == (1, 1):
        return "one pixel"
    if layer["stride"] != "1":
        return "strided"
    plain = {"1": "1x1", "3": "3x3"} if layer["groups"] == 1 else {}
    return plain.get(layer["kernel"], "other kernels")


def chosen(rows: list[Row], parts: str) -> list[Row]:
    """Those that were asked for; or of each group some, evenly spread."""
    if parts:
        rows = [row for row in rows if is_named(row["layer"]["name"], parts)]
    by_group: dict[str, list[Row]] = {}
    for row in rows:
        by_group.setdefault(group(row), []).append(row)
    while sum(map(len, by_group.values())) > MOST_LAYERS:
        # The largest group loses the row in its middle.
        largest = max(by_group.values(), key=len)
        del largest[len(largest) // 2]
    return [row for name in GROUPS for row in by_group.get(name, [])]


def draw(path: Path, head: Row, rows: list[Row], threads: int, batch: int, parts: str) -> bool:
    """Writes an SVG, if there is anything to show."""
    of_these = [row for row in rows if (row["threads"], row["batch"]) == (threads, batch)]
    shown = chosen([row for row in of_these if GEMMULE.name in row["engines"]], parts)
    if not shown:
        return False
    plt.rcParams.update({"font.size": 9, "svg.fonttype": "path", "svg.hashsalt": "gemmule"})
    figure, axes = plt.subplots(figsize=(10, 1.9 + 0.29 * len(shown)), layout="constrained")
    share = lambda row, name: row["roof_seconds"] / row["engines"][name]["seconds"]
    ys = positions(shown)
    axes.barh(ys, [share(row, GEMMULE.name) for row in shown], height=0.72, color=BAR, label=GEMMULE.name, zorder=1)
    for engine in PEERS:
        if engine.name not in engines_of(shown):
            continue
        places = [(row, y) for row, y in zip(shown, ys) if engine.name in row["engines"]]
        marker = "D" if engine.is_rust else "v" if engine.arguments else "o"
        look = {"marker": marker, "s": 26, "zorder": 3, "edgecolors": COLOURS[engine.name], "linewidths": 1.1}
        for exact, face in ((True, COLOURS[engine.name]), (False, "none")):
            some = [(share(row, engine.name), y) for row, y in places if row["engines"][engine.name]["exact"] == exact]
            axes.scatter([x for x, _ in some], [y for _, y in some], facecolors=face, **look)
        axes.scatter([], [], facecolors=COLOURS[engine.name], label=engine.name, **look)
    axes.set_yticks(ys, [row["layer"]["name"] for row in shown])
    for row, y, before in zip(shown, ys, [None, *shown]):
        if before is None or group(before) != group(row):
            at = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
            axes.annotate(group(row), (1.0, y), (4, 0), color="#555555", **at)
    axes.axvline(1.0, color="#999999", linewidth=0.8, zorder=0)
    axes.set_xlim(0, max(1.08, *(1.05 * share(row, name) for row in shown for name in row["engines"])))
    axes.set_ylim(ys[-1] + 0.7, ys[0] - 0.7)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the roof: FMA peak, or copy speed if that allows less; hollow: a fast algorithm, not exact")
    plural = lambda n, what: f"{n} {what}" + ("" if n == 1 else "s")
    axes.set_title(f"{head['cpu']}, {plural(threads, 'thread')}, {plural(batch, 'image')}, f32", loc="left", fontsize=10)
    figure.legend(loc="outside upper center", ncols=7, frameon=False)
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    plt.close(figure)
    return True


def positions(rows: list[Row]) -> list[float]:
    """Downwards, with a gap between groups."""
    ys, y = [], 0.0
    for row, before in zip(rows, [None, *rows]):
        y += 1.0 if before is None or group(before) == group(row) else 1.5
        ys.append(y)
    return ys
