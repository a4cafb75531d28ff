"""scripts/release: a bundle that the box takes, or a reason why there is none."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from edge import __version__
from edge.update import bundle as reading
from edge.update import manifest, signature
from releasing import bundle
from support import installation
from support.paths import ROOT, SCRIPTS
from support.update import keys, needs_ssh_keygen

pytestmark = needs_ssh_keygen

DOORLIGHT = f"doorlight-{__version__}-py3-none-any.whl"
NUMPY = "numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"


def release(folder: Path, wheels: list[str], key: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run scripts/release with these wheels; the bundle goes into folder/out."""
    (folder / "wheels").mkdir(exist_ok=True)
    for name in wheels:
        (folder / "wheels" / name).write_text(name)
    command = [
        SCRIPTS / "release",
        "--key",
        key or keys() / "release",
        "--wheels",
        folder / "wheels",
        "--out",
        folder / "out",
    ]
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_a_bundle_that_a_box_takes(tmp_path: Path) -> None:
    done = release(tmp_path, [DOORLIGHT, NUMPY, "rich-13.0-py3-none-any.whl"])
    assert done.returncode == 0, done.stderr
    folder, tar, _, line = done.stdout.splitlines()
    trusted = tmp_path / "update-keys"
    trusted.write_text(f"{line}\n")
    for found in (*reading.find(Path(folder)), *reading.find(Path(tar))):
        data = found.read(manifest.MANIFEST, 1 << 20)
        assert signature.check(data, found.read(manifest.SIGNATURE, 1 << 16), trusted) == "doorlight"
        parsed = manifest.parse(data)
        assert (parsed.version, parsed.architecture, parsed.min_python) == (__version__, "aarch64", "3.11")
        for name, file in parsed.files.items():
            found.copy(name, file, tmp_path / "copy")
    with tarfile.open(tar) as archive:
        assert archive.getnames()[0].endswith("/manifest.json"), "the first file of a download"


def test_it_has_all_that_install_sh_reads() -> None:
    files = bundle.checkout_files(ROOT)
    script = (SCRIPTS / "install.sh").read_text(encoding="utf-8") + installation.functions()
    for unit in (ROOT / "systemd").iterdir():
        if f"systemd/{unit.name}" in script and unit.suffix != ".md":
            assert f"systemd/{unit.name}" in files
    for sourced in installation.FILES:
        assert f"$parts/{sourced.name}" in script
        assert f"scripts/installation/{sourced.name}" in files
    assert "scripts/assets/demo/still.jpg" in script
    assert "scripts/assets/demo/still.jpg" in files


def test_install_sh_runs_with_nothing_but_the_bundle(tmp_path: Path) -> None:
    """As `doorlight update` calls it: by its path, from another folder."""
    bundle.write(tmp_path / "bundle", bundle.checkout_files(ROOT), "1.0", "aarch64")
    command = ["sh", str(tmp_path / "bundle/scripts/install.sh"), "--dry-run", "--switch", str(tmp_path / "release")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 69
    assert f"doorlight: {tmp_path}/release: is no complete program\n" in done.stderr


@pytest.mark.parametrize(
    ("wheels", "says"),
    [
        ([NUMPY], "must have Doorlight once, not 0 times"),
        ([DOORLIGHT], "for one processor, not for none"),
        ([DOORLIGHT, NUMPY, "a-1-cp311-cp311-linux_x86_64.whl"], "not for aarch64, x86_64"),
        (["doorlight-7.0-py3-none-any.whl", NUMPY], "version 7.0, which is not that of this checkout"),
    ],
)
def test_wrong_wheels(tmp_path: Path, wheels: list[str], says: str) -> None:
    done = release(tmp_path, wheels)
    assert done.returncode == 69
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_no_key_and_no_private_key(tmp_path: Path) -> None:
    done = release(tmp_path, [DOORLIGHT, NUMPY], tmp_path / "none")
    assert done.returncode == 69
    assert "there is no such key; make one: ssh-keygen" in done.stderr
    (tmp_path / "text").write_text("no key")
    done = release(tmp_path, [DOORLIGHT, NUMPY], tmp_path / "text")
    assert done.returncode == 69
    assert "ssh-keygen cannot sign with" in done.stderr
    assert not list((tmp_path / "out").iterdir()), "no bundle without a signature"


def test_a_bundle_is_not_overwritten(tmp_path: Path) -> None:
    assert release(tmp_path, [DOORLIGHT, NUMPY]).returncode == 0
    done = release(tmp_path, [DOORLIGHT, NUMPY])
    assert done.returncode == 69
    assert "is there already" in done.stderr
