"""Random numbers that depend on what they are for, never on when, where or in which order they are drawn."""

import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniform(seed: int, *keys: int | IntArray) -> FloatArray:
    """One number in [0, 1) for each combination of keys: the chained finaliser of SplitMix64 (Steele et al. 2014).

    Args:
        seed: at least 0.
        keys: integers, also negative, or arrays of them that broadcast.
    """
    value = _mixed(np.asarray(seed, dtype=np.int64).astype(np.uint64))
    for key in keys:
        value = _mixed(value ^ np.asarray(key, dtype=np.int64).astype(np.uint64))
    return np.asarray((value >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mixed(value: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    value = np.atleast_1d(value) + _GOLDEN  # an array, since scalars warn when they wrap round
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))
