"""Choose the records of a data set to evaluate on, and check their pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from ..dataset import Dataset, require
from ..records import DataError, Record
from .common import progress


def choose(folders: Sequence[Path], sources: Sequence[str] | None, split: str) -> tuple[Dataset, list[Record]]:
    """Return the data set of `folders`, and its records of `sources` (None: all) in `split` ("all": every split).

    Raises DataError if a record is invalid or nothing is chosen.
    """
    data = Dataset(*folders, sources=sources)
    records = data.records
    if split != "all":
        # Similar pictures of all folders and sources are in one split: make the splits before choosing the sources.
        # A data set whose records all name their split needs no comparison of pictures.
        if any(r.split is None for r in records) and sources is not None:
            data = Dataset(*folders)
        records = [r for r in data.splits()[split] if sources is None or r.source in sources]
    require(records, split, "picture")
    return data, records


def check_pictures(data: Dataset, records: Sequence[Record]) -> None:
    """Read every picture once, so that a damaged one is reported before inference starts. Raises DataError."""
    for record in progress(records, "checking"):
        try:
            data.picture(record)
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"record '{record.file}': field 'file': cannot be read: {error}") from None
