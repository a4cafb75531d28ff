"""Plots of thresholds and calibrations."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.plots needs the extra: pip install .[train]")
pytest.importorskip("matplotlib", reason="training.plots needs the extra: pip install .[train]")

from training import plots


@pytest.mark.parametrize("calibrated", [False, True])
def test_draw_choice_is_small_and_marks_what_was_chosen(tmp_path: Path, calibrated: bool) -> None:
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    so = rng.random(2000) < p
    steps = np.linspace(0, 1, 201)
    curves = {f"curve {k}": (steps, np.abs(steps - 0.5) ** k) for k in range(1, 5)}
    calibration = (
        plots.CalibrationCurve("P(mask)", {"before": (p**2, so), "after": (p, so)}, rng.random(2000))
        if calibrated
        else None
    )
    plots.draw_choice(
        tmp_path / "choice.png", curves, "threshold", "wrong", ("threshold", 0.5), top=0.3, calibration=calibration
    )
    drawn = cv2.imread(str(tmp_path / "choice.png"))
    assert drawn.shape[1] > (900 if calibrated else 500)
    assert 5_000 < (tmp_path / "choice.png").stat().st_size < 60_000
