"""States that follow from each other along paths: what a family answers on them, and their form for training."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray, Measure
from surrogates.family import Family, ModelError, Samples, Step, descriptor_matrix


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
    return np.diff(np.append(starts(path), len(path)))


def starts(path: IntArray) -> IntArray:
    """Row of the first state of each path, in the order in which `path` (n,) names them."""
    return np.flatnonzero(np.diff(path, prepend=path[:1] - 1))


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


class Journey(NamedTuple):
    """What a family answers along paths, one row for each of n states."""

    flux: FloatArray
    """(n, g)"""
    tangent: FloatArray
    """(n, g, g)"""
    before: FloatArray
    """Internal state that the increment starts from, (n, state_size)."""
    after: FloatArray
    """Internal state that it ends in, (n, state_size)."""


def follow(family: Family, samples: Samples) -> tuple[FloatArray, FloatArray]:
    """Flux (n, g) and tangent (n, g, g) at each of the states, along their paths where the family remembers.

    Raises:
        ModelError: the family remembers and the samples have no paths.
    """
    if family.state_size == 0 and not family.descriptors:
        return family.evaluate(samples.gradient)
    answer = journey(family, samples)
    return answer.flux, answer.tangent


def journey(family: Family, samples: Samples) -> Journey:
    """Like `follow`, with the internal states between which each increment leads.

    Raises:
        ModelError: the family remembers and the samples have no paths, or it asks for descriptors that they lack.
    """
    if family.descriptors:
        return _in_each_cell(family, samples)
    if family.state_size == 0:
        nothing = np.zeros((len(samples.gradient), 0))
        return Journey(*family.evaluate(samples.gradient), nothing, nothing)
    paths = padded(samples)
    p, s, g = paths.gradient.shape
    flux, tangent = np.empty((p, s, g)), np.empty((p, s, g, g))
    states = np.empty((p, s + 1, family.state_size))
    states[:, 0] = family.initial_state()
    for position in range(s):
        for dt in np.unique(paths.dt[:, position]):
            rows = np.flatnonzero(paths.dt[:, position] == dt)
            gradient, state = paths.gradient[rows, position], states[rows, position]
            answer = family.step(np.ascontiguousarray(gradient), np.ascontiguousarray(state), float(dt))
            flux[rows, position], tangent[rows, position], states[rows, position + 1] = answer
    known = paths.known
    return Journey(flux[known], tangent[known], states[:, :-1][known], states[:, 1:][known])


def cells(family: Family, samples: Samples) -> Iterator[tuple[NDArray[np.bool_], Family]]:
    """Which states (n,) belong to each of the cells that the samples are of, and the family for that cell.

    Raises:
        ModelError: it asks for descriptors that the samples lack.
    """
    names = family.descriptors
    values = descriptor_matrix(names, samples.descriptors)
    for value in np.unique(values, axis=0):
        yield (values == value).all(axis=1), family.at(dict(zip(names, value.tolist(), strict=True)))


def one_cell(family: Family, samples: Samples) -> tuple[Family, Samples]:
    """The family for one of the cells that the samples are of, and the states of that cell; for what looks at one.

    The middle one in the order of descriptors. A family that asks for none is left as it is, with all states.

    Raises:
        ModelError: it asks for descriptors that the samples lack.
    """
    if not family.descriptors:
        return family, samples
    found = list(cells(family, samples))
    rows, own = found[len(found) // 2]
    return own, samples.at(rows)


def described(family: Family, samples: Samples) -> FloatArray:
    """Descriptors as `torch_model` wants them: of each state (n, k), or of each path (p, k) if the family remembers.

    Raises:
        ModelError: the samples lack one.
    """
    values = descriptor_matrix(family.descriptors, samples.descriptors)
    return values[starts(samples.path)] if family.state_size and samples.path is not None else values


def _in_each_cell(family: Family, samples: Samples) -> Journey:
    """`journey` of a family that asks for descriptors."""
    n, g = samples.gradient.shape
    whole = Journey(np.empty((n, g)), np.empty((n, g, g)), *np.empty((2, n, family.state_size)))
    for rows, own in cells(family, samples):
        for values, part in zip(whole, journey(own, samples.at(rows)), strict=True):
            values[rows] = part
    return whole


def continued(family: Family, samples: Samples, before: FloatArray, gradient: FloatArray) -> Step:
    """Answers to other increments from the states (n, state_size) that those to the samples start from.

    Args:
        family: what answers.
        samples: n states, for the durations.
        before: of their journey.
        gradient: where the increments lead instead, (n, g).
    """
    n, g = gradient.shape
    answer = Step(np.empty((n, g)), np.empty((n, g, g)), np.empty_like(before))
    durations = np.ones(n) if samples.dt is None else samples.dt
    for dt in np.unique(durations):
        rows = np.flatnonzero(durations == dt)
        made = family.step(np.ascontiguousarray(gradient[rows]), np.ascontiguousarray(before[rows]), float(dt))
        for whole, part in zip(answer, made, strict=True):
            whole[rows] = part
    return answer


def origins(measure: Measure, samples: Samples) -> FloatArray:
    """Gradient (n, g) that the increment to each state starts from: rest for the first of a path.

    Raises:
        ModelError: the samples have no paths.
    """
    if samples.path is None:
        raise ModelError("the states are not ordered along paths")
    first = np.diff(samples.path, prepend=samples.path[:1] - 1) != 0
    before = np.roll(samples.gradient, 1, axis=0)
    return np.where(first[:, None], measure.rest, before)


def recut(measure: Measure, samples: Samples, pieces: int) -> Samples:
    """The same paths with each increment in `pieces` equal ones, flux and tangent repeated; ends are the last of each.

    Raises:
        ModelError: the samples have no paths.
    """
    begin = origins(measure, samples)
    share = np.arange(1, pieces + 1) / pieces
    between = begin[:, None] + share[:, None] * (samples.gradient - begin)[:, None]
    between[:, -1] = samples.gradient  # to the last bit
    fine = samples.at(np.repeat(np.arange(len(begin)), pieces))
    dt = None if fine.dt is None else fine.dt / pieces
    return fine._replace(gradient=between.reshape(-1, measure.size), dt=dt)
