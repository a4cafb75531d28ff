"""Run the exported laboratory model (age_sex.md): 8-bit TFLite, a face crop in, age and sex out."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import ModelError
from edge.imaging import images
from edge.inference.interpreter import create_interpreter, load_runtime

from .arrays import Box, Floats, Picture, as_floats
from .dataset import CROP_MARGIN

#: The answers of the first output.
SEXES = ("male", "female")
#: Years of a class of age, the second output; the last class has no upper end.
YEARS_A_CLASS, AGE_CLASSES = 10, 9
#: Side of the crop in pixels. It is cut as for the mask classifier.
SIZE = 128
MAKE_IT = "make it with python -m training.judge_age_sex"
#: Probability from which the audit believes the sex.
SURE = 0.8


class Person(NamedTuple):
    """What the model says of a face: probabilities of SEXES (2,), and of the classes of age (AGE_CLASSES,)."""

    sex: Floats
    age: Floats

    @property
    def sex_name(self) -> str:
        """Return the more probable of SEXES."""
        return SEXES[int(self.sex.argmax())]

    @property
    def years(self) -> float:
        """Return the expected age."""
        return float(expected_years(self.age))


class AgeSexModel:
    """The model in a file, in the first runtime that is installed, on one thread."""

    def __init__(self, path: Path) -> None:
        """Raises ModelError if the file is not this model."""
        if not path.is_file():
            raise ModelError(f"{path}: no such file", MAKE_IT)
        runtime, module = load_runtime()
        try:
            self._interpreter = create_interpreter(runtime, module, model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: not a model that can be run: {error}", MAKE_IT) from None
        self._input = self._interpreter.get_input_details()[0]
        outputs = {int(d["shape"][-1]): d for d in self._interpreter.get_output_details()}
        if tuple(self._input["shape"]) != (1, SIZE, SIZE, 3) or set(outputs) != {len(SEXES), AGE_CLASSES}:
            raise ModelError(f"{path}: not a model of age and sex", MAKE_IT)
        self._sex, self._age = outputs[len(SEXES)], outputs[AGE_CLASSES]

    def answer(self, crop: Picture) -> Person:
        """Return the answer for a crop (SIZE, SIZE, 3) uint8 RGB, as `face_crop` makes it."""
        self._interpreter.set_tensor(self._input["index"], crop[None])
        self._interpreter.invoke()
        return Person(self._probabilities(self._sex), self._probabilities(self._age))

    def _probabilities(self, detail: dict) -> Floats:
        scale, zero_point = detail["quantization"]
        raw = self._interpreter.get_tensor(detail["index"])[0].astype(np.float32)
        p = np.maximum((raw - zero_point) * scale, 1e-4)
        return as_floats(p / p.sum())


def face_crop(picture: Picture, box: Box) -> Picture:
    """Return the crop (SIZE, SIZE, 3) of a face that the model gets."""
    return images.crop_square(picture, box, SIZE, CROP_MARGIN)


def expected_years(age: Floats) -> Floats:
    """Return the mean age (...) of probabilities (..., AGE_CLASSES), with each class at its middle (Rothe et al. 2015)."""
    return as_floats(age @ ((np.arange(AGE_CLASSES) + 0.5) * YEARS_A_CLASS).astype(np.float32))
