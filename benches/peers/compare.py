#!/usr/bin/env python3
"""Measures gemmule against its peers, in one run, turn by turn. `run` prepares what this needs."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from comparison import chart, report
from comparison.measure import Measurement
from comparison.process import HERE, Died, Refused
from comparison.registry import DATA, OWN, PEERS
from comparison.task import Layer


def numbers(text: str) -> list[int]:
    found = [int(number) for number in text.split(",")]
    if min(found) < 1:
        raise ValueError
    return found


def arguments() -> argparse.Namespace:
    names = [engine.name for engine in PEERS]
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"engines: {' '.join(names)}")
    parser.add_argument("--file", help="layers to measure [benches/layers.tsv]")
    parser.add_argument("--only", default="", metavar="PARTS", help="layers whose name contains one of these, by commas")
    parser.add_argument("--engines", default=",".join(names), metavar="NAMES", help="peers, by commas [all]")
    parser.add_argument("--threads", type=numbers, default=[1, 2], metavar="N,N", help="[1,2]")
    parser.add_argument("--batch", type=numbers, default=[1], metavar="N,N", help="images [1]")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each layer and engine [0.4]")
    parser.add_argument("--chain", type=int, default=8, metavar="N", help="how often a layer that fits is applied [8]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where results go [TARGET/results.jsonl]")
    parser.add_argument("--redraw", type=Path, metavar="FILE", help="measure nothing, but show these results")
    parser.add_argument("--errors", action="store_true", help="show errors as well, of the largest output")
    parser.add_argument("--chart", type=Path, default=HERE / "peers.svg", metavar="FILE", help="[benches/peers/peers.svg]")
    parser.add_argument("--chart-layers", default="", metavar="PARTS", help="as --only, for the chart [a choice]")
    parser.add_argument("--chart-threads", type=int, metavar="N", help="[the first measured]")
    parser.add_argument("--chart-batch", type=int, metavar="N", help="[the first measured]")
    parser.add_argument("--target", type=Path, default=HERE / "../../target/peers", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.target = args.target.resolve()
    unknown = set(args.engines.split(",")) - set(names) - {""}
    if max(args.threads) > len(os.sched_getaffinity(0)):
        parser.error(f"--threads: expected at most one a core, {len(os.sched_getaffinity(0))}, got {max(args.threads)}")
    if unknown:
        parser.error(f"--engines: expected some of {' '.join(names)}, got {' '.join(sorted(unknown))}")
    return args


def layers(args: argparse.Namespace) -> list[Layer]:
    command = [*DATA.command(args.target)[:1], "layers"]
    if args.file:
        command.append(args.file)
    described = subprocess.run(command, capture_output=True, text=True)
    if described.returncode:
        sys.exit(described.stderr.strip())
    found = [Layer(**json.loads(line)) for line in described.stdout.splitlines()]
    found = [layer for layer in found if report.is_named(layer.name, args.only)]
    return found or sys.exit(f"there is no layer whose name contains one of {args.only!r}")


def measure(args: argparse.Namespace, save: Any) -> list[report.Row]:
    """All rows; after each one the file is complete, whatever happens to the run."""
    wanted = args.engines.split(",")
    engines = [*OWN, *(engine for engine in PEERS if engine.name in wanted)]
    chosen, rows = layers(args), []
    table = report.Table([layer.name for layer in chosen], [engine.name for engine in engines])
    print("microseconds, fewest; * is not exact; roof: share of it; t threads, n images\n" + table.head(), flush=True)
    for threads in args.threads:
        measurement = Measurement(engines, threads, args.target, args.seconds, args.chain)
        try:
            for batch in args.batch:
                for layer in chosen:
                    try:
                        rows.append(measurement.layer(layer, batch))
                    except (Died, Refused) as e:
                        print(f"{layer.name}: not measured: {e}", file=sys.stderr)
                        continue
                    save(rows, measurement.versions)
                    print(table.row(rows[-1]), flush=True)
        finally:
            measurement.kill()
    return rows


def main() -> None:
    args = arguments()
    start = time.monotonic()
    if args.redraw:
        head, rows = report.load(args.redraw)
        table = report.Table({row["layer"]["name"] for row in rows}, report.engines_of(rows))
        print("\n".join([table.head(), *map(table.row, rows)]))
    else:
        path = args.json or args.target / "results.jsonl"
        left_out = ("target", "json", "chart", "redraw", "errors")
        head = report.head({k: str(v) for k, v in vars(args).items() if k not in left_out})

        def save(rows: list[report.Row], versions: dict[str, str]) -> None:
            head["versions"] |= versions
            report.save(path, head, rows)

        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signal_number, lambda *_: sys.exit("\ninterrupted"))
        rows = measure(args, save)
        print(f"\n{len(rows)} rows in {time.monotonic() - start:.0f} s, in {path}")
    print("\n" + head["cpu"] + report.peak(rows) + "; " + ", ".join(f"{k} {v}" for k, v in sorted(head["versions"].items())))
    print("\n".join(["", *report.summary(rows), "", *report.failures(rows)]))
    if args.errors:
        print("\n".join(["", *report.errors(rows)]))
    threads = args.chart_threads or min((row["threads"] for row in rows), default=1)
    batch = args.chart_batch or min((row["batch"] for row in rows), default=1)
    if chart.draw(args.chart, head, rows, threads, batch, args.chart_layers):
        print(f"\n{args.chart}")


if __name__ == "__main__":
    main()
