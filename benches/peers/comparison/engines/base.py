"""The protocol's other half: what an engine implements, and the loop that serves it."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from typing import Callable

import numpy as np

from ..task import Task
from . import ANSWERS

# How long each variant is tried before the fastest one is kept.
TRIAL_SECONDS = 0.05


class Runner(ABC):
    """A task, ready to run."""

    note = ""  # how it runs, where there is something to say

    def reset(self) -> None:
        """What has to precede each run, and does not count."""

    @abstractmethod
    def run(self) -> None:
        """Once, all links of the chain."""

    @abstractmethod
    def output(self) -> tuple[str, np.ndarray]:
        """The layout, nchw or nhwc, and the result of the last run."""

    def timed(self) -> float:
        self.reset()
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start

    def times(self, seconds: float) -> list[float]:
        """After a call that wakes caches and threads."""
        self.timed()
        end = time.perf_counter() + seconds
        times = [self.timed()]
        while time.perf_counter() < end:
            times.append(self.timed())
        return times


Prepare = Callable[[Task, int], Runner]


def fastest(variants: list[Callable[[], Runner]]) -> Runner:
    """The one with the fastest call. One that fails does not count, unless all do."""
    best: tuple[float, Runner] | None = None
    failure: Exception | None = None
    for make in variants:
        try:
            runner = make()
            seconds = min(runner.times(TRIAL_SECONDS))
        except Exception as e:  # whatever a peer may raise
            failure = e
            continue
        if best is None or seconds < best[0]:
            best = (seconds, runner)
    if best is None:
        raise failure or ValueError("has no variant")
    return best[1]


def serve(prepare: Prepare, version: str) -> None:
    """Answers requests on stdin until it ends."""
    threads = int(sys.argv[1])
    runner: Runner | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                runner = None
                task = Task.from_json(request["task"])
                runner = prepare(task, threads)
                runner.reset()
                runner.run()
                layout, result = runner.output()
                np.ascontiguousarray(result, dtype="<f4").tofile(task.output)
                answer = {"layout": layout, "note": runner.note, "version": version}
            elif request["do"] == "measure":
                if runner is None:
                    raise ValueError("nothing is prepared")
                answer = {"times": runner.times(request["seconds"])}
            else:
                runner = None
                answer = {}
        except Exception as e:  # whatever a peer may raise
            answer = {"error": str(e) or type(e).__name__}
        print(json.dumps(answer), file=ANSWERS, flush=True)
