"""The Halton sequence: points that fill a unit cube evenly, however many of them are drawn (Halton 1960)."""

import numpy as np

from materials.measures import FloatArray

PRIMES = (2, 3, 5, 7, 11, 13)
"""Base of each coordinate."""


def halton_point(number: int, shift: FloatArray) -> FloatArray:
    """Point `number`, from 0, moved by `shift` (k,) round the cube (Cranley and Patterson 1976), (k,)."""
    inverses = [_radical_inverse(number, base) for base in PRIMES[: len(shift)]]
    return np.asarray((np.array(inverses) + shift) % 1.0)


def _radical_inverse(number: int, base: int) -> float:
    """Digits of `number` mirrored at the point."""
    inverse, weight = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        weight /= base
        inverse += digit * weight
    return inverse
