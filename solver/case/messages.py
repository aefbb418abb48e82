"""From pydantic's list of errors to the one line that helps most."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from solver.case.closest import closest, unknown
from solver.case.document import Node
from solver.case.errors import BadInput, KeyPath, dotted
from solver.case.keys import keys_at
from solver.case.tagged_union import UNKNOWN_KIND, is_union_tag, unknown_kind

_UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
_MISSING = frozenset({"missing", "missing_argument"})
_WANTED_TYPES = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "dataclass_type": "a mapping of keys",
    "dataclass_exact_type": "a mapping of keys",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def bad_input(error: ValidationError, root: Node, model: type[BaseModel]) -> BadInput:
    """The most helpful of pydantic's errors on `model`, as one line with file, line and key path."""
    details = _relevant(error.errors(include_url=False), root)
    detail = next((detail for detail in details if detail["type"] in _UNKNOWN), details[0])
    path = key_path(detail, root)
    same = [other for other in details if key_path(other, root) == path]
    if detail["type"] in _UNKNOWN:
        paths = [key_path(other, root) for other in details if _is_missing(other)]
        missing = [str(other[-1]) for other in paths if other[:-1] == path[:-1]]
        text = _unknown_key(str(path[-1]), missing, keys_at(model, detail["loc"][:-1]))
    elif _is_missing(detail) and isinstance(path[-1], int):
        path, text = path[:-1], f"has {path[-1]} entries, which is too few; add an entry"
    elif _is_missing(detail):
        text = "this key is missing, add it"
        return BadInput(f"{root.located(path[:-1])}: {dotted(path)}: {text}")
    elif len(same) > 1 and all(other["type"] in _WANTED_TYPES for other in same):
        wanted = dict.fromkeys(_WANTED_TYPES[other["type"]] for other in same)
        text = f"must be {' or '.join(wanted)}, not {shown(detail['input'])}"
    else:
        text = message(detail)
    key = f"{dotted(path)}: " if path else ""
    return BadInput(f"{root.located(path)}: {key}{text}")


def message(detail: ErrorDetails) -> str:
    """What is wrong and what would be right, without place and key."""
    kind, given = detail["type"], shown(detail["input"])
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == UNKNOWN_KIND:
        return unknown_kind(context, detail["input"])[1]
    if "text" in context:
        return str(context["text"])
    if kind in _WANTED_TYPES:
        return f"must be {_WANTED_TYPES[kind]}, not {given}"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}, not {given}"
    if kind in ("literal_error", "enum"):
        return _choice(str(context["expected"]), detail["input"])
    if kind == "value_error":
        return str(context["error"])
    if kind in ("too_long", "too_short"):
        bound = "at most" if kind == "too_long" else "at least"
        limit = context["max_length" if kind == "too_long" else "min_length"]
        return f"has {context.get('actual_length', 'too many')} entries, needs {bound} {limit}"
    if kind == "string_too_short":
        return "is empty, write a name"
    if kind == "string_pattern_mismatch":
        return f"{given} is not a name, use letters, digits, _ and - and begin with a letter"
    if kind == "finite_number":
        return f"must be a finite number, not {given}"
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, not {given}"


def shown(value: Any) -> str:
    """A value as it goes into a message, cut when long."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, str):
        text = f"the text {value!r}"
    elif isinstance(value, dict):
        text = "a mapping"
    elif isinstance(value, list | tuple):
        text = f"the list {value!r}"
    else:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def key_path(detail: ErrorDetails, root: Node) -> KeyPath:
    """Location of an error as keys of the file: names of union members and functions are dropped."""
    node: Node | None = root
    path: list[str | int] = []
    location = detail["loc"]
    for position, part in enumerate(location):
        below = node.child(part) if node is not None else None
        last = position == len(location) - 1
        wanted = last and detail["type"] in _MISSING | _UNKNOWN  # a key that is not there, or not known
        if below is None and isinstance(part, str) and (is_union_tag(part) or not wanted):
            continue
        path.append(part)
        node = below
    context = detail.get("ctx", {})
    key = unknown_kind(context, detail["input"])[0] if detail["type"] == UNKNOWN_KIND else context.get("key")
    return (*path, str(key)) if key is not None else tuple(path)


def _relevant(details: Sequence[ErrorDetails], root: Node) -> list[ErrorDetails]:
    """Without the errors of union members that were not meant: wrong values by line, then missing keys."""
    paths = [key_path(detail, root) for detail in details]

    def not_meant(index: int) -> bool:
        if details[index]["type"] not in _WANTED_TYPES:
            return False
        path = paths[index]
        others = (other for other in range(len(details)) if other != index)
        return any(
            (len(paths[other]) > len(path) and paths[other][: len(path)] == path)
            or (paths[other] == path and details[other]["type"] not in _WANTED_TYPES)
            for other in others
        )

    kept = [detail for index, detail in enumerate(details) if not not_meant(index)]
    return sorted(kept, key=lambda detail: (_is_missing(detail), _line(root.located(key_path(detail, root)))))


def _line(place: str) -> int:
    """Line number at the end of a place; values from `--set` come first."""
    number = place.rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


def _is_missing(detail: ErrorDetails) -> bool:
    return detail["type"] in _MISSING


def _unknown_key(name: str, missing: Sequence[str], known: Sequence[str]) -> str:
    suggestion = closest(name, missing) or closest(name, known)
    if suggestion:
        return f"unknown key, did you mean `{suggestion}`?"
    return unknown("key", name, known) if known else "unknown key, remove it"


def _choice(expected: str, given: Any) -> str:
    choices = expected.replace(" or ", ", ").replace("'", "").split(", ")
    suggestion = closest(given, choices) if isinstance(given, str) else None
    meant = f", did you mean {suggestion!r}?" if suggestion else ""
    listed = f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else choices[0]
    return f"must be {listed}, not {shown(given)}{meant}"
