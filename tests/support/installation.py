"""The shell functions of scripts/install.sh, which are in the files that it sources."""

from __future__ import annotations

import re

from support.paths import SCRIPTS

FILES = sorted((SCRIPTS / "installation").glob("*.sh"))


def functions() -> str:
    """Return a script that defines all functions and constants, and runs nothing."""
    return "\n".join(file.read_text(encoding="utf-8") for file in FILES)


def function(name: str) -> str:
    """Return the source of one function."""
    found = re.search(rf"^{name}\(\) \{{.*?(^\}}| \}})$", functions(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]
