"""The process that holds the Edge TPU, and what both sides of it share: `python -m edge.inference.edgetpu_worker`.

The parent is `edgetpu_process.EdgeTpuProcess`. Pixels and results lie in shared memory, see `map_tensors`. The socket
(one message per packet) carries:

1. child to parent, JSON: {"library": path} once libedgetpu is loaded;
2. child to parent: READY once every model has run, or JSON {"reason", "hint", "kind"} and the child ends;
3. parent to child: the name of a model whose input is in the memory;
4. child to parent: DONE once its outputs are in the memory, or the reason of the failure; then again from 3.

The child ends when the parent closes the socket.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DoorlightError, ModelError
from ..system import child_process
from . import manifest as manifests
from .interpreter import (
    EDGETPU_LIBRARY,
    CheckedInterpreter,
    RawOutput,
    create_edgetpu_interpreter,
    load_edgetpu_delegate,
)
from .manifest import Manifest, Tensor

READY = b"ready"
DONE = b"done"

#: Kinds of failure. Another runtime may work after NOT_INSTALLED and OTHER, but not after NO_LIBRARY and NO_DEVICE.
NOT_INSTALLED = "not installed"
NO_LIBRARY = "no library"
NO_DEVICE = "no device"
OTHER = "other"

#: The key of a model's input among its tensors.
INPUT = ""

LIBRARY_HINT = "install Coral's libedgetpu1-std, in a build that fits the TFLite here (README: Coral)"
DEVICE_HINT = "is it plugged in, may this user use it (group plugdev), does another program hold it?"
MAX_TEXT = 1000
MAX_ANSWER_BYTES = 4096
MAX_NAME_BYTES = 256


def map_tensors(memory: mmap.mmap | None, manifest: Manifest, names: Sequence[str]) -> dict[str, dict[str, RawOutput]]:
    """Return arrays on the shared memory by model and tensor, with batch axis; the input has the key INPUT.

    The tensors follow one another without gaps: all their values are single bytes, so none needs an alignment. Without
    memory, the arrays have memory of their own; `memory_size` uses this to learn the size.
    """
    offset = 0
    arrays: dict[str, dict[str, RawOutput]] = {}
    for name in names:
        tensors: dict[str, Tensor] = {INPUT: manifest[name].input, **manifest[name].outputs}
        arrays[name] = {}
        for key, tensor in tensors.items():
            array: RawOutput = np.ndarray(
                tensor.shape, tensor.dtype, buffer=memory, offset=0 if memory is None else offset
            )
            arrays[name][key] = array
            offset += array.nbytes
    return arrays


def memory_size(manifest: Manifest, names: Sequence[str]) -> int:
    """Return the size of the shared memory in bytes; at least 1, because mmap refuses 0."""
    tensors = map_tensors(None, manifest, names).values()
    return max(1, sum(array.nbytes for arrays in tensors for array in arrays.values()))


class _Worker:
    """Loads the models onto the Edge TPU and runs them as the parent asks."""

    def __init__(self, channel: socket.socket, folder: Path, runtime: str, memory: int, names: Sequence[str]) -> None:
        self._channel = channel
        self._folder, self._runtime, self._memory, self._names = folder, runtime, memory, names
        self._interpreters: dict[str, CheckedInterpreter] = {}
        self._tensors: dict[str, dict[str, RawOutput]] = {}
        self._contents: list[bytes] = []  # LiteRT keeps no copy of a model's content

    def run(self) -> None:
        """Load everything, then serve until the parent closes the socket."""
        if self._load():
            self._channel.send(READY)
            self._serve()

    def _load(self) -> bool:
        """Load library, delegate and models, and invoke each model once; report a failure and return False."""
        kind, hint = NO_LIBRARY, LIBRARY_HINT
        try:
            ctypes.CDLL(EDGETPU_LIBRARY)
            loaded = re.search(r"/\S*libedgetpu\S*", Path("/proc/self/maps").read_text())
            self._report(library=loaded[0] if loaded else EDGETPU_LIBRARY)
            # libedgetpu gives no reason if it cannot open a device.
            kind, hint = NO_DEVICE, DEVICE_HINT
            delegate = load_edgetpu_delegate(self._runtime)
            kind, hint = OTHER, ""
            self._load_models()
            del delegate  # it kept the device open from one model to the next
        except DoorlightError as error:
            kind = OTHER if isinstance(error, ModelError) else NOT_INSTALLED
            self._report(reason=str(error), hint=error.hint, kind=kind)
            return False
        except (OSError, RuntimeError, ValueError) as error:
            self._report(reason=f"{self._runtime}: {_one_line(error)}", hint=hint, kind=kind)
            return False
        return True

    def _load_models(self) -> None:
        manifest = manifests.load(self._folder)
        self._tensors = map_tensors(mmap.mmap(self._memory, 0), manifest, self._names)
        for name in self._names:
            content = manifest.read(name, edgetpu=True)
            self._contents.append(content)
            interpreter = create_edgetpu_interpreter(self._runtime, content)
            interpreter.allocate_tensors()
            checked = CheckedInterpreter(self._folder / f"{name} for the Edge TPU", manifest[name], interpreter)
            checked.invoke(self._tensors[name][INPUT][0])
            self._interpreters[name] = checked

    def _serve(self) -> None:
        while name := self._channel.recv(MAX_NAME_BYTES).decode():
            try:
                self._invoke(name)
                answer = DONE
            except (RuntimeError, ValueError) as error:
                answer = _one_line(error).encode()[:MAX_ANSWER_BYTES]
            self._channel.send(answer)

    def _invoke(self, name: str) -> None:
        tensors, interpreter = self._tensors[name], self._interpreters[name]
        interpreter.invoke(tensors[INPUT][0])
        for key, tensor in tensors.items():
            if key != INPUT:
                tensor[0] = interpreter.raw(key)

    def _report(self, **fields: str) -> None:
        self._channel.send(json.dumps({key: value[:MAX_TEXT] for key, value in fields.items()}).encode())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _main(folder: str, runtime: str, channel: str, memory: str, *names: str) -> None:
    child_process.set_up()
    _Worker(socket.socket(fileno=int(channel)), Path(folder), runtime, int(memory), names).run()


if __name__ == "__main__":
    _main(*sys.argv[1:])
