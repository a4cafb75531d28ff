"""Hostile input: tens of thousands of broken, enormous and malicious inputs, through Doorlight's own entry points.

Each case is made from (seed, kind, number) alone, so that any can be had again:  hostile.py --seed 1 --case picture:17
It runs in a process of its own, forked from one that has imported everything (a sample as a real `doorlight`), under a
time limit and a memory limit. A case fails where the process

- dies by a signal, ends with an exit code that `doorlight --help` does not name, or not with one that fits the input;
- says something else on stderr than "doorlight: …" and a hint, or anything at all where all went well;
- lets a control character through to the terminal, on stdout or stderr, or text that is no UTF-8;
- takes longer than its limit, or more memory;
- leaves an event log that is not whole, or a half-written file.

What is thrown at it is in the package rubbish beside it.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import faulthandler
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads would be lost in every fork

REPOSITORY = Path(__file__).resolve().parents[2]

from fuzz import inputs
from fuzz.inputs import KINDS, LIMIT_S, Case, Material

#: What `doorlight --help` names; 130 only where somebody interrupts.
CODES = frozenset({0, 2, 66, 69, 74, 78, 130})
#: A process that wants more address space than this is refused it: the machine that tests must survive, too.
ADDRESS_SPACE = 12 << 30
#: On a busy machine a case may take so many times its limit.
PATIENCE = 5
#: Longest output that is looked at.
MAX_OUTPUT = 1 << 20
#: Longest line on stderr: somebody has to read it.
MAX_LINE_BYTES = 2100


@dataclass
class Result:
    """What became of one case."""

    name: str
    code: int | None = None  # negative: killed by that signal; None: did not end
    seconds: float = 0.0
    peak_mib: float = 0.0
    faults: list[str] = field(default_factory=list)
    argv: list[str] = field(default_factory=list)
    said: str = ""


def judge(case: Case, result: Result, out: bytes, err: bytes) -> Iterator[str]:
    """Everything that is wrong with how a case ended."""
    code, lines = result.code, err.decode("utf-8", "replace").split("\n")
    if code is None:
        yield f"hangs: no end after {case.limit_s:g} s"
    elif code < 0:
        if -code not in case.signals:
            yield f"dies by {signal.Signals(-code).name}"
    elif code not in CODES:
        yield f"exit code {code} is none that --help names"
    elif code not in case.codes:
        yield f"exit code {code}, expected {', '.join(map(str, sorted(case.codes)))}"
    if result.peak_mib > case.most_mib:
        yield f"takes {result.peak_mib:.0f} MiB, allowed {case.most_mib}"
    if "Traceback" in err.decode("utf-8", "replace"):
        yield "traceback: " + next((line for line in reversed(lines) if line.strip()), "")
    elif code == 0 and err:
        yield f"succeeds, but says on stderr: {lines[0]!r}"
    elif code not in (0, None, 2, 130) and code > 0 and not (lines[0].startswith("doorlight: ") and len(lines) <= 3):
        yield f"not one clear line on stderr: {lines[:4]!r}"
    if any(len(line) > MAX_LINE_BYTES for line in lines):
        yield f"a line of {max(map(len, lines))} characters on stderr"
    for name, what in (("stdout", out), ("stderr", err)):
        try:
            text = what.decode()
        except UnicodeDecodeError as error:
            yield f"{name} is not UTF-8: {what[error.start : error.start + 10]!r}"
            continue
        bad = sorted({c for c in text if c != "\n" and not c.isprintable()})
        if bad:
            yield f"{name} has control characters: {bad[:5]!r}"


# ---- One case, in its own process ------------------------------------------------------------------------------------


def _perform(kind: str, number: int, seed: str, material: Material, folder: Path, channel: int, fresh: bool) -> None:
    """What the process of one case does; does not return."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 34, 1 << 34))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    case = KINDS[kind].make(random.Random(f"{seed}/{kind}/{number}"), material)
    argv = [os.fspath(argument) for argument in case.argv]
    _tell(channel, argv=[repr(a)[1:-1][:200] for a in argv], case=case)
    for fd, name in ((1, "../out"), (2, "../err")):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(file, fd)
        os.close(file)
    if case.process:
        _really(case, argv, channel)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    faulthandler.enable(file=os.dup(2))
    from edge import cli

    if not fresh:
        _with_models_at_hand()
    _with_decoders_forked()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _reset_peak()
    before = _memory("VmRSS")
    began = time.monotonic()
    if case.stop_s is not None:
        _stopper(os.getpid(), case.stop_s, case.stop_by)
    code = 1
    try:
        with case.around() if case.around else contextlib.nullcontext():
            code = cli.main(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    seconds = time.monotonic() - began
    # Of its own and of its largest child; that one with all that Python and OpenCV take anyhow.
    peak = max(_memory("VmHWM") - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - 100_000) / 1024
    faults = list(case.check()) if case.check and code in (0, *case.codes) else []
    _tell(channel, code=code, seconds=seconds, peak_mib=peak, faults=faults)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _really(case: Case, argv: list[str], channel: int) -> None:
    """The same as a `doorlight` of its own, interpreter's start and end included."""
    environ = os.environ | {"PYTHONPATH": str(REPOSITORY)} | case.environ
    began = time.monotonic()
    door = subprocess.Popen([sys.executable, "-m", "edge", *argv], env=environ, stdin=subprocess.DEVNULL)
    if case.stop_s is not None:
        _stopper(door.pid, case.stop_s, case.stop_by)
    _, status, usage = os.wait4(door.pid, 0)
    faults = list(case.check()) if case.check else []
    code = os.waitstatus_to_exitcode(status)
    # What Python, OpenCV and TFLite need anyhow is not the input's fault.
    peak = max(0.0, usage.ru_maxrss / 1024 - 150)
    _tell(channel, code=code, seconds=time.monotonic() - began, peak_mib=peak, faults=faults)
    os._exit(0)


def _stopper(process: int, after_s: float, by: Sequence[int]) -> None:
    def stop() -> None:
        # A door: once it keeps its log. Before that it handles no signal, and simply dies.
        end = time.monotonic() + 15.0
        while signal.SIGTERM in by and not os.path.exists("events.jsonl") and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(after_s)
        for number in by:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    threading.Thread(target=stop, daemon=True).start()


def _with_models_at_hand() -> None:
    """Load the shipped models once a worker: how they load is the business of the kinds that are `fresh`."""
    from edge.inference import interpreter

    loaded = inputs.LOADED
    real = interpreter.Model

    def model(manifest: Any, name: str, threads: int = 1, runtime: Any = None, elsewhere: Any = None) -> Any:
        return loaded.get(name) or real(manifest, name, threads, runtime, elsewhere)

    from edge.inference import perception

    perception.Model = model  # type: ignore[misc,assignment]


def _with_decoders_forked() -> None:
    """Fork what decodes videos, too: a Python that imports OpenCV anew takes ten times as long as the case.

    As a program of its own it runs in the kind `process`.
    """
    from edge.camera import ffmpeg_process

    class Forked:
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
            self.pid = os.fork()
            if self.pid == 0:
                with contextlib.suppress(BaseException):
                    for fd, target in ((theirs_in, 0), (theirs_out, 1), (os.open(os.devnull, os.O_WRONLY), 2)):
                        os.dup2(fd, target)
                    os.closerange(3, 1000)
                    sys.stdin = open(0, closefd=False)  # noqa: SIM115
                    ffmpeg_process.serve(*json.loads(sys.stdin.buffer.readline()))
                os._exit(0)
            os.close(theirs_in)
            os.close(theirs_out)
            self.stdin, self.stdout = open(ours_out, "wb", buffering=0), open(ours_in, "rb", buffering=0)  # noqa: SIM115
            self._code: int | None = None

        def kill(self) -> None:
            if self._code is None:
                os.kill(self.pid, signal.SIGKILL)

        def wait(self) -> int:
            if self._code is None:
                self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self._code

    ffmpeg_process.subprocess.Popen = Forked  # type: ignore[misc,assignment]


def _tell(channel: int, **what: Any) -> None:
    if case := what.pop("case", None):
        what |= {"limit_s": case.limit_s, "most_mib": case.most_mib, "codes": sorted(case.codes)}
        what |= {"signals": sorted(case.signals)}
    os.write(channel, json.dumps(what).encode() + b"\n")


def _memory(what: str) -> int:
    """A line of /proc/self/status, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1])
    raise AssertionError(what)


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


# ---- Many cases ------------------------------------------------------------------------------------------------------


def run_case(name: str, seed: str, material: Material, keep: Path | None = None) -> Result:
    """Run one case, "kind:number", in a forked process, and judge it."""
    kind, _, number = name.partition(":")
    result = Result(name)
    top = keep or Path(tempfile.mkdtemp(prefix="hostile-", dir=_scratch()))
    folder = top / "case"
    folder.mkdir(parents=True, exist_ok=True)
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(receive)
            _perform(kind, int(number), seed, material, folder, send, KINDS[kind].fresh)
        except BaseException:
            traceback.print_exc()
        os._exit(99)
    os.close(send)
    told = _listen(receive, pid)
    os.close(receive)
    case = Case([], frozenset(told.get("codes", ())), limit_s=told.get("limit_s", 0), most_mib=told.get("most_mib", 0))
    case = case._replace(signals=frozenset(told.get("signals", ())))
    result.argv, result.code = told.get("argv", []), told.get("code", told["died"])
    result.seconds, result.peak_mib = told.get("seconds", 0.0), told.get("peak_mib", 0.0)
    out, err = (_head(top / name) for name in ("out", "err"))
    result.faults = [*judge(case, result, out, err), *told.get("faults", ())]
    if told["died"] and "code" in told and -told["died"] not in case.signals:
        result.faults.append(f"dies on its way out ({told['died']})")
    result.said = err.decode("utf-8", "replace")[:2000]
    if keep is None:
        shutil.rmtree(top, ignore_errors=True)
    return result


def _listen(receive: int, pid: int) -> dict[str, Any]:
    """What the process of a case tells until it ends, or is ended; "died" is its signal (negative), 0, or None.

    Its limit is one of processor time, as others may use this machine, too; by the clock it is PATIENCE times that.
    """
    told: dict[str, Any] = {}
    data = b""
    end = time.monotonic() + 60.0  # to make the case; then its own limit counts
    last = end + PATIENCE * LIMIT_S
    while True:
        ready, _, _ = select.select([receive], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            if time.monotonic() < last and _processor_s(pid) < told.get("limit_s", LIMIT_S):
                end = time.monotonic() + 1.0
                continue
            break
        if not (more := os.read(receive, 65536)):
            break
        data += more
        *lines, data = data.split(b"\n")
        for line in lines:
            told |= json.loads(line)
        if "code" in told:
            end = time.monotonic() + 30.0  # to end
        elif "limit_s" in told:
            end = time.monotonic() + told["limit_s"]
            last = time.monotonic() + PATIENCE * told["limit_s"]
    handle = os.pidfd_open(pid)
    if not select.select([handle], [], [], max(0.1, end - time.monotonic()))[0]:
        told["died"] = None
        os.kill(pid, signal.SIGABRT)  # faulthandler tells where it hangs
        select.select([handle], [], [], 1.0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(handle)
    told.setdefault("died", os.waitstatus_to_exitcode(status))
    return told


def _processor_s(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_OUTPUT)
    except FileNotFoundError:
        return b""
    if len(data) == MAX_OUTPUT:
        data = data[: data.rfind(b"\n") + 1]  # not in the middle of a character
    return data


def _scratch() -> str | None:
    """In memory where there is room: what is thrown is not the disk's business."""
    return "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 2 << 30 else None


def shares(cases: int, kinds: Sequence[str], waiting: int | None = None) -> list[str]:
    """The names of so many cases, spread over the kinds by their shares, every kind at least once.

    `waiting` is the most there may be of those that wait, and so take time whatever the machine.
    """
    if waiting is not None:
        slow = [kind for kind in kinds if KINDS[kind].waits]
        return shares(cases, [kind for kind in kinds if kind not in slow]) + shares(min(cases, waiting), slow)
    whole = sum(KINDS[kind].share for kind in kinds)
    return [f"{kind}:{number}" for kind in kinds for number in range(max(1, round(cases * KINDS[kind].share / whole)))]


def run_many(names: Sequence[str], seed: str, material: Material, jobs: int) -> Iterator[Result]:
    """Run cases in `jobs` worker processes, those that mostly wait in more; results as they come."""
    context = multiprocessing.get_context("fork")
    waiting = [name for name in names if KINDS[name.partition(":")[0]].waits]
    working = [name for name in names if not KINDS[name.partition(":")[0]].waits]
    random.Random(seed).shuffle(working)
    workers, channels = [], []
    for some, count in ((working, jobs), (waiting, 2 * jobs)):
        following = context.Value("i", 0)
        for _ in range(min(count, len(some))):
            receive, send = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(some, following, seed, material, send))
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
        raise RuntimeError("a worker has died: " + ", ".join(str(worker.exitcode) for worker in workers))


