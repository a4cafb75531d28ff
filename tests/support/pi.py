"""Run code in a child process that takes this machine for a Raspberry Pi with a fake lgpio."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from support.paths import ROOT

#: A module lgpio that prints each level it writes ("17 1") and drives nothing. Like the real one, it moves to $LG_WD on
#: import and makes its pipe there. Add a pin, or "no chip", to `busy` to make it fail.
LGPIO = """
    import os
    SET_PULL_NONE = SET_PULL_UP = SET_PULL_DOWN = BOTH_EDGES = RISING_EDGE = FALLING_EDGE = 0
    class error(Exception):
        pass
    os.chdir(os.environ.get("LG_WD", "."))
    os.mkfifo(".lgd-nfy0")
    pipe = os.open(".lgd-nfy0", os.O_RDWR)
    outputs, levels, busy = set(), {}, set()
    opened = []
    def gpiochip_open(chip):
        opened.append(chip)
        if "no chip" in busy:
            raise error("can not open gpiochip")
        return chip
    def gpiochip_close(handle):
        print("closed", sorted(outputs), flush=True)
    def gpio_claim_input(handle, pin, flags=0):
        if pin in busy:
            raise error("GPIO busy")
        outputs.discard(pin)
    def gpio_claim_output(handle, pin, level=0):
        outputs.add(pin)
        gpio_write(handle, pin, level)
    def gpio_get_mode(handle, pin):
        return 2 if pin in outputs else 0
    def gpio_write(handle, pin, level):
        levels[pin] = level
        print(pin, int(level), flush=True)
    def gpio_read(handle, pin):
        return levels[pin]
"""


def pi_process(tmp_path: Path, code: str, lgpio: str | None = LGPIO, **environ: str) -> subprocess.Popen[str]:
    """Start `code` in a child process, and a process group, on a fake Raspberry Pi 3B.

    The code finds the modules gpio, lights, pin_factory and pin_process, LightsError, Signal, the default `settings` of the lights,
    and `relay`: settings with a relay at GPIO23. Its working directory is `tmp_path`/here. `lgpio` is the source of the
    module lgpio; None: there is none.
    """
    (tmp_path / "modules").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "gpiochip0").touch()
    if lgpio is not None:
        (tmp_path / "modules" / "lgpio.py").write_text(textwrap.dedent(lgpio))
    setup = f"""
        import os, sys
        import gpiozero.pins.local
        gpiozero.pins.local.get_pi_revision = lambda: 0xa02082
        from edge import config
        from edge.errors import LightsError
        from edge.lights import gpio, lights, pin_factory, pin_process
        from edge.records import Signal
        pin_process.ANSWER_TIMEOUT_S = pin_process.CLOSE_TIMEOUT_S = 60  # the machine may be busy
        gpio.CHIPS = {str(tmp_path / "gpiochip*")!r}
        settings = config.load().lights
        relay = config.replaced(config.load(), "relay", pin=23).relay
        sys.path.insert(0, {str(tmp_path / "modules")!r})
        os.chdir({str(tmp_path / "here")!r})
    """
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(setup) + textwrap.dedent(code)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # With buffering, print writes a line in one piece, so lines of a child process on the same pipe do not mix.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **environ},
    )  # fmt: skip


def run_on_pi(tmp_path: Path, code: str, lgpio: str | None = LGPIO, **environ: str) -> list[str]:
    """Run `code` as `pi_process` does, to its end, and return the lines it prints."""
    with pi_process(tmp_path, code, lgpio, **environ) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()
