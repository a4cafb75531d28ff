"""Which enrolled person a face is: the cosine of its vector with every template, and a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .record import DIMENSIONS, Person, Vector, to_vector


def relaxed(threshold: float, times: float) -> float:
    """Return the cosine whose distance from 1 is `times` that of `threshold`.

    Embedders differ in how near to 1 all cosines are: a fixed step below the threshold would mean something else for each.
    """
    return 1.0 - times * (1.0 - threshold)


class Match(NamedTuple):
    """The most similar person, and the cosine."""

    person: Person
    similarity: float


class Gallery:
    """Templates to compare with. `foreign` are the people whose template is of another model."""

    def __init__(self, people: Sequence[Person], model: str, threshold: float) -> None:
        """Compare with the templates that `model` has made; `threshold` is the cosine from which a face is a person's."""
        self.threshold = threshold
        self.people = tuple(person for person in people if person.model == model)
        self.foreign = tuple(person for person in people if person.model != model)
        self._vectors = np.zeros((len(self.people), DIMENSIONS), np.float32)
        for row, person in zip(self._vectors, self.people, strict=True):
            row[:] = to_vector(person.template)

    def nearest(self, vector: Vector) -> Match | None:
        """Return the person who is most similar to a vector (128,) of length 1, also below the threshold; None without people."""
        if not self.people:
            return None
        similarities = self._vectors @ vector
        best = int(np.argmax(similarities))
        return Match(self.people[best], float(similarities[best]))

    def find(self, vector: Vector) -> Match | None:
        """Return the person whose similarity reaches the threshold; None for a stranger."""
        match = self.nearest(vector)
        return match if match is not None and match.similarity >= self.threshold else None
