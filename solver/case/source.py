"""Reading the text of a case file, with every way in which a path can disappoint told in one line."""

from pathlib import Path

from solver.case.document import MAX_BYTES, Node, parse_yaml
from solver.case.errors import BadInput


def read_text(path: Path) -> str:
    """Text of a case file.

    Raises:
        BadInput: missing, a directory, unreadable, too large, binary, or not UTF-8.
    """
    try:
        if path.is_dir():
            raise BadInput(f"{path}: is a directory, name a case file in it")
        if not path.exists():
            raise BadInput(f"{path}: no such file, check the path{_siblings(path)}")
        if not path.is_file():
            raise BadInput(f"{path}: is not a regular file, name a case file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadInput(f"{path}: {size} bytes is too large for a case file, at most {MAX_BYTES} are read")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(f"{path}: cannot be read ({reason}), check the path and its permissions") from None
    if b"\0" in raw:
        raise BadInput(f"{path}: is a binary file, a case file is text in YAML")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{path}:{line}: byte {error.start} is not UTF-8, save the file as UTF-8 text") from None


def _siblings(path: Path) -> str:
    """The case files beside a missing one, for the message."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist either"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in {".yaml", ".yml"})
    return f"; in that folder: {', '.join(names[:10])}" if names else ""


def parse_case_text(text: str, name: str) -> Node:
    """Node tree of a case file, whose top level must be a mapping."""
    root = parse_yaml(text, name)
    if root is None or root.content is None:
        raise BadInput(f"{name}:1: the file is empty, `fe2 new NAME` writes a case to start from")
    if not isinstance(root.content, dict):
        kind = "a list" if isinstance(root.content, list) else "a single value"
        raise BadInput(f"{root.place}: the top level is {kind}, write a mapping of keys such as `physics:` and `mesh:`")
    root.place = f"{name}:1"
    return root
