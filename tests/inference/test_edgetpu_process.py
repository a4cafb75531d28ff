"""Start and probe the process that holds the Edge TPU; libedgetpu is a fake that fails, hangs or crashes on demand."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.inference import edgetpu_process, edgetpu_worker, interpreter, manifest
from edge.inference.edgetpu_process import EdgeTpuError, EdgeTpuProcess, start_edgetpu_process
from edge.inference.interpreter import Model
from edge.inference.manifest import Manifest
from support.edgetpu import Behave
from support.models import RUNTIMES, pictures

MASK = ("mask_classifier",)


def start(models: Manifest, *names: str) -> EdgeTpuProcess:
    return start_edgetpu_process(models, names or MASK, [])


def start_error(models: Manifest, *names: str) -> EdgeTpuError:
    with pytest.raises(EdgeTpuError) as caught:
        start(models, *names)
    return caught.value


def end(process: EdgeTpuProcess) -> None:
    assert process.close()
    process.wait()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_model_gives_the_same_result_as_on_the_cpu(
    coral: Behave, compiled: Manifest, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", (runtime,))
    process = start(compiled, *compiled)
    assert process.runtime == runtime
    for name, entry in compiled.items():
        local = Model(compiled, name, runtime_name=runtime)
        for pixels in list(pictures(entry).values())[:2]:
            found = process.run(name, pixels)
            local.invoke(pixels)
            assert set(found) == set(entry.outputs)
            for key in entry.outputs:
                assert found[key].dtype == entry.outputs[key].dtype
                np.testing.assert_array_equal(found[key], local.raw(key))
    end(process)


def test_without_a_device_only_one_runtime_is_tried(coral: Behave, compiled: Manifest) -> None:
    coral("absent")
    error = start_error(compiled)
    assert error.kind == edgetpu_worker.NO_DEVICE
    assert "Failed to load delegate from libedgetpu.so.1" in str(error)
    assert str(error).count("Failed") == 1
    assert "plugdev" in error.hint


def test_without_the_library_the_hint_names_its_package(compiled: Manifest) -> None:
    with contextlib.suppress(OSError):
        ctypes.CDLL(interpreter.EDGETPU_LIBRARY)
        pytest.skip("this machine has a libedgetpu")
    error = start_error(compiled)
    assert error.kind == edgetpu_worker.NO_LIBRARY
    assert "libedgetpu.so.1: cannot open shared object file" in str(error)
    assert "libedgetpu1-std" in error.hint


def test_a_library_that_crashes_in_every_runtime_is_reported(coral: Behave, compiled: Manifest) -> None:
    coral("load-crash")
    assert str(start_error(compiled)) == "; ".join(
        f"{runtime} dies when it is probed: killed by signal 11 (Segmentation fault)"
        for runtime in interpreter.EDGETPU_RUNTIMES
        if runtime in RUNTIMES
    )


@pytest.mark.skipif(len(RUNTIMES) < 2, reason="only one runtime is installed")
def test_a_library_that_crashes_in_one_runtime_is_used_with_the_other(coral: Behave, compiled: Manifest) -> None:
    coral("tflite_runtime-crash")
    process = start(compiled)
    assert process.runtime == "ai_edge_litert"
    end(process)


def test_a_library_that_hangs_is_reported_after_a_timeout(
    coral: Behave, compiled: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    coral("load-hang")
    monkeypatch.setattr(edgetpu_process, "PROBE_S", 1.5)
    monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", RUNTIMES[:1])
    assert str(start_error(compiled)) == f"{RUNTIMES[0]} hangs when it is probed (no answer in 1.5 s)"


def test_a_model_that_cannot_be_invoked_does_not_pass(coral: Behave, compiled: Manifest) -> None:
    coral("fail")
    assert "Deadline exceeded" in str(start_error(compiled))


def test_a_damaged_model_file_does_not_pass(coral: Behave, compiled: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(compiled.folder, folder)
    (folder / "mask_classifier_edgetpu.tflite").write_bytes(b"something else")
    assert "mask_classifier_edgetpu.tflite: is damaged" in str(start_error(manifest.load(folder)))


def test_the_pycoral_of_pypi_is_not_used(
    coral: Behave, compiled: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pycoral").mkdir()
    (tmp_path / "pycoral/__init__.py").write_text("class CoralReef: ...\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", ("pycoral",))
    error = start_error(compiled)
    assert error.kind == edgetpu_worker.NOT_INSTALLED
    assert "Google's pycoral cannot be imported" in str(error)


def test_googles_pycoral_is_used(
    coral: Behave, compiled: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for Google's package with the two functions that are used."""
    (tmp_path / "pycoral/utils").mkdir(parents=True)
    (tmp_path / "pycoral/utils/edgetpu.py").write_text(
        f"import {RUNTIMES[-1]}.interpreter as tflite\n"
        "def load_edgetpu_delegate(options=None):\n"
        "    return tflite.load_delegate('libedgetpu.so.1', options or {})\n"
        "def make_interpreter(model, device=None):\n"
        "    return tflite.Interpreter(model_content=model, experimental_delegates=[load_edgetpu_delegate()])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", ("pycoral",))
    end(start(compiled))


def test_a_call_and_its_repetition_on_the_cpu_take_less_than_a_second() -> None:
    assert edgetpu_process.CALL_S <= 0.5
