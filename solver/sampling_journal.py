"""Finished paths of a sampling that is under way, kept so that an interruption loses only the path being solved.

A folder beside the dataset: `recipe.json`, which says what is sampled, and one journal per rank and start, to which a
record is added after each path. A record that a kill cut off, or that was damaged, ends its journal; its path is
solved again.
"""

import io
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from materials.measures import FloatArray
from solver.results.atomic import write_text

_HEADER = struct.Struct("<4sQI")
_MAGIC = b"path"
_RECIPE = "recipe.json"


class PathResult(NamedTuple):
    """What the cell answered along one path, up to the first step that it could not follow."""

    path: int
    flux: FloatArray
    """(steps done, g)"""
    tangent: FloatArray
    """(steps done, g, g)"""
    seconds: float
    """Wall time of the cell solves."""
    failure: str
    """Why the path ends early; empty where it does not."""


class JournalFolder:
    """The folder of journals that belongs to a dataset."""

    def __init__(self, dataset: Path) -> None:
        self.path = dataset.with_name(f"{dataset.name}.parts")

    def recipe(self) -> dict[str, Any] | None:
        """What the earlier start sampled; None where there was none."""
        try:
            found = json.loads((self.path / _RECIPE).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError):
            return None  # written as a whole or not at all
        return found if isinstance(found, dict) else None

    def create(self, recipe: Mapping[str, Any]) -> None:
        """Start afresh."""
        self.remove()
        self.path.mkdir(parents=True)
        write_text(self.path / _RECIPE, json.dumps(recipe, indent=1, ensure_ascii=False) + "\n")

    def starts(self) -> int:
        """How often a sampling into this folder was begun."""
        numbers = [int(file.name.split("-")[1]) for file in self.path.glob("start-*-rank-*.journal")]
        return max(numbers, default=-1) + 1

    def journal(self, start: int, rank: int) -> "Journal":
        """A new journal."""
        return Journal(self.path / f"start-{start}-rank-{rank}.journal")

    def results(self) -> Iterator[PathResult]:
        """Everything that was finished, in no particular order."""
        for file in sorted(self.path.glob("start-*.journal")):
            yield from _records(file.read_bytes())

    def remove(self) -> None:
        """Remove the folder, but nothing that does not belong there."""
        if self.path.is_dir():
            for file in (*self.path.glob("start-*.journal"), *self.path.glob(f"*{_RECIPE}*")):
                file.unlink()
            self.path.rmdir()


class Journal:
    """A file to which records are added; each is on the disk when `add` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def add(self, result: PathResult) -> None:
        """Add one path."""
        content = io.BytesIO()
        np.savez(content, **{name: np.asarray(value) for name, value in result._asdict().items()})  # type: ignore[arg-type]
        record = content.getvalue()
        self._file.write(_HEADER.pack(_MAGIC, len(record), zlib.crc32(record)) + record)
        self._file.flush()
        os.fsync(self._file.fileno())


def _records(content: bytes) -> Iterator[PathResult]:
    """The undamaged records at the beginning of a journal."""
    start = 0
    while start + _HEADER.size <= len(content):
        magic, length, checksum = _HEADER.unpack_from(content, start)
        start += _HEADER.size
        record = content[start : start + length]
        if magic != _MAGIC or len(record) < length or zlib.crc32(record) != checksum:
            return
        start += length
        with np.load(io.BytesIO(record), allow_pickle=False) as stored:
            yield PathResult(
                int(stored["path"]),
                stored["flux"],
                stored["tangent"],
                float(stored["seconds"]),
                str(stored["failure"]),
            )
