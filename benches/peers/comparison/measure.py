"""One layer: prepared by all, compared with the truth, then timed turn by turn."""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import graph
from .process import Died, Process, Refused
from .registry import COPY, DATA, PEAK, Engine
from .task import Layer, Task

# A turn: long enough for many calls, short enough for all engines to see the same clock and neighbours.
TURN_SECONDS = 0.04
MIN_ROUNDS = 4
# Of the largest output: many times what an exact algorithm is off by; and what fast ones are.
TOLERANCE = 1e-3
FAST_TOLERANCE = 1e-2
# Shares of the FMA peak that only an algorithm with fewer multiplications can reach.
POSSIBLE_SHARE = 1.02
PREPARE_TIMEOUT = 180.0
MEASURE_TIMEOUT = 60.0


@dataclass
class Contender:
    """An engine that has computed what was asked."""

    process: Process
    prepared: dict[str, Any]
    error: float | None  # the largest one, of the largest output
    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    turns: int = 0

    def turn(self) -> None:
        start = time.monotonic()
        self.times += self.process.ask({"do": "measure", "seconds": TURN_SECONDS}, MEASURE_TIMEOUT)["times"]
        self.seconds += time.monotonic() - start
        self.turns += 1

    def is_done(self, seconds: float) -> bool:
        return self.turns >= MIN_ROUNDS and self.seconds >= seconds


class Measurement:
    """Everything that runs on so many threads."""

    def __init__(self, engines: list[Engine], threads: int, target: Path, seconds: float, links: int) -> None:
        self.threads, self.target, self.seconds, self.links = threads, target, seconds, links
        self.data = Process(DATA, threads, target)
        self.processes = [Process(engine, threads, target) for engine in (PEAK, COPY, *engines)]
        self.versions: dict[str, str] = {}

    def kill(self) -> None:
        for process in (self.data, *self.processes):
            process.kill()

    def layer(self, layer: Layer, batch: int) -> dict[str, Any]:
        """The row of a layer."""
        folder = self.target / "task"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            return self._layer(layer, batch, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _layer(self, layer: Layer, batch: int, folder: Path) -> dict[str, Any]:
        chain = self.links if layer.can_be_chained else 1
        task = Task(layer, batch, chain, folder, folder / "truth.f32")
        truth = self._truth(task)
        contenders: list[Contender] = []
        failures: dict[str, str] = {}
        for process in self.processes:
            name = process.engine.name
            try:
                contenders.append(self._prepare(process, task, truth))
            except (Died, Refused) as e:
                failures[name] = " ".join(str(e).split())[:300]
                print(f"{layer.name}: {name}: {failures[name]}", file=sys.stderr)
        self._take_turns(layer, contenders, failures)
        for contender in contenders:
            try:
                contender.process.ask({"do": "drop"}, MEASURE_TIMEOUT)
            except (Died, Refused):
                pass
        return self._row(task, contenders, failures)

    def _truth(self, task: Task) -> np.ndarray:
        """Has the operands written, and the result computed in `f64`."""
        # The first answer writes what the graph is made of.
        self.data.ask({"do": "prepare", "task": task.to_json()}, PREPARE_TIMEOUT)
        self.data.ask({"do": "drop"}, MEASURE_TIMEOUT)
        graph.write(task)
        return read(task, "nhwc")

    def _prepare(self, process: Process, task: Task, truth: np.ndarray) -> Contender:
        name = process.engine.name
        own = Task(task.layer, task.batch, task.chain, task.folder, task.folder / f"{name}.f32")
        prepared = process.ask({"do": "prepare", "task": own.to_json()}, PREPARE_TIMEOUT)
        if "version" in prepared:
            self.versions[name] = prepared["version"]
        if process.engine.is_roof:
            return Contender(process, prepared, None)
        result = read(own, prepared["layout"])
        own.output.unlink()
        if result.shape != truth.shape:
            raise Refused(f"computes {list(result.shape)} instead of {list(truth.shape)}")
        error = float(np.abs(result - truth).max() / np.abs(truth).max())
        if not error <= (FAST_TOLERANCE if process.engine.is_fast(task.layer) else TOLERANCE):
            raise Refused(f"computes something else: off by {error:.1e} of the largest output")
        return Contender(process, prepared, error)

    def _take_turns(self, layer: Layer, contenders: list[Contender], failures: dict[str, str]) -> None:
        """In one order and then in the other, until all have had their time."""
        for number in range(max(MIN_ROUNDS, math.ceil(self.seconds / TURN_SECONDS))):
            for contender in contenders[:: -1 if number % 2 else 1]:
                if contender.is_done(self.seconds):
                    continue
                try:
                    contender.turn()
                except (Died, Refused) as e:
                    name = contender.process.engine.name
                    failures[name] = str(e)
                    print(f"{layer.name}: {name}: {e}", file=sys.stderr)
                    contenders.remove(contender)

    def _row(self, task: Task, contenders: list[Contender], failures: dict[str, str]) -> dict[str, Any]:
        layer, by_name = task.layer, {c.process.engine.name: c for c in contenders}
        for roof in (PEAK, COPY):
            if roof.name not in by_name:
                raise Died(f"{roof.name}: {failures.get(roof.name)}")
        peak = by_name.pop(PEAK.name)
        peak_flops = peak.prepared["flops"] / min(peak.times)
        copy_seconds = min(by_name.pop(COPY.name).times)
        flops = layer.flops * task.batch
        engines = {}
        for name, contender in by_name.items():
            seconds = min(contender.times) / task.chain
            note = contender.prepared["note"]
            is_fast = contender.process.engine.is_fast(layer) or "winograd" in note
            impossible = layer.is_conv and layer.inside * flops / seconds > POSSIBLE_SHARE * peak_flops
            engines[name] = {
                "seconds": seconds,
                "median_seconds": statistics.median(contender.times) / task.chain,
                "calls": len(contender.times),
                "error": contender.error,
                "exact": not (is_fast or impossible),
                "note": note,
            }
        return {
            "layer": layer.layer,
            "threads": self.threads,
            "batch": task.batch,
            "chain": task.chain,
            "flops": flops,
            "bytes": layer.bytes(task.batch),
            "peak_flops": peak_flops,
            "copy_seconds": copy_seconds,
            "roof_seconds": max(flops / peak_flops if layer.is_conv else 0.0, copy_seconds),
            "engines": engines,
            "failures": failures,
        }


def read(task: Task, layout: str) -> np.ndarray:
    """A result, as `[n, c, h, w]`."""
    c, h, w = task.layer.output
    values = np.fromfile(task.output, dtype="<f4")
    if layout == "nhwc":
        return values.reshape(task.batch, h, w, c).transpose(0, 3, 1, 2)
    return values.reshape(task.batch, c, h, w)
