"""Sections of which one key says the kind: `type` of a material, `law` of a phase, `generator` of a mesh."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

from pydantic import Discriminator, Tag

from solver.case.closest import unknown

UNKNOWN_KIND = "unknown_kind"
"""Type of pydantic's error when no member of such a union fits."""


def union_tag(value: str) -> str:
    """Tag as it appears in pydantic's locations: no key of a case file looks like it, so it can be dropped."""
    return f"<{value}>"


def is_union_tag(part: str | int) -> bool:
    """Whether a part of a location is such a tag."""
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def tagged_union(
    key: str,
    kinds: Mapping[str, Any],
    noun: str,
    instead: Mapping[str, Any] | None = None,
    foreign: tuple[str, Callable[[str], bool], Any] | None = None,
) -> Any:
    """Type of a section whose `key` selects one of `kinds`.

    Args:
        key: the discriminating key.
        kinds: value of that key -> model (or another such union).
        noun: what to call the value in messages, such as `law`.
        instead: key -> model, for sections that have another key instead, such as `file` for `generator`; a kind may
            have a key of this name as well.
        foreign: a tag, which other values of the key are allowed, and the model of their sections.
    """
    alternatives = instead or {}
    others = {} if foreign is None else {foreign[0]: foreign[2]}
    tags = {union_tag(value) for value in (*kinds, *others)}
    models = {**kinds, **others, **alternatives}

    def tag_of(value: str) -> str:
        return union_tag(foreign[0] if foreign is not None and foreign[1](value) else value)

    def select(data: Any) -> str | None:
        if not isinstance(data, dict):  # a model, when it is dumped
            name = getattr(data, key, None) or next(iter(alternatives), None)
            return None if name is None else tag_of(name)
        chosen = data.get(key)
        own = getattr(kinds.get(chosen), "model_fields", {}) if isinstance(chosen, str) else {}
        given = [name for name in (key, *alternatives) if name in data and name not in own.keys() - {key}]
        if len(given) != 1:
            return None
        if given[0] in alternatives:
            return union_tag(given[0])
        tag = tag_of(data[key]) if isinstance(data[key], str) else None
        return tag if tag in tags else None

    members = [Annotated[model, Tag(union_tag(value))] for value, model in models.items()]
    context: dict[str, int | str | float] = {
        "discriminator": key,
        "noun": noun,
        "kinds": ",".join(kinds),
        "instead": ",".join(alternatives),
    }
    chosen = Discriminator(
        select,
        custom_error_type=UNKNOWN_KIND,
        custom_error_message=UNKNOWN_KIND,
        custom_error_context=context,
    )
    return Annotated[Union[tuple(members)], chosen]  # noqa: UP007


def unknown_kind(context: Mapping[str, Any], data: Any) -> tuple[str | None, str]:
    """The key to blame (None: the section itself) and the message, when no member of a union fits."""
    key, noun = str(context["discriminator"]), context["noun"]
    kinds = str(context["kinds"]).split(",")
    keys = [key, *(name for name in str(context["instead"]).split(",") if name)]
    if not isinstance(data, dict):
        return None, f"must be a mapping with the key {' or '.join(f'`{name}`' for name in keys)}"
    given = [name for name in keys if name in data]
    if not given:
        return None, f"needs the key {' or '.join(f'`{name}`' for name in keys)}; known {noun}s: {', '.join(kinds)}"
    if len(given) > 1:
        return given[1], f"`{given[0]}` and `{given[1]}` exclude each other, keep one"
    return key, unknown(noun, data[key], kinds)
