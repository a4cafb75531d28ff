"""Test Doorlight with tens of thousands of broken, huge and malicious inputs.

A case depends on seed, kind and number only, so each can be repeated:  python -m fuzz.run --seed 1 --case picture:17 It
runs in a child process (a sample as a new `doorlight`) with a time limit and a memory limit. A case fails if the
process

- ends with a signal, with an exit code that is not in `doorlight --help`, or with one that does not fit the input;
- prints anything on stderr except "doorlight: …" and a hint, or anything but notes although it succeeds;
- prints control characters or text that is not UTF-8;
- exceeds its time or memory;
- leaves an incomplete event log or a partly written file.

The inputs are in the package `inputs`.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a fork would lose OpenBLAS's threads

from edge.counted import counted
from fuzz import inputs
from fuzz.inputs import KINDS, Material
from fuzz.judge import Result
from fuzz.run_case import run_case


def case_names(cases: int, kinds: Sequence[str], waiting: int | None = None) -> list[str]:
    """Return the names of about `cases` cases, distributed over the kinds by their shares, each kind at least once.

    `waiting` limits the cases of kinds that mostly wait: they take the same time on every computer.
    """
    if waiting is not None:
        slow = [kind for kind in kinds if KINDS[kind].waits]
        return case_names(cases, [kind for kind in kinds if kind not in slow]) + case_names(min(cases, waiting), slow)
    total = sum(KINDS[kind].share for kind in kinds)
    return [f"{kind}:{number}" for kind in kinds for number in range(max(1, round(cases * KINDS[kind].share / total)))]


def run_many(names: Sequence[str], seed: str, material: Material, jobs: int) -> Iterator[Result]:
    """Run cases in `jobs` worker processes, and those that mostly wait in more. Yield the results as they arrive."""
    context = multiprocessing.get_context("fork")
    waiting = [name for name in names if KINDS[name.partition(":")[0]].waits]
    working = [name for name in names if not KINDS[name.partition(":")[0]].waits]
    random.Random(seed).shuffle(working)
    workers, channels = [], []
    for some, count in ((working, jobs), (waiting, 2 * jobs)):
        next_index = context.Value("i", 0)
        for _ in range(min(count, len(some))):
            receive, send = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(some, next_index, seed, material, send))
            worker.start()
            send.close()
            workers.append(worker)
            channels.append(receive)
    while channels:
        for ready in multiprocessing.connection.wait(channels):
            assert isinstance(ready, multiprocessing.connection.Connection)
            try:
                yield Result(**ready.recv())
            except EOFError:
                channels.remove(ready)
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a worker process has ended: " + ", ".join(str(worker.exitcode) for worker in workers))


def _work(names: Sequence[str], next_index: Any, seed: str, material: Material, send: Any) -> None:
    inputs.load_models()
    gc.collect()
    gc.freeze()  # the collector then does not touch, and so does not copy, the memory that cases share with the worker
    while True:
        with next_index.get_lock():
            number, next_index.value = next_index.value, next_index.value + 1
        if number >= len(names):
            return
        send.send(asdict(run_case(names[number], seed, material)))


def table(results: Sequence[Result]) -> str:
    """Return the results by kind, as a Markdown table."""
    lines = ["| kind | cases | exit codes | slowest | most memory | failed |", "|---|---|---|---|---|---|"]
    by_kind: dict[str, list[Result]] = {}
    for result in results:
        by_kind.setdefault(result.name.partition(":")[0], []).append(result)
    for kind, some in [*by_kind.items(), ("**all**", list(results))]:
        codes: dict[str, int] = {}
        for result in some:
            codes[str(result.code)] = codes.get(str(result.code), 0) + 1
        counts = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
        slowest, most = max(r.seconds for r in some), max(r.peak_mib for r in some)
        failed = sum(bool(r.faults) for r in some)
        lines.append(f"| {kind} | {len(some)} | {counts} | {slowest:.1f} s | {most:.0f} MiB | {failed} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Return 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="number of cases (default: %(default)s)")
    parser.add_argument("--seed", default="1", help="another seed makes other cases (default: %(default)s)")
    parser.add_argument("--waiting", type=int, metavar="N", help="at most N cases of the kinds that wait for a second")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this kind; may be repeated")
    parser.add_argument("--case", metavar="KIND:NUMBER", help="repeat one case and keep its files")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="parallel cases (default: number of processors)"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all results as JSON")
    args = parser.parse_args(argv)
    began = time.monotonic()
    with inputs.material() as material:
        if args.case:
            inputs.load_models()
            keep = Path(tempfile.mkdtemp(prefix="fuzz-"))
            result = run_case(args.case, args.seed, material, keep)
            print(json.dumps(asdict(result), indent=2, ensure_ascii=True))
            print(f"files: {keep}")
            return 1 if result.faults else 0
        results = []
        names = case_names(args.cases, args.kind or list(KINDS), args.waiting)
        for result in run_many(names, args.seed, material, args.jobs):
            results.append(result)
            for fault in result.faults:
                print(f"{result.name}: {fault}", flush=True)
            if len(results) % 1000 == 0:
                print(f"{len(results)} of {len(names)}, {time.monotonic() - began:.0f} s", flush=True)
    results.sort(key=lambda result: (list(KINDS).index(result.name.partition(":")[0]), result.name))
    failed = sum(bool(result.faults) for result in results)
    print(table(results))
    print(f"\n{counted(len(results), 'case')}, {failed} failed, {time.monotonic() - began:.0f} s, seed {args.seed}")
    if args.report:
        args.report.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
