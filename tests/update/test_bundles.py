"""Wrong bundles: each is refused with its sentence before anything is changed."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.errors import DoorlightError, InputError, OutputError
from edge.update import bundle as bundles
from edge.update import fit, manifest, signature
from edge.update.fit import Machine
from releasing import bundle as releasing
from support.update import Box, add_bundle, keys, needs_ssh_keygen, trust

pytestmark = needs_ssh_keygen

NUMPY = "wheels/numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.whl"
DIGEST = "0" * 64


def refused(box: Box, source: Path | str) -> DoorlightError:
    """Return the error with which an update ends. Nothing may have changed."""
    with pytest.raises(DoorlightError) as caught:
        box.update(source)
    assert box.version == "0.1.0"
    assert box.door.starts == 0
    assert not box.layout.trial.exists()
    assert caught.value.hint
    return caught.value


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return add_bundle(tmp_path / "good")


def tar_of(folder: Path, path: Path, changed: Callable[[tarfile.TarInfo], tarfile.TarInfo] = lambda info: info) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(folder, "x", filter=changed)
    return path


@pytest.mark.parametrize(
    "form", ["folder", "tar", "tar of another program", "stick", "stick with tar", "link to the folder"]
)
def test_forms_of_a_bundle(box: Box, tmp_path: Path, good: Path, form: str) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    source = {"folder": good, "link to the folder": tmp_path / "link"}.get(form, stick)
    if form == "link to the folder":
        source.symlink_to(good)
    if form == "tar":
        source = stick / "bundle.tar"
        releasing.write_tar(good, source)
    if form == "tar of another program":
        source = tar_of(good, stick / "other.tar")
    if form == "stick":
        shutil.copytree(good, stick / "doorlight-0.2.0")
        (stick / "System Volume Information").mkdir()
        (stick / "photos.tar").write_bytes(b"no tar file" * 100)
    if form == "stick with tar":
        releasing.write_tar(good, stick / "bundle.tar")
    box.update(source)
    assert box.version == "0.2.0"


def test_the_highest_version_that_fits(box: Box, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    add_bundle(stick / "a", "0.2.0")
    add_bundle(stick / "b", "0.10.0")
    add_bundle(stick / "c", "0.9.0")
    add_bundle(stick / "d", "2.0.0", key="other")
    add_bundle(stick / "e", "3.0.0", architecture="x86_64")
    box.update(stick)
    assert box.version == "0.10.0"


def test_unknown_key(box: Box, tmp_path: Path) -> None:
    error = refused(box, add_bundle(tmp_path / "b", key="other"))
    assert "signed by ED25519 key SHA256:" in str(error)
    assert "does not trust" in str(error)
    assert (error.exit_code, str(box.layout.keys) in error.hint) == (66, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('namespaces="git" ', "not permitted for use in signature namespace"),
        ('valid-before="20200101" ', "key has expired"),
        ('valid-after="20990101" ', "key is not yet valid"),
    ],
)
def test_a_key_that_must_not_sign_now(box: Box, good: Path, options: str, says: str) -> None:
    trust(box.layout, options=options)
    assert says in str(refused(box, good))


def test_a_clock_that_is_not_set(box: Box, good: Path) -> None:
    trust(box.layout, options='valid-after="20240101" ')
    data, signed = (good / "manifest.json").read_bytes(), (good / "manifest.json.sig").read_bytes()
    # In 1970, the file of the keys is of the future: it was not before that.
    assert signature.check(data, signed, box.layout.keys, now=0.0) == "doorlight"
    os.utime(box.layout.keys, (0, 0))
    with pytest.raises(InputError, match="not yet valid"):
        signature.check(data, signed, box.layout.keys, now=0.0)
    # The last update tells more.
    assert signature.check(data, signed, box.layout.keys, 1.75e9, now=0.0) == "doorlight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda keys: keys.unlink(), "there is no such file"),
        (lambda keys: keys.write_text("# none\n\n"), "has no key"),
        (lambda keys: keys.chmod(0o666), "others than root may change it"),
        (lambda keys: keys.chmod(0o664), "others than root may change it"),
        (lambda keys: (keys.unlink(), keys.mkdir()), "cannot be read: Is a directory"),
    ],
)
def test_the_file_of_the_keys(box: Box, good: Path, change: Callable[[Path], Any], says: str) -> None:
    change(box.layout.keys)
    error = refused(box, good)
    assert says in str(error)
    assert error.exit_code == 78


def test_without_ssh_keygen(box: Box, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    error = refused(box, good)
    assert (str(error), error.hint) == ("ssh-keygen: is not installed", "sudo apt install openssh-client")


def cut(path: Path, keep: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_copy(path: Path) -> None:
    """Replace a file, or a folder, by a link to the same content."""
    other = path.with_name(f"{path.name}.other")
    path.rename(other)
    path.symlink_to(other)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("manifest.json", Path.unlink, "there is no bundle"),
        ("manifest.json", flip, "is not what was signed"),
        ("manifest.json", cut, "is not what was signed"),
        ("manifest.json.sig", Path.unlink, "No such file"),
        ("manifest.json.sig", cut, "is not what was signed"),
        ("manifest.json.sig", lambda path: path.write_bytes(b""), "is not what was signed"),
        ("manifest.json.sig", lambda path: path.write_bytes(b"x" * 100_000), "is too large"),
        ("manifest.json", lambda path: path.write_bytes(b" " * 2_000_000), "is too large"),
        (NUMPY, cut, "is incomplete"),
        (NUMPY, flip, "is not the file that was signed"),
        (NUMPY, lambda path: path.write_bytes(path.read_bytes() + b"x"), "is not the file that was signed"),
        (NUMPY, Path.unlink, "No such file"),
        (NUMPY, lambda path: (path.unlink(), path.mkdir()), "is not a regular file"),
        (NUMPY, become_a_pipe, "is not a regular file"),
        (NUMPY, link_to_copy, "a link"),
        ("wheels", link_to_copy, "a link"),
        ("manifest.json", link_to_copy, "a link"),
    ],
)
def test_damaged_folder(box: Box, good: Path, name: str, change: Callable[[Path], Any], says: str) -> None:
    change(good / name)
    error = refused(box, good)
    assert says in str(error)
    assert error.exit_code == 66


def test_the_rest_of_a_damaged_bundle_is_not_built(box: Box, good: Path) -> None:
    flip(good / NUMPY)
    refused(box, good)
    assert [path.name for path in box.layout.releases.iterdir()] == ["r0.1.0"]


def test_files_that_nobody_signed_are_not_copied(box: Box, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (good / "wheels/evil-1.0-py3-none-any.whl").write_text("evil")
    staged: list[str] = []
    prepare = box.installer.prepare

    def prepared(staged_in: Path) -> Path:
        staged.extend(path.name for path in staged_in.rglob("*.whl"))
        return prepare(staged_in)

    monkeypatch.setattr(box.installer, "prepare", prepared)
    box.update(good)
    assert len(staged) == 2
    assert "evil-1.0-py3-none-any.whl" not in staged


def test_a_file_that_nobody_signed_is_removed_from_an_interrupted_copy(box: Box, good: Path) -> None:
    candidate = box.updater.choose(str(good))
    folder = box.layout.staging / candidate.digest[:16] / "wheels"
    folder.mkdir(parents=True)
    (folder / "evil-1.0-py3-none-any.whl").write_text("evil")
    (folder / NUMPY.rpartition("/")[2]).write_text("a part")
    box.update(good)
    assert not (folder / "evil-1.0-py3-none-any.whl").exists()


NAMES = [
    "../evil", "/etc/passwd", "wheels/../../evil", "wheels//x", "wheels/./x", "", ".", "..", "a\\b", "a b", "-rf", ".hidden",
    "a/.hidden", "a\0b", "a\nb", "ä", "a/b/c/d/e/f", "x" * 300, "manifest.json", "MANIFEST.JSON.SIG", "C:x", "~x", "$x", "a/",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere(box: Box, tmp_path: Path, good: Path, name: str) -> None:
    files = json.loads((good / "manifest.json").read_text())["files"]
    changes = {"files": {**files, name: {"bytes": 0, "sha256": DIGEST}}}
    error = refused(box, add_bundle(tmp_path / "b", changes=changes))
    assert "is no name of a file in a bundle" in str(error) or "is named twice" in str(error)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "has format 2"),
        ({"version": "latest"}, "is no version such as"),
        ({"version": "0.3.0"}, "has no wheel of doorlight 0.3.0"),
        ({"version": None}, "is no manifest"),
        ({"files": {}}, "has no scripts/install.sh"),
        ({"files": {"scripts/install.sh": {"bytes": -1, "sha256": DIGEST}}}, "is no manifest"),
        ({"files": {"scripts/install.sh": {"bytes": 1, "sha256": "x"}}}, "is no manifest"),
        ({"files": {f"f{k}": {"bytes": 1, "sha256": DIGEST} for k in range(1000)}}, "is no manifest"),
        ({"files": {k: {"bytes": 2_000_000_000, "sha256": DIGEST} for k in "ab"}}, "more than 2 GB"),
        ({"files": {k: {"bytes": 1, "sha256": DIGEST} for k in ("a/b", "A")}}, "is below a file"),
        ({"files": {k: {"bytes": 1, "sha256": DIGEST} for k in ("a/b", "a/B")}}, "is named twice"),
        ({"min_python": "3"}, "is no manifest"),
        ({"made": "yesterday"}, "is no manifest"),
        ({"architecture": "../x"}, "is no manifest"),
    ],
)
def test_signed_nonsense(box: Box, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    error = refused(box, add_bundle(tmp_path / "b", changes=changes))
    assert says in str(error)
    assert error.exit_code == 66


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000])
def test_no_manifest(data: bytes) -> None:
    with pytest.raises(InputError, match="is no manifest of a bundle"):
        manifest.parse(data)


def member(name: str = "x/link", kind: bytes = tarfile.SYMTYPE, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (member(linkname="/etc/passwd"), "files only, no links (type '2')"),
        (member(kind=tarfile.LNKTYPE, linkname="x/manifest.json"), "(type '1')"),
        (member(kind=tarfile.CHRTYPE), "(type '3')"),
        (member(kind=tarfile.FIFOTYPE), "(type '6')"),
        (member("x/manifest.json", tarfile.REGTYPE), "is there twice"),
    ],
)
def test_tar_with_other_members(box: Box, tmp_path: Path, good: Path, info: tarfile.TarInfo, says: str) -> None:
    path = tar_of(good, tmp_path / "b.tar")
    with tarfile.open(path, "a", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(info)
    assert says in str(refused(box, path))


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.9])
def test_tar_that_is_cut(box: Box, tmp_path: Path, good: Path, keep: float) -> None:
    path = tmp_path / "b.tar"
    releasing.write_tar(good, path)
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[: int(len(data) * keep)])
    assert "is incomplete" in str(refused(box, path))


@pytest.mark.parametrize("data", [b"PK\3\4" * 300, b"\x1f\x8b" * 600, b"x" * 5000, b"\0" * 5000, b"-" * 512])
def test_no_tar(box: Box, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "b.tar"
    path.write_bytes(data)
    assert "b.tar: " in str(refused(box, path))


def test_tar_without_a_file_of_the_manifest(box: Box, tmp_path: Path, good: Path) -> None:
    path = tar_of(good, tmp_path / "b.tar", lambda info: None if "numpy" in info.name else info)  # type: ignore[arg-type,return-value]
    assert f"{NUMPY}: is missing" in str(refused(box, path))


def test_tar_with_a_changed_file(box: Box, tmp_path: Path, good: Path) -> None:
    flip(good / NUMPY)
    assert "is not the file that was signed" in str(refused(box, tar_of(good, tmp_path / "b.tar")))
    (good / NUMPY).write_bytes(b"x")
    assert "is not the file that was signed" in str(refused(box, tar_of(good, tmp_path / "c.tar")))


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_bundle_there(box: Box, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    error = refused(box, tmp_path / name)
    assert "there is no" in str(error)
    assert error.exit_code == 66


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (Machine("x86_64", (3, 11)), "the bundle is for aarch64; this box is x86_64"),
        (Machine("aarch64", (3, 10)), "needs Python 3.11; this box has 3.10"),
        (Machine("aarch64", (3, 13)), "has no numpy for Python 3.13 on aarch64"),
    ],
)
def test_another_machine(box: Box, good: Path, machine: Machine, says: str) -> None:
    box.updater._machine = machine
    error = refused(box, good)
    assert says in str(error)
    assert error.exit_code == 69


def test_a_full_disk_is_seen_before(box: Box, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "PROGRAM_BYTES", 1 << 60)
    error = refused(box, good)
    assert "MB are free; the update needs" in str(error)
    assert not list(box.layout.updates.rglob("*.whl"))


def test_a_disk_that_becomes_full(box: Box, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *arguments: Any, **more: Any) -> io.BytesIO:
        raise OSError(28, "No space left on device")

    candidate = box.updater.choose(str(good))
    box.disk.make_folder(box.layout.staging)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        bundles.stage(candidate.bundle, candidate.manifest, box.layout.staging / "x", box.disk)
    assert caught.value.exit_code == 74
    assert "df -h" in caught.value.hint


def test_keys_exist() -> None:
    assert (keys() / "release.pub").exists()
