"""A simulated Coral fails: the CPU takes over within a second, event and status give the reason, the Edge TPU comes
back.

The library is tests/support/fake_libedgetpu.c, a TFLite delegate that fails, hangs, crashes or aborts on request. The
device is a plain file, /dev/apex_0, which the door takes for a PCIe Coral. The compiled models are copies of the CPU
models. The behaviour is in /run/fake-coral. This shows nothing of the behaviour of real hardware.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.virtual_door import messages
from virtual_door.agent_client import MachineError
from virtual_door.build import CHECKOUT
from virtual_door.door import CONFIG, INSTANT_S, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

LIBRARY_SOURCE = CHECKOUT / "tests/support/fake_libedgetpu.c"
BEHAVIOUR_FILE = "/run/fake-coral"
DROP_IN = "/run/systemd/system/doorlight.service.d/coral.conf"
#: Makes the copies of the models and their rows in the manifest.
MAKE_MODELS = """\
import shutil, sys
from pathlib import Path
import msgspec
from training import manifest_rows
from edge.inference import manifest
folder, found, shipped = Path(sys.argv[1]), {}, manifest.load()
for name, row in shipped.items():
    compiled = f"{name}_edgetpu.tflite"
    shutil.copy(shipped.folder / row.file, folder)
    shutil.copy(shipped.folder / row.file, folder / compiled)
    found[name] = msgspec.structs.replace(row, edgetpu=manifest.EdgeTpuFile(compiled, row.sha256))
