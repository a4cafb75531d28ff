"""The power is cut, or the update is killed, at every step: one of the two versions always runs, and says which."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.update import status
from edge.update.updater import Candidate
from support.power_cuts import KillingDisk, RecordingDisk, Step, after_cut, read_tree, write_tree
from support.update import Box, add_bundle, install, needs_ssh_keygen, trust

pytestmark = needs_ssh_keygen

VERSIONS = ("0.1.0", "0.2.0")
USER_FILES = ("etc/doorlight/doorlight.toml", "etc/systemd/system/doorlight.service.d/override.conf")


def update(box: Box, bundle: Candidate) -> None:
    """An update that is kept."""
    box.update(bundle)
    box.watch(11)


def update_and_back(box: Box, bundle: Candidate) -> None:
    """An update whose version ends by itself."""
    box.update(bundle)
    box.watch(2)
    box.door.restarts = 1
    box.watch(1)


def update_and_roll_back(box: Box, bundle: Candidate) -> None:
    """An update that is kept, and taken back by hand."""
    update(box, bundle)
    box.trials.rollback()


STORIES = [update, update_and_back, update_and_roll_back]
Story = Callable[[Box, Candidate], None]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """A bundle whose signature was checked once, for all cuts."""
    folder = tmp_path_factory.mktemp("bundle")
    box = Box(folder / "box")
    trust(box.layout)
    return box.updater.choose(str(add_bundle(folder / "bundle")))


def recorded(folder: Path, story: Story, bundle: Candidate, seed: int) -> list[Step]:
    """Let a story happen on a new box; return the steps of its disk."""
    trust(install(folder))
    disk = RecordingDisk(folder)
    story(Box(folder, disk, seed, is_installed=True), bundle)
    return disk.steps


def boot(folder: Path) -> Box:
    """Start a box with what is on its disk: first what looks after the trial, then the door."""
    (folder / "run").mkdir(exist_ok=True)
    box = Box(folder, RecordingDisk(folder), is_installed=True)
    # Until now, no door runs.
    box.door.running = ""
    if box.layout.trial.exists():
        previous = box.layout.release_of(box.layout.previous)
        assert previous is not None, "doorlight-trial.service has no program"
        assert (previous / "bin/doorlight").read_text() in VERSIONS, "and no complete one"
        box.trials.watch()
        assert not box.layout.trial.exists()
    box.door.restart()
    return box


def check(box: Box) -> str:
    """Check that one of the two versions runs, and that it says so; return it."""
    version = box.version
    assert version in VERSIONS
    assert box.door.running == version
    assert status.describe(status.collect(box.layout, box.door))[0] == f"version {version} runs"
    for file in USER_FILES:
        assert (box.layout.root / file).read_text() == "# of the user\n"
    return version


@pytest.mark.parametrize(
    ("story", "versions"),
    [(update, {"0.1.0", "0.2.0"}), (update_and_back, {"0.1.0"}), (update_and_roll_back, {"0.1.0", "0.2.0"})],
)
def test_a_power_cut_at_every_step(memory: Path, bundle: Candidate, story: Story, versions: set[str]) -> None:
    steps = recorded(memory / "box", story, bundle, seed=1)
    assert len(steps) > 50
    chance = random.Random(18)
    seen = set()
    for count in range(1, len(steps) + 1):
        folder = memory / f"cut{count}"
        write_tree(after_cut(steps, count, chance), folder)
        seen.add(check(boot(folder)))
        shutil.rmtree(folder)
    assert seen == versions


@pytest.mark.parametrize("seed", range(25))
def test_a_second_power_cut_while_it_comes_back(memory: Path, bundle: Candidate, seed: int) -> None:
    steps = recorded(memory / "box", update, bundle, seed)
    chance = random.Random(seed)
    # The trial begins with its file and ends with its removal.
    first = next(k for k, step in enumerate(steps) if step.name == "rename" and step.other.endswith("trial.json"))
    last = next(k for k, step in enumerate(steps) if step.name == "unlink" and step.path.endswith("trial.json"))
    write_tree(after_cut(steps, chance.randint(first + 3, last), chance), memory / "once")
    again = boot(memory / "once").disk
    assert isinstance(again, RecordingDisk)
    assert len(again.steps) > 10, "it comes back"
    write_tree(after_cut(again.steps, chance.randint(1, len(again.steps)), chance), memory / "twice")
    box = boot(memory / "twice")
    assert check(box) == "0.1.0"
    # The next update goes as if nothing had been.
    update(box, bundle)
    assert check(box) == "0.2.0"


def count_steps(folder: Path, story: Story, bundle: Candidate) -> int:
    return len(recorded(folder, story, bundle, seed=0))


def fork() -> int:
    """Fork; return 0 in the child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns if another test has left a thread
        return os.fork()


@pytest.mark.parametrize("story", STORIES[:2])
def test_killed_at_every_step(memory: Path, bundle: Candidate, story: Story) -> None:
    count = count_steps(memory / "whole", story, bundle) - 1
    seen = set()
    for left in range(count):
        folder = memory / f"killed{left}"
        trust(install(folder))
        pid = fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                story(Box(folder, KillingDisk(left), 0, is_installed=True), bundle)
            os._exit(1)
        code = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(code), f"not killed after {left} steps"
        assert os.WTERMSIG(code) == signal.SIGKILL
        # The box did not restart: the door runs on, and the timer looks after the trial.
        box = Box(folder, is_installed=True)
        while box.layout.trial.exists():
            box.now_s += 30
            box.door.restarts = 0
            box.trials.watch()
            assert box.now_s < 10000
        box.door.restart()
        seen.add(check(box))
        shutil.rmtree(folder)
    assert seen == set(VERSIONS)


def test_the_model_of_the_disk_finds_a_missing_sync(memory: Path, bundle: Candidate) -> None:
    """An update that renames without fsync fails the test above."""

    class Careless(RecordingDisk):
        def _fsync(self, path: Path) -> None:
            pass

        def _fsync_folder(self, path: Path) -> None:
            pass

        def _sync(self) -> None:
            pass

    folder = memory / "box"
    trust(install(folder))
    disk = Careless(folder)
    update(Box(folder, disk, is_installed=True), bundle)
    chance = random.Random(1)
    problems = 0
    for count in range(1, len(disk.steps) + 1):
        write_tree(after_cut(disk.steps, count, chance), memory / f"cut{count}")
        try:
            check(boot(memory / f"cut{count}"))
        except Exception:
            problems += 1
    assert problems > 0


def test_the_tree_is_written_as_it_was_read(memory: Path) -> None:
    layout = install(memory / "box")
    write_tree(read_tree(layout.root), memory / "copy")
    assert read_tree(memory / "copy") == read_tree(layout.root)
