"""Check the output of Coral's compiler, and add the compiled models to a folder of models and its manifest."""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import tflite

from edge.errors import DoorlightError
from edge.inference import manifest
from edge.inference.manifest import EdgeTpuFile, ModelEntry, Tensor

from . import manifest_rows
from .files import replacing
from .modelfile import ModelFileError

#: A line of the compiler's operation log: operator, count, status.
OPERATION = re.compile(r"([A-Z][A-Z0-9_]*)\s+(\d+)\s+(\S.*)")
MAPPED = "Mapped to Edge TPU"
CUSTOM_OP = b"edgetpu-custom-op"


def check_report(text: str) -> int:
    """Return the number of operations in an operation log (MODEL_edgetpu.log).

    Raises ModelFileError, naming the operations, if not all of them run on the Edge TPU.
    """
    found = [match.groups() for line in text.splitlines() if (match := OPERATION.fullmatch(line.strip()))]
    left = [f"{count} {operator}: {status}" for operator, count, status in found if status != MAPPED]
    if left:
        raise ModelFileError(f"not all operations run on the Edge TPU: {'; '.join(left)}")
    if not found:
        raise ModelFileError("the compiler's operation log names no operation")
    return sum(int(count) for _, count, _ in found)


def check_compiled(content: bytes, row: ModelEntry) -> None:
    """Raise ModelFileError unless a compiled model is one Edge TPU operation with the tensors of `row`."""
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(k).OpcodeIndex()) for k in range(graph.OperatorsLength())]
    if [code.CustomCode() for code in codes] != [CUSTOM_OP]:
        raise ModelFileError(f"the compiled model has {len(codes)} operations, expected only {CUSTOM_OP.decode()}")

    def tensors(count: int, at: Any) -> list[Tensor]:
        return sorted((_tensor(graph.Tensors(at(k))) for k in range(count)), key=lambda tensor: tensor.shape)

    for what, found, expected in (
        ("inputs", tensors(graph.InputsLength(), graph.Inputs), [row.input]),
        ("outputs", tensors(graph.OutputsLength(), graph.Outputs), sorted(row.outputs.values(), key=lambda t: t.shape)),
    ):
        same = len(found) == len(expected) and all(
            (a.shape, a.dtype, a.zero_point) == (b.shape, b.dtype, b.zero_point)
            and math.isclose(a.scale, b.scale, rel_tol=1e-4)
            for a, b in zip(found, expected, strict=True)
        )
        if not same:
            raise ModelFileError(f"the compiled model's {what} are {found}, the manifest says {expected}")


def _tensor(tensor: Any) -> Tensor:
    """Return shape, type and quantisation of a tensor of the tflite package."""
    dtype: Any = {tflite.TensorType.UINT8: "uint8", tflite.TensorType.INT8: "int8"}.get(tensor.Type(), tensor.Type())
    quantization = tensor.Quantization()
    shape = tuple(int(tensor.Shape(k)) for k in range(tensor.ShapeLength()))
    return Tensor(shape, dtype, float(quantization.Scale(0)), int(quantization.ZeroPoint(0)))


def add_compiled(models: Path, output: Path) -> dict[str, int]:
    """Copy the compiled files of all models in `models` from the compiler's folder `output`; update the manifest.

    Return the number of operations by model. Everything is checked before a file is replaced. Raises ModelFileError
    or a DoorlightError if a check fails.
    """
    rows = manifest.load(models)
    found = dict(rows)
    counts = {}
    for name, row in rows.items():
        rows.read(name)  # raises ModelError if the model that was compiled is damaged
        stem = _compiled_stem(row)
        try:
            counts[name] = check_report((output / f"{stem}.log").read_text(encoding="utf-8", errors="replace"))
            content = (output / f"{stem}.tflite").read_bytes()
            check_compiled(content, row)
        except OSError as error:
            raise ModelFileError(f"{name}: the compiler made no {error.filename}") from None
        except ModelFileError as error:
            raise ModelFileError(f"{name}: {error}") from None
        compiled = EdgeTpuFile(f"{stem}.tflite", hashlib.sha256(content).hexdigest())
        found[name] = msgspec.structs.replace(row, edgetpu=compiled)
    # The compiled files come before the manifest: after a kill in between, the old manifest rejects them by their hash,
    # and the door uses the CPU.
    for row in rows.values():
        name = f"{_compiled_stem(row)}.tflite"
        with replacing(models / name) as part:
            shutil.copyfile(output / name, part)
    manifest_rows.write(models, found)
    return counts


def _compiled_stem(row: ModelEntry) -> str:
    """Return the name without suffix that the compiler gives to a model's files."""
    return Path(row.file).stem + "_edgetpu"


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.edgetpu", description=__doc__)
    parser.add_argument("models", type=Path, help="folder with manifest.toml")
    parser.add_argument("output", type=Path, help="the compiler's --out_dir")
    args = parser.parse_args()
    try:
        counts = add_compiled(args.models, args.output)
    except (ModelFileError, DoorlightError, OSError) as error:
        print(f"compile_edgetpu.sh: {error}", file=sys.stderr)
        return 65
    for name, count in counts.items():
        print(f"{name}: all {count} operations on the Edge TPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
