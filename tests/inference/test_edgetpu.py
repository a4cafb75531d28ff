"""Find Corals, and run models on an Edge TPU that fails; libedgetpu is a fake that does so on demand."""

from __future__ import annotations

import contextlib
import errno
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
from edge.inference.interpreter import Model
from edge.inference.manifest import Manifest
from edge.inference.perception import Perception, required_models
from edge.pipeline import Pipeline
from edge.system import child_process
from support.clip import frame_at
from support.door import Script
from support.edgetpu import FRESH, READY, Behave, Usb
from support.models import RUNTIMES
from support.wait import wait_until

MASK = ("mask_classifier",)
PIXELS = np.zeros((128, 128, 3), np.uint8)

Start = Callable[..., Accelerator]


class TestFindDevices:
    def test_other_usb_devices_are_ignored(self, tmp_path: Path, usb: Usb) -> None:
        assert find_devices(tmp_path / "nothing") == []
        usb.plug(("1d6b", "0002"), "usb1")
        (usb.root / "sys/bus/usb/devices/1-1:1.0").mkdir()  # an interface has no ids
        assert find_devices(usb.root) == []

    def test_the_ids_show_whether_the_firmware_is_loaded(self, usb: Usb) -> None:
        usb.plug(FRESH)
        assert find_devices(usb.root) == [EdgeTpuDevice("USB 1-1.2", False, True)]
        usb.plug(READY, number=5)
        assert find_devices(usb.root) == [EdgeTpuDevice("USB 1-1.2", True, True)]

    def test_both_ids_must_match(self, usb: Usb) -> None:
        usb.plug((FRESH[0], READY[1]))
        assert find_devices(usb.root) == []

    def test_a_device_unplugged_during_the_search_is_ignored(self, usb: Usb) -> None:
        usb.plug(READY)
        (usb.root / "sys/bus/usb/devices/1-1.2/devnum").unlink()
        assert find_devices(usb.root) == []

    def test_a_device_without_a_device_file_is_not_usable(self, usb: Usb) -> None:
        usb.plug(READY)
        shutil.rmtree(usb.root / "dev")
        assert find_devices(usb.root) == [EdgeTpuDevice("USB 1-1.2", True, False)]

    def test_a_pcie_device(self, usb: Usb) -> None:
        (usb.root / "dev").mkdir(parents=True)
        (usb.root / "dev/apex_0").touch()
        assert find_devices(usb.root) == [EdgeTpuDevice("PCIe apex_0", True, True)]


@pytest.fixture
def started(compiled: Manifest, usb: Usb) -> Iterator[Start]:
    """Start accelerators for the mask classifier on the fake machine; the test's end closes them."""
    with contextlib.ExitStack() as stack:

        def start(mode: config.AcceleratorMode = "auto", models: Manifest = compiled) -> Accelerator:
            return stack.enter_context(Accelerator(mode, models, MASK, usb.root))

        yield start


def without_edgetpu_files() -> Manifest:
    shipped = manifest.load()
    entries = {name: msgspec.structs.replace(entry, edgetpu=None) for name, entry in shipped.items()}
    return Manifest(shipped.folder, entries)


