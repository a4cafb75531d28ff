"""The runtimes, on the shipped models: what is refused, and that both see the same."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import tflite

from edge.errors import ModelError, UnavailableError
from edge.inference import interpreter, manifest
from edge.inference.interpreter import Model
from edge.inference.manifest import Manifest, ModelEntry
from support.models import RUNTIMES, pictures
from training import modelfile

SHIPPED = manifest.load()
NAMES = sorted(SHIPPED)
each_model = pytest.mark.parametrize("name", NAMES)
each_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


def declared(name: str, **changes: Any) -> Manifest:
    """The shipped manifest, saying something else of the model `name`."""
    return Manifest(SHIPPED.folder, {name: msgspec.structs.replace(SHIPPED[name], **changes)})


def input_as(row: ModelEntry, **changes: Any) -> manifest.Tensor:
    return msgspec.structs.replace(row.input, **changes)


def refused(of: Manifest, name: str, runtime: str | None = None) -> str:
    """The message with which a model is refused; it names the file."""
    with pytest.raises(ModelError) as caught:
        Model(of, name, runtime_name=runtime)
    assert str(caught.value).startswith(f"{of.folder / of[name].file}: ")
    return str(caught.value)


class TestRuntime:
    def test_the_first_that_is_installed(self) -> None:
        assert interpreter.load_runtime()[0] == RUNTIMES[0]

    @pytest.mark.skipif(len(RUNTIMES) < 2, reason="only one runtime is installed")
    def test_the_next_where_the_first_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, f"{RUNTIMES[0]}.interpreter", None)
        assert interpreter.load_runtime()[0] == RUNTIMES[1]

    @each_runtime
    def test_by_name(self, runtime: str) -> None:
        name, module = interpreter.load_runtime(runtime)
        assert name == runtime
        assert module.Interpreter

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for runtime in interpreter.RUNTIMES:
            monkeypatch.setitem(sys.modules, f"{runtime}.interpreter", None)
        with pytest.raises(UnavailableError) as caught:
            Model(SHIPPED, NAMES[0])
        assert not isinstance(caught.value, ModelError), "the model is not to blame"
        assert all(runtime in str(caught.value) for runtime in interpreter.RUNTIMES)
        assert "pip install ai-edge-litert" in caught.value.hint

    def test_unknown_name(self) -> None:
        with pytest.raises(UnavailableError, match="no_such_runtime"):
            interpreter.load_runtime("no_such_runtime")


CONTENT = SHIPPED.read(NAMES[0])
DAMAGED = {"empty": b"", "text": b"not a model at all", "zeros": bytes(4096), "header only": CONTENT[:8] + bytes(4096)}
#: LiteRT checks the whole file. tflite-runtime does not, and dies of these: only the sha256 keeps them away from it.
CUT_OFF = {"end missing": CONTENT[:-1000], "half": CONTENT[: len(CONTENT) // 2], "beginning only": CONTENT[:1000]}


def file_of(content: bytes, folder: Path) -> Manifest:
    """A manifest whose first model is `content`, with the sha256 of just that."""
    (folder / "model.tflite").write_bytes(content)
    row = msgspec.structs.replace(SHIPPED[NAMES[0]], file="model.tflite", sha256=hashlib.sha256(content).hexdigest())
    return Manifest(folder, {NAMES[0]: row})


class TestDamagedFile:
    @pytest.mark.parametrize(
        ("runtime", "content"),
        [
            pytest.param(runtime, content, id=f"{runtime}-{what}")
            for runtime in RUNTIMES
            for what, content in (DAMAGED | CUT_OFF if runtime == "ai_edge_litert" else DAMAGED).items()
        ],
    )
    def test_refused_without_noise(
        self, tmp_path: Path, runtime: str, content: bytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Even where the sha256 is right: one line of why, and nothing of the runtime's own on stderr."""
        found = refused(file_of(content, tmp_path), NAMES[0], runtime)
        assert f"is not a model that {runtime} can load" in found
        assert "\n" not in found
        assert capfd.readouterr().err == ""

    @each_runtime
    @pytest.mark.parametrize("content", CUT_OFF.values(), ids=CUT_OFF.keys())
    def test_cut_off_never_reaches_a_runtime(self, tmp_path: Path, runtime: str, content: bytes) -> None:
        row = SHIPPED[NAMES[0]]
        (tmp_path / row.file).write_bytes(content)
        assert "sha256" in refused(Manifest(tmp_path, {NAMES[0]: row}), NAMES[0], runtime)

    @each_runtime
    def test_stderr_works_afterwards(self, tmp_path: Path, runtime: str, capfd: pytest.CaptureFixture[str]) -> None:
        of = file_of(DAMAGED["text"], tmp_path)
        refused(of, NAMES[0], runtime)
        before = len(os.listdir("/proc/self/fd"))
        refused(of, NAMES[0], runtime)
        Model(SHIPPED, NAMES[0], runtime_name=runtime)
        os.write(2, b"still here\n")
        assert capfd.readouterr().err == "still here\n"
        assert len(os.listdir("/proc/self/fd")) == before, "a file descriptor leaked"


