"""Enrolled people for tests: vectors in place of faces, consents, and a store in a folder."""

from __future__ import annotations

import sqlite3
import subprocess
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from edge.imaging.alignment import TEMPLATE
from edge.imaging.images import Picture
from edge.people import store
from edge.people.record import DIMENSIONS, Consent, Person, Vector, new_id, normalized, to_template
from edge.people.store import Content, Place
from edge.records import Point

#: A crop with detail, and landmarks of a face that looks into the camera.
SHARP = np.random.default_rng(0).integers(0, 255, (112, 112, 3)).astype(np.uint8)
FRONTAL = tuple((float(x), float(y)) for x, y in TEMPLATE)
MODEL = "0123456789abcdef"
FUTURE = (date.today() + timedelta(days=100)).isoformat()
PAST = (date.today() - timedelta(days=2)).isoformat()


def vector(seed: int) -> Vector:
    """Return a random direction (128,)."""
    return normalized(np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32))


def near(of: Vector, cosine: float, seed: int = 99) -> Vector:
    """Return a vector whose cosine with `of` is `cosine`."""
    other = vector(seed)
    other = normalized(other - (other @ of) * of)
    return normalized(cosine * of + np.float32(np.sqrt(1 - cosine**2)) * other)


def person(name: str, seed: int = 0, until: str = FUTURE, model: str = MODEL, at: float = 1.8e9) -> Person:
    """Return a person with a random template."""
    return Person(
        new_id(), name, to_template(vector(seed)), model, Consent(name, "tester", at, until, f"{name} agrees to it")
    )


def place(folder: Path) -> Place:
    """Return the files of a store in `folder`."""
    return Place.of(folder / store.FILE_NAME)


def enrol(where: Place, *people: Person) -> Content:
    """Add people to a store."""
    return store.change(where, lambda content: content._replace(people=(*content.people, *people)))


def remove(where: Place, name: str) -> Content:
    """Remove a person from a store."""
    return store.change(
        where, lambda content: content._replace(people=tuple(p for p in content.people if p.name != name))
    )


def ssh_key(folder: Path, name: str = "key") -> Path:
    """Make a pair of SSH keys without a passphrase, and return the private one."""
    key = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
    subprocess.run(command, check=True, timeout=60)
    return key


def signers(key: Path) -> Path:
    """Return a file that trusts `key`."""
    path = key.with_name(f"{key.name}.signers")
    path.write_text(f"clinic {key.with_name(key.name + '.pub').read_text()}")
    path.chmod(0o644)
    return path


@dataclass
class FakeEmbedder:
    """Returns `vector` for every crop, and counts."""

    vector: Vector
    points: tuple[Point, ...] = FRONTAL
    calls: int = 0
    size: int = 112
    picture: Picture = field(default_factory=lambda: SHARP)

    def landmarks(self, *_: object) -> tuple[Point, ...]:
        return self.points

    def crop(self, *_: object) -> Picture:
        return self.picture

    def embed(self, crops: list[Picture]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        self.calls += len(crops)
        return np.stack([self.vector for _ in crops])


def names(where: Place) -> list[str]:
    """Return the names of the people in a store."""
    content = store.read(where)
    return [each.name for each in content.people] if content else []


def files(folder: Path) -> bytes:
    """Return the bytes of all files of a folder."""
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def ciphertexts(where: Place) -> list[bytes]:
    """Return the middle of each sealed row."""
    with sqlite3.connect(where.file) as database:
        rows = [row[0] for row in database.execute("SELECT sealed FROM people ORDER BY id")]
    database.close()
    return [row[20:60] for row in rows]
