"""What was measured, as a table, a summary and a file."""

from __future__ import annotations

import json
import math
import platform
import re
import statistics
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Iterable

from .process import HERE
from .registry import GEMMULE, GEMMULE_EXACT, OWN, PEERS

Row = dict[str, Any]
# A ratio that no longer is noise.
CLEARLY_SLOWER = 0.97


def cpu() -> str:
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor() or platform.machine()


def crate_versions() -> dict[str, str]:
    """Of the engines in the worker."""
    lock = (HERE / "worker" / "Cargo.lock").read_text()
    versions = dict(re.findall(r'name = "(.*)"\nversion = "(.*)"', lock))
    found = {engine.name: versions[engine.crate] for engine in (*OWN, *PEERS) if engine.crate}
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    if commit.returncode == 0:
        found[GEMMULE.name] += f" ({commit.stdout.strip()})"
    return found


def head(arguments: dict[str, Any]) -> Row:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"cpu": cpu(), "date": now, "versions": crate_versions(), "arguments": arguments}


def save(path: Path, head: Row, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in [head, *rows]))


def load(path: Path) -> tuple[Row, list[Row]]:
    head, *rows = (json.loads(line) for line in path.read_text().splitlines())
    return head, rows


def best(row: Row, counts: Callable[[Row], bool] = lambda _: True) -> tuple[str, float] | None:
    """The fastest peer of those that count."""
    own = {engine.name for engine in OWN}
    peers = [(e["seconds"], name) for name, e in row["engines"].items() if name not in own and counts(e)]
    return (min(peers)[1], min(peers)[0]) if peers else None


def ratios(row: Row) -> list[tuple[float, str] | None]:
    """How many times as fast as the best exact peer exact gemmule is, and gemmule as the best of all; and who they are."""
    found = []
    for engine, counts in ((GEMMULE_EXACT, lambda e: e["exact"]), (GEMMULE, lambda e: True)):
        own = row["engines"].get(engine.name) or row["engines"].get(GEMMULE.name)
        peer = best(row, counts)
        found.append((peer[1] / own["seconds"], peer[0]) if own and peer else None)
    return found


def microseconds(engine: Row | None) -> str:
    if engine is None:
        return "-"
    us = 1e6 * engine["seconds"]
    digits = max(0, 2 - int(math.log10(us))) if us >= 1 else 2
    return f"{us:.{digits}f}" + ("" if engine["exact"] else "*")


class Table:
    """Line by line, for a run takes long."""

    def __init__(self, layers: Iterable[str], engines: Iterable[str]) -> None:
        self.engines = [name for name in engines if name != GEMMULE.name]
        width = max(map(len, layers), default=0)
        widths = [max(9, len(name) + 1) for name in self.engines]
        self.format = f"{{:{width}}} {{:>2}} {{:>3}} {{:>9}} {{:>5}}" + "".join(f" {{:>{w}}}" for w in widths)

    def head(self) -> str:
        columns = self.format.format("layer", "t", "n", "gemmule", "roof", *self.engines)
        return f"{columns}  vs best exact         vs best of all"

    def row(self, row: Row) -> str:
        own = row["engines"].get(GEMMULE.name)
        roof = f"{row['roof_seconds'] / own['seconds']:.2f}" if own else "-"
        peers = [microseconds(row["engines"].get(name)) for name in self.engines]
        cells = [row["layer"]["name"], row["threads"], row["batch"], microseconds(own), roof, *peers]
        versus = "  ".join(f"{r[0]:5.2f} {r[1]:14}" if r else f"{'-':20}" for r in ratios(row))
        return f"{self.format.format(*cells)}  {versus}".rstrip()


def summary(rows: list[Row]) -> list[str]:
    """For each number of threads and images: gemmule's speed, divided by that of the best peer of each layer."""
    lines = []
    for threads, batch in sorted({(row["threads"], row["batch"]) for row in rows}):
        of_these = [ratios(row) for row in rows if (row["threads"], row["batch"]) == (threads, batch)]
        for which, title in enumerate(("best exact peer", "best of all peers")):
            speeds = [ratio[which][0] for ratio in of_these if ratio[which]]
            if speeds:
                mean = math.exp(sum(map(math.log, speeds)) / len(speeds))
                slower, clearly = sum(s < 1.0 for s in speeds), sum(s < CLEARLY_SLOWER for s in speeds)
                lines.append(
                    f"threads {threads}, batch {batch}: {mean:.2f} times as fast as the {title} (geometric mean of"
                    f" {len(speeds)}); below 1.0 in {slower}, below {CLEARLY_SLOWER} in {clearly}"
                )
    return lines


def peak(rows: list[Row]) -> str:
    """The FMA peak of a core, the median of all rows."""
    peaks = [row["peak_flops"] / row["threads"] for row in rows]
    return f", FMA peak {statistics.median(peaks) / 1e9:.0f} GFLOP/s a core" if peaks else ""


def errors(rows: list[Row]) -> list[str]:
    """The largest error of each engine's first result, of the largest output; a chained layer's is that of all links."""
    engines = engines_of(rows)
    width = max((len(row["layer"]["name"]) for row in rows), default=0)
    line = f"{{:{width}}}" + "".join(f" {{:>{max(9, len(name) + 1)}}}" for name in engines)
    lines = [line.format("largest error", *engines)]
    for row in rows:
        found = [row["engines"].get(name) for name in engines]
        cells = [f"{engine['error']:.1e}" if engine else "-" for engine in found]
        lines.append(line.format(row["layer"]["name"], *cells))
    return lines


def failures(rows: list[Row]) -> list[str]:
    """Each reason once, with how often it was given."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        for name, reason in row["failures"].items():
            counts[name, reason] = counts.get((name, reason), 0) + 1
    return [f"{name}: {reason} ({count} layers)" for (name, reason), count in sorted(counts.items())]


def is_named(name: str, parts: str) -> bool:
    """Whether it contains one of some parts, which commas separate."""
    return any(part in name for part in parts.split(","))


def engines_of(rows: list[Row]) -> list[str]:
    """All engines that some row has, in the order of the table."""
    there = {name for row in rows for name in (*row["engines"], *row["failures"])}
    return [engine.name for engine in (*OWN, *PEERS) if engine.name in there]