@each_model
class TestOtherThanDeclared:
    """The right file, the wrong row: what the model has and what the manifest says stand side by side."""

    def test_input_shape(self, name: str) -> None:
        _, height, width, channels = SHIPPED[name].input.shape
        found = refused(
            declared(name, input=input_as(SHIPPED[name], shape=(1, height + 8, width, channels))),
            name,
        )
        assert f"input is uint8[1, {height}, {width}, {channels}]" in found
        assert f"the manifest says uint8[1, {height + 8}, {width}, {channels}]" in found

    def test_input_type(self, name: str) -> None:
        found = refused(declared(name, input=input_as(SHIPPED[name], dtype="int8")), name)
        assert "input is uint8[" in found
        assert "the manifest says int8[" in found

    def test_input_scale(self, name: str) -> None:
        scale = SHIPPED[name].input.scale
        found = refused(declared(name, input=input_as(SHIPPED[name], scale=scale * 1.001)), name)
        assert f"scale {scale:.6g}," in found
        assert f"{scale * 1.001:.6g}," in found

    def test_input_zero_point(self, name: str) -> None:
        found = refused(declared(name, input=input_as(SHIPPED[name], zero_point=3)), name)
        assert f"zero point {SHIPPED[name].input.zero_point};" in found
        assert found.endswith(", 3")

    def test_output_shape(self, name: str) -> None:
        outputs = dict(SHIPPED[name].outputs)
        key, tensor = outputs.popitem()
        other = msgspec.structs.replace(tensor, shape=(*tensor.shape[:-1], 77))
        found = refused(declared(name, outputs={**outputs, key: other}), name)
        assert f"no output '{key}' of shape {list(other.shape)}" in found
        assert str(list(tensor.shape)) in found

    @pytest.mark.parametrize("change", [{"dtype": "int8"}, {"scale": 0.5}, {"zero_point": -1}])
    def test_output_quantisation(self, name: str, change: dict[str, Any]) -> None:
        outputs = dict(SHIPPED[name].outputs)
        key, tensor = outputs.popitem()
        found = refused(
            declared(name, outputs={**outputs, key: msgspec.structs.replace(tensor, **change)}),
            name,
        )
        assert f"output '{key}' is uint8" in found
        assert "the manifest says" in found


class RemoteInterpreter:
    """An Edge TPU that answers the same whatever it is asked."""

    def __init__(self, answer: dict[str, npt.NDArray[np.uint8]]) -> None:
        self.answer: dict[str, npt.NDArray[np.uint8]] | None = answer
        self.asked: list[tuple[str, npt.NDArray[np.uint8]]] = []

    def run(self, name: str, pixels: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.uint8]] | None:
        self.asked.append((name, pixels))
        return self.answer


