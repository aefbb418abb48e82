"""The keys that a section of a case file may have, found by following a location through the models."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Tag


def keys_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Keys of the section at a location of a pydantic error, `[]` where that is no mapping with fixed keys."""
    found = _follow(model, location)
    if found is None:
        return []
    fields = _fields(found)
    return list(fields) if fields is not None else []


def _fields(hint: Any) -> Mapping[str, Any] | None:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return {name: field.annotation for name, field in hint.model_fields.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return {field.name: hints[field.name] for field in dataclasses.fields(hint)}
    return None


def _follow(hint: Any, location: tuple[str | int, ...]) -> Any:
    """The model or dataclass that a location leads to, None if it leads nowhere."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        if location and any(isinstance(entry, Tag) and entry.tag == location[0] for entry in arguments[1:]):
            location = location[1:]
        return _follow(arguments[0], location)
    if origin in (Union, types.UnionType):
        return _follow_union(arguments, location)
    if not location:
        return hint if _fields(hint) is not None else None
    part, rest = location[0], location[1:]
    if part == getattr(hint, "__name__", None):  # pydantic names the member of a plain union
        return _follow(hint, rest)
    fields = _fields(hint)
    if fields is not None:
        return _follow(fields[str(part)], rest) if part in fields else None
    if origin is dict:
        return _follow(arguments[1], rest)
    if origin is tuple and isinstance(part, int):
        return _follow(arguments[0 if len(arguments) == 2 and arguments[1] is Ellipsis else part], rest)
    return None


def _follow_union(members: tuple[Any, ...], location: tuple[str | int, ...]) -> Any:
    tags = {entry.tag: member for member in members for entry in get_args(member)[1:] if isinstance(entry, Tag)}
    if location and location[0] in tags:
        return _follow(tags[str(location[0])], location)
    if location and tags:
        return None
    candidates = (_follow(member, location) for member in members)
    return next((found for found in candidates if found is not None), None)
