"""The shared memory's layout, and that the child imports nothing that it does not need."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

import numpy as np

from edge.inference import manifest
from edge.inference.edgetpu_worker import INPUT, map_tensors, memory_size
from edge.system import child_process

SHIPPED = manifest.load()


def test_each_tensor_has_its_own_part_of_the_memory() -> None:
    size = memory_size(SHIPPED, tuple(SHIPPED))
    memory = mmap.mmap(-1, size)
    tensors = map_tensors(memory, SHIPPED, tuple(SHIPPED))
    number = 0
    for name, entry in SHIPPED.items():
        assert set(tensors[name]) == {INPUT, *entry.outputs}
        for array in tensors[name].values():
            number += 1
            array[:] = number
    expected = np.concatenate([array.ravel() for arrays in tensors.values() for array in arrays.values()])
    assert expected.tobytes() == memory[:], "without gaps, and written by nobody else"
    assert len(np.unique(expected)) == number


def test_both_sides_see_the_same_memory() -> None:
    names = ("mask_classifier",)
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, memory_size(SHIPPED, names))
    parent, child = (map_tensors(mmap.mmap(descriptor, 0), SHIPPED, names) for _ in range(2))
    os.close(descriptor)
    parent[names[0]][INPUT][0, 1, 2] = (3, 4, 5)
    child[names[0]]["probabilities"][0] = (6, 7)
    assert child[names[0]][INPUT][0, 1, 2].tolist() == [3, 4, 5]
    assert parent[names[0]]["probabilities"].tolist() == [[6, 7]]


def test_without_models_the_memory_can_still_be_mapped() -> None:
    assert memory_size(SHIPPED, ()) == 1
    assert map_tensors(mmap.mmap(-1, 1), SHIPPED, ()) == {}


def test_the_child_loads_neither_opencv_nor_gpiozero() -> None:
    """Its memory counts on a Zero 2 W."""
    code = "import sys, edge.inference.edgetpu_worker; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=child_process.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not {"cv2", "gpiozero", "edge.inference.edgetpu_process"} & set(done.stdout.split())