manifest_rows.write(folder, found)
"""
#: Writes the behaviour as one atomic change, and prints the time (CLOCK_BOOTTIME).
SET_BEHAVIOUR = """\
import os, sys, time
path, behaviour = sys.argv[1:]
open(path + ".new", "w").write(behaviour)
os.chmod(path + ".new", 0o644)
os.rename(path + ".new", path)
print(time.clock_gettime(time.CLOCK_BOOTTIME))
"""
#: Limit until the CPU decides, and a margin for a busy host.
MAX_CPU_S, BUSY_S = 1.0, 1.0
SIGABRT, SIGSEGV = 6, 11

IN_USE = {
    "fail": messages.EDGE_TPU_FAILED,
    "hang": messages.EDGE_TPU_TIMEOUT,
    "crash": messages.killed_by(SIGSEGV),
    "abort": messages.killed_by(SIGABRT),
}
AT_START = {
    "load-crash": messages.killed_by(SIGSEGV),
    "absent": "",
    "load-hang": messages.EDGE_TPU_PROBE_HANGS,
}


def test_coral_crash_and_hang(lab: Lab, report: Report) -> None:
    """A crash and a hang while an unmasked person comes."""
    with lab.door(data_mb=32) as door:
        door.boot(service=False)
        _install(door)
        _set_behaviour(door, "ok")
        _plug(door, True)
        door.start_service()
        for behaviour in ("crash", "hang"):
            _check_failure_in_use(door, report, behaviour, IN_USE[behaviour])


@pytest.mark.slow
def test_all_coral_failures(lab: Lab, report: Report) -> None:
    """All failures, at the start and in use."""
    with lab.door(data_mb=32) as door:
        door.boot(service=False)
        _install(door)
        for behaviour, reason in AT_START.items():
            _check_failure_at_start(door, report, behaviour, reason)
        _set_behaviour(door, "ok")
        door.camera.show("empty")
        door.start_service()
        _plug(door, True)  # later than the service, as at boot
        _wait_for_edge_tpu(door)
        for behaviour, reason in IN_USE.items():
            _check_failure_in_use(door, report, behaviour, reason)


def _install(door: Door) -> None:
    """Install the library and the models in the guest, still without a Coral. The service must not run."""
    folder = door.session / "out/coral"
    (folder / "models").mkdir(parents=True)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise MachineError("there is no C compiler for the simulated libedgetpu: apt-get install gcc libc6-dev")
    library = folder / "libedgetpu.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, LIBRARY_SOURCE], check=True, capture_output=True)
    environment = {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'scripts'}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", MAKE_MODELS, str(folder / "models")]
    made = subprocess.run(command, env=environment, capture_output=True, text=True)
    if made.returncode:
        raise MachineError(f"the models could not be made:\n{made.stderr}")
    door.sh(
        "cp /root/vdoor/out/coral/libedgetpu.so.1 /usr/lib/x86_64-linux-gnu/ && ldconfig && "
        "mkdir /etc/doorlight/models && cp /root/vdoor/out/coral/models/* /etc/doorlight/models/ && "
        "chmod -R a+rX /etc/doorlight/models && "
        f"""printf '[models]\\ndirectory = "/etc/doorlight/models"\\n' >>{CONFIG} && """
        f"mkdir -p {Path(DROP_IN).parent} && printf '[Service]\\nEnvironment=FAKE_CORAL={BEHAVIOUR_FILE}\\n' >{DROP_IN} && "
        "systemctl daemon-reload",
        60,
    )


def _plug(door: Door, present: bool) -> None:
    """Add or remove the device."""
    door.sh("touch /dev/apex_0 && chmod 666 /dev/apex_0" if present else "rm -f /dev/apex_0")


def _set_behaviour(door: Door, behaviour: str) -> float:
    """Set the behaviour (see fake_libedgetpu.c). Return the time in seconds since power-on."""
    return float(door.sh(["python3", "-I", "-c", SET_BEHAVIOUR, BEHAVIOUR_FILE, behaviour]))


def _wait_for_edge_tpu(door: Door, within_s: float = 60) -> None:
    """Wait until the status says that the Edge TPU is in use."""
    door.wait_until(
        lambda: messages.STATUS_EDGE_TPU in door.status(),
        within_s,
        lambda: f"{door.status()}\n{door.journal()[-2000:]}",
    )


def _wait_for_event(door: Door, after_seq: int, kind: str, within_s: float, what: str) -> dict[str, Any]:
    return door.wait_until(
        lambda: next((e for e in door.events() if e["seq"] > after_seq and e["event"] == kind), None),
        within_s,
        f"{what}: no event {kind}",
    )


def _red_delay(door: Door) -> float:
    """Let an unmasked person come and go. Return the seconds until red."""
    shown = door.camera.show("unmasked")
    red = door.wait_for_lamps("red", 20, since=shown)
    door.camera.show("empty")
    door.wait_for_lamps("off", 20, since=red.t + INSTANT_S)
    return red.t - shown


def _check_failure_in_use(door: Door, report: Report, behaviour: str, reason: str) -> None:
    """A Coral in use fails while a person comes: the CPU decides in time; then the Edge TPU comes back."""
    _wait_for_edge_tpu(door)
    seq = door.last_seq()
    process = door.properties("MainPID", "NRestarts")
    door.camera.show("empty")
    door.wait_until(lambda: door.lamps() == "off", 20)
    usual_s = _red_delay(door)
    failed = _set_behaviour(door, behaviour)
    shown = door.camera.show("unmasked")
    red = door.wait_for_lamps("red", 20, since=shown)
    lost = _wait_for_event(door, seq, "accelerator_lost", 20, behaviour)
    # On a busy host, a child process that crashes may need longer to end than the door waits for its answer.
    reasons = (reason, messages.EDGE_TPU_HANGS)
    has_reason = any(text in lost["reason"] for text in reasons)
    report.check(has_reason, f"{behaviour}, in use: the reason", " or ".join(reasons), lost["reason"])
    # The status is updated once a second.
    status = door.wait_for_status(lambda text: messages.STATUS_CPU in text, 10)
    has_problem = messages.STATUS_EDGE_TPU_PROBLEM in status
    report.check(has_problem, f"{behaviour}: systemctl status", "CPU (…), …, Edge TPU: …", status)
    delay_s = red.t - shown
    name = f"{behaviour}, in use: unmasked person to red"
    report.measure(name, delay_s, "s", at_most=usual_s + MAX_CPU_S + BUSY_S)
    name = f"{behaviour}: additional delay because of the failure"
    report.measure(name, max(0.0, delay_s - usual_s), "s", at_most=MAX_CPU_S + BUSY_S)
    repaired = _set_behaviour(door, "ok")
    _wait_for_edge_tpu(door, 90)
    back = [e for e in door.events() if e["seq"] > lost["seq"] and e["event"] == "accelerator_back"]
    report.equal(len(back), 1, f"{behaviour}, then OK: accelerator_back")
    report.measure(f"{behaviour}, then OK: the Edge TPU is in use after", door.now() - repaired, "s", at_most=60)
    report.equal(door.properties("MainPID", "NRestarts"), process, f"{behaviour}: the door's process is the same")
    report.check(failed < shown, f"{behaviour}: set before the person came", "before", f"{shown - failed:.2f} s before")


def _check_failure_at_start(door: Door, report: Report, behaviour: str, reason: str) -> None:
    """A Coral fails when the stopped service starts: the CPU is used at once."""
    _set_behaviour(door, behaviour)
    _plug(door, True)
    seq = door.last_seq()
    door.camera.show("masked")
    service = door.start_service(90)
    ready = float(service["ready"])
    lit = door.wait_for_lamps("green", 30, since=ready - 5)
    report.measure(f"{behaviour}: READY to green, by the CPU", lit.t - ready, "s", at_most=5)
    lost = _wait_for_event(door, seq, "accelerator_lost", 120, behaviour)
    report.check(reason in lost["reason"], f"{behaviour}: the reason", reason, lost["reason"])
    delay_s = _red_delay(door)
    report.measure(f"{behaviour}: during retries, unmasked person to red", delay_s, "s", at_most=3)
    _set_behaviour(door, "ok")
    _wait_for_edge_tpu(door, 120)
    report.equal(door.restarts(), 0, f"{behaviour}: restarts of the service")
    door.sh("systemctl stop doorlight", 40)
    _plug(door, False)