def _work(names: Sequence[str], following: Any, seed: str, material: Material, send: Any) -> None:
    inputs.load_models()
    gc.collect()
    gc.freeze()  # what is loaded is never collected, nor copied by that, in the processes of the cases
    while True:
        with following.get_lock():
            number, following.value = following.value, following.value + 1
        if number >= len(names):
            return
        send.send(asdict(run_case(names[number], seed, material)))


def table(results: Sequence[Result]) -> str:
    """The results by kind, in Markdown."""
    lines = ["| kind | cases | exit codes | slowest | most memory | failed |", "|---|---|---|---|---|---|"]
    by_kind: dict[str, list[Result]] = {}
    for result in results:
        by_kind.setdefault(result.name.partition(":")[0], []).append(result)
    for kind, some in [*by_kind.items(), ("**all**", list(results))]:
        codes: dict[str, int] = {}
        for result in some:
            codes[str(result.code)] = codes.get(str(result.code), 0) + 1
        told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
        slowest, most = max(r.seconds for r in some), max(r.peak_mib for r in some)
        failed = sum(bool(r.faults) for r in some)
        lines.append(f"| {kind} | {len(some)} | {told} | {slowest:.1f} s | {most:.0f} MiB | {failed} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="how many (20000)")
    parser.add_argument("--seed", default="1", help="another seed, other cases (1)")
    parser.add_argument("--waiting", type=int, metavar="N", help="at most so many of the kinds that wait a second each")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this kind (may be repeated)")
    parser.add_argument("--case", metavar="KIND:NUMBER", help="this one again, and keep its files")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases at a time (one a processor)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all results as JSON")
    args = parser.parse_args(argv)
    began = time.monotonic()
    with inputs.material() as material:
        if args.case:
            inputs.load_models()
            keep = Path(tempfile.mkdtemp(prefix="hostile-"))
            result = run_case(args.case, args.seed, material, keep)
            print(json.dumps(asdict(result), indent=2, ensure_ascii=True))
            print(f"its files are in {keep}")
            return 1 if result.faults else 0
        results = []
        names = shares(args.cases, args.kind or list(KINDS), args.waiting)
        for result in run_many(names, args.seed, material, args.jobs):
            results.append(result)
            for fault in result.faults:
                print(f"{result.name}: {fault}", flush=True)
            if len(results) % 1000 == 0:
                print(f"{len(results)} of {len(names)}, {time.monotonic() - began:.0f} s", flush=True)
    results.sort(key=lambda result: (list(KINDS).index(result.name.partition(":")[0]), result.name))
    failed = sum(bool(result.faults) for result in results)
    print(table(results))
    print(f"\n{len(results)} cases, {failed} failed, {time.monotonic() - began:.0f} s, seed {args.seed}")
    if args.report:
        args.report.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
