"""scripts/compile_edgetpu.sh with a compiler that writes what Coral's version 16 writes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import tflite

from edge.inference import manifest
from edge.inference.manifest import ModelEntry
from support.paths import ROOT
from support.tflite_writer import TfliteWriter
from training import edgetpu, manifest_rows
from training.modelfile import ModelFileError

SCRIPT = ROOT / "scripts/compile_edgetpu.sh"
ALL_MODELS = tuple(name for name in (*manifest.MODEL_NAMES, *manifest.OPTIONAL_MODEL_NAMES) if name in manifest.load())

#: A fake edgetpu_compiler with the same options, report, log files and names. Its output was made before.
COMPILER = """#!/bin/sh
[ "$1 $2" = "--show_operations --out_dir" ] || { echo "unexpected: $*" >&2; exit 1; }
out="$3"; shift 3
echo "Edge TPU Compiler version 16.0.384591198"
echo "Started a compilation timeout timer of 180 seconds."
[ ! -e "$FAKE/broken" ] || { echo "Internal compiler error. Aborting!"; exit 1; }
echo; echo "Models compiled successfully in 3498 ms."
for model; do
    name="$(basename "$model" .tflite)_edgetpu"
    echo "$name" >>"$FAKE/order"
    cp "$FAKE/$name.tflite" "$FAKE/$name.log" "$out"
    cat <<EOF

Input model: $model
Input size: 2.34MiB
Output model: $out/$name.tflite
Output size: 2.76MiB
On-chip memory used for caching model parameters: 2.33MiB
On-chip memory remaining for caching model parameters: 1.75KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 67
Operation log: $out/$name.log

EOF
    tail -n +5 "$FAKE/$name.log"
done
echo "Compilation child process completed within timeout period."
echo "Compilation succeeded! "
"""

LOG = """Edge TPU Compiler version 16.0.384591198
Input: {name}.tflite
Output: {name}_edgetpu.tflite

Operator                       Count      Status

