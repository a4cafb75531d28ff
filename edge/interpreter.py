"""The only door to TFLite: a model, checked against its manifest row, ready to be fed and invoked.

On the CPU, LiteRT (`ai_edge_litert`) is taken where it is installed, `tflite_runtime` otherwise: the same API, but LiteRT
hands 8-bit models to XNNPACK and is many times faster at them. For the Edge TPU it is the other way round, see
EDGETPU_RUNTIMES; accelerator.py is what uses those, in a process of its own.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .errors import ModelError, Unavailable
from .manifest import Manifest, Row, Tensor
from .native import messages

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
#: What may drive an Edge TPU, in the order of trying. A libedgetpu works with the TFLite it was built for and those near
#: it, and segfaults with others: which one fits can only be tried. pycoral brings Google's own pairing where there is one.
EDGETPU_RUNTIMES = ("tflite_runtime", "ai_edge_litert", "pycoral")
EDGETPU_LIBRARY = "libedgetpu.so.1"

Raw = npt.NDArray[np.uint8] | npt.NDArray[np.int8]


def runtime(name: str | None = None) -> tuple[str, Any]:
    """Name and interpreter module of the runtime to use: `name`, or the first installed of RUNTIMES.

    Raises Unavailable where there is none.
    """
    tried = []
    for candidate in (name,) if name else RUNTIMES:
        try:
            return candidate, importlib.import_module(f"{candidate}.interpreter")
        except ImportError as error:
            tried.append(f"{candidate}: {error}")
    raise Unavailable(
        f"no TFLite runtime can be imported ({'; '.join(tried)})", "pip install ai-edge-litert  (or tflite-runtime)"
    )


def edgetpu_interpreter(name: str, content: bytes | None) -> Any:
    """An interpreter for a model compiled for the Edge TPU; with `content` None only the delegate, which opens the device.

    `name` is one of EDGETPU_RUNTIMES. Raises Unavailable where that is not installed and ValueError where there is no
    device, or one that cannot be opened. May also hang, or end the process.
    """
    if name == "pycoral":
        try:
            # The pycoral of PyPI is another project (a coral reef atlas), and has no such module.
            pycoral = importlib.import_module("pycoral.utils.edgetpu")
        except ImportError as error:
            raise Unavailable(f"Google's pycoral cannot be imported ({error})") from None
        return pycoral.load_edgetpu_delegate() if content is None else pycoral.make_interpreter(content)
    _, module = runtime(name)
    delegate = module.load_delegate(EDGETPU_LIBRARY)
    if content is None:
        return delegate
    # One delegate a model, as pycoral does it; inside libedgetpu they share the one open device.
    return module.Interpreter(model_content=content, experimental_delegates=[delegate])


class Network:
    """An interpreter whose tensors are those that a manifest row describes. Not thread-safe.

    Raises ModelError, naming `path`, where they are not.
    """

    def __init__(self, path: Path, row: Row, interpreter: Any) -> None:
        """`interpreter` has its tensors allocated."""
        self._path = path
        self._interpreter = interpreter
        try:
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except ValueError as error:  # names that are not UTF-8
            raise ModelError(f"{path}: its tensors cannot be read: {error}", "install Doorlight again") from None
        if len(inputs) != 1:
            raise ModelError(f"{path}: has {len(inputs)} inputs, expected 1")
        self._check("input", inputs[0], row.input)
        self._input = inputs[0]["index"]
        # The converter orders outputs as it likes: tell them apart by shape, which the manifest keeps distinct.
        self._outputs: dict[str, int] = {}
        for key, tensor in row.outputs.items():
            fits = [o for o in outputs if tuple(int(v) for v in o["shape"]) == tensor.shape]
            if len(fits) != 1:
                shapes = ", ".join(str([int(v) for v in o["shape"]]) for o in outputs)
                raise ModelError(f"{path}: no output '{key}' of shape {list(tensor.shape)}; there are {shapes}")
            self._check(f"output '{key}'", fits[0], tensor)
            self._outputs[key] = fits[0]["index"]

    def _check(self, what: str, found: dict[str, Any], expected: Tensor) -> None:
        shape, dtype = tuple(int(v) for v in found["shape"]), np.dtype(found["dtype"]).name
        scale, zero_point = found["quantization"]
        agreed = shape == expected.shape and dtype == expected.dtype
        if not agreed or zero_point != expected.zero_point or not np.isclose(scale, expected.scale, rtol=1e-4):
            raise ModelError(
                f"{self._path}: {what} is {dtype}{list(shape)} with scale {scale:.6g}, zero point {zero_point}; "
                f"the manifest says {expected.dtype}{list(expected.shape)}, {expected.scale:.6g}, {expected.zero_point}",
                "model and manifest.toml do not belong together: install Doorlight again",
            )

    def invoke(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Run on `pixels`, (height, width, channels) uint8. Raises RuntimeError where a delegate fails."""
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()

    def raw(self, output: str) -> Raw:
        """The stored values of an output after `invoke`, without the batch axis; a copy."""
        value: Raw = self._interpreter.get_tensor(self._outputs[output])[0]
        return value


class Elsewhere(Protocol):
    """Where models may run instead of in this process; see accelerator.Accelerator."""

    def run(self, name: str, pixels: npt.NDArray[np.uint8]) -> dict[str, Raw] | None:
        """The raw outputs of model `name` for `pixels`; None: cannot now, run it here. Never raises, never hangs."""


class Model:
    """One loaded model. Not thread-safe: one thread feeds and invokes it.

    With `elsewhere`, each call goes there first; what it does not answer runs here, on the CPU, where the model stays
    loaded: whatever happens elsewhere, no frame is lost.

    Raises ModelError where the file is missing, damaged, or has other tensors than the manifest says.
    """

    def __init__(
        self,
        manifest: Manifest,
        name: str,
        threads: int = 1,
        runtime_name: str | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.name = name
        self.row = manifest[name]
        self.path = manifest.folder / self.row.file
        self._elsewhere = elsewhere
        self._answer: dict[str, Raw] | None = None
        content = manifest.read(name)
        self.runtime, module = runtime(runtime_name)
        with messages() as said:
            try:
                # LiteRT keeps no copy of the content: hold it for as long as the interpreter lives. In memory, not as a
                # mapped file: a memory card that fails later must not end a running door (SIGBUS).
                self._content = content
                interpreter = module.Interpreter(model_content=content, num_threads=threads)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                failure: Exception | None = error
            else:
                failure = None
        if failure is not None:
            told = [line for line in said if line.startswith("ERROR")]
            why = "; ".join([str(failure).split("\n")[0], *told])
            raise ModelError(
                f"{self.path}: is not a model that {self.runtime} can load: {why}", "install Doorlight again"
            )
        self._here = Network(self.path, self.row, interpreter)

    def invoke(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Run on `pixels`, (height, width, channels) uint8 as the manifest's input says."""
        self._answer = None if self._elsewhere is None else self._elsewhere.run(self.name, pixels)
        if self._answer is None:
            self._here.invoke(pixels)

    def raw(self, output: str) -> Raw:
        """The stored values of an output after `invoke`, without the batch axis; a copy."""
        return self._here.raw(output) if self._answer is None else self._answer[output]

    def real(self, output: str, raw: Raw | None = None) -> npt.NDArray[np.float32]:
        """Dequantised values of an output (or of part of its `raw` values), float32."""
        tensor = self.row.outputs[output]
        stored = self.raw(output) if raw is None else raw
        return (stored.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