class TestAccelerator:
    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("fail", "Deadline exceeded"),
            ("hang", "mask_classifier hangs (no answer in 1 s)"),
            ("crash", "killed by signal 11 (Segmentation fault)"),
            ("abort", "killed by signal 6 (Aborted): F driver/usb/usb_driver.cc:857] transfer on tag 2 failed"),
        ],
    )
    def test_the_cpu_takes_over_in_the_same_call_and_the_edge_tpu_comes_back(
        self,
        coral: Behave,
        compiled: Manifest,
        usb: Usb,
        started: Start,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
        reason: str,
    ) -> None:
        if how == "hang":
            monkeypatch.setattr(edgetpu_process, "CALL_S", 1.0)  # a process keeps its limit
        usb.plug(READY)
        accelerator = started()
        wait_until(lambda: accelerator.active_runtime)
        runtime = accelerator.active_runtime
        back = ("accelerator_back", {"device": "USB 1-1.2", "runtime": runtime})
        assert list(accelerator.take_events()) == [back]
        assert accelerator.problem is None

        coral(how)
        model = Model(compiled, *MASK, remote=accelerator)
        model.invoke(PIXELS)
        assert model.raw("probabilities").shape == (2,)
        assert accelerator.run(*MASK, PIXELS) is None
        assert accelerator.active_runtime is None
        ((kind, data),) = accelerator.take_events()
        assert kind == "accelerator_lost"
        assert reason in str(data["reason"])
        assert accelerator.problem

        monkeypatch.setattr(edgetpu_process, "CALL_S", 60.0)
        coral("ok")
        wait_until(lambda: accelerator.active_runtime)
        kinds = [kind for kind, _ in accelerator.take_events()]
        assert kinds == ["accelerator_back"], "one event for a loss, however many attempts fail after it"
        assert accelerator.problem is None
        assert accelerator.run(*MASK, PIXELS) is not None

    def test_a_process_that_dies_between_two_calls_is_noticed(self, coral: Behave, usb: Usb, started: Start) -> None:
        usb.plug(READY)
        accelerator = started()
        wait_until(lambda: accelerator.active_runtime)
        coral("absent")
        assert accelerator._process is not None
        os.kill(accelerator._process.pid, signal.SIGKILL)
        wait_until(lambda: not accelerator.active_runtime)
        (_, (kind, data)) = accelerator.take_events()
        assert (kind, data) == ("accelerator_lost", {"reason": "killed by signal 9 (Killed)"})

    def test_in_auto_mode_a_missing_coral_is_no_problem_and_is_used_once_it_appears(
        self, coral: Behave, usb: Usb, started: Start
    ) -> None:
        accelerator = started()
        accelerator.wait_for_first_attempt()
        assert (accelerator.active_runtime, accelerator.problem) == (None, None)
        assert list(accelerator.take_events()) == []
        usb.plug(FRESH)
        wait_until(lambda: accelerator.active_runtime)
        assert [kind for kind, _ in accelerator.take_events()] == ["accelerator_back"]

    def test_in_edgetpu_mode_a_missing_coral_is_a_problem(self, coral: Behave, usb: Usb, started: Start) -> None:
        accelerator = started("edgetpu")
        accelerator.wait_for_first_attempt()
        assert accelerator.problem == "no Coral is plugged in"
        assert list(accelerator.take_events()) == [("accelerator_lost", {"reason": "no Coral is plugged in"})]
        usb.plug(FRESH)
        wait_until(lambda: accelerator.active_runtime)
        assert accelerator.problem is None

    def test_a_coral_that_never_worked_is_no_problem_once_it_is_unplugged(
        self, coral: Behave, usb: Usb, started: Start
    ) -> None:
        coral("absent")
        usb.plug(FRESH)
        accelerator = started()
        wait_until(lambda: accelerator.problem)
        assert [kind for kind, _ in accelerator.take_events()] == ["accelerator_lost"]
        usb.unplug()
        wait_until(lambda: accelerator.problem is None)

    def test_a_coral_that_gets_its_firmware_in_a_failed_attempt_is_tried_again_at_once(
        self, coral: Behave, usb: Usb, started: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edgetpu, "RETRY_MIN_S", 3600.0)
        coral("absent")
        usb.plug(FRESH)
        accelerator = started()
        wait_until(lambda: accelerator.problem)
        coral("ok")
        usb.plug(READY, number=5)
        wait_until(lambda: accelerator.active_runtime)

    def test_a_coral_that_worked_and_is_unplugged_stays_a_problem(
        self, coral: Behave, usb: Usb, started: Start
    ) -> None:
        usb.plug(READY)
        accelerator = started()
        wait_until(lambda: accelerator.active_runtime)
        usb.unplug()
        coral("abort")
        assert accelerator.run(*MASK, PIXELS) is None
        wait_until(lambda: accelerator.problem == "no Coral is plugged in")
        assert [kind for kind, _ in accelerator.take_events()] == ["accelerator_back", "accelerator_lost"]

    def test_models_that_are_not_compiled_are_a_problem_if_a_coral_is_plugged_in_or_asked_for(
        self, usb: Usb, started: Start
    ) -> None:
        models = without_edgetpu_files()
        problem = "no model compiled for it: mask_classifier"
        auto, edgetpu_mode = started("auto", models), started("edgetpu", models)
        auto.wait_for_first_attempt()
        edgetpu_mode.wait_for_first_attempt()
        assert (auto.problem, edgetpu_mode.problem) == (None, problem)
        usb.plug(READY)
        accelerator = started("auto", models)
        accelerator.wait_for_first_attempt()
        assert accelerator.problem == problem

    def test_in_cpu_mode_a_coral_is_not_touched(self, coral: Behave, usb: Usb, started: Start) -> None:
        usb.plug(READY)
        before = set(threading.enumerate())
        accelerator = started("cpu")
        accelerator.wait_for_first_attempt()
        assert set(threading.enumerate()) <= before
        assert (accelerator.active_runtime, accelerator.problem) == (None, None)
        assert accelerator.run(*MASK, PIXELS) is None

    def test_too_many_open_files_do_not_end_the_search(
        self, coral: Behave, usb: Usb, started: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        coral("absent")
        usb.plug(READY)
        searches: list[Path] = []

        def find(root: Path) -> list[EdgeTpuDevice]:
            searches.append(root)
            if len(searches) % 2:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return find_devices(root)

        monkeypatch.setattr(edgetpu, "find_devices", find)
        accelerator = started("auto")
        wait_until(lambda: len(searches) > 8)
        coral("ok")
        wait_until(lambda: accelerator.active_runtime)

    def test_the_process_releases_the_device_when_the_accelerator_is_closed(
        self, coral: Behave, compiled: Manifest, usb: Usb
    ) -> None:
        usb.plug(READY)
        with Accelerator("auto", compiled, MASK, usb.root) as accelerator:
            wait_until(lambda: accelerator.active_runtime)
            assert accelerator._process is not None
            process = accelerator._process._process
        assert process.poll() == 0, "it ended by itself"
        assert accelerator.run(*MASK, PIXELS) is None

    def test_the_thread_ends_if_the_accelerator_is_closed_during_the_first_attempt(
        self, coral: Behave, compiled: Manifest, usb: Usb
    ) -> None:
        usb.plug(READY)
        with Accelerator("auto", compiled, MASK, usb.root) as accelerator:
            pass
        wait_until(lambda: not accelerator._thread.is_alive())

    def test_a_killed_door_leaves_no_process_behind(self, coral: Behave, compiled: Manifest, usb: Usb) -> None:
        """Not even a process that hangs in a call and cannot notice that the socket is closed."""
        usb.plug(READY)
        code = (
            "import sys, time, numpy as np\n"
            "from pathlib import Path\n"
            "from edge.inference import edgetpu_process, manifest\n"
            "from edge.inference.edgetpu import Accelerator\n"
            "edgetpu_process.CALL_S = 600\n"
            "models, root = manifest.load(Path(sys.argv[1])), Path(sys.argv[2])\n"
            "with Accelerator('auto', models, ('mask_classifier',), root) as accelerator:\n"
            "    while not accelerator.active_runtime: time.sleep(0.01)\n"
            "    print(accelerator._process.pid, flush=True)\n"
            "    sys.stdin.readline()\n"
            "    print('calling', flush=True)\n"
            "    accelerator.run('mask_classifier', np.zeros((128, 128, 3), np.uint8))\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, str(compiled.folder), str(usb.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_process.environment(),
            text=True,
        ) as owner:
            assert owner.stdin is not None
            assert owner.stdout is not None
            child = int(owner.stdout.readline())
            coral("hang")
            owner.stdin.write("\n")
            owner.stdin.flush()
            assert owner.stdout.readline() == "calling\n"
            assert Path(f"/proc/{child}").exists()
            owner.kill()

        def has_ended() -> bool:
            with contextlib.suppress(OSError):
                return "State:\tZ" in Path(f"/proc/{child}/status").read_text()
            return True

        wait_until(has_ended)


def test_the_door_loses_no_frame_when_the_edge_tpu_crashes(
    coral: Behave, compiled: Manifest, usb: Usb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edgetpu_process, "EDGETPU_RUNTIMES", RUNTIMES[:1])  # the faster one
    settings = config.load()
    usb.plug(READY)
    with Accelerator("auto", compiled, required_models(settings), usb.root) as accelerator:
        perception = Perception(settings, compiled, accelerator=accelerator)
        assert perception.runs_on == f"CPU ({RUNTIMES[0]})"
        accelerator.wait_for_first_attempt()
        assert perception.runs_on == f"Edge TPU ({accelerator.active_runtime})"
        masked = frame_at(4.0)
        decided = []
        # The face moves in every frame: a face that stands still would not be classified again.
        steps = [np.roll(masked, 4 * k, axis=1) for k in range(12)]
        with Script(steps) as source:
            for number, (_, decision) in enumerate(door.decisions(Pipeline(settings, perception), source)):
                decided.append(decision)
                if number == 8:
                    usb.unplug()
                    coral("crash")
        assert [len(decision.tracks) for decision in decided] == [1] * 12
        assert decided[-1].signal.value == "PASS"
        kinds = [kind for kind, _ in accelerator.take_events()]
        assert kinds == ["accelerator_back", "accelerator_lost"]
        assert perception.runs_on == f"CPU ({RUNTIMES[0]})"


class TestCheckEdgeTpu:
    def test_ready(self, coral: Behave, compiled: Manifest, usb: Usb, library: Path) -> None:
        usb.plug(READY)
        status = check_edgetpu(compiled, MASK, usb.root)
        assert status.ready
        assert status.devices == (EdgeTpuDevice("USB 1-1.2", True, True),)
        assert status.library == str(library / "libedgetpu.so.1")
        assert status.runtime in RUNTIMES
        assert (status.without_edgetpu, status.problem, status.hint) == ((), "", "")

    def test_without_a_device_the_library_is_still_checked(self, coral: Behave, compiled: Manifest, usb: Usb) -> None:
        coral("absent")
        status = check_edgetpu(compiled, MASK, usb.root)
        assert not status.ready
        assert (status.problem, status.runtime) == ("no Coral is plugged in", "")
        assert status.library == interpreter.EDGETPU_LIBRARY

    def test_a_device_that_cannot_be_opened(self, coral: Behave, compiled: Manifest, usb: Usb) -> None:
        coral("absent")
        usb.plug(FRESH)
        status = check_edgetpu(compiled, MASK, usb.root)
        assert "Failed to load delegate" in status.problem
        assert "plugdev" in status.hint

    def test_without_compiled_models_the_device_is_still_opened(self, coral: Behave, usb: Usb, library: Path) -> None:
        usb.plug(READY)
        status = check_edgetpu(without_edgetpu_files(), MASK, usb.root)
        assert status.problem == "no model compiled for it: mask_classifier"
        assert status.hint == "compile them: scripts/compile_edgetpu.sh"
        assert (status.without_edgetpu, status.library) == (MASK, str(library / "libedgetpu.so.1"))
        assert status.runtime in RUNTIMES