QUANTIZE                       {count}          Mapped to Edge TPU
CONV_2D                        36         Mapped to Edge TPU
"""
CPU = "SOFTMAX                        1          Operation is otherwise supported, but not mapped due to some unspecified limitation\n"


def compiled_model(row: ModelEntry, operations: int = 1, custom: bytes = b"edgetpu-custom-op") -> bytes:
    """Return a model file of `operations` custom operations with the tensors of a manifest row."""
    file = TfliteWriter()
    types = {"uint8": tflite.TensorType.UINT8, "int8": tflite.TensorType.INT8}
    # The compiler may change the order of the outputs.
    tensors = [
        file.tensor(list(of.shape), types[of.dtype], of.scale, of.zero_point)
        for of in (row.input, *reversed(row.outputs.values()))
    ]
    operators = [file.operator(0, [0], 1) for _ in range(operations)]
    graph = file.graph(tensors, operators, [0], list(range(1, len(tensors))))
    return file.model(graph, [file.custom_code(custom)], [b""])


class Place:
    """A folder of models that are not compiled yet, and a fake compiler."""

    def __init__(self, folder: Path) -> None:
        self.models, self.fake = folder / "models", folder / "fake"
        self.models.mkdir()
        self.fake.mkdir()
        shipped = manifest.load()
        for name, row in shipped.items():
            shutil.copy(shipped.folder / row.file, self.models)
            (self.fake / f"{name}_edgetpu.tflite").write_bytes(compiled_model(row))
            (self.fake / f"{name}_edgetpu.log").write_text(LOG.format(name=name, count=2))
        manifest_rows.write(self.models, {n: msgspec.structs.replace(row, edgetpu=None) for n, row in shipped.items()})
        self.before = self.content()
        self.compiler = self.fake / "edgetpu_compiler"
        self.compiler.write_text(COMPILER)
        self.compiler.chmod(0o755)

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.models.iterdir()}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"PYTHON": sys.executable, "EDGETPU_COMPILER": str(self.compiler), "FAKE": str(self.fake)}
        return subprocess.run(
            [str(SCRIPT), *(arguments or ("--models", str(self.models)))],
            env=os.environ | settings | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_all_models_are_compiled_together(place: Place) -> None:
    done = place.run()
    assert done.returncode == 0, done.stderr
    assert "face_detector: all 38 operations on the Edge TPU" in done.stdout
    found = manifest.load(place.models)
    assert found.without_edgetpu(ALL_MODELS) == []
    for name in ALL_MODELS:
        assert found.read(name, edgetpu=True) == (place.fake / f"{name}_edgetpu.tflite").read_bytes()
        assert msgspec.structs.replace(found[name], edgetpu=None) == msgspec.structs.replace(
            manifest.load()[name], edgetpu=None
        ), "only `edgetpu` of the row has changed"
    assert (place.fake / "order").read_text().split() == [f"{name}_edgetpu" for name in ALL_MODELS], (
        "all in one call, the detector first"
    )
    assert not [path for path in place.models.iterdir() if path.name.startswith(".")]
    first = place.content()
    assert place.run().returncode == 0
    assert place.content() == first, "a second run gives the same files"


def test_a_folder_without_the_optional_model_is_compiled(place: Place) -> None:
    (place.models / "face_landmarks.tflite").unlink()
    rows = dict(manifest.load(place.models))
    manifest_rows.write(place.models, {name: rows[name] for name in manifest.MODEL_NAMES})
    done = place.run()
    assert done.returncode == 0, done.stderr
    assert "face_landmarks" not in (place.fake / "order").read_text()


def test_an_operation_on_the_cpu_is_an_error(place: Place) -> None:
    log = place.fake / "mask_classifier_edgetpu.log"
    log.write_text(log.read_text() + CPU)
    done = place.run()
    assert done.returncode == 65
    assert "mask_classifier: not all operations run on the Edge TPU: 1 SOFTMAX: Operation is otherwise" in done.stderr
    assert place.content() == place.before


def test_a_failing_compiler_changes_nothing(place: Place) -> None:
    (place.fake / "broken").touch()
    done = place.run()
    assert done.returncode == 65
    assert "nothing was changed" in done.stderr
    assert place.content() == place.before


def test_missing_output_of_the_compiler_is_named(place: Place) -> None:
    place.compiler.write_text("#!/bin/sh\nexit 0\n")
    done = place.run()
    assert done.returncode == 65
    assert "face_detector: the compiler made no" in done.stderr
    assert place.content() == place.before


def test_a_damaged_model_is_not_added(place: Place) -> None:
    (place.models / "mask_classifier.tflite").write_bytes(b"damaged")
    done = place.run()
    assert done.returncode == 65
    assert "mask_classifier.tflite: is damaged" in done.stderr
    assert manifest.load(place.models).without_edgetpu(manifest.MODEL_NAMES) == list(manifest.MODEL_NAMES)


def test_a_missing_compiler_is_unavailable(place: Place) -> None:
    done = place.run(EDGETPU_COMPILER="", PATH="/usr/bin:/bin")
    assert done.returncode == 69
    assert "apt-get install edgetpu-compiler" in done.stderr
    assert place.run(EDGETPU_COMPILER="/nowhere/compiler").returncode == 69


def test_wrong_arguments_are_usage_errors(place: Place) -> None:
    assert place.run("--help").returncode == 0
    assert place.run("--models", "/nowhere").returncode == 2
    assert place.run("--what").returncode == 2


@pytest.mark.parametrize("name", ALL_MODELS)
class TestCompiledModel:
    def test_one_operation_with_the_right_tensors(self, name: str) -> None:
        row = manifest.load()[name]
        edgetpu.check_compiled(compiled_model(row), row)

    def test_further_operations_are_an_error(self, name: str) -> None:
        row = manifest.load()[name]
        with pytest.raises(ModelFileError, match="has 2 operations, expected only edgetpu-custom-op"):
            edgetpu.check_compiled(compiled_model(row, operations=2), row)
        with pytest.raises(ModelFileError, match="expected only edgetpu-custom-op"):
            edgetpu.check_compiled(compiled_model(row, custom=b"FlexConv"), row)

    def test_an_uncompiled_model_is_an_error(self, name: str) -> None:
        found = manifest.load()
        with pytest.raises(ModelFileError, match="operations, expected only edgetpu-custom-op"):
            edgetpu.check_compiled(found.read(name), found[name])

    @pytest.mark.parametrize("change", [{"scale": 0.5}, {"zero_point": 3}, {"dtype": "int8"}, {"shape": (1, 2, 3, 4)}])
    def test_tensors_of_another_model_are_an_error(self, name: str, change: dict[str, object]) -> None:
        row = manifest.load()[name]
        other = msgspec.structs.replace(row, input=msgspec.structs.replace(row.input, **change))
        with pytest.raises(ModelFileError, match="inputs are"):
            edgetpu.check_compiled(compiled_model(other), row)
        key = next(iter(row.outputs))
        outputs = {**row.outputs, key: msgspec.structs.replace(row.outputs[key], **change)}
        with pytest.raises(ModelFileError, match="outputs are"):
            edgetpu.check_compiled(compiled_model(msgspec.structs.replace(row, outputs=outputs)), row)


def test_a_log_without_operations_is_an_error() -> None:
    with pytest.raises(ModelFileError, match="names no operation"):
        edgetpu.check_report("Edge TPU Compiler version 16.0.384591198\n")


def test_the_manifest_has_the_hash_of_the_compiled_file(place: Place) -> None:
    place.run()
    row = manifest.load(place.models)["face_detector"]
    assert row.edgetpu is not None
    content = (place.models / row.edgetpu.file).read_bytes()
    assert row.edgetpu.sha256 == hashlib.sha256(content).hexdigest() != row.sha256
