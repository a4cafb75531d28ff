"""The Edge TPU against a stand-in for libedgetpu that is a real TFLite delegate, and fails, hangs or crashes when told."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge import config, door
from edge.inference import edgetpu, edgetpu_process, interpreter, manifest
from edge.inference.edgetpu import Accelerator, EdgeTpuDevice, check_edgetpu, find_devices
from edge.inference.edgetpu_process import EdgeTpuError
from edge.inference.interpreter import Model
from edge.inference.manifest import Manifest
from edge.inference.perception import Perception, required_models
from support.clip import frame_at
from support.door import Script
from support.edgetpu import FRESH, READY, Usb, until
from support.models import RUNTIMES, pictures
from support.paths import ROOT

MASK = ("mask_classifier",)


class TestDevices:
    def test_none(self, tmp_path: Path, usb: Usb) -> None:
        assert find_devices(tmp_path / "nothing") == []
        usb.plug(("1d6b", "0002"), "usb1")
        (usb.root / "sys/bus/usb/devices/1-1:1.0").mkdir()  # an interface has no ids
        assert find_devices(usb.root) == []

    def test_the_id_tells_the_firmware(self, usb: Usb) -> None:
        usb.plug(FRESH)
        assert find_devices(usb.root) == [EdgeTpuDevice("USB 1-1.2", False, True)]
        usb.plug(READY, number=5)
        assert find_devices(usb.root) == [EdgeTpuDevice("USB 1-1.2", True, True)]

    def test_only_the_pair_of_ids_counts(self, usb: Usb) -> None:
        usb.plug((FRESH[0], READY[1]))
        assert find_devices(usb.root) == []

    def test_pulled_out_while_looking(self, usb: Usb) -> None:
        usb.plug(READY)
        (usb.root / "sys/bus/usb/devices/1-1.2/devnum").unlink()
        assert find_devices(usb.root) == []

    def test_without_its_device_file(self, usb: Usb) -> None:
        usb.plug(READY)
        shutil.rmtree(usb.root / "dev")
        assert find_devices(usb.root) == [EdgeTpuDevice("USB 1-1.2", True, False)]

    def test_pcie(self, usb: Usb) -> None:
        (usb.root / "dev").mkdir(parents=True)
        (usb.root / "dev/apex_0").touch()
        assert find_devices(usb.root) == [EdgeTpuDevice("PCIe apex_0", True, True)]


def start(of: Manifest, *names: str) -> edgetpu_process.EdgeTpuProcess:
    return edgetpu_process.start_edgetpu_process(of, names or MASK, [])


def refused(of: Manifest, *names: str) -> EdgeTpuError:
    with pytest.raises(EdgeTpuError) as caught:
        start(of, *names)
    return caught.value


def end(child: edgetpu_process.EdgeTpuProcess) -> None:
    assert child.close()
    child.wait()


class TestProbe:
    @pytest.mark.parametrize("runtime", RUNTIMES)
    def test_every_model_gives_what_it_gives_on_the_cpu(
        self, coral: Callable[[str], None], compiled: Manifest, runtime: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", (runtime,))
        child = start(compiled, *compiled)
        assert child.runtime == runtime
        for name, row in compiled.items():
            here = Model(compiled, name, runtime_name=runtime)
            for pixels in list(pictures(row).values())[:2]:
                found = child.run(name, pixels)
                here.invoke(pixels)
                assert set(found) == set(row.outputs)
                for key in row.outputs:
                    assert found[key].dtype == row.outputs[key].dtype
                    np.testing.assert_array_equal(found[key], here.raw(key))
        end(child)

    def test_no_device_is_no_matter_of_the_runtime(self, coral: Callable[[str], None], compiled: Manifest) -> None:
        coral("absent")
        error = refused(compiled)
        assert error.kind == edgetpu_process.NO_DEVICE
        assert "Failed to load delegate from libedgetpu.so.1" in str(error)
        assert str(error).count("Failed") == 1, "one runtime was enough to know"
        assert "plugdev" in error.hint

    def test_no_library(self, compiled: Manifest) -> None:
        with contextlib.suppress(OSError):
            ctypes.CDLL(interpreter.EDGETPU_LIBRARY)
            pytest.skip("this machine has a libedgetpu")
        error = refused(compiled)
        assert error.kind == edgetpu_process.NO_LIBRARY
        assert "libedgetpu.so.1: cannot open shared object file" in str(error)
        assert "libedgetpu1-std" in error.hint

    def test_a_library_that_crashes_everywhere(self, coral: Callable[[str], None], compiled: Manifest) -> None:
        coral("load-crash")
        error = refused(compiled)
        assert str(error) == "; ".join(
            f"{runtime} dies when it is probed: killed by signal 11 (Segmentation fault)"
            for runtime in edgetpu_process.EDGETPU_RUNTIMES
            if runtime in RUNTIMES
        )

    @pytest.mark.skipif(len(RUNTIMES) < 2, reason="only one runtime is installed")
    def test_a_library_that_crashes_in_one_runtime_serves_in_the_other(
        self, coral: Callable[[str], None], compiled: Manifest
    ) -> None:
        coral("tflite_runtime-crash")
        child = start(compiled)
        assert child.runtime == "ai_edge_litert"
        end(child)

    def test_a_library_that_hangs(
        self, coral: Callable[[str], None], compiled: Manifest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        coral("load-hang")
        monkeypatch.setattr(edgetpu_process, "PROBE_S", 1.5)
        monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", RUNTIMES[:1])
        assert str(refused(compiled)) == f"{RUNTIMES[0]} hangs when it is probed (no answer in 1.5 s)"

    def test_a_model_that_cannot_be_invoked_does_not_pass(
        self, coral: Callable[[str], None], compiled: Manifest
    ) -> None:
        coral("fail")
        assert "Deadline exceeded" in str(refused(compiled))

    def test_a_damaged_twin_does_not_pass(
        self, coral: Callable[[str], None], compiled: Manifest, tmp_path: Path
    ) -> None:
        folder = tmp_path / "damaged"
        shutil.copytree(compiled.folder, folder)
        (folder / "mask_classifier_edgetpu.tflite").write_bytes(b"something else")
        assert "mask_classifier_edgetpu.tflite: is damaged" in str(refused(manifest.load(folder)))

    def test_the_pycoral_of_pypi_is_another_project(
        self, coral: Callable[[str], None], compiled: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pycoral").mkdir()
        (tmp_path / "pycoral/__init__.py").write_text("class CoralReef: ...\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", ("pycoral",))
        error = refused(compiled)
        assert error.kind == edgetpu_process.NOT_INSTALLED
        assert "Google's pycoral cannot be imported" in str(error)

    def test_googles_pycoral(
        self, coral: Callable[[str], None], compiled: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the two functions that Google's has, made of the same parts."""
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


