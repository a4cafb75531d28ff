"""The expression model is not opened, by any process of the door, until the questions of a door in use are answered."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT, SCRIPTS

MODEL = "expression_classifier.tflite"
STILL = SCRIPTS / "assets/demo/still.jpg"
ANSWERS = '[privacy]\nanswers_required = true\ncontroller = "Dr. Who"\nsign = "left"\n'
#: Prints the files that Python opens, where strace is missing.
HOOK = (
    "import sys; from edge.cli import main\n"
    "sys.addaudithook(lambda name, args: name == 'open' and print(args[0], file=sys.stderr))\n"
    "sys.exit(main(sys.argv[1:]))"
)


def opened(tmp_path: Path, settings: str) -> str:
    """Run the door on a picture with these settings; return the names of all files that it opened."""
    config, files = tmp_path / "door.toml", tmp_path / "files"
    config.write_text(settings)
    command = [
        "run",
        "--simulate",
        "--source",
        str(STILL),
        "--config",
        str(config),
        "--events",
        str(tmp_path / "e.jsonl"),
    ]
    strace = shutil.which("strace")
    if strace is not None:
        trace = [strace, "-f", "-q", "-e", "trace=open,openat,openat2", "-o", str(files)]
        done = subprocess.run(
            [*trace, sys.executable, "-m", "edge", *command], cwd=ROOT, capture_output=True, timeout=120, check=False
        )
        if done.returncode == 0:  # a container may forbid tracing
            return files.read_text(errors="replace")
    done = subprocess.run(
        [sys.executable, "-c", HOOK, *command], cwd=ROOT, capture_output=True, timeout=120, check=True
    )
    return done.stderr.decode(errors="replace")


@pytest.mark.parametrize(
    ("settings", "is_opened"),
    [
        (ANSWERS, False),
        (ANSWERS.replace("Dr. Who", "") + "[expression]\nenabled = true\n", False),
        (ANSWERS + "[expression]\nenabled = true\n", True),
    ],
)
def test_the_model_waits_for_the_answers(tmp_path: Path, settings: str, is_opened: bool) -> None:
    files = opened(tmp_path, settings)
    assert "mask_classifier.tflite" in files
    assert (MODEL in files) is is_opened
