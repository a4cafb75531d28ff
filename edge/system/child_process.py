"""Run a Doorlight module in a child process, because what it does may hang or crash.

The parent starts the child with `command` and `environment`. The child calls `set_up` first; the pin process, which
must outlive its parent, calls only `ignore_stop_signals`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line for `python -m module`; use it together with `environment`."""
    # -P: a module in the working directory must not replace one of the same name.
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return the environment for the child: this process' own, with this package first on PYTHONPATH."""
    package_parent = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


def set_up() -> None:
    """Set up this process as a child: ignore stop signals, end together with the parent, write no core file."""
    import ctypes  # here, because the parent also imports this module and does not need it

    ignore_stop_signals()
    libc = ctypes.CDLL(None)
    # A child that hangs in a library cannot notice that its parent has died, so the kernel kills it. The kernel watches
    # the thread that started the child, not the whole parent process: that thread must live as long as the child.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A crash is expected here, and the memory holds pictures of people, which must not end up in a core file.
    libc.prctl(_PR_SET_DUMPABLE, 0)


def ignore_stop_signals(*others: signal.Signals) -> None:
    """Ignore SIGINT, SIGTERM and SIGHUP, and the signals in `others`.

    Ctrl-C and systemd send these signals to every process of the group. The parent alone decides when the child stops:
    it closes the pipe or socket between them.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *others):
        signal.signal(number, signal.SIG_IGN)
