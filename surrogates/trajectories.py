"""States that follow from each other along paths: what a family answers on them, and their form for training."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray
from surrogates.family import Family, ModelError, Samples


class Padded(NamedTuple):
    """Paths as rows of equal length; shorter ones repeat their last state."""

    gradient: FloatArray
    """(p, s, g)"""
    dt: FloatArray
    """(p, s)"""
    known: NDArray[np.bool_]
    """Which of them are states of the samples, (p, s); in this order they are those of the samples."""


def lengths(path: IntArray) -> IntArray:
    """Number of states of each path, in the order in which `path` (n,) names them."""
    starts = np.flatnonzero(np.diff(path, prepend=path[:1] - 1))
    return np.diff(np.append(starts, len(path)))


def padded(samples: Samples) -> Padded:
    """The paths of some samples.

    Raises:
        ModelError: the samples have no paths.
    """
    if samples.path is None:
        raise ModelError("the states are not ordered along paths, which a family that remembers learns from")
    count = lengths(samples.path)
    ends = np.cumsum(count)
    position = np.arange(count.max(initial=0))
    index = np.minimum((ends - count)[:, None] + position, (ends - 1)[:, None])
    dt = np.ones(len(samples.gradient)) if samples.dt is None else samples.dt
    return Padded(samples.gradient[index], dt[index], position < count[:, None])


def follow(family: Family, samples: Samples) -> tuple[FloatArray, FloatArray]:
    """Flux (n, g) and tangent (n, g, g) at each of the states, along their paths where the family remembers.

    Raises:
        ModelError: the family remembers and the samples have no paths.
    """
    if family.state_size == 0:
        return family.evaluate(samples.gradient)
    paths = padded(samples)
    p, s, g = paths.gradient.shape
    flux, tangent = np.empty((p, s, g)), np.empty((p, s, g, g))
    state = np.tile(family.initial_state(), (p, 1))
    for position in range(s):
        for dt in np.unique(paths.dt[:, position]):
            rows = np.flatnonzero(paths.dt[:, position] == dt)
            answer = family.step(np.ascontiguousarray(paths.gradient[rows, position]), state[rows], float(dt))
            flux[rows, position], tangent[rows, position], state[rows] = answer
    return flux[paths.known], tangent[paths.known]
