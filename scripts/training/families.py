"""Families of pictures: the same person, the same original, or pictures that look alike. No family is in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np

from .arrays import Picture

#: Pictures whose difference hashes (Krawetz 2013) differ in at most this number of 64 bits look alike.
MAX_DISTANCE = 4
#: (first bit, bits) of the bands of a hash. If at most four bits differ, one of five bands is the same in both.
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))


class Families:
    """Sets of items 0 .. n - 1 that grow together (union-find)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, k: int) -> int:
        """Return the item that stands for the family of item k."""
        while self._parent[k] != k:
            self._parent[k] = self._parent[self._parent[k]]
            k = self._parent[k]
        return k

    def join(self, a: int, b: int) -> None:
        """Make one family of those of a and b."""
        self._parent[self.root(a)] = self.root(b)


def difference_hash(picture: Picture) -> int:
    """Return the difference hash, 64 bits, of a picture (H, W, 3) uint8 RGB."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def join_alike(families: Families, items: Sequence[int], hashes: Sequence[int]) -> None:
    """Join the families of items whose hashes are at most MAX_DISTANCE apart."""
    for shift, width in BANDS:
        buckets: dict[int, list[int]] = defaultdict(list)
        for j, value in enumerate(hashes):
            buckets[(value >> shift) & ((1 << width) - 1)].append(j)
        for bucket in buckets.values():
            values = np.array([hashes[j] for j in bucket], np.uint64)
            for a, j in enumerate(bucket[:-1]):
                bits = (values[a + 1 :] ^ values[a]).view(np.uint8).reshape(-1, 8)
                apart = np.unpackbits(bits, axis=1).sum(1)
                for b in np.flatnonzero(apart <= MAX_DISTANCE):
                    families.join(items[bucket[a + 1 + int(b)]], items[j])
