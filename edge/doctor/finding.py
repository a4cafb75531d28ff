"""The result of a check."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: "ok"; "note": the door works, but something needs attention; "bad": the door does not work, or soon will not.
Severity = Literal["ok", "note", "bad"]


class Finding(NamedTuple):
    """One result of a check. `fix` is a command, or an action if no command fixes it; "" if nothing is to be fixed."""

    severity: Severity
    message: str
    fix: str = ""
