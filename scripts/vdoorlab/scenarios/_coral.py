"""For the scenarios about the Edge TPU: a Coral that is none, in the guest.

Its library is tests/fake_libedgetpu.c, a real TFLite delegate; its device a plain file, /dev/apex_0, that looks like a PCIe
Coral; its models are the shipped ones under the names of compiled ones. What it does next stands in /run/fake-coral.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from vdoorlab import layers
from vdoorlab.machine import Machine, MachineError
from vdoorlab.report import Report
from vdoorlab.scenarios._process import INSTANT_S, journal_after

CODE = layers.CHECKOUT / "tests/fake_libedgetpu.c"
WORD = "/run/fake-coral"
DROP_IN = "/run/systemd/system/doorlight.service.d/coral.conf"
#: Makes the twins, with the laboratory's own writer of the manifest.
TWINS = """\
import shutil, sys
from pathlib import Path
import msgspec
from doorlab import rows
from edge import manifest
folder, found = Path(sys.argv[1]), {}
for name, row in manifest.load().items():
    twin = f"{name}_edgetpu.tflite"
    shutil.copy(manifest.load().folder / row.file, folder)
    shutil.copy(manifest.load().folder / row.file, folder / twin)
    found[name] = msgspec.structs.replace(row, edgetpu=manifest.Twin(twin, row.sha256))
