"""scripts/lib/setup_venv.sh: which virtual environment scripts/demo and its like create."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

#: Answers like the real Python, except that it prints how a venv is created, and fails then.
PYTHON = f"""#!/bin/sh
if [ "$2" = venv ]; then echo "$*"; exit 1; fi
exec {sys.executable} "$@"
"""


@pytest.mark.parametrize(
    ("is_pi", "command"), [(True, "-m venv --system-site-packages .venv"), (False, "-m venv .venv")]
)
def test_the_venv_sees_the_system_s_packages_on_a_raspberry_pi_only(is_pi: bool, command: str, tmp_path: Path) -> None:
    """Apt's Picamera2 and lgpio are there, and nowhere else."""
    for name, text in (("python", PYTHON), ("grep", f"#!/bin/sh\nexit {0 if is_pi else 1}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": str(tmp_path / "python")}
    script = f'. "{ROOT}/scripts/lib/setup_venv.sh"; setup_venv ""'
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (69, command), done.stderr
