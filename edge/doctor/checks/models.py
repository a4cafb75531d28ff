"""Check `models`: verify the checksum of each model, and measure the time of a face search."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ...errors import DoorlightError
from ..finding import Finding
from ..host import Host

#: Searches that are timed; the first one only warms up. The fastest counts.
SEARCHES = 4


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding for each damaged model, or one with the time of a face search in an empty VGA picture."""
    import numpy as np

    from ...inference import manifest
    from ...inference.perception import required_models
    from ...records import Frame

    rows = manifest.load(host.models_folder)
    names = required_models(host.settings)
    is_damaged = False
    for name in names:
        try:
            rows.read(name)
        except DoorlightError as error:
            is_damaged = True
            yield Finding("bad", str(error), error.hint)
    if is_damaged:
        return
    frame = Frame(0, 0.0, np.zeros((480, 640, 3), np.uint8))
    times_s = []
    for _ in range(SEARCHES):
        started_at = time.perf_counter()
        host.perception.detect(frame)
        times_s.append(time.perf_counter() - started_at)
    yield Finding(
        "ok",
        f"{', '.join(names)} in {rows.folder}: sha256 OK; a face search takes "
        f"{1000 * min(times_s):.0f} ms on the CPU ({host.perception.runtime})",
    )
