"""The runtimes on the shipped models: which models are refused, and that all runtimes give similar results."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import tflite

from edge.errors import ModelError, UnavailableError
from edge.inference import interpreter, manifest
from edge.inference.interpreter import Model, RawOutput
from edge.inference.manifest import Manifest, ModelEntry
from edge.system import libraries
from support.models import RUNTIMES, pictures
from training import modelfile

SHIPPED = manifest.load()
NAMES = sorted(SHIPPED)
each_model = pytest.mark.parametrize("name", NAMES)
each_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


def declared(name: str, **changes: Any) -> Manifest:
    """Return the shipped manifest with changes to the entry of model `name`."""
    return Manifest(SHIPPED.folder, {name: msgspec.structs.replace(SHIPPED[name], **changes)})


def input_as(entry: ModelEntry, **changes: Any) -> manifest.Tensor:
    return msgspec.structs.replace(entry.input, **changes)


def load_error(models: Manifest, name: str, runtime: str | None = None) -> str:
    """Return the message with which a model is refused; it begins with the file."""
    with pytest.raises(ModelError) as caught:
        Model(models, name, runtime_name=runtime)
    assert str(caught.value).startswith(f"{models.folder / models[name].file}: ")
    return str(caught.value)


class TestLoadRuntime:
    def test_the_first_installed_runtime_is_the_default(self) -> None:
        assert interpreter.load_runtime()[0] == RUNTIMES[0]

    @pytest.mark.skipif(len(RUNTIMES) < 2, reason="only one runtime is installed")
    def test_the_next_runtime_is_used_if_the_first_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, f"{RUNTIMES[0]}.interpreter", None)
        assert interpreter.load_runtime()[0] == RUNTIMES[1]

    @each_runtime
    def test_a_runtime_by_name(self, runtime: str) -> None:
        name, module = interpreter.load_runtime(runtime)
        assert name == runtime
        assert module.Interpreter

    def test_no_runtime_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for runtime in interpreter.RUNTIMES:
            monkeypatch.setitem(sys.modules, f"{runtime}.interpreter", None)
        with pytest.raises(UnavailableError) as caught:
            Model(SHIPPED, NAMES[0])
        assert not isinstance(caught.value, ModelError), "the model itself is in order"
        assert all(runtime in str(caught.value) for runtime in interpreter.RUNTIMES)
        assert "pip install ai-edge-litert" in caught.value.hint

    def test_a_runtime_that_does_not_work_with_the_installed_numpy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """tflite_runtime can be imported with NumPy 2, but every call that needs an array ends in a SystemError."""

        def broken(**arguments: Any) -> None:
            try:
                raise ImportError("numpy.core.multiarray failed to import")
            except ImportError as error:
                raise SystemError(
                    "<built-in method CreateWrapperFromBuffer> returned a result with an exception set"
                ) from error

        monkeypatch.setattr(libraries, "installed_version", {"numpy": "2.2.6", "tflite-runtime": "2.14.0"}.get)
        monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", SimpleNamespace(Interpreter=broken))
        with pytest.raises(UnavailableError, match="do not work together") as caught:
            Model(SHIPPED, NAMES[0], runtime_name="tflite_runtime")
        assert not isinstance(caught.value, ModelError), "the model itself is in order"
        assert caught.value.hint

    def test_a_runtime_that_is_installed_and_broken_is_the_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(name: str) -> None:
            if name.startswith("ai_edge_litert"):
                raise ImportError("libstdc++.so.6: cannot open shared object file: No such file or directory")
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

        monkeypatch.setattr(interpreter.importlib, "import_module", broken)
        with pytest.raises(UnavailableError, match="needs the system's libstdc") as caught:
            interpreter.load_runtime()
        assert caught.value.hint == "sudo apt install libstdc++6"

    def test_a_runtime_of_which_a_part_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """pip was interrupted: the module is there, its class is not."""
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", SimpleNamespace())
        monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
        for load in (interpreter.load_runtime, lambda: Model(SHIPPED, NAMES[0])):
            with pytest.raises(UnavailableError, match=r"^ai-edge-litert.* is incomplete: a part of it") as caught:
                load()
            assert "--force-reinstall" in caught.value.hint
            assert "ai-edge-litert" in caught.value.hint

    def test_an_unknown_runtime(self) -> None:
        with pytest.raises(UnavailableError, match="no_such_runtime"):
            interpreter.load_runtime("no_such_runtime")


CONTENT = SHIPPED.read(NAMES[0])
DAMAGED = {"empty": b"", "text": b"not a model at all", "zeros": bytes(4096), "header only": CONTENT[:8] + bytes(4096)}
#: LiteRT checks the whole file. tflite-runtime does not, and crashes on these: only the SHA-256 protects it.
TRUNCATED = {"end missing": CONTENT[:-1000], "half": CONTENT[: len(CONTENT) // 2], "beginning only": CONTENT[:1000]}


def manifest_of(content: bytes, folder: Path) -> Manifest:
    """Return a manifest whose first model is the file `content`, with a matching SHA-256."""
    (folder / "model.tflite").write_bytes(content)
    entry = msgspec.structs.replace(SHIPPED[NAMES[0]], file="model.tflite", sha256=hashlib.sha256(content).hexdigest())
    return Manifest(folder, {NAMES[0]: entry})


class TestDamagedFile:
    @pytest.mark.parametrize(
        ("runtime", "content"),
        [
            pytest.param(runtime, content, id=f"{runtime}-{what}")
            for runtime in RUNTIMES
            for what, content in (DAMAGED | TRUNCATED if runtime == "ai_edge_litert" else DAMAGED).items()
        ],
    )
    def test_a_damaged_file_is_refused_without_output_on_stderr(
        self, tmp_path: Path, runtime: str, content: bytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Also if the SHA-256 matches: the error is one line, and the runtime's own messages do not reach stderr."""
        found = load_error(manifest_of(content, tmp_path), NAMES[0], runtime)
        assert f"is not a model that {runtime} can load" in found
        assert "\n" not in found
        assert capfd.readouterr().err == ""

    @each_runtime
    @pytest.mark.parametrize("content", TRUNCATED.values(), ids=TRUNCATED.keys())
    def test_a_truncated_file_never_reaches_a_runtime(self, tmp_path: Path, runtime: str, content: bytes) -> None:
        entry = SHIPPED[NAMES[0]]
        (tmp_path / entry.file).write_bytes(content)
        assert "sha256" in load_error(Manifest(tmp_path, {NAMES[0]: entry}), NAMES[0], runtime)

    @each_runtime
    def test_stderr_works_after_a_failure(
        self, tmp_path: Path, runtime: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        models = manifest_of(DAMAGED["text"], tmp_path)
        load_error(models, NAMES[0], runtime)
        gc.collect()  # what earlier tests left open must not be closed in between
        before = len(os.listdir("/proc/self/fd"))
        load_error(models, NAMES[0], runtime)
        Model(SHIPPED, NAMES[0], runtime_name=runtime)
        os.write(2, b"still here\n")
        assert capfd.readouterr().err == "still here\n"
        assert len(os.listdir("/proc/self/fd")) == before, "a file descriptor leaked"


@each_model
class TestWrongEntry:
    """The file is right and its entry is wrong: the message shows both side by side."""

    def test_input_shape(self, name: str) -> None:
        _, height, width, channels = SHIPPED[name].input.shape
        found = load_error(
            declared(name, input=input_as(SHIPPED[name], shape=(1, height + 8, width, channels))),
            name,
        )
        assert f"input is uint8[1, {height}, {width}, {channels}]" in found
        assert f"the manifest says uint8[1, {height + 8}, {width}, {channels}]" in found

    def test_input_type(self, name: str) -> None:
        found = load_error(declared(name, input=input_as(SHIPPED[name], dtype="int8")), name)
        assert "input is uint8[" in found
        assert "the manifest says int8[" in found

    def test_input_scale(self, name: str) -> None:
        scale = SHIPPED[name].input.scale
        found = load_error(declared(name, input=input_as(SHIPPED[name], scale=scale * 1.001)), name)
        assert f"scale {scale:.6g}," in found
        assert f"{scale * 1.001:.6g}," in found

    def test_input_zero_point(self, name: str) -> None:
        found = load_error(declared(name, input=input_as(SHIPPED[name], zero_point=3)), name)
        assert f"zero point {SHIPPED[name].input.zero_point};" in found
        assert found.endswith(", 3")

    def test_output_shape(self, name: str) -> None:
        outputs = dict(SHIPPED[name].outputs)
        key, tensor = outputs.popitem()
        other = msgspec.structs.replace(tensor, shape=(*tensor.shape[:-1], 77))
        found = load_error(declared(name, outputs={**outputs, key: other}), name)
        assert f"no output '{key}' of shape {list(other.shape)}" in found
        assert str(list(tensor.shape)) in found

    @pytest.mark.parametrize("change", [{"dtype": "int8"}, {"scale": 0.5}, {"zero_point": -1}])
    def test_output_quantisation(self, name: str, change: dict[str, Any]) -> None:
        outputs = dict(SHIPPED[name].outputs)
        key, tensor = outputs.popitem()
        found = load_error(
            declared(name, outputs={**outputs, key: msgspec.structs.replace(tensor, **change)}),
            name,
        )
        assert f"output '{key}' is uint8" in found
        assert "the manifest says" in found


class FakeRemote:
    """A remote interpreter that returns `answer` and records its calls."""

    def __init__(self, answer: dict[str, RawOutput]) -> None:
        self.answer: dict[str, RawOutput] | None = answer
        self.calls: list[tuple[str, npt.NDArray[np.uint8]]] = []

    def run(self, name: str, pixels: npt.NDArray[np.uint8]) -> dict[str, RawOutput] | None:
        self.calls.append((name, pixels))
        return self.answer


@each_model
class TestShippedModels:
    @each_runtime
    def test_the_same_input_gives_the_same_output(self, name: str, runtime: str) -> None:
        """Also with other inputs in between; a result is a copy."""
        entry = SHIPPED[name]
        model = Model(SHIPPED, name, runtime_name=runtime)
        assert model.runtime == runtime
        seen = pictures(entry)
        model.invoke(seen["photo"])
        first = {key: model.raw(key) for key in entry.outputs}
        kept = {key: value.copy() for key, value in first.items()}
        # A confident classifier may give two pictures the same result, but not all of them.
        black = np.zeros_like(seen["photo"])
        others = []
        for picture in (seen["dim"], seen["close"], black, 255 - black):
            model.invoke(picture)  # type: ignore[arg-type]
            others.append(any((model.raw(key) != first[key]).any() for key in entry.outputs))
        assert any(others), "the output depends on the input"
        model.invoke(seen["photo"])
        for key, tensor in entry.outputs.items():
            assert first[key].shape == tensor.shape[1:]
            assert first[key].dtype == tensor.dtype
            np.testing.assert_array_equal(first[key], kept[key])
            np.testing.assert_array_equal(model.raw(key), kept[key])

    def test_dequantized_values(self, name: str) -> None:
        """real = (stored - zero point) * scale, also for a part of the values."""
        entry = SHIPPED[name]
        model = Model(SHIPPED, name)
        model.invoke(pictures(entry)["photo"])
        for key, tensor in entry.outputs.items():
            stored = model.raw(key)
            expected = (stored.astype(float) - tensor.zero_point) * tensor.scale
            assert model.dequantized(key).dtype == np.float32
            np.testing.assert_allclose(model.dequantized(key), expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(model.dequantized(key, stored[:1]), expected[:1], rtol=1e-5, atol=1e-6)

    @pytest.mark.skipif(len(RUNTIMES) < 2, reason="only one runtime is installed")
    @pytest.mark.parametrize("picture", ["photo", "mirrored", "dim", "close"])
    def test_both_runtimes_give_similar_results(self, name: str, picture: str) -> None:
        """Close, in steps of 1/256 of an output's range, but not equal: their kernels round differently.

        On a black picture a rounding difference may have any effect, so the pictures show something.
        """
        entry = SHIPPED[name]
        pixels = pictures(entry)[picture]
        models = [Model(SHIPPED, name, runtime_name=runtime) for runtime in RUNTIMES]
        for model in models:
            model.invoke(pixels)
        for key in entry.outputs:
            one, other = (model.raw(key).astype(int) for model in models)
            apart = np.abs(one - other)
            assert np.percentile(apart, 99) <= 24, key
            if key == "probabilities":
                assert one.argmax() == other.argmax(), "the decision is the same"
            else:
                assert apart.mean() <= 4, key

    def test_the_remote_interpreter_comes_first(self, name: str) -> None:
        """Its result is used as it is; without one, the model runs locally."""
        entry = SHIPPED[name]
        pixels = pictures(entry)["photo"]
        local = Model(SHIPPED, name)
        local.invoke(pixels)
        remote = FakeRemote({key: np.full(tensor.shape[1:], 7, np.uint8) for key, tensor in entry.outputs.items()})
        model = Model(SHIPPED, name, remote=remote)
        model.invoke(pixels)
        for key, tensor in entry.outputs.items():
            assert (model.raw(key) == 7).all()
            assert model.dequantized(key).max() == np.float32((7 - tensor.zero_point) * tensor.scale)
        remote.answer = None
        model.invoke(pixels)
        for key in entry.outputs:
            np.testing.assert_array_equal(model.raw(key), local.raw(key))
        assert [called for called, _ in remote.calls] == [name, name]
        assert all(given is pixels for _, given in remote.calls)

    def test_the_edge_tpu_compiler_accepts_its_ops(self, name: str) -> None:
        assert modelfile.check(SHIPPED.read(name))

    def test_an_unknown_op_is_refused(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        used = modelfile.check(SHIPPED.read(name))
        monkeypatch.delitem(modelfile.EDGE_TPU_OPS, "CONV_2D")
        with pytest.raises(modelfile.ModelFileError, match=f"op CONV_2D version {used['CONV_2D']}"):
            modelfile.check(SHIPPED.read(name))

    def test_a_newer_op_version_is_refused(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        used = modelfile.check(SHIPPED.read(name))
        monkeypatch.setitem(modelfile.EDGE_TPU_OPS, "CONV_2D", used["CONV_2D"] - 1)
        with pytest.raises(modelfile.ModelFileError, match=f"op CONV_2D version {used['CONV_2D']}"):
            modelfile.check(SHIPPED.read(name))

    def test_a_uint8_tensor_inside_the_model_is_refused(self, name: str) -> None:
        """uint8 is the older quantisation scheme, allowed only for the model's input and outputs."""
        content = bytearray(SHIPPED.read(name))
        graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
        table = graph.Tensors(graph.Operators(0).Outputs(0))._tab
        content[table.Pos + table.Offset(6)] = tflite.TensorType.UINT8
        with pytest.raises(modelfile.ModelFileError, match="is UINT8"):
            modelfile.check(bytes(content))

    def test_a_shape_that_is_not_static_is_refused(self, name: str) -> None:
        """A height of -1 in the input's shape signature (field number 7) means that it may change."""
        content = bytearray(SHIPPED.read(name))
        graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
        table = graph.Tensors(graph.Inputs(0))._tab
        vtable = table.Pos - int.from_bytes(content[table.Pos : table.Pos + 4], "little", signed=True)
        assert int.from_bytes(content[vtable : vtable + 2], "little") >= 20, "the table has room for the field"
        content[vtable + 18 : vtable + 20] = content[vtable + 4 : vtable + 6]  # the signature shares the shape's data
        height = table.Vector(table.Offset(4)) + 4
        content[height : height + 4] = (-1).to_bytes(4, "little", signed=True)
        with pytest.raises(modelfile.ModelFileError, match="has no static shape"):
            modelfile.check(bytes(content))

    def test_a_float_input_is_refused(self, name: str, tmp_path: Path) -> None:
        """By the check before the Edge TPU compiler, and by the door."""
        content = bytearray(SHIPPED.read(name))
        graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
        table = graph.Tensors(graph.Inputs(0))._tab
        content[table.Pos + table.Offset(6)] = tflite.TensorType.FLOAT32
        with pytest.raises(modelfile.ModelFileError, match="is FLOAT32") as caught:
            modelfile.check(bytes(content))
        assert "inputs are FLOAT32; expected UINT8" in str(caught.value)

        entry = msgspec.structs.replace(SHIPPED[name], sha256=hashlib.sha256(content).hexdigest())
        (tmp_path / entry.file).write_bytes(content)
        for runtime in RUNTIMES:
            load_error(Manifest(tmp_path, {name: entry}), name, runtime)