rows.write(folder, found)
"""
#: By when the CPU must serve, and what a busy machine takes on top.
CPU_S, BUSY_S = 1.0, 1.0


def prepare(door: Machine) -> None:
    """Put the library and the models into the guest; it has no Coral yet. The service must not run."""
    folder = door.session / "out/coral"
    (folder / "models").mkdir(parents=True)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise MachineError("no C compiler to make the stand-in for libedgetpu with: apt-get install gcc libc6-dev")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "libedgetpu.so.1", CODE], check=True, capture_output=True
    )
    path = {"PYTHONPATH": f"{layers.CHECKOUT}:{layers.CHECKOUT / 'scripts'}", "PATH": "/usr/bin:/bin"}
    made = subprocess.run([sys.executable, "-c", TWINS, folder / "models"], env=path, capture_output=True, text=True)
    if made.returncode:
        raise MachineError(f"the models could not be made:\n{made.stderr}")
    door.sh(
        "cp /root/vdoor/out/coral/libedgetpu.so.1 /usr/lib/x86_64-linux-gnu/ && ldconfig && "
        "mkdir /etc/doorlight/models && cp /root/vdoor/out/coral/models/* /etc/doorlight/models/ && "
        "chmod -R a+rX /etc/doorlight/models && "
        """printf '[models]\\ndirectory = "/etc/doorlight/models"\\n' >>/etc/doorlight/doorlight.toml && """
        f"mkdir -p {Path(DROP_IN).parent} && printf '[Service]\\nEnvironment=FAKE_CORAL={WORD}\\n' >{DROP_IN} && "
        "systemctl daemon-reload",
        60,
    )


def plug(door: Machine, there: bool) -> None:
    """The Coral comes or goes, for the kernel."""
    door.sh("touch /dev/apex_0 && chmod 666 /dev/apex_0" if there else "rm -f /dev/apex_0")


def behave(door: Machine, how: str) -> float:
    """From now on it does this (see fake_libedgetpu.c): when, in seconds since power-on."""
    t = door.sh(
        ["python3", "-I", "-c", "import os, sys, time; open(sys.argv[1] + '.new', 'w').write(sys.argv[2]); "
         "os.chmod(sys.argv[1] + '.new', 0o644); os.rename(sys.argv[1] + '.new', sys.argv[1]); "
         "print(time.clock_gettime(time.CLOCK_BOOTTIME))", WORD, how]
    )  # fmt: skip
    return float(t)


def news(door: Machine, since: float) -> list[tuple[float, str]]:
    """What the journal tells of the Edge TPU: (seconds since power-on, line)."""
    lines = journal_after(door, since).splitlines()
    return [(float(line[1:].split("]")[0]), line) for line in lines if "Edge TPU" in line]


def status(door: Machine) -> str:
    return door.properties("StatusText")["StatusText"]


def serves(door: Machine, within_s: float = 60) -> None:
    """Wait until the door says that it runs on the Edge TPU."""
    door.wait_until(lambda: "Edge TPU (" in status(door), within_s, lambda: f"{status(door)}\n{door.journal()[-2000:]}")


def fails(door: Machine, report: Report, how: str, reason: str) -> None:
    """A Coral that serves goes wrong while somebody comes to the door: the CPU decides in time; then it comes back."""
    serves(door)
    before = {e["seq"] for e in door.events()}
    main = door.properties("MainPID", "NRestarts")
    door.camera.show("empty")
    door.wait_until(lambda: door.looks() == "off", 20)
    usual = _reaction(door)
    wrong = behave(door, how)
    shown = door.camera.show("unmasked")
    red = door.wait_for("red", 20, since=shown)
    lost = door.wait_until(
        lambda: next((e for e in door.events() if e["seq"] not in before and e["event"] == "accelerator_lost"), None),
        20,
        f"{how}: no event",
    )
    # One that dies may take longer to be gone, on a busy machine, than the door waits for an answer.
    reasons = (reason, "hangs")
    said = lost["reason"]
    report.check(any(r in said for r in reasons), f"{how}, in use: the event says", " or ".join(reasons), said)
    # The status is written once a second.
    seen = door.wait_until(lambda: s if "CPU (" in (s := status(door)) else None, 10, lambda: f"still {status(door)}")
    report.check("Edge TPU: " in seen, f"{how}: systemctl status says", "CPU (…), …, Edge TPU: …", seen)
    report.measure(
        f"{how}, in use: until somebody unmasked has red", red.t - shown, "s", at_most=usual + CPU_S + BUSY_S
    )
    report.measure(
        f"{how}: of it on account of the failure", max(0.0, red.t - shown - usual), "s", at_most=CPU_S + BUSY_S
    )
    well = behave(door, "ok")
    serves(door, 90)
    back = [e for e in door.events() if e["seq"] > lost["seq"] and e["event"] == "accelerator_back"]
    report.equal(len(back), 1, f"{how}, then well again: accelerator_back")
    report.measure(f"{how}, then well again: the Edge TPU serves after", door.now() - well, "s", at_most=60)
    report.equal(door.properties("MainPID", "NRestarts"), main, f"{how}: the door's process is the same")
    report.check(wrong < shown, f"{how}: it was told before somebody came", "before", f"{shown - wrong:.2f} s before")


def _reaction(door: Machine) -> float:
    """Seconds until red for somebody unmasked, as things are; leaves nobody at the door."""
    shown = door.camera.show("unmasked")
    red = door.wait_for("red", 20, since=shown)
    door.camera.show("empty")
    door.wait_for("off", 20, since=red.t + INSTANT_S)
    return red.t - shown


def cannot_start(door: Machine, report: Report, how: str, reason: str) -> None:
    """A Coral that is there from the start and does not come up (service stopped): the CPU serves at once."""
    behave(door, how)
    plug(door, True)
    before = max((e["seq"] for e in door.events()), default=0)
    door.camera.show("masked")
    service = door.start_service(90)
    lit = door.wait_for("green", 30, since=float(service["ready"]) - 5)
    report.measure(f"{how}: READY to green, by the CPU", lit.t - float(service["ready"]), "s", at_most=5)
    lost = door.wait_until(
        lambda: next((e for e in door.events() if e["seq"] > before and e["event"] == "accelerator_lost"), None),
        120,
        f"{how}: no event",
    )
    report.check(reason in lost["reason"], f"{how}: the event says", reason, lost["reason"])
    red = _reaction(door)
    report.measure(f"{how}: while it is tried again, somebody unmasked has red after", red, "s", at_most=3)
    behave(door, "ok")
    serves(door, 120)
    report.equal(door.properties("NRestarts")["NRestarts"], "0", f"{how}: restarts of the service")
    door.sh("systemctl stop doorlight", 40)
    plug(door, False)
