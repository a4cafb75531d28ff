"""Broken models and manifests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any

from .breaking import broken, log_is_whole, written
from .cases import MAX_MIB, PIXELS_MIB, Case, Material, Random, kind
from .good import DEMO, MODELS, NAMES
from .settings import VALUES


def _models(manifest: bytes, models: dict[str, bytes]) -> str:
    """Write a folder of models; those that are not given are links to the shipped ones. Return its name."""
    os.mkdir("models")
    written("models/manifest.toml", manifest)
    for name in NAMES:
        if name in models:
            written(f"models/{name}.tflite", models[name])
        else:
            os.symlink(MODELS / f"{name}.tflite", f"models/{name}.tflite")
    return "models"


def _run_models(rng: Random, material: Material, folder: str, codes: Iterable[int], **more: Any) -> Case:
    still = written(
        "x.jpg", material.pictures["small.jpg"] if rng.random() < 0.3 else (DEMO / "still.jpg").read_bytes()
    )
    argv = ["run", "--simulate", "--source", still, "--models", folder, "--events", "events.jsonl"]
    return Case(argv, frozenset(codes), check=log_is_whole, **({"max_mib": PIXELS_MIB} | more))


@kind(share=8, fresh=True)
def manifest(rng: Random, material: Material) -> Case:
    """A broken manifest.toml with the shipped models."""
    data = material.models["manifest"]
    what = rng.randrange(5)
    if what <= 1:
        data = broken(rng, data, [value.encode() for value in VALUES])
    elif what <= 3:
        lines = data.decode().splitlines()
        for _ in range(rng.choice((1, 1, 2, 4))):
            number = rng.randrange(len(lines))
            key, equals, _ = lines[number].partition(" = ")
            if equals:
                lines[number] = f"{key} = {rng.choice(VALUES)}"
        data = "\n".join(lines).encode()
    else:  # rows of other models
        text = data.decode()
        one, other = rng.sample(NAMES, 2)
        text = text.replace(one, "\0").replace(other, one).replace("\0", other)
        if rng.random() < 0.5:  # exchange the files too: each row is correct, but has another name
            text = text.replace(f'file = "{one}.', 'file = "\0').replace(f'file = "{other}.', f'file = "{one}.')
            text = text.replace("\0", f"{other}.")
        data = text.encode()
    return _run_models(rng, material, _models(data, {}), {0, 69})


@kind(share=8, fresh=True)
def model(rng: Random, material: Material) -> Case:
    """A broken model with a matching manifest, so that the checksum is correct."""
    name = rng.choice(NAMES)
    data = material.models[name]
    text = material.models["manifest"].decode()
    what = rng.randrange(6)
    if what == 0:
        new = rng.choice((b"", b"TFL3", data[:1000], data[: len(data) // 2], rng.randbytes(5000), bytes(5000)))
    elif what == 1:
        new = broken(rng, data)
    else:  # in the tables at the end, which hold the graph; changed weights only change the results
        at = max(0, data.rfind(b"TFL3")) if rng.random() < 0.1 else rng.randrange(len(data) - 60_000, len(data))
        new = data[:at] + broken(rng, data[at:])
    text = text.replace(hashlib.sha256(data).hexdigest(), hashlib.sha256(new).hexdigest())
    return _run_models(rng, material, _models(text.encode(), {name: new}), {0, 69}, limit_s=60.0)


@kind(share=3, fresh=True)
def checksum(rng: Random, material: Material) -> Case:
    """A model with one changed bit, which the checksum must detect."""
    name = rng.choice(NAMES)
    data = bytearray(material.models[name])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return _run_models(rng, material, _models(material.models["manifest"], {name: bytes(data)}), {69}, max_mib=MAX_MIB)
