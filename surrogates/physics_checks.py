"""What physics asks of a surrogate, each check one number; docs/surrogates.md lists them.

A family that remembers is followed along whole paths from rest: its tangent is that of an increment, and the work of a
closed path is not zero but at least not negative.
"""

import numpy as np

from materials.ellipticity import lost_ellipticity
from materials.interface import IntArray
from materials.measures import FloatArray, Measure, Physics
from surrogates.family import Family, ModelError, Samples
from surrogates.store import Model
from surrogates.trajectories import Journey, continued, follow, journey, lengths, origins, recut

CHECK_STATES = 500
"""Most states that a check looks at, but for the rest of the last path where paths are looked at whole."""
LOOPS = 50
"""Closed paths of the check for conservation."""
DIFFERENCE = 1e-6
"""Step of central differences, relative to the size of the gradients. Small, so that few steps straddle a kink."""


def checks(model: Model, samples: Samples) -> dict[str, float]:
    """All checks that apply to the family and the physics.

    Raises:
        ModelError: the family remembers and the samples have no paths.
    """
    family, measure = model.family, model.measure
    remembers = family.state_size > 0
    looked_at = samples.at(_rows(samples, remembers))
    answer = journey(family, looked_at)
    flux, tangent = answer.flux, answer.tangent
    found = {
        "outside_training_range": float(np.mean(model.outside(samples.gradient))),
        "flux_at_rest": _norm(family.evaluate(measure.rest[None])[0]) / _norm(flux),
        "tangent_against_differences": tangent_against_differences(family, looked_at, answer),
        "tangent_symmetry": float(np.linalg.norm(tangent - np.swapaxes(tangent, 1, 2)) / np.linalg.norm(tangent)),
    }
    if remembers:
        found["step_halving"] = step_halving(family, looked_at)
        if measure.physics is not Physics.HEAT:
            found["work_gained_in_cycles"] = work_gained_in_cycles(family, looked_at)
    else:
        found["closed_path_work"] = closed_path_work(family, looked_at.gradient)
    dissipated = _dissipated(family, looked_at, answer)
    if dissipated is not None and np.any(dissipated):
        found["negative_dissipation"] = float(np.sum(np.maximum(-dissipated, 0.0)) / np.sum(np.abs(dissipated)))
    if measure.physics is Physics.FINITE_STRAIN:
        found["objectivity"] = objectivity(family, looked_at)
    if measure.physics is not Physics.HEAT:
        inside = ~model.outside(looked_at.gradient)
        found["ellipticity_lost"] = _share_lost(measure, tangent[inside])
        found["ellipticity_lost_in_data"] = _share_lost(measure, looked_at.tangent[inside])
    return found


def objectivity(family: Family, samples: Samples, seed: int = 0) -> float:
    """Largest ‖P(QF) − Q P(F)‖ over the states and random rotations Q, another for each, relative to the rms of P."""
    measure, gradient = family.measure, samples.gradient
    rotations = _rotations(measure.dimension, len(gradient), seed)
    turned = (rotations @ measure.to_tensor(gradient)).reshape(gradient.shape)
    expected = (rotations @ measure.to_tensor(follow(family, samples)[0])).reshape(gradient.shape)
    difference = np.linalg.norm(follow(family, samples._replace(gradient=turned))[0] - expected, axis=1)
    return float(difference.max() / _norm(expected))


def closed_path_work(family: Family, gradient: FloatArray, seed: int = 0) -> float:
    """Net work of closed paths rest → a → b → rest through pairs of the states, relative to the work turned over.

    √(Σ (∮ flux·dg)²) / √(Σ (∮ |flux·dg|)²) over 50 paths, by Gauss–Legendre quadrature with 32 points per leg. For
    families without memory.
    """
    measure = family.measure
    random = np.random.default_rng(seed)
    first, second = gradient[random.integers(len(gradient), size=(2, LOOPS))]
    rest = np.tile(measure.rest, (LOOPS, 1))
    nodes, weights = np.polynomial.legendre.leggauss(32)
    net, turned_over = np.zeros(LOOPS), np.zeros(LOOPS)
    for start, end in ((rest, first), (first, second), (second, rest)):
        way = end - start
        points = start[:, None] + 0.5 * (1.0 + nodes)[:, None] * way[:, None]
        flux, _ = family.evaluate(points.reshape(-1, measure.size))
        power = 0.5 * weights * np.einsum("lqg,lg->lq", flux.reshape(points.shape), way)
        net += power.sum(axis=1)
        turned_over += np.abs(power).sum(axis=1)
    known = np.isfinite(net)  # a straight way between two deformations may turn the body inside out
    total = float(np.linalg.norm(turned_over[known]))
    return float(np.linalg.norm(net[known])) / total if total > 0.0 else 0.0


