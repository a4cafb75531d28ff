"""Videos that appear only when they are complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.rendering.video import Video

FRAME = np.zeros((48, 64, 3), np.uint8)


def test_a_video_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "walk.mp4"
    with Video(path, 10, 64, 48) as video:
        video.write(FRAME)
        assert not path.exists()
    assert path.stat().st_size > 0
    assert [p.name for p in path.parent.iterdir()] == ["walk.mp4"]


def test_a_failed_video_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the video is 64x48"), Video(tmp_path / "walk.mp4", 10, 64, 48) as video:
        video.write(FRAME[:40])
    assert list(tmp_path.iterdir()) == []
