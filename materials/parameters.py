"""Types of the numbers that users give to laws, and the check that they keep to them.

The constraints are metadata of the annotation, so that one declaration serves the validation of case files, the JSON
Schema, and a law made in Python.
"""

import dataclasses
import math
import numbers
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, Predicate

Finite = Annotated[float, Predicate(math.isfinite)]
Positive = Annotated[float, Gt(0), Predicate(math.isfinite)]
NonNegative = Annotated[float, Ge(0), Predicate(math.isfinite)]
PoissonRatio = Annotated[float, Gt(-1), Lt(0.5)]
"""Excludes the incompressible limit, where the bulk modulus is infinite."""

_BOUNDS: dict[type, tuple[str, Callable[[Any, Any], bool], str]] = {
    Gt: ("gt", lambda value, bound: value > bound, "greater than"),
    Ge: ("ge", lambda value, bound: value >= bound, "at least"),
    Lt: ("lt", lambda value, bound: value < bound, "less than"),
    Le: ("le", lambda value, bound: value <= bound, "at most"),
}


def check_fields(instance: Any) -> None:
    """Raise ValueError if a field of a dataclass breaks the constraints of its annotation.

    Understands numbers, literals, classes, tuples, unions and None, annotated with bounds and predicates.
    """
    hints = get_type_hints(type(instance), include_extras=True)
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        fault = _fault(value, hints[field.name])
        if fault is not None:
            raise ValueError(f"{field.name} must be {fault}, got {value!r}")


def _fault(value: Any, hint: Any) -> str | None:
    """What `value` would have to be to satisfy `hint`, or None where it does."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fault(value, arguments[0]) or _broken_constraint(value, arguments[1:])
    if origin in (Union, types.UnionType):
        faults = [_fault(value, member) for member in arguments]
        # the members that a number can be tell more about a number than the others
        return None if None in faults else " or ".join(str(fault) for fault in faults if fault != "None")
    if origin is Literal:
        return None if value in arguments else "one of " + ", ".join(map(str, arguments))
    if origin is tuple:  # of any length, as in tuple[float, ...]
        entries = isinstance(value, tuple) and not any(_fault(entry, arguments[0]) for entry in value)
        return None if entries else "a tuple"
    if hint is float:
        return None if isinstance(value, numbers.Real) and not isinstance(value, bool) else "a number"
    return None if isinstance(value, hint) else hint.__name__.removesuffix("Type")


def _broken_constraint(value: Any, constraints: tuple[Any, ...]) -> str | None:
    """The first of the constraints that a value of the right type breaks, in words."""
    for constraint in constraints:
        if isinstance(constraint, Predicate):
            if not constraint.func(value):
                return "a finite number" if constraint.func is math.isfinite else str(constraint)
        else:
            attribute, holds, words = _BOUNDS[type(constraint)]
            bound = getattr(constraint, attribute)
            if not holds(value, bound):
                return f"{words} {bound}"
    return None
