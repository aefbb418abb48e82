"""Families that are made of others: how the arrays of several members lie in one store."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from materials.measures import FloatArray, Measure
from surrogates.family import Family, ModelError


def joined(members: Sequence[Family]) -> dict[str, FloatArray]:
    """Arrays of all members, those of member k as `k.name`."""
    return {f"{k}.{name}": array for k, member in enumerate(members) for name, array in member.arrays().items()}


def separated(
    family: type[Family],
    measure: Measure,
    architectures: Sequence[Mapping[str, Any]],
    arrays: Mapping[str, NDArray[Any]],
) -> tuple[Family, ...]:
    """The members of one family that `joined` and their architectures came from.

    Raises:
        ModelError: the family is not for the measure, an array belongs to no member, or does not fit its own.
    """
    refusal = family.refusal(measure)
    if refusal is not None:
        raise ModelError(refusal)
    parts: list[dict[str, NDArray[Any]]] = [{} for _ in architectures]
    for name, array in arrays.items():
        number, _, own = name.partition(".")
        if number not in map(str, range(len(parts))):
            raise ModelError(f"the set of arrays has unknown {name}, there are {len(parts)} members")
        parts[int(number)][own] = array
    made = []
    for k, (architecture, part) in enumerate(zip(architectures, parts, strict=True)):
        try:
            made.append(family.from_arrays(measure, architecture, part))
        except ModelError as error:
            raise ModelError(f"member {k}: {error}") from None
    return tuple(made)
