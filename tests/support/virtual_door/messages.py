"""Texts of the product that the scenarios look for. If a message of the product changes, change it here.

The module that writes each text is named in the comment above it.
"""

from __future__ import annotations

# edge.camera.live, edge.imaging.motion: the reasons in `camera_lost`
CAMERA_MISSING = "/dev/video0"
CAMERA_HANGS = "no new picture"
CAMERA_FROZEN = "frozen"
CAMERA_BLACK = "the picture is black"
CAMERA_WHITE = "the picture is white"

# edge.health, edge.door, edge.events.writer: the status text in `systemctl status`
STATUS_OK = "all well"
STATUS_EVENT_LOG = "event log:"
STATUS_EVENTS_LOST = "events lost"
STATUS_DISK_HANGS = "has not answered for"
STATUS_EDGE_TPU = "Edge TPU ("
STATUS_CPU = "CPU ("
STATUS_EDGE_TPU_PROBLEM = "Edge TPU: "
# The operating system's own words
NO_SPACE = "No space left"
READ_ONLY = "Read-only file system"

# edge.commands.run_door, edge.lights.pin_process: the journal
JOURNAL_LOG_INCOMPLETE = "the event log is incomplete"
JOURNAL_LIGHTS_FAIL = "the lights fail"

# edge.lights.pin_factory: the journal
NO_CHIP = "without a GPIO chip"


def pin_unusable(pin: int, key: str) -> str:
    return f"GPIO{pin} ('lights.{key}') cannot be used"


#: "lg" is the label under which lgpio holds a pin.
PIN_HELD = 'it is held by "lg"'

# edge.doctor.checks.events
DOCTOR_DISK_FULL = "almost full"
DOCTOR_DISK_FREE = "MB free"
DOCTOR_LINE_TIME = "a line is on the disk in"
DOCTOR_BAD = "bad"

# edge.events.text: `doorlight events`
EVENTS_MISSING = "events are missing here"

# edge.inference.edgetpu_process: the reasons in `accelerator_lost`
EDGE_TPU_FAILED = "failed"
EDGE_TPU_TIMEOUT = "no answer in 0.5 s"
EDGE_TPU_PROBE_HANGS = "hangs when it is probed"
EDGE_TPU_HANGS = "hangs"


def killed_by(signal_number: int) -> str:
    return f"killed by signal {signal_number}"


# edge.config
WRONG_PIN = "'lights.green' is 99"

# scripts/install.sh
INSTALL_WENT_BACK = "the previous version runs again"
INSTALL_UP_TO_DATE = "up to date"
INSTALL_WROTE = "wrote"
WRONG_PYTHON = "is not the system's Python any more"
