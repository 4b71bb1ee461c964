"""Engines as processes that stand still unless they are asked something."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .registry import Engine

HERE = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "RTEN_NUM_THREADS")
PR_SET_PDEATHSIG = 1


class Refused(Exception):
    """The engine cannot do what it was asked, and says why."""


class Died(Exception):
    """The engine's process ended, or gave no answer in time."""


class Process:
    """One engine on so many threads, one a core. Started when first asked, and anew after it has died."""

    def __init__(self, engine: Engine, threads: int, target: Path) -> None:
        self.engine, self.threads, self.target = engine, threads, target
        self.log = target / "logs" / f"{engine.name}-{threads}.log"
        self.child: subprocess.Popen[bytes] | None = None
        self.unread = b""

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Lets it run for as long as it takes to answer."""
        try:
            child = self._running()
            os.killpg(child.pid, signal.SIGCONT)
            assert child.stdin is not None
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(self._line(child, timeout))
            os.killpg(child.pid, signal.SIGSTOP)
        except (OSError, EOFError, TimeoutError, json.JSONDecodeError) as e:
            raise Died(self._end_of(e)) from e
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def kill(self) -> None:
        """SIGKILL reaches stopped processes too."""
        if self.child is not None:
            try:
                os.killpg(self.child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.child.wait()
            for pipe in (self.child.stdin, self.child.stdout):
                try:
                    pipe and pipe.close()
                except BrokenPipeError:
                    pass
            self.child, self.unread = None, b""

    def _running(self) -> subprocess.Popen[bytes]:
        if self.child is None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            cores = sorted(os.sched_getaffinity(0))[: self.threads]

            def pinned_and_never_left_behind() -> None:
                os.sched_setaffinity(0, cores)
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

            with self.log.open("ab") as log:
                self.child = subprocess.Popen(
                    [*self.engine.command(self.target), str(self.threads), *self.engine.arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=HERE,
                    env=os.environ | {name: str(self.threads) for name in THREAD_VARIABLES},
                    start_new_session=True,  # Ctrl-C is for the driver
                    preexec_fn=pinned_and_never_left_behind,
                )
        return self.child

    def _line(self, child: subprocess.Popen[bytes], timeout: float) -> bytes:
        assert child.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self.unread:
            left = end - time.monotonic()
            if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                raise TimeoutError(f"no answer in {timeout:.0f} s")
            read = os.read(child.stdout.fileno(), 1 << 16)
            if not read:
                raise EOFError
            self.unread += read
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def _end_of(self, error: Exception) -> str:
        child = self.child
        if isinstance(error, (TimeoutError, json.JSONDecodeError)) or child is None:
            self.kill()
            return str(error)
        try:
            status = child.wait(1)
        except subprocess.TimeoutExpired:
            status = 0
        self.kill()
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        return " ".join([how, *last])