def work_gained_in_cycles(family: Family, samples: Samples, pieces: int = 4) -> float:
    """Net work that closed strain cycles give back where they should take some, relative to the work turned over.

    Each path is closed by a straight way back to rest, of as many increments as its mean increment asks for; work is
    counted from the flux by the trapezoidal rule on increments cut into `pieces`. A material whose virgin state has the
    least energy gives nothing: Σ max(0, −∮ flux·dg) / Σ ∮ |flux·dg| over the paths.

    Raises:
        ModelError: the samples have no paths.
    """
    measure = family.measure
    closed = recut(measure, _closed(measure, samples), pieces)
    flux, _ = follow(family, closed)
    first = [rows[0] for rows in _paths(closed)]
    before = np.roll(flux, 1, axis=0)
    before[first] = 0.0
    power = 0.5 * np.einsum("ng,ng->n", flux + before, closed.gradient - origins(measure, closed))
    net, turned_over = np.add.reduceat(power, first), np.add.reduceat(np.abs(power), first)
    known = np.isfinite(net)  # a straight way between two deformations may turn the body inside out
    total = float(turned_over[known].sum())
    return float(np.maximum(-net[known], 0.0).sum()) / total if total > 0.0 else 0.0


def step_halving(family: Family, samples: Samples) -> float:
    """Change of the flux when every increment is cut into two halves, root mean square, relative to that of the flux.

    Raises:
        ModelError: the samples have no paths.
    """
    flux, _ = follow(family, samples)
    fine, _ = follow(family, recut(family.measure, samples, 2))
    return _norm(fine[1::2] - flux) / _norm(flux)


def tangent_against_differences(family: Family, samples: Samples, answer: Journey) -> float:
    """Largest deviation of the tangent from central differences of the flux, relative to the rms of the tangent.

    Differences start from the same state as the increment does (`answer`, of these samples).
    """
    size = family.measure.size
    step = DIFFERENCE * _norm(samples.gradient - family.measure.rest)
    differences = np.empty_like(answer.tangent)
    for column in range(size):
        direction = step * np.eye(size)[column]
        forward, backward = (
            continued(family, samples, answer.before, samples.gradient + sign * direction).flux for sign in (1.0, -1.0)
        )
        differences[:, :, column] = (forward - backward) / (2.0 * step)
    return float(np.linalg.norm(differences - answer.tangent, axis=(1, 2)).max() / _norm(answer.tangent))


def _dissipated(family: Family, samples: Samples, answer: Journey) -> FloatArray | None:
    """What each increment dissipates, (n,), where that is known: heat flow, and families that tell (`dissipated`)."""
    if family.measure.physics is Physics.HEAT:
        return np.asarray(np.einsum("ng,ng->n", answer.flux, samples.gradient))  # −q·∇T
    tell = getattr(family, "dissipated", None)
    if tell is None:
        return None
    return np.asarray(tell(origins(family.measure, samples), answer.before, samples.gradient, answer.after))


def _closed(measure: Measure, samples: Samples) -> Samples:
    """The gradients of the paths, each followed by its way back to rest; flux and tangent are not known there."""
    size = float(np.linalg.norm(samples.gradient - origins(measure, samples), axis=1).mean())
    legs, dt = [], []
    for rows in _paths(samples):
        last = samples.gradient[rows[-1]]
        count = int(np.ceil(np.linalg.norm(last - measure.rest) / size)) if size > 0.0 else 1
        back = last + np.arange(1, count + 1)[:, None] / count * (measure.rest - last)
        legs.append(np.vstack([samples.gradient[rows], back]))
        known = np.ones(len(rows)) if samples.dt is None else samples.dt[rows]
        dt.append(np.append(known, np.full(count, known.mean())))
    gradient = np.vstack(legs)
    unknown = np.full((*gradient.shape, measure.size), np.nan)
    path = np.repeat(np.arange(len(legs)), [len(leg) for leg in legs])
    return Samples(gradient, unknown[:, 0], unknown, path=path, dt=np.concatenate(dt))


def _rows(samples: Samples, whole_paths: bool) -> IntArray:
    """States to look at, spread over all; whole paths, if asked for, up to about `CHECK_STATES` states."""
    count = len(samples.gradient)
    if not whole_paths:
        return _spread(count, CHECK_STATES)
    paths = _paths(samples)
    return np.concatenate([paths[k] for k in _spread(len(paths), max(1, CHECK_STATES * len(paths) // count))])


def _spread(count: int, most: int) -> IntArray:
    """At most so many of the numbers below `count`, at even distances."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def _paths(samples: Samples) -> list[IntArray]:
    """The states of each path, by number."""
    if samples.path is None:
        raise ModelError("the states are not ordered along paths")
    return np.split(np.arange(len(samples.path)), np.cumsum(lengths(samples.path))[:-1])


def _share_lost(measure: Measure, tangent: FloatArray) -> float:
    return float(np.mean(lost_ellipticity(measure, tangent))) if len(tangent) else 0.0


def _norm(values: FloatArray) -> float:
    """Root mean square over states of the norm of each."""
    return float(np.linalg.norm(values) / np.sqrt(len(values)))


def _rotations(dimension: int, count: int, seed: int) -> FloatArray:
    """Random rotations (count, d, d)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, dimension, dimension)))
    q *= np.sign(np.einsum("nii->ni", r))[:, None, :]
    q[:, :, 0] *= np.linalg.det(q)[:, None]
    return np.asarray(q)
