"""Run a float TFLite model, and load a Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import ModelError, UnavailableError
from edge.inference.interpreter import load_runtime

Floats = npt.NDArray[np.float32]

#: The hint for a file that is a model, but another one.
WRONG_FILE = "use the file that the option names"


class FloatModel:
    """A float TFLite model with one input, (1, height, width, 3), on one thread. Raises ModelError for another file."""

    def __init__(self, path: Path) -> None:
        try:
            # LiteRT keeps no copy of the content: keep it as long as the interpreter.
            self._content = path.read_bytes()
            self._interpreter = load_runtime()[1].Interpreter(model_content=self._content, num_threads=1)
            self._interpreter.allocate_tensors()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}", "check the path of the file") from None
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: is not a TFLite model: {str(error).splitlines()[0]}") from None
        details = self._interpreter.get_input_details()
        if len(details) != 1 or len(details[0]["shape"]) != 4 or details[0]["dtype"] is not np.float32:
            raise ModelError(f"{path}: its input is not one float picture", WRONG_FILE)
        self._input = details[0]["index"]
        self.height, self.width = (int(v) for v in details[0]["shape"][1:3])

    def invoke(self, pixels: Floats) -> None:
        """Run the model on `pixels`, (height, width, 3) float32, scaled as the model expects."""
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()


def import_tensorflow(user: str) -> Any:
    """Return the module tensorflow. Raises UnavailableError, naming `user`, if it is not installed."""
    try:
        import tensorflow as tf
    except ImportError:
        raise UnavailableError(f"{user}: needs TensorFlow, which is not installed", "pip install .[train]") from None
    return tf


def load_keras(tf: Any, path: Path) -> Any:
    """Return a Keras model. Raises ModelError if the file is not one."""
    try:
        return tf.keras.models.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: is not a Keras model: {reason}", "use a file .hdf5, .h5 or .keras") from None
