"""Suggestions for names that are nearly right."""

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 14  # names listed in a message


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be."""
    names = {known_name.lower(): known_name for known_name in known}
    found = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def unknown(noun: str, given: object, known: Iterable[str]) -> str:
    """Message for a name that is not among `known`: the closest one, and those that exist."""
    names = list(known)
    suggestion = closest(given, names) if isinstance(given, str) else None
    meant = f"did you mean {suggestion!r}? " if suggestion else ""
    listed = ", ".join(names[:MANY]) + (", …" if len(names) > MANY else "") if names else "none"
    return f"unknown {noun} {given!r}; {meant}known: {listed}"