@each_model
class TestShippedModels:
    @each_runtime
    def test_runs(self, name: str, runtime: str) -> None:
        """Twice the same input is twice the same output, whatever came in between; a result is a copy."""
        row = SHIPPED[name]
        model = Model(SHIPPED, name, runtime_name=runtime)
        assert model.runtime == runtime
        seen = pictures(row)
        model.invoke(seen["photo"])
        first = {key: model.raw(key) for key in row.outputs}
        kept = {key: value.copy() for key, value in first.items()}
        # A sure classifier may say the same of two pictures; not of everything.
        black = np.zeros_like(seen["photo"])
        others = []
        for picture in (seen["dim"], seen["close"], black, 255 - black):
            model.invoke(picture)  # type: ignore[arg-type]
            others.append(any((model.raw(key) != first[key]).any() for key in row.outputs))
        assert any(others), "it looks at its input"
        model.invoke(seen["photo"])
        for key, tensor in row.outputs.items():
            assert first[key].shape == tensor.shape[1:]
            assert first[key].dtype == tensor.dtype
            np.testing.assert_array_equal(first[key], kept[key])
            np.testing.assert_array_equal(model.raw(key), kept[key])

    def test_real_values(self, name: str) -> None:
        """real = (stored - zero point) * scale; also of a part."""
        row = SHIPPED[name]
        model = Model(SHIPPED, name)
        model.invoke(pictures(row)["photo"])
        for key, tensor in row.outputs.items():
            stored = model.raw(key)
            expected = (stored.astype(float) - tensor.zero_point) * tensor.scale
            assert model.dequantized(key).dtype == np.float32
            np.testing.assert_allclose(model.dequantized(key), expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(model.dequantized(key, stored[:1]), expected[:1], rtol=1e-5, atol=1e-6)

    @pytest.mark.skipif(len(RUNTIMES) < 2, reason="only one runtime is installed")
    @pytest.mark.parametrize("picture", ["photo", "mirrored", "dim", "close"])
    def test_both_runtimes_agree(self, name: str, picture: str) -> None:
        """Not bit-exact (their kernels round differently), but close: in steps of 1/256 of an output's range.

        On pictures of something; on a black one, a net is free to make of a rounding what it likes.
        """
        row = SHIPPED[name]
        pixels = pictures(row)[picture]
        models = [Model(SHIPPED, name, runtime_name=runtime) for runtime in RUNTIMES]
        for model in models:
            model.invoke(pixels)
        for key in row.outputs:
            one, other = (model.raw(key).astype(int) for model in models)
            apart = np.abs(one - other)
            assert np.percentile(apart, 99) <= 24, key
            if apart.size > 100:
                assert apart.mean() <= 4, key
            else:
                assert one.argmax() == other.argmax(), "a few numbers far apart are a different answer"

    def test_the_remote_interpreter_comes_first(self, name: str) -> None:
        """A remote result is used as it is; without one, the model runs here. The request holds name and pixels."""
        row = SHIPPED[name]
        pixels = pictures(row)["photo"]
        here = Model(SHIPPED, name)
        here.invoke(pixels)
        remote = RemoteInterpreter({key: np.full(tensor.shape[1:], 7, np.uint8) for key, tensor in row.outputs.items()})
        model = Model(SHIPPED, name, remote=remote)  # type: ignore[arg-type]
        model.invoke(pixels)
        for key, tensor in row.outputs.items():
            assert (model.raw(key) == 7).all()
            assert model.dequantized(key).max() == np.float32((7 - tensor.zero_point) * tensor.scale)
        remote.answer = None
        model.invoke(pixels)
        for key in row.outputs:
            np.testing.assert_array_equal(model.raw(key), here.raw(key))
        assert [asked for asked, _ in remote.asked] == [name, name]
        assert all(given is pixels for _, given in remote.asked)

    def test_the_edge_tpu_compiler_would_take_it(self, name: str) -> None:
        assert modelfile.check(SHIPPED.read(name))

    def test_an_op_too_many(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        used = modelfile.check(SHIPPED.read(name))
        monkeypatch.delitem(modelfile.EDGE_TPU_OPS, "CONV_2D")
        with pytest.raises(modelfile.ModelFileError, match=f"op CONV_2D version {used['CONV_2D']}"):
            modelfile.check(SHIPPED.read(name))

    def test_an_op_too_new(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        used = modelfile.check(SHIPPED.read(name))
        monkeypatch.setitem(modelfile.EDGE_TPU_OPS, "CONV_2D", used["CONV_2D"] - 1)
        with pytest.raises(modelfile.ModelFileError, match=f"op CONV_2D version {used['CONV_2D']}"):
            modelfile.check(SHIPPED.read(name))

    def test_a_uint8_tensor_inside(self, name: str) -> None:
        """Of the older kind of quantisation: only at both ends, where the pixels and the results are."""
        content = bytearray(SHIPPED.read(name))
        graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
        table = graph.Tensors(graph.Operators(0).Outputs(0))._tab
        content[table.Pos + table.Offset(6)] = tflite.TensorType.UINT8
        with pytest.raises(modelfile.ModelFileError, match="is UINT8"):
            modelfile.check(bytes(content))

    def test_a_shape_that_is_not_static(self, name: str) -> None:
        """A height of -1 in the input's shape signature, the field (number 7) that says what may change."""
        content = bytearray(SHIPPED.read(name))
        graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
        table = graph.Tensors(graph.Inputs(0))._tab
        vtable = table.Pos - int.from_bytes(content[table.Pos : table.Pos + 4], "little", signed=True)
        assert int.from_bytes(content[vtable : vtable + 2], "little") >= 20, "there is room for it"
        content[vtable + 18 : vtable + 20] = content[vtable + 4 : vtable + 6]  # the signature is the shape
        height = table.Vector(table.Offset(4)) + 4
        content[height : height + 4] = (-1).to_bytes(4, "little", signed=True)
        with pytest.raises(modelfile.ModelFileError, match="has no static shape"):
            modelfile.check(bytes(content))

    def test_a_float_tensor(self, name: str, tmp_path: Path) -> None:
        """The file's own type of its input turned to float32: caught by the check, and by the door."""
        content = bytearray(SHIPPED.read(name))
        graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
        table = graph.Tensors(graph.Inputs(0))._tab
        content[table.Pos + table.Offset(6)] = tflite.TensorType.FLOAT32
        with pytest.raises(modelfile.ModelFileError, match="is FLOAT32") as caught:
            modelfile.check(bytes(content))
        assert "inputs are FLOAT32; expected UINT8" in str(caught.value)

        row = msgspec.structs.replace(SHIPPED[name], sha256=hashlib.sha256(content).hexdigest())
        (tmp_path / row.file).write_bytes(content)
        for runtime in RUNTIMES:
            refused(Manifest(tmp_path, {name: row}), name, runtime)
