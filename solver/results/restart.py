"""Whether a case may go on from a restart point."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from solver.results.checkpoint import Header

FREE = (("title",), ("solver",), ("output",), ("surrogates",), ("load", "adaptive"))
"""Parts of a case that may change at a restart: they do not change what was computed so far."""


def first_difference(now: Header, then: Header) -> str | None:
    """Why the case of now cannot continue the run of then, in words that start with the key; None if it can."""
    change = _difference(now.case, then.case, ())
    if change is not None:
        return change
    for name, digest in then.files.items():
        if now.files.get(name, digest) != digest:
            return f"the file {name} is no longer what it was"
    return None


def file_digests(case: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of every file under a key `file` of a resolved case."""
    digests: dict[str, str] = {}
    for path in _files(case):
        if path.is_file():
            digests[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def _files(value: Any) -> list[Path]:
    if isinstance(value, Mapping):
        own = [Path(value["file"])] if isinstance(value.get("file"), str) else []
        return own + [path for child in value.values() for path in _files(child)]
    if isinstance(value, list):
        return [path for child in value for path in _files(child)]
    return []


def _difference(now: Any, then: Any, path: tuple[str, ...]) -> str | None:
    if path in FREE:
        return None
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        for key in dict.fromkeys((*then, *now)):
            change = _difference(now.get(key), then.get(key), (*path, str(key)))
            if change is not None:
                return change
        return None
    if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for index, (a, b) in enumerate(zip(now, then, strict=True)):
            change = _difference(a, b, (*path, str(index)))
            if change is not None:
                return change
        return None
    return None if now == then else f"{'.'.join(path)}: is {now}, the run that left the restart point had {then}"