@pytest.fixture
def running(compiled: Manifest, usb: Usb) -> Iterator[Callable[..., Accelerator]]:
    """Starts an accelerator for the mask classifier on the fake machine; all are ended with the test."""
    with contextlib.ExitStack() as stack:

        def run(mode: config.AcceleratorMode = "auto", of: Manifest = compiled) -> Accelerator:
            return stack.enter_context(Accelerator(mode, of, MASK, usb.root))

        yield run


PIXELS = np.zeros((160, 160, 3), np.uint8)


def classifier(of: Manifest, where: Accelerator) -> Model:
    return Model(of, *MASK, remote=where)


class TestAccelerator:
    def test_the_limits_keep_a_fallback_below_a_second(self) -> None:
        assert edgetpu_process.CALL_S <= 0.5

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("fail", "Deadline exceeded"),
            ("hang", "mask_classifier hangs (no answer in 1 s)"),
            ("crash", "killed by signal 11 (Segmentation fault)"),
            ("abort", "killed by signal 6 (Aborted): F driver/usb/usb_driver.cc:857] transfer on tag 2 failed"),
        ],
    )
    def test_dies_in_use_and_comes_back(
        self,
        coral: Callable[[str], None],
        compiled: Manifest,
        usb: Usb,
        running: Callable[..., Accelerator],
        monkeypatch: pytest.MonkeyPatch,
        how: str,
        reason: str,
    ) -> None:
        if how == "hang":
            monkeypatch.setattr(edgetpu_process, "CALL_S", 1.0)
        usb.plug(READY)
        tpu = running()
        until(lambda: tpu.active_runtime)
        runtime = tpu.active_runtime
        assert list(tpu.take_events()) == [("accelerator_back", {"device": "USB 1-1.2", "runtime": runtime})]
        assert tpu.problem is None

        coral(how)
        model = classifier(compiled, tpu)
        model.invoke(PIXELS)
        assert model.raw("probabilities").shape == (2,), "the CPU answers in the same call"
        assert tpu.run(*MASK, PIXELS) is None
        assert tpu.active_runtime is None
        ((kind, data),) = tpu.take_events()
        assert kind == "accelerator_lost"
        assert reason in str(data["reason"])
        assert tpu.problem

        monkeypatch.setattr(edgetpu_process, "CALL_S", 20.0)
        coral("ok")
        until(lambda: tpu.active_runtime)
        assert [kind for kind, _ in tpu.take_events()] == ["accelerator_back"], "told once, however often it was tried"
        assert tpu.problem is None
        assert tpu.run(*MASK, PIXELS) is not None

    def test_dies_while_nobody_asks(
        self, coral: Callable[[str], None], usb: Usb, running: Callable[..., Accelerator]
    ) -> None:
        usb.plug(READY)
        tpu = running()
        until(lambda: tpu.active_runtime)
        coral("absent")
        assert tpu._process is not None
        os.kill(tpu._process.pid, signal.SIGKILL)
        until(lambda: not tpu.active_runtime)
        (_, (kind, data)) = tpu.take_events()
        assert (kind, data) == ("accelerator_lost", {"reason": "killed by signal 9 (Killed)"})

    def test_enumerated_late(self, coral: Callable[[str], None], usb: Usb, running: Callable[..., Accelerator]) -> None:
        tpu = running()
        tpu.wait_for_first_attempt()
        assert (tpu.active_runtime, tpu.problem, list(tpu.take_events())) == (None, None, []), "nobody promised a Coral"
        usb.plug(FRESH)
        until(lambda: tpu.active_runtime)
        assert [kind for kind, _ in tpu.take_events()] == ["accelerator_back"]

    def test_asked_for_and_not_there(
        self, coral: Callable[[str], None], usb: Usb, running: Callable[..., Accelerator]
    ) -> None:
        tpu = running("edgetpu")
        tpu.wait_for_first_attempt()
        assert tpu.problem == "no Coral is plugged in"
        assert list(tpu.take_events()) == [("accelerator_lost", {"reason": "no Coral is plugged in"})]
        usb.plug(FRESH)
        until(lambda: tpu.active_runtime)
        assert tpu.problem is None

    def test_one_that_never_worked_and_is_gone_is_no_problem(
        self, coral: Callable[[str], None], usb: Usb, running: Callable[..., Accelerator]
    ) -> None:
        coral("absent")
        usb.plug(FRESH)
        tpu = running()
        until(lambda: tpu.problem)
        assert [kind for kind, _ in tpu.take_events()] == ["accelerator_lost"]
        usb.unplug()
        until(lambda: tpu.problem is None)

    def test_firmware_that_came_with_a_failed_try_does_not_wait_for_the_next(
        self,
        coral: Callable[[str], None],
        usb: Usb,
        running: Callable[..., Accelerator],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(edgetpu, "RETRY_MIN_S", 3600.0)
        coral("absent")
        usb.plug(FRESH)
        tpu = running()
        until(lambda: tpu.problem)
        coral("ok")
        usb.plug(READY, number=5)
        until(lambda: tpu.active_runtime)

    def test_pulled_out_for_good(
        self, coral: Callable[[str], None], usb: Usb, running: Callable[..., Accelerator]
    ) -> None:
        usb.plug(READY)
        tpu = running()
        until(lambda: tpu.active_runtime)
        usb.unplug()
        coral("abort")
        assert tpu.run(*MASK, PIXELS) is None
        until(lambda: tpu.problem == "no Coral is plugged in")
        assert [kind for kind, _ in tpu.take_events()] == ["accelerator_back", "accelerator_lost"]

    def test_without_twins(self, usb: Usb, running: Callable[..., Accelerator]) -> None:
        """As shipped: a Coral that is plugged in cannot be used, and whoever plugged it in is told."""
        shipped = manifest.load()
        without = Manifest(
            shipped.folder, {name: msgspec.structs.replace(row, edgetpu=None) for name, row in shipped.items()}
        )
        told = "no model compiled for it: mask_classifier"
        auto, asked = running("auto", without), running("edgetpu", without)
        auto.wait_for_first_attempt()
        asked.wait_for_first_attempt()
        assert (auto.problem, asked.problem) == (None, told)
        usb.plug(READY)
        tpu = running("auto", without)
        tpu.wait_for_first_attempt()
        assert tpu.problem == told

    def test_cpu_leaves_it_alone(
        self, coral: Callable[[str], None], usb: Usb, running: Callable[..., Accelerator]
    ) -> None:
        usb.plug(READY)
        before = threading.active_count()
        tpu = running("cpu")
        tpu.wait_for_first_attempt()
        assert threading.active_count() == before
        assert (tpu.active_runtime, tpu.problem, tpu.run(*MASK, PIXELS)) == (None, None, None)

    def test_ends_cleanly_at_any_time(self, coral: Callable[[str], None], compiled: Manifest, usb: Usb) -> None:
        usb.plug(READY)
        with Accelerator("auto", compiled, MASK, usb.root) as tpu:
            until(lambda: tpu.active_runtime)
            assert tpu._process is not None
            process = tpu._process._process
        assert process.poll() == 0, "it let go of the device by itself"
        assert tpu.run(*MASK, PIXELS) is None
        with Accelerator("auto", compiled, MASK, usb.root) as early:
            pass
        until(lambda: not early._thread.is_alive())

    def test_a_door_that_is_killed_leaves_no_process_behind(
        self, coral: Callable[[str], None], compiled: Manifest, usb: Usb
    ) -> None:
        """Not even one that hangs in a call, and so cannot see that nobody listens any more."""
        usb.plug(READY)
        code = (
            "import sys, time, numpy as np\n"
            "from pathlib import Path\n"
            "from edge.inference import edgetpu, edgetpu_process, manifest\n"
            "edgetpu_process.CALL_S = 600\n"
            "with edgetpu.Accelerator('auto', manifest.load(Path(sys.argv[1])), ('mask_classifier',),\n"
            "                             Path(sys.argv[2])) as tpu:\n"
            "    while not tpu.active_runtime: time.sleep(0.01)\n"
            "    print(tpu._process.pid, flush=True)\n"
            "    sys.stdin.readline()\n"
            "    print('calling', flush=True)\n"
            "    tpu.run('mask_classifier', np.zeros((160, 160, 3), np.uint8))\n"
        )
        arguments = [sys.executable, "-c", code, str(compiled.folder), str(usb.root)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as owner:
            assert owner.stdin is not None
            assert owner.stdout is not None
            child = int(owner.stdout.readline())
            coral("hang")
            owner.stdin.write("\n")
            owner.stdin.flush()
            assert owner.stdout.readline() == "calling\n"
            assert Path(f"/proc/{child}").exists()
            owner.kill()

        def gone() -> bool:
            with contextlib.suppress(OSError):
                return "State:\tZ" in Path(f"/proc/{child}/status").read_text()
            return True

        until(gone)


def test_the_door_goes_on_while_the_coral_goes(
    coral: Callable[[str], None], compiled: Manifest, usb: Usb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perception on the Edge TPU, which crashes between two frames: no frame is lost, and the decision stands."""
    monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", RUNTIMES[:1])  # the quick one
    settings = config.load()
    usb.plug(READY)
    with Accelerator("auto", compiled, required_models(settings), usb.root) as tpu:
        perception = Perception(settings, compiled, accelerator=tpu)
        assert perception.runs_on == f"CPU ({RUNTIMES[0]})"
        tpu.wait_for_first_attempt()
        assert perception.runs_on == f"Edge TPU ({tpu.active_runtime})"
        masked = frame_at(4.0)
        decided = []
        # Seen anew in every frame: one that stands still would be left alone, and nothing be asked of the device.
        steps = [np.roll(masked, 4 * k, axis=1) for k in range(12)]
        with Script(steps) as source:
            for number, (_, decision) in enumerate(door.decisions(door.Pipeline(settings, perception), source)):
                decided.append(decision)
                if number == 8:
                    usb.unplug()
                    coral("crash")
        assert [len(decision.tracks) for decision in decided] == [1] * 12
        assert decided[-1].signal.value == "PASS"
        assert [kind for kind, _ in tpu.take_events()] == ["accelerator_back", "accelerator_lost"]
        assert perception.runs_on == f"CPU ({RUNTIMES[0]})"


class TestReport:
    def test_ready(self, coral: Callable[[str], None], compiled: Manifest, usb: Usb, library: Path) -> None:
        usb.plug(READY)
        found = check_edgetpu(compiled, MASK, usb.root)
        assert found.ready
        assert found.devices == (EdgeTpuDevice("USB 1-1.2", True, True),)
        assert found.library == str(library / "libedgetpu.so.1")
        assert found.runtime in RUNTIMES
        assert (found.without_edgetpu, found.problem, found.hint) == ((), "", "")

    def test_no_device(self, coral: Callable[[str], None], compiled: Manifest, usb: Usb) -> None:
        coral("absent")
        found = check_edgetpu(compiled, MASK, usb.root)
        assert not found.ready
        assert (found.problem, found.runtime) == ("no Coral is plugged in", "")
        assert found.library == interpreter.EDGETPU_LIBRARY, "the library loads all the same"

    def test_a_device_that_cannot_be_opened(self, coral: Callable[[str], None], compiled: Manifest, usb: Usb) -> None:
        coral("absent")
        usb.plug(FRESH)
        found = check_edgetpu(compiled, MASK, usb.root)
        assert "Failed to load delegate" in found.problem
        assert "plugdev" in found.hint

    def test_without_twins(self, coral: Callable[[str], None], usb: Usb, library: Path) -> None:
        usb.plug(READY)
        shipped = manifest.load()
        bare = {name: msgspec.structs.replace(row, edgetpu=None) for name, row in shipped.items()}
        found = check_edgetpu(Manifest(shipped.folder, bare), MASK, usb.root)
        assert found.problem == "no model compiled for it: mask_classifier"
        assert found.hint == "compile them: scripts/compile_edgetpu.sh"
        assert (found.without_edgetpu, found.library) == (MASK, str(library / "libedgetpu.so.1"))
        assert found.runtime in RUNTIMES, "the delegate opens the device"
