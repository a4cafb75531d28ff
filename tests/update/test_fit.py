"""Whether a bundle fits a box: machine, Python, wheels, and the order of versions."""

from __future__ import annotations

import pytest

from edge.errors import UnavailableError
from edge.update import fit, manifest, version
from edge.update.fit import Machine
from support.update import MACHINE

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("wheel", "machine", "fits"),
    [
        ("a-1-py3-none-any.whl", MACHINE, True),
        ("a-1-py2.py3-none-any.whl", MACHINE, True),
        ("a-1-py2-none-any.whl", MACHINE, False),
        ("a-1-1-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", MACHINE, True),
        ("a-1-cp311-cp311-linux_aarch64.whl", MACHINE, True),
        ("a-1-cp37-abi3-manylinux_2_17_aarch64.whl", MACHINE, True),
        ("a-1-cp312-abi3-manylinux_2_17_aarch64.whl", MACHINE, False),
        ("a-1-cp312-cp312-manylinux_2_17_aarch64.whl", MACHINE, False),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.whl", MACHINE, False),
        ("a-1-cp311-cp311-macosx_11_0_arm64.whl", MACHINE, False),
        ("a.whl", MACHINE, False),
    ],
)
def test_wheels_that_pip_takes(wheel: str, machine: Machine, fits: bool) -> None:
    files = {f"wheels/{wheel}": manifest.BundleFile(1, DIGEST)}
    made = manifest.Manifest(1, "1.0", "2026-11-27T00:00:00Z", "3.11", machine.architecture, files)
    if fits:
        fit.check(made, machine)
    else:
        with pytest.raises(UnavailableError):
            fit.check(made, machine)


def test_one_wheel_of_several_is_enough() -> None:
    names = ("a-1-cp311-cp311-linux_aarch64.whl", "a-1-cp313-cp313-linux_aarch64.whl")
    files = {name: manifest.BundleFile(1, DIGEST) for name in names}
    made = manifest.Manifest(1, "1.0", "2026-11-27T00:00:00Z", "3.11", "aarch64", files)
    fit.check(made, Machine("aarch64", (3, 13)))
    with pytest.raises(UnavailableError, match=r"no a for Python 3\.12"):
        fit.check(made, Machine("aarch64", (3, 12)))


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("0.1.0", "0.1.1"),
        ("0.9.0", "0.10.0"),
        ("1.0.0rc1", "1.0.0"),
        ("1.0.0a2", "1.0.0b1"),
        ("1.0", "1.0.1"),
        ("1.0rc9", "1.0rc10"),
    ],
)
def test_order_of_versions(lower: str, higher: str) -> None:
    assert version.is_lower(lower, higher)
    assert not version.is_lower(higher, lower)
    assert not version.is_lower(higher, higher)
