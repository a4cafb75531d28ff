"""Load a model into a TFLite runtime, check it against its manifest entry, and invoke it.

This is the only module that imports a TFLite runtime. On the CPU, LiteRT (`ai_edge_litert`) is preferred to
`tflite_runtime`: both have the same API, but LiteRT passes 8-bit models to XNNPACK and runs them many times faster. For
the Edge TPU the order is the other way round, see EDGETPU_RUNTIMES; `edgetpu_worker` uses those in a child process.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import ModelError, UnavailableError
from ..system import libraries
from ..system.stderr import captured
from .manifest import REINSTALL, Manifest, ModelEntry, Tensor

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
#: Runtimes that may drive an Edge TPU, in the order of trying. A libedgetpu works with the TFLite version that it was
#: built for and with similar ones, and segfaults with others: only a try shows which one fits. Google's pycoral brings
#: a matching pair, where it is installed.
EDGETPU_RUNTIMES = ("tflite_runtime", "ai_edge_litert", "pycoral")
EDGETPU_LIBRARY = "libedgetpu.so.1"

#: A model's input without the batch axis, (height, width, channels) uint8.
Pixels = npt.NDArray[np.uint8]
#: Values of an output as the model stores them, see `Tensor`.
RawOutput = npt.NDArray[np.uint8] | npt.NDArray[np.int8]


def load_runtime(name: str | None = None) -> tuple[str, Any]:
    """Import a TFLite runtime: `name`, or the first of RUNTIMES that is installed.

    Return its name and interpreter module.

    Raises UnavailableError if it cannot be imported.
    """
    problem: libraries.LibraryProblem | None = None
    failures = []
    for candidate in (name,) if name else RUNTIMES:
        try:
            module = importlib.import_module(f"{candidate}.interpreter")
        except ModuleNotFoundError as error:
            failures.append(f"{candidate}: {error}")
        except Exception as error:  # compiled for another NumPy, C library or processor
            problem = problem or libraries.explain(error)
            failures.append(f"{candidate}: {error}")
        else:
            if hasattr(module, "Interpreter"):
                return candidate, module
            problem = problem or libraries.incomplete(candidate)
    # A runtime that is installed and broken is the one that the user wants.
    if problem is not None:
        raise UnavailableError(*problem)
    raise UnavailableError(
        f"no TFLite runtime can be imported ({'; '.join(failures)})", libraries.missing_runtime_fix()
    )


def create_interpreter(runtime: str, module: Any, **arguments: Any) -> Any:
    """Return `module.Interpreter(**arguments)`; `module` is the interpreter module of `runtime`.

    Raises UnavailableError if the runtime does not work with the installed NumPy, and ValueError or RuntimeError if it
    cannot load the model.
    """
    try:
        return module.Interpreter(**arguments)
    except SystemError as error:  # tflite_runtime imports NumPy's C interface here, and not before
        problem = libraries.explain(error)
        if problem is None:
            raise UnavailableError(f"{runtime}: {error}", libraries.missing_runtime_fix()) from error
        raise UnavailableError(*problem) from None


def load_edgetpu_delegate(runtime: str) -> Any:
    """Load libedgetpu into one of EDGETPU_RUNTIMES and open the device; it stays open while the delegate exists.

    Raises UnavailableError if the runtime is not installed, and ValueError if there is no device or it cannot be
    opened. May also hang, or end the process.
    """
    if runtime == "pycoral":
        return _import_pycoral().load_edgetpu_delegate()
    return load_runtime(runtime)[1].load_delegate(EDGETPU_LIBRARY)


def create_edgetpu_interpreter(runtime: str, content: bytes) -> Any:
    """Return a TFLite interpreter for a model compiled for the Edge TPU. Raises like `load_edgetpu_delegate`."""
    if runtime == "pycoral":
        return _import_pycoral().make_interpreter(content)
    # One delegate for each model, as in pycoral; libedgetpu shares the open device between them.
    delegate = load_edgetpu_delegate(runtime)
    module = load_runtime(runtime)[1]
    return create_interpreter(runtime, module, model_content=content, experimental_delegates=[delegate])


def _import_pycoral() -> Any:
    try:
        # PyPI's pycoral is another project (a coral reef atlas) and has no such module.
        return importlib.import_module("pycoral.utils.edgetpu")
    except ImportError as error:
        raise UnavailableError(f"Google's pycoral cannot be imported ({error})") from None


class CheckedInterpreter:
    """A TFLite interpreter whose tensors match a manifest entry. Not thread-safe."""

    def __init__(self, path: Path, entry: ModelEntry, interpreter: Any) -> None:
        """Check `interpreter`, a TFLite interpreter with allocated tensors.

        Raises ModelError, with `path`, if a tensor differs from `entry`.
        """
        self._path = path
        self._interpreter = interpreter
        try:
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except ValueError as error:  # a tensor's name is not UTF-8
            raise ModelError(f"{path}: its tensors cannot be read: {error}", REINSTALL) from None
        if len(inputs) != 1:
            raise ModelError(f"{path}: has {len(inputs)} inputs, expected 1", REINSTALL)
        self._check("input", inputs[0], entry.input)
        self._input_index = inputs[0]["index"]
        # The converter may reorder outputs, so they are recognised by shape; the manifest gives each a different one.
        self._output_index: dict[str, int] = {}
        for key, tensor in entry.outputs.items():
            matches = [details for details in outputs if _shape(details) == tensor.shape]
            if len(matches) != 1:
                shapes = ", ".join(str(list(_shape(details))) for details in outputs)
                raise ModelError(
                    f"{path}: no output '{key}' of shape {list(tensor.shape)}; there are {shapes}", REINSTALL
                )
            self._check(f"output '{key}'", matches[0], tensor)
            self._output_index[key] = matches[0]["index"]

    def _check(self, what: str, found: dict[str, Any], expected: Tensor) -> None:
        shape, dtype = _shape(found), np.dtype(found["dtype"]).name
        scale, zero_point = found["quantization"]
        same_type = shape == expected.shape and dtype == expected.dtype
        if not same_type or zero_point != expected.zero_point or not np.isclose(scale, expected.scale, rtol=1e-4):
            raise ModelError(
                f"{self._path}: {what} is {dtype}{list(shape)} with scale {scale:.6g}, zero point {zero_point}; "
                f"the manifest says {expected.dtype}{list(expected.shape)}, {expected.scale:.6g}, {expected.zero_point}",
                "model and manifest.toml do not belong together: install Doorlight again",
            )

    def invoke(self, pixels: Pixels) -> None:
        """Run the model on `pixels`, (height, width, channels) uint8. Raises RuntimeError if a delegate fails."""
        self._interpreter.set_tensor(self._input_index, pixels[np.newaxis])
        self._interpreter.invoke()

    def raw(self, output: str) -> RawOutput:
        """Return a copy of the stored values of an output after `invoke`, without the batch axis."""
        value: RawOutput = self._interpreter.get_tensor(self._output_index[output])[0]
        return value


def _shape(details: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(length) for length in details["shape"])


class RemoteInterpreter(Protocol):
    """Runs models outside this process. `edgetpu.Accelerator` is the one there is."""

    def run(self, name: str, pixels: Pixels) -> dict[str, RawOutput] | None:
        """Return the raw outputs of model `name` for `pixels`, or None if it cannot run now. Never raises or hangs."""


class Model:
    """One loaded model. Not thread-safe: one thread feeds and invokes it.

    With `remote`, each call goes there first. If it returns None, the model runs here on the CPU, where it stays
    loaded: no frame is lost, whatever happens to the remote side.
    """

    def __init__(
        self,
        manifest: Manifest,
        name: str,
        threads: int = 1,
        runtime_name: str | None = None,
        remote: RemoteInterpreter | None = None,
    ) -> None:
        """Load model `name`, with `threads` threads on the CPU.

        Raises ModelError if the file is missing, is damaged, or has other tensors than the manifest says, and
        UnavailableError if no runtime is installed, or if it does not work with the installed NumPy.
        """
        self.name = name
        self.entry = manifest[name]
        self.path = manifest.folder / self.entry.file
        self._remote = remote
        self._remote_outputs: dict[str, RawOutput] | None = None
        # LiteRT keeps no copy of the content, so it must live as long as the interpreter. It is read into memory, not
        # mapped from the file: with a mapping, a memory card that fails later would end a running door (SIGBUS).
        self._content = manifest.read(name)
        self.runtime, module = load_runtime(runtime_name)
        failure: Exception | None = None
        with captured() as output:
            try:
                interpreter = create_interpreter(self.runtime, module, model_content=self._content, num_threads=threads)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                failure = error
        if failure is not None:
            messages = [str(failure).split("\n")[0], *(line for line in output if line.startswith("ERROR"))]
            raise ModelError(
                f"{self.path}: is not a model that {self.runtime} can load: {'; '.join(messages)}", REINSTALL
            )
        self._local = CheckedInterpreter(self.path, self.entry, interpreter)

    def invoke(self, pixels: Pixels) -> None:
        """Run the model on `pixels`, (height, width, channels) uint8 with size and colours of the manifest's input."""
        self._remote_outputs = None if self._remote is None else self._remote.run(self.name, pixels)
        if self._remote_outputs is None:
            self._local.invoke(pixels)

    def raw(self, output: str) -> RawOutput:
        """Return a copy of the stored values of an output after `invoke`, without the batch axis."""
        return self._local.raw(output) if self._remote_outputs is None else self._remote_outputs[output]

    def dequantized(self, output: str, raw: RawOutput | None = None) -> npt.NDArray[np.float32]:
        """Return the real values of an output, or of a part of its values, `raw`."""
        tensor = self.entry.outputs[output]
        stored = self.raw(output) if raw is None else raw
        return (stored.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
